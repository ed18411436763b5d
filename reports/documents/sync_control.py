"""What became of sync pause, resume and stop, as a document."""

from __future__ import annotations

from etl.sync.control import Asked
from reports.document import Document, Figure, Verdict
from reports.documents.sync_texts import state_text
from reports.text import tr


def asked_document(asked: Asked, lang: str) -> Document:
    """Whether the running process took notice."""
    figures = [
        Figure(tr(lang, "Before"), state_text(asked.before, lang)),
        Figure(tr(lang, "Now"), state_text(asked.wanted, lang)),
    ]
    if asked.process is not None:
        figures.append(Figure(tr(lang, "Process"), str(asked.process.pid), asked.process.host))
    return Document(
        title=tr(lang, "Sync: control"),
        verdict=verdict_of(asked, lang),
        figures=tuple(figures),
        next_steps=next_steps(asked, lang),
        lang=lang,
    )


def verdict_of(asked: Asked, lang: str) -> Verdict:
    """One sentence on what happened."""
    if asked.process is None:
        if asked.wanted == "running":
            return Verdict("warn", tr(lang, "It is noted, but no process is running: nothing is carried over yet."))
        return Verdict("ok", tr(lang, "It is noted. No process is running."))
    values = {"pid": asked.process.pid, "host": asked.process.host, "seconds": f"{asked.waited_s:.0f}"}
    if not asked.noticed:
        text = tr(
            lang,
            "It is noted, but process {pid} on {host} did not show it within {seconds} s: a round may take longer.",
            **values,
        )
        return Verdict("warn", text)
    match asked.wanted:
        case "paused":
            return Verdict("ok", tr(lang, "Process {pid} on {host} is paused. Nothing is lost meanwhile.", **values))
        case "stopped":
            return Verdict("ok", tr(lang, "Process {pid} on {host} has ended.", **values))
        case "running":
            return Verdict("ok", tr(lang, "Process {pid} on {host} is at work.", **values))


def next_steps(asked: Asked, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if asked.process is not None and not asked.noticed:
        return (tr(lang, "Look again: `membershift sync status`."),)
    match asked.wanted:
        case "paused":
            return (tr(lang, "Go on: `membershift sync resume`. The source keeps changes only as long as its retention says."),)
        case "stopped":
            return (tr(lang, "To go on: `membershift sync resume`, then `membershift sync run`."),)
        case "running":
            return () if asked.process is not None else (tr(lang, "Run `membershift sync run`."),)
