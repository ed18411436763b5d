"""Loads and the quarantine as documents."""

from __future__ import annotations

from etl.load.export_rejects import Exported, RejectList
from etl.load.model import CanaryResult, LoadResult, TableLoad
from etl.load.retry_rejects import RetryResult
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.text import told, tr


def load_document(result: LoadResult, lang: str) -> Document:
    """What a load did, or would do."""
    tables = [load_table(result, lang)]
    if any(part.reasons for part in result.tables):
        tables.append(reasons_table(result, lang))
    if result.canary is not None:
        tables.append(canary_table(result.canary, lang))
    if result.statements:
        tables.append(Table(tr(lang, "Statements"), (tr(lang, "SQL"),), tuple((statement,) for statement in result.statements)))
    if result.notes:
        tables.append(Table(tr(lang, "Worth knowing"), (tr(lang, "Note"),), tuple((told(lang, note),) for note in result.notes)))
    return Document(
        title=tr(lang, "Load") if result.executed else tr(lang, "Load: what it would do"),
        verdict=load_verdict(result, lang),
        figures=load_figures(result, lang),
        tables=tuple(tables),
        next_steps=load_steps(result, lang),
        lang=lang,
    )


def load_verdict(result: LoadResult, lang: str) -> Verdict:
    """Did every row arrive?"""
    if not result.executed:
        pending = f"{sum(part.pending for part in result.tables):,}"
        return Verdict("warn", tr(lang, "Nothing was changed: {rows} rows are to be loaded.", rows=pending))
    if not result.complete:
        return Verdict("bad", tr(lang, "Not every staged row is settled: run the same command again."))
    if result.rejected:
        return Verdict("warn", tr(lang, "Every staged row is settled; {rows} are in quarantine.", rows=f"{result.rejected:,}"))
    return Verdict("ok", tr(lang, "Every staged row is on the target, once."))


def load_figures(result: LoadResult, lang: str) -> tuple[Figure, ...]:
    """Rows, time and rate."""
    if not result.executed:
        return (
            Figure(tr(lang, "Staged rows"), sum(part.staged for part in result.tables)),
            Figure(tr(lang, "Settled before"), sum(part.before for part in result.tables)),
            Figure(tr(lang, "Sampled rows"), sum(part.sampled for part in result.tables)),
        )
    busy = sum(part.seconds for part in result.tables)
    joined = (Figure(tr(lang, "Merged"), result.merged, tr(lang, "one member with others, in a golden record")),)
    rate = tr(lang, "{rate} rows a second", rate=f"{result.rows / busy:,.0f}") if busy and result.rows else ""
    return (
        Figure(tr(lang, "Loaded rows"), result.rows, rate),
        Figure(tr(lang, "Already there, the same"), sum(part.unchanged for part in result.tables)),
        *(joined if result.merged else ()),
        Figure(tr(lang, "Into quarantine"), result.rejected),
        Figure(tr(lang, "Values replaced"), sum(part.noted for part in result.tables)),
        Figure(tr(lang, "Time"), human_duration(result.seconds)),
    )


def load_table(result: LoadResult, lang: str) -> Table:
    """A line for each part. Where deduplication ran, merged rows have a column of their own."""
    rows: tuple[tuple[object, ...], ...]
    dedupe = bool(result.merged)
    columns = [column for column in (LOADED if result.executed else TO_LOAD) if dedupe or column != "Merged"]
    if result.executed:
        rows = tuple(
            (
                status(part), part.part, part.staged, part.before, part.loaded, part.unchanged, *merged_cell(part, dedupe),
                part.rejected, part.noted, round(part.seconds, 1),
            )
            for part in result.tables
        )  # fmt: skip
    else:
        rows = tuple(
            (
                "warn" if part.rejected else "ok", part.part, part.source, part.staged, part.before, part.pending, part.sampled,
                *merged_cell(part, dedupe), part.rejected, part.noted,
            )
            for part in result.tables
        )  # fmt: skip
    heads = tuple(translated(lang, column) for column in columns)
    note = "" if result.executed else tr(lang, "Merged, rejected and replaced are counted in the sample.")
    return Table(tr(lang, "Parts"), heads, rows, note=note, status_column=0)


LOADED = (
    "", "Part", "Staged", "Settled before", "Loaded", "Already there", "Merged", "Rejected", "Replaced", "Seconds",
)  # fmt: skip
TO_LOAD = ("", "Part", "Source", "Staged", "Settled before", "To load", "Sampled", "Merged", "Rejected", "Replaced")


