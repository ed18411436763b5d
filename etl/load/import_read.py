"""A file of any accepted form becomes one private Parquet file of its cells as text, so that it can be read in slices, twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import fastexcel
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from etl.errors import UsageError
from etl.load.import_profile import HeaderMatch, Profile, match_header, require_columns
from etl.load.import_text import HEADER_WITHIN, TextForm, Utf8Stream, detect_form
from etl.personal_files import read_personal_file, write_personal_file

ROW: Final = "__row"
PROBLEM: Final = "__problem"
WRONG_COLUMNS: Final = "wrong_number_of_columns"
REASON_HEADER: Final = "membershift: reason"
KEY_HEADER: Final = "membershift: key"
"""Headers of the two columns that a file of rejected rows has beside the original ones."""

SLICE_ROWS: Final = 50_000
MOST_SPREADSHEET_BYTES: Final = 64 * 2**20
LOST_DIGITS_FROM: Final = 1e15
"""A spreadsheet keeps 15 digits of a number: what is larger has lost its last ones."""
MOST_LINES_IN_CELL: Final = 50


@dataclass(frozen=True)
class ReadFile:
    """A file as cells: Parquet with ROW (record number in the file, from 1), PROBLEM and one text column c0, c1... for each of
    `header`. `form` says how it was read, for people."""

    name: str
    sha256: str
    path: Path
    rows: int
    header: tuple[str, ...]
    match: HeaderMatch
    form: str

    @property
    def ignored(self) -> tuple[str, ...]:
        """Headers that are no column of the profile."""
        return tuple(cell for cell in self.match.ignored if cell.strip() and cell not in (REASON_HEADER, KEY_HEADER))

    @property
    def key_column(self) -> str | None:
        """The column with the keys that rejected rows had, in a corrected file."""
        return f"c{self.header.index(KEY_HEADER)}" if KEY_HEADER in self.header else None

    def frames(self) -> Iterator[pl.DataFrame]:
        """The cells, in slices."""
        with read_personal_file(self.path) as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=SLICE_ROWS):
                yield pl.DataFrame(pl.from_arrow(batch))


@contextmanager
def read_file(path: Path, profile: Profile, folder: Path, sheet: str | None = None) -> Iterator[ReadFile]:
    """Read a CSV or Excel file into `folder`, gone afterwards. Raises UsageError when it is not what `profile` expects."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist.", "Check the name of the file.")
    sha256 = hash_file(path)
    target = folder / f"import-{sha256[:16]}.parquet"
    try:
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            yield read_spreadsheet(path, profile, sha256, target, sheet)
        elif path.suffix.lower() == ".xls":
            raise UsageError(f"{path.name} is in the old Excel format.", "Save it as .xlsx or as CSV UTF-8.")
        else:
            yield read_text(path, profile, sha256, target)
    finally:
        target.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, profile: Profile, sha256: str, target: Path) -> ReadFile:
    """Read a text file, block by block."""
    with path.open("rb") as file:
        form = detect_form(path, file, profile)
        match = match_header(profile, form.header)
        require_columns(profile, match, path.name)
        rows = write_cells(target, len(form.header), text_frames(path, file, form))
    names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    described = f"{form.encoding.upper().removesuffix('-SIG')}, {names[form.separator]}"
    return ReadFile(path.name, sha256, target, rows, form.header, match, described)


def text_frames(path: Path, file: BinaryIO, form: TextForm) -> Iterator[pl.DataFrame]:
    """The cells of a text file; a record with too few or too many is one cell, with its problem."""
    names = [f"c{number}" for number in range(len(form.header))]
    bad: list[tuple[int, str]] = []

    def put_aside(row: Any) -> str:
        bad.append((row.number, row.text))
        return "skip"

    reader = arrow_csv.open_csv(
        pa.PythonFile(Utf8Stream(file, form.encoding), mode="r"),
        read_options=arrow_csv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=form.header_lines, block_size=4 << 20
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=form.separator, newlines_in_values=True, invalid_row_handler=put_aside),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False, check_utf8=True
        ),
    )
    record, ends_open = form.header_record, False
    try:
        for batch in reader:
            good = pl.DataFrame(pl.from_arrow(batch))
            refuse_swallowed_lines(path, good, bad, record)
            ends_open = bool(good.height) and any(str(cell or "").endswith("\n") for cell in good.row(-1))
            numbers = free_numbers(record + 1, good.height, [number for number, _ in bad])
            yield good.with_columns(pl.Series(ROW, numbers, dtype=pl.Int64), pl.lit(None, pl.String).alias(PROBLEM)).select(
                ROW, PROBLEM, *names
            )
            if bad:
                yield bad_records(bad, names)
            record += good.height + len(bad)
            bad.clear()
    except pa.ArrowInvalid as error:
        raise open_quote(path, record) from error
    refuse_swallowed_lines(path, pl.DataFrame(), bad, record)
    if ends_open:
        raise open_quote(path, record)
    if bad:
        yield bad_records(bad, names)


def free_numbers(first: int, count: int, taken: list[int]) -> list[int]:
    """The first `count` numbers from `first` on that are not taken.

    >>> free_numbers(2, 3, [3])
    [2, 4, 5]
    """
    used = set(taken)
    numbers: list[int] = []
    while len(numbers) < count:
        if first not in used:
            numbers.append(first)
        first += 1
    return numbers


