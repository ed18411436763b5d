"""Doubtful pairs as a spreadsheet, for people who use no terminal: a pair a row, one column to answer in, the rest locked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etl.dedupe.review import Compared, DoubtfulPair
from etl.errors import UsageError
from etl.load.export_rejects import SPREADSHEET_ROWS, write_made

PAIRS_SHEET: Final = "pairs"
HOW_SHEET: Final = "how"
LEFT_HEADER: Final = "membershift: A"
RIGHT_HEADER: Final = "membershift: B"
ANSWER_HEADER: Final = "membershift: answer"
NOTE_HEADER: Final = "membershift: note"
BEFORE_HEADER: Final = "membershift: answer when exported"
"""Headers by which a file is read back, in any language: they stand in the first row, which is hidden."""

SAME, DIFFERENT = "#D6EAF8", "#FCE5C5"
HEADER_ROWS: Final = 2


@dataclass(frozen=True)
class BookWords:
    """What the sheet says to its reader, in the reader's language. `answers`: the words for same, different and not sure."""

    left: str
    right: str
    answer: str
    note: str
    reason: str
    weight: str
    prompt: str
    answers: tuple[str, str, str]
    facts: dict[str, str]
    reasons: dict[str, str]
    how: tuple[str, ...]


@dataclass(frozen=True)
class ExportedReview:
    """A file that was written. `answered`: pairs in it that have an answer already."""

    path: Path
    pairs: int
    answered: int
    masked: bool


def export_pairs(
    path: Path, pairs: Sequence[DoubtfulPair], words: BookWords, *, masked: bool, blind: bool = False
) -> ExportedReview:
    """Write `pairs` to an .xlsx file, readable by its owner only. `blind` leaves the weight out, so that it sways nobody.

    Raises UsageError for another kind of file, or more pairs than a sheet has rows.
    """
    if path.suffix.lower() != ".xlsx":
        raise UsageError(f"{path.name} is not an .xlsx file.", "Give the file this ending.")
    if len(pairs) > SPREADSHEET_ROWS - HEADER_ROWS:
        raise UsageError(f"{len(pairs):,} pairs do not fit into one sheet.", "Ask for fewer with --limit.")
    write_made(path, lambda buffer: write_book(buffer, pairs, words, blind))
    return ExportedReview(path, len(pairs), sum(1 for pair in pairs if pair.answer), masked)


def write_book(buffer: io.BytesIO, pairs: Sequence[DoubtfulPair], words: BookWords, blind: bool) -> None:
    """The whole book: the pairs, and how to answer them."""
    import xlsxwriter

    # Texts stay texts: nothing is taken for a formula or a number.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    formats = make_formats(book)
    sheet = book.add_worksheet(PAIRS_SHEET)
    facts = fact_names(pairs)
    columns = write_headers(sheet, formats, facts, words, blind)
    for row, pair in enumerate(pairs, HEADER_ROWS):
        write_pair(sheet, formats, row, pair, facts, words, blind)
    guard(sheet, len(pairs), columns, words)
    write_how(book.add_worksheet(HOW_SHEET), formats, words)
    book.close()


def make_formats(book: Any) -> dict[str, Any]:
    """Formats by name. Cells to answer in are not locked; all others are, once the sheet is protected."""
    text = {"num_format": "@", "valign": "top"}
    return {
        "text": book.add_format(text),
        "same": book.add_format({**text, "font_color": "#606060"}),
        "differs": book.add_format({**text, "bg_color": DIFFERENT, "bold": True}),
        "open": book.add_format({**text, "locked": False, "border": 1, "border_color": "#0072B2"}),
        "number": book.add_format({"num_format": "0.0", "valign": "top"}),
        "header": book.add_format({"bold": True, "bg_color": "#F2F2F2", "bottom": 1, "text_wrap": True, "valign": "top"}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
    }


def fact_names(pairs: Sequence[DoubtfulPair]) -> tuple[str, ...]:
    """Every fact that any pair has, in the order they first come."""
    return tuple(dict.fromkeys(fact.name for pair in pairs for fact in pair.facts))


def write_headers(sheet: Any, formats: dict[str, Any], facts: Sequence[str], words: BookWords, blind: bool) -> int:
    """Two rows of headers, the first for programs; return the number of columns."""
    keys = [ANSWER_HEADER, NOTE_HEADER, LEFT_HEADER, RIGHT_HEADER, BEFORE_HEADER]
    titles = [words.answer, words.note, words.left, words.right, "", words.reason]
    titles += [] if blind else [words.weight]
    for name in facts:
        title = words.facts.get(name, name)
        titles += [f"{title} ({words.left})", f"{title} ({words.right})"]
    for column, key in enumerate(keys):
        sheet.write_string(0, column, key)
    for column, title in enumerate(titles):
        sheet.write_string(1, column, title, formats["header"])
    return len(titles)


def write_pair(
    sheet: Any, formats: dict[str, Any], row: int, pair: DoubtfulPair, facts: Sequence[str], words: BookWords, blind: bool
) -> None:
    """One row."""
    answer = {"same": words.answers[0], "different": words.answers[1], None: ""}[pair.answer]
    write_cell(sheet, row, 0, answer, formats["open"])
    write_cell(sheet, row, 1, "", formats["open"])
    write_cell(sheet, row, 2, str(pair.left), formats["text"])
    write_cell(sheet, row, 3, str(pair.right), formats["text"])
    write_cell(sheet, row, 4, pair.answer or "", formats["text"])
    write_cell(sheet, row, 5, words.reasons.get(pair.reason, pair.reason), formats["text"])
    if not blind and pair.weight is not None:
        sheet.write_number(row, 6, round(pair.weight, 1), formats["number"])
    said = {fact.name: fact for fact in pair.facts}
    for place, name in enumerate(facts):
        fact = said.get(name, Compared(name, "", "", False))
        style = formats["differs" if fact.known and not fact.same else "same" if fact.same else "text"]
        first = (6 if blind else 7) + 2 * place
        write_cell(sheet, row, first, fact.left, style)
        write_cell(sheet, row, first + 1, fact.right, style)


def write_cell(sheet: Any, row: int, column: int, value: str, style: Any) -> None:
    """A text, or an empty cell that has the format all the same."""
    if value:
        sheet.write_string(row, column, value, style)
    else:
        sheet.write_blank(row, column, None, style)


def guard(sheet: Any, pairs: int, columns: int, words: BookWords) -> None:
    """Answers from a list only, everything else locked, headers in view, what programs need out of sight."""
    last = max(HEADER_ROWS, HEADER_ROWS + pairs - 1)
    sheet.data_validation(
        HEADER_ROWS,
        0,
        last,
        0,
        {"validate": "list", "source": list(words.answers), "input_message": words.prompt, "error_message": words.prompt},
    )
    sheet.protect("", {"autofilter": True, "format_columns": True, "format_rows": True, "select_locked_cells": True})
    sheet.autofilter(1, 0, last, columns - 1)
    sheet.freeze_panes(HEADER_ROWS, 4)
    sheet.set_row(0, None, None, {"hidden": True})
    sheet.set_column(0, 1, 14)
    sheet.set_column(2, 3, 18)
    sheet.set_column(4, 4, None, None, {"hidden": True})
    sheet.set_column(5, 5, 34)
    sheet.set_column(6, columns - 1, 16)


def write_how(sheet: Any, formats: dict[str, Any], words: BookWords) -> None:
    """What the reader is asked to do, a line each."""
    sheet.set_column(0, 0, 100)
    for row, line in enumerate(words.how):
        sheet.write_string(row, 0, line, formats["wrap"])
    sheet.protect()
