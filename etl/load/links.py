"""Crosswalk entries, membership.member_source, committed in the transaction that loads their members."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.load.sql import name_list, places, sql
from etl.target.bulk import BulkConnection

COLUMNS: Final = ("source", "source_id", "member_id", "valid_from", "linked_by")
LINKED_BY: Final = "load"
KEYS_PER_QUERY: Final = 1_000
SAVEPOINT: Final = "before_links"


def load_links(connection: BulkConnection, schema: str, system: str, links: pl.DataFrame) -> None:
    """Add `links` (LINK_SCHEMA) of one system. A legacy id that has a member already keeps it for ever."""
    if links.is_empty():
        return
    rows = links.select(
        pl.lit(system).alias("source"), "source_id", "member_id", "valid_from", pl.lit(LINKED_BY).alias("linked_by")
    )
    connection.execute(f"SAVEPOINT {SAVEPOINT}", ())
    if load_all(connection, schema, rows):
        return
    connection.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", ())
    new = rows.filter(~pl.col("source_id").is_in(known_ids(connection, schema, system, rows["source_id"]))).unique(
        "source_id", keep="first", maintain_order=True
    )
    if not new.is_empty() and not load_all(connection, schema, new):
        insert_strictly(connection, schema, new)


def load_all(connection: BulkConnection, schema: str, rows: pl.DataFrame) -> bool:
    """LOAD DATA; True when every row went in without a warning."""
    return connection.load_rows("member_source", COLUMNS, rows, schema=schema).clean


def insert_strictly(connection: BulkConnection, schema: str, rows: pl.DataFrame) -> None:
    """Insert one by one, so that the strict mode raises what LOAD DATA only warned of: a link is never altered to fit."""
    connection.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", ())
    for row in rows.iter_rows():
        connection.execute(
            sql(
                "INSERT INTO {schema}.member_source ({columns}) VALUES ({values})",
                {"schema": schema},
                columns=name_list(COLUMNS),
                values=places(len(COLUMNS)),
            ),
            row,
        )


def known_ids(connection: BulkConnection, schema: str, system: str, ids: pl.Series) -> list[str]:
    """Which of these legacy ids are in the crosswalk."""
    found: list[str] = []
    for some in ids.to_frame("id").iter_slices(KEYS_PER_QUERY):
        values = some["id"].to_list()
        rows = connection.query(
            sql(
                "SELECT source_id FROM {schema}.member_source WHERE source = %s AND source_id IN ({ids})",
                {"schema": schema},
                ids=places(len(values)),
            ),
            (system, *values),
        )
        found += [str(row[0]) for row in rows]
    return found
