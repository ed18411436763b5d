"""A repair as a document: what was, or would be, written, what was left alone and why."""

from __future__ import annotations

from etl.reconcile.repair import RepairResult, TableRepair
from reports.document import Document, Figure, Status, Table, Verdict
from reports.documents.reconcile import difference_lists
from reports.text import tr


def repair_document(result: RepairResult, lang: str) -> Document:
    """What `reconcile repair` did."""
    shown = result.after if result.after is not None else result.before
    return Document(
        title=tr(lang, "Reconcile: repair"),
        verdict=verdict_of(result, lang),
        figures=(
            Figure(tr(lang, "Differences before"), result.before.total_differences),
            Figure(tr(lang, "Inserted"), sum(table.inserted for table in result.tables)),
            Figure(tr(lang, "Updated"), sum(table.updated for table in result.tables)),
            Figure(tr(lang, "Deleted"), sum(table.deleted for table in result.tables)),
            Figure(tr(lang, "Differences now"), result.left),
        ),
        tables=(table_list(result, lang), *difference_lists(shown.tables, lang)),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: RepairResult, lang: str) -> Verdict:
    """Whether anything is left."""
    if not result.before.total_differences:
        return Verdict("ok", tr(lang, "Nothing differs; nothing to repair."))
    if not result.executed:
        return Verdict("warn", tr(lang, "Dry run: nothing was written. {count} rows differ.", count=f"{result.left:,}"))
    if result.left:
        return Verdict("bad", tr(lang, "{count} rows still differ after the repair.", count=f"{result.left:,}"))
    return Verdict("ok", tr(lang, "Repaired: the rows that differed were compared again and agree."))


def table_list(result: RepairResult, lang: str) -> Table:
    """One row a table."""
    columns = (
        "",
        tr(lang, "Table"),
        tr(lang, "Inserted"),
        tr(lang, "Updated"),
        tr(lang, "Deleted"),
        tr(lang, "Changed since"),
        tr(lang, "Blocked"),
        tr(lang, "Extra, kept"),
        tr(lang, "Not clear"),
        tr(lang, "Still different"),
    )
    rows = tuple(
        (
            status_of(table, result.executed),
            table.table,
            table.inserted,
            table.updated,
            table.deleted,
            table.changed_since,
            table.blocked,
            table.kept_extra,
            table.unclear,
            table.left if result.executed else None,
        )
        for table in result.tables
    )
    note = tr(
        lang,
        "Left alone: rows changed since they were compared; rows whose unique value another row holds (blocked); "
        "extra rows without --delete-extra; rows of which nobody knows what is right.",
    )
    title = tr(lang, "Written") if result.executed else tr(lang, "Would be written")
    return Table(title, columns, rows, note, status_column=0)


def status_of(table: TableRepair, executed: bool) -> Status:
    """Whether the table is done."""
    if executed:
        return "bad" if table.left else "ok"
    return "warn" if table.inserted or table.updated or table.deleted or table.kept_extra or table.unclear else "ok"


def next_steps(result: RepairResult, lang: str) -> tuple[str, ...]:
    """What to run next."""
    steps = []
    if not result.executed and result.before.total_differences:
        steps.append(tr(lang, "Run `membershift reconcile repair --execute` to write this."))
    if any(table.kept_extra for table in result.tables):
        steps.append(tr(lang, "Add --delete-extra to delete rows that the source does not have."))
    if any(table.unclear for table in result.tables):
        steps.append(tr(lang, "Rows that are not clear need the mapping or the data corrected, then `membershift load` again."))
    if any(table.changed_since or table.blocked for table in result.tables):
        steps.append(tr(lang, "Run `membershift reconcile repair` again for rows that changed meanwhile or were blocked."))
    if result.executed and not result.left:
        steps.append(tr(lang, "Run `membershift reconcile invariants` to check sums and rules as well."))
    return tuple(steps)
