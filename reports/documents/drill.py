"""Drills: the list of them, and the verdict table of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from reports.document import Document, Figure, Status, Table, Verdict, human_duration
from reports.text import told, tr


class Listed(Protocol):
    """A drill, as far as the list goes."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def expect(self) -> str: ...
    @property
    def minutes(self) -> int: ...


class Answered(Protocol):
    """What the release did."""

    @property
    def how(self) -> str: ...
    @property
    def answered_s(self) -> float: ...
    @property
    def detected_s(self) -> float | None: ...
    @property
    def saw(self) -> str: ...


class Proof(Protocol):
    """What the judge and reconcile found."""

    @property
    def sales(self) -> int: ...
    @property
    def acknowledged(self) -> int: ...
    @property
    def doubtful(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def doubled(self) -> int: ...
    @property
    def wrong(self) -> Mapping[str, int]: ...
    @property
    def differing(self) -> int: ...
    @property
    def conflicts(self) -> int: ...
    @property
    def letters(self) -> int: ...
    @property
    def clean(self) -> bool: ...


class Told(Protocol):
    """Something that happened."""

    @property
    def at(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def values(self) -> Mapping[str, object]: ...


class Result(Protocol):
    """A drill that was run."""

    @property
    def drill(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def expected(self) -> str: ...
    @property
    def stores(self) -> int: ...
    @property
    def answered(self) -> Answered: ...
    @property
    def proof(self) -> Proof: ...
    @property
    def closed_s(self) -> float: ...
    @property
    def silent_s(self) -> float: ...
    @property
    def refused(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def target(self) -> str: ...
    @property
    def story(self) -> Sequence[Told]: ...
    @property
    def steps(self) -> Sequence[tuple[str, float]]: ...
    @property
    def passed(self) -> bool: ...


class Returned(Protocol):
    """A drill in production."""

    @property
    def stores(self) -> Sequence[str]: ...
    @property
    def back_s(self) -> float: ...
    @property
    def again_s(self) -> float: ...
    @property
    def closed_s(self) -> float: ...


def drills_document(drills: Iterable[Listed], lang: str) -> Document:
    """What can be tried."""
    rows = tuple((one.name, tr(lang, one.what), tr(lang, one.expect), one.minutes) for one in drills)
    columns = (tr(lang, "Drill"), tr(lang, "What happens"), tr(lang, "Stores have to be"), tr(lang, "About minutes"))
    return Document(
        title=tr(lang, "Drills"),
        verdict=Verdict("ok", tr(lang, "{count} drills, each on a private sandbox that is removed afterwards.", count=len(rows))),
        tables=(Table(tr(lang, "Drills"), columns, rows),),
        next_steps=(tr(lang, "Run one: `membershift drill run rollback`."),),
        lang=lang,
    )


def drill_document(result: Result, lang: str) -> Document:
    """The verdict, the table, and what happened when."""
    story = tuple((f"{one.at:.1f}", happened(one, lang)) for one in result.story)
    steps = tuple((step, f"{seconds:.1f}") for step, seconds in result.steps)
    columns = (tr(lang, "Seconds"), tr(lang, "What happened"))
    return Document(
        title=tr(lang, "Drill {name}", name=result.drill),
        verdict=verdict_of(result, lang),
        figures=(
            Figure(tr(lang, "What happens"), tr(lang, result.what)),
            Figure(tr(lang, "Target"), result.target),
            Figure(tr(lang, "Time"), human_duration(result.seconds)),
        ),
        tables=(
            verdict_table(result, lang),
            Table(tr(lang, "What happened when"), columns, story),
            Table(tr(lang, "Steps of the last switch"), (tr(lang, "Step"), tr(lang, "Seconds")), steps),
        ),
        next_steps=() if result.passed else (tr(lang, "Run it again with --keep, and look at the logs in its folder."),),
        lang=lang,
    )


def happened(one: Told, lang: str) -> str:
    """What a line of the story says; what the release itself said comes as text."""
    return tr(lang, one.text, **{name: told(lang, str(value)) for name, value in one.values.items()})


def verdict_of(result: Result, lang: str) -> Verdict:
    """One plain sentence."""
    proof, answered = result.proof, result.answered
    values = {"sales": f"{proof.sales:,}", "stores": result.stores, "seconds": f"{answered.answered_s:.1f}"}
    if not proof.clean:
        return Verdict(
            "bad",
            tr(
                lang,
                "Of {sales} acknowledged sales {lost} rows were lost and {doubled} doubled; {wrong} other deviations, "
                "{differing} rows differ.",
                **values,
                lost=proof.lost,
                doubled=proof.doubled,
                wrong=sum(proof.wrong.values()),
                differing=proof.differing,
            ),
        )
    if answered.how == "sold nothing":
        return Verdict("bad", tr(lang, "Nothing was lost, but stores that were to sell on sold nothing.", **values))
    if answered.how != result.expected:
        return Verdict("bad", tr(lang, "Nothing was lost, but stores went where they should not have gone.", **values))
    if answered.how == "held":
        return Verdict(
            "ok", tr(lang, "The release stood still after {seconds} s; none of {sales} acknowledged sales was lost.", **values)
        )
    return Verdict(
        "ok", tr(lang, "{stores} stores were back after {seconds} s; none of {sales} acknowledged sales was lost.", **values)
    )


def verdict_table(result: Result, lang: str) -> Table:
    """What every drill answers, each with its own verdict."""
    proof, answered = result.proof, result.answered
    detected = tr(lang, "ordered") if answered.detected_s is None else f"{answered.detected_s:.1f} s"
    did = tr(lang, "Held after") if result.expected == "held" else tr(lang, "Rolled back in")
    rows: list[tuple[object, ...]] = [
        ("ok", tr(lang, "Detected in"), detected, told(lang, tr(lang, answered.saw))),
        (mark(answered.how == result.expected), did, f"{answered.answered_s:.1f} s", ""),
        ("ok", tr(lang, "Stores closed for at most"), f"{result.closed_s:.1f} s", tr(lang, "by the release, each switch")),
        ("ok", tr(lang, "Nothing sold for at most"), f"{result.silent_s:.1f} s", tr(lang, "at all stores that had moved")),
        ("ok", tr(lang, "Sales acknowledged"), proof.sales, tr(lang, "of {count} transactions", count=proof.acknowledged)),
        (mark(not proof.lost), tr(lang, "Sales lost"), proof.lost, ""),
        (mark(not proof.doubled), tr(lang, "Sales doubled"), proof.doubled, ""),
        (mark(not proof.wrong), tr(lang, "Otherwise wrong"), sum(proof.wrong.values()), kinds(proof.wrong)),
        (mark(not proof.differing), tr(lang, "Rows differing"), proof.differing, ""),
        ("ok", tr(lang, "Conflicts kept"), proof.conflicts, ""),
        ("warn" if proof.letters else "ok", tr(lang, "Dead letters"), proof.letters, ""),
        ("ok", tr(lang, "Refused to customers"), result.refused, tr(lang, "not acknowledged, so not lost")),
        ("ok", tr(lang, "Never answered"), proof.doubtful, tr(lang, "there in whole or not at all")),
    ]
    columns = ("", tr(lang, "Question"), tr(lang, "Answer"), tr(lang, "Note"))
    return Table(tr(lang, "Verdict"), columns, tuple(rows), status_column=0)


def mark(good: bool) -> Status:
    """Of a row."""
    return "ok" if good else "bad"


def kinds(wrong: Mapping[str, int]) -> str:
    """Each kind of deviation with its count.

    >>> kinds({"points_wrong": 2, "sale_changed": 1})
    'points_wrong: 2, sale_changed: 1'
    """
    return ", ".join(f"{kind}: {count}" for kind, count in wrong.items())


def returned_document(result: Returned, lang: str) -> Document:
    """Stores went back and came again, in production."""
    values = {"count": len(result.stores), "back": f"{result.back_s:.1f}", "again": f"{result.again_s:.1f}"}
    return Document(
        title=tr(lang, "Drill in production"),
        verdict=Verdict("ok", tr(lang, "{count} stores went back within {back} s and came again within {again} s.", **values)),
        figures=(
            Figure(tr(lang, "Stores"), ", ".join(result.stores)),
            Figure(tr(lang, "Stores closed for at most"), human_duration(result.closed_s)),
        ),
        next_steps=(tr(lang, "Prove it: `membershift reconcile rows` and `membershift reconcile invariants`."),),
        lang=lang,
    )
