"""An import as a document."""

from __future__ import annotations

from etl.load.import_files import ImportResult
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.text import tr


def import_document(result: ImportResult, lang: str) -> Document:
    """What an import did, or would do, file by file."""
    tables = [files_table(result, lang), headers_table(result, lang)]
    if any(file.reasons for file in result.files):
        tables.insert(1, reasons_table(result, lang))
    return Document(
        title=tr(lang, "Import") if result.executed else tr(lang, "Import: what it would do"),
        verdict=import_verdict(result, lang),
        figures=(
            Figure(tr(lang, "Kind of file"), result.kind, result.part),
            Figure(tr(lang, "Records"), sum(file.records for file in result.files)),
            *refilled_figure(result, lang),
            Figure(tr(lang, "Time"), human_duration(result.seconds)),
        ),
        tables=tuple(tables),
        next_steps=import_steps(result, lang),
        lang=lang,
    )


def refilled_figure(result: ImportResult, lang: str) -> tuple[Figure, ...]:
    """Rows of an earlier import of the same file that got their member."""
    refilled = sum(file.refilled for file in result.files)
    return (Figure(tr(lang, "Rows that got their member"), refilled),) if refilled else ()


def import_verdict(result: ImportResult, lang: str) -> Verdict:
    """Did every record arrive?"""
    loaded, rejected = sum(file.loaded for file in result.files), f"{result.rejected:,}"
    if not result.executed:
        told = tr(
            lang,
            "Nothing was changed: {loaded} records are new, {rejected} would be rejected.",
            loaded=f"{loaded:,}",
            rejected=rejected,
        )
        return Verdict("warn", told)
    if result.rejected:
        return Verdict(
            "warn", tr(lang, "{loaded} records were loaded, {rejected} need correction.", loaded=f"{loaded:,}", rejected=rejected)
        )
    if not loaded and not any(file.refilled for file in result.files):
        return Verdict("ok", tr(lang, "Nothing new: every record was on the target already or settled before."))
    return Verdict("ok", tr(lang, "{loaded} records were loaded, none was rejected.", loaded=f"{loaded:,}"))


def files_table(result: ImportResult, lang: str) -> Table:
    """A line for each file."""
    rows = tuple(
        (
            "warn" if file.rejected else "ok", file.file, file.form, file.records, file.before, file.loaded, file.unchanged,
            file.rejected, file.noted,
        )
        for file in result.files
    )  # fmt: skip
    heads = (
        "", tr(lang, "File"), tr(lang, "Read as"), tr(lang, "Records"), tr(lang, "Settled before"),
        tr(lang, "Loaded") if result.executed else tr(lang, "New"), tr(lang, "Already there"), tr(lang, "Rejected"),
        tr(lang, "Replaced"),
    )  # fmt: skip
    return Table(tr(lang, "Files"), heads, rows, status_column=0)


def reasons_table(result: ImportResult, lang: str) -> Table:
    """Why records were rejected."""
    rows = tuple((file.file, reason.column, reason.reason, reason.rows) for file in result.files for reason in file.reasons)
    heads = (tr(lang, "File"), tr(lang, "Column"), tr(lang, "Reason"), tr(lang, "Findings"))
    return Table(tr(lang, "Why rows were rejected"), heads, rows)


def headers_table(result: ImportResult, lang: str) -> Table:
    """How the headers were understood."""
    rows: list[tuple[object, ...]] = []
    for file in result.files:
        rows += [(file.file, header, column) for header, column in file.columns]
        rows += [(file.file, header, tr(lang, "not read")) for header in file.ignored]
    return Table(tr(lang, "Headers"), (tr(lang, "File"), tr(lang, "Header"), tr(lang, "Read as")), tuple(rows))


def import_steps(result: ImportResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    steps = [
        tr(lang, "Correct the rows in {file} and import that file.", file=file.rejected_file)
        for file in result.files
        if file.rejected_file is not None
    ]
    if not result.executed and any(file.loaded for file in result.files):
        steps.append(tr(lang, "Load them: the same command with --execute."))
    return tuple(steps)
