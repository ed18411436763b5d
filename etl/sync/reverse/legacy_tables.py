"""Our two tables on the legacy side: which target row a legacy row is, and what reverse has added to each counter.

They are written in the transaction of the legacy row itself, so that they are right after any crash. dbo.membershift_row is the
one authority on rows born on the target: a legacy row with an entry IS the target row `target_key`, whatever its own key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from etl.names import bracket
from etl.reconcile.by_key import key_literal
from etl.source.address import address_of
from etl.source.catalog import Column
from etl.source.connect import Source
from etl.sync.plan import SyncPlan

ROWS: Final = "membershift_row"
COUNTERS: Final = "membershift_counter"
KEYS_A_QUERY: Final = 500
FEW: Final = 20
PLAIN_KEY: Final = re.compile("[!-~]+")
"""Keys that servers order as Python does, whatever they do about blanks at the end."""

RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
ROWS_A_VALUES: Final = 1000
"""SQL Server takes no more rows in one VALUES (error 10738)."""

KEY_COLUMN: Final = Column("key", "nvarchar", 400, 0, 0, nullable=False)
PART_COLUMN: Final = Column("part", "varchar", 96, 0, 0, nullable=False, collation="Latin1_General_BIN2")

# Keys are told apart by their bytes, whatever the database takes for equal. 2 * 200 + 96 bytes stay below an index key's 900.
CREATE_ROWS: Final = """\
IF OBJECT_ID(N'{name}.[dbo].[membershift_row]', N'U') IS NULL
CREATE TABLE {name}.[dbo].[membershift_row] (
    part varchar(96) COLLATE Latin1_General_BIN2 NOT NULL,
    target_key nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
    legacy_key nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
    CONSTRAINT PK_membershift_row PRIMARY KEY CLUSTERED (part, target_key),
    CONSTRAINT UQ_membershift_row UNIQUE (part, legacy_key)
)"""
CREATE_COUNTERS: Final = """\
IF OBJECT_ID(N'{name}.[dbo].[membershift_counter]', N'U') IS NULL
CREATE TABLE {name}.[dbo].[membershift_counter] (
    part varchar(96) COLLATE Latin1_General_BIN2 NOT NULL,
    legacy_key nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
    column_name varchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    total decimal(38,6) NOT NULL,
    CONSTRAINT PK_membershift_counter PRIMARY KEY CLUSTERED (part, legacy_key, column_name)
)"""
PRESENT: Final = "SELECT name FROM {name}.sys.tables WHERE name IN (N'membershift_row', N'membershift_counter')"


class Asks(Protocol):
    """Source, or a session of it."""

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...


def ensure_legacy_tables(source: Source, databases: Iterable[str], execute: bool) -> tuple[str, ...]:
    """T-SQL of our tables that are not there yet, one text each; with `execute` they are created. Raises ServerError.

    The login needs CREATE TABLE in the database and ALTER on its schema dbo for this alone.
    """
    missing: list[str] = []
    for database in databases:
        there = {str(name).lower() for (name,) in source.query(PRESENT.format(name=bracket(database)))}
        for table, create in ((ROWS, CREATE_ROWS), (COUNTERS, CREATE_COUNTERS)):
            if table not in there:
                missing.append(create.format(name=bracket(database)))
    if execute:
        for statement in missing:
            source.query(statement)
    return tuple(missing)


def missing_rights(source: Source, plan: SyncPlan) -> tuple[str, ...]:
    """GRANT statements that the login lacks to write back; empty when it may do everything reverse does."""
    user = bracket(address_of(plan.settings.source).user)
    wanted: list[str] = []
    for database in plan.databases:
        wanted += [our_table(database, ROWS), our_table(database, COUNTERS)]
        wanted += [part.part.source.quoted for table, part in plan.parts_of(database) if table.rules.mode != "source"]
    lacking = {name: rights_lacking(source, name) for name in dict.fromkeys(wanted)}
    return tuple(
        f"USE {name.partition('.')[0]}; GRANT {', '.join(rights)} ON {name} TO {user}"
        for name, rights in lacking.items()
        if rights
    )


def rights_lacking(asks: Asks, name: str) -> list[str]:
    """Rights to change rows that the login does not hold on one table (three-part name); none for a table that is not there."""
    quoted = name.replace("'", "''")
    asked = ", ".join(f"HAS_PERMS_BY_NAME(N'{quoted}', N'OBJECT', N'{right}')" for right in RIGHTS)
    held = asks.query(f"SELECT {asked}")[0]
    return [right for right, may in zip(RIGHTS, held, strict=True) if may is not None and int(may) != 1]


def entries_by_target(asks: Asks, database: str, part: str, keys: Iterable[str], *, lock: bool = False) -> dict[str, str]:
    """Legacy keys of target rows that reverse inserted, by target key. `lock`: until the transaction ends, absent ones too."""
    return dict(read_entries(asks, database, part, "target_key", keys, lock=lock))


def entries_by_legacy(asks: Asks, database: str, part: str, keys: Iterable[str]) -> dict[str, str]:
    """The reverse: target keys of legacy rows that reverse has inserted, by legacy key.

    Of many keys, which mostly lie together, everything between the least and the greatest is read: a list of all of them costs
    the server more than the answer.
    """
    wanted = set(keys)
    if len(wanted) > FEW and all(PLAIN_KEY.fullmatch(key) for key in wanted):
        most = max(len(wanted), KEYS_A_QUERY)
        sql = (
            f"SELECT TOP ({most + 1}) target_key, legacy_key",
            f"FROM {our_table(database, ROWS)}",
            f"WHERE part = {part_literal(part)}",
            f"AND legacy_key BETWEEN {text_literal(min(wanted))} AND {text_literal(max(wanted))}",
        )
        between = asks.query(" ".join(sql))
        if len(between) <= most:
            return {str(legacy): str(target) for target, legacy in between if str(legacy) in wanted}
    return {legacy: target for target, legacy in read_entries(asks, database, part, "legacy_key", wanted, lock=False)}


def read_entries(asks: Asks, database: str, part: str, by: str, keys: Iterable[str], *, lock: bool) -> Iterator[tuple[str, str]]:
    """(target_key, legacy_key) of some rows of a part."""
    hints = " WITH (UPDLOCK, HOLDLOCK, ROWLOCK)" if lock else ""
    table = our_table(database, ROWS)
    for some in portions(keys, KEYS_A_QUERY):
        listed = ", ".join(text_literal(key) for key in some)
        sql = (
            "SELECT target_key, legacy_key",
            f"FROM {table}{hints}",
            f"WHERE part = {part_literal(part)} AND {by} IN ({listed})",
        )
        yield from ((str(target), str(legacy)) for target, legacy in asks.query(" ".join(sql)))


def read_returned(
    asks: Asks, database: str, part: str, legacy_keys: Iterable[str], *, lock: bool = False
) -> dict[str, dict[str, Decimal]]:
    """What reverse has added so far to the counters of legacy rows (R): by legacy key, then by target column. Of a member of
    several records, R is the sum of theirs."""
    found: dict[str, dict[str, Decimal]] = {}
    hints = " WITH (UPDLOCK, HOLDLOCK, ROWLOCK)" if lock else ""
    for some in portions(legacy_keys, KEYS_A_QUERY):
        listed = ", ".join(text_literal(key) for key in some)
        sql = (
            "SELECT legacy_key, column_name, total",
            f"FROM {our_table(database, COUNTERS)}{hints}",
            f"WHERE part = {part_literal(part)} AND legacy_key IN ({listed})",
        )
        for key, column, total in asks.query(" ".join(sql)):
            found.setdefault(str(key), {})[str(column)] = Decimal(total)
    return found


def insert_entries(database: str, part: str, entries: Mapping[str, str]) -> str:
    """T-SQL that notes rows just inserted: legacy key by target key, at most ROWS_A_VALUES."""
    values = ", ".join(
        f"({part_literal(part)}, {text_literal(target)}, {text_literal(legacy)})" for target, legacy in entries.items()
    )
    return " ".join(("INSERT INTO", our_table(database, ROWS), "(part, target_key, legacy_key) VALUES", values))


def add_returned(database: str, part: str, column: str, gains: Sequence[tuple[str, Decimal]]) -> list[str]:
    """T-SQL that adds to what one counter of some legacy rows was given: those that have a number, then those that have none."""
    table, named = our_table(database, COUNTERS), part_literal(part)
    listed = ", ".join(f"({text_literal(key)}, CONVERT(decimal(38,6), '{gain:f}'))" for key, gain in gains)
    values, which = f"(VALUES {listed}) AS v (k, gain)", f"part = {named} AND column_name = '{column}'"
    there = " ".join(("SELECT 1 FROM", table, "AS o WHERE", which, "AND o.legacy_key = v.k"))
    return [
        " ".join(("UPDATE c SET total = c.total + v.gain FROM", table, f"AS c JOIN {values} ON c.legacy_key = v.k WHERE", which)),
        " ".join(
            (
                f"INSERT INTO {table} (part, legacy_key, column_name, total)",
                f"SELECT {named}, v.k, '{column}', v.gain",
                f"FROM {values} WHERE NOT EXISTS ({there})",
            )
        ),
    ]


def forget_rows(database: str, part: str, legacy_keys: Iterable[str]) -> list[str]:
    """T-SQL that forgets what we know of legacy rows that are deleted."""
    listed = ", ".join(text_literal(key) for key in legacy_keys)
    which = f"WHERE part = {part_literal(part)} AND legacy_key IN ({listed})"
    return [" ".join(("DELETE FROM", our_table(database, table), which)) for table in (ROWS, COUNTERS)]


def our_table(database: str, name: str) -> str:
    """Three-part name of one of our tables."""
    return f"{bracket(database)}.[dbo].{bracket(name)}"


def text_literal(key: str) -> str:
    """A key as an nvarchar literal."""
    return key_literal(KEY_COLUMN, key)


def part_literal(part: str) -> str:
    """A part's name as a varchar literal."""
    return key_literal(PART_COLUMN, part)


def portions(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """Distinct keys in order, `size` at a time: locks are taken in one order by everybody."""
    wanted = sorted(set(keys))
    for first in range(0, len(wanted), size):
        yield wanted[first : first + size]
