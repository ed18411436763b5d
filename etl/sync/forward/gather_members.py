"""What changed records of members ask of the target: each member they belong to, made anew of all its records.

A member's records are found through the crosswalk. Those beside the changed ones are read by key, in their own databases.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from etl.dedupe.golden import golden_where_sums_fit
from etl.load.crosswalk import DEDUPE
from etl.mapping.column_plan import system_key
from etl.reconcile.expected import SYSTEM
from etl.reconcile.merged import as_records as for_golden
from etl.reconcile.plan import decode_keys, encode_keys
from etl.sync.forward.crosswalk import entries_of
from etl.sync.forward.later_changes import ReadFrom, read_from
from etl.sync.forward.newcomers import new_entries
from etl.sync.forward.records import NOBODY, Records, as_records, read_elsewhere, returned_of
from etl.sync.forward.transform import LEGACY, LINK, Transformed, born_keys, transform
from etl.sync.forward.wanted import Wanted, no_lineage, no_origins
from etl.sync.forward.work import Work
from etl.sync.model import DELETED, KEY, DeadLetter

ID = ("system", "source_id")


def gather_members(work: Work, changes: pl.DataFrame) -> Wanted:
    """All members that a page of changes touches. Ids for newcomers are taken here; nothing else is written."""
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members come here"
    frame = changes.filter(~pl.col(DELETED)).drop(KEY)
    nobody = pl.Series([NOBODY] * frame.height, dtype=pl.Int64)
    made = transform(work.plan, work.part, frame, work.lookup, work.beside, own=nobody)
    own = made.rows.unique(LINK, keep="first", maintain_order=True)
    gone_legacy = changes.filter(DELETED)[KEY]
    ended = ids_of(work, gone_legacy).filter(~ids_of(work, gone_legacy).is_in(own[LINK].implode()))
    found = work.lookup(system.name, pl.concat([own[LINK].alias("id"), ended.alias("id")]))
    joined = new_entries(work, changes.filter(~pl.col(DELETED)), *strangers(work, own.filter(found.head(own.height).is_null())))
    there = found.drop_nulls()
    touched = pl.concat([there, joined["member_id"].alias("id")]).unique().to_list()
    known = entries_of(work.context.target, work.context.plan.schema, touched)
    standing = pl.concat(
        [known.filter(~((pl.col("system") == system.name) & pl.col("source_id").is_in(ended.implode()))), joined]
    ).unique(ID, keep="first", maintain_order=True)
    read = read_records(work, own, standing)
    rows, told, unfit = make_members(work, read.rows, standing)
    origins = origins_of(read, standing)
    left = set(standing["member_id"].to_list())
    merged = pl.concat([known, joined]).filter((pl.col("linked_by") == DEDUPE) | (pl.len().over("member_id") > 1))
    return Wanted(
        made=made,
        rows=rows,
        returned=returned_by_member(read, standing),
        gone=members_frame(work, [member for member in there.unique().to_list() if member not in left]),
        gone_legacy=gone_legacy,
        sources=sources_of(read, standing),
        origins=origins,
        changed=changes[KEY],
        letters=(*repeated(work, made, own), *without_sum(origins, unfit)),
        joined=joined,
        known=known,
        ended=tuple(ended.to_list()),
        told=told,
        merged=tuple(merged["member_id"].unique().to_list()),
    )


def ids_of(work: Work, encoded: pl.Series) -> pl.Series:
    """Legacy ids, as the crosswalk writes them, of rows of which only the key is known."""
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members have ids"
    keys = decode_keys(encoded, work.part.key_schema)
    return keys.select(system_key(system, keys.schema[system.key]).alias("id")).to_series()


def strangers(work: Work, new: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows whose legacy id has no member yet, and the members of those that reverse made."""
    targets = born_keys(work.session, work.part, new[LEGACY], there=work.head.born)
    born = {link: int(targets[legacy]) for link, legacy in new.select(LINK, LEGACY).iter_rows() if legacy in targets}
    return new, born


def read_records(work: Work, own: pl.DataFrame, standing: pl.DataFrame) -> Records:
    """Every record of the members at hand: those that changed, and the others, read by key."""
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members have records"
    mine = as_records(work, own)
    here = pl.DataFrame({"system": [system.name] * own.height, "source_id": own[LINK]}, schema=dict.fromkeys(ID, pl.String))
    elsewhere = list(read_elsewhere(work, standing.select(ID).join(here, on=ID, how="anti")))
    returned = dict(returned_of(work, own[LEGACY]))
    for part in elsewhere:
        returned |= part.returned
    sources = [(work, mine), *(source for part in elsewhere for source in part.sources)]
    return Records(pl.concat([mine, *(part.rows for part in elsewhere)]), returned, tuple(sources))


