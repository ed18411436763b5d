"""The background check's walk: legacy rows in key order beside the target's rows, then the target's keys beside all legacy keys.

The first way finds what is missing and what differs, the second what has no legacy row. Rows are compared as reconcile compares
them; no table is read whole, except that the second way holds eight bytes of each legacy key of its table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from etl.load.sql import name_list, sql
from etl.names import backtick
from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.born import read_born
from etl.reconcile.by_key import LookupNow
from etl.reconcile.expected import Expectation, ReadsArrow, read_lookups
from etl.reconcile.imported import Imported
from etl.reconcile.legacy_keys import keys_alone
from etl.reconcile.members import Corrections
from etl.reconcile.merged import read_golden
from etl.reconcile.plan import PART, REDIRECT, SOURCE, PartPlan, TablePlan, decode_keys, encode_keys
from etl.reconcile.rows import Comparison
from etl.reconcile.run import now_of
from etl.reconcile.second_look import Now
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.capture.rows import key_types
from etl.sync.capture.scan import greater_key
from etl.sync.compare_some import compare_page
from etl.sync.forward.compare_keys import Hashes, hashes_of, is_known
from etl.sync.forward.read_rows import read_some
from etl.sync.forward.sessions import Sessions
from etl.sync.model import DELETED, KEY, OURS, VERSION
from etl.sync.plan import SyncPlan, SyncTable
from etl.target.bulk import BulkConnection

CHUNK_ROWS: Final = 500
KEY_ROWS: Final = 20_000
SUSPECTS: Final = 2_000
"""Keys without a legacy row that are looked for together: where the key is a text, each time reads all legacy keys."""


@dataclass(frozen=True)
class Leg:
    """One way through a table: the legacy rows of `part`, or the target's keys where it is None."""

    table: SyncTable
    part: PartPlan | None

    @property
    def name(self) -> str:
        """As the position notes it."""
        return f"target/{self.table.name}" if self.part is None else f"source/{self.part.part.name}"


@dataclass(frozen=True)
class Chunk:
    """What was compared: `rows` rows, up to the key `after` (as `encode_keys` writes it; None: the leg is through). `found`: with
    what differs, None where nothing was to be compared."""

    rows: int
    after: str | None
    found: Comparison | None


