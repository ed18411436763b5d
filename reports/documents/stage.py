"""The stage as a document: what is copied, what is left, what is not copied and why."""

from __future__ import annotations

from collections.abc import Sequence

from etl.stage.run import StageResult
from etl.stage.summary import StageStatus, TableSummary
from reports.document import Document, Figure, Table, Verdict, human_bytes, human_duration
from reports.text import told, tr


def stage_document(result: StageResult, lang: str) -> Document:
    """What a run of `stage` did."""
    rows = sum(table.rows for table in result.tables)
    if result.refused:
        verdict = Verdict(
            "bad",
            tr(lang, "{count} tables cannot be staged without losing data; the others are.", count=len(result.refused)),
        )
    elif any(table.changed for table in result.tables):
        verdict = Verdict(
            "warn", tr(lang, "Everything is staged; some tables were written to meanwhile, so replay their changes.")
        )
    else:
        verdict = Verdict("ok", tr(lang, "Everything is staged: {rows} rows.", rows=f"{rows:,}"))
    figures = [
        Figure(tr(lang, "Rows read in this run"), result.rows_read, rate_of(result, lang)),
        Figure(tr(lang, "Time"), human_duration(result.seconds)),
        Figure(tr(lang, "On disk"), human_bytes(sum(table.bytes for table in result.tables))),
        Figure(tr(lang, "Driver"), result.driver, driver_note(result.driver, lang)),
    ]
    if result.paused_s:
        figures.append(Figure(tr(lang, "Paused for the source"), human_duration(result.paused_s)))
    if result.blind_to_load:
        figures.append(Figure("--max-load", tr(lang, "not in force"), tr(lang, "the login lacks VIEW SERVER STATE")))
    return Document(
        title=tr(lang, "Stage"),
        verdict=verdict,
        figures=tuple(figures),
        tables=(*table_lists(result.tables, lang), *refused_list(result, lang)),
        next_steps=next_steps(result.tables, lang, complete=result.complete),
        lang=lang,
    )


def status_document(status: StageStatus, lang: str) -> Document:
    """What `stage status` shows."""
    open_tables = [table for table in status.tables if not table.complete]
    if not status.tables:
        verdict = Verdict("warn", tr(lang, "Nothing is staged yet."))
    elif status.running:
        verdict = Verdict("warn", tr(lang, "A stage is running; {count} tables are not whole yet.", count=len(open_tables)))
    elif open_tables:
        verdict = Verdict(
            "warn", tr(lang, "{count} tables are not whole: run `membershift stage` again.", count=len(open_tables))
        )
    else:
        verdict = Verdict("ok", tr(lang, "All {count} tables are whole.", count=len(status.tables)))
    return Document(
        title=tr(lang, "Stage"),
        verdict=verdict,
        figures=(
            Figure(tr(lang, "Rows"), sum(table.rows for table in status.tables)),
            Figure(tr(lang, "On disk"), human_bytes(sum(table.bytes for table in status.tables))),
        ),
        tables=table_lists(status.tables, lang),
        next_steps=next_steps(status.tables, lang, complete=status.complete and bool(status.tables)),
        lang=lang,
    )


def table_lists(tables: Sequence[TableSummary], lang: str) -> tuple[Table, ...]:
    """One row a table; then the columns that are not staged."""
    columns = (
        "",
        tr(lang, "Table"),
        tr(lang, "Rows"),
        tr(lang, "Chunks done"),
        tr(lang, "Chunks"),
        tr(lang, "Size"),
        tr(lang, "Read under"),
        tr(lang, "Changed meanwhile"),
        tr(lang, "Replay from version"),
    )
    rows = tuple(
        (
            "bad" if not table.complete else "warn" if table.changed else "ok",
            str(table.name),
            table.rows,
            table.chunks_done,
            table.chunks,
            human_bytes(table.bytes),
            tr(lang, table.isolation),
            changed_text(table, lang),
            table.ct_version,
        )
        for table in tables
    )
    listed = Table(tr(lang, "Tables"), columns, rows, status_column=0)
    left_out = tuple((str(table.name), column, told(lang, reason)) for table in tables for column, reason in table.left_out)
    if not left_out:
        return (listed,)
    titles = (tr(lang, "Table"), tr(lang, "Column"), tr(lang, "Why"))
    note = tr(lang, "The target computes such columns itself, or has no use for them.")
    return listed, Table(tr(lang, "Columns not staged"), titles, left_out, note)


def changed_text(table: TableSummary, lang: str) -> str:
    """Whether the table was written to while it was read."""
    match table.changed:
        case True:
            return tr(lang, "yes")
        case False:
            return tr(lang, "no")
        case _:
            return tr(lang, "not known") if table.complete else ""


def refused_list(result: StageResult, lang: str) -> tuple[Table, ...]:
    """Tables that cannot be staged, and their columns that forbid it."""
    if not result.refused:
        return ()
    note = tr(lang, "Change the column's type on the source, or name the other tables with --table.")
    rows = tuple((str(name), refusal_text(reason, lang)) for name, reason in result.refused)
    return (Table(tr(lang, "Tables refused"), (tr(lang, "Table"), tr(lang, "Why")), rows, note),)


def refusal_text(reason: str, lang: str) -> str:
    """Why a table is refused: a clause for each column, or one for all of them."""
    return "; ".join(refused_column(clause, lang) for clause in reason.split("; "))


def refused_column(clause: str, lang: str) -> str:
    """ "Column (why)" with the why in words of the language."""
    column, bracket, why = clause.partition(" (")
    return f"{column} ({told(lang, why.removesuffix(')'))})" if bracket else told(lang, clause)


def next_steps(tables: Sequence[TableSummary], lang: str, *, complete: bool) -> tuple[str, ...]:
    """What to run next."""
    if not complete:
        return (tr(lang, "Run `membershift stage` again: it goes on where it stopped."),)
    steps = [tr(lang, "Run `membershift load` to see what would be loaded.")]
    if any(table.changed for table in tables):
        steps.insert(
            0, tr(lang, "Changes since the noted versions still have to be replayed, or stage again when nobody writes.")
        )
    return tuple(steps)


def rate_of(result: StageResult, lang: str) -> str:
    """Rows a second, where something was read."""
    if not result.rows_read:
        return ""
    return tr(lang, "{rate} rows/s", rate=f"{result.rows_read / max(result.seconds, 0.001):,.0f}")


def driver_note(driver: str, lang: str) -> str:
    """What the plain driver costs."""
    return tr(lang, "several times slower than mssql-python: install membershift[fast]") if driver == "pymssql" else ""
