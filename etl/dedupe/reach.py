"""What no rule can find: records that share no blocking key with any other, as far as their values tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.dedupe.model import BlockingRule
from etl.dedupe.record_files import scan_records


@dataclass(frozen=True)
class Reach:
    """Of `records` accepted ones: `keyless` lack a value for every rule, so that nothing could ever find them; `alone` have
    values, and share them with nobody. Only the rest were compared with anything.

    `missed_unseen`, `missed_seen`, where the truth is known: pairs of one person that were not merged, by whether they share the
    key of a rule.
    """

    records: int
    keyless: int
    alone: int
    missed_unseen: int | None = None
    missed_seen: int | None = None

    @property
    def compared(self) -> int:
        """Records that share a key with another."""
        return self.records - self.keyless - self.alone


def measure_reach(records: Path, rules: Sequence[BlockingRule]) -> Reach:
    """Count over records.parquet. A rule's `where` is left aside: what shares its columns counts as found."""
    columns = sorted({column for rule in rules for column in rule.on})
    frame = scan_records(records).filter("accepted").select(columns).collect()
    has_key, shares = pl.lit(False), pl.lit(False)
    for rule in rules:
        complete = pl.all_horizontal(pl.col(column).is_not_null() for column in rule.on)
        has_key = has_key | complete
        shares = shares | (complete & (pl.len().over(rule.on) > 1))
    counts = frame.select(
        (~has_key).sum().alias("keyless"),
        (has_key & ~shares).sum().alias("alone"),
    ).row(0, named=True)
    return Reach(frame.height, int(counts["keyless"]), int(counts["alone"]))


def split_missed(records: Path, rules: Sequence[BlockingRule], missed: pl.DataFrame) -> tuple[int, int]:
    """Of pairs (left, right) that were missed: how many share no key of any rule, and how many do."""
    columns = sorted({column for rule in rules for column in rule.on})
    frame = scan_records(records).select("record", *columns).collect()
    sides = [frame.rename({"record": side, **{column: f"{column}_{side}" for column in columns}}) for side in ("left", "right")]
    both = missed.select("left", "right").join(sides[0], on="left").join(sides[1], on="right")
    found = pl.any_horizontal(
        pl.all_horizontal((pl.col(f"{column}_left") == pl.col(f"{column}_right")).fill_null(False) for column in rule.on)
        for rule in rules
    )
    seen = int(both.select(found.sum()).item()) if both.height else 0
    return both.height - seen, seen
