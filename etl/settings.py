"""The shape of membershift.toml. Reading it, with secrets and line numbers, is in etl/config_file.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Engine = Literal["duckdb", "spark"]


class Section(BaseModel):
    """A table of the file: unknown keys are an error, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ConnectionSettings(Section):
    """How to reach one server.

    `tls`: "verify" checks the certificate and the host name, "trust" encrypts without checking, "off" sends plain text.
    Left out, it is "verify", except on loopback, where it is "off".
    """

    url: SecretStr
    tls: Literal["verify", "trust", "off"] | None = None
    tls_ca: Path | None = None
    connect_timeout_s: Seconds = 10
    query_timeout_s: Seconds = 600
    retries: int = Field(default=5, ge=0, le=20)
    pool_size: int = Field(default=4, ge=1, le=64)
    application_name: str = "membershift"
    driver: Literal["auto", "fast", "plain"] = "auto"


class SourceSettings(ConnectionSettings):
    """SQL Server: url is mssql://user:password@host:1433, without a database; `databases` are those to move."""

    databases: tuple[str, ...] = ()


class TargetSettings(ConnectionSettings):
    """TiDB: url is mysql://user:password@host:4000; the names of our two schemas there. `loadtest`: it may be load-tested."""

    loadtest: bool = False
    schema_name: str = Field(default="membership", alias="schema", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,58}$")
    state_schema: str = Field(default="membershift", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,58}$")

    @property
    def verify_schema(self) -> str:
        """The scratch schema that `snapshot verify` restores into; a name has at most 64 characters."""
        return f"{self.state_schema}_verify"[:64]


class MappingSettings(Section):
    """`path` is a folder of mapping files, or the name of a mapping that comes with the program ("retailer")."""

    path: str = "retailer"
    time_zone: str = "Asia/Shanghai"


class StageSettings(Section):
    """Extraction into Parquet. `max_load` is a share of the source's CPU, above which reading pauses."""

    parallel: int = Field(default=2, ge=1, le=32)
    chunk_rows: int = Field(default=200_000, ge=1_000, le=5_000_000)
    min_free_disk_gib: float = Field(default=1.0, ge=0)


class LoadSettings(Section):
    """Bulk load. `error_limit` is the share of rejected rows at which a canary stops (0.05 = 5 %)."""

    batch_rows: int = Field(default=10_000, ge=100, le=50_000)
    connections: int = Field(default=2, ge=1, le=32)
    error_limit: float = Field(default=0.05, ge=0, le=1)


class SparkSettings(Section):
    """Where deduplication on Spark runs. `master`: "local[*]" or any master URL. `conf`: Spark's own settings, by their names."""

    master: str = Field(default="local[*]", min_length=1)
    conf: dict[str, SecretStr] = Field(default_factory=dict)


class DedupeSettings(Section):
    """Deduplication. `model` is a comparison file, or the name of one that comes with the program.

    `match_weight` and `review_weight` replace the model's own (log2 of the odds): a pair at the first or above is one person, one
    from the second up to it is asked about. `pair_budget`: no blocking rule may make more pairs. `memory_limit_gib` and `threads`
    (0: all cores) are the engine's, which spills to disk beyond. `largest_cluster`: no person has more records; larger groups are
    split and reported. `small_write_rows`: up to this many rows go in one transaction, more into tables that are then exchanged
    for the old ones. `engine` compares pairs: DuckDB here, or Spark as `spark` says.
    """

    model: str = "chinese_members"
    match_weight: float | None = Field(default=None, ge=-100, le=100)
    review_weight: float | None = Field(default=None, ge=-100, le=100)
    pair_budget: int = Field(default=30_000_000, ge=1_000)
    memory_limit_gib: float = Field(default=2.0, ge=0.1)
    threads: int = Field(default=0, ge=0, le=256)
    largest_cluster: int = Field(default=10, ge=2, le=1_000)
    small_write_rows: int = Field(default=60_000, ge=0, le=200_000)
    engine: Engine = "duckdb"
    spark: SparkSettings = SparkSettings()


class ReconcileSettings(Section):
    """Comparison. `second_look_s`: a difference counts only if it is still there after this many seconds."""

    batch_rows: int = Field(default=20_000, ge=1_000, le=500_000)
    second_look_s: float = Field(default=0, ge=0, le=3_600)
    max_listed: int = Field(default=1_000, ge=1, le=1_000_000)


