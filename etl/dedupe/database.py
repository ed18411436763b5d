"""A private DuckDB for one run: bounded in threads and memory, spilling to the run's own folder, the same answer every time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from etl.dedupe.model import Limits
from etl.errors import ConfigurationError, RefusedError
from etl.personal_files import make_private_folder


@contextmanager
def open_database(limits: Limits, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty in-memory database; what does not fit spills to a folder that is gone afterwards.

    Raises ConfigurationError when the memory limit cannot be read, and RefusedError when memory and disk are not enough.
    """
    parent = make_private_folder(limits.temp or folder)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".spill-") as spill:
        try:
            connection = duckdb.connect(
                config={
                    "threads": limits.threads,
                    "memory_limit": limits.memory,
                    "temp_directory": spill,
                    "autoinstall_known_extensions": False,
                }
            )
        except (duckdb.InvalidInputException, duckdb.ParserException) as error:
            raise ConfigurationError(
                f"memory_limit = {limits.memory!r} cannot be used.", 'Write it as DuckDB does, such as "2GB".'
            ) from error
        try:
            with connection:
                yield connection
        except duckdb.OutOfMemoryException as error:
            raise RefusedError(
                f"The memory limit of {limits.memory} is not enough, and no more can be spilled to {parent}.",
                "Raise memory_limit in [dedupe], or free some disk.",
            ) from error


def read_frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """The rows of a query."""
    frame = pl.from_arrow(connection.sql(sql).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The one whole number that a query gives."""
    return int(read_frame(connection, sql).item())


def quoted(path: Path) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"