def merged_cell(part: TableLoad, dedupe: bool) -> tuple[int, ...]:
    """Rows of a part whose member is one with others, where deduplication ran."""
    return (part.merged,) if dedupe else ()


def translated(lang: str, column: str) -> str:
    """The head of a column."""
    heads = {
        "": "",
        "Part": tr(lang, "Part"),
        "Source": tr(lang, "Source"),
        "Staged": tr(lang, "Staged"),
        "Settled before": tr(lang, "Settled before"),
        "To load": tr(lang, "To load"),
        "Sampled": tr(lang, "Sampled"),
        "Loaded": tr(lang, "Loaded"),
        "Already there": tr(lang, "Already there"),
        "Merged": tr(lang, "Merged"),
        "Rejected": tr(lang, "Rejected"),
        "Replaced": tr(lang, "Replaced"),
        "Seconds": tr(lang, "Seconds"),
    }
    return heads[column]


def status(part: TableLoad) -> str:
    """ok when all rows are there, warn with rejects, bad when rows are left."""
    if not part.complete:
        return "bad"
    return "warn" if part.rejected else "ok"


def reasons_table(result: LoadResult, lang: str) -> Table:
    """Why rows were rejected."""
    rows = tuple((part.part, reason.column, reason.reason, reason.rows) for part in result.tables for reason in part.reasons)
    heads = (tr(lang, "Part"), tr(lang, "Column"), tr(lang, "Reason"), tr(lang, "Findings"))
    return Table(tr(lang, "Why rows were rejected"), heads, rows)


def canary_table(canary: CanaryResult, lang: str) -> Table:
    """The canary by part."""
    rows = tuple(
        (
            "ok" if not part.errors else "warn",
            part.part,
            part.rows,
            part.rejected,
            part.missing,
            part.changed,
            ", ".join(part.columns),
        )
        for part in canary.parts
    )
    heads = (
        "", tr(lang, "Part"), tr(lang, "Rows"), tr(lang, "Rejected"), tr(lang, "Missing"), tr(lang, "Different"),
        tr(lang, "Columns"),
    )  # fmt: skip
    note = tr(
        lang,
        "{share} of each part was loaded first and read back; {errors} of it was wrong, the limit is {limit}.",
        share=f"{canary.share:.0%}", errors=f"{canary.error_share:.2%}", limit=f"{canary.limit:.0%}",
    )  # fmt: skip
    return Table(tr(lang, "Canary"), heads, rows, note=note, status_column=0)


