"""Conflicts of sync, as documents. Personal values are masked before they come here."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.sync.conflict_view import ConflictList, Settled, ShownConflict
from reports.document import Document, Figure, Status, Table, Verdict
from reports.documents.sync_texts import direction_text, rule_text, side_text
from reports.text import tr


def conflicts_document(found: ConflictList, lang: str) -> Document:
    """The list, newest first."""
    return Document(
        title=tr(lang, "Sync: conflicts"),
        verdict=list_verdict(found, lang),
        figures=(
            Figure(tr(lang, "Open"), found.open),
            Figure(tr(lang, "Kept altogether"), sum(count for count, _ in found.counts.values())),
        ),
        tables=(*list_table(found, lang), *counts_table(found, lang)),
        next_steps=list_steps(found, lang),
        lang=lang,
    )


def list_verdict(found: ConflictList, lang: str) -> Verdict:
    """Whether somebody has to look at any."""
    if found.open:
        return Verdict("warn", tr(lang, "{count} conflicts were decided by rule and not yet looked at.", count=f"{found.open:,}"))
    return Verdict("ok", tr(lang, "No conflict is open."))


def list_table(found: ConflictList, lang: str) -> tuple[Table, ...]:
    """One line a conflict; no table while there are none."""
    columns = (
        "", tr(lang, "Number"), tr(lang, "Found (UTC)"), tr(lang, "Table"), tr(lang, "Key"), tr(lang, "Columns"),
        tr(lang, "Rule"), tr(lang, "Kept the value of"), tr(lang, "Settled by"),
    )  # fmt: skip
    rows = tuple(
        (
            status_of(one), one.conflict_id, seconds(one.found_at), one.table, one.key, columns_text(one, lang),
            rule_text(one.rule, lang), side_text(one.winner, lang), one.settled_by,
        )
        for one in found.conflicts
    )  # fmt: skip
    return (Table(tr(lang, "Conflicts"), columns, rows, status_column=0),) if rows else ()


def counts_table(found: ConflictList, lang: str) -> tuple[Table, ...]:
    """How many there are of each table."""
    columns = (tr(lang, "Table"), tr(lang, "Open"), tr(lang, "Kept altogether"))
    rows = tuple((table, unsettled, count) for table, (count, unsettled) in sorted(found.counts.items()))
    return (Table(tr(lang, "By table"), columns, rows),) if len(rows) > 1 else ()


def list_steps(found: ConflictList, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if not found.conflicts:
        return ()
    number = found.conflicts[0].conflict_id
    steps = [tr(lang, "Look at one: `membershift sync conflicts show {number}`.", number=number)]
    if found.open:
        steps.append(tr(lang, "Content with the result: `membershift sync conflicts settle {number}`.", number=number))
    return tuple(steps)


def conflict_document(one: ShownConflict, lang: str) -> Document:
    """One conflict with both images."""
    figures = [
        Figure(tr(lang, "Table"), one.table),
        Figure(tr(lang, "Key"), one.key),
        Figure(tr(lang, "Columns"), columns_text(one, lang)),
        Figure(tr(lang, "Rule"), rule_text(one.rule, lang)),
        Figure(tr(lang, "Found (UTC)"), seconds(one.found_at), direction_text(one.direction, lang)),
    ]
    if one.settled_at is not None:
        figures.append(Figure(tr(lang, "Settled (UTC)"), seconds(one.settled_at), one.settled_by or ""))
    if one.note:
        figures.append(Figure(tr(lang, "Note"), one.note))
    return Document(
        title=tr(lang, "Sync: conflict {number}", number=one.conflict_id),
        verdict=conflict_verdict(one, lang),
        figures=tuple(figures),
        tables=images_table(one, lang),
        next_steps=conflict_steps(one, lang),
        lang=lang,
    )


def conflict_verdict(one: ShownConflict, lang: str) -> Verdict:
    """What became of it."""
    winner = side_text(one.winner, lang)
    if one.deleted:
        text = tr(lang, "One side deleted the row while the other changed it; {winner} prevailed.", winner=winner)
    else:
        text = tr(lang, "Both sides changed the row; the value of {winner} was kept.", winner=winner)
    return Verdict(status_of(one), text)


def images_table(one: ShownConflict, lang: str) -> tuple[Table, ...]:
    """The row as each side had it: what the conflict is about, then what else differs, then the rest."""
    columns = ("", tr(lang, "Column"), tr(lang, "Legacy side"), tr(lang, "Target"))
    ordered = sorted(one.values, key=lambda value: (not value.decided, not value.differs))
    rows = tuple(
        ("bad" if value.decided else "warn" if value.differs else "ok", value.name, value.source, value.target)
        for value in ordered
    )
    note = tr(lang, "Personal values are masked. Two values may differ and look alike.")
    return (Table(tr(lang, "The row as each side had it"), columns, rows, note, status_column=0),) if rows else ()


def conflict_steps(one: ShownConflict, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if one.settled_at is not None:
        return ()
    return (
        tr(lang, "Content with the result: `membershift sync conflicts settle {number}`.", number=one.conflict_id),
        tr(lang, "Else correct the row in the application, on either side: that is a change like any other."),
    )


def settled_document(settled: Settled, lang: str) -> Document:
    """What `sync conflicts settle` noted."""
    text = tr(lang, "{count} conflicts are settled.", count=f"{settled.count:,}")
    figures = () if settled.asked is None else (Figure(tr(lang, "Settled before"), settled.asked - settled.count),)
    return Document(tr(lang, "Sync: conflicts settled"), Verdict("ok", text), figures, lang=lang)


def columns_text(one: ShownConflict, lang: str) -> str:
    """What it is about."""
    return tr(lang, "the whole row") if one.deleted else ", ".join(one.columns)


def status_of(one: ShownConflict) -> Status:
    """A conflict's mark."""
    return "ok" if one.settled_at is not None else "warn"


def seconds(at: datetime) -> datetime:
    """A time of the target, which is UTC and does not say so."""
    return at.replace(tzinfo=UTC)
