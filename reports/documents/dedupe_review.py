"""Reviewing doubtful pairs as documents: what a sitting came to, what a spreadsheet held, what was drawn or decided."""

from __future__ import annotations

from etl.dedupe.answers import Decided
from etl.dedupe.review_book import BookWords, ExportedReview
from etl.dedupe.review_files import ImportedReview
from etl.dedupe.review_session import ReviewTally
from reports.document import Document, Figure, Verdict
from reports.documents.dedupe_texts import FACTS, REASONS
from reports.text import tr


def tally_document(tally: ReviewTally, lang: str) -> Document:
    """What a sitting in the terminal came to."""
    steps = []
    if tally.left:
        steps.append(tr(lang, "Run `membershift dedupe review` again: it goes on with pairs that have no answer."))
    if tally.answered:
        steps.append(tr(lang, "Run `membershift dedupe run --execute` again to heed the decisions."))
    steps.append(tr(lang, "Run `membershift dedupe report` to see how good this is, and on what that was measured."))
    text = (
        tr(lang, "{count} pairs answered; {left} have no answer yet.", count=f"{tally.answered:,}", left=f"{tally.left:,}")
        if tally.answered or tally.left
        else tr(lang, "No pair waits for an answer.")
    )
    return Document(
        title=tr(lang, "Deduplicate: review"),
        verdict=Verdict("warn" if tally.left else "ok", text),
        figures=(
            Figure(tr(lang, "Same person"), tally.same),
            Figure(tr(lang, "Different people"), tally.different),
            Figure(tr(lang, "Skipped"), tally.skipped),
            Figure(tr(lang, "Undone"), tally.undone),
            Figure(tr(lang, "Without an answer"), tally.left),
        ),
        next_steps=tuple(steps),
        lang=lang,
    )


def exported_document(exported: ExportedReview, lang: str) -> Document:
    """What `review export` wrote."""
    shown = tr(lang, "masked") if exported.masked else tr(lang, "shown in full: keep the file where only those may look who must")
    return Document(
        title=tr(lang, "Deduplicate: review"),
        verdict=Verdict(
            "ok" if exported.masked else "warn",
            tr(lang, "{count} pairs written to {file}.", count=f"{exported.pairs:,}", file=exported.path),
        ),
        figures=(
            Figure(tr(lang, "Answered before"), exported.answered),
            Figure(tr(lang, "Personal values"), shown),
        ),
        next_steps=(
            tr(lang, "Answer in the column with the list; everything else is locked."),
            tr(lang, "Then run `membershift dedupe review import {file} --by NAME`.", file=exported.path.name),
        ),
        lang=lang,
    )


def imported_document(imported: ImportedReview, lang: str) -> Document:
    """What `review import` stored, or would store."""
    if not imported.changes:
        verdict = Verdict("ok", tr(lang, "Nothing was answered in {file} that is not stored already.", file=imported.file))
        steps: tuple[str, ...] = ()
    elif imported.executed:
        verdict = Verdict(
            "ok", tr(lang, "{count} answers stored from {file}.", count=f"{imported.changes:,}", file=imported.file)
        )
        steps = (tr(lang, "Run `membershift dedupe run --execute` again to heed the decisions."),)
    else:
        verdict = Verdict(
            "warn",
            tr(
                lang,
                "Dry run: nothing was stored. {count} answers in {file} are new.",
                count=f"{imported.changes:,}",
                file=imported.file,
            ),
        )
        steps = (tr(lang, "Run `membershift dedupe review import {file} --execute` to store them.", file=imported.file),)
    return Document(
        title=tr(lang, "Deduplicate: answers from a file"),
        verdict=verdict,
        figures=(
            Figure(tr(lang, "Rows"), imported.rows),
            Figure(tr(lang, "New: same person"), imported.same),
            Figure(tr(lang, "New: different people"), imported.different),
            Figure(tr(lang, "Taken back"), imported.withdrawn),
            Figure(tr(lang, "As stored"), imported.unchanged),
            Figure(tr(lang, "Without an answer"), imported.blank),
        ),
        next_steps=steps,
        lang=lang,
    )


def decided_document(decided: Decided, lang: str) -> Document:
    """What `review decide` stored."""
    pair = {"left": decided.left, "right": decided.right}
    match decided.answer:
        case "same":
            text = tr(lang, "Decided: {left} and {right} are one person.", **pair)
        case "different":
            text = tr(lang, "Decided: {left} and {right} are two people.", **pair)
        case _:
            text = tr(lang, "No decision about {left} and {right} stands any more.", **pair)
    if not decided.changed:
        text = tr(lang, "Nothing changed: it was decided so before.")
    return Document(
        title=tr(lang, "Deduplicate: decision"),
        verdict=Verdict("ok", text),
        next_steps=(tr(lang, "Run `membershift dedupe run --execute` again to heed the decisions."),),
        lang=lang,
    )


def book_words(lang: str) -> BookWords:
    """What the spreadsheet says to its reader."""
    answers = (tr(lang, "same"), tr(lang, "different"), tr(lang, "not sure"))
    return BookWords(
        left=tr(lang, "record A"),
        right=tr(lang, "record B"),
        answer=tr(lang, "Answer"),
        note=tr(lang, "Your note"),
        reason=tr(lang, "Why in doubt"),
        weight=tr(lang, "Match weight"),
        prompt=tr(lang, "Are A and B one person? Choose from the list, or leave it empty."),
        answers=answers,
        facts={name: tr(lang, title) for name, title in FACTS.items()},
        reasons={code: tr(lang, text) for code, text in REASONS.items()},
        how=(
            tr(lang, "Each row of the sheet `pairs` shows two member records, A and B. Are they one person?"),
            tr(
                lang,
                "Answer in the first column with the list: {answers}. Leave it empty when you did not look.",
                answers=", ".join(answers),
            ),
            tr(
                lang,
                "Coloured cells differ. Personal values are masked: two that look alike may differ, the colour tells.",
            ),
            tr(
                lang,
                "Everything but the answer and your note is locked. Do not delete columns or the hidden first row.",
            ),
            tr(lang, "Your answer counts for ever: the same are merged, the different never are, until somebody takes it back."),
        ),
    )
