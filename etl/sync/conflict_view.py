"""Conflicts as they are shown: both images beside each other, with every personal value masked as the mapping marks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.load.sql import sql
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import TableMapping
from etl.masking import mask
from etl.reconcile.plan import KEY_END
from etl.settings import Settings
from etl.sync.conflicts import DELETED, KeptConflict, count_conflicts, list_conflicts, settle_conflicts, show_conflict
from etl.target.connect import connect_bulk

UNKNOWN: Final = "text"
"""Kind of every column of a table that the mapping does not know any more: nothing of it is shown."""
SETTLED_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Personal:
    """Kinds of the personal columns of a target table, and the columns of its key. `known`: the mapping fills the table.
    `legacy_keys`: parts whose legacy key is personal itself."""

    kinds: Mapping[str, str]
    key: tuple[str, ...]
    known: bool
    legacy_keys: frozenset[str] = frozenset()

    def mask(self, column: str, value: object) -> str:
        """A value as it is shown."""
        return mask(value, self.kinds.get(column) if self.known else UNKNOWN)

    def mask_key(self, key: str) -> str:
        """A row's key as it is shown, its columns separated by commas."""
        values = key.split(KEY_END)
        if not self.known or len(values) != len(self.key):
            return mask(key, UNKNOWN)
        return ", ".join(self.mask(column, value) for column, value in zip(self.key, values, strict=True))


@dataclass(frozen=True)
class ShownColumn:
    """A column of both images, masked; None where the image has no such column or no row was there. `decided`: it is one of the
    columns that the conflict is about."""

    name: str
    source: str | None
    target: str | None
    decided: bool
    differs: bool


@dataclass(frozen=True)
class ShownConflict:
    """A conflict for reading. Times are UTC. `deleted`: one side had deleted the row. `values`: both images, where asked for."""

    conflict_id: int
    direction: str
    table: str
    key: str
    columns: tuple[str, ...]
    rule: str
    winner: str
    deleted: bool
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    note: str | None
    values: tuple[ShownColumn, ...] = ()


@dataclass(frozen=True)
class ConflictList:
    """`counts`: by table, how many there are and how many nobody has settled."""

    conflicts: tuple[ShownConflict, ...]
    counts: Mapping[str, tuple[int, int]]
    every: bool

    @property
    def open(self) -> int:
        """How many nobody has settled."""
        return sum(unsettled for _, unsettled in self.counts.values())


@dataclass(frozen=True)
class Settled:
    """`count` were open and are settled now, of `asked` (None: all there were)."""

    count: int
    asked: int | None
    by_whom: str


def read_conflicts(settings: Settings, table: str | None, *, every: bool, limit: int) -> ConflictList:
    """The newest first. Raises TargetError, ConfigurationError."""
    state = settings.target.state_schema
    marks = personal_columns(settings)
    with connect_bulk(settings.target) as target:
        found = list_conflicts(target, state, table=table, every=every, limit=limit)
        counts = count_conflicts(target, state)
    return ConflictList(tuple(shown(one, marks_of(marks, one.table)) for one in found), counts, every)


def read_conflict(settings: Settings, conflict_id: int) -> ShownConflict:
    """One of them with both images. Raises UsageError when there is none of this number, TargetError, ConfigurationError."""
    marks = personal_columns(settings)
    with connect_bulk(settings.target) as target:
        found = show_conflict(target, settings.target.state_schema, conflict_id)
    return shown(found, marks_of(marks, found.table), whole=True)


def settle(settings: Settings, conflict_ids: tuple[int, ...], by_whom: str, note: str) -> Settled:
    """Note that somebody looked at these. Raises UsageError for a number that there is not, TargetError."""
    state = settings.target.state_schema
    with connect_bulk(settings.target) as target:
        for one in conflict_ids:
            show_conflict(target, state, one)
        return Settled(settle_conflicts(target, state, conflict_ids, by_whom, note), len(conflict_ids), by_whom)


def settle_all(settings: Settings, table: str | None, by_whom: str, note: str) -> Settled:
    """The same of all open ones, or those of a table; conflicts found meanwhile stay open. Raises TargetError."""
    statement = sql(
        "UPDATE {state}.sync_conflict SET settled_at = UTC_TIMESTAMP(6), settled_by = %s, note = %s "
        "WHERE settled_at IS NULL AND found_at <= %s{table} LIMIT {limit}",
        {"state": settings.target.state_schema},
        table="" if table is None else " AND table_name = %s",
        limit=str(SETTLED_AT_ONCE),
    )
    count = 0
    with connect_bulk(settings.target) as target:
        now = target.scalar("SELECT UTC_TIMESTAMP(6)")
        values = (by_whom[:64], note[:400], now, *([] if table is None else [table]))
        while some := target.execute(statement, values):
            count += some
    return Settled(count, None, by_whom)


def personal_columns(settings: Settings) -> dict[str, Personal]:
    """What is personal in each target table, by the marks of any part that fills it."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    marks: dict[str, Personal] = {}
    for table in mapping.tables:
        kinds: dict[str, str] = {}
        for part in table.parts:
            kinds.update(part.personal)
        marks[table.target] = Personal(kinds, table.parts[0].target_key, True, personal_keys(table))
    return marks


def personal_keys(table: TableMapping) -> frozenset[str]:
    """Parts of a table whose legacy key ends in a personal column."""
    return frozenset(
        part.name
        for part in table.parts
        if any(column.personal is not None and set(column.sources) & set(part.key) for column in part.columns)
    )


def marks_of(marks: Mapping[str, Personal], table: str) -> Personal:
    """Those of one table; of a table that nobody maps, everything is personal."""
    return marks.get(table, Personal({}, (), known=False))


def shown(conflict: KeptConflict, marks: Personal, *, whole: bool = False) -> ShownConflict:
    """A conflict as it is shown; `whole`: with both images."""
    names = tuple(dict.fromkeys((*conflict.source, *conflict.target))) if whole else ()
    return ShownConflict(
        conflict_id=conflict.conflict_id,
        direction=conflict.direction,
        table=conflict.table,
        key=marks.mask_key(conflict.key),
        columns=conflict.columns,
        rule=conflict.rule,
        winner=conflict.winner,
        deleted=DELETED in conflict.columns,
        found_at=conflict.found_at,
        settled_at=conflict.settled_at,
        settled_by=conflict.settled_by,
        note=conflict.note,
        values=tuple(shown_column(name, conflict, marks) for name in names),
    )


def shown_column(name: str, conflict: KeptConflict, marks: Personal) -> ShownColumn:
    """A column of both images."""
    source, target = (marks.mask(name, image[name]) if name in image else None for image in (conflict.source, conflict.target))
    differs = conflict.source.get(name) != conflict.target.get(name)
    return ShownColumn(name, source, target, name in conflict.columns, differs)
