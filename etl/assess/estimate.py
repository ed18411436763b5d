"""Time and space of the move, from rates that were measured, on this source where the assessment could measure them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from etl.assess.model import Estimate, Rates, TableEstimate
from etl.assess.scan import TableScan
from etl.names import SourceTable
from etl.source.catalog import Table

ENOUGH_ROWS = 20_000
"""A rate seen over a table of fewer rows says more about starting than about moving."""

BYTES_PER_ROW = 120  # where nothing of a table was read: a row of the member table


def measure_rates(rates: Rates, scans: Iterable[TableScan]) -> tuple[Rates, tuple[str, ...]]:
    """`rates` with what the assessment itself saw of this source in place of defaults, and the names of what was measured."""
    seen = [scan for scan in scans if scan.rows]
    large = [scan for scan in seen if scan.rows >= ENOUGH_ROWS]
    rows, seconds = sum(scan.rows for scan in large), sum(scan.read_seconds for scan in large)
    arrow, parquet = sum(staged_share(scan) for scan in seen), sum(scan.parquet_bytes for scan in seen)
    measured: list[str] = []
    if seconds > 0:
        rates = replace(rates, extract_rows_per_s=rows / seconds)
        measured.append("extract_rows_per_s")
    if arrow > 0 and parquet > 0:
        rates = replace(rates, parquet_ratio=parquet / arrow)
        measured.append("parquet_ratio")
    return rates, tuple(measured)


def staged_share(scan: TableScan) -> float:
    """Arrow bytes of the rows whose Parquet size is known."""
    return scan.arrow_bytes * scan.parquet_rows / scan.rows


def estimate_move(
    tables: Mapping[SourceTable, Table], scans: Mapping[SourceTable, TableScan], rates: Rates, measured: tuple[str, ...]
) -> Estimate:
    """Figures for each table and for all of them, one table after the other."""
    estimates = tuple(estimate_table(table, scans.get(name), rates) for name, table in tables.items())
    return Estimate(
        tables=estimates,
        stage_seconds=sum(one.stage_seconds for one in estimates),
        stage_bytes=sum(one.stage_bytes for one in estimates),
        load_seconds=sum(one.load_seconds for one in estimates),
        index_seconds=sum(one.rows for one in estimates) / rates.index_rows_per_s,
        target_bytes=sum(one.target_bytes for one in estimates),
        replicas=rates.replicas,
        rates=rates,
        measured=measured,
    )


def estimate_table(table: Table, scan: TableScan | None, rates: Rates) -> TableEstimate:
    """One table: rows by their number, bytes by what its own rows measured where some were read."""
    rows = table.rows
    arrow_row = scan.arrow_bytes / scan.rows if scan is not None and scan.rows else BYTES_PER_ROW
    parquet_row = (
        scan.parquet_bytes / scan.parquet_rows if scan is not None and scan.parquet_rows else arrow_row * rates.parquet_ratio
    )
    return TableEstimate(
        table=table.name,
        rows=rows,
        stage_seconds=rows / rates.extract_rows_per_s,
        stage_bytes=int(rows * parquet_row),
        load_seconds=rows / rates.load_rows_per_s,
        target_bytes=int(rows * arrow_row * rates.target_bytes_ratio * rates.replicas),
    )
