"""A spreadsheet of doubtful pairs goes out, is answered by other programs, and comes back."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from etl.dedupe.labels import Link, RecordRef
from etl.dedupe.review_book import export_pairs
from etl.dedupe.review_files import import_answers
from etl.errors import OpsError, RefusedError, UsageError
from reports.documents.dedupe_review import book_words
from tests.unit.dedupe.reviewing import MemoryStore, doubtful

PAIRS = (doubtful(1, 2), doubtful(2, 3, reason="twins"), doubtful(1, 3), doubtful(4, 5, answer="same"))
STORED = Link(RecordRef("crm", "4"), RecordRef("crm", "5"), "same", "decision 1")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.parquet"
    pl.DataFrame({"system": ["crm"] * 5, "source_id": ["1", "2", "3", "4", "5"]}).write_parquet(path)
    return path


@pytest.fixture(params=["en", "zh"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "pairs.xlsx"
    export_pairs(path, PAIRS, book_words(request.param), masked=True)
    return path


def answer(path: Path, answers: dict[int, str | None]) -> None:
    """Write answers (by row) as a person does in Excel, with another library than the one that wrote the file."""
    workbook = openpyxl.load_workbook(path)
    for row, text in answers.items():
        workbook["pairs"].cell(row, 1).value = text
    workbook.save(path)


def test_a_file_that_nobody_touched_changes_nothing(book: Path, records: Path) -> None:
    store = MemoryStore([STORED])
    assert import_answers(book, store, records, execute=True).changes == 0
    answer(book, {})  # saved by another program, nothing else
    told = import_answers(book, store, records, execute=True)
    assert (told.changes, told.rows, told.unchanged, told.blank) == (0, 4, 1, 3)
    assert store.standing() == (STORED,)


def test_only_answer_and_note_can_be_written_in(book: Path) -> None:
    sheet = openpyxl.load_workbook(book)["pairs"]
    assert sheet.protection.sheet
    unlocked = {cell.column for row in sheet.iter_rows(min_row=3) for cell in row if not cell.protection.locked}
    assert unlocked == {1, 2}
    (validation,) = sheet.data_validations.dataValidation
    assert (str(validation.sqref), validation.type) == ("A3:A6", "list")
    assert sheet.row_dimensions[1].hidden
    assert sheet.column_dimensions["E"].hidden


def test_differences_are_coloured_even_where_the_masks_look_alike(tmp_path: Path) -> None:
    path = tmp_path / "pairs.xlsx"
    export_pairs(path, PAIRS[:1], book_words("en"), masked=True)
    row = next(openpyxl.load_workbook(path)["pairs"].iter_rows(min_row=3))
    coloured = [cell.value for cell in row if cell.fill.fill_type == "solid"]
    assert coloured == ["139****5678", "139****5679"]


def test_answers_come_back(book: Path, records: Path) -> None:
    store = MemoryStore([STORED])
    answer(book, {3: "同一人", 4: "Different", 6: None})
    dry = import_answers(book, store, records, execute=False)
    assert store.standing() == (STORED,), "a dry run stores nothing"
    done = import_answers(book, store, records, execute=True)
    assert (dry.same, dry.different, dry.withdrawn) == (done.same, done.different, done.withdrawn) == (1, 1, 1)
    assert {(str(link.left), str(link.right), link.answer) for link in store.standing()} == {
        ("crm:1", "crm:2", "same"),
        ("crm:2", "crm:3", "different"),
    }
    assert import_answers(book, store, records, execute=True).changes == 0, "the same file again changes nothing"


def test_what_other_programs_make_of_cells_is_read(book: Path, records: Path) -> None:
    """Programs that do not heed the text format store what looks like a date, a number or a truth as such; people sort rows."""
    workbook = openpyxl.load_workbook(book)
    sheet = workbook["pairs"]
    for row, text in ((3, " Same "), (5, "同一人")):
        sheet.cell(row, 1).value = text
    sheet.cell(3, 2).value = date(2026, 1, 2)
    sheet.cell(4, 2).value = 12
    sheet.cell(5, 2).value = True
    first, last = ([cell.value for cell in sheet[row][:5]] for row in (3, 6))
    for row, values in ((3, last), (6, first)):
        for column, value in enumerate(values, 1):
            sheet.cell(row, column).value = value
    workbook.save(book)
    store = MemoryStore([STORED])

    done = import_answers(book, store, records, execute=True)

    assert (done.same, done.different, done.withdrawn) == (2, 0, 0)
    assert {(str(link.left), str(link.right)) for link in store.standing()} == {
        ("crm:1", "crm:2"), ("crm:1", "crm:3"), ("crm:4", "crm:5"),
    }  # fmt: skip
    assert sorted(store.notes) == ["2026-01-02 00:00:00", "true"]


def test_contradicting_answers_are_refused_with_their_chain(book: Path, records: Path) -> None:
    store = MemoryStore([STORED])
    answer(book, {3: "same", 4: "same", 5: "different"})
    with pytest.raises(RefusedError, match=r"crm:1 = crm:2 \(row 3\), crm:2 = crm:3 \(row 4\), crm:1 ≠ crm:3 \(row 5\)"):
        import_answers(book, store, records, execute=True)
    assert store.standing() == (STORED,)


def test_a_chain_may_lead_through_what_is_stored(book: Path, records: Path) -> None:
    stored = Link(RecordRef("crm", "1"), RecordRef("crm", "3"), "different", "decision 8")
    answer(book, {3: "same", 4: "same"})
    with pytest.raises(RefusedError, match=r"crm:1 ≠ crm:3 \(decision 8\)"):
        import_answers(book, MemoryStore([STORED, stored]), records, execute=True)


def test_an_answer_that_changed_since_the_export_is_not_overwritten(book: Path, records: Path) -> None:
    answer(book, {6: "different"})
    with pytest.raises(RefusedError, match="otherwise since the file was exported"):
        import_answers(book, MemoryStore(), records, execute=True)


@pytest.mark.parametrize(
    ("row", "column", "value", "told"),
    [
        (3, 1, "perhaps", "row 3: an answer nobody knows"),
        (3, 3, "crm:99", r"rows 3\)"),
        (3, 3, "99", "names no record"),
        (1, 3, "something", "not a file of pairs"),
    ],
)
def test_a_file_that_was_spoilt_is_refused_by_place(
    book: Path, records: Path, row: int, column: int, value: str, told: str
) -> None:
    workbook = openpyxl.load_workbook(book)
    workbook["pairs"].cell(row, column).value = value
    workbook["pairs"].cell(3, 1).value = value if column == 1 else "same"
    workbook.save(book)
    with pytest.raises(OpsError, match=told):
        import_answers(book, MemoryStore([STORED]), records, execute=True)


def test_what_is_no_spreadsheet_is_said_to_be_none(tmp_path: Path, records: Path) -> None:
    path = tmp_path / "pairs.xlsx"
    path.write_bytes(b"no")
    with pytest.raises(UsageError, match="cannot be read as a spreadsheet"):
        import_answers(path, MemoryStore(), records, execute=True)
    with pytest.raises(UsageError, match=r"not an \.xlsx file"):
        export_pairs(tmp_path / "pairs.csv", PAIRS, book_words("en"), masked=True)


def test_a_blind_file_shows_no_weight(tmp_path: Path) -> None:
    for blind, shown in ((True, False), (False, True)):
        path = tmp_path / "pairs.xlsx"
        export_pairs(path, PAIRS, book_words("en"), masked=True, blind=blind)
        values = [cell.value for row in openpyxl.load_workbook(path)["pairs"].iter_rows() for cell in row]
        assert (4.4 in values) is shown