@dataclass(frozen=True)
class Walk:
    """Both sides, as a leg sees them. `sessions` are kept between chunks: connecting takes longer than reading one. `shapes`: the
    plan of the table that is under way."""

    settings: Settings
    plan: SyncPlan
    source: Source
    sessions: Sessions
    now: Now
    shapes: dict[str, TablePlan] = field(default_factory=dict)

    def shape(self, table: SyncTable) -> TablePlan:
        """The same for all legs of a table: reading what was born takes a connection each time."""
        if table.name not in self.shapes:
            self.shapes.clear()
            self.shapes[table.name] = self.shaped(table)
        return self.shapes[table.name]

    def shaped(self, table: SyncTable) -> TablePlan:
        """The table's plan with what was born and merged by now."""
        merged = self.now.merged is not None and table.plan.defines_members
        return replace(table.plan, redirects=merged, born=read_born(self.source, table.plan))

    def chunks(self, leg: Leg, after: str | None) -> Iterator[Chunk]:
        """The leg from behind a key on. Each chunk may be the last that is taken."""
        return self.legacy_rows(leg, leg.part, after) if leg.part is not None else self.target_keys(leg, after)

    def legacy_rows(self, leg: Leg, part: PartPlan, after: str | None) -> Iterator[Chunk]:
        """Legacy rows, and what the target has for them."""
        plan, database = self.shape(leg.table), part.part.source.database
        with self.sessions.at_now(database) as snapshot:
            beside = read_lookups(snapshot.session, part, self.now.batch_rows)
        while True:
            with self.sessions.at_now(database) as snapshot:
                page = read_some(snapshot.session, part, "", after, CHUNK_ROWS)
            after = str(page[KEY][-1]) if page.height == CHUNK_ROWS else None
            expectation = self.now.expectation(plan, Corrections(LookupNow(self.now.target, self.now.schema)))
            batch = expectation.expect(part, page.drop(KEY, DELETED, OURS, VERSION), beside)
            columns = [*plan.schema.names(), PART, SOURCE]
            expected = [batch.rows.select(columns)]
            if batch.aside is not None and self.now.merged is not None:
                members = batch.aside[plan.key[0]].unique()
                golden = read_golden(self.now.merged, self.now.open_source, expectation, members, self.now.batch_rows)
                expected += [rows.select(columns) for rows in golden]
            rows = pl.concat(expected)
            actual = read_actual_by_key(self.now.target, self.now.schema, plan, rows)
            yield Chunk(page.height, after, compare_page(self.now, plan, rows, actual))
            if after is None:
                return

    def target_keys(self, leg: Leg, after: str | None) -> Iterator[Chunk]:
        """Keys of the target that no legacy key makes, looked at one by one; the position moves once they are."""
        plan = self.shape(leg.table)
        keys: list[Hashes] = []
        for hashes, rows in self.legacy_keys(plan):
            keys.append(hashes)
            yield Chunk(rows, after, None)
        imported, suspects, waiting = Imported(self.settings, plan), [], 0
        reached = after
        while True:
            page = self.key_page(leg.table, plan, reached)
            reached = str(encode_keys(page.tail(1))[0]) if page.height == KEY_ROWS else None
            missing = page
            for hashes in keys:
                missing = missing.filter(~is_known(hashes, encode_keys(missing)))
            suspects.append(missing)
            waiting += missing.height
            if waiting < SUSPECTS and reached is not None:
                yield Chunk(page.height, after, None)
                continue
            after = reached
            actual = read_actual_by_key(self.now.target, self.now.schema, plan, pl.concat(suspects))
            actual = actual.filter(~imported.flags(actual))
            nothing = pl.DataFrame(schema={**plan.schema, PART: pl.UInt8, SOURCE: pl.String})
            yield Chunk(page.height, after, compare_page(self.now, plan, nothing, actual))
            suspects, waiting = [], 0
            if after is None:
                return

    def legacy_keys(self, plan: TablePlan) -> Iterator[tuple[Hashes, int]]:
        """Hashes of the target keys that legacy rows make, page by page, with the number of rows read."""
        expectation = Expectation(plan, LookupNow(self.now.target, self.now.schema))
        for part in plan.parts:
            narrow = keys_alone(part)
            read, after = narrow or part, None
            while True:
                with self.sessions.at_now(part.part.source.database) as snapshot:
                    beside = {} if narrow is not None else read_lookups(snapshot.session, part, self.now.batch_rows)
                    page = read_some(snapshot.session, read, "", after, KEY_ROWS)
                batch = expectation.expect(read, page.drop(KEY, DELETED, OURS, VERSION), beside)
                yield hashes_of(iter([encode_keys(batch.rows.select(plan.key))])), page.height
                if page.height < KEY_ROWS:
                    break
                after = str(page[KEY][-1])

    def key_page(self, table: SyncTable, plan: TablePlan, after: str | None) -> pl.DataFrame:
        """The next keys of the target, in their order; not of rows that only redirect."""
        types = key_types(table)
        where, values = "TRUE", ()
        if after is not None:
            where, values = greater_key(plan.key, decode_keys(pl.Series([after]), types).row(0))
        living = f" AND {backtick(REDIRECT)} IS NULL" if plan.redirects else ""
        statement = sql(
            "SELECT {key} FROM {schema}.{table} WHERE {where} ORDER BY {key} LIMIT {rows}",
            {"schema": self.now.schema, "table": plan.target},
            key=name_list(plan.key),
            where=where + living,
            rows=str(KEY_ROWS),
        )
        return pl.concat([pl.DataFrame(schema=types), *self.now.target.read_frame(statement, types, values)])


@contextmanager
def open_walk(settings: Settings, plan: SyncPlan, source: Source, target: BulkConnection) -> Iterator[Walk]:
    """Both sides as they are now, on sessions that are kept until the block ends."""
    sessions = Sessions(source)

    @contextmanager
    def reading(database: str) -> Iterator[ReadsArrow]:
        with sessions.at_now(database) as snapshot:
            yield snapshot.session

    try:
        yield Walk(settings, plan, source, sessions, replace(now_of(settings, source, target), open_source=reading))
    finally:
        sessions.close()


def legs_of(plan: SyncPlan) -> tuple[Leg, ...]:
    """All ways, table by table."""
    return tuple(leg for table in plan.tables for leg in (*(Leg(table, part) for part in table.plan.parts), Leg(table, None)))
