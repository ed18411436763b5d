"""Which members are asked for, with all their records and what became of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge_groups import Linked, name_groups, part_records
from etl.dedupe.unmerge_model import SplitGroup, UnmergeRequest
from etl.dedupe.unmerge_rows import MEMBER
from etl.dedupe.unmerge_write import since
from etl.errors import RefusedError, UsageError
from etl.load.crosswalk import DEDUPE
from etl.load.sql import places, sql
from etl.mapping.model import Mapping as MappingModel
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

IDS_PER_QUERY: Final = 500
HOME: Final = "SELECT source, source_id, member_id, linked_by FROM {schema}.member_source WHERE {where}"
ENDED: Final = "SELECT member_id, merged_into FROM {schema}.member WHERE merged_into IS NOT NULL AND {where}"
HISTORY: Final = """\
SELECT system, source_id, kind, member_id, from_member_id FROM {state}.merge_event
WHERE (system, source_id) IN ({records}) ORDER BY event_id"""


@dataclass(frozen=True)
class MergedMember:
    """A member with its crosswalk entries. `had`: the members that each record was before. `lent`: records whose id it has.
    `back`: ids that ended in it and were asked for; `ended`: all that redirect to it. `whole`: take it all apart."""

    member_id: int
    entries: tuple[tuple[str, str], ...]
    had: Mapping[RecordRef, tuple[int, ...]]
    lent: frozenset[RecordRef]
    out: frozenset[RecordRef]
    back: frozenset[int]
    ended: frozenset[int]
    whole: bool
    kept_systems: frozenset[str]

    def records(self) -> pl.DataFrame:
        """system, source_id and MEMBER of all entries."""
        rows = [(system, source_id, self.member_id) for system, source_id in self.entries]
        return pl.DataFrame(rows, schema={"system": pl.String, "source_id": pl.String, MEMBER: pl.Int64}, orient="row")

    def cut(self, rows: pl.DataFrame, request: UnmergeRequest) -> tuple[SplitGroup, ...]:
        """The groups it falls into. `rows`: the transformed rows of its records.

        Raises RefusedError when a record to come out is not in the stage, UsageError when nothing would come out.
        """
        known = {
            RecordRef(system, source_id): since(known)
            for system, source_id, known in rows.select("system", "source_id", "valid_from").iter_rows()
        }
        absent = sorted(self.out - known.keys())
        if absent:
            raise RefusedError(
                f"{absent[0]} is not in the stage, or the mapping refuses it, so nobody knows what belongs to it.",
                "Run `membershift stage` again, then this.",
            )
        linked = [self.linked(record, known) for record in sorted(known)]
        parts = part_records(linked, self.out, self.back, self.whole)
        groups = name_groups(self.member_id, parts, self.ended)
        if len(groups) < 2:
            raise UsageError(
                f"Taking that out of member {self.member_id} would leave nothing behind, or nothing of it is in the stage.",
                "Name the records that are another person, or the member to take it apart whole.",
            )
        return groups

    def linked(self, record: RecordRef, known: dict[RecordRef, datetime | None]) -> Linked:
        """What is known of one record."""
        number = int(record.source_id) if record.system in self.kept_systems and record.source_id.isdecimal() else None
        lends = record in self.lent or number == self.member_id
        return Linked(record, number, self.had.get(record, ()), known[record], lends)


def find_members(
    connection: BulkConnection, schema: str, state_schema: str, mapping: MappingModel, request: UnmergeRequest
) -> list[MergedMember]:
    """Every member that the request is about, once. Raises UsageError for what is not merged."""
    redirects = read_redirects(connection, schema, request.members)
    homes = read_homes(connection, schema, request.records)
    whole = [member for member in request.members if member not in redirects]
    members = sorted({*whole, *redirects.values(), *homes.values()})
    if not members:
        raise UsageError("Nothing was named to be taken apart.", "Name a member id, or a record as system:id.")
    entries = read_entries(connection, schema, members)
    had, lent = read_history(connection, state_schema, [entry for mine in entries.values() for entry in mine])
    ended = read_ended(connection, schema, members)
    kept = frozenset(system.name for system in mapping.systems.values() if system.ids == "keep")
    found = []
    for member in members:
        mine = entries.get(member, ())
        if len(mine) < 2:
            raise UsageError(
                f"Member {member} is not merged.", "`membershift dedupe explain` shows which records a member is made of."
            )
        found.append(
            MergedMember(
                member_id=member,
                entries=tuple(mine),
                had=had,
                lent=frozenset(lent.get(member, ())),
                out=frozenset(record for record, home in homes.items() if home == member),
                back=frozenset(old for old, survivor in redirects.items() if survivor == member),
                ended=frozenset(ended.get(member, ())),
                whole=member in whole,
                kept_systems=kept,
            )
        )
    return found


def read_redirects(connection: BulkConnection, schema: str, members: Collection[int]) -> dict[int, int]:
    """Those of these members that ended, with the member each is part of."""
    rows = in_slices(connection, ENDED, {"schema": schema}, "member_id IN ({ids})", sorted(members))
    return {int(member): int(survivor) for member, survivor in rows}


def read_ended(connection: BulkConnection, schema: str, members: Collection[int]) -> dict[int, set[int]]:
    """By member the ids that redirect to it."""
    found: dict[int, set[int]] = {}
    for member, survivor in in_slices(connection, ENDED, {"schema": schema}, "merged_into IN ({ids})", sorted(members)):
        found.setdefault(int(survivor), set()).add(int(member))
    return found


def read_homes(connection: BulkConnection, schema: str, records: Sequence[RecordRef]) -> dict[RecordRef, int]:
    """The merged member of each record. Raises UsageError for one that is in none."""
    wanted = set(records)
    found: dict[RecordRef, int] = {}
    for system in sorted({record.system for record in records}):
        ids = sorted(record.source_id for record in wanted if record.system == system)
        rows = in_slices(connection, HOME, {"schema": schema}, "source_id IN ({ids})", ids)
        for source, source_id, member_id, linked_by in rows:
            record = RecordRef(text_of(source), text_of(source_id))
            if record in wanted and text_of(linked_by) == DEDUPE:
                found[record] = int(member_id)
    for record in sorted(wanted - found.keys()):
        raise UsageError(f"{record} is not merged with anything.", "Write a record as system:id, as in the crosswalk.")
    return found


def read_entries(connection: BulkConnection, schema: str, members: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    """By member its crosswalk entries, in order."""
    found: dict[int, list[tuple[str, str]]] = {}
    for source, source_id, member_id, _ in in_slices(connection, HOME, {"schema": schema}, "member_id IN ({ids})", members):
        found.setdefault(int(member_id), []).append((text_of(source), text_of(source_id)))
    return {member: sorted(entries) for member, entries in found.items()}


def read_history(
    connection: BulkConnection, state_schema: str, entries: Sequence[tuple[str, str]]
) -> tuple[dict[RecordRef, tuple[int, ...]], dict[int, set[RecordRef]]]:
    """By record the members it was before, the first first; by member the records that it was created from."""
    had: dict[RecordRef, tuple[int, ...]] = {}
    lent: dict[int, set[RecordRef]] = {}
    for first in range(0, len(entries), IDS_PER_QUERY):
        some = entries[first : first + IDS_PER_QUERY]
        statement = sql(HISTORY, {"state": state_schema}, records=", ".join(["(%s, %s)"] * len(some)))
        rows = connection.query(statement, tuple(value for entry in some for value in entry))
        for system, source_id, kind, member_id, from_member_id in rows:
            record = RecordRef(text_of(system), text_of(source_id))
            if text_of(kind) == "create":
                lent.setdefault(int(member_id), set()).add(record)
            if from_member_id is not None:
                had[record] = (*had.get(record, ()), int(from_member_id))
    return had, lent


def in_slices(
    connection: BulkConnection, statement: str, names: dict[str, str], where: str, ids: Sequence[object]
) -> list[tuple[Any, ...]]:
    """Rows for some ids at a time."""
    found: list[tuple[Any, ...]] = []
    for first in range(0, len(ids), IDS_PER_QUERY):
        some = ids[first : first + IDS_PER_QUERY]
        found += connection.query(sql(statement, names, where=where.format(ids=places(len(some)))), tuple(some))
    return found
