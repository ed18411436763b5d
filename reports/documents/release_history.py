"""The log of a release, as a document: an event a row, in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from migrations.release.event_log import Logged
from migrations.release.look import History
from reports.document import Document, Table, Verdict
from reports.documents.release_words import event_status, event_text
from reports.text import tr


def history_document(history: History, lang: str) -> Document:
    """The oldest first."""
    count = f"{len(history.events):,}"
    text = tr(lang, "{count} events.", count=count) if history.events else tr(lang, "Nothing has happened yet.")
    rows = tuple(event_row(one, lang) for one in history.events)
    left = tr(lang, "{count} more: --all, without --last.", count=f"{history.left_out:,}") if history.left_out else ""
    return Document(
        title=tr(lang, "Release: history"),
        verdict=Verdict("ok", text),
        tables=(Table(tr(lang, "Events"), history_columns(lang), rows, left, status_column=0),) if rows else (),
        lang=lang,
    )


def history_columns(lang: str) -> tuple[str, ...]:
    """Of event_row."""
    return ("", tr(lang, "Number"), tr(lang, "Time (UTC)"), tr(lang, "Event"))


def event_row(logged: Logged, lang: str) -> tuple[object, ...]:
    """One event."""
    at = logged.at.replace("T", " ").replace("+00:00", "")
    return (event_status(logged.event), str(logged.number), at, event_text(logged.event, lang))


def shown_events(logged: tuple[Logged, ...]) -> list[dict[str, Any]]:
    """Events for programs, with their kind."""
    return [{"number": one.number, "at": one.at, "kind": one.event.kind, **asdict(one.event)} for one in logged]
