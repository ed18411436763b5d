"""Where deduplication stands, as a document."""

from __future__ import annotations

from etl.dedupe.status import DedupeStatus, RunLine
from reports.document import Document, Figure, Status, Table, Verdict
from reports.documents.dedupe_texts import reason_text
from reports.text import tr


def status_document(status: DedupeStatus, lang: str) -> Document:
    """What `dedupe status` found."""
    return Document(
        title=tr(lang, "Deduplicate: status"),
        verdict=verdict_of(status, lang),
        figures=(
            Figure(tr(lang, "Merged members"), status.merged_members),
            Figure(tr(lang, "Records in them"), status.merged_records),
            Figure(tr(lang, "Retired member ids"), status.retired, tr(lang, "they lead to the survivor for ever")),
            Figure(tr(lang, "Records taken out again"), status.unmerged),
            Figure(tr(lang, "Decided: same person"), status.same),
            Figure(tr(lang, "Decided: different people"), status.different),
            Figure(tr(lang, "Pairs without an answer"), status.waiting),
        ),
        tables=(*runs_table(status, lang), *review_table(status, lang)),
        next_steps=next_steps(status, lang),
        lang=lang,
    )


def verdict_of(status: DedupeStatus, lang: str) -> Verdict:
    """Where it stands in one sentence."""
    if status.unfinished:
        return Verdict("bad", tr(lang, "A run began to write and did not end. The same command goes on from there."))
    if not status.runs:
        return Verdict("warn", tr(lang, "Nothing was deduplicated on this target yet."))
    values = {"records": f"{status.merged_records:,}", "members": f"{status.merged_members:,}"}
    if status.waiting:
        return Verdict(
            "warn",
            tr(
                lang,
                "{records} records are {members} members; {waiting} pairs wait for an answer.",
                **values,
                waiting=f"{status.waiting:,}",
            ),
        )
    return Verdict("ok", tr(lang, "{records} records are {members} members; no pair waits for an answer.", **values))


def runs_table(status: DedupeStatus, lang: str) -> tuple[Table, ...]:
    """The last runs; no table while there are none."""
    columns = ("", tr(lang, "Run"), tr(lang, "Began (UTC)"), tr(lang, "Ended (UTC)"), tr(lang, "State"), tr(lang, "Model"))
    rows = tuple(
        (run_status(run), run.run_id, run.started_at, run.finished_at, run.status, f"{run.model_name} {run.model_version}")
        for run in status.runs
    )
    return (Table(tr(lang, "Runs"), columns, rows, status_column=0),) if rows else ()


def run_status(run: RunLine) -> Status:
    """A run's mark."""
    return "ok" if run.status in ("done", "planned") else "warn" if run.status == "abandoned" else "bad"


def review_table(status: DedupeStatus, lang: str) -> tuple[Table, ...]:
    """The queue by reason; no table while it is empty."""
    columns = (tr(lang, "Reason"), tr(lang, "Pairs"), tr(lang, "Answered"))
    rows = tuple((reason_text(one.reason, lang), one.pairs, one.answered) for one in status.review)
    return (Table(tr(lang, "Review queue"), columns, rows),) if rows else ()


def next_steps(status: DedupeStatus, lang: str) -> tuple[str, ...]:
    """What to run next."""
    if status.unfinished:
        return (tr(lang, "Run `membershift dedupe run --execute` again: it ends what was begun."),)
    if not status.runs:
        return (tr(lang, "Run `membershift dedupe plan`, then `membershift dedupe run`."),)
    steps = []
    if status.waiting:
        steps.append(tr(lang, "Run `membershift dedupe review`, or `membershift dedupe review export` for a business team."))
    if status.same or status.different:
        steps.append(tr(lang, "Run `membershift dedupe run --execute` again to heed the decisions."))
    steps.append(tr(lang, "Run `membershift dedupe report` to see how good this is, and on what that was measured."))
    return tuple(steps)
