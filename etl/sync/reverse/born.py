"""Records that a member has to have on the legacy side: of those born on the target, and of those whose rows refer to a system in
which they have none.

The legacy row comes first, with our own note of whose it is; the crosswalk follows, and may follow again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.plan import encode_keys
from etl.sync.capture.rows import MOMENT
from etl.sync.model import KEY
from etl.sync.plan import SyncPlan, SyncTable
from etl.sync.reverse.checked import see
from etl.sync.reverse.coarse import nudged
from etl.sync.reverse.compose import UPDATED_AT, Batch, Composition, compose
from etl.sync.reverse.decide import Decision, columns_of
from etl.sync.reverse.images import Images, Tools
from etl.sync.reverse.inverse import PartInverse, invert_part
from etl.sync.reverse.legacy_tables import entries_by_target
from etl.sync.reverse.locate import home_of, new_id
from etl.sync.reverse.model import CLOCK, LINKED_BY, ReverseContext
from etl.sync.reverse.places import new_place
from etl.sync.reverse.proof import Reason
from etl.sync.reverse.records import Records
from etl.sync.reverse.write_back import transaction, write_batch
from etl.target.bulk import BulkConnection

Link = tuple[str, str, int, datetime]
"""(system, legacy id, member, since when)."""

LINK: Final = (
    "INSERT INTO {schema}.member_source (source, source_id, member_id, valid_from, linked_by, updated_at, synced_at) "
    "VALUES {rows} ON DUPLICATE KEY UPDATE member_id = member_id"
)


def link_records(connection: BulkConnection, schema: str, links: Sequence[Link]) -> None:
    """Enter records in the crosswalk; those that are there stay as they are."""
    if not links:
        return
    rows = ", ".join([f"({places(5)}, NOW(6), NOW(6))"] * len(links))
    values = [value for system, one, member, since in links for value in (system, one, member, since, LINKED_BY)]
    with connection.transaction():
        connection.execute(sql(LINK, {"schema": schema}, rows=rows), values)


def member_table(plan: SyncPlan) -> SyncTable | None:
    """The table of members; None where the mapping has none."""
    return next((table for table in plan.tables if table.plan.defines_members), None)


def ensure_records(
    context: ReverseContext, records: Records, wanted: Mapping[str, set[int]], lookups: Mapping[str, Mapping[str, pl.DataFrame]]
) -> dict[int, Reason]:
    """Give members a record in the systems where they have none: `wanted` names members by system. Counters of such a record
    begin at nothing: what the member gained follows with the member's own row. Returns members that cannot get one, and why.

    Raises ServerError.
    """
    table = member_table(context.plan)
    failed: dict[int, Reason] = {}
    for system, members in wanted.items():
        lacking = sorted(member for member in members if records.best(member, system) is None)
        if not lacking:
            continue
        inverse = inverse_of(context, table, system)
        if table is None or inverse is None:
            failed.update(dict.fromkeys(lacking, Reason("unknown_system", f"no part of the mapping makes members of {system}")))
            continue
        failed.update(make_records(context, table, inverse, records, lacking, lookups))
    return failed


def inverse_of(context: ReverseContext, table: SyncTable | None, system: str) -> PartInverse | None:
    """The part that defines a system's members."""
    for part in () if table is None else table.plan.parts:
        defined = part.part.defines_member
        if defined is not None and defined.name == system:
            return invert_part(part, context.plan.mapping.time_zone)
    return None