def sources_of(read: Records, standing: pl.DataFrame) -> tuple[ReadFrom, ...]:
    """Where the records were read, each under the KEY of its member."""
    owners = owners_of(standing)
    found = (read_from(work, rows.join(owners, on=[SYSTEM, LINK], how="inner")) for work, rows in read.sources)
    return tuple(source for source in found if source is not None)


def origins_of(read: Records, standing: pl.DataFrame) -> pl.DataFrame:
    """Which records each member has (ORIGIN_SCHEMA), those that changed first."""
    owners = owners_of(standing)
    found = [
        rows.join(owners, on=[SYSTEM, LINK], how="inner").select(
            KEY, pl.lit(work.part.part.name).alias("part"), pl.col(LEGACY).alias("legacy")
        )
        for work, rows in read.sources
    ]
    return pl.concat([no_origins(), *found])


def owners_of(standing: pl.DataFrame) -> pl.DataFrame:
    """KEY of the member that each record belongs to."""
    return standing.select(
        pl.col("system").alias(SYSTEM), pl.col("source_id").alias(LINK), pl.col("member_id").cast(pl.String).alias(KEY)
    )


def make_members(work: Work, records: pl.DataFrame, standing: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, frozenset[int]]:
    """One row for each member, of several records the golden one, and where its values come from; members that have none, since a
    sum of their records does not fit its column."""
    plan = work.plan
    (member_id,) = plan.key
    owners = standing.select(
        pl.col("system").alias(SYSTEM), pl.col("source_id").alias(LINK), pl.col("member_id").alias("__owner")
    )
    owned = records.join(owners, on=[SYSTEM, LINK], how="inner", maintain_order="left")
    owned = owned.with_columns(pl.col("__owner").cast(plan.schema[member_id]).alias(member_id)).drop("__owner")
    alone = pl.len().over(member_id) == 1
    rows, told, unfit = [owned.filter(alone).select(plan.schema.names())], no_lineage(), frozenset[int]()
    several = owned.filter(~alone)
    if not several.is_empty():
        golden, unfit = golden_where_sums_fit(work.context.survive, for_golden(plan, several))
        rows.append(golden.rows.select(plan.schema.names()))
        told = golden.lineage
    found = pl.concat(rows)
    return found.with_columns(encode_keys(found.select(plan.key)).alias(KEY)), told, unfit


def returned_by_member(read: Records, standing: pl.DataFrame) -> Mapping[str, Mapping[str, Decimal]]:
    """What reverse has added to all records of each member together, by KEY."""
    owners = {(system, link): str(member) for system, link, member in standing.select(*ID, "member_id").iter_rows()}
    totals: dict[str, dict[str, Decimal]] = {}
    for system, link, legacy in read.rows.select(SYSTEM, LINK, LEGACY).iter_rows():
        member = owners.get((system, link))
        if member is None:
            continue
        for column, total in read.returned.get((system, legacy), {}).items():
            sums = totals.setdefault(member, {})
            sums[column] = sums.get(column, Decimal(0)) + total
    return totals


def members_frame(work: Work, members: list[int]) -> pl.DataFrame:
    """KEY and the id of these members."""
    (member_id,) = work.plan.key
    frame = pl.DataFrame({member_id: pl.Series(members, dtype=work.plan.schema[member_id])})
    return frame.with_columns(encode_keys(frame).alias(KEY))


def without_sum(origins: pl.DataFrame, unfit: frozenset[int]) -> tuple[DeadLetter, ...]:
    """A letter for each member without a golden record, by the first of its records."""
    first = origins.filter(pl.col(KEY).is_in([str(member) for member in sorted(unfit)])).unique(
        KEY, keep="first", maintain_order=True
    )
    return tuple(
        DeadLetter("forward", part, legacy, "refused_by_target", "what the member's records add up to does not fit its column")
        for part, legacy in first.select("part", "legacy").iter_rows()
    )


def repeated(work: Work, made: Transformed, own: pl.DataFrame) -> tuple[DeadLetter, ...]:
    """Legacy rows whose id is written in another way by a row before them."""
    again = made.rows.join(own, on=LEGACY, how="anti")[LEGACY]
    name = work.part.part.name
    return tuple(
        DeadLetter("forward", name, key, "duplicate_key", "another legacy row has the same id, written differently")
        for key in again
    )
