"""The report: samples never look like totals, no sentence lacks its Chinese, every code has words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from etl.assess.estimate import estimate_move
from etl.assess.inventory import describe_table
from etl.assess.model import AssessResult, DatabaseFacts, DuplicateEstimate, Finding, IdentifierUse, Rates, SharedIdentifier
from reports.document import Document
from reports.documents import assess as module
from reports.documents.assess import assess_document, count_text
from reports.documents.assess_texts import CHANGE_SOURCES, IDENTIFIERS, MEANING, NOTES
from reports.html import render_html
from reports.text import chinese, tr
from tests.unit.assess.tables import MEMBER, NOTE, by_name

ROOT = Path(__file__).resolve().parents[3]


def result() -> AssessResult:
    """An assessment with something of everything."""
    tables = by_name(MEMBER, NOTE)
    findings = tuple(
        Finding(code, "bad", MEMBER.name, "Name", 3, 100, sampled=False, sample_key="7", values=places(code)) for code in MEANING
    )
    uses = tuple(IdentifierUse(kind, MEMBER.name, "Phone", 10, 9, 1, sampled=True) for kind in IDENTIFIERS)
    shared = tuple(SharedIdentifier(kind, 9, 1) for kind in IDENTIFIERS)
    return AssessResult(
        server_version="16.0.1000.6 Developer Edition",
        databases=(DatabaseFacts("crm", "Chinese_PRC_CI_AS", 936, True, False, True, "7 days"),),
        tables=tuple(describe_table(table, frozenset()) for table in tables.values()),
        findings=findings,
        duplicates=DuplicateEstimate(100, 85, 15, 1, 20, True, uses, shared),
        estimate=estimate_move(tables, {}, Rates(), ()),
        notes=tuple(NOTES),
        paused_seconds=2.0,
        seconds=3.0,
    )


def places(code: str) -> tuple[tuple[str, str], ...]:
    """A value for every place in the sentences of a code."""
    return tuple((place, place.upper()) for sentence in MEANING[code] for place in re.findall(r"\{(\w+)\}", sentence))


def test_every_code_that_is_found_has_a_sentence() -> None:
    found = set()
    for path in (ROOT / "etl" / "assess").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Finding", "ColumnCheck"):
                found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)} if node.args else set()
    assert len(found) > 15
    assert found <= MEANING.keys()


def test_every_sentence_exists_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    def spy(lang: str, english: str, /, **values: object) -> str:
        asked.add(english)
        return tr(lang, english, **values)

    monkeypatch.setattr(module, "tr", spy)
    render(assess_document(result(), "zh"))
    asked |= {sentence for pair in MEANING.values() for sentence in pair} | set(CHANGE_SOURCES.values()) | set(NOTES.values())
    assert not sorted(asked - chinese().keys())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_stands_alone(lang: str) -> None:
    page = render(assess_document(result(), lang))
    assert "crm.dbo.Member" in page
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)


def test_a_count_from_a_sample_is_a_lower_bound() -> None:
    sampled = Finding("orphan", "bad", MEMBER.name, "X", 12, 200_000, sampled=True)
    whole = Finding("orphan", "bad", MEMBER.name, "X", 12, 200_000)
    assert count_text(sampled, "en") == "at least 12, from a sample of 200,000 rows"
    assert count_text(sampled, "zh") == "至少 12（抽样 200,000 行）"
    assert count_text(whole, "en") == 12


def render(document: Document) -> str:
    """The whole page."""
    return render_html(document)
