"""What the schema commands did or found, as documents."""

from __future__ import annotations

from migrations.schema.commands import SchemaChange, SchemaStatus
from reports.document import Document, Figure, Table, Verdict
from reports.text import tr


def change_document(change: SchemaChange, lang: str) -> Document:
    """What `schema up` or `schema down` did, or would do."""
    return Document(
        title=tr(lang, "Schema up") if change.direction == "up" else tr(lang, "Schema down"),
        verdict=change_verdict(change, lang),
        figures=(
            Figure(tr(lang, "Revision before"), change.before or tr(lang, "none")),
            Figure(tr(lang, "Revision after"), change.after or tr(lang, "none")),
        ),
        tables=dropped_tables(change, lang),
        next_steps=change_steps(change, lang),
        lang=lang,
    )


def change_verdict(change: SchemaChange, lang: str) -> Verdict:
    """One sentence on what happened."""
    revisions = ", ".join(change.revisions)
    if not change.revisions:
        return Verdict("ok", tr(lang, "The target stands there already: nothing to do."))
    if not change.executed:
        return Verdict("warn", tr(lang, "Nothing was changed. It would run: {revisions}.", revisions=revisions))
    if change.direction == "up":
        return Verdict("ok", tr(lang, "Done: {revisions}.", revisions=revisions))
    dropped = sum(table.rows is not None for table in change.dropped_tables)
    return Verdict("ok", tr(lang, "Taken back: {revisions}; {count} tables dropped.", revisions=revisions, count=dropped))


def dropped_tables(change: SchemaChange, lang: str) -> tuple[Table, ...]:
    """The tables that going back drops."""
    if not change.dropped_tables:
        return ()
    rows = tuple((f"{table.schema}.{table.table}", table.rows) for table in change.dropped_tables)
    title = tr(lang, "Tables dropped") if change.executed else tr(lang, "Tables that would be dropped")
    return (Table(title, (tr(lang, "Table"), tr(lang, "Rows")), rows),)


def change_steps(change: SchemaChange, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if not change.revisions:
        return (tr(lang, "Run `membershift schema status` to compare the live tables with it."),)
    if not change.executed:
        if change.rows_lost:
            return (tr(lang, "Rows would be lost: add --execute --i-know if they may be."),)
        return (tr(lang, "Add --execute to do it, or give the SQL to a DBA: `membershift schema sql`."),)
    if change.direction == "up":
        return (tr(lang, "Run `membershift schema status`, then `membershift stage`."),)
    return ()


def status_document(status: SchemaStatus, lang: str) -> Document:
    """Where the target stands."""
    return Document(
        title=tr(lang, "Schema status"),
        verdict=status_verdict(status, lang),
        figures=(
            Figure(tr(lang, "Target"), status.server),
            Figure(tr(lang, "Business schema"), status.business_schema),
            Figure(tr(lang, "Bookkeeping schema"), status.state_schema),
            Figure(tr(lang, "Revision"), status.revision or tr(lang, "none")),
            Figure(tr(lang, "Pending"), ", ".join(status.pending) or tr(lang, "none")),
        ),
        tables=(*drift_table(status, lang), *row_table(status, lang)),
        next_steps=status_steps(status, lang),
        lang=lang,
    )


def status_verdict(status: SchemaStatus, lang: str) -> Verdict:
    """Whether a load can run into it."""
    if status.drift:
        return Verdict("bad", tr(lang, "{count} differences from what the revisions made.", count=len(status.drift)))
    if status.revision is None:
        return Verdict("warn", tr(lang, "The tables are not there yet."))
    if status.pending:
        return Verdict(
            "warn", tr(lang, "The tables are as they should be; {pending} is pending.", pending=", ".join(status.pending))
        )
    return Verdict("ok", tr(lang, "The tables and their indexes are as they should be."))


def drift_table(status: SchemaStatus, lang: str) -> tuple[Table, ...]:
    """What somebody changed by hand."""
    if not status.drift:
        return ()
    kinds = {
        "table": tr(lang, "table"),
        "column": tr(lang, "column"),
        "key": tr(lang, "unique key"),
        "index": tr(lang, "index"),
    }
    columns = (tr(lang, "Table"), tr(lang, "What"), tr(lang, "Name"), tr(lang, "Expected"), tr(lang, "Found"))
    missing = tr(lang, "not there")
    rows = tuple((one.table, kinds[one.kind], one.name, one.expected or missing, one.found or missing) for one in status.drift)
    return (Table(tr(lang, "Changed by hand"), columns, rows),)


def row_table(status: SchemaStatus, lang: str) -> tuple[Table, ...]:
    """Tables with their rows."""
    if status.revision is None:
        return ()
    rows = tuple((f"{table.schema}.{table.table}", table.rows) for table in status.tables)
    return (Table(tr(lang, "Tables"), (tr(lang, "Table"), tr(lang, "Rows")), rows),)


def status_steps(status: SchemaStatus, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if status.drift:
        return (tr(lang, "Change the columns back, or take the change into a revision of its own; then look again."),)
    if status.revision is None:
        return (tr(lang, "Create them: `membershift schema up --to tables --execute`."),)
    if status.pending:
        return (tr(lang, "Load, then build the indexes: `membershift schema up --execute`."),)
    return ()
