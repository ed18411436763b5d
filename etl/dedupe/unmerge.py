"""membershift dedupe unmerge: takes persons apart again, so that everything is as if they had never been joined.

Which row belongs to which record is looked up in the stage, in one pass for all members asked for. Each member is taken apart in
one transaction, with a cannot-link for every pair of records that must not be joined again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from etl.dedupe.golden_rules import read_golden_rules
from etl.dedupe.member_rows import open_member_parts, read_member_rows
from etl.dedupe.unmerge_again import leave_out_done
from etl.dedupe.unmerge_ids import allocate_groups
from etl.dedupe.unmerge_model import SplitGroup, SplitMember, UnmergeRequest, UnmergeResult
from etl.dedupe.unmerge_records import MergedMember, find_members
from etl.dedupe.unmerge_rows import MEMBER, TO, Dependent, find_dependents, find_later
from etl.dedupe.unmerge_write import Place, Split, before_after, read_members, write_split
from etl.load.lock import hold_load_lock
from etl.load.prepare import Live, open_target_side
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping as MappingModel
from etl.progress import Progress
from etl.settings import Settings
from etl.stage.read import Stage, open_stage
from etl.target.bulk import BulkConnection
from etl.target.retry import with_retries

UNDECIDED = "something happened to it after the merge"
CHANGED_SINCE = "its crosswalk entries changed meanwhile"


@dataclass(frozen=True)
class Opened:
    """The stage, the target and the mapping between them."""

    settings: Settings
    mapping: MappingModel
    stage: Stage
    live: Live
    connection: BulkConnection
    place: Place


@dataclass(frozen=True)
class Planned:
    """One member with everything that taking it apart needs."""

    told: SplitMember
    split: Split


def run_unmerge(settings: Settings, request: UnmergeRequest, progress: Progress) -> UnmergeResult:
    """Take apart what `request` names; without `execute` only say what that would do. What was taken apart before stays as it is.

    Raises UsageError for what is not merged, RefusedError when a record to come out is not in the stage or decisions forbid it.
    """
    began = time.monotonic()
    if not request.execute:
        with open_sides(settings) as opened:
            plans, already = plan_members(opened, request, progress)
        return UnmergeResult(False, tuple(planned.told for planned in plans), 0, time.monotonic() - began, already)
    with hold_load_lock(settings) as lock, open_sides(settings) as opened:
        plans, already = plan_members(opened, request, progress)
        members, decisions = [], 0
        progress.start("unmerge", len(plans), "members")
        for planned in plans:
            done, written = take_apart(opened, planned, request, progress)
            members.append(done)
            decisions += written
            progress.advance("unmerge", 1)
            lock.keep()
        progress.finish("unmerge")
    return UnmergeResult(True, tuple(members), decisions, time.monotonic() - began, already)


def plan_unmerge(settings: Settings, request: UnmergeRequest, progress: Progress) -> tuple[SplitMember, ...]:
    """What `run_unmerge` would do. Changes nothing."""
    return run_unmerge(settings, replace(request, execute=False), progress).members


@contextmanager
def open_sides(settings: Settings) -> Iterator[Opened]:
    """The stage, and the target with its columns as they are."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    with open_stage(settings) as stage, open_target_side(settings) as (connection, live, _):
        member_parts = [part for part in mapping.parts if part.defines_member is not None]
        table = member_parts[0].target
        mapped = {column.target for part in member_parts for column in part.columns} | {"member_id"}
        types = {column.name: column.polars_type() for column in live.columns[table]}
        place = Place(
            schema=settings.target.schema_name,
            state_schema=settings.target.state_schema,
            table=table,
            columns=tuple(name for name in types if name in mapped),
            types=types,
            rules=read_golden_rules(settings),
        )
        yield Opened(settings, mapping, stage, live, connection, place)


def plan_members(opened: Opened, request: UnmergeRequest, progress: Progress) -> tuple[list[Planned], tuple[str, ...]]:
    """What is to be done, and what an earlier unmerge did already."""
    left, already = leave_out_done(opened.connection, opened.place.schema, opened.place.state_schema, request)
    if already and not left.members and not left.records:
        return [], already
    return plan_left(opened, left, progress), already


