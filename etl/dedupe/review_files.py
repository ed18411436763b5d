"""Read a spreadsheet of answers back: what changed in it since it was exported, checked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import fastexcel
import polars as pl

from etl.dedupe.answers import answers_by_pair
from etl.dedupe.labels import Answer, Link, RecordRef, ordered, parse_record, refuse_contradictions
from etl.dedupe.record_files import scan_records
from etl.dedupe.review import NEVER_RUN
from etl.dedupe.review_book import (
    ANSWER_HEADER,
    BEFORE_HEADER,
    HEADER_ROWS,
    LEFT_HEADER,
    NOTE_HEADER,
    PAIRS_SHEET,
    RIGHT_HEADER,
)
from etl.dedupe.review_session import AnswerStore
from etl.errors import ConfigurationError, RefusedError, UsageError

WORDS: Final[Mapping[str, Answer | None]] = {
    "same": "same",
    "same person": "same",
    "yes": "same",
    "y": "same",
    "同一人": "same",
    "是": "same",
    "different": "different",
    "different people": "different",
    "no": "different",
    "n": "different",
    "不同人": "different",
    "否": "different",
    "not sure": None,
    "unsure": None,
    "?": None,
    "不确定": None,
    "": None,
}
"""Answers as people write them; None is no answer."""
MOST_TOLD: Final = 10


@dataclass(frozen=True)
class AnswerRow:
    """One row of a file. `row` as the spreadsheet numbers it; `before` is the answer it was exported with."""

    row: int
    pair: tuple[RecordRef, RecordRef]
    answer: Answer | None
    before: Answer | None
    note: str

    @property
    def changed(self) -> bool:
        """Whether somebody answered here."""
        return self.answer != self.before


@dataclass(frozen=True)
class ImportedReview:
    """What a file says, and what of it was stored (`executed`), or would be."""

    executed: bool
    file: str
    rows: int
    same: int
    different: int
    withdrawn: int
    unchanged: int
    blank: int

    @property
    def changes(self) -> int:
        """Answers that are stored or taken back."""
        return self.same + self.different + self.withdrawn


def import_answers(path: Path, store: AnswerStore, records: Path, *, execute: bool) -> ImportedReview:
    """Store what was answered in `path`; a file in which nothing was answered changes nothing.

    All or none: raises UsageError for a file that is none of ours or an answer nobody knows, RefusedError with the chain where
    answers contradict each other or what is stored, and where a stored answer changed since the file was exported.
    """
    rows = read_answers(path)
    refuse_unknown_records(rows, records, path.name)
    standing = store.standing()
    changed = changed_rows(rows, answers_by_pair(standing), path.name)
    stored = [Link(*row.pair, row.answer, f"row {row.row}") for row in changed if row.answer is not None]
    withdrawn = [Link(*row.pair, row.before) for row in changed if row.answer is None and row.before is not None]
    touched = {row.pair for row in changed}
    kept = [link for link in standing if ordered(link.left, link.right) not in touched]
    refuse_contradictions([*kept, *stored])
    if execute:
        notes = {row.pair: row.note for row in changed}
        store.store(stored, {link: notes[ordered(link.left, link.right)] for link in stored}, withdrawn)
    return ImportedReview(
        execute,
        path.name,
        len(rows),
        sum(1 for link in stored if link.answer == "same"),
        sum(1 for link in stored if link.answer == "different"),
        len(withdrawn),
        sum(1 for row in rows if row.answer is not None) - len(stored),
        sum(1 for row in rows if row.answer is None) - len(withdrawn),
    )


def read_answers(path: Path) -> tuple[AnswerRow, ...]:
    """The rows of a file that `review export` wrote. Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist.", "Check the name of the file.")
    try:
        book = fastexcel.read_excel(path.read_bytes())
    except fastexcel.FastExcelError as error:
        raise UsageError(
            f"{path.name} cannot be read as a spreadsheet.", "Open it in Excel and save it as .xlsx, without a password."
        ) from error
    if PAIRS_SHEET not in book.sheet_names:
        raise foreign_file(path)
    cells = book.load_sheet(PAIRS_SHEET, header_row=None, dtypes="string").to_polars()
    headers = [str(cell or "") for cell in cells.row(0)] if cells.height else []
    wanted = (LEFT_HEADER, RIGHT_HEADER, ANSWER_HEADER, NOTE_HEADER, BEFORE_HEADER)
    if not set(wanted) <= set(headers):
        raise foreign_file(path)
    places = [headers.index(name) for name in wanted]
    return tuple(
        answer_row(number, tuple(str(row[place] or "").strip() for place in places), path.name)
        for number, row in enumerate(cells.iter_rows(), 1)
        if number > HEADER_ROWS and row[places[0]]
    )


