"""Reports of the quarantine: as objects to list, and as a file for a spreadsheet. Values stay masked in both."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import polars as pl

from etl.errors import UsageError
from etl.load.model import ReasonCount
from etl.load.preflight import require_state_tables
from etl.load.rejects import Reject, RejectFilter, count_rejects, read_rejects
from etl.personal_files import write_personal_file
from etl.settings import Settings
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk

COLUMNS: Final[dict[str, pl.DataType]] = {
    "mapping_part": pl.String(),
    "source_table": pl.String(),
    "source_key": pl.String(),
    "target_table": pl.String(),
    "column_name": pl.String(),
    "reason": pl.String(),
    "masked_value": pl.String(),
    "detail": pl.String(),
    "rejected_at": pl.Datetime("us"),
    "settled_at": pl.Datetime("us"),
}
SPREADSHEET_ROWS: Final = 1_048_575


@dataclass(frozen=True)
class RejectCount:
    """How many lines a part has for one reason."""

    part: str
    counted: ReasonCount


@dataclass(frozen=True)
class RejectList:
    """Lines of the quarantine, at most as many as asked for, and how many there are of each kind in all."""

    lines: tuple[Reject, ...]
    counts: tuple[RejectCount, ...]

    @property
    def total(self) -> int:
        """All lines, shown or not."""
        return sum(count.counted.rows for count in self.counts)


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    lines: int


def list_rejects(settings: Settings, wanted: RejectFilter) -> RejectList:
    """The quarantine as `wanted` asks for it. Raises RefusedError when the schema is not there, TargetError."""
    state = settings.target.state_schema
    with connect_bulk(settings.target, "") as connection:
        require_state_tables(read_target_columns(connection, state), state)
        lines = read_rejects(connection, state, wanted)
        counts = count_rejects(connection, state, wanted)
    return RejectList(
        lines, tuple(RejectCount(part, ReasonCount(column, reason, rows)) for (part, column, reason), rows in counts.items())
    )


def export_rejects(settings: Settings, wanted: RejectFilter, path: Path) -> Exported:
    """Write the quarantine to an .xlsx or .csv file, readable by its owner only. Raises UsageError for another kind of file."""
    if path.suffix.lower() not in (".xlsx", ".csv"):
        raise UsageError(f"{path.name} is neither .xlsx nor .csv.", "Give the file one of these endings.")
    lines = list_rejects(settings, wanted).lines
    rows: list[Mapping[str, object]] = [{name: asdict(line)[name] for name in COLUMNS} for line in lines]
    write_table(path, pl.DataFrame(rows, schema=pl.Schema(COLUMNS), orient="row"))
    return Exported(path, len(lines))


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """A frame as a spreadsheet or as CSV with a byte order mark, which Excel needs to read Chinese.

    Texts stay texts: nothing is taken for a formula or a number. Raises UsageError for more rows than a sheet has.
    """
    if path.suffix.lower() == ".csv":
        write_made(path, lambda buffer: frame.write_csv(buffer, include_bom=True, datetime_format="%Y-%m-%d %H:%M:%S"))
        return
    if frame.height > SPREADSHEET_ROWS:
        raise UsageError(f"{frame.height:,} rows do not fit into one sheet.", "Export to .csv, or filter by --table or --reason.")
    import xlsxwriter

    def write_book(buffer: io.BytesIO) -> None:
        book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
        frame.write_excel(book, worksheet="rows", autofit=frame.height < 10_000, table_style="Table Style Light 1")
        book.close()

    write_made(path, write_book)


def write_made(path: Path, make: Callable[[io.BytesIO], object]) -> None:
    """Write what `make` makes in memory: the libraries that make it do not tell a full disk from other trouble."""
    buffer = io.BytesIO()
    make(buffer)
    with write_personal_file(path) as file:
        file.write(buffer.getbuffer())
