"""The terminal review: one doubtful pair at a time, side by side, answered with a single key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.keys import END, ReadKey, open_keys
from cli.output import console
from cli.tables import COLOURS, MARKS
from etl.dedupe.review_session import ReviewSession
from reports.document import Bar, draw_bar
from reports.documents.dedupe_texts import evidence_text, fact_title, reason_text
from reports.text import tr

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from etl.dedupe.model import FieldWeight
    from etl.dedupe.review import Compared, DoubtfulPair

Explain = Callable[["DoubtfulPair"], tuple["FieldWeight", ...]]
WIDEST = 110
BARS = 28


@dataclass(frozen=True)
class ReviewScreen:
    """What the screen needs beside the session: how a pair's weight comes about, where merging begins, the language.

    `blind` hides the weights: what the model thinks must not sway answers that measure it. `beside`: show the pairs on standard
    error, because standard output is for a program.
    """

    explain: Explain
    match_weight: float
    lang: str
    blind: bool = False
    beside: bool = False


def review_in_terminal(session: ReviewSession, screen: ReviewScreen) -> None:
    """Show pair after pair until all are answered or the reader stops. Answers are stored by the session as they are given."""
    view = console(stderr=screen.beside)
    width = min(view.width, WIDEST)
    with open_keys() as read:
        while (pair := session.now) is not None:
            view.print(pair_view(pair, session, screen), width=width, highlight=False)
            if not take_answer(session, read, view, screen.lang):
                return


def take_answer(session: ReviewSession, read: ReadKey, view: Console, lang: str) -> bool:
    """Wait for a key that means something; False when the reader wants to stop."""
    while True:
        match read():
            case "y":
                problem = session.answer("same")
            case "n":
                problem = session.answer("different")
            case "s" | " ":
                session.skip()
                problem = ""
            case "u":
                problem = "" if session.undo() else tr(lang, "There is nothing to undo.")
            case "q" | "\x03":
                return False
            case key if key == END:
                return False
            case _:
                continue
        if not problem:
            return True
        told = f"[bold {COLOURS['bad']}]{MARKS['bad']}[/] {tr(lang, 'Not stored:')} {escape(problem)}"
        view.print(told, highlight=False, soft_wrap=True)


def pair_view(pair: DoubtfulPair, session: ReviewSession, screen: ReviewScreen) -> RenderableType:
    """Everything about one pair, in 80 columns or more."""
    parts = [heading(pair, session, screen), side_by_side(pair, screen.lang)]
    if not screen.blind:
        parts.append(waterfall(screen.explain(pair), screen.lang))
    return Group(*parts, keys_line(screen.lang))


def heading(pair: DoubtfulPair, session: ReviewSession, screen: ReviewScreen) -> RenderableType:
    """Where we are, and why this pair is in doubt."""
    tally = session.tally
    where = tr(
        screen.lang,
        "Pair {number} of {total} · {same} same · {different} different · {skipped} skipped",
        number=f"{session.position + 1:,}",
        total=f"{session.total:,}",
        same=f"{tally.same:,}",
        different=f"{tally.different:,}",
        skipped=f"{tally.skipped:,}",
    )
    done = round(20 * session.position / session.total)
    progress = f"[{COLOURS['ok']}]{'━' * done}[/][dim]{'─' * (20 - done)}[/]"
    weight = tr(
        screen.lang, "weight {weight}, merged from {match}", weight=signed(pair.weight), match=f"{screen.match_weight:.1f}"
    )
    why = f"[bold]{escape(reason_text(pair.reason, screen.lang))}[/]"
    why += "" if screen.blind else f"  [dim]{escape(weight)}[/]"
    known = {"same": tr(screen.lang, "Answered before: same."), "different": tr(screen.lang, "Answered before: different.")}
    before = [known[pair.answer]] if pair.answer else []
    return Group("", Text.from_markup(f"{progress} {escape(where)}"), Text.from_markup(why), *before)


def signed(weight: float | None) -> str:
    """A weight with its sign; a dash for a pair that was never weighed.

    >>> signed(6.25), signed(-3.0), signed(None)
    ('+6.2', '-3.0', '-')
    """
    return "-" if weight is None else f"{weight:+.1f}"


def side_by_side(pair: DoubtfulPair, lang: str) -> Table:
    """Both records in two columns; what differs is marked by a sign and a colour."""
    table = Table(box=None, pad_edge=False, expand=True, show_edge=False)
    table.add_column("", ratio=3, overflow="fold")
    table.add_column(Text(str(pair.left)), ratio=6, overflow="fold")
    table.add_column("", width=1)
    table.add_column(Text(str(pair.right)), ratio=6, overflow="fold")
    for fact in pair.facts:
        sign, style = sign_of(fact)
        left, right = differing(fact, style)
        table.add_row(Text(fact_title(fact.name, lang), style="dim"), left, Text(sign, style=style), right)
    return table


def sign_of(fact: Compared) -> tuple[str, str]:
    """The sign between both values and its colour."""
    if not fact.known:
        return "·", "dim"
    return ("=", COLOURS["ok"]) if fact.same else ("≠", f"bold {COLOURS['warn']}")


def differing(fact: Compared, style: str) -> tuple[Text, Text]:
    """Both values; where they have one length, only the characters that differ are underlined."""
    left, right = Text(fact.left), Text(fact.right)
    if fact.same or not fact.known:
        return left, right
    if len(fact.left) != len(fact.right):
        left.stylize(style)
        right.stylize(style)
        return left, right
    for place, (ours, theirs) in enumerate(zip(fact.left, fact.right, strict=True)):
        if ours != theirs:
            left.stylize(f"{style} underline", place, place + 1)
            right.stylize(f"{style} underline", place, place + 1)
    return left, right


def waterfall(weights: tuple[FieldWeight, ...], lang: str) -> Table:
    """The weight of each piece of evidence as a bar from nought; what a side lacks is named in one line."""
    table = Table(box=None, pad_edge=False, expand=True, show_header=False)
    table.add_column("", ratio=4, overflow="fold")
    table.add_column("", ratio=5, overflow="fold")
    table.add_column("", justify="right", width=6)
    table.add_column("", width=BARS + 1, no_wrap=True, overflow="crop")
    largest = max((abs(weight.weight) for weight in weights), default=1.0) or 1.0
    missing = [weight for weight in weights if weight.weight == 0]
    for weight in (weight for weight in weights if weight.weight != 0):
        bar = draw_bar(Bar(0.0, weight.weight, -largest, largest), BARS)
        colour = COLOURS["ok" if weight.weight >= 0 else "warn"]
        title, level = evidence_text(weight.title, lang), evidence_text(weight.level, lang)
        table.add_row(Text(title, style="dim"), Text(level), f"{weight.weight:+.1f}", Text(bar, style=colour))
    if missing:
        names = ", ".join(evidence_text(weight.title, lang) for weight in missing)
        table.add_row(Text(tr(lang, "Says nothing"), style="dim"), Text(names, style="dim"), "", "")
    total = sum(weight.weight for weight in weights)
    table.add_row(Text(tr(lang, "Together"), style="bold"), "", f"[bold]{total:+.1f}[/]", "")
    return table


def keys_line(lang: str) -> Text:
    """The keys that mean something."""
    keys = tr(lang, "[y] same person  [n] different  [s] skip  [u] undo  [q] stop")
    return Text(keys, style="bold")
