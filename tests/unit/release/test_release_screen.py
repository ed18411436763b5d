"""The live screen of a release, on terminals as people have them."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.release_screen import ReleaseScreen, plain_line
from migrations.release.acks import Ack
from migrations.release.alerts.model import Alert, Standing
from migrations.release.events import Planned, Started, WaveBegun
from migrations.release.model import Route
from migrations.release.plan import Plan
from migrations.release.view import ReleaseView, read_view
from tests.unit.release.example_logs import NOON, PLAN, Story, completed, in_the_middle, pilot_moved, rolled_back

STORIES = {"middle": in_the_middle, "back": rolled_back, "end": completed, "pilot": pilot_moved}


def view_of(story: Story, holder: str = "db1 12") -> ReleaseView:
    """With an alert and two instances."""
    ack = Ack("pos-1", story.state.sequence, story.now, 30, 0, "", "x")
    red = Standing(1, Alert("k", "red", "Errors", "25 % fail", "back", "look"), NOON, NOON, 1, 0)
    view = read_view(story.log, PLAN, (ack, replace(ack, instance="pos-2", sequence=1)), (red,), story.now, holder)
    assert view is not None
    return view


def lines_of(view: ReleaseView, width: int, lang: str, height: int = 40) -> list[str]:
    """What is seen."""
    console = Console(width=width, height=height, force_terminal=False, record=True, file=StringIO())
    console.print(ReleaseScreen(lambda: view, lang, "http://127.0.0.1:9188/"))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", STORIES)
def test_it_fits(name: str, width: int, lang: str) -> None:
    """A line that is folded hides the one that says what happens."""
    lines = lines_of(view_of(STORIES[name]()), width, lang, 40)
    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= 40
    assert "autumn" in lines[0]


def test_what_somebody_has_to_see_is_there() -> None:
    text = "\n".join(lines_of(view_of(in_the_middle()), 80, "en"))
    for part in (
        "red alerts open: 1", "finish the switch under way", "db1 12, map 4", "1 of 2 instances hold map 4, behind: pos-2",
        "reconcile: S4 S5 S6 S7", "✔ availability 99.97 %", "✘ training 85 % ⚑", "illness", "#1 Errors: 25 % fail",
        "wang approves wave 2", "✔ through",
    ):  # fmt: skip
        assert part in text, part


def test_nobody_at_work_is_the_first_thing_said() -> None:
    """A dead controller would have looked like a quiet release."""
    assert "Nobody carries it out" in lines_of(view_of(pilot_moved(), holder=""), 80, "en")[0]


def test_steps_that_are_long_over_leave_room() -> None:
    assert "step probe" not in "\n".join(lines_of(view_of(completed()), 80, "en"))
    assert "step drain is done" in "\n".join(lines_of(view_of(in_the_middle()), 80, "en"))


def test_many_waves_and_few_lines() -> None:
    """A release of thirty regions would have pushed the gates off the screen."""
    stores = [f"S{number}" for number in range(30)]
    plan = Plan.model_validate({"name": "autumn", "wave": [{"name": f"w{one}", "stores": [one]} for one in stores]})
    story = Story().add(Planned("autumn", tuple((one,) for one in stores), dict.fromkeys(stores, Route.LEGACY)), Started())
    story.add(WaveBegun(0)).switch(("S0",), Route.TIDB)
    view = read_view(story.log, plan, (), (), story.now, "me")
    assert view is not None
    lines = lines_of(view, 80, "en", 24)
    assert len(lines) <= 24
    assert any("1 w" in line for line in lines)
    assert any("and " in line and " more" in line for line in lines)


def test_names_are_no_markup() -> None:
    """A plan called [red] would have broken the screen."""
    view = replace(view_of(pilot_moved()), release="[red]x[/red]", trouble=("[bold]y[/]",))
    text = "\n".join(lines_of(view, 80, "en"))
    assert "[red]x[/red]" in text
    assert "[bold]y[/]" in text


def test_one_line_for_a_log() -> None:
    line = plain_line(view_of(pilot_moved()), "en")
    assert line.startswith("2026-11-23T12:00:10Z autumn: running, red alerts open: 1; legacy 10, TiDB 3;")
    assert "until 12:10:10 UTC (in 10 min 0 s)" in line
    assert "\n" not in line
