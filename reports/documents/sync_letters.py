"""Dead letters of sync, as documents."""

from __future__ import annotations

from datetime import UTC

from etl.sync.letters import LetterList, SettledLetters
from etl.sync.retry import Retried
from reports.document import Document, Figure, Table, Verdict
from reports.documents.sync_texts import direction_text, reason_text
from reports.text import told, tr


def letters_document(found: LetterList, lang: str) -> Document:
    """The list, newest first."""
    return Document(
        title=tr(lang, "Sync: dead letters"),
        verdict=list_verdict(found, lang),
        figures=tuple(Figure(direction_text(direction, lang), count) for direction, count in sorted(found.counts.items())),
        tables=list_table(found, lang),
        next_steps=list_steps(found, lang),
        lang=lang,
    )


def list_verdict(found: LetterList, lang: str) -> Verdict:
    """Whether any waits."""
    if found.open:
        return Verdict("bad", tr(lang, "{count} rows could not be carried over.", count=f"{found.open:,}"))
    return Verdict("ok", tr(lang, "Every row could be carried over."))


def list_table(found: LetterList, lang: str) -> tuple[Table, ...]:
    """One line a letter; no table while there are none."""
    columns = (
        "", tr(lang, "Number"), tr(lang, "Direction"), tr(lang, "Part"), tr(lang, "Key"), tr(lang, "Reason"), tr(lang, "Detail"),
        tr(lang, "Attempts"), tr(lang, "First (UTC)"), tr(lang, "Last (UTC)"),
    )  # fmt: skip
    rows = tuple(
        (
            "ok" if one.settled_at is not None else "bad", one.letter_id, direction_text(one.direction, lang), one.part, one.key,
            reason_text(one.reason, lang), told(lang, one.detail), one.attempts,
            one.first_at.replace(tzinfo=UTC), one.last_at.replace(tzinfo=UTC),
        )
        for one in found.letters
    )  # fmt: skip
    return (Table(tr(lang, "Dead letters"), columns, rows, status_column=0),) if rows else ()


def list_steps(found: LetterList, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if not found.open:
        return ()
    return (
        tr(lang, "Mend the cause: correct the row, or widen the legacy column. A changed row is tried again by itself."),
        tr(lang, "Try all now: `membershift sync dead-letters retry --execute`."),
        tr(lang, "Carried over by hand: `membershift sync dead-letters settle NUMBER`."),
    )


def retried_document(result: Retried, lang: str) -> Document:
    """What became of the rows that were tried again."""
    figures = [Figure(tr(lang, "Open dead letters"), result.found)]
    if result.executed:
        figures += [
            Figure(tr(lang, "Carried over now"), result.carried),
            Figure(tr(lang, "Refused again"), result.refused),
            Figure(tr(lang, "Nothing left to send"), result.gone),
        ]
    if result.left:
        figures.append(Figure(tr(lang, "Letters of the way to the target"), result.left, tr(lang, "not tried here")))
    return Document(
        title=tr(lang, "Sync: dead letters tried again"),
        verdict=retried_verdict(result, lang),
        figures=tuple(figures),
        next_steps=retried_steps(result, lang),
        lang=lang,
    )


def retried_verdict(result: Retried, lang: str) -> Verdict:
    """One sentence on what happened."""
    if not result.found:
        return Verdict("ok", tr(lang, "There is nothing to try again here."))
    if not result.executed:
        return Verdict("warn", tr(lang, "Nothing was changed. {count} rows would be tried again.", count=f"{result.found:,}"))
    if result.refused:
        return Verdict("bad", tr(lang, "{count} rows were refused again.", count=f"{result.refused:,}"))
    return Verdict("ok", tr(lang, "No row is left behind."))


def retried_steps(result: Retried, lang: str) -> tuple[str, ...]:
    """What to do next."""
    steps = []
    if result.found and not result.executed:
        steps.append(tr(lang, "Add --execute to write them to the other side."))
    if result.refused:
        steps.append(tr(lang, "See why: `membershift sync dead-letters list`."))
    if result.left:
        steps.append(tr(lang, "The sync that is running tries rows on their way to the target by itself."))
    return tuple(steps)


def settled_document(settled: SettledLetters, lang: str) -> Document:
    """What `sync dead-letters settle` noted."""
    text = tr(lang, "{count} dead letters are settled.", count=f"{settled.count:,}")
    figures = (Figure(tr(lang, "Settled before"), settled.asked - settled.count),)
    return Document(tr(lang, "Sync: dead letters settled"), Verdict("ok", text), figures, lang=lang)
