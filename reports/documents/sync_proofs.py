"""sync drain, verify and resync as documents: what was proved, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from etl.reconcile.differences import ReconcileResult
from etl.sync.drain import NOBODY, DrainResult
from etl.sync.drain_left import OPEN
from etl.sync.mark import DatabaseMark, Mark
from etl.sync.resync import ResyncResult
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.documents.reconcile import reconcile_document
from reports.documents.sync_texts import waiting_text
from reports.text import tr


def verify_document(result: ReconcileResult, lang: str) -> Document:
    """Rows that changed lately, on both sides."""
    return replace(reconcile_document(result, lang), title=tr(lang, "Sync: verify"))


@dataclass(frozen=True)
class ShownMark:
    """A mark as `sync mark --json` shows it."""

    mark: str
    at: datetime
    databases: Mapping[str, DatabaseMark]


def shown_mark(mark: Mark) -> ShownMark:
    """With its text, which is what is handed on."""
    return ShownMark(mark.text, mark.at, mark.databases)


def mark_document(mark: Mark, lang: str) -> Document:
    """How far both sides are."""
    columns = (tr(lang, "Database"), "Change Tracking", "rowversion")
    rows = tuple((name, one.tracking, one.row_version) for name, one in mark.databases.items())
    return Document(
        title=tr(lang, "Sync: mark"),
        verdict=Verdict("ok", mark.text),
        figures=(Figure(tr(lang, "Clock of the target (UTC)"), mark.at.isoformat(timespec="microseconds")),),
        tables=(Table(tr(lang, "Legacy databases"), columns, rows),),
        next_steps=(tr(lang, "Run `membershift sync drain --store CODE --until {mark}`.", mark=mark.text),),
        lang=lang,
    )


def drain_document(result: DrainResult, lang: str) -> Document:
    """Whether everything of a store has arrived."""
    tables: tuple[Table, ...] = ()
    if result.left:
        tables = (
            Table(
                tr(lang, "Not arrived"),
                (tr(lang, "Table"), tr(lang, "Rows")),
                tuple((tr(lang, name) if name == OPEN else name, rows) for name, rows in result.left.items()),
            ),
        )
    if result.compared is not None:
        tables += reconcile_document(result.compared, lang).tables
    return Document(
        title=tr(lang, "Sync: drain"),
        verdict=drain_verdict(result, lang),
        figures=drain_figures(result, lang),
        tables=tables,
        next_steps=drain_steps(result, lang),
        lang=lang,
    )


def drain_verdict(result: DrainResult, lang: str) -> Verdict:
    """One sentence."""
    if result.drained:
        return Verdict(
            "ok", tr(lang, "Everything of store {store} has arrived, and agrees row by row.", store=told_stores(result.stores))
        )
    if result.compared is None:
        text = tr(lang, "Store {store} is not drained: not everything arrived within the time.", store=told_stores(result.stores))
        return Verdict("bad", text)
    return Verdict("bad", tr(lang, "Store {store} is not drained: rows of it differ.", store=told_stores(result.stores)))


def told_stores(stores: tuple[str, ...]) -> str:
    """For a sentence."""
    return ", ".join(stores)


def drain_figures(result: DrainResult, lang: str) -> tuple[Figure, ...]:
    """Which way, when, and how long."""
    toward = tr(lang, "to the target") if result.toward == "target" else tr(lang, "back to SQL Server")
    figures = [
        Figure(tr(lang, "Direction"), toward),
        Figure(tr(lang, "Mark"), result.mark, result.at.isoformat(timespec="seconds")),
        Figure(tr(lang, "Waited for the stream"), human_duration(result.seconds.get("stream", 0.0))),
    ]
    if "comparison" in result.seconds:
        figures.append(Figure(tr(lang, "Compared"), human_duration(result.seconds["comparison"])))
    if result.held:
        why = tr(lang, "no process is running") if result.held == NOBODY else waiting_text(result.held, lang)
        figures.append(Figure(tr(lang, "Sync itself waits"), why))
    if result.uncompared:
        note = tr(lang, "they do not say whose their rows are: the stream alone is the proof")
        figures.append(Figure(tr(lang, "Not compared by store"), ", ".join(result.uncompared), note))
    return tuple(figures)


def drain_steps(result: DrainResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if result.drained:
        return ()
    held = tr(lang, "Sync itself does not go on: see to that first, or wait for longer (--within).")
    return (
        *((held,) if result.held else ()),
        tr(
            lang,
            "See that writes to the store are refused on the side it comes from, and that sync runs: `membershift sync status`.",
        ),
        tr(lang, "Then drain again, up to the same mark: `--until {mark}`. What has arrived stays.", mark=result.mark),
    )


def resync_document(result: ResyncResult, lang: str) -> Document:
    """What a comparison of whole tables did."""
    if not result.executed:
        rows = tuple((name, count) for name, count in result.estimated.items())
        return Document(
            title=tr(lang, "Sync: resync"),
            verdict=Verdict("warn", tr(lang, "Dry run: nothing was compared or changed.")),
            figures=(),
            tables=(Table(tr(lang, "To be compared"), (tr(lang, "Legacy table"), tr(lang, "Rows, about")), rows),),
            next_steps=(tr(lang, "Stop sync (`membershift sync stop`), then run this again with --execute."),),
            lang=lang,
        )
    heads = ("Legacy table", "Rows read", "Written", "Deleted", "Conflicts", "Dead letters", "Goes on from version")
    rows_done = tuple(
        (
            str(one.table),
            one.rows,
            one.counts.written,
            one.counts.deleted,
            one.counts.conflicts,
            one.counts.dead,
            one.position,
        )
        for one in result.tables
    )
    return Document(
        title=tr(lang, "Sync: resync"),
        verdict=Verdict("ok", tr(lang, "The tables were compared; their changes are followed from here on.")),
        figures=(),
        tables=(Table(tr(lang, "Compared"), tuple(tr(lang, head) for head in heads), rows_done),),
        next_steps=(tr(lang, "Let sync run again: `membershift sync resume`, then `membershift sync run`."),),
        lang=lang,
    )
