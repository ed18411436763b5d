"""What an assessment is asked and what it answers, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from etl.names import SourceTable

Severity = Literal["bad", "warn", "info"]
"""bad: rows would be refused, damaged or merged when moved as they are; warn: decide before moving; info: worth knowing."""


@dataclass(frozen=True)
class Rates:
    """How fast data moves, for the estimate. Defaults: two cores for both servers and us, on TiDB 8.5 (docs/performance.md):
    `stage` and `load` of members, each with its crosswalk entry; for indexes, what the demo's load took beyond that.

    `target_bytes_ratio`: disk on the target for one byte of staged Arrow data, one replica, compressed. `parquet_ratio`: the
    same for the stage, used where nothing of a table was read.
    """

    extract_rows_per_s: float = 200_000
    load_rows_per_s: float = 33_000
    index_rows_per_s: float = 60_000
    parquet_ratio: float = 0.35
    target_bytes_ratio: float = 1.0
    replicas: int = 3


@dataclass(frozen=True)
class AssessRequest:
    """`tables`: only these ("crm.dbo.Member"), None for all. `full`: read every row of every table.

    Otherwise a table of more than `scan_limit_rows` rows or `scan_limit_bytes` is sampled to about `sample_rows` rows.
    `max_load_percent`: pause while the server's CPU is busier than this.
    """

    tables: tuple[str, ...] | None = None
    full: bool = False
    scan_limit_rows: int = 1_000_000
    scan_limit_bytes: int = 2 * 1024**3
    sample_rows: int = 200_000
    max_load_percent: int | None = None
    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True)
class DatabaseFacts:
    """One legacy database. `code_page` is that of its varchar columns by default; `retention` says how long changes are kept."""

    name: str
    collation: str
    code_page: int
    snapshot_isolation: bool
    read_committed_snapshot: bool
    change_tracking: bool
    retention: str | None


@dataclass(frozen=True)
class TableFacts:
    """One row of the inventory. `looked_at` rows were read; `sampled` says that they are not all of them.

    `change_source` is how changes can be captured: "change_tracking", "rowversion", "column" or "none".
    """

    name: SourceTable
    rows: int
    bytes: int
    columns: int
    key: tuple[str, ...]
    identity: str | None
    collations: tuple[str, ...]
    computed: tuple[str, ...]
    change_tracking: bool
    rowversion: str | None
    last_changed: str | None
    change_source: str
    mapped: bool
    looked_at: int = 0
    sampled: bool = False


@dataclass(frozen=True)
class Finding:
    """One pitfall in one place.

    `count` is a number of rows, None where the finding is about the structure. When `sampled` it is a lower bound: at least
    `count`, seen in `looked_at` rows. `sample_key` is the key of one such row. `values` fill the sentence of `code` in reports.
    """

    code: str
    severity: Severity
    table: SourceTable | None
    column: str | None
    count: int | None = None
    looked_at: int | None = None
    sampled: bool = False
    sample_key: str | None = None
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class IdentifierUse:
    """How often a person's identifier repeats in one column: of `filled` usable values, `surplus` = `filled` - `distinct`."""

    kind: str
    table: SourceTable
    column: str
    filled: int
    distinct: int
    surplus: int
    sampled: bool


@dataclass(frozen=True)
class SharedIdentifier:
    """Distinct values of one kind over all databases, and how many of them stand in more than one table."""

    kind: str
    distinct: int
    in_several_tables: int


@dataclass(frozen=True)
class DuplicateEstimate:
    """How many ids stand for a person already known: rows that share a phone, an id card or a union id, followed through.

    `ids` rows form `persons` groups; `surplus` = `ids` - `persons`. Values shared by more than `placeholder_limit` rows are no
    one person's: they are counted in `placeholders` and followed nowhere. An estimate: typing errors hide duplicates, and
    a family that shares a phone looks like one person.
    """

    ids: int
    persons: int
    surplus: int
    placeholders: int
    placeholder_limit: int
    sampled: bool
    uses: tuple[IdentifierUse, ...]
    shared: tuple[SharedIdentifier, ...]


@dataclass(frozen=True)
class TableEstimate:
    """Time (seconds) and space (bytes) to move one table."""

    table: SourceTable
    rows: int
    stage_seconds: float
    stage_bytes: int
    load_seconds: float
    target_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Time and space of the whole move, for one connection each way; `measured` says which rates came from this very source."""

    tables: tuple[TableEstimate, ...]
    stage_seconds: float
    stage_bytes: int
    load_seconds: float
    index_seconds: float
    target_bytes: int
    replicas: int
    rates: Rates
    measured: tuple[str, ...]


@dataclass(frozen=True)
class AssessResult:
    """All that was found. `queries` were sent, every one a SELECT."""

    server_version: str
    databases: tuple[DatabaseFacts, ...]
    tables: tuple[TableFacts, ...]
    findings: tuple[Finding, ...]
    duplicates: DuplicateEstimate | None
    estimate: Estimate
    notes: tuple[str, ...]
    paused_seconds: float
    seconds: float
