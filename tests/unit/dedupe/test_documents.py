"""Reports of deduplication: the verdict follows what was found, and no word is missing in either language."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources
from itertools import pairwise

import pytest

from etl.dedupe.metrics import Surplus
from etl.dedupe.report import DedupeReport
from reports.document import Bar
from reports.documents.dedupe_explain import explain_document
from reports.documents.dedupe_report import report_document
from reports.documents.dedupe_review import book_words
from reports.documents.dedupe_texts import evidence_text
from reports.html import render_html
from tests.unit.dedupe.documents import BY_LABELS, BY_TRUTH, FOUND, REPORT, documents

LOW = replace(BY_LABELS.precision, low=0.90)


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (REPORT, "ok"),
        (replace(REPORT, quality=None), "warn"),
        (replace(REPORT, quality=BY_LABELS), "ok"),
        (replace(REPORT, quality=replace(BY_LABELS, precision=LOW)), "warn"),
        (replace(REPORT, quality=replace(BY_LABELS, pairs=20)), "warn"),
        (replace(REPORT, quality=replace(BY_TRUTH, surplus_after=Surplus(100, 4))), "warn"),
    ],
)
def test_a_deduplication_is_good_only_when_somebody_measured_so(report: DedupeReport, status: str) -> None:
    assert report_document(report, "en").verdict.status == status


def test_the_waterfall_ends_at_the_match_weight() -> None:
    table = explain_document(FOUND, "en").tables[0]
    bars = [row[-1] for row in table.rows if isinstance(row[-1], Bar)]
    steps, together = bars[: len(FOUND.weights)], bars[len(FOUND.weights)]
    assert all(before.end == after.start for before, after in pairwise(steps))
    assert together.end == pytest.approx(FOUND.weight)
    assert {bar.low for bar in bars} == {together.low}, "one axis for all"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_report_stands_alone_as_html(lang: str) -> None:
    for document in documents(lang):
        page = render_html(document)
        assert "<script" not in page
        assert "http" not in page.replace('xmlns="http', "")


def test_words_of_the_chinese_comparison_set_are_translated() -> None:
    model = tomllib.loads(resources.files("etl.dedupe").joinpath("models", "chinese_members.toml").read_text("utf-8"))
    words = {rule["name"] for rule in (*model["block"], *model["train"])}
    for comparison in model["comparison"]:
        words |= {comparison["title"], *(level["name"] for level in comparison["level"])}
    assert not sorted(word for word in words if evidence_text(word, "zh") == word)


def test_the_spreadsheet_speaks_chinese() -> None:
    words = book_words("zh")
    assert words.answers == ("同一人", "不同人", "不确定")
    assert all(any(character >= "一" for character in line) for line in words.how)
