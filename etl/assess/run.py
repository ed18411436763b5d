"""assess: what is in the legacy databases, what will be trouble, and what the move will take. SELECT only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from etl.assess.duplicates import Identifier, estimate_duplicates, find_identifiers
from etl.assess.estimate import estimate_move, measure_rates
from etl.assess.inventory import describe_table, read_databases
from etl.assess.long_rows import check_long_rows
from etl.assess.mapped import MappedRows, TargetTables, mapped_rows, mapped_tables
from etl.assess.model import AssessRequest, AssessResult, DatabaseFacts, DuplicateEstimate, Finding, TableFacts
from etl.assess.reading import one_connection, one_instant
from etl.assess.relations import Relation, check_orphans, find_relations
from etl.assess.sampling import Sample, plan_sample
from etl.assess.scan import TableScan, scan_table
from etl.assess.spill import KeySpill
from etl.assess.structure import check_identities, check_structure
from etl.checks.source_server import read_version
from etl.mapping.model import Mapping as DataMapping
from etl.names import SourceTable
from etl.progress import Progress
from etl.settings import Settings
from etl.source.catalog import Catalog, Table, open_databases, read_catalog
from etl.source.connect import Source, open_source
from etl.source.gentle import Gentle

ORDER = {"bad": 0, "warn": 1, "info": 2}


def run_assess(
    settings: Settings,
    request: AssessRequest,
    progress: Progress,
    mapping: DataMapping | None = None,
    target: TargetTables | None = None,
) -> AssessResult:
    """Assess the source databases of `settings`, or the tables of `request`.

    With a `mapping` and the columns of the `target` tables, also says which values the mapping would reject.
    Raises SourceError when the source cannot be read, UsageError for an unknown table.
    """
    started = time.monotonic()
    with open_source(settings.source, progress) as source, KeySpill(settings.state_dir) as spill:
        gentle = Gentle(source, request.max_load_percent, progress)
        catalog = read_tables(source, settings, request)
        databases = read_databases(source, sorted({name.database for name in catalog.tables}))
        facts = {name: describe_table(table, mapped_tables(mapping)) for name, table in catalog.tables.items()}
        samples = {name: plan_sample(table, request) for name, table in catalog.tables.items()}
        relations = find_relations(catalog.tables)
        identifiers = find_identifiers(catalog.tables, relations)
        watchers, misfits = mapped_rows(mapping, target, catalog.tables, source)
        findings = [*misfits, *structure_findings(source, catalog.tables, facts)]
        scans = scan_tables(source, catalog.tables, databases, samples, relations, identifiers, watchers, spill, gentle, progress)
        findings += [finding for scan in scans.values() for finding in scan.findings]
        findings += server_findings(source, catalog.tables, relations, samples, gentle, progress)
        rates, measured = measure_rates(request.rates, scans.values())
        return AssessResult(
            server_version=" ".join(read_version(source)[:2]),
            databases=databases,
            tables=tuple(looked_at(facts[name], scans[name], samples[name]) for name in facts),
            findings=tuple(sorted(findings, key=order_of)),
            duplicates=duplicates_of(spill, identifiers, scans, samples),
            estimate=estimate_move(catalog.tables, scans, rates, measured),
            notes=notes_of(gentle, mapping, target),
            paused_seconds=gentle.paused_s,
            seconds=time.monotonic() - started,
        )


def read_tables(source: Source, settings: Settings, request: AssessRequest) -> Catalog:
    """The tables asked for, or every table of the configured databases."""
    wanted = None if request.tables is None else [SourceTable.parse(text) for text in request.tables]
    return read_catalog(source, open_databases(source, settings.source.databases) if wanted is None else (), wanted)


def structure_findings(
    source: Source, tables: Mapping[SourceTable, Table], facts: Mapping[SourceTable, TableFacts]
) -> Iterator[Finding]:
    """What the declarations show."""
    for name, table in tables.items():
        yield from check_structure(table, facts[name])
    yield from check_identities(source, tables)


def scan_tables(
    source: Source,
    tables: Mapping[SourceTable, Table],
    databases: Sequence[DatabaseFacts],
    samples: Mapping[SourceTable, Sample],
    relations: Sequence[Relation],
    identifiers: Sequence[Identifier],
    watchers: Mapping[SourceTable, Sequence[MappedRows]],
    spill: KeySpill,
    gentle: Gentle,
    progress: Progress,
) -> dict[SourceTable, TableScan]:
    """Read table after table on one connection, each in a snapshot of its own where the database allows one.

    A reader that pauses in the middle of a table holds up writers unless row versions stand in for its locks.
    """
    by_name = {facts.name: facts for facts in databases}
    scans: dict[SourceTable, TableScan] = {}
    with one_connection(source) as session:
        for name, table in tables.items():
            facts = by_name[name.database]
            gentle.wait()
            progress.start(str(name), samples[name].rows)
            with one_instant(session, snapshot=facts.snapshot_isolation) as reader:
                scans[name] = scan_table(
                    reader,
                    table,
                    samples[name],
                    code_page=facts.code_page,
                    pointing=frozenset(column for relation in relations if relation.child == name for column in relation.columns),
                    identifiers=[identifier for identifier in identifiers if identifier.table == name],
                    watchers=watchers.get(name, ()),
                    spill=spill,
                    pause=gentle.wait if facts.snapshot_isolation or facts.read_committed_snapshot else no_pause,
                    advance=advance_on(progress, str(name)),
                )
            progress.finish(str(name))
    return scans


def no_pause() -> None:
    """For tables that are read under shared locks."""


def advance_on(progress: Progress, task: str) -> Callable[[int], None]:
    """Report rows of one task."""
    return lambda rows: progress.advance(task, rows)


def server_findings(
    source: Source,
    tables: Mapping[SourceTable, Table],
    relations: tuple[Relation, ...],
    samples: Mapping[SourceTable, Sample],
    gentle: Gentle,
    progress: Progress,
) -> Iterator[Finding]:
    """What the server itself is asked to count: long rows, rows that point at nothing."""
    for name, table in tables.items():
        gentle.wait()
        yield from check_long_rows(source, table, samples[name])
    progress.start("orphans", len(relations), "relations")
    for relation in relations:
        gentle.wait()
        yield from check_orphans(source, relation, tables, samples[relation.child])
        progress.advance("orphans", 1)
    progress.finish("orphans")


def duplicates_of(
    spill: KeySpill,
    identifiers: Sequence[Identifier],
    scans: Mapping[SourceTable, TableScan],
    samples: Mapping[SourceTable, Sample],
) -> DuplicateEstimate | None:
    """The estimate over the rows that were read."""
    return estimate_duplicates(
        spill,
        identifiers,
        {name: scan.rows for name, scan in scans.items()},
        sampled={name: sample.sampled for name, sample in samples.items()},
    )


def looked_at(facts: TableFacts, scan: TableScan, sample: Sample) -> TableFacts:
    """An inventory row with how much of the table was read; a whole read knows the rows better than the server's estimate."""
    rows = facts.rows if sample.sampled else scan.rows
    return replace(facts, rows=rows, looked_at=scan.rows, sampled=sample.sampled)


def notes_of(gentle: Gentle, mapping: DataMapping | None, target: TargetTables | None) -> tuple[str, ...]:
    """What the reader should know about how this was done, as codes."""
    unread = mapping is not None and any(part.target not in (target or {}) for part in mapping.parts)
    found = {"max_load_blind": gentle.blind, "target_tables_missing": unread}
    return tuple(code for code, holds in found.items() if holds)


def order_of(finding: Finding) -> tuple[int, str, str, str]:
    """Worst first, then by kind and place."""
    return ORDER[finding.severity], finding.code, str(finding.table), finding.column or ""
