"""Legacy tables with every kind of key, and how to check that a stage holds each of their rows exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import polars as pl

from etl.names import SourceTable
from etl.settings import Settings
from etl.stage.read import open_stage
from tests.integration.source.legacy_tables import make_database

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

TABLES = (
    """CREATE TABLE dbo.Member (
        MemberId int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Member PRIMARY KEY CLUSTERED,
        Name varchar(40) NULL, Email nvarchar(100) NULL, Balance money NOT NULL, CreatedAt datetime NOT NULL,
        RowVer rowversion NOT NULL)""",
    "CREATE TABLE dbo.Card (CardNo varchar(20) NOT NULL PRIMARY KEY CLUSTERED, Name nvarchar(40) NULL)",
    "CREATE TABLE dbo.Account (AccountId uniqueidentifier NOT NULL PRIMARY KEY CLUSTERED, Points int NOT NULL)",
    """CREATE TABLE dbo.Line (SaleNo varchar(24) NOT NULL, [LineNo] smallint NOT NULL, Quantity decimal(12,3) NOT NULL,
        CONSTRAINT PK_Line PRIMARY KEY CLUSTERED (SaleNo, [LineNo]))""",
    "CREATE TABLE dbo.Note (StoreCode varchar(8) NOT NULL, Note varchar(200) NULL)",
    "ALTER TABLE dbo.Member ENABLE CHANGE_TRACKING",
    "ALTER TABLE dbo.Card ENABLE CHANGE_TRACKING",
)


@dataclass(frozen=True)
class Seeded:
    """A database and the rows put into it, by table."""

    database: str
    frames: dict[str, pl.DataFrame]

    def table(self, name: str) -> SourceTable:
        """One of its tables."""
        return SourceTable(self.database, "dbo", name)


def seed(server: LegacyServer, database: str, members: int = 12_000, *, snapshot: bool = True) -> Seeded:
    """Tables with int, text, GUID and composite keys and one without key; the int keys have a wide gap and many holes."""
    from fixtures.legacy_server.seed import load_table

    make_database(server, database, *TABLES, snapshot=snapshot)
    random = np.random.default_rng(7)
    ids = np.sort(random.choice(np.arange(1, members * 4), members, replace=False))
    ids[members // 2 :] += 1_000_000
    small = members // 4
    frames = {
        "Member": pl.DataFrame(
            {
                "MemberId": ids.astype(np.int32),
                "Name": [f"王{number:x}" for number in range(members)],
                "Email": [f"m{number}@example.com" if number % 7 else "😀" for number in range(members)],
                "Balance": pl.Series([number / 100 for number in range(members)]).cast(pl.Decimal(19, 4)),
                "CreatedAt": pl.Series(1_700_000_000_000 + ids.astype(np.int64) * 1000)
                .cast(pl.Datetime("ms"))
                .cast(pl.Datetime("us")),
            }
        ),
        "Card": pl.DataFrame(
            {"CardNo": [f"{'李' if n % 9 == 0 else 'C'}{n:06d}" for n in range(small)], "Name": [f"n{n}" for n in range(small)]}
        ),
        "Account": pl.DataFrame(
            {
                "AccountId": [str(UUID(bytes=random.bytes(16))) for _ in range(small)],
                "Points": pl.Series(range(small), dtype=pl.Int32),
            }
        ),
        "Line": pl.DataFrame(
            {
                "SaleNo": [f"S{n // 3:08d}" for n in range(small)],
                "LineNo": pl.Series([n % 3 + 1 for n in range(small)], dtype=pl.Int16),
                "Quantity": pl.Series([n / 8 for n in range(small)]).cast(pl.Decimal(12, 3)),
            }
        ),
        "Note": pl.DataFrame({"StoreCode": ["S1"] * 40, "Note": ["same"] * 40}),
    }
    for name, frame in frames.items():
        load_table(server, f"{database}.dbo.{name}", frame)
    return Seeded(database, frames)


def assert_staged_exactly(settings: Settings, seeded: Seeded, tables: Sequence[str] | None = None) -> None:
    """Every row that was put in is in the stage once, with the same values, and the files are those the manifest names."""
    with open_stage(settings) as stage:
        for name in tables if tables is not None else seeded.frames:
            expected = seeded.frames[name]
            staged = stage.table(seeded.table(name))
            assert staged.complete
            got = pl.concat([part for chunk in staged.chunks for part in stage.read(chunk)])
            assert staged.rows == got.height == expected.height
            key = list(staged.key) or expected.columns
            assert got.select(expected.columns).sort(key).equals(expected.sort(key)), name
            files = {path.name for path in (settings.stage_dir / f"{seeded.database}.dbo.{name}").iterdir()}
            assert files == {chunk.path.name for chunk in staged.chunks}
