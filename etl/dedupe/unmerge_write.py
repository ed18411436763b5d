"""One member taken apart in one transaction: crosswalk, member rows, golden record, what belongs to each, decision, event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final

import polars as pl

from etl.dedupe.decisions import Decision, add_decisions
from etl.dedupe.golden import golden_rows
from etl.dedupe.golden_rules import GoldenRules
from etl.dedupe.result import Golden
from etl.dedupe.unmerge_model import SplitGroup
from etl.dedupe.unmerge_rows import TO, Dependent
from etl.load.crosswalk import DEDUPE
from etl.load.links import LINKED_BY
from etl.load.sql import name_list, places, sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

KEYS_PER_STATEMENT: Final = 500
NO_RUN: Final = 0
RECORD: Final = ["system", "source_id"]
ENTRIES: Final = "SELECT source, source_id FROM {schema}.member_source WHERE member_id = %s ORDER BY source, source_id FOR UPDATE"
LINK: Final = (
    "UPDATE {schema}.member_source SET member_id = %s, linked_by = %s WHERE source = %s AND source_id = %s AND member_id = %s"
)
PUT_MEMBER: Final = (
    "INSERT INTO {schema}.{table} ({columns}) VALUES ({values}) ON DUPLICATE KEY UPDATE {changes}, merged_into = NULL"
)
FORGET: Final = "DELETE FROM {state}.golden_field WHERE member_id IN ({ids})"
LINEAGE: Final = "INSERT INTO {state}.golden_field (member_id, column_name, rule, system, source_id) VALUES (%s, %s, %s, %s, %s)"
EVENT: Final = """\
INSERT INTO {state}.merge_event (run_id, kind, member_id, system, source_id, from_member_id, reason, at, by_whom)
VALUES (%s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6), %s)"""
MOVE: Final = "UPDATE {schema}.{table} SET {column} = %s WHERE {column} = %s AND ({key}) IN ({tuples})"
REASON: Final = "taken apart by a person"

Row = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """A member ready to be taken apart: every group has its id. `heir` is the place of the group that takes what came later;
    `rows` are the transformed rows of its records, `entries` all its crosswalk entries as they were seen."""

    member_id: int
    groups: tuple[SplitGroup, ...]
    heir: int
    rows: pl.DataFrame
    entries: tuple[tuple[str, str], ...]
    dependents: tuple[Dependent, ...]
    later: tuple[Dependent, ...]


@dataclass(frozen=True)
class Place:
    """Where members live, which columns the mapping fills (`columns`), and which of them add up."""

    schema: str
    state_schema: str
    table: str
    columns: tuple[str, ...]
    types: Mapping[str, pl.DataType]
    rules: GoldenRules

    @property
    def sums(self) -> frozenset[str]:
        """Columns that add up."""
        return frozenset(name for name in self.columns if self.rules.rule_for(name).rule == "sum")


def write_split(connection: BulkConnection, place: Place, split: Split, by_whom: str, note: str) -> int | None:
    """Take one member apart, inside the caller's transaction; return how many cannot-links were written.

    None when its crosswalk entries are no longer as they were seen. Raises RefusedError when decisions that stand forbid it.
    """
    found = connection.query(sql(ENTRIES, {"schema": place.schema}), (split.member_id,))
    if sorted((text_of(source), text_of(source_id)) for source, source_id in found) != sorted(split.entries):
        return None
    now = read_members(connection, place, (split.member_id,), lock=True).get(split.member_id, {})
    move_entries(connection, place, split)
    golden = put_members(connection, place, split, now)
    put_lineage(connection, place, split, golden)
    end_unclaimed(connection, place, split)
    for dependent in (*split.dependents, *split.later):
        move_rows(connection, place.schema, split, dependent)
    tell(connection, place, split, by_whom)
    return len(add_decisions(connection, place.state_schema, list(never_again(split.groups, by_whom, note))))


def fold(place: Place, rows: pl.DataFrame) -> Golden:
    """Golden records of rows whose member_id says whose they are."""
    return golden_rows(rows.select(*place.columns, *RECORD), place.rules)


def read_members(connection: BulkConnection, place: Place, members: Sequence[int], *, lock: bool = False) -> dict[int, Row]:
    """Rows of members as they are, by id."""
    types = {name: place.types[name] for name in place.columns}
    found: dict[int, Row] = {}
    for first in range(0, len(members), KEYS_PER_STATEMENT):
        some = members[first : first + KEYS_PER_STATEMENT]
        statement = sql(
            "SELECT {columns} FROM {schema}.{table} WHERE member_id IN ({ids}){lock}",
            {"schema": place.schema, "table": place.table},
            columns=name_list(place.columns), ids=places(len(some)), lock=" FOR UPDATE" if lock else "",
        )  # fmt: skip
        for frame in connection.read_frame(statement, types, tuple(some)):
            found |= {int(row["member_id"]): row for row in frame.iter_rows(named=True)}
    return found


def move_entries(connection: BulkConnection, place: Place, split: Split) -> None:
    """Crosswalk entries lead to the member their record is now; a record that stands alone is linked as load would link it."""
    for group in split.groups:
        linked_by = DEDUPE if len(group.records) > 1 else LINKED_BY
        for record in group.records:
            values = (group.member_id, linked_by, record.system, record.source_id, split.member_id)
            connection.execute(sql(LINK, {"schema": place.schema}), values)


def put_members(connection: BulkConnection, place: Place, split: Split, now: Row) -> Golden:
    """A row for each group: golden of several records, the record's own for one. What happened since goes to the heir."""
    before = fold(place, split.rows).rows.row(0, named=True)
    ids = pl.DataFrame(
        [(record.system, record.source_id, group.member_id) for group in split.groups for record in group.records],
        schema={"system": pl.String, "source_id": pl.String, "member_id": pl.Int64},
        orient="row",
    )
    golden = fold(place, split.rows.drop("member_id").join(ids, on=RECORD, maintain_order="left"))
    heir = split.groups[split.heir].member_id
    for row in golden.rows.iter_rows(named=True):
        put_member(connection, place, with_later(row, before, now, place.sums) if row["member_id"] == heir else row)
    return golden


