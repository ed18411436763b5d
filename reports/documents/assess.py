"""An assessment as a document: what would go wrong first, then what is there, then what the move takes."""

from __future__ import annotations

from etl.assess.model import AssessResult, DuplicateEstimate, Estimate, Finding
from reports.document import Document, Figure, Table, Verdict, human_bytes, human_duration
from reports.documents.assess_texts import CHANGE_SOURCES, IDENTIFIERS, MEANING, NOTES
from reports.text import told, tr

STATUS = {"bad": "bad", "warn": "warn", "info": "ok"}


def assess_document(result: AssessResult, lang: str) -> Document:
    """All of an assessment. Counts from a sample are written as lower bounds."""
    tables = [finding_table(result, lang), database_table(result, lang), inventory_table(result, lang)]
    if result.duplicates is not None:
        tables += duplicate_tables(result.duplicates, lang)
    tables.append(estimate_table(result.estimate, lang))
    return Document(
        title=tr(lang, "Assessment of the legacy databases"),
        verdict=verdict_of(result, lang),
        figures=figures_of(result, lang),
        tables=tuple(tables),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: AssessResult, lang: str) -> Verdict:
    """Whether the data can be moved as it is."""
    bad = sum(finding.severity == "bad" for finding in result.findings)
    warn = sum(finding.severity == "warn" for finding in result.findings)
    if bad:
        text = tr(lang, "{bad} pitfalls would refuse, damage or lose data; {warn} more need a decision.", bad=bad, warn=warn)
        return Verdict("bad", text)
    if warn:
        return Verdict("warn", tr(lang, "Nothing would be lost; {warn} pitfalls need a decision.", warn=warn))
    return Verdict("ok", tr(lang, "The data can be moved as it is."))


def figures_of(result: AssessResult, lang: str) -> tuple[Figure, ...]:
    """Sizes, duplicates, time and space at a glance."""
    estimate = result.estimate
    target_bytes = human_bytes(estimate.target_bytes)
    sampled = sum(table.sampled for table in result.tables)
    note = tr(lang, "{count} tables were sampled", count=sampled) if sampled else tr(lang, "every row was read")
    figures = [
        Figure(tr(lang, "Server"), f"SQL Server {result.server_version}"),
        Figure(tr(lang, "Tables"), len(result.tables)),
        Figure(tr(lang, "Rows"), sum(table.rows for table in result.tables), note),
        Figure(tr(lang, "Space there"), human_bytes(sum(table.bytes for table in result.tables))),
    ]
    if result.duplicates is not None and result.duplicates.ids:
        duplicates = result.duplicates
        share = f"{100 * duplicates.surplus / duplicates.ids:.1f} %"
        label = tr(lang, "Ids of a person already known")
        note = tr(lang, "{share} of {ids} ids, by exact identifiers", share=share, ids=f"{duplicates.ids:,}")
        figures.append(Figure(label, duplicates.surplus, note))
    figures += [
        Figure(tr(lang, "Stage"), human_duration(estimate.stage_seconds), human_bytes(estimate.stage_bytes)),
        Figure(
            tr(lang, "Load and indexes"),
            human_duration(estimate.load_seconds + estimate.index_seconds),
            tr(lang, "{bytes} on the target in {replicas} replicas", bytes=target_bytes, replicas=estimate.replicas),
        ),
        Figure(tr(lang, "This assessment took"), human_duration(result.seconds)),
    ]
    if result.paused_seconds:
        figures.append(Figure(tr(lang, "of which paused for the server"), human_duration(result.paused_seconds)))
    return tuple(figures)


def finding_table(result: AssessResult, lang: str) -> Table:
    """Every pitfall, worst first."""
    columns = ("", "Pitfall", "Table", "Column", "Rows", "For example", "Remedy")
    return Table(
        title=tr(lang, "Pitfalls"),
        columns=tuple(tr(lang, column) if column else "" for column in columns),
        rows=tuple(finding_row(finding, lang) for finding in result.findings),
        note=" ".join(
            [
                tr(lang, "Keys stand for rows; values of members are not shown."),
                *(tr(lang, NOTES[note]) for note in result.notes),
            ]
        ),
        status_column=0,
    )


def finding_row(finding: Finding, lang: str) -> tuple[object, ...]:
    """One pitfall in words."""
    meaning, remedy = MEANING[finding.code]
    values = {name: told(lang, value) for name, value in finding.values}
    return (
        STATUS[finding.severity],
        tr(lang, meaning, **values),
        str(finding.table),
        finding.column,
        count_text(finding, lang),
        finding.sample_key,
        tr(lang, remedy, **values),
    )


def count_text(finding: Finding, lang: str) -> object:
    """A total where every row was read; else never more than what was seen."""
    if finding.count is None or not finding.sampled:
        return finding.count
    looked_at = f"{finding.looked_at or 0:,}"
    return tr(lang, "at least {count}, from a sample of {rows} rows", count=f"{finding.count:,}", rows=looked_at)


