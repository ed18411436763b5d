"""Rows too long for the target. The server measures them: values of megabytes do not travel for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from etl.assess.model import Finding
from etl.assess.relations import key_text
from etl.assess.sampling import Sample
from etl.names import bracket
from etl.source.catalog import Asks, Column, Table

LONGEST_ROW: Final = 6 * 1024 * 1024
"""txn-entry-size-limit of TiDB: 6 MiB for one row, by default."""

UTF8_OF_LEGACY: Final = 1.5
"""Two bytes of UTF-16 or of a Chinese code page become at most three of UTF-8."""

UNLIMITED: Final = frozenset({"xml", "text", "ntext", "image", "geography", "geometry"})


def long_columns(table: Table) -> tuple[Column, ...]:
    """Columns of unlimited length, the only ones that can make a row too long."""
    return tuple(column for column in table.columns if column.type_name in UNLIMITED or column.max_length == -1)


def long_row_statement(table: Table, sample: Sample) -> str:
    """T-SQL: how many rows may exceed the limit in UTF-8, the least key among them, and the longest in bytes here."""
    sizes = [f"ISNULL(DATALENGTH(t.{bracket(column.name)}), 0) * {growth(column)}" for column in long_columns(table)]
    length = " + ".join(sizes)
    key = f"MIN({key_text(table, 't')})" if table.key else "CAST(NULL AS nvarchar(1))"
    return (
        f"SELECT COUNT_BIG(*), {key} FROM {table.name.quoted} AS t{sample.clause} "  # noqa: S608 - quoted names only
        f"WHERE {length} > {LONGEST_ROW}"
    )


def growth(column: Column) -> float:
    """Bytes on the target for each byte here, at most."""
    return 1.0 if column.type_name in ("image", "varbinary") else UTF8_OF_LEGACY


def check_long_rows(source: Asks, table: Table, sample: Sample) -> Iterator[Finding]:
    """Ask the server, where the table could hold such rows at all."""
    if not long_columns(table) or not table.rows:
        return
    count, key = source.query(long_row_statement(table, sample))[0]
    if count:
        names = ", ".join(column.name for column in long_columns(table))
        yield Finding(
            "long_row",
            "bad",
            table.name,
            names,
            count=int(count),
            looked_at=sample.rows,
            sampled=sample.sampled,
            sample_key=None if key is None else str(key),
        )
