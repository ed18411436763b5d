"""The least that reading and writing cost on the same servers: drivers drained and fed with nothing in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from etl.names import backtick
from etl.settings import Settings
from etl.source.address import address_of
from etl.target.address import read_address as target_address

MEMBER_SQL = "SELECT * FROM [crm].[dbo].[Member]"


def timed(action: Callable[[], int]) -> tuple[int, float]:
    """(rows, seconds) of an action that returns its rows."""
    began = time.monotonic()
    rows = action()
    return rows, time.monotonic() - began


def drain_source(settings: Settings, sql: str = MEMBER_SQL) -> int:
    """Read a result through mssql-python's Arrow reader and drop it."""
    import mssql_python

    address = address_of(settings.source)
    connection = mssql_python.connect(
        f"SERVER={address.host},{address.port};UID={address.user};PWD={{{address.password}}};Encrypt=no;", autocommit=True
    )
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return sum(batch.num_rows for batch in cursor.arrow_reader(batch_size=50_000))
    finally:
        connection.close()


def drain_target(settings: Settings, table: str) -> int:
    """Read a table through mysqlclient as raw bytes and drop it."""
    connection = connect(settings)
    from MySQLdb.cursors import SSCursor

    cursor = connection.cursor(SSCursor)
    cursor.execute(f"SELECT * FROM {backtick(settings.target.schema_name)}.{backtick(table)}")
    rows = 0
    while batch := cursor.fetchmany(10_000):
        rows += len(batch)
    connection.close()
    return rows


def drain_both(settings: Settings, tables: Sequence[str]) -> int:
    """Read the source and these tables of the target at once, as a comparison must; return the source's rows."""
    others = [threading.Thread(target=drain_target, args=(settings, table)) for table in tables]
    for other in others:
        other.start()
    rows = drain_source(settings)
    for other in others:
        other.join()
    return rows


def write_files(frames: Sequence[pl.DataFrame]) -> list[str]:
    """Each frame as a file in memory, ready for LOAD DATA. Not timed: it is what the raw figure leaves out."""
    import os

    from etl.target.payload import payload_in_memory

    paths = []
    for frame in frames:
        with payload_in_memory(frame) as path:
            descriptor = os.dup(int(path.rsplit("/", 1)[1]))
        paths.append(f"/proc/self/fd/{descriptor}")
    return paths


def load_files(settings: Settings, table: str, columns: Sequence[str], paths: Sequence[str], connections: int) -> int:
    """LOAD DATA LOCAL every file, one transaction each, over several connections; return the files."""
    from etl.target.payload import load_statement

    pending = list(reversed(paths))
    lock = threading.Lock()

    def work() -> None:
        connection = connect(settings)
        cursor = connection.cursor()
        while True:
            with lock:
                if not pending:
                    break
                path = pending.pop()
            cursor.execute(load_statement(path, table, columns, frozenset()))
            connection.commit()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(paths)


def connect(settings: Settings) -> Any:
    """A plain mysqlclient connection with raw results and the session settings that ours have."""
    import MySQLdb

    address = target_address(settings.target)
    connection = MySQLdb.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        charset="utf8mb4",
        local_infile=1,
        conv={},
        use_unicode=False,
    )
    cursor = connection.cursor()
    cursor.execute("SET time_zone = '+00:00'")
    cursor.execute("SELECT VERSION()")
    if b"TiDB" in cursor.fetchone()[0]:
        cursor.execute("SET allow_auto_random_explicit_insert = 1")
    return connection
