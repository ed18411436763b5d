"""The comparison of rows as a document: every difference by its key, values masked, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from etl.reconcile.differences import ColumnChange, Difference, Kind, ReconcileResult, TableResult
from reports.document import Document, Figure, Table, Verdict, human_bytes, human_duration
from reports.text import tr


def reconcile_document(result: ReconcileResult, lang: str) -> Document:
    """What `reconcile rows` found."""
    return Document(
        title=tr(lang, "Reconcile: rows"),
        verdict=verdict_of(result, lang),
        figures=figures_of(result, lang),
        tables=(table_list(result.tables, lang), *difference_lists(result.tables, lang)),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: ReconcileResult, lang: str) -> Verdict:
    """Whether source and target agree."""
    if result.total_differences:
        return Verdict("bad", tr(lang, "{count} rows differ between source and target.", count=f"{result.total_differences:,}"))
    rows = f"{sum(table.equal_rows for table in result.tables):,}"
    if result.in_quarantine:
        text = tr(
            lang, "All {rows} rows agree; {count} source rows wait in quarantine.", rows=rows, count=f"{result.in_quarantine:,}"
        )
        return Verdict("warn", text)
    return Verdict("ok", tr(lang, "All {rows} rows agree.", rows=rows))


def figures_of(result: ReconcileResult, lang: str) -> tuple[Figure, ...]:
    """Sums over all tables."""
    spilled = sum(table.spilled_bytes for table in result.tables)
    figures = [
        Figure(tr(lang, "Source rows read"), sum(table.source_rows for table in result.tables if table.table != "member_source")),
        Figure(tr(lang, "Target rows read"), sum(table.target_rows for table in result.tables)),
        Figure(tr(lang, "In quarantine"), result.in_quarantine, tr(lang, "put aside by load, each with its reason")),
        Figure(tr(lang, "Target read as of"), result.target_instant, tr(lang, result.note) if result.note else ""),
        Figure(tr(lang, "Time"), human_duration(sum(table.seconds for table in result.tables))),
    ]
    if result.sampled is not None:
        note = tr(lang, "a sample cannot find extra rows")
        figures.insert(0, Figure(tr(lang, "Sample"), f"{result.sampled:.2%}", note))
    if result.merged:
        note = tr(lang, "one member with another: compared as golden records")
        figures.append(Figure(tr(lang, "Merged legacy rows"), result.merged, note))
    if result.imported:
        note = tr(lang, "no legacy row: not compared here, and no difference")
        figures.append(Figure(tr(lang, "Imported from files"), result.imported, note))
    if result.unrecorded_files:
        note = tr(lang, "imported elsewhere: their rows show as extra")
        figures.append(Figure(tr(lang, "Imported files without a record here"), result.unrecorded_files, note))
    gone = sum(table.gone for table in result.tables)
    if gone:
        figures.append(Figure(tr(lang, "Gone at the second look"), gone, tr(lang, "changes that were on their way")))
    if spilled:
        figures.append(Figure(tr(lang, "Waited on disk"), human_bytes(spilled), tr(lang, "both servers order keys differently")))
    return tuple(figures)


def table_list(tables: Sequence[TableResult], lang: str) -> Table:
    """One row a table."""
    columns = (
        "",
        tr(lang, "Table"),
        tr(lang, "Source rows"),
        tr(lang, "Target rows"),
        tr(lang, "Equal"),
        tr(lang, "In quarantine"),
        *(tr(lang, title) for title in KIND_TITLES.values()),
        tr(lang, "Not compared"),
    )
    rows = tuple(
        (
            "bad" if table.differing else "ok",
            table.table,
            table.source_rows,
            table.target_rows,
            table.equal_rows,
            table.in_quarantine,
            *(table.counts.get(kind, 0) for kind in KIND_TITLES),
            ", ".join(table.uncompared_columns),
        )
        for table in tables
    )
    note = tr(lang, "Columns that the target keeps itself are not compared.")
    return Table(tr(lang, "Tables"), columns, rows, note, status_column=0)


KIND_TITLES = {
    Kind.MISSING: "Missing",
    Kind.EXTRA: "Extra",
    Kind.CHANGED: "Changed",
    Kind.DUPLICATED: "Duplicated",
    Kind.MERGED_WRONGLY: "Merged wrongly",
}


def kind_text(kind: Kind, lang: str) -> str:
    """A kind of difference."""
    match kind:
        case Kind.MISSING:
            return tr(lang, "Missing")
        case Kind.EXTRA:
            return tr(lang, "Extra")
        case Kind.CHANGED:
            return tr(lang, "Changed")
        case Kind.DUPLICATED:
            return tr(lang, "Duplicated")
        case Kind.MERGED_WRONGLY:
            return tr(lang, "Merged wrongly")


def difference_lists(tables: Sequence[TableResult], lang: str) -> tuple[Table, ...]:
    """For each table that differs, its differences one by one."""
    return tuple(difference_list(table, lang) for table in tables if table.differences)


def difference_list(table: TableResult, lang: str) -> Table:
    """The differences of one table, values masked."""
    columns = (
        tr(lang, "Kind"),
        tr(lang, "Key on the target"),
        tr(lang, "Legacy row"),
        tr(lang, "What differs: source | target"),
        tr(lang, "Note"),
    )
    rows = tuple(
        (
            kind_text(difference.kind, lang),
            difference.key,
            f"{difference.part} {difference.source_key}".strip(),
            "; ".join(change_text(change, lang) for change in difference.columns),
            note_text(difference, lang),
        )
        for difference in table.differences
    )
    hidden = table.differing - len(table.differences)
    note = (
        tr(lang, "{count} more are counted and not listed: raise [reconcile] max_listed.", count=f"{hidden:,}") if hidden else ""
    )
    return Table(tr(lang, "Differences in {table}", table=table.table), columns, rows, note)


def change_text(change: ColumnChange, lang: str) -> str:
    """One column: masked values of both sides and the kind of change."""
    how = how_text(change.how, lang)
    return f"{change.column}: {change.expected} | {change.actual} ({how}{f': {change.by}' if change.by else ''})"


def note_text(difference: Difference, lang: str) -> str:
    """The note with the other row it is about."""
    note, _, reason = difference.note.partition(": ")
    texts = {
        "": "",
        "The mapping refuses it, and it is not in quarantine": tr(lang, "The mapping refuses it, and it is not in quarantine"),
        "The crosswalk knows no member for it": tr(lang, "The crosswalk knows no member for it"),
        "One member of several legacy rows": tr(lang, "One member of several legacy rows"),
        "Two legacy rows make this one row": tr(lang, "Two legacy rows make this one row"),
        "The target holds its values twice": tr(lang, "The target holds its values twice"),
    }
    told = texts.get(note, note) + (f": {reason}" if reason else "")
    return f"{told} ({difference.also})" if difference.also and told else told or difference.also


def how_text(how: str, lang: str) -> str:
    """A kind of change in words."""
    texts = {
        "NULL against empty text": tr(lang, "NULL against empty text"),
        "should be NULL": tr(lang, "should be NULL"),
        "is NULL": tr(lang, "is NULL"),
        "last digits": tr(lang, "last digits"),
        "other value": tr(lang, "other value"),
        "spaces at the end": tr(lang, "spaces at the end"),
        "spaces around it": tr(lang, "spaces around it"),
        "only upper and lower case": tr(lang, "only upper and lower case"),
        "only accents": tr(lang, "only accents"),
        "only full and half width": tr(lang, "only full and half width"),
        "cut short": tr(lang, "cut short"),
        "less than a second": tr(lang, "less than a second"),
        "whole hours: a time zone?": tr(lang, "whole hours: a time zone?"),
        "other time": tr(lang, "other time"),
        "other member": tr(lang, "other member"),
    }
    return texts.get(how, how)


def next_steps(result: ReconcileResult, lang: str) -> tuple[str, ...]:
    """What to do about it."""
    counts = {kind: sum(table.counts.get(kind, 0) for table in result.tables) for kind in Kind}
    steps: list[str] = []
    if result.total_differences:
        steps.append(tr(lang, "Run `membershift reconcile repair` to see what would be written, then again with --execute."))
    if counts[Kind.EXTRA] or counts[Kind.DUPLICATED]:
        steps.append(
            tr(lang, "Extra rows and copies are deleted only by `membershift reconcile repair --delete-extra --execute`.")
        )
    if counts[Kind.MERGED_WRONGLY]:
        steps.append(tr(lang, "Wrong crosswalk entries are repaired first: sales and points follow the crosswalk."))
    if result.total_differences:
        steps.append(tr(lang, "If the source is being written to, compare again with --second-look 5."))
    if result.in_quarantine:
        steps.append(tr(lang, "Run `membershift load rejects list` for the reasons of rows in quarantine."))
    if not steps:
        steps.append(tr(lang, "Run `membershift reconcile invariants` to check sums and rules as well."))
    return tuple(steps)
