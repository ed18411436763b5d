"""Tables for unit tests, as the catalog would describe them."""

from __future__ import annotations

from etl.names import SourceTable
from etl.source.catalog import Column, ForeignKey, Index, Table

CHINESE = "Chinese_PRC_CI_AS"


def column(name: str, type_name: str = "int", length: int = 4, *, nullable: bool = False, **facts: object) -> Column:
    """A column; text gets the Chinese collation and its code page."""
    text = type_name in ("char", "varchar", "nchar", "nvarchar", "text", "ntext")
    given: dict[str, object] = {
        "precision": 10,
        "scale": 0,
        "collation": CHINESE if text else None,
        "code_page": 936 if text else None,
    }
    return Column(name, type_name, length, nullable=nullable, **(given | facts))  # type: ignore[arg-type]  # typed by the caller


def table(
    name: str,
    *columns: Column,
    key: tuple[str, ...] = (),
    indexes: tuple[Index, ...] = (),
    foreign_keys: tuple[ForeignKey, ...] = (),
    rows: int = 100,
    size: int = 8192,
    tracked: bool = False,
) -> Table:
    """A table called "crm.dbo.Member" in full."""
    return Table(SourceTable.parse(name), columns, key, indexes, foreign_keys, rows, size, tracked)


def by_name(*tables: Table) -> dict[SourceTable, Table]:
    """Tables as a catalog has them."""
    return {one.name: one for one in tables}


MEMBER = table(
    "crm.dbo.Member",
    column("MemberId", is_identity=True),
    column("Name", "varchar", 40, nullable=True),
    column("Phone", "varchar", 20, nullable=True),
    column("StoreCode", "varchar", 8, nullable=True),
    column("UpdatedAt", "datetime", 8),
    key=("MemberId",),
)
STORE = table("pos.dbo.Store", column("StoreCode", "varchar", 8), column("Name", "nvarchar", 120), key=("StoreCode",))
LEDGER = table("crm.dbo.PointsLedger", column("EntryId", "bigint", 8), column("MemberId"), key=("EntryId",))
NOTE = table("pos.dbo.TillNote", column("StoreCode", "varchar", 8), column("Note", "varchar", 200, nullable=True))
