"""Random histories of a release, looked at after every event: nothing that is legal blinds those who watch."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import hypothesis.strategies as st
from hypothesis import given, settings
from rich.console import Console

from cli.release_screen import ReleaseScreen
from migrations.release.event_log import Logged
from migrations.release.machine import IllegalEvent
from migrations.release.model import Phase
from migrations.release.plan import Plan
from migrations.release.timeline import Teller, read_timeline
from migrations.release.view import view_of
from reports.documents.release_timeline import release_timeline_document
from reports.html import render_html
from reports.release_page import render_release_page
from tests.property.test_release_machine import NOON, PLANNED, WAVES, draw_event

PLAN = Plan.model_validate(
    {"name": "r", "wave": [{"name": f"w{number}", "stores": list(wave)} for number, wave in enumerate(WAVES)]}
)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_history_can_be_watched_and_told(data: st.DataObject) -> None:
    """A screen that breaks in the one order of events that nobody thought of breaks in the worst night."""
    teller, log = Teller(), [Logged(1, NOON.isoformat(), PLANNED)]
    teller.take(log[0])
    for number in range(2, data.draw(st.integers(10, 60))):
        at = NOON + timedelta(seconds=7 * number)
        logged = Logged(len(log) + 1, at.isoformat(), draw_event(data.draw, teller.state))
        try:
            teller.take(logged)
        except IllegalEvent:
            continue
        log.append(logged)
    timeline = teller.timeline()
    assert timeline is not None
    assert timeline == read_timeline(log), "what is taken in bit by bit is what is read at once"
    view = view_of(timeline, PLAN, (), (), NOON + timedelta(hours=1), "me")
    for wave in view.waves:
        assert sum(wave.by_route.values()) == len(wave.stores)
    assert sum(one.outcome == "under way" for one in timeline.switches) == (timeline.state.switch is not None)
    assert all(seconds >= 0 for seconds in timeline.fenced_s)
    assert sum(one.ended_at is None for one in timeline.pauses) == (timeline.state.phase is Phase.PAUSED)
    assert sum(one.ended_at is None for one in timeline.rollbacks) == (timeline.state.phase is Phase.ROLLING_BACK)
    lang = data.draw(st.sampled_from(["en", "zh"]))
    Console(width=80, height=24, file=StringIO()).print(ReleaseScreen(lambda: view, lang))
    assert "</html>" in render_release_page(view, lang, "n")
    assert "</html>" in render_html(release_timeline_document(timeline, view.now, lang))