def with_later(row: Row, before: Row, now: Row, sums: frozenset[str]) -> Row:
    """A row with what was changed on the target since the merge: sums by how much they moved, others as they are now.

    >>> with_later({"points": 5, "name": "a"}, {"points": 8, "name": "b"}, {"points": 10, "name": "b"}, frozenset({"points"}))
    {'points': 7, 'name': 'a'}
    """
    changed = dict(row)
    for name in changed_columns(before, now):
        changed[name] = row[name] + now[name] - before[name] if name in sums else now[name]
    return changed


def changed_columns(before: Row, now: Row) -> tuple[str, ...]:
    """Columns in which the member's row is no longer what its records make of it."""
    return tuple(name for name, value in now.items() if name != "member_id" and value != before[name])


def put_member(connection: BulkConnection, place: Place, row: Row) -> None:
    """Write a member's row, over the one that redirected from its id."""
    names = tuple(place.columns)
    changes = ", ".join(sql("{name} = VALUES({name})", {"name": name}) for name in names if name != "member_id")
    statement = sql(
        PUT_MEMBER,
        {"schema": place.schema, "table": place.table},
        columns=name_list(names),
        values=places(len(names)),
        changes=changes,
    )
    connection.execute(statement, tuple(row[name] for name in names))


def put_lineage(connection: BulkConnection, place: Place, split: Split, golden: Golden) -> None:
    """Where the values of golden records come from; a member of one record needs none."""
    state = {"state": place.state_schema}
    ids = tuple({split.member_id, *(group.member_id for group in split.groups)})
    connection.execute(sql(FORGET, state, ids=places(len(ids))), ids)
    several = {group.member_id for group in split.groups if len(group.records) > 1}
    for line in golden.lineage.select("member_id", "column_name", "rule", *RECORD).iter_rows():
        if line[0] in several:
            connection.execute(sql(LINEAGE, state), line)


def end_unclaimed(connection: BulkConnection, place: Place, split: Split) -> None:
    """A member whose id none of its records takes ends in the heir: ids that were given out redirect for ever."""
    heir = split.groups[split.heir].member_id
    if any(group.member_id == split.member_id for group in split.groups):
        return
    names = {"schema": place.schema, "table": place.table}
    nothing = "".join(sql(", {name} = 0", {"name": name}) for name in sorted(place.sums))
    for condition, zeroed in (("merged_into", ""), ("member_id", nothing)):
        statement = sql(
            "UPDATE {schema}.{table} SET merged_into = %s{zeroed} WHERE {condition} = %s",
            names | {"condition": condition},
            zeroed=zeroed,
        )
        connection.execute(statement, (heir, split.member_id))
    values = (NO_RUN, "retire", heir, "", "", split.member_id, REASON, "")
    connection.execute(sql(EVENT, {"state": place.state_schema}), values)


def move_rows(connection: BulkConnection, schema: str, split: Split, dependent: Dependent) -> None:
    """Rows of one table lead to the members that their records are now."""
    for (group,), rows in dependent.rows.group_by(TO, maintain_order=True):
        member_id = split.groups[int(str(group))].member_id
        if member_id == split.member_id:
            continue
        for some in rows.select(dependent.key).iter_slices(KEYS_PER_STATEMENT):
            one = f"({places(len(dependent.key))})"
            statement = sql(
                MOVE,
                {"schema": schema, "table": dependent.table, "column": dependent.column},
                key=name_list(dependent.key),
                tuples=", ".join([one] * some.height),
            )
            connection.execute(statement, (member_id, split.member_id, *(value for row in some.rows() for value in row)))


def tell(connection: BulkConnection, place: Place, split: Split, by_whom: str) -> None:
    """Events: a record that stands alone is no longer merged, others belong to another member."""
    for group in split.groups:
        kind = "merge" if len(group.records) > 1 else "unmerge"
        if kind == "merge" and group.member_id == split.member_id:
            continue
        for record in group.records:
            values = (NO_RUN, kind, group.member_id, record.system, record.source_id, split.member_id, REASON, by_whom[:64])
            connection.execute(sql(EVENT, {"state": place.state_schema}), values)


def never_again(groups: Sequence[SplitGroup], by_whom: str, note: str) -> Iterator[Decision]:
    """Cannot-links between all records of different groups: whichever of them were joined first, the others stay apart."""
    for left, right in combinations(groups, 2):
        for one in left.records:
            for other in right.records:
                yield Decision("cannot_link", min(one, other), max(one, other), by_whom or "unmerge", note=note or REASON)


def before_after(place: Place, rows: pl.DataFrame, current: Mapping[int, Row]) -> dict[int, tuple[str, ...]]:
    """For each member the columns changed on the target since the merge."""
    made = {int(row["member_id"]): row for row in fold(place, rows).rows.iter_rows(named=True)}
    return {member: changed_columns(made[member], row) for member, row in current.items() if member in made and row}


def since(value: object) -> datetime | None:
    """A time as polars gives it."""
    return value if isinstance(value, datetime) else None