def make_records(
    context: ReverseContext,
    table: SyncTable,
    inverse: PartInverse,
    records: Records,
    members: Sequence[int],
    lookups: Mapping[str, Mapping[str, pl.DataFrame]],
) -> dict[int, Reason]:
    """Insert a record for each of these members, in one transaction, and link it."""
    plan = table.plan
    (member_id,) = plan.key
    rows = read_members(context, table, members)
    missing = {member: Reason("unknown_member", "the row refers to a member that is not there") for member in members}
    if rows.is_empty():
        return missing
    system, part = inverse.part.part.defines_member, inverse.part.part
    assert system is not None, "only parts that define members make records"
    failed = {member: why for member, why in missing.items() if member not in rows[member_id]}
    with transaction(context.source, context.lock_wait_ms) as session:
        noted = entries_by_target(session, part.source.database, part.name, rows[KEY], lock=True)
        # No newer than what the member has from its other records: a copy must not outdo a change of theirs still to come.
        fresh = rows.filter(~pl.col(KEY).is_in(list(noted)))
        if CLOCK in fresh.columns:
            fresh = fresh.with_columns(pl.min_horizontal(CLOCK, UPDATED_AT).alias(UPDATED_AT))
        tools = Tools(records.lookup, lookups, context.survive)
        batch = Batch(table, without_moving(context, table, inverse, records, fresh, tools), fresh[member_id], {}, tools)
        made, decisions = compose_records(batch, inverse)
        result = write_batch(session, context, batch, made, decisions)
    for at, why in made.dead.items():
        failed[int(fresh[member_id][at])] = Reason(f"no_record_{system.name}"[:40], f"{why.code}: {why.detail}")
    found = {key: noted[key] for key in rows[KEY] if key in noted}
    found |= {fresh[KEY][at]: one for (_, at), one in result.inserted.items()}
    since = dict(zip(rows[KEY], rows[system.since], strict=True))
    links = [(system.name, one, int(key), since[key]) for key, one in found.items()]
    link_records(context.target, context.plan.schema, links)
    for name, one, member, _ in links:
        records.add(member, name, one)
    return failed


def compose_records(batch: Batch, inverse: PartInverse) -> tuple[Composition, dict[int, Decision]]:
    """A new record of one part for every row of a batch of members."""
    facts = columns_of(batch.table, [inverse])
    sent = [name for name in facts.carried if name not in batch.table.rules.counters]
    every = range(batch.rows.height)
    decisions = {at: Decision({name: batch.rows[name][at] for name in sent}, new=True) for at in every}
    ids = [new_id(inverse, int(member)) for member in batch.rows[batch.table.plan.key[0]]]
    place = new_place(inverse, every, ids)
    return compose(batch, [place], Images({}, pl.DataFrame(), ()), decisions, dict.fromkeys(every, facts)), decisions


def without_moving(
    context: ReverseContext, table: SyncTable, inverse: PartInverse, records: Records, rows: pl.DataFrame, tools: Tools
) -> pl.DataFrame:
    """Rows with times that their new records may hold without moving the members' own: see coarse.py."""
    (member_id,) = table.plan.key
    home = name_of(home_of([invert_part(part, context.plan.mapping.time_zone) for part in table.plan.parts]))
    others = [sorted({home, *records.of(int(member))} - {name_of(inverse)}) for member in rows[member_id]]
    steps = columns_of(table, [inverse]).tolerance.items()
    coarse = {name: step for name, step in steps if step > 1 and name != CLOCK and table.plan.schema[name] == MOMENT}

    def image(tried: pl.DataFrame) -> pl.DataFrame:
        made, _ = compose_records(Batch(table, tried, tried[member_id], {}, tools), inverse)
        beside = tools.beside.get(inverse.part.part.name, {})
        return see(table.plan, inverse, made.written[0].frame, tried[member_id], tools.lookup, beside).rows

    return nudged(table.plan, context.survive, rows, others, coarse, image)


def name_of(inverse: PartInverse) -> str:
    """The system whose members a part makes."""
    system = inverse.part.part.defines_member
    assert system is not None, "only parts that define members make records"
    return system.name


def read_members(context: ReverseContext, table: SyncTable, members: Iterable[int]) -> pl.DataFrame:
    """Rows of members as they are, with KEY and updated_at."""
    (member_id,) = table.plan.key
    keys = pl.DataFrame({member_id: pl.Series(list(members), dtype=table.plan.schema[member_id])})
    rows = read_actual_by_key(context.target, context.plan.schema, table.plan, keys)
    now = context.target.scalar("SELECT UTC_TIMESTAMP(6)")
    return rows.with_columns(
        encode_keys(rows.select(member_id)).alias(KEY), pl.lit(now).cast(pl.Datetime("us")).alias("updated_at")
    )
