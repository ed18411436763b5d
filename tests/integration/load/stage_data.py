"""A stage made from generated tables, without a legacy server: what `membershift stage` would leave of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from etl.names import SourceTable
from etl.settings import Settings
from etl.stage.manifest import ChunkRange, TableEntry, chunk_file, now, open_manifest
from etl.stage.write import write_chunk
from fixtures.data.generate import generate

KEYS: Mapping[str, tuple[str, ...]] = {
    "pos.dbo.Store": ("StoreCode",),
    "pos.dbo.Product": ("ProductId",),
    "crm.dbo.Member": ("MemberId",),
    "pos.dbo.PosMember": ("CardNo",),
    "pos.dbo.Sale": ("SaleNo",),
    "pos.dbo.SaleLine": ("SaleNo", "LineNo"),
    "crm.dbo.PointsLedger": ("EntryId",),
    "crm.dbo.TierHistory": ("TierHistoryId",),
    "crm.dbo.SignIn": ("SignInId",),
}
PARTS = (
    "store", "product", "member/crm", "member/pos", "points_ledger/crm", "tier_history", "sign_in", "sale/pos", "sale_line/pos",
)  # fmt: skip
"""Parts of the retailer's mapping that these tables fill."""


def generated_tables(folder: Path, members: int) -> dict[str, pl.DataFrame]:
    """Generated tables of crm and pos, without the columns that only a server makes."""
    data = generate(members, seed=7, folder=folder)
    return {name: data.frame(name).select(pl.exclude(r"^.*__utf16$", "RowVer")).sort(key) for name, key in KEYS.items()}


def stage_table(settings: Settings, name: str, frame: pl.DataFrame, key: Sequence[str], chunk_rows: int = 50_000) -> None:
    """Put a frame into the stage, in place of what was there."""
    table = SourceTable.parse(name)
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    parts = [frame.slice(first, chunk_rows) for first in range(0, max(1, frame.height), chunk_rows)]
    entry = TableEntry(
        name=table, schema_hash="h", schema=arrow.schema, key=tuple(key), left_out=(), chunk_column=key[0] if key else None,
        ct_version=1, row_version=None, isolation="SNAPSHOT", expected_rows=frame.height, begun_at=now(),
    )  # fmt: skip
    with open_manifest(settings.stage_dir) as manifest:
        manifest.forget_table(table)
        manifest.begin_table(entry, [ChunkRange(index, None, None) for index in range(len(parts))])
        for index, part in enumerate(parts):
            batches = part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow.schema).to_batches()
            written = write_chunk(settings.stage_dir / chunk_file(table, index), arrow.schema, batches, lambda _: None)
            manifest.finish_chunk(table, index, rows=written.rows, size=written.bytes, sha256=written.sha256)
        manifest.finish_table(table, changed=False)


def stage_all(settings: Settings, tables: Mapping[str, pl.DataFrame], chunk_rows: int = 50_000) -> None:
    """Stage every table."""
    for name, frame in tables.items():
        stage_table(settings, name, frame, KEYS[name], chunk_rows)


def large_types(schema: pa.Schema) -> pa.Schema:
    """A schema with large strings, as the stage has them."""
    return pa.schema([field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field for field in schema])
