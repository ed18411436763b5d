"""Read a file of staff: how many people each store has, and how many of them are trained. Names are never read.

CSV in UTF-8 or GB 18030 (what a Chinese Excel writes), or Excel.
"""

from __future__ import annotations

import difflib
import io
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migrations.release.figures import count
from migrations.release.gates.base import joined
from migrations.release.plan_gates import TrainingGate

if TYPE_CHECKING:
    from polars import DataFrame

MOST_BYTES: Final = 32 * 2**20
MOST_UNPACKED: Final = 512 * 2**20
YES: Final = frozenset({"yes", "y", "true", "1", "passed", "done", "trained", "是", "√", "✓", "已培训", "已完成", "通过", "合格"})
NO: Final = frozenset({"", "no", "n", "false", "0", "failed", "open", "否", "×", "✗", "未培训", "未完成", "未通过", "不合格"})


class BadStaff(Exception):
    """What is wrong with the file."""


@dataclass(frozen=True)
class Staff:
    """People of a store, and those of them that are trained."""

    people: float
    trained: float

    @property
    def share(self) -> float:
        """Of them; NaN where there is nobody."""
        return self.trained / self.people if self.people else math.nan


def read_staff(name: str, content: bytes, gate: TrainingGate) -> dict[str, Staff]:
    """Staff by store. Raises BadStaff for a file that cannot be read, or says what cannot be."""
    if len(content) > MOST_BYTES:
        raise BadStaff(f"it is larger than {MOST_BYTES // 2**20} MiB")
    wanted = [gate.store, gate.trained, *([gate.staff] if gate.staff else [])]
    frame = read_excel(content, gate.sheet) if name.lower().endswith((".xlsx", ".xlsm", ".xls")) else read_csv(content)
    cells = choose(frame, wanted)
    return counted(cells) if gate.staff else one_by_one(cells)


def read_csv(content: bytes) -> DataFrame:
    """All cells as text; separated by whichever of comma, semicolon and tab the first line has most of."""
    import polars as pl

    text = decode(content)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise BadStaff("it cannot be read as CSV") from error


def decode(content: bytes) -> str:
    """UTF-8, or else GB 18030."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadStaff("it is neither in UTF-8 nor in GB 18030")


def read_excel(content: bytes, sheet: str | None) -> DataFrame:
    """All cells of a sheet as text; the first sheet where none is named."""
    import fastexcel

    refuse_bomb(content)
    try:
        book = fastexcel.read_excel(content)
        if sheet is not None and sheet not in book.sheet_names:
            raise BadStaff(joined(f"it has no sheet {sheet!r}", f"it has {', '.join(book.sheet_names[:10])}"))
        frame: DataFrame = book.load_sheet(book.sheet_names[0] if sheet is None else sheet, dtypes="string").to_polars()
    except (fastexcel.FastExcelError, IndexError) as error:
        raise BadStaff("it cannot be read as a spreadsheet") from error
    return frame


def refuse_bomb(content: bytes) -> None:
    """A file that unpacks to far more than any list of staff."""
    if not content.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise BadStaff("it cannot be read as a spreadsheet") from error
    if unpacked > MOST_UNPACKED:
        raise BadStaff("it unpacks to more than a list of staff can need")


def choose(frame: DataFrame, wanted: Sequence[str]) -> list[tuple[Any, ...]]:
    """The columns asked for, as rows; those without a store are left out."""
    columns = {name.strip(): name for name in frame.columns}
    for name in wanted:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(list(columns)[:10])}"
            raise BadStaff(joined(f"it has no column {name!r}", hint))
    rows = frame.select([columns[name] for name in wanted]).rows()
    return [(code_of(row[0]), *row[1:]) for row in rows if code_of(row[0])]


def counted(rows: Iterable[tuple[Any, ...]]) -> dict[str, Staff]:
    """Rows of (store, trained, staff)."""
    found: dict[str, Staff] = {}
    for number, (store, trained, people) in enumerate(rows, 2):
        known, all_of_them = count(trained), count(people)
        if known is None or all_of_them is None or known > all_of_them:
            raise BadStaff(f"the counts of store {store} (about row {number}) cannot be")
        before = found.get(store, Staff(0, 0))
        found[store] = Staff(before.people + all_of_them, before.trained + known)
    return found


def one_by_one(rows: Iterable[tuple[Any, ...]]) -> dict[str, Staff]:
    """Rows of (store, yes or no)."""
    found: dict[str, Staff] = {}
    for number, (store, answer) in enumerate(rows, 2):
        before = found.get(store, Staff(0, 0))
        found[store] = Staff(before.people + 1, before.trained + is_trained(answer, number))
    return found


def is_trained(answer: object, row: int) -> bool:
    """Yes or no; anything else is not guessed at."""
    text = str(answer or "").strip().lower().removesuffix(".0")
    if text not in YES | NO:
        raise BadStaff(f"about row {row} it says neither yes nor no")
    return text in YES


def code_of(value: object) -> str:
    """A store's code; a spreadsheet may have made a number of it.

    >>> code_of(" S1 "), code_of("101.0"), code_of(None)
    ('S1', '101', '')
    """
    text = str(value if value is not None else "").strip()
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else text


def weakest(staff: Mapping[str, Staff], stores: Iterable[str]) -> list[str]:
    """The stores with the smallest share first; all of them have to be in `staff`."""
    return sorted(stores, key=lambda store: (staff[store].share, store))