def load_steps(result: LoadResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if not result.executed:
        return (tr(lang, "Load it: `membershift load --canary 10% --execute`."),)
    steps = []
    if result.rejected:
        steps.append(tr(lang, "Look at the quarantine: `membershift load rejects list`."))
        steps.append(tr(lang, "Correct the mapping, then: `membershift load rejects retry --execute`."))
    if result.complete:
        steps.append(tr(lang, "Prove it: `membershift reconcile rows`."))
    return tuple(steps)


def rejects_document(result: RejectList, lang: str) -> Document:
    """Lines of the quarantine."""
    counts = tuple((count.part, count.counted.column, count.counted.reason, count.counted.rows) for count in result.counts)
    lines = tuple(
        (
            line.mapping_part, line.source_key, line.column_name, line.reason, line.masked_value, told(lang, line.detail),
            line.settled_at,
        )
        for line in result.lines
    )  # fmt: skip
    if result.total:
        verdict = Verdict("warn", tr(lang, "{count} findings in quarantine.", count=f"{result.total:,}"))
    else:
        verdict = Verdict("ok", tr(lang, "Nothing is in quarantine."))
    part, column, reason = tr(lang, "Part"), tr(lang, "Column"), tr(lang, "Reason")
    tables = (
        Table(tr(lang, "By reason"), (part, column, reason, tr(lang, "Findings")), counts),
        Table(
            tr(lang, "Findings"),
            (part, tr(lang, "Source key"), column, reason, tr(lang, "Value, masked"), tr(lang, "Detail"), tr(lang, "Settled at")),
            lines,
        ),
    )
    steps = (tr(lang, "Correct the mapping, then: `membershift load rejects retry --execute`."),) if result.total else ()
    return Document(tr(lang, "Quarantine"), verdict, tables=tables if result.total else (), next_steps=steps, lang=lang)


def exported_document(result: Exported, lang: str) -> Document:
    """A file of the quarantine."""
    written = tr(lang, "{count} findings were written to {path}, values masked.", count=f"{result.lines:,}", path=result.path)
    return Document(tr(lang, "Quarantine"), Verdict("ok", written), lang=lang)


def retry_document(result: RetryResult, lang: str) -> Document:
    """What a retry did, or would do."""
    figures = {"loaded": f"{result.loaded:,}", "rejected": f"{result.rejected:,}"}
    if not any(part.waiting for part in result.parts) and not result.filled:
        verdict = Verdict("ok", tr(lang, "Nothing is in quarantine."))
    elif result.executed:
        outcome = tr(lang, "{loaded} rows left the quarantine, {rejected} stay in it.", **figures)
        verdict = Verdict("warn" if result.rejected else "ok", outcome)
    else:
        outcome = tr(lang, "Nothing was changed: {loaded} rows would leave the quarantine, {rejected} would stay.", **figures)
        verdict = Verdict("warn", outcome)
    return Document(
        tr(lang, "Retry of rejected rows"),
        verdict,
        figures=(Figure(tr(lang, "Rows that got their member"), result.filled),) if result.filled else (),
        tables=retry_tables(result, lang),
        next_steps=retry_steps(result, lang),
        lang=lang,
    )


def retry_tables(result: RetryResult, lang: str) -> tuple[Table, ...]:
    """What left the quarantine, and which rows got a member."""
    tables = (waiting_table(result, lang), lacking_table(result, lang), left_out_table(result, lang))
    return tuple(table for table in tables if table.rows)


def waiting_table(result: RetryResult, lang: str) -> Table:
    """What became of the rows in quarantine."""
    heads = (
        tr(lang, "Part"), tr(lang, "Waiting"), tr(lang, "Found in the stage"), tr(lang, "Loaded"), tr(lang, "Already there"),
        tr(lang, "Rejected"),
    )  # fmt: skip
    waiting = (part for part in result.parts if part.waiting)
    rows = tuple(
        (part.part, part.waiting, part.staged, part.loaded, part.unchanged + part.merged, part.rejected) for part in waiting
    )
    return Table(tr(lang, "Parts"), heads, rows)


def lacking_table(result: RetryResult, lang: str) -> Table:
    """What became of the rows that had been loaded without their member."""
    heads = (
        tr(lang, "Part"), tr(lang, "Loaded without member"), tr(lang, "Found in the stage"), tr(lang, "Member filled in"),
        tr(lang, "Still without member"),
    )  # fmt: skip
    lacking = ((part.part, part.refilled) for part in result.parts if part.refilled.noted)
    rows = tuple((name, rows.noted, rows.staged, rows.filled, rows.noted - rows.filled) for name, rows in lacking)
    note = tr(lang, "A row stays without member as long as nobody is loaded whom its legacy id stands for.")
    return Table(tr(lang, "Rows whose member was unknown"), heads, rows, note=note)


def left_out_table(result: RetryResult, lang: str) -> Table:
    """What a retry of the parts that were not asked for would do."""
    heads = (tr(lang, "Part"), tr(lang, "Would leave the quarantine"), tr(lang, "Would get their member"))
    rows = tuple((part.part, part.loaded + part.unchanged, part.refilled.filled) for part in result.left_out)
    note = tr(lang, "Their members are loaded by now, but these parts were not asked for.")
    return Table(tr(lang, "Rows of other parts that can follow"), heads, rows, note=note)


def retry_steps(result: RetryResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    steps = []
    for part in result.left_out:
        command = f"`membershift load rejects retry --table {part.part} --execute`"
        values = {"part": part.part, "rows": f"{part.loaded + part.unchanged + part.refilled.filled:,}", "command": command}
        steps.append(tr(lang, "{rows} rows of {part} can follow their members: {command}.", **values))
    for file, rows in result.files:
        text = "{rows} rows of {file} were imported without a member: import it again, and those whose member is loaded get it."
        steps.append(tr(lang, text, rows=f"{rows:,}", file=file))
    for part in result.parts:
        if part.unstaged:
            command = f"`membershift reconcile repair --table {part.target} --execute`"
            values = {"part": part.part, "rows": f"{part.unstaged:,}", "command": command}
            steps.append(
                tr(lang, "{rows} rows of {part} are not in the stage any more: {command} gives them their member.", **values)
            )
    if result.executed and (result.loaded or result.filled):
        steps.append(tr(lang, "Prove it: `membershift reconcile rows`."))
    return tuple(steps)
