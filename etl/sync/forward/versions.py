"""Where the source's stream of changes stands, and whether what was noted of it still holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from etl.errors import ConfigurationError, RefusedError
from etl.names import SourceTable, bracket
from etl.reconcile.plan import PartPlan
from etl.source.catalog import Column, Table
from etl.source.session import Session
from etl.sync.forward.positions import Reached

Way = Literal["tracking", "rowversion", "time"]
"""How changes of a table are told: by Change Tracking, by its rowversion, or by a last-changed column."""

CLOCK: Final = "legacy_updated_at"
TIMES: Final = frozenset({"datetime", "datetime2", "smalldatetime", "datetimeoffset"})


@dataclass(frozen=True)
class Head:
    """Versions of one legacy database at the beginning of a round: no change committed later is below them. `born`, `counted`:
    whether dbo.membershift_row and dbo.membershift_counter are there."""

    tracking: int | None
    row_version: int | None
    born: bool
    counted: bool


def read_head(session: Session) -> Head:
    """Read it before any row, so that the snapshot is not older than the versions.

    MIN_ACTIVE_ROWVERSION touches no table: the snapshot begins with the statement after it, and sees everything below it.
    """
    ((row_version,),) = session.query("SELECT CONVERT(bigint, MIN_ACTIVE_ROWVERSION())")
    ((tracking, born, counted),) = session.query(
        "SELECT CHANGE_TRACKING_CURRENT_VERSION(), OBJECT_ID(N'[dbo].[membershift_row]', N'U'), "
        "OBJECT_ID(N'[dbo].[membershift_counter]', N'U')"
    )
    return head_of(tracking, row_version, born, counted)


def read_head_at_once(session: Session) -> Head:
    """The same in one question, for a session without a transaction: only to be held against another one."""
    ((tracking, row_version, born, counted),) = session.query(
        "SELECT CHANGE_TRACKING_CURRENT_VERSION(), CONVERT(bigint, MIN_ACTIVE_ROWVERSION()), "
        "OBJECT_ID(N'[dbo].[membershift_row]', N'U'), OBJECT_ID(N'[dbo].[membershift_counter]', N'U')"
    )
    return head_of(tracking, row_version, born, counted)


def head_of(tracking: int | None, row_version: int | None, born: object, counted: object) -> Head:
    """As the server tells it."""
    return Head(
        None if tracking is None else int(tracking),
        None if row_version is None else int(row_version),
        born is not None,
        counted is not None,
    )


def way_of(legacy: Table, part: PartPlan, last_changed: Mapping[SourceTable, str]) -> Way:
    """How changes of a part's table are told. Raises ConfigurationError when nothing tells them."""
    system = part.part.defines_member
    if system is not None and part.part.key != (system.key,):
        raise ConfigurationError(
            f"{part.part.name}: its key is not {system.key}, by which members of {system.name} are known.",
            f"Make the part's key {system.key}: a changed member's other records are read by it.",
        )
    if legacy.change_tracking:
        if set(part.part.key) != set(legacy.key):
            raise ConfigurationError(
                f"{part.part.name}: its key is not the primary key of {legacy.name}, by which Change Tracking names rows.",
                f"Make the part's key {', '.join(legacy.key)}.",
            )
        return "tracking"
    if counter_of(legacy) is not None:
        return "rowversion"
    if clock_of(legacy, part, last_changed) is not None:
        return "time"
    raise ConfigurationError(
        f"Nothing tells which rows of {legacy.name} change: it has no Change Tracking, no rowversion and no last-changed column.",
        f"Switch Change Tracking on (ALTER TABLE {legacy.name.quoted} ENABLE CHANGE_TRACKING), or take its part "
        f"{part.part.name} out of the mapping.",
    )


def counter_of(legacy: Table) -> Column | None:
    """The rowversion column."""
    return next((column for column in legacy.columns if column.is_rowversion), None)


def clock_of(legacy: Table, part: PartPlan, last_changed: Mapping[SourceTable, str]) -> Column | None:
    """The column that says when a row changed: the settings', else what the mapping takes `legacy_updated_at` from."""
    mapped = next((column.sources for column in part.part.columns if column.target == CLOCK and column.sources), ())
    name = last_changed.get(legacy.name, mapped[0] if mapped else "")
    column = legacy.by_name.get(name)
    return column if column is not None and column.type_name in TIMES else None


def check_shape(reached: Reached, shape: str) -> None:
    """Raises RefusedError when the table is no longer what it was when its position was noted."""
    if reached.shape is not None and reached.shape != shape:
        raise changed(reached.table)


def changed(table: SourceTable) -> RefusedError:
    """What to say of a table that is no longer what it was."""
    return RefusedError(
        f"{table} is no longer as it was: a mapped column, its key or its Change Tracking changed.",
        f"See that the mapping still says what is meant, then: membershift sync resync {table}",
    )


def check_forward(reached: Reached, version: int | None) -> int:
    """The version now. Raises RefusedError when it went backwards, or is gone."""
    if version is None:
        raise RefusedError(
            f"Change Tracking is off in the database of {reached.table}.",
            f"Switch it on, then: membershift sync resync {reached.table}",
        )
    if version < reached.position or (reached.upto is not None and version < reached.upto):
        raise RefusedError(
            f"The source of {reached.table} went back: it is at version {version}, sync had seen {reached.position}. "
            "It was restored, or another server took over.",
            f"Find out which changes the source lost; then, for each of its tables: membershift sync resync {reached.table}",
        )
    return version


def check_retention(session: Session, reached: Sequence[Reached]) -> None:
    """Raises RefusedError for a table whose changes since its position the server has forgotten."""
    if not reached:
        return
    asked = ", ".join(f"CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID({name_literal(one.table)}))" for one in reached)
    (oldest,) = session.query(f"SELECT {asked}")
    for one, valid in zip(reached, oldest, strict=True):
        if valid is None:
            raise RefusedError(
                f"Change Tracking of {one.table} is off, or the login may not see it.",
                f"Switch it on or GRANT VIEW CHANGE TRACKING on it, then: membershift sync resync {one.table}",
            )
        if int(valid) > one.position:
            raise RefusedError(
                f"The source has forgotten changes of {one.table}: it begins at version {int(valid)}, sync is at {one.position}.",
                f"Compare it: membershift sync resync {one.table}. To keep changes longer: ALTER DATABASE ... SET "
                "CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS).",
            )


def name_literal(table: SourceTable) -> str:
    """A table's two-part name as a literal, for OBJECT_ID in its own database."""
    return "N'" + f"{bracket(table.schema)}.{bracket(table.name)}".replace("'", "''") + "'"
