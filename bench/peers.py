"""The same table moved by the tools people use today, on the same servers in the same run."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from bench.processes import measure
from bench.raw import connect
from etl.settings import Settings
from etl.source.address import Address as SourceAddress
from etl.source.address import address_of
from etl.target.address import Address as TargetAddress
from etl.target.address import read_address

# rowversion is left out: neither peer can write it, and neither do we.
COLUMNS = (
    "MemberId, Name, Gender, Phone, Email, IdCard, UnionId, Birthday, Address, "
    "Tier, Points, Balance, StoreCode, CreatedAt, UpdatedAt"
)


def member_sql(rows: int) -> str:
    """The first members."""
    return f"SELECT TOP {rows} {COLUMNS} FROM [crm].[dbo].[Member]"


def pandas_rate(settings: Settings, schema: str, rows: int) -> float:
    """Rows a second of pandas.read_sql and to_sql in chunks of 10,000 with method="multi", its fastest."""
    import pandas as pd
    from sqlalchemy import create_engine

    source, target = address_of(settings.source), read_address(settings.target)
    reader = create_engine(f"mssql+pymssql://{login(source)}@{source.host}:{source.port}/crm")
    writer = create_engine(f"mysql+mysqldb://{login(target)}@{target.host}:{target.port}/{schema}?charset=utf8mb4")
    began = time.monotonic()
    for chunk in pd.read_sql(member_sql(rows), reader, chunksize=10_000):
        chunk.to_sql("member_pandas", writer, if_exists="append", index=False, method="multi", chunksize=1_000)
    return rows / (time.monotonic() - began)


def sling_rate(settings: Settings, schema: str, rows: int) -> float | None:
    """Rows a second of sling, or None where it is not installed (SLING_BINARY names it) or cannot do it, which is then told."""
    program = find_sling()
    if program is None:
        return None
    source, target = address_of(settings.source), read_address(settings.target)
    allow_any_isolation(settings)
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "HOME": home,
            "SLING_DISABLE_TELEMETRY": "true",
            "LEGACY": f"sqlserver://{login(source)}@{source.host}:{source.port}/crm?encrypt=disable",
            "TARGET": f"mysql://{login(target)}@{target.host}:{target.port}/{schema}",
        }
        what = ["--src-conn", "LEGACY", "--src-stream", member_sql(rows), "--tgt-conn", "TARGET"]
        where = ["--tgt-object", f"{schema}.member_sling", "--mode", "full-refresh"]
        try:
            measured = measure([str(program), "run", *what, *where], env=environment)
        except RuntimeError as error:
            sys.stderr.write(f"sling could not move the table: {error}\n")
            return None
    return rows / measured.seconds


def allow_any_isolation(settings: Settings) -> None:
    """sling asks for SERIALIZABLE, which TiDB refuses unless told to let it pass."""
    connection = connect(settings)
    cursor = connection.cursor()
    cursor.execute("SELECT VERSION()")
    if b"TiDB" in cursor.fetchone()[0]:
        cursor.execute("SET GLOBAL tidb_skip_isolation_level_check = 1")
    connection.close()


def login(address: SourceAddress | TargetAddress) -> str:
    """user:password, quoted for a URL."""
    return f"{quote(address.user, safe='')}:{quote(address.password, safe='')}"


def find_sling() -> Path | None:
    """The program of the package sling-linux-amd64, or the one SLING_BINARY names."""
    named = os.environ.get("SLING_BINARY")
    if named:
        return Path(named)
    found = importlib.util.find_spec("sling_linux_amd64")
    if found is None or not found.submodule_search_locations:
        return None
    program = Path(next(iter(found.submodule_search_locations))) / "bin" / "sling-linux-amd64"
    return program if program.exists() else None
