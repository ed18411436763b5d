"""What an earlier unmerge did already, so that the same command can be given again after it was cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge_model import UnmergeRequest
from etl.dedupe.unmerge_records import IDS_PER_QUERY, read_redirects
from etl.dedupe.unmerge_write import REASON
from etl.load.crosswalk import DEDUPE
from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

BY_MEMBER: Final = """\
SELECT member_id, from_member_id, kind, reason FROM {state}.merge_event WHERE member_id IN ({wanted}) ORDER BY event_id"""
BY_RECORD: Final = """\
SELECT system, source_id, kind, reason FROM {state}.merge_event WHERE (system, source_id) IN ({wanted}) ORDER BY event_id"""
JOINED: Final = "SELECT source, source_id FROM {schema}.member_source WHERE (source, source_id) IN ({wanted}) AND linked_by = %s"


def leave_out_done(
    connection: BulkConnection, schema: str, state_schema: str, request: UnmergeRequest
) -> tuple[UnmergeRequest, tuple[str, ...]]:
    """(the request without what was taken apart before, that as people write it).

    A member that an unmerge brought back counts as done, so that the second time does not take it further apart: its records can
    be named for that.
    """
    members = done_members(connection, schema, state_schema, request.members)
    records = done_records(connection, schema, state_schema, request.records)
    left = replace(
        request,
        members=tuple(one for one in request.members if one not in members),
        records=tuple(one for one in request.records if one not in records),
    )
    return left, (*map(str, sorted(members)), *map(str, sorted(records)))


def done_members(connection: BulkConnection, schema: str, state_schema: str, members: Sequence[int]) -> set[int]:
    """Those of which the last that happened was an unmerge: it made them what they are now, or ended an id that nobody took."""
    redirects = read_redirects(connection, schema, members)
    last: dict[int, bool] = {}
    concerned = sorted({*members, *redirects.values()})
    names = {"state": state_schema}
    for member_id, from_member_id, kind, reason in in_pieces(connection, BY_MEMBER, names, "%s", [(one,) for one in concerned]):
        member, before, by_unmerge = int(member_id), from_member_id, text_of(reason) == REASON
        if text_of(kind) == "retire":
            last[int(before)] = by_unmerge
        if member not in redirects:
            last[member] = by_unmerge and (text_of(kind) == "unmerge" or int(before) != member)
    return {member for member in members if last.get(member)}


def done_records(connection: BulkConnection, schema: str, state_schema: str, records: Sequence[RecordRef]) -> set[RecordRef]:
    """Those that an unmerge made stand alone, and that still do."""
    keys = [(record.system, record.source_id) for record in records]
    last: dict[RecordRef, bool] = {}
    for system, source_id, kind, reason in in_pieces(connection, BY_RECORD, {"state": state_schema}, "(%s, %s)", keys):
        last[RecordRef(text_of(system), text_of(source_id))] = text_of(kind) == "unmerge" and text_of(reason) == REASON
    joined = in_pieces(connection, JOINED, {"schema": schema}, "(%s, %s)", keys, DEDUPE)
    return {record for record in records if last.get(record)} - {RecordRef(text_of(one), text_of(other)) for one, other in joined}


def in_pieces(
    connection: BulkConnection, statement: str, names: dict[str, str], one: str, keys: Sequence[tuple[object, ...]], *more: object
) -> list[tuple[Any, ...]]:
    """Rows for some keys at a time."""
    found: list[tuple[Any, ...]] = []
    for first in range(0, len(keys), IDS_PER_QUERY):
        some = keys[first : first + IDS_PER_QUERY]
        values = [value for key in some for value in key]
        found += connection.query(sql(statement, names, wanted=", ".join([one] * len(some))), (*values, *more))
    return found
