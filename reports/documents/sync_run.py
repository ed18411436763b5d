"""What a run of sync did, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from etl.sync.stats import StreamView
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.documents.sync_texts import direction_text
from reports.text import tr


class Ended(Protocol):
    """A run that ended: how long it took, and its streams as they were then."""

    @property
    def seconds(self) -> float: ...

    @property
    def streams(self) -> Sequence[StreamView]: ...


def run_document(ended: Ended, lang: str) -> Document:
    """What was carried over."""
    return Document(
        title=tr(lang, "Sync: run"),
        verdict=verdict_of(ended, lang),
        figures=(Figure(tr(lang, "Ran for"), human_duration(ended.seconds)),),
        tables=rows_table(ended, lang),
        next_steps=(tr(lang, "It goes on from here: `membershift sync run`."),),
        lang=lang,
    )


def verdict_of(ended: Ended, lang: str) -> Verdict:
    """One sentence on what was done, and what was not."""
    counts = [one for stream in ended.streams for one in stream.tables.values()]
    rows = f"{sum(one.written + one.deleted for one in counts):,}"
    kept = sum(one.conflicts + one.dead for one in counts)
    if kept:
        text = tr(
            lang, "Ended. {rows} rows were carried over; {kept} conflicts and dead letters were kept.", rows=rows, kept=kept
        )
        return Verdict("warn", text)
    return Verdict("ok", tr(lang, "Ended. {rows} rows were carried over.", rows=rows))


def rows_table(ended: Ended, lang: str) -> tuple[Table, ...]:
    """What was done, by table and direction; no table where nothing was done."""
    columns = (
        tr(lang, "Direction"), tr(lang, "From"), tr(lang, "Table"), tr(lang, "Written"), tr(lang, "Deleted"), tr(lang, "Our own"),
        tr(lang, "Conflicts"), tr(lang, "Dead"), tr(lang, "Held"),
    )  # fmt: skip
    rows = tuple(
        (
            direction_text(direction, lang), database or tr(lang, "target"), table,
            one.written, one.deleted, one.own, one.conflicts, one.dead, one.held,
        )
        for stream in ended.streams
        for direction, _, database in [stream.name.partition("/")]
        for table, one in stream.tables.items()
        if one.written or one.deleted or one.own or one.conflicts or one.dead or one.held
    )  # fmt: skip
    return (Table(tr(lang, "Rows"), columns, rows),) if rows else ()
