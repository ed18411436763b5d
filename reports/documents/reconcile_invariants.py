"""Invariants as a document: which hold, which were broken before, which quarantine explains, which nothing explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etl.reconcile.invariant_model import InvariantResult, InvariantsResult
from etl.reconcile.invariant_model import Verdict as Finding
from reports.document import Document, Figure, Status, Table, Verdict
from reports.text import tr

STATUS: Final[dict[Finding, Status]] = {
    Finding.OK: "ok",
    Finding.SAME_DEFECT: "warn",
    Finding.EXPLAINED: "warn",
    Finding.DIFFERS: "bad",
}


def invariants_document(result: InvariantsResult, lang: str) -> Document:
    """What `reconcile invariants` found."""
    figures = [
        Figure(tr(lang, "Invariants"), len(result.invariants)),
        *(Figure(finding_text(finding, lang), count(result.invariants, finding)) for finding in Finding),
        Figure(tr(lang, "Target read as of"), result.target_instant),
    ]
    if result.as_of is not None:
        figures.append(Figure(tr(lang, "Rules look back from"), result.as_of, tr(lang, "the end of the last day with an event")))
    return Document(
        title=tr(lang, "Reconcile: invariants"),
        verdict=verdict_of(result, lang),
        figures=tuple(figures),
        tables=(overview(result.invariants, lang), *details(result.invariants, lang)),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: InvariantsResult, lang: str) -> Verdict:
    """Whether the migration kept every sum and rule."""
    if result.failed:
        failed = [title_text(one, lang) for one in result.invariants if one.verdict is Finding.DIFFERS]
        return Verdict("bad", tr(lang, "The sides differ in: {names}.", names="; ".join(failed)))
    if count(result.invariants, Finding.OK) == len(result.invariants):
        return Verdict("ok", tr(lang, "Every sum and rule is the same on both sides."))
    return Verdict(
        "warn", tr(lang, "Every difference is explained by quarantine; what breaks a rule broke it in the source as well.")
    )


def count(invariants: Sequence[InvariantResult], finding: Finding) -> int:
    """How many invariants stand like this."""
    return sum(one.verdict is finding for one in invariants)


def overview(invariants: Sequence[InvariantResult], lang: str) -> Table:
    """One row for each invariant."""
    columns = (
        "",
        tr(lang, "Invariant"),
        tr(lang, "Values"),
        tr(lang, "Source"),
        tr(lang, "Target"),
        tr(lang, "Finding"),
        tr(lang, "Same defect on both sides"),
        tr(lang, "Explained by quarantine"),
        tr(lang, "Differs"),
    )
    rows = tuple(
        (
            STATUS[one.verdict],
            title_text(one, lang),
            ", ".join(one.columns),
            one.source,
            one.target,
            finding_text(one.verdict, lang),
            one.defects,
            one.explained,
            one.differing,
        )
        for one in invariants
    )
    note = tr(
        lang, "Rows and sums where the whole is compared; the number of rows that break it where it is a rule for each row."
    )
    return Table(tr(lang, "Invariants"), columns, rows, note, status_column=0)


def details(invariants: Sequence[InvariantResult], lang: str) -> tuple[Table, ...]:
    """The groups and keys of each invariant that says more than that all is well."""
    columns = (
        "",
        tr(lang, "Group or key"),
        tr(lang, "Source"),
        tr(lang, "Target"),
        tr(lang, "In quarantine"),
        tr(lang, "Finding"),
    )
    tables = []
    for one in invariants:
        rows = tuple(
            (STATUS[row.verdict], row.key, row.source, row.target, row.quarantined, finding_text(row.verdict, lang))
            for row in one.rows
        )
        hidden = one.defects + one.explained + one.differing - len(rows)
        note = tr(lang, "{count} more rows are counted and not listed.", count=f"{hidden:,}") if hidden else ""
        if rows:
            title = f"{title_text(one, lang)} ({', '.join(one.columns)})"
            tables.append(Table(title, columns, rows, note, status_column=0))
    return tuple(tables)


def finding_text(finding: Finding, lang: str) -> str:
    """A finding in words."""
    match finding:
        case Finding.OK:
            return tr(lang, "Same on both sides")
        case Finding.SAME_DEFECT:
            return tr(lang, "Same defect on both sides")
        case Finding.EXPLAINED:
            return tr(lang, "Explained by quarantine")
        case Finding.DIFFERS:
            return tr(lang, "Differs")


def title_text(one: InvariantResult, lang: str) -> str:
    """The invariant's title; those of a user's own rules are as written in the file."""
    return tr(lang, one.title)


def next_steps(result: InvariantsResult, lang: str) -> tuple[str, ...]:
    """What to do about it."""
    steps = []
    if result.failed:
        steps.append(tr(lang, "Run `membershift reconcile rows` to find the rows behind it."))
    if count(result.invariants, Finding.EXPLAINED):
        steps.append(tr(lang, "Run `membershift load rejects list` for the reasons of rows in quarantine."))
    if count(result.invariants, Finding.SAME_DEFECT):
        steps.append(
            tr(lang, "Defects that are in the source as well are not the migration's: correct them where they were made.")
        )
    steps += [tr(lang, note) for note in result.notes]
    return tuple(steps)
