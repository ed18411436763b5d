"""The demo's summary: what it says last is what people believe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.demo import DemoResult
from fixtures.demo_release import ReleaseShown
from fixtures.demo_steps import DemoStep
from reports.documents.demo import demo_document

STEP = DemoStep("Load them", "membershift load --execute", 0, 0, 3.5, "Every staged row is settled.")
SHOWN = ReleaseShown(
    stores=300, waves=(3, 10, 287), sales=1218, acknowledged=2306, lost=0, doubled=0, wrong=0, differing=0, refused=524,
    why="29% of 770 requests failed within a minute", detected_s=36.9, back_s=68.6, closed_s=6.4, target="8.0.11-TiDB-v8.5.3",
)  # fmt: skip
RESULT = DemoResult((STEP,), 0, 0, SHOWN, 305.9, (Path("demo-reports/release.html"),))


def test_what_was_lost_is_red() -> None:
    """A demo that lost a sale and ends in green is a lie."""
    assert demo_document(RESULT, "en").verdict.status == "ok"
    lossy = (replace(SHOWN, lost=1), replace(SHOWN, doubled=1), replace(SHOWN, wrong=1), replace(SHOWN, differing=1))
    for shown in lossy:
        bad = replace(RESULT, release=shown)
        assert not bad.passed
        document = demo_document(bad, "en")
        assert document.verdict.status == "bad"
        assert [row[0] for row in document.tables[1].rows].count("bad") == 1, shown


def test_each_half_has_its_sentence() -> None:
    """Who asks for one half is not told of the other."""
    both = replace(RESULT, planted=30, found=30)
    assert demo_document(RESULT, "en").verdict.text.startswith("300 stores moved, and went back by themselves 69 s after a fault")
    assert "all 30 planted differences" in demo_document(both, "en").verdict.text
    assert "300 stores" in demo_document(both, "en").verdict.text
    moved = replace(both, release=None)
    assert "stores" not in demo_document(moved, "en").verdict.text
    assert len(demo_document(moved, "en").tables) == 1


@pytest.mark.parametrize("shown", [SHOWN, replace(SHOWN, lost=2)])
def test_it_is_read_in_chinese(shown: ReleaseShown) -> None:
    """Headings, figures, and what they mean."""
    document = demo_document(replace(RESULT, release=shown, planted=30, found=30), "zh")
    texts = [document.title, document.verdict.text, *(table.title for table in document.tables)]
    texts += [str(row[1]) for row in document.tables[1].rows]
    assert [text for text in texts if not any("一" <= letter <= "鿿" for letter in text)] == []
