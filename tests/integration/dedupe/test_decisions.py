"""Decisions on the target: added, replaced, withdrawn, never contradicting each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from etl.dedupe.answers import DecisionStore
from etl.dedupe.decisions import Decision, DecisionKind, RecordKey, read_decisions, withdraw_decisions, write_decisions
from etl.dedupe.review_book import export_pairs
from etl.dedupe.review_files import import_answers
from etl.errors import OpsError, RefusedError
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from reports.documents.dedupe_review import book_words
from tests.unit.dedupe.reviewing import doubtful

A, B, C = (RecordKey("crm", key) for key in "123")


def decision(kind: DecisionKind, left: RecordKey, right: RecordKey) -> Decision:
    """By somebody."""
    return Decision(kind, left, right, "tester", note="because")


def test_decisions_are_kept_replaced_and_withdrawn(settings: Settings) -> None:
    written = write_decisions(settings, [decision("must_link", B, A), decision("cannot_link", B, C)])
    again = write_decisions(settings, [decision("must_link", A, B)])
    changed = write_decisions(settings, [decision("cannot_link", A, B)])

    assert [one.pair for one in written] == [(A, B), (B, C)]
    assert again == ()
    assert len(changed) == 1
    standing = read_decisions(settings)
    assert [(one.kind, one.left, one.right, one.decided_by, one.note) for one in standing] == [
        ("cannot_link", B, C, "tester", "because"),
        ("cannot_link", A, B, "tester", "because"),
    ]
    assert withdraw_decisions(settings, [standing[0].decision_id, 999]) == 1
    assert [one.pair for one in read_decisions(settings)] == [(A, B)]


def test_a_contradiction_is_refused_with_its_chain_and_nothing_is_written(settings: Settings) -> None:
    write_decisions(settings, [decision("must_link", A, B)])

    with pytest.raises(RefusedError, match=r"crm:1 = crm:2.*crm:2 = crm:3.*crm:1 ≠ crm:3"):
        write_decisions(settings, [decision("must_link", B, C), decision("cannot_link", A, C)])

    assert len(read_decisions(settings)) == 1


def test_decisions_about_others_are_not_asked(settings: Settings, target: BulkConnection) -> None:
    """A contradiction that stands elsewhere, written by whatever means, does not keep anybody from deciding about these."""
    insert = (
        f"INSERT INTO `{settings.target.state_schema}`.decision (kind, left_system, left_id, right_system, right_id, decided_at, "
        "decided_by) VALUES (%s, 'pos', 'X', 'pos', 'Y', UTC_TIMESTAMP(6), 'tester')"
    )
    for kind in ("must_link", "cannot_link"):
        target.execute(insert, (kind,))

    assert len(write_decisions(settings, [decision("must_link", A, B), decision("must_link", B, C)])) == 2


def test_a_chain_is_followed_to_its_end(settings: Settings) -> None:
    chain = [RecordKey("crm", str(number)) for number in range(1, 8)]
    for left, right in itertools.pairwise(chain):
        write_decisions(settings, [decision("must_link", left, right)])

    with pytest.raises(RefusedError, match=r"crm:1 = crm:2.*crm:6 = crm:7.*crm:1 ≠ crm:7"):
        write_decisions(settings, [decision("cannot_link", chain[0], chain[-1])])


def test_a_spreadsheet_is_stored_whole_or_not_at_all(settings: Settings, tmp_path: Path) -> None:
    """One row withdraws an answer, one gives another that the target refuses: the first stands as it was."""
    longest = "9" * 65  # one more than a legacy key may have
    write_decisions(settings, [decision("must_link", A, B)])
    pairs = (doubtful(1, 2, answer="same"), doubtful(1, int(longest)))
    export_pairs(tmp_path / "pairs.xlsx", pairs, book_words("en"), masked=True)
    book = openpyxl.load_workbook(tmp_path / "pairs.xlsx")
    book["pairs"].cell(3, 1).value = None
    book["pairs"].cell(4, 1).value = "different"
    book.save(tmp_path / "pairs.xlsx")
    pl.DataFrame({"system": ["crm"] * 3, "source_id": ["1", "2", longest]}).write_parquet(tmp_path / "records.parquet")

    with pytest.raises(OpsError):
        import_answers(tmp_path / "pairs.xlsx", DecisionStore(settings, "tester"), tmp_path / "records.parquet", execute=True)

    assert [(one.kind, one.pair) for one in read_decisions(settings)] == [("must_link", (A, B))]
