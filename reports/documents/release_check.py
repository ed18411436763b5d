"""Every gate of a wave, and the map that is out, as documents."""

from __future__ import annotations

from datetime import UTC, datetime

from migrations.release.acks import Ack
from migrations.release.figures import Verdict as GateVerdict
from migrations.release.figures import words
from migrations.release.gates.base import Answer
from migrations.release.look import Checked, Published
from reports.document import Document, Figure, Status, Table, Verdict
from reports.documents.release_plan import opening_text, some
from reports.documents.release_texts import route_text
from reports.documents.release_words import figure_text
from reports.text import told, tr

MARKS: dict[GateVerdict, Status] = {GateVerdict.PASS: "ok", GateVerdict.FAIL: "bad", GateVerdict.UNKNOWN: "warn"}


def check_document(checked: Checked, lang: str) -> Document:
    """Figure, limit, age, verdict, and the command that would fix it."""
    failing = [answer.gate for answer in checked.answers if not answer.passed]
    values = {"wave": checked.wave + 1, "name": checked.name, "gates": ", ".join(failing)}
    if failing:
        verdict = Verdict("bad", tr(lang, "Wave {wave} ({name}) is held by: {gates}.", **values))
    else:
        verdict = Verdict("ok", tr(lang, "Every gate of wave {wave} ({name}) lets it go on.", **values))
    ready = told(lang, checked.missing) or tr(lang, "nothing is missing")
    return Document(
        title=tr(lang, "Release: gates"),
        verdict=verdict,
        figures=(
            Figure(tr(lang, "Switches now"), *opening_text(checked.opening, lang)),
            Figure(tr(lang, "Before a store is closed"), ready),
        ),
        tables=(gate_table(checked, lang),),
        next_steps=tuple(
            dict.fromkeys(f"{one.gate}: `{one.remedy}`" for one in checked.answers if not one.passed and one.remedy)
        ),
        lang=lang,
    )


def remedy_text(answer: Answer) -> str:
    """A command stands out as one."""
    return f"`{answer.remedy}`" if answer.remedy.startswith("membershift ") else answer.remedy


def gate_table(checked: Checked, lang: str) -> Table:
    """A row for each gate."""
    columns = (
        "",
        tr(lang, "Gate"),
        tr(lang, "Verdict"),
        tr(lang, "Figure"),
        tr(lang, "Limit"),
        tr(lang, "Age"),
        tr(lang, "Evidence"),
    )
    return Table(tr(lang, "Gates"), columns, tuple(gate_row(one, lang) for one in checked.answers), status_column=0)


def gate_row(answer: Answer, lang: str) -> tuple[object, ...]:
    """One gate. One that was overruled never looks like one that passes."""
    said = str(answer.verdict) + (f" ({tr(lang, 'overruled')})" if answer.forced else "")
    mark = "warn" if answer.forced else MARKS[answer.verdict]
    age = "" if answer.age_s is None else words(answer.age_s) if answer.age_s >= 0 else f"-{words(-answer.age_s)}"
    return (
        mark,
        answer.gate,
        said,
        figure_text(answer.gate, answer.figure),
        told(lang, answer.limit),
        age,
        told(lang, answer.evidence),
    )


def routes_document(published: Published, lang: str) -> Document:
    """The map that is out, and who keeps to it."""
    figures = (
        Figure(tr(lang, "Map"), published.sequence, published.path),
        Figure(tr(lang, "Map of the log"), published.wanted),
        Figure(tr(lang, "Published at"), published.published_at),
        Figure(tr(lang, "Instances that have it"), len(published.acknowledged)),
        Figure(tr(lang, "Instances that do not"), len(published.waiting)),
        Figure(tr(lang, "Instances whose lease lapsed"), len(published.lapsed)),
    )
    return Document(
        title=tr(lang, "Release: routes"),
        verdict=routes_verdict(published, lang),
        figures=figures,
        tables=(*route_tables(published, lang), *ack_tables(published, lang)),
        next_steps=routes_steps(published, lang),
        lang=lang,
    )


def routes_verdict(published: Published, lang: str) -> Verdict:
    """Whether what is out is what the log says, and whether everybody has it."""
    if published.sequence is None:
        return Verdict(
            "warn" if not published.wanted else "bad", tr(lang, "No map can be read: {why}.", why=told(lang, published.trouble))
        )
    values = {"sequence": published.sequence, "wanted": published.wanted, "count": len(published.waiting)}
    if published.trouble:
        return Verdict("bad", tr(lang, "Map {sequence} is not the one that the log says.", **values))
    if published.sequence != published.wanted:
        return Verdict("warn", tr(lang, "Map {sequence} is out, and the log says {wanted}.", **values))
    if published.waiting:
        return Verdict("warn", tr(lang, "Map {sequence} is out; {count} instances have not taken it.", **values))
    if not published.acknowledged:
        return Verdict("warn", tr(lang, "Map {sequence} is out; no instance is there to take it.", **values))
    return Verdict("ok", tr(lang, "Map {sequence} is out, and everybody who is there has it.", **values))


def route_tables(published: Published, lang: str) -> tuple[Table, ...]:
    """Stores by route."""
    rows = tuple((route_text(route, lang), len(stores), some(stores)) for route, stores in published.routes.items())
    columns = (tr(lang, "Where"), tr(lang, "Stores"), tr(lang, "Which"))
    return (Table(tr(lang, "Routes"), columns, rows),) if rows else ()


def ack_tables(published: Published, lang: str) -> tuple[Table, ...]:
    """A row for each application instance, those that are waited for first."""
    groups: tuple[tuple[Status, str, tuple[Ack, ...]], ...] = (
        ("warn", tr(lang, "has an older map"), published.waiting),
        ("ok", tr(lang, "has it"), published.acknowledged),
        ("warn", tr(lang, "lease lapsed: it writes no more"), published.lapsed),
    )
    now = datetime.now(UTC)
    rows = tuple(
        (mark, ack.instance, said, ack.sequence, words(max(0.0, ack.age_s(now))), ack.in_flight, ack.trouble)
        for mark, said, acks in groups
        for ack in acks
    )
    columns = (
        "",
        tr(lang, "Instance"),
        tr(lang, "State"),
        tr(lang, "Map"),
        tr(lang, "Age"),
        tr(lang, "Writes in flight"),
        tr(lang, "Trouble"),
    )
    return (Table(tr(lang, "Instances"), columns, rows, status_column=0),) if rows else ()


def routes_steps(published: Published, lang: str) -> tuple[str, ...]:
    """What to do."""
    steps = []
    if published.outputs:
        steps.append(tr(lang, "Written now: {places}.", places=", ".join(published.outputs)))
    if published.wanted and (published.trouble or published.sequence != published.wanted):
        steps.append(tr(lang, "A controller publishes it by itself; without one: `membershift release routes --publish`."))
    if published.waiting:
        steps.append(tr(lang, "docs/routes.md says what to do about an instance that does not take the map."))
    return tuple(steps)
