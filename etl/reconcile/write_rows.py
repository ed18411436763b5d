"""Write single rows of the target, each only if it is still as it was seen: locked, compared as typed columns, then written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.crosswalk import DEDUPE
from etl.names import backtick
from etl.reconcile.actual import read_actual_by_key
from etl.reconcile.describe import same
from etl.reconcile.lineage import Lineage
from etl.reconcile.match import equal_pairs
from etl.reconcile.members import WrongLink
from etl.reconcile.plan import TablePlan
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

ROWS_PER_TRANSACTION: Final = 200
"""Few enough that rows are locked for a moment only."""

DUPLICATE_KEY: Final = 1062
LINKED_BY: Final = "repair"

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True)
class Written:
    """What became of rows: written, no longer as they had been seen, or in the way of another row's unique value."""

    rows: int = 0
    changed_since: int = 0
    blocked: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.rows + other.rows, self.changed_since + other.changed_since, self.blocked + other.blocked)


@dataclass(frozen=True)
class RowWriter:
    """Writes rows of one table, golden records with their `lineage`. Each call is one transaction, and may be done again as a
    whole."""

    target: BulkConnection
    schema: str
    plan: TablePlan
    lineage: Lineage | None = None

    def update(self, wanted: pl.DataFrame, seen: pl.DataFrame) -> Written:
        """Make rows as row i of `wanted` says, where they are still as row i of `seen` says."""

        def write() -> Written:
            now = self.locked(seen)
            done, unchanged = self.places(wanted, now), self.places(seen, now)
            rows = {row["row"]: row for row in seen.with_row_index("row").iter_rows(named=True)}
            statements = [update_row(self.schema, self.plan, wanted.row(place, named=True), rows[place]) for place in unchanged]
            written = self.run(statements)
            self.renew_lineage(wanted[sorted((*done, *unchanged))])
            return written + Written(len(done), wanted.height - len(done) - len(unchanged))

        return self.in_transaction(write)

    def insert(self, wanted: pl.DataFrame) -> Written:
        """Add rows whose keys nobody has taken meanwhile."""

        def write() -> Written:
            now = self.locked(wanted)
            done = len(self.places(wanted, now))
            free = wanted.join(now, on=list(self.plan.key), how="anti")
            written = self.run([insert_row(self.schema, self.plan, row) for row in free.iter_rows(named=True)])
            self.renew_lineage(free)
            return written + Written(done, wanted.height - done - free.height)

        return self.in_transaction(write)

    def delete(self, seen: pl.DataFrame) -> Written:
        """Delete rows that are still as they were seen."""

        def write() -> Written:
            now = self.locked(seen)
            unchanged = self.places(seen, now)
            gone = seen.height - now.height
            written = self.run([delete_row(self.schema, self.plan, seen.row(place, named=True)) for place in unchanged])
            return written + Written(gone, now.height - len(unchanged))

        return self.in_transaction(write)

    def link(self, link: WrongLink) -> Written:
        """Lead a crosswalk entry to the right member, if it still leads where it was seen to."""
        return self.in_transaction(lambda: self.run([link_row(self.schema, link)]))

    def unlink(self, system: str, source_id: str, member_id: int) -> Written:
        """Delete a crosswalk entry that still leads where it was seen to."""
        where = "WHERE source = %s AND source_id = %s AND member_id = %s"
        statement = " ".join(("DELETE FROM", crosswalk_of(self.schema), where))
        return self.in_transaction(lambda: self.run([(statement, (system, source_id, member_id))]))

    def renew_lineage(self, rows: pl.DataFrame) -> None:
        """What is told of the golden records among rows that are as wanted now."""
        if self.lineage is not None:
            self.lineage.renew(self.target, rows[self.plan.key[0]].to_list())

    def locked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The target's rows with these keys, locked until the end of the transaction."""
        return read_actual_by_key(self.target, self.schema, self.plan, rows, lock=True)

    def places(self, rows: pl.DataFrame, now: pl.DataFrame) -> list[int]:
        """Numbers of the rows that the target holds as they are."""
        return equal_pairs(rows, now, self.plan.key, self.plan.compared, in_step=False)["e"].to_list()

    def run(self, statements: Sequence[Statement]) -> Written:
        """Run statements of one row each; one that another row's unique value forbids is counted and left out."""
        written = Written()
        for sql, values in statements:
            try:
                changed = self.target.execute(sql, values)
                written += Written(changed, 1 - min(1, changed))
            except ServerError as error:
                if error.number != DUPLICATE_KEY:
                    raise
                written += Written(blocked=1)
        return written

    def in_transaction(self, write: Callable[[], Written]) -> Written:
        """All or nothing."""
        with self.target.transaction():
            return write()


def update_row(schema: str, plan: TablePlan, wanted: dict[str, object], seen: dict[str, object]) -> Statement:
    """UPDATE of the columns that differ."""
    names = [name for name in plan.compared if not same(wanted[name], seen[name])]
    changes = ", ".join(f"{backtick(name)} = %s" for name in names)
    values = tuple(wanted[name] for name in names) + tuple(wanted[name] for name in plan.key)
    return " ".join(("UPDATE", table_of(schema, plan), "SET", changes, "WHERE", key_of(plan))), values


def insert_row(schema: str, plan: TablePlan, wanted: dict[str, object]) -> Statement:
    """INSERT of all compared columns; the others take their defaults."""
    names = [column.name for column in plan.columns]
    columns, places = ", ".join(backtick(name) for name in names), ", ".join(["%s"] * len(names))
    statement = " ".join(("INSERT INTO", table_of(schema, plan), f"({columns}) VALUES ({places})"))
    return statement, tuple(wanted[name] for name in names)


def delete_row(schema: str, plan: TablePlan, seen: dict[str, object]) -> Statement:
    """DELETE by key."""
    return " ".join(("DELETE FROM", table_of(schema, plan), "WHERE", key_of(plan))), tuple(seen[name] for name in plan.key)


def link_row(schema: str, link: WrongLink) -> Statement:
    """The crosswalk entry put right, or put in."""
    table, linked_by = crosswalk_of(schema), DEDUPE if link.merged else LINKED_BY
    if link.found is not None:
        change = "SET member_id = %s, linked_by = %s WHERE source = %s AND source_id = %s AND member_id = %s"
        return " ".join(("UPDATE", table, change)), (link.right, linked_by, link.system, link.source_id, link.found)
    into = "(source, source_id, member_id, valid_from, linked_by) SELECT %s, %s, member_id, registered_at, %s FROM"
    member = f"{backtick(schema)}.member WHERE member_id = %s"
    return " ".join(("INSERT INTO", table, into, member)), (link.system, link.source_id, linked_by, link.right)


def crosswalk_of(schema: str) -> str:
    """Quoted name of the crosswalk."""
    return f"{backtick(schema)}.member_source"


def table_of(schema: str, plan: TablePlan) -> str:
    """Quoted name of the table."""
    return f"{backtick(schema)}.{backtick(plan.target)}"


def key_of(plan: TablePlan) -> str:
    """Condition that selects one row."""
    return " AND ".join(f"{backtick(name)} = %s" for name in plan.key)