def plan_left(opened: Opened, request: UnmergeRequest, progress: Progress) -> list[Planned]:
    """Cut every member into its groups, and find what belongs to each."""
    found = find_members(opened.connection, opened.place.schema, opened.place.state_schema, opened.mapping, request)
    records = pl.concat([member.records() for member in found])
    parts = open_member_parts(opened.mapping, opened.stage, opened.live)
    wanted = records.select("system", "source_id", pl.col(MEMBER).alias("member_id"))
    rows = read_member_rows(parts, opened.stage, wanted)
    rows = rows.select(
        *(pl.col(name).cast(opened.place.types[name]) for name in opened.place.columns), "system", "source_id", "valid_from"
    )
    cut = [member.cut(rows.filter(pl.col("member_id") == member.member_id), request) for member in found]
    placed = pl.concat([placed_records(member, groups) for member, groups in zip(found, cut, strict=True)])
    dependents = find_dependents(opened.mapping, opened.stage, opened.live, placed, progress)
    later = tuple(replace(one, rows=later_rows(opened, one, placed[MEMBER].unique())) for one in dependents)
    changed = before_after(opened.place, rows, read_members(opened.connection, opened.place, [one.member_id for one in found]))
    own, came = [by_member(one) for one in dependents], [by_member(one) for one in later]
    return [
        plan_member(
            member,
            groups,
            rows.filter(pl.col("member_id") == member.member_id),
            tuple(parts[member.member_id] for parts in own if member.member_id in parts),
            tuple(parts[member.member_id] for parts in came if member.member_id in parts),
            changed.get(member.member_id, ()),
            request,
        )
        for member, groups in zip(found, cut, strict=True)
    ]


def by_member(dependent: Dependent) -> dict[int, Dependent]:
    """The rows of one table apart by their member."""
    apart = dependent.rows.partition_by(MEMBER, as_dict=True, maintain_order=True)
    return {int(member): replace(dependent, rows=rows) for (member,), rows in apart.items()}


def placed_records(member: MergedMember, groups: tuple[SplitGroup, ...]) -> pl.DataFrame:
    """The records of a member with the number of their group; entries that nothing staged stands for go with none."""
    placed = [
        (record.system, record.source_id, member.member_id, at) for at, group in enumerate(groups) for record in group.records
    ]
    return pl.DataFrame(
        placed, schema={"system": pl.String, "source_id": pl.String, MEMBER: pl.Int64, TO: pl.Int64}, orient="row"
    )


def later_rows(opened: Opened, dependent: Dependent, members: pl.Series) -> pl.DataFrame:
    """Rows of these members that no staged row stands for."""
    types = {column.name: column.polars_type() for column in opened.live.columns[dependent.table]}
    return find_later(opened.connection, opened.place.schema, dependent, types, members)


def plan_member(
    member: MergedMember,
    groups: tuple[SplitGroup, ...],
    rows: pl.DataFrame,
    own: tuple[Dependent, ...],
    since: tuple[Dependent, ...],
    changed: tuple[str, ...],
    request: UnmergeRequest,
) -> Planned:
    """One member: what moves, what came later, and to whom that goes."""
    heir = heir_of(member.member_id, groups, request)
    leaving = [at for at, group in enumerate(groups) if group.member_id != member.member_id]
    moves = count_by_table((one.table, one.rows.filter(pl.col(TO).is_in(leaving)).height) for one in own)
    came = count_by_table((one.table, one.rows.height) for one in since)
    led = tuple(replace(one, rows=one.rows.with_columns(pl.lit(heir, pl.Int64).alias(TO))) for one in since)
    told = SplitMember(member.member_id, groups, moves, came, changed)
    return Planned(told, Split(member.member_id, groups, heir, rows, member.entries, own, led))


def count_by_table(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Rows by table, those without any left out."""
    total: dict[str, int] = {}
    for table, count in counts:
        if count:
            total[table] = total.get(table, 0) + count
    return total


def heir_of(member_id: int, groups: tuple[SplitGroup, ...], request: UnmergeRequest) -> int:
    """The group that takes what happened since: the one named, else the one that keeps the id, else those that stay."""
    named = request.later_to.get(member_id)
    for at, group in enumerate(groups):
        if named is not None and named in group.records:
            return at
    return next((at for at, group in enumerate(groups) if group.member_id == member_id), 0)


def take_apart(opened: Opened, planned: Planned, request: UnmergeRequest, progress: Progress) -> tuple[SplitMember, int]:
    """Write one member's change, unless something has to be decided first; how many cannot-links were written."""
    told = planned.told
    if told.undecided and not request.keep_later and told.member_id not in request.later_to:
        return replace(told, left_because=UNDECIDED), 0
    written = with_retries(partial(write, opened, planned, request), retries=opened.settings.target.retries, progress=progress)
    if written is None:
        return replace(told, left_because=CHANGED_SINCE), 0
    groups, decisions = written
    return replace(told, groups=groups, done=True), decisions


def write(opened: Opened, planned: Planned, request: UnmergeRequest) -> tuple[tuple[SplitGroup, ...], int] | None:
    """All of one member in one transaction, new ids included."""
    connection, place = opened.connection, opened.place
    with connection.transaction():
        groups = allocate_groups(connection, place.state_schema, planned.split.groups)
        decisions = write_split(connection, place, replace(planned.split, groups=groups), request.by_whom, request.note)
        return None if decisions is None else (groups, decisions)


def rows_moved(members: Iterable[SplitMember]) -> dict[str, int]:
    """Rows that change their member, by table, over all members."""
    return count_by_table(pair for member in members for pair in member.moves.items())
