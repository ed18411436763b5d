"""The live screen of sync: verdict first, then each stream with what it waits for, then each table in each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.tables import COLOURS, MARKS
from etl.sync.model import Counts
from etl.sync.standing import Standing
from etl.sync.stats import StreamView
from etl.sync.throttle import THROTTLED
from reports.document import Status, human_duration
from reports.documents.sync_texts import waiting_text
from reports.text import tr

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

IN_STEP_S: Final = 5.0
"""A stream that was through with everything this long ago is in step."""

PAUSED: Final = "paused"
ARROWS: Final = {"forward": "→", "reverse": "←"}
AROUND: Final = 9
"""Lines of the screen that are neither a stream nor a table."""


@dataclass(frozen=True)
class Look:
    """What is shown: the streams, what was last counted on both sides (None: not yet), and about the process itself; `throttle`:
    what holds it back, "" nothing; `check`: what the background check found."""

    streams: tuple[StreamView, ...]
    standing: Standing | None
    up_s: float
    note: str = ""
    metrics_at: str = ""
    pid: int = 0
    throttle: str = ""
    check: CheckView | None = None


@dataclass(frozen=True)
class CheckView:
    """The background check: rows it looked at and those that differ, in the pass under way or the last. `problem`: why it
    rests."""

    rows: int
    differing: int
    problem: str = ""


@dataclass(frozen=True)
class TableLine:
    """One table in one direction: what was done since the process began, and what is still to do (None: not counted)."""

    direction: str
    table: str
    counts: Counts
    waiting: int | None

    @property
    def busy(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.waiting) or any(getattr(self.counts, field.name) for field in fields(Counts))


class SyncScreen:
    """A renderable that looks anew each time it is drawn."""

    def __init__(self, look: Callable[[], Look], lang: str) -> None:
        self.look = look
        self.lang = lang

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich."""
        yield draw(self.look(), self.lang, console.width, console.height)


def draw(look: Look, lang: str, width: int, height: int) -> Group:
    """The whole picture, in at most `height` lines where there are at least a dozen."""
    lines = [line for line in table_lines(look) if line.busy]
    room = max(3, height - AROUND - len(look.streams))
    parts: list[Text | Table] = [head(look, lang), kept_line(look, lang), Text(""), stream_table(look.streams, lang, width)]
    if lines:
        parts += [Text(""), line_table(lines[:room], lang, width)]
    if len(lines) > room:
        parts.append(Text(tr(lang, "and {count} more", count=len(lines) - room), style="dim"))
    parts.append(Text.from_markup(f"[dim]{escape(foot(look, lang))}[/]", overflow="ellipsis"))
    for part in parts:
        if isinstance(part, Text):
            part.no_wrap, part.overflow = True, "ellipsis"
    return Group(*parts)


def verdict(look: Look, lang: str) -> tuple[Status, str]:
    """How it is, in two words."""
    waiting = [stream.waiting for stream in look.streams if stream.waiting]
    if waiting and all(why == PAUSED for why in waiting):
        return "warn", tr(lang, "Paused")
    if waiting and all(why.startswith(THROTTLED) for why in waiting):
        return "warn", tr(lang, "Held back")
    if waiting:
        return "bad", tr(lang, "Waiting")
    if look.streams and all(stream.lag_s < IN_STEP_S for stream in look.streams):
        return "ok", tr(lang, "In step")
    return "warn", tr(lang, "Catching up")


def head(look: Look, lang: str) -> Text:
    """The first line."""
    status, words = verdict(look, lang)
    rest = tr(lang, "for {time}, process {pid}", time=human_duration(look.up_s), pid=look.pid)
    return Text.from_markup(
        f"[bold]membershift sync[/]  [bold {COLOURS[status]}]{MARKS[status]} {escape(words)}[/]  [dim]{escape(rest)}[/]"
    )


def kept_line(look: Look, lang: str) -> Text:
    """What waits for people."""
    if look.standing is None:
        return Text(tr(lang, "What is waiting has not been counted yet."), style="dim")
    conflicts, letters = look.standing.open_conflicts, look.standing.open_letters
    text = tr(lang, "{conflicts} open conflicts, {letters} open dead letters", conflicts=f"{conflicts:,}", letters=f"{letters:,}")
    if look.check is None:
        return Text(text, style=COLOURS["warn"] if conflicts or letters else "dim")
    differing = look.check.differing
    text += ", " + check_text(look.check, lang)
    return Text(text, style=COLOURS["bad"] if differing else COLOURS["warn"] if conflicts or letters else "dim")


def check_text(check: CheckView, lang: str) -> str:
    """What the background check found, in few words."""
    if check.problem:
        return tr(lang, "check rests: {why}", why=check.problem)
    return tr(lang, "check: {rows} rows, {count} differ", rows=f"{check.rows:,}", count=f"{check.differing:,}")