def answer_row(number: int, cells: tuple[str, ...], file: str) -> AnswerRow:
    """One row from its five cells. Raises UsageError naming the row."""
    left, right, answer, note, before = cells
    pair = ordered(parse_record(left), parse_record(right))
    if answer.casefold() not in WORDS:
        raise UsageError(
            f"{file}, row {number}: an answer nobody knows.", "Choose one from the list in the cell, or leave it empty."
        )
    return AnswerRow(number, pair, WORDS[answer.casefold()], WORDS.get(before.casefold()), note)


def foreign_file(path: Path) -> UsageError:
    """What to say of a spreadsheet that has no answers to read."""
    return UsageError(
        f"{path.name} is not a file of pairs from `membershift dedupe review export`.",
        "Export one, answer in it, and keep its sheets and its hidden first row as they are.",
    )


def changed_rows(
    rows: Sequence[AnswerRow], standing: Mapping[tuple[RecordRef, RecordRef], Answer], file: str
) -> tuple[AnswerRow, ...]:
    """Rows that were answered, or whose answer was changed or cleared, and that are not stored so already.

    Raises RefusedError when a pair stands twice with two answers, or its stored answer is no longer the one that was exported.
    """
    changed = {row.row: row for row in rows if row.changed}
    first: dict[tuple[RecordRef, RecordRef], AnswerRow] = {}
    twice = [
        f"rows {first[row.pair].row} and {row.row}"
        for row in changed.values()
        if first.setdefault(row.pair, row).answer != row.answer
    ]
    if twice:
        raise RefusedError(
            f"{file} answers a pair in two ways: {', '.join(twice[:MOST_TOLD])}. None was stored.", "Correct one row of each."
        )
    stale = [row for row in changed.values() if standing.get(row.pair) != row.before and standing.get(row.pair) != row.answer]
    if stale:
        numbers = ", ".join(str(row.row) for row in stale[:MOST_TOLD])
        raise RefusedError(
            f"{file}: somebody else answered the pairs of {len(stale)} rows otherwise since the file was exported "
            f"(rows {numbers}). None was stored.",
            "Export again and answer these pairs anew, or clear the answers of these rows.",
        )
    return tuple(row for row in first.values() if standing.get(row.pair) != row.answer)


def refuse_unknown_records(rows: Sequence[AnswerRow], records: Path, file: str) -> None:
    """Answers must be about records of the last run. Raises UsageError naming rows, ConfigurationError when nothing was run."""
    if not records.is_file():
        raise ConfigurationError(f"{records} does not exist.", NEVER_RUN)
    asked = pl.DataFrame(
        [(row.row, ref.system, ref.source_id) for row in rows for ref in row.pair],
        schema={"row": pl.Int64, "system": pl.String, "source_id": pl.String},
        orient="row",
    )
    known = scan_records(records).select("system", "source_id")
    unknown = asked.lazy().join(known, on=["system", "source_id"], how="anti").collect().get_column("row").unique().sort()
    if len(unknown):
        numbers = ", ".join(map(str, unknown.head(MOST_TOLD).to_list()))
        raise UsageError(
            f"{file} names records that the last run did not read, in {len(unknown)} rows (rows {numbers}).",
            "Keep the columns of both records as they were exported, or export again.",
        )
