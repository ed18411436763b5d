"""From rows without an equal to findings: which are changed, missing, extra or there twice.

Counts are exact; of the rows themselves only the first `limit` of each kind are kept, so that a table that differs everywhere
takes no more memory than one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from etl.reconcile.match import Unmatched

RANK: Final = "__rank"
QUARANTINED: Final = "__quarantined"

Flags = Callable[[pl.DataFrame], pl.Series]
"""From rows to one Boolean each."""


@dataclass(frozen=True)
class Rows:
    """Rows of one kind: how many there are, and the first of them."""

    count: int
    frame: pl.DataFrame

    def add(self, frame: pl.DataFrame, limit: int) -> Rows:
        """With more rows."""
        room = max(0, limit - self.frame.height)
        return Rows(self.count + frame.height, pl.concat([self.frame, frame.head(room)]) if room and frame.height else self.frame)

    def without(self, flags: pl.Series) -> Rows:
        """Without the kept rows that are flagged."""
        return Rows(self.count - int(flags.sum()), self.frame.filter(~flags))


@dataclass(frozen=True)
class Findings:
    """What differs between two sides. Row i of `changed_expected` and of `changed_actual` have one key.

    `duplicated_expected`: the source makes a further row of a key that the target holds once; `duplicated_actual`: the other
    way round. `in_quarantine` counts expected rows that load put aside, `imported` rows of the target that came from files.
    """

    changed_expected: Rows
    changed_actual: Rows
    missing: Rows
    extra: Rows
    duplicated_expected: Rows
    duplicated_actual: Rows
    in_quarantine: int = 0
    imported: int = 0

    @property
    def count(self) -> int:
        """How many rows differ."""
        kinds = (self.changed_expected, self.missing, self.extra, self.duplicated_expected, self.duplicated_actual)
        return sum(rows.count for rows in kinds)


@dataclass
class FindingsBuilder:
    """Collects what is left of each partition of keys. `quarantined` flags expected rows that load put aside,
    `imported` rows of the target that came from files."""

    key: Sequence[str]
    limit: int
    quarantined: Flags
    imported: Flags | None = None
    parts: dict[str, Rows] = field(default_factory=dict)
    in_quarantine: int = 0
    from_files: int = 0

    def add(self, unmatched: Unmatched) -> None:
        """Pair what has one key; what has no pair is missing or extra, or a further row of its key.

        Of several rows of one key, one that is in quarantine is the last to be given a counterpart.
        """
        expected = unmatched.expected.with_columns(self.quarantined(unmatched.expected).alias(QUARANTINED)).sort(
            QUARANTINED, maintain_order=True
        )
        expected, actual = with_rank(expected, self.key), with_rank(unmatched.actual, self.key)
        on = [*self.key, RANK]
        paired = expected.join(actual.select(on), on=on, how="semi", nulls_equal=True, maintain_order="left")
        self.put("changed_expected", paired.drop(RANK, QUARANTINED))
        self.put(
            "changed_actual",
            paired.select(on)
            .join(actual, on=on, how="left", nulls_equal=True, maintain_order="left")
            .select(actual.columns)
            .drop(RANK),
        )
        alone = expected.join(actual.select(on), on=on, how="anti", nulls_equal=True, maintain_order="left")
        self.in_quarantine += int(alone[QUARANTINED].sum())
        alone = alone.filter(~pl.col(QUARANTINED)).drop(QUARANTINED)
        self.put("missing", alone.filter(pl.col(RANK) == 0).drop(RANK))
        self.put("duplicated_expected", alone.filter(pl.col(RANK) > 0).drop(RANK))
        alone = actual.join(expected.select(on), on=on, how="anti", nulls_equal=True, maintain_order="left")
        if self.imported is not None and not alone.is_empty():
            from_files = self.imported(alone)
            self.from_files += int(from_files.sum())
            alone = alone.filter(~from_files)
        self.put("extra", alone.filter(pl.col(RANK) == 0).drop(RANK))
        self.put("duplicated_actual", alone.filter(pl.col(RANK) > 0).drop(RANK))

    def put(self, name: str, frame: pl.DataFrame) -> None:
        """Add rows of one kind."""
        self.parts[name] = self.parts.get(name, Rows(0, frame.clear())).add(frame, self.limit)

    def finish(self) -> Findings:
        """All of it."""
        nothing = Rows(0, pl.DataFrame())
        return Findings(
            **{
                name: self.parts.get(name, nothing)
                for name in ("changed_expected", "changed_actual", "missing", "extra", "duplicated_expected", "duplicated_actual")
            },
            in_quarantine=self.in_quarantine,
            imported=self.from_files,
        )


def with_rank(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Number the rows of each key from 0."""
    return rows.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over(key).alias(RANK))


def find(
    unmatched: Iterable[Unmatched], key: Sequence[str], limit: int, quarantined: Flags, imported: Flags | None = None
) -> Findings:
    """Findings of all partitions of keys."""
    builder = FindingsBuilder(key, limit, quarantined, imported)
    for part in unmatched:
        builder.add(part)
    return builder.finish()


def tell_duplicates(findings: Findings, on_target: Flags, on_source: Flags) -> Findings:
    """A missing row whose key the target does hold is a duplicate: the target's row was the equal of another source row.
    Likewise for extra rows.

    Only kept rows are looked up.
    """
    result = findings
    if not findings.missing.frame.is_empty():
        there = on_target(findings.missing.frame)
        result = replace(
            result,
            missing=findings.missing.without(there),
            duplicated_expected=moved(findings.duplicated_expected, findings.missing.frame.filter(there)),
        )
    if not findings.extra.frame.is_empty():
        there = on_source(findings.extra.frame)
        result = replace(
            result,
            extra=findings.extra.without(there),
            duplicated_actual=moved(findings.duplicated_actual, findings.extra.frame.filter(there)),
        )
    return result


def moved(rows: Rows, more: pl.DataFrame) -> Rows:
    """Rows that were of another kind."""
    return rows if more.is_empty() else rows.add(more, rows.frame.height + more.height)
