"""The report for those who approve a release."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from migrations.release.events import Forced
from reports.chart import Chart, Lane, Span, render_chart
from reports.document import Document
from reports.documents.release_evidence import evidence_text
from reports.documents.release_timeline import release_timeline_document
from reports.html import render_html
from tests.unit.release.example_logs import Story, completed, in_the_middle, rolled_back
from tests.unit.release.timeline_documents import documents, timeline_of


def told(story: Story, lang: str = "en") -> Document:
    """Its report at its end."""
    return release_timeline_document(timeline_of(story), story.now, lang)


def rows(document: Document, title: str) -> tuple[tuple[object, ...], ...]:
    """Of one of its tables; none where it is left out."""
    return next((table.rows for table in document.tables if table.title == title), ())


def test_a_release_with_shadows_is_no_plain_success() -> None:
    """Approvers would have signed what somebody had forced through."""
    verdict = told(completed()).verdict
    assert verdict.status == "warn"
    assert verdict.text.startswith("Completed: 13 stores are on TiDB for good, after ")
    assert "Gates overruled: 1. Switches that failed and were put back: 1." in verdict.text


def test_a_rollback_is_told_with_its_trigger_and_time() -> None:
    document = told(rolled_back())
    assert document.verdict.status == "bad"
    assert document.verdict.text.startswith("Rolled back: 25% of 1000 requests failed within a minute.")
    back = rows(document, "Triggers and rollbacks")[0]
    assert back[1:5] == ("S1, S2, S3", "trigger: fast burn", "25% of 1000 requests failed within a minute", "3.0 s")
    assert "TiDB was not waited for" in str(rows(document, "Switches")[-1][-1])


def test_each_switch_with_the_seconds_its_stores_were_closed() -> None:
    """The one figure that shops feel."""
    switches = rows(told(completed()), "Switches")
    assert [row[0] for row in switches] == ["bad", "ok", "ok", "ok"]
    assert [row[8] for row in switches] == [3.0, 2.5, 2.5, None]
    assert "put back at drain: Not everything arrived" in str(switches[0][-1])
    steps = rows(told(completed()), "Steps of the switches")
    assert len(steps) == 4 + 9 + 9 + 3
    assert any("acknowledged 50" in str(row[-1]) for row in steps)


def test_a_switch_under_way_has_no_end_yet() -> None:
    row = rows(told(in_the_middle()), "Switches")[-1]
    assert (row[0], row[7], row[8], row[9]) == ("warn", None, None, "under way")


def test_gates_as_each_wave_left_them() -> None:
    """An overruled gate that passes later would have looked like one that always did."""
    gates = rows(told(completed()), "Gates, as each wave left them")
    assert {(row[1], row[2]) for row in gates} >= {(1, "training"), (2, "training")}
    training = next(row for row in gates if row[2] == "training")
    assert training[0] == "bad"
    assert training[-1] == "li"
    assert next(row for row in gates if row[2] == "availability")[4] == "99.97 %"


def test_what_was_overruled_stays_in_the_report_of_the_next_release() -> None:
    story = rolled_back().add(Forced("lag", "no time", "li")).plan("winter")
    assert [row[:3] + row[4:] for row in rows(told(story), "Gates that were overruled")] == [
        ("lag of sync", "li", "no time", "autumn")
    ]


def test_evidence_of_a_rescue_names_what_had_not_come_back() -> None:
    assert evidence_text({"not_back": {"sale": 3}}, "en") == "not back: sale 3"
    assert evidence_text({"lapsed": ["a", "b", "c", "d"], "tso": 4711000}, "en") == "lapsed: 4; commit time 4711000"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_kind_is_one_whole_file(lang: str) -> None:
    """A report that is sent by mail must not ask a server for anything."""
    for document in documents(lang):
        page = render_html(document)
        assert page.count("<svg") >= 1
        assert not re.search(r"(src|href)=|url\(|<script|@import|https?://", page)
        Balanced().feed(page)


class Balanced(HTMLParser):
    """Every element that was opened is closed, in order."""

    EMPTY = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_picture_keeps_to_its_axis_and_escapes() -> None:
    """A reason that somebody typed would have run as a script in the browser of the one who approves."""
    lane = Lane("<b>", (Span(-1.0, 0.5, "ok", "</title><script>"), Span(0.9, 2.0, "bad", ""), Span(0.3, 0.3, "closed", "x")), 0.5)
    drawn = str(render_chart(Chart("t", (lane,), ((0.0, "a"), (1.0, "b")))))
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert 'x="0.00%" width="50.00%"' in drawn
    assert 'x="90.00%" width="10.00%"' in drawn
    assert 'class="closed" x="30.00%" width="0.15%"' in drawn


def test_a_release_of_a_second_has_an_axis() -> None:
    story = Story().plan()
    assert told(story).charts[0].ticks[0][0] == 0
    assert told(story).verdict.text.startswith("Not over: it is running, with 0 stores on TiDB")
