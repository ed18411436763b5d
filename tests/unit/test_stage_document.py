"""The stage's report: the verdict follows what happened, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etl.names import SourceTable
from etl.stage.run import StageResult
from etl.stage.summary import StageStatus, TableSummary
from reports.documents.stage import stage_document, status_document

NAME = SourceTable("crm", "dbo", "Member")
WHOLE = TableSummary(
    name=NAME,
    rows=300,
    expected_rows=300,
    bytes=2048,
    chunks_done=2,
    chunks=2,
    complete=True,
    isolation="snapshot",
    changed=False,
    ct_version=7,
    chunk_column="MemberId",
    left_out=(("RowVer", "rowversion: counts the source's own writes"),),
    begun_at="2026-01-01T00:00:00+00:00",
    finished_at="2026-01-01T00:00:01+00:00",
)
RESULT = StageResult((WHOLE,), (), 300, 2.0, 0.0, blind_to_load=False, driver="mssql-python")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("result", "status"),
    [
        (RESULT, "ok"),
        (replace(RESULT, tables=(replace(WHOLE, changed=True),)), "warn"),
        (replace(RESULT, refused=((NAME, "Any (sql_variant)"),)), "bad"),
    ],
)
def test_verdict_follows_what_happened(result: StageResult, status: str, lang: str) -> None:
    document = stage_document(result, lang)
    assert document.verdict.status == status
    assert document.next_steps


def test_a_pause_a_missing_right_and_a_slow_driver_are_told() -> None:
    told = stage_document(replace(RESULT, paused_s=65.0, blind_to_load=True, driver="pymssql"), "en")
    figures = {figure.label: figure for figure in told.figures}
    assert figures["Paused for the source"].value == "1 min 5 s"
    assert figures["--max-load"].note == "the login lacks VIEW SERVER STATE"
    assert "membershift[fast]" in figures["Driver"].note


def test_columns_left_out_are_listed_with_their_reason() -> None:
    (_, left_out) = stage_document(RESULT, "zh").tables
    assert left_out.rows == (("crm.dbo.Member", "RowVer", "rowversion：记录源库自身的写入次数"),)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (StageStatus((), running=False), "Nothing is staged yet."),
        (StageStatus((WHOLE,), running=False), "All 1 tables are whole."),
        (StageStatus((replace(WHOLE, complete=False),), running=True), "A stage is running; 1 tables are not whole yet."),
        (StageStatus((replace(WHOLE, complete=False),), running=False), "1 tables are not whole: run `membershift stage` again."),
    ],
)
def test_status_says_how_far_it_is(status: StageStatus, verdict: str) -> None:
    assert status_document(status, "en").verdict.text == verdict
