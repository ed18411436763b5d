"""Rows of merged members: set aside until every legacy record of a member was read, then folded into its golden record.

Only rows of members with several records wait here; beyond a limit they wait on disk, apart by their member, and a partition is
folded at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import polars as pl

from etl.dedupe.result import LINEAGE_SCHEMA, Golden
from etl.reconcile.by_key import read_expected_by_key
from etl.reconcile.expected import SYSTEM, Expectation, ExpectedBatch, ReadsArrow, read_lookups
from etl.reconcile.plan import LINK, PART, SOURCE, PartPlan, TablePlan
from etl.reconcile.registry import Registry
from etl.reconcile.spill import Spill
from etl.settings import Settings

OpenSource = Callable[[str], AbstractContextManager[ReadsArrow]]
Survive = Callable[[pl.DataFrame], Golden]
"""From rows of merged members (the table's columns, `system`, `source_id`; the key is the member they belong to) to one golden
record each (the table's columns), with its lineage."""


@dataclass(frozen=True)
class Merged:
    """What deduplication joined, and how its golden records are made."""

    registry: Registry
    survive: Survive


def read_survive(settings: Settings) -> Survive:
    """Survivorship as the settings have it. Raises ConfigurationError."""
    from etl.dedupe.golden import golden_rows as fold
    from etl.dedupe.golden_rules import read_golden_rules

    rules = read_golden_rules(settings)

    return lambda rows: fold(rows, rules)


class Aside:
    """Collects rows of merged members. A context manager: leaving it removes what went to disk."""

    def __init__(self, plan: TablePlan, survive: Survive, spill: Spill, memory_bytes: int) -> None:
        self.plan = plan
        self.survive = survive
        self.spill = spill
        self.memory_bytes = memory_bytes
        self.waiting: list[pl.DataFrame] = []
        self.size = 0.0

    def __enter__(self) -> Self:
        self.spill.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.spill.__exit__(kind, error, trace)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows of merged members, some of their records."""
        if rows.is_empty():
            return
        self.waiting.append(rows)
        self.size += rows.estimated_size()
        if self.size > self.memory_bytes:
            self.put_on_disk()

    def put_on_disk(self) -> None:
        """Everything that waits goes to disk."""
        if self.waiting:
            self.spill.write("expected", pl.concat(self.waiting))
            self.waiting, self.size = [], 0.0

    def golden(self) -> Iterator[pl.DataFrame]:
        """The golden records of all members, once every row was added."""
        if not self.spill.used:
            if self.waiting:
                yield golden_rows(self.plan, self.survive, pl.concat(self.waiting))
            return
        self.put_on_disk()
        for partition in range(self.spill.partitions):
            rows = self.spill.read("expected", partition)
            if rows is not None and not rows.is_empty():
                yield golden_rows(self.plan, self.survive, rows)


def golden_rows(plan: TablePlan, survive: Survive, aside: pl.DataFrame) -> pl.DataFrame:
    """Expected rows of merged members. No one legacy row is theirs: PART, SOURCE and LINK are NULL."""
    golden = survive(as_records(plan, aside)).rows.select(plan.schema.names())
    rows = golden if plan.born is None else plan.born.blanked(golden)
    return rows.with_columns(
        pl.lit(None, pl.UInt8).alias(PART), pl.lit(None, pl.String).alias(SOURCE), pl.lit(None, pl.String).alias(LINK)
    )


def as_records(plan: TablePlan, aside: pl.DataFrame) -> pl.DataFrame:
    """Rows of merged members in the form that survivorship takes."""
    return aside.select(*plan.schema.names(), pl.col(SYSTEM).alias("system"), pl.col(LINK).alias("source_id"))


def is_golden(row: Mapping[str, object]) -> bool:
    """Whether an expected row is a golden record."""
    return PART in row and row[PART] is None


def read_golden(
    merged: Merged, open_source: OpenSource, expectation: Expectation, members: pl.Series, batch_rows: int
) -> list[pl.DataFrame]:
    """Golden records of these members, their legacy rows read anew; nothing for those that are not merged."""
    rows = read_aside(merged, open_source, expectation, members, batch_rows)
    return [] if rows is None else [golden_rows(expectation.plan, merged.survive, rows)]


def read_lineage(
    merged: Merged, open_source: OpenSource, expectation: Expectation, members: pl.Series, batch_rows: int
) -> pl.DataFrame:
    """Where the values of these golden records come from (LINEAGE_SCHEMA), their legacy rows read anew."""
    rows = read_aside(merged, open_source, expectation, members, batch_rows)
    return pl.DataFrame(schema=LINEAGE_SCHEMA) if rows is None else merged.survive(as_records(expectation.plan, rows)).lineage


def read_aside(
    merged: Merged, open_source: OpenSource, expectation: Expectation, members: pl.Series, batch_rows: int
) -> pl.DataFrame | None:
    """All legacy rows of these members as they are now; None when none of them is merged."""
    plan, records = expectation.plan, merged.registry.records_of(members)
    aside: list[pl.DataFrame] = []
    for part in plan.parts:
        system = part.part.defines_member
        wanted = records.clear() if system is None else records.filter(pl.col("system") == system.name)
        if wanted.is_empty():
            continue
        with open_source(part.part.source.database) as source:
            beside = read_lookups(source, part, batch_rows)
            batches = read_records(source, expectation, part, beside, wanted, batch_rows)
            met = (batch.aside for batch in batches if batch.aside is not None)
            aside.extend(rows.join(wanted, left_on=LINK, right_on="source_id", how="semi") for rows in met)
    rows = [rows for rows in aside if not rows.is_empty()]
    return pl.concat(rows).unique([SYSTEM, LINK], maintain_order=True) if rows else None


def read_records(
    source: ReadsArrow,
    expectation: Expectation,
    part: PartPlan,
    beside: Mapping[str, pl.DataFrame],
    records: pl.DataFrame,
    batch_rows: int,
) -> Iterator[ExpectedBatch]:
    """Legacy rows of merged members by what the crosswalk calls them (source_id): where that is the source's key, by key, else
    all rows are read."""
    system = part.part.defines_member
    if system is None or records.is_empty():
        return
    if part.part.key == (system.key,):
        yield from read_expected_by_key(source, expectation, part, beside, records["source_id"].alias(SOURCE))
    else:
        yield from expectation.read(source, part, beside, batch_rows)
