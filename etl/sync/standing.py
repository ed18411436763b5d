"""How much each side still has to give the other, and what is kept of what went wrong: read at intervals, from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from etl.errors import SourceError
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping as TableMappings
from etl.mapping.sync_rules import Mode
from etl.names import SourceTable, bracket
from etl.settings import Settings
from etl.source.connect import Source
from etl.sync.capture.requirements import FutureRows, find_future_rows
from etl.sync.capture.sweep import count_dirty_rows
from etl.sync.conflicts import count_conflicts
from etl.sync.dead_letters import count_dead_letters
from etl.sync.forward.positions import parse_detail
from etl.sync.forward.versions import name_literal
from etl.sync.model import CONTEXT
from etl.sync.state import Position, forward_name, read_positions
from etl.target.bulk import BulkConnection

MOST_COUNTED: Final = 100_000
"""Changes of a legacy table that are counted one by one: the server reads them all to count them."""

COUNT_CHANGES: Final = (
    "SELECT COUNT(*) FROM (SELECT TOP ({rows}) c.SYS_CHANGE_VERSION AS v FROM CHANGETABLE(CHANGES {name}, {position}) AS c "
    "WHERE c.SYS_CHANGE_CONTEXT IS NULL OR c.SYS_CHANGE_CONTEXT <> 0x{ours}) AS t"
)


@dataclass(frozen=True)
class TargetStanding:
    """A target table. `dirty`: rows that reverse has still to send, those of dead letters among them; None where nothing is sent
    back (mode "source"). `conflicts`: kept ones; `open_conflicts`: those nobody has settled."""

    name: str
    mode: Mode
    dirty: int | None
    conflicts: int = 0
    open_conflicts: int = 0


@dataclass(frozen=True)
class LegacyStanding:
    """A legacy table. `feeds`: target tables that its rows end in. `backlog`: changes since `position` that are not our own, at
    most MOST_COUNTED; None where counting would read the whole table, or the source was not asked. `forgotten`: the source no
    longer knows all changes since the position."""

    name: str
    feeds: tuple[str, ...]
    position: int | None
    at: datetime | None
    backlog: int | None = None
    forgotten: bool = False


@dataclass(frozen=True)
class Standing:
    """`letters`: open dead letters by direction. `source_problem`: why nothing is known of the source, "" where it answered.
    `future`: rows of the target with a time that has not come yet."""

    tables: tuple[TargetStanding, ...]
    legacy: tuple[LegacyStanding, ...]
    letters: Mapping[str, int] = field(default_factory=dict)
    source_problem: str = ""
    future: tuple[FutureRows, ...] = ()

    @property
    def open_conflicts(self) -> int:
        """Conflicts that nobody has settled."""
        return sum(table.open_conflicts for table in self.tables)

    @property
    def open_letters(self) -> int:
        """Dead letters of both directions that are open."""
        return sum(self.letters.values())

    @property
    def dirty(self) -> int:
        """Rows that reverse has still to send."""
        return sum(table.dirty or 0 for table in self.tables)

    @property
    def backlog(self) -> int:
        """Changes that forward has still to bring, as far as they can be counted."""
        return sum(table.backlog or 0 for table in self.legacy)

    def backlog_of(self, table: str) -> int | None:
        """The same of the legacy tables that feed a target table; None where it cannot be counted."""
        counts = [legacy.backlog for legacy in self.legacy if table in legacy.feeds]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


def read_standing(settings: Settings, target: BulkConnection, source: Source | None, problem: str = "") -> Standing:
    """Count what is waiting. `problem`: why there is no source to ask. One that stops answering is told likewise, not raised: all
    this is wanted most when something is away.

    Raises TargetError, ConfigurationError.
    """
    mapping = load_mapping(settings.mapping, settings.config_dir)
    state = settings.target.state_schema
    positions = read_positions(target, state)
    legacy, problem = read_legacy(mapping, positions, source, problem)
    conflicts = count_conflicts(target, state)
    tables = tuple(
        TargetStanding(
            table.target,
            table.sync.mode,
            None if table.sync.mode == "source" else count_dirty_rows(target, settings.target.schema_name, table.target),
            *conflicts.pop(table.target, (0, 0)),
        )
        for table in mapping.tables
    )
    gone = tuple(TargetStanding(name, "both", None, *counts) for name, counts in conflicts.items())
    changing = [table.target for table in mapping.tables if table.sync.mode != "source"]
    found = (find_future_rows(target, settings.target.schema_name, name) for name in changing)
    future = tuple(rows for rows in found if rows is not None)
    return Standing((*tables, *gone), legacy, count_dead_letters(target, state), problem, future)


def read_legacy(
    mapping: TableMappings, positions: Mapping[str, Position], source: Source | None, problem: str
) -> tuple[tuple[LegacyStanding, ...], str]:
    """Every legacy table of the mapping; and why the source could not be asked about them."""
    feeds: dict[SourceTable, list[str]] = {}
    for part in (part for table in mapping.tables for part in table.parts):
        into = feeds.setdefault(part.source, [])
        if part.target not in into:
            into.append(part.target)
    found = []
    heads: dict[str, int | None] = {}
    for name, targets in feeds.items():
        position = positions.get(forward_name(name))
        backlog, forgotten = None, False
        if source is not None and not problem and position is not None and is_tracked(position):
            try:
                backlog, forgotten = read_backlog(source, heads, name, position.value)
            except SourceError as error:
                problem = error.message
        value, at = (None, None) if position is None else (position.value, position.at)
        found.append(LegacyStanding(str(name), tuple(targets), value, at, backlog, forgotten))
    return tuple(found), problem


def is_tracked(position: Position) -> bool:
    """Whether it is a version of Change Tracking: changes since another one are found only by reading the table."""
    return str(parse_detail(position.detail).get("shape", "")).startswith("tracking")


def read_backlog(source: Source, heads: dict[str, int | None], table: SourceTable, position: int) -> tuple[int | None, bool]:
    """Changes of a table since a version that are not our own, and whether the source has forgotten some."""
    if table.database not in heads:
        heads[table.database] = source.scalar("SELECT CHANGE_TRACKING_CURRENT_VERSION()", database=table.database)
    head = heads[table.database]
    if head is None:
        return None, True
    if int(head) == position:
        return 0, False
    valid = source.scalar(f"SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID({name_literal(table)}))", database=table.database)
    if valid is None or int(valid) > position:
        return None, True
    return int(source.scalar(count_statement(table, position), database=table.database)), False


def count_statement(table: SourceTable, position: int) -> str:
    """T-SQL that counts changes since a version, to be asked in the table's own database.

    >>> count_statement(SourceTable("crm", "dbo", "Member"), 7)[:70]
    'SELECT COUNT(*) FROM (SELECT TOP (100000) c.SYS_CHANGE_VERSION AS v FR'
    """
    name = f"{bracket(table.schema)}.{bracket(table.name)}"
    return COUNT_CHANGES.format(rows=MOST_COUNTED, name=name, position=int(position), ours=CONTEXT.hex())


def lost_tables(legacy: Iterable[LegacyStanding]) -> tuple[str, ...]:
    """Tables whose changes the source has forgotten."""
    return tuple(table.name for table in legacy if table.forgotten)
