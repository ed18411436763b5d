"""The live screen of a release: verdict first, what comes next, then waves, stores on their way, gates, figures and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.tables import COLOURS, MARKS
from migrations.release.events import Event, MinuteJudged, Routed, StepDone, WindowJudged
from migrations.release.model import Route
from migrations.release.view import GateLine, ReleaseView, WaveLine
from reports.document import Status
from reports.documents.release_view import (
    STANDING_STATUS,
    facts_of,
    minute_text,
    next_text,
    sparkline,
    view_verdict,
    wave_state,
)
from reports.documents.release_words import (
    GATES,
    ROUTES,
    STATUS,
    event_status,
    event_text,
    figure_text,
    step_text,
    word,
)
from reports.text import tr

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SHOWN_ROUTES: Final = (Route.LEGACY, Route.SHADOW, Route.FENCED, Route.TIDB, Route.COMPLETE)
LEAST_EVENTS: Final = 3
WIDEST: Final = 120


class ReleaseScreen:
    """A renderable that looks anew each time it is drawn."""

    def __init__(self, look: Callable[[], ReleaseView], lang: str, page_at: str = "") -> None:
        self.look, self.lang, self.page_at = look, lang, page_at

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        yield draw(self.look(), self.lang, console.width, console.height, self.page_at)


def draw(view: ReleaseView, lang: str, width: int, height: int, page_at: str = "") -> Group:
    """The whole picture, in at most `height` lines where there are at least two dozen: waves and events that do not fit are left
    out, and told by number."""
    upper = [head(view, lang), *facts(view, lang, width)]
    lower = [*gate_part(view, lang, width), *alert_part(view, lang)]
    room = max(LEAST_EVENTS + 2, height - len(upper) - len(lower) - 6)
    waves = min(len(view.waves), max(2, room - LEAST_EVENTS))
    parts: list[Text | Table] = [
        *upper,
        Text(""),
        wave_table(view, lang, width, waves),
        *moving_part(view, lang),
        Text(""),
        *lower,
    ]
    parts += [event_table(view, lang, width, max(LEAST_EVENTS, room - waves))]
    parts.append(
        Text(" · ".join(part for part in (page_at, tr(lang, "Ctrl-C ends the watching, not the release")) if part), "dim")
    )
    for part in parts:
        if isinstance(part, Text):
            part.no_wrap, part.overflow = True, "ellipsis"
    return Group(*parts)


def head(view: ReleaseView, lang: str) -> Text:
    """The first line."""
    verdict = view_verdict(view, lang)
    mark = f"[bold {COLOURS[verdict.status]}]{MARKS[verdict.status]} {escape(verdict.text)}[/]"
    return Text.from_markup(f"[bold]{escape(view.release)}[/]  {mark}")


def facts(view: ReleaseView, lang: str, width: int) -> list[Text]:
    """A line each: what is next, who is at work, windows, instances, trouble; two for errors."""
    spark = sparkline(view.minutes[-max(10, width - 10) :], view.error_limit)
    lines = [named(name, text, status) for name, text, status in facts_of(view, lang)]
    return [*lines, fact(lang, "Errors", minute_text(view, lang)), Text(spark, style=COLOURS["ok"])]


def named(name: str, text: str, status: Status | None = None) -> Text:
    """A name and what there is to say."""
    return Text.assemble((f"{name}  ", "bold"), (text, COLOURS[status] if status else ""))


def fact(lang: str, name: str, text: str, status: Status | None = None) -> Text:
    """The same, with a name in English."""
    return named(tr(lang, name), text, status)


def wave_table(view: ReleaseView, lang: str, width: int, most: int) -> Table:
    """A line a wave, the one under way among those shown."""
    table = new_table(width)
    table.add_column(tr(lang, "Wave"), no_wrap=True, overflow="ellipsis", max_width=18)
    table.add_column(tr(lang, "Stores"), justify="right", no_wrap=True)
    for route in SHOWN_ROUTES:
        table.add_column(word(lang, ROUTES, route), justify="right", no_wrap=True)
    table.add_column(tr(lang, "State"), no_wrap=True, overflow="ellipsis", ratio=1)
    shown = shown_waves(view.waves, most)
    for wave in shown:
        by_route = wave.by_route
        status = STANDING_STATUS.get(wave.standing)
        state = escape(wave_state(wave, lang))
        table.add_row(
            escape(f"{wave.wave + 1} {wave.name}"),
            f"{len(wave.stores):,}",
            *(route_cell(route, by_route[route]) for route in SHOWN_ROUTES),
            f"[{COLOURS[status]}]{MARKS[status]} {state}[/]" if status else f"[dim]{state}[/]",
        )
    if len(shown) < len(view.waves):
        table.add_row(escape(tr(lang, "and {count} more", count=len(view.waves) - len(shown))), style="dim")
    return table


def shown_waves(waves: Sequence[WaveLine], most: int) -> Sequence[WaveLine]:
    """Those around the one that is under way."""
    if len(waves) <= most:
        return waves
    busy = next((wave.wave for wave in waves if wave.standing not in ("promoted", "complete")), len(waves) - 1)
    first = max(0, min(busy - 1, len(waves) - most))
    return waves[first : first + most]


def route_cell(route: Route, count: int) -> str:
    """How many stores; closed ones in colour."""
    if not count:
        return "[dim]·[/]"
    return f"[bold {COLOURS['bad']}]{count:,}[/]" if route is Route.FENCED else f"{count:,}"


def moving_part(view: ReleaseView, lang: str) -> list[Text]:
    """The stores of the switch under way, with the step that they are at."""
    moving = [line for wave in view.waves for line in wave.stores if line.step]
    if not moving:
        return []
    names = " ".join(line.store for line in moving[:40])
    return [fact(lang, "On their way", f"{step_text(lang, str(moving[0].step))}: {names}", "warn")]


def gate_part(view: ReleaseView, lang: str, width: int) -> list[Text]:
    """All gates in as few lines as hold them; those overruled once are marked for ever."""
    if not view.gates and not view.forced:
        return []
    lines = [Text.assemble((f"{tr(lang, 'Gates')}  ", "bold"))]
    for gate in view.gates:
        cell = gate_cell(gate, lang)
        if lines[-1].cell_len + cell.cell_len > width:
            lines.append(Text("  "))
        lines[-1].append_text(cell)
    marks = [f"{word(lang, GATES, one.gate)} ({one.by}, {one.release}: {one.reason})" for one in view.forced]
    return [*lines, fact(lang, "Overruled", "; ".join(marks), "warn")] if marks else lines


def gate_cell(gate: GateLine, lang: str) -> Text:
    """A gate: its mark, its name, its figure, and a flag where somebody overruled it."""
    status = STATUS[gate.verdict]
    flag = " ⚑" if gate.forced or gate.marks else ""
    text = f"{MARKS[status]} {word(lang, GATES, gate.gate)} {figure_text(gate.gate, gate.figure)}".rstrip()
    return Text(f"{text}{flag}   ", style=COLOURS[status])


def alert_part(view: ReleaseView, lang: str) -> list[Text]:
    """The most urgent alerts that are open."""
    levels: dict[str, Status] = {"red": "bad", "yellow": "warn", "blue": "ok"}
    shown = [
        fact(lang, "Alert", f"#{one.id} {one.alert.title}: {one.alert.happened}", levels[one.alert.level])
        for one in view.alerts[:2]
    ]
    more = len(view.alerts) - len(shown)
    return [*shown, Text(tr(lang, "and {count} more", count=more), "dim")] if more > 0 else shown


def event_table(view: ReleaseView, lang: str, width: int, most: int) -> Table:
    """What happened last, the newest first. Minutes and windows have lines of their own above; of each only what is bad stays."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=min(width, WIDEST), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    told_events = [one for one in view.events[-400:] if not is_routine(one.event, moving=view.timeline.state.switch is not None)]
    for logged in reversed(told_events[-most:]):
        status = event_status(logged.event)
        text = escape(event_text(logged.event, lang))
        table.add_row(
            f"[dim]{logged.at[5:10]} {logged.at[11:19]}[/]", f"[{COLOURS[status]}]{text}[/]" if status != "ok" else text
        )
    return table


def is_routine(event: Event, *, moving: bool) -> bool:
    """What happens all the time when all is well; steps are of interest while stores are on their way."""
    if isinstance(event, StepDone):
        return not moving
    return isinstance(event, Routed) or (isinstance(event, MinuteJudged | WindowJudged) and event.verdict in ("GOOD", "PASS"))


def new_table(width: int) -> Table:
    """No lines, little room between, and less where there is little."""
    between = 2 if width >= 100 else 1
    return Table(box=None, pad_edge=False, padding=(0, between, 0, 0), width=min(width, WIDEST), header_style="bold")


def plain_line(view: ReleaseView, lang: str) -> str:
    """The same in one line, for a log."""
    counts = ", ".join(
        f"{word(lang, ROUTES, route)} {total:,}"
        for route in SHOWN_ROUTES
        if (total := sum(wave.by_route[route] for wave in view.waves))
    )
    parts = (view_verdict(view, lang).text, counts, minute_text(view, lang), next_text(view, lang))
    return f"{view.now:%Y-%m-%dT%H:%M:%SZ} {view.release}: {'; '.join(parts)}"
