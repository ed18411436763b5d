"""The legacy records of members, wherever they lie, and what reverse has added to each: all that a member is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import polars as pl

from etl.reconcile.by_key import KEYS_PER_QUERY, key_condition
from etl.reconcile.expected import SYSTEM, read_lookups
from etl.reconcile.plan import PartPlan, decode_keys
from etl.source.extract import canonical_schema, select_statement
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.read_changes import read_all
from etl.sync.forward.transform import LEGACY, LINK, transform
from etl.sync.forward.versions import read_head
from etl.sync.forward.work import Work
from etl.sync.plan import SyncTable
from etl.sync.reverse.legacy_tables import read_returned

LOOKUP_ROWS: Final = 50_000
NOBODY: Final = -1
"""Stands for a member id that is not known yet."""

Returned = Mapping[str, Mapping[str, Decimal]]
"""What reverse has added to counters (R), by legacy key and column."""


@dataclass(frozen=True)
class Records:
    """Rows of legacy records: the table's columns, LEGACY, LINK and SYSTEM; `member_id` is not settled yet. `returned`: by
    (system, legacy key). `sources`: with what each part's rows were read."""

    rows: pl.DataFrame
    returned: Mapping[tuple[str, str], Mapping[str, Decimal]]
    sources: tuple[tuple[Work, pl.DataFrame], ...] = ()


def read_elsewhere(work: Work, wanted: pl.DataFrame) -> Iterator[Records]:
    """Records (`system`, `source_id`) of a table of members, read by key where they lie, each database at one instant."""
    for part in work.plan.parts:
        system = part.part.defines_member
        if system is None:
            continue
        ids = wanted.filter(pl.col("system") == system.name)["source_id"]
        if ids.is_empty():
            continue
        with work_on(work.context, work, work.table, part) as there:
            yield read_by_id(there, ids)


@contextmanager
def work_on(context: ForwardContext, work: Work, table: SyncTable, part: PartPlan) -> Iterator[Work]:
    """What another part's rows are read with: this session where it is of the same database."""
    database = part.part.source.database
    if database == work.part.part.source.database:
        beside = work.beside if part is work.part else read_lookups(work.session, part, LOOKUP_ROWS)
        yield Work(context, work.session, work.head, table, part, beside)
        return
    with context.sessions.at_now(database) as snapshot:
        head = read_head(snapshot.session)
        yield Work(context, snapshot.session, head, table, part, read_lookups(snapshot.session, part, LOOKUP_ROWS))


def read_by_id(work: Work, ids: pl.Series) -> Records:
    """Records of one part by their legacy ids, which are its keys; those that are gone, or refused, are left out."""
    frame = read_rows_by_key(work, ids)
    made = transform(
        work.plan, work.part, frame, work.lookup, work.beside, own=pl.Series([NOBODY] * frame.height, dtype=pl.Int64)
    )
    rows = as_records(work, made.rows).filter(pl.col(LINK).is_in(ids.implode()))
    return Records(rows, returned_of(work, rows[LEGACY]), ((work, rows),))


def read_rows_by_key(work: Work, encoded: pl.Series) -> pl.DataFrame:
    """Legacy rows by key, as they are at the session's instant."""
    schema = canonical_schema(work.part.table)
    table, keys = work.part.table, decode_keys(encoded.unique().sort(), work.part.key_schema).drop_nulls()
    conditions = [key_condition(table, some) for some in keys.iter_slices(KEYS_PER_QUERY)]
    frames = [read_all(work.session, select_statement(table, condition), schema) for condition in conditions]
    return pl.concat([pl.DataFrame(schema=pl.Schema(schema)), *frames])


def as_records(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Transformed rows of members as records."""
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members have records"
    return rows.select(*work.plan.schema.names(), LEGACY, LINK, pl.lit(system.name).alias(SYSTEM))


def returned_of(work: Work, legacy_keys: pl.Series) -> dict[tuple[str, str], Mapping[str, Decimal]]:
    """What reverse has added to the counters of these rows, by (part's system or name, legacy key)."""
    if not work.table.rules.counters or not work.head.counted or legacy_keys.is_empty():
        return {}
    system = work.part.part.defines_member
    name = work.part.part.name if system is None else system.name
    database = work.part.part.source.database
    found = read_returned(work.session, database, work.part.part.name, legacy_keys.to_list())
    return {(name, key): columns for key, columns in found.items()}
