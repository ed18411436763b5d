"""How far forward is in each legacy table, as sync_position has it, moved with the rows it stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from etl.errors import RefusedError
from etl.load.sql import sql
from etl.names import SourceTable
from etl.reconcile.plan import PartPlan
from etl.source.catalog import Table
from etl.sync.state import forward_name, write_position
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

LONGEST_DETAIL: Final = 400


@dataclass(frozen=True)
class Reached:
    """How far a table is: every change up to `position` is on the target.

    `shape`: what the table looked like and how its changes were told (`shape_of`), None where nobody noted it. `upto`, `after`:
    of the changes up to version `upto`, those with keys up to `after` are on the target too: a long backlog goes on there.
    """

    table: SourceTable
    position: int
    shape: str | None = None
    upto: int | None = None
    after: str | None = None

    @property
    def name(self) -> str:
        """Name in sync_position."""
        return forward_name(self.table)

    @property
    def detail(self) -> str | None:
        """The rest as JSON; a key too long to be noted only means that its span begins anew after a restart."""
        facts = {"shape": self.shape, "upto": self.upto, "after": self.after}
        written = json.dumps({name: value for name, value in facts.items() if value is not None})
        if len(written) > LONGEST_DETAIL:
            return replace(self, upto=None, after=None).detail
        return written

    def finished(self, upto: int, shape: str) -> Reached:
        """The position once a whole span is on the target."""
        return Reached(self.table, upto, shape)


def shape_of(parts: Iterable[PartPlan], legacy: Table) -> str:
    """Changes when a mapped column does, or the way in which changes are told."""
    told = "tracking" if legacy.change_tracking else "untracked"
    hashes = sorted(part.table.schema_hash for part in parts)
    return f"{told}:{hashlib.sha256('|'.join(hashes).encode()).hexdigest()[:24]}"


def read_reached(connection: BulkConnection, state_schema: str, table: SourceTable, *, lock: bool = False) -> Reached | None:
    """How far a table is; None before `sync start`."""
    statement = sql(
        "SELECT position, detail FROM {state}.sync_position WHERE name = %s{lock}",
        {"state": state_schema},
        lock=" FOR UPDATE" if lock else "",
    )
    rows = connection.query(statement, (forward_name(table),))
    if not rows:
        return None
    position, detail = rows[0]
    return reached_of(table, int(position), None if detail is None else text_of(detail))


def reached_of(table: SourceTable, position: int, detail: str | None) -> Reached:
    """A position as it is stored."""
    facts = parse_detail(detail)
    upto, after = facts.get("upto"), facts.get("after")
    return Reached(
        table,
        position,
        None if facts.get("shape") is None else str(facts["shape"]),
        int(upto) if isinstance(upto, int) else None,
        None if after is None else str(after),
    )


def parse_detail(detail: str | None) -> dict[str, object]:
    """What was noted beside a position; a note of somebody else's is no note."""
    try:
        found = json.loads(detail) if detail else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def move(connection: BulkConnection, state_schema: str, seen: Reached, to: Reached) -> bool:
    """Move a position inside the caller's transaction, first thing. False: it is there already, since an answer to COMMIT was
    lost; the rows are there with it.

    Raises RefusedError when somebody else moved it.
    """
    now = read_reached(connection, state_schema, seen.table, lock=True)
    if now is not None and now.position == to.position and now.detail == to.detail and now != seen:
        return False
    if now is None or (now.position, now.upto, now.after) != (seen.position, seen.upto, seen.after):
        raise RefusedError(
            f"The position of {seen.table} was moved by another program.",
            "See that only one sync runs (`membershift sync status`), then start it again: it goes on from the position.",
        )
    write_position(connection, state_schema, to.name, to.position, to.detail)
    return True