class ThrottleSettings(Section):
    """When sync holds back; every limit is off unless it is set. `file`: while it is there, sync stands still, or goes at the
    percentage that it holds (by default `throttle` in the state folder). `max_load`: how busy the source may be, in percent of
    its CPU or processors. `max_source_latency_ms`, `max_target_latency_ms`: 95th percentile of a small statement of our own,
    which writes on the target. `max_lag_s`: how far `replicas` (their URLs), or what `lag_query` returns on the target, may be
    behind. `nice_ratio`: rest so long for each second of work. `every_s`: how often all this is measured."""

    file: Path | None = None
    max_load: int | None = Field(default=None, ge=1, le=100)
    max_source_latency_ms: float | None = Field(default=None, gt=0, le=60_000)
    max_target_latency_ms: float | None = Field(default=None, gt=0, le=60_000)
    max_lag_s: float = Field(default=10.0, gt=0, le=86_400)
    replicas: tuple[SecretStr, ...] = ()
    lag_query: str | None = None
    nice_ratio: float = Field(default=0.0, ge=0, le=100)
    every_s: float = Field(default=2.0, ge=0.1, le=60)


class SyncSettings(Section):
    """Keeping both sides in step. `poll_s`: pause of a stream that found nothing to do. `sweep_s`: how often every dirty row is
    looked for, whatever its time. `tail_s`: how often rows are looked for that were written twice in one microsecond.
    `deletes_s`: how often deleted rows are looked for on TiDB, by comparing keys; less than it keeps old versions.
    `clock_allowance_s`: how far the clocks of both sides may be apart where the later change wins. `match_newcomers`: ask
    deduplication whether a new legacy id is a person already known (it needs 0.3 s a batch, and its memory). `check_share`: share
    of its time that the background check may be busy, 0 for none; `check_every_h`: how often it begins anew. `outbox`: table of
    the business schema in which applications note changes of tables with capture = "outbox"."""

    poll_s: float = Field(default=0.2, ge=0.01, le=60)
    sweep_s: float = Field(default=300, ge=1, le=86_400)
    tail_s: float = Field(default=1.0, ge=0.1, le=60)
    deletes_s: float = Field(default=300, ge=1, le=3_600)
    clock_allowance_s: float = Field(default=2.0, ge=0, le=3_600)
    match_newcomers: bool = True
    check_share: float = Field(default=0.1, ge=0, le=1)
    check_every_h: float = Field(default=24.0, ge=0.001, le=8_760)
    outbox: str = Field(default="outbox", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,58}$")
    throttle: ThrottleSettings = ThrottleSettings()


class SnapshotSettings(Section):
    """Snapshots of stores. `key`: 32 random bytes in hexadecimal or base64 that encrypt the files, none when it is left out;
    `old_keys`: those of older snapshots. `as_of_h`: how many hours TiDB keeps what rows were, for reads as of the snapshot; 0
    leaves its garbage collection alone. A snapshot is pruned when it is older than `keep_days` and its stores have `keep_count`
    newer ones. `legacy`: also export the rows of the legacy side."""

    key: SecretStr | None = None
    old_keys: tuple[SecretStr, ...] = ()
    as_of_h: float = Field(default=24.0, ge=0, le=720)
    keep_days: float = Field(default=30.0, ge=0, le=3_650)
    keep_count: int = Field(default=3, ge=1, le=1_000)
    legacy: bool = False


class StateSettings(Section):
    """Where local state lives: state.db, the stage, exports."""

    dir: Path = Path(".membershift")


class Settings(Section):
    """All of membershift.toml, secrets resolved. `roles`: the system's users that hold a role, by its name (dba, ops, finance);
    the audit log notes them, and a release asks for approver, operator and overruler. `origin` is the file it was read from, for
    messages."""

    source: SourceSettings
    target: TargetSettings
    mapping: MappingSettings = MappingSettings()
    stage: StageSettings = StageSettings()
    load: LoadSettings = LoadSettings()
    dedupe: DedupeSettings = DedupeSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    sync: SyncSettings = SyncSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    state: StateSettings = StateSettings()
    roles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    origin: Path = Path("membershift.toml")

    @property
    def config_dir(self) -> Path:
        """The folder of the configuration file: what relative paths in it start from."""
        return self.origin.resolve().parent

    @property
    def state_dir(self) -> Path:
        """`state.dir`, taken as relative to the folder of the configuration file."""
        folder = self.state.dir.expanduser()
        return folder if folder.is_absolute() else self.config_dir / folder

    @property
    def stage_dir(self) -> Path:
        """Where staged Parquet files and their manifest live."""
        return self.state_dir / "stage"

    @property
    def dedupe_dir(self) -> Path:
        """Where deduplication keeps its records, edges, clusters and model."""
        return self.state_dir / "dedupe"