def stream_table(streams: Sequence[StreamView], lang: str, width: int) -> Table:
    """A line a stream."""
    table = new_table(width)
    table.add_column(tr(lang, "Stream"), no_wrap=True)
    table.add_column(tr(lang, "Behind"), justify="right", no_wrap=True)
    table.add_column(tr(lang, "Rows/s"), justify="right", no_wrap=True)
    table.add_column(tr(lang, "Rounds"), justify="right", no_wrap=True)
    table.add_column(tr(lang, "Waits for"), ratio=1, no_wrap=True, overflow="ellipsis")
    for stream in streams:
        colour = COLOURS["bad"] if stream.waiting else COLOURS["ok"] if stream.lag_s < IN_STEP_S else COLOURS["warn"]
        table.add_row(
            escape(stream_name(stream.name, lang)),
            f"[{colour}]{human_duration(stream.lag_s)}[/]",
            f"{stream.rate:,.1f}",
            f"{stream.rounds:,}",
            escape(tr(lang, "a person: it is paused") if stream.waiting == PAUSED else waiting_text(stream.waiting, lang)),
        )
    return table


def stream_name(name: str, lang: str) -> str:
    """A stream with its arrow.

    >>> stream_name("forward/crm", "en"), stream_name("reverse", "en")
    ('→ crm', '← legacy')
    """
    direction, _, database = name.partition("/")
    return f"{ARROWS[direction]} {database or tr(lang, 'legacy')}"


def table_lines(look: Look) -> list[TableLine]:
    """Every table in each direction, forward first; one that several legacy databases feed stands once."""
    counts: dict[tuple[str, str], Counts] = {}
    for stream in look.streams:
        direction = stream.name.partition("/")[0]
        for table, one in stream.tables.items():
            counts[direction, table] = total(counts.get((direction, table), Counts()), one)
    order = [one.name for one in look.standing.tables] if look.standing is not None else []
    for name in order:
        for direction in ARROWS:
            counts.setdefault((direction, name), Counts())
    lines = [TableLine(way, table, one, still_to_do(look.standing, way, table)) for (way, table), one in counts.items()]
    place = {name: at for at, name in enumerate(order)}
    return sorted(lines, key=lambda line: (line.direction, place.get(line.table, len(order)), line.table))


def total(one: Counts, other: Counts) -> Counts:
    """The sum of both."""
    return Counts(**{field.name: getattr(one, field.name) + getattr(other, field.name) for field in fields(Counts)})


def still_to_do(standing: Standing | None, direction: str, table: str) -> int | None:
    """Rows that are still to be carried over."""
    if standing is None:
        return None
    if direction == "forward":
        return standing.backlog_of(table)
    return next((one.dirty for one in standing.tables if one.name == table), None)


def line_table(lines: Sequence[TableLine], lang: str, width: int) -> Table:
    """A line a table and direction."""
    table = new_table(width)
    table.add_column(tr(lang, "Table"), no_wrap=True, overflow="ellipsis", ratio=1)
    for title in ("Written", "Deleted", "Conflicts", "Dead", "Held", "To do"):
        table.add_column(tr(lang, title), justify="right", no_wrap=True)
    for line in lines:
        one = line.counts
        cells = [f"{value:,}" if value else "·" for value in (one.written, one.deleted, one.conflicts, one.dead, one.held)]
        table.add_row(
            f"{ARROWS[line.direction]} {escape(line.table)}", *cells, "" if line.waiting is None else f"{line.waiting:,}"
        )
    return table


def new_table(width: int) -> Table:
    """No lines, little room between."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=min(width, 120), header_style="bold")


def foot(look: Look, lang: str) -> str:
    """What to press, and what was told last."""
    throttle = waiting_text(THROTTLED + look.throttle, lang) if look.throttle else ""
    parts = [
        throttle,
        look.note,
        f"{tr(lang, 'metrics')} {look.metrics_at}" if look.metrics_at else "",
        tr(lang, "Ctrl-C ends it"),
    ]
    return " · ".join(part for part in parts if part)


def plain_line(look: Look, lang: str) -> str:
    """The same in one line, for a log."""
    streams = "; ".join(
        f"{stream.name} {tr(lang, 'behind')} {stream.lag_s:.1f} s, {stream.rate:.1f} {tr(lang, 'rows/s')}"
        + (f", {tr(lang, 'waits for')}: {waiting_text(stream.waiting, lang)}" if stream.waiting else "")
        for stream in look.streams
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    standing = look.standing
    if standing is None:
        return f"{now} {verdict(look, lang)[1]}: {streams}"
    kept = tr(
        lang,
        "to do {forward} → {reverse} ←, {conflicts} open conflicts, {letters} open dead letters",
        forward=f"{standing.backlog:,}",
        reverse=f"{standing.dirty:,}",
        conflicts=f"{standing.open_conflicts:,}",
        letters=f"{standing.open_letters:,}",
    )
    checked = "" if look.check is None else f", {check_text(look.check, lang)}"
    return f"{now} {verdict(look, lang)[1]}: {streams}; {kept}{checked}"