def bad_records(bad: list[tuple[int, str]], names: list[str]) -> pl.DataFrame:
    """Records with a wrong number of cells, as one cell each."""
    frame = pl.DataFrame(
        {ROW: [number for number, _ in bad], names[0]: [text for _, text in bad]}, schema={ROW: pl.Int64, names[0]: pl.String}
    )
    others = [pl.lit(None, pl.String).alias(name) for name in names[1:]]
    return frame.with_columns(pl.lit(WRONG_COLUMNS).alias(PROBLEM), *others).select(ROW, PROBLEM, *names)


def refuse_swallowed_lines(path: Path, cells: pl.DataFrame, bad: list[tuple[int, str]], before: int) -> None:
    """A quotation mark that is never closed makes one cell of the lines after it: no row may vanish that way."""
    breaks = pl.max_horizontal(pl.all().str.count_matches("\n", literal=True)).alias("breaks")
    lines = pl.Series([], dtype=pl.UInt32) if cells.is_empty() else cells.select(breaks).to_series()
    long = lines.arg_max()
    if long is not None and int(lines[long] or 0) > MOST_LINES_IN_CELL:
        raise open_quote(path, before + 1 + int(long))
    for record, text in bad:
        if "\n" in text.rstrip("\r\n") and text.count('"') % 2:
            raise open_quote(path, record)


def open_quote(path: Path, record: int) -> UsageError:
    """What to say of a quotation mark without its other half."""
    return UsageError(
        f"{path.name}: a quotation mark at about record {record} is never closed, and takes in the lines after it.",
        "Close or remove it, or save the file again from a spreadsheet.",
    )


def read_spreadsheet(path: Path, profile: Profile, sha256: str, target: Path, sheet: str | None) -> ReadFile:
    """Read one sheet: `sheet`, or the first with a header of this profile."""
    if path.stat().st_size > MOST_SPREADSHEET_BYTES:
        raise UsageError(
            f"{path.name} is too large for a spreadsheet to be read at once.", "Save it as CSV UTF-8, which has no limit."
        )
    try:
        book = fastexcel.read_excel(path.read_bytes())
    except fastexcel.FastExcelError as error:
        raise UsageError(
            f"{path.name} cannot be read as a spreadsheet.", "Open it in Excel and save it as .xlsx, without a password."
        ) from error
    names = [name for name in book.sheet_names if sheet in (None, name)]
    if not names:
        raise UsageError(f"{path.name} has no sheet {sheet!r}.", f"It has: {', '.join(book.sheet_names)}.")
    for name in names:
        top = book.load_sheet(name, header_row=None, n_rows=HEADER_WITHIN, dtypes="string").to_polars()
        rows = [[str(cell or "") for cell in row] for row in top.iter_rows()]
        found = [len(match_header(profile, row).columns) for row in rows]
        if not any(found):
            continue
        header_row = found.index(max(found))
        header = tuple(rows[header_row])
        match = match_header(profile, header)
        require_columns(profile, match, f"{path.name}, sheet {name}")
        frame = spreadsheet_cells(book, name, header_row)
        count = write_cells(target, len(header), iter([frame]))
        return ReadFile(path.name, sha256, target, count, header, match, f"Excel, sheet {name}")
    raise UsageError(
        f"No sheet of {path.name} has names of columns that --as {profile.name} knows in its first lines.",
        f"Its first line must name the columns: {', '.join(column.name for column in profile.columns if column.required)}...",
    )


def spreadsheet_cells(book: Any, sheet: str, header_row: int) -> pl.DataFrame:
    """The cells under the header as text. Numbers are written with the 15 digits that a spreadsheet keeps; those that lost digits
    in scientific notation, by which they are known later."""
    options = {"header_row": None, "skip_rows": header_row + 1}
    texts = book.load_sheet(sheet, dtypes="string", **options).to_polars()
    # only a number or a truth value reads as a truth value, so this tells the number 12 from the text "12"
    numeric = book.load_sheet(sheet, dtypes="boolean", **options).to_polars()
    cells = []
    for place, (text, flag) in enumerate(zip(texts.iter_columns(), numeric.iter_columns(), strict=True)):
        number = text.cast(pl.Float64, strict=False)
        shown = number.round_sig_figs(15).cast(pl.String).str.strip_suffix(".0")
        whole = text.str.strip_prefix("-")  # a number this large has no fraction
        scientific = pl.format("{}.{}E+{}", whole.str.slice(0, 1), whole.str.slice(1, 14), whole.str.len_bytes() - 1)
        written = pl.when(number.abs() >= LOST_DIGITS_FROM).then(scientific).otherwise(shown)
        is_number = flag.is_not_null() & number.is_not_null()
        cells.append(pl.select(pl.when(is_number).then(written).otherwise(text).alias(f"c{place}")).to_series())
    frame = pl.DataFrame(cells)
    rows = pl.int_range(header_row + 2, header_row + 2 + frame.height, dtype=pl.Int64, eager=True)
    blank = pl.all_horizontal(pl.all().is_null() | (pl.all().str.strip_chars() == ""))
    return frame.with_columns(rows.alias(ROW), pl.lit(None, pl.String).alias(PROBLEM)).filter(~frame.select(blank).to_series())


def write_cells(target: Path, columns: int, frames: Iterator[pl.DataFrame]) -> int:
    """Write the cells to Parquet; return the number of rows."""
    names = [ROW, PROBLEM, *(f"c{number}" for number in range(columns))]
    schema = pa.schema([(ROW, pa.int64()), *((name, pa.large_string()) for name in names[1:])])
    rows = 0
    with write_personal_file(target) as file, pq.ParquetWriter(file, schema, compression="lz4") as writer:
        for frame in frames:
            missing = [pl.lit(None, pl.String).alias(name) for name in names if name not in frame.columns]
            writer.write_table(
                frame.with_columns(missing).select(names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
            )
            rows += frame.height
    return rows