def database_table(result: AssessResult, lang: str) -> Table:
    """The databases and what they allow."""
    columns = (
        "Database",
        "Collation",
        "Code page",
        "Snapshot isolation",
        "Read committed snapshot",
        "Change Tracking",
        "Kept for",
    )
    rows = tuple(
        (
            facts.name,
            facts.collation,
            str(facts.code_page),
            yes_no(facts.snapshot_isolation, lang),
            yes_no(facts.read_committed_snapshot, lang),
            yes_no(facts.change_tracking, lang),
            facts.retention,
        )
        for facts in result.databases
    )
    return Table(tr(lang, "Databases"), tuple(tr(lang, column) for column in columns), rows)


def yes_no(value: bool, lang: str) -> str:
    """A truth value in words."""
    return tr(lang, "yes") if value else tr(lang, "no")


def inventory_table(result: AssessResult, lang: str) -> Table:
    """One line for each table."""
    columns = (
        "Table",
        "Rows",
        "Bytes",
        "Columns",
        "Key",
        "Identity",
        "Collations",
        "Computed",
        "Changes by",
        "Mapped",
        "Rows read",
    )
    rows = tuple(
        (
            str(table.name),
            table.rows,
            human_bytes(table.bytes),
            table.columns,
            ", ".join(table.key) or tr(lang, "none"),
            table.identity,
            ", ".join(table.collations),
            ", ".join(table.computed),
            tr(lang, CHANGE_SOURCES[table.change_source]),
            yes_no(table.mapped, lang),
            table.looked_at,
        )
        for table in result.tables
    )
    return Table(tr(lang, "Inventory"), tuple(tr(lang, column) for column in columns), rows)


def duplicate_tables(duplicates: DuplicateEstimate, lang: str) -> list[Table]:
    """How often each identifier repeats, within a column and across tables."""
    columns = ("Identifier", "Table", "Column", "Usable", "Different", "Surplus")
    within = tuple(
        (tr(lang, IDENTIFIERS[use.kind]), str(use.table), use.column, use.filled, use.distinct, use.surplus)
        for use in duplicates.uses
    )
    across = tuple((tr(lang, IDENTIFIERS[one.kind]), one.distinct, one.in_several_tables) for one in duplicates.shared)
    note = tr(
        lang,
        "Exact matches only. {count} values that more than {limit} rows share are taken as placeholders and not followed.",
        count=duplicates.placeholders,
        limit=duplicates.placeholder_limit,
    )
    if duplicates.sampled:
        note += " " + tr(lang, "From samples: there are more.")
    return [
        Table(tr(lang, "Repeated identifiers"), tuple(tr(lang, column) for column in columns), within, note),
        Table(
            tr(lang, "Identifiers in several tables"),
            (tr(lang, "Identifier"), tr(lang, "Different"), tr(lang, "In several tables")),
            across,
        ),
    ]


def estimate_table(estimate: Estimate, lang: str) -> Table:
    """Time and space for each table, and the rates behind them."""
    columns = ("Table", "Rows", "Stage", "Stage space", "Load", "Target space")
    rows = tuple(
        (
            str(one.table),
            one.rows,
            human_duration(one.stage_seconds),
            human_bytes(one.stage_bytes),
            human_duration(one.load_seconds),
            human_bytes(one.target_bytes),
        )
        for one in estimate.tables
    )
    rates = estimate.rates
    extract = f"{rates.extract_rows_per_s:,.0f}"
    values = {"extract": extract, "load": f"{rates.load_rows_per_s:,.0f}", "index": f"{rates.index_rows_per_s:,.0f}"}
    note = tr(lang, "At {extract} rows/s out of the source, {load} rows/s into the target, {index} rows/s for indexes.", **values)
    if "extract_rows_per_s" in estimate.measured:
        note += " " + tr(lang, "The first was measured just now; --load-rate and --index-rate set the others.")
    else:
        note += " " + tr(lang, "Set them with --extract-rate, --load-rate and --index-rate.")
    assumed = "Rates not measured here assume two cores for both servers and this program (docs/performance.md)."
    measure = (
        "Measure yours with one large table and a target for tests: `membershift stage` and `membershift load` report theirs."
    )
    note += " ".join(("", tr(lang, assumed), tr(lang, measure)))
    return Table(tr(lang, "Time and space"), tuple(tr(lang, column) for column in columns), rows, note)


def next_steps(result: AssessResult, lang: str) -> tuple[str, ...]:
    """What to do now."""
    steps = []
    if any(finding.severity == "bad" for finding in result.findings):
        steps.append(
            tr(lang, "Settle each pitfall marked as failed: correct the source, adapt the mapping, or accept quarantine.")
        )
    if any(table.sampled for table in result.tables):
        steps.append(tr(lang, "Run `membershift assess --full` at a quiet time: counts from samples are lower bounds."))
    if any(not table.mapped for table in result.tables):
        steps.append(tr(lang, "Tables without a mapping: draft one with `assess --draft-mapping DIR`, or use `load --as-is`."))
    steps.append(tr(lang, "Run `membershift schema up --execute`, then `membershift stage`."))
    return tuple(steps)
