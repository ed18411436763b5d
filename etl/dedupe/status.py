"""Where deduplication stands: runs, what is merged on the target, decisions, and what waits for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from etl.dedupe.answers import answers_by_pair
from etl.dedupe.decisions import standing_decisions
from etl.dedupe.labels import KINDS
from etl.dedupe.report import ReasonPairs, answered_by_reason
from etl.dedupe.review import read_review
from etl.errors import RefusedError
from etl.load.crosswalk import DEDUPE
from etl.load.sql import sql
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns, text_of
from etl.target.connect import connect_bulk

MOST_RUNS: Final = 10
RUNS: Final = """SELECT run_id, started_at, finished_at, status, model_name, model_version
FROM {state}.dedupe_run ORDER BY run_id DESC LIMIT %s"""
LINKED: Final = "SELECT COUNT(*), COUNT(DISTINCT member_id) FROM {schema}.member_source WHERE linked_by = %s"
RETIRED: Final = "SELECT COUNT(*) FROM {state}.merge_event WHERE kind = 'retire'"
UNMERGED: Final = "SELECT COUNT(*) FROM {state}.merge_event WHERE kind = 'unmerge'"


@dataclass(frozen=True)
class RunLine:
    """One run of deduplication that wrote, or began to. Times are UTC."""

    run_id: int
    started_at: datetime
    finished_at: datetime | None
    status: str
    model_name: str
    model_version: str


@dataclass(frozen=True)
class DedupeStatus:
    """What the target and the state folder hold. `review` is empty while nothing was run here."""

    runs: tuple[RunLine, ...]
    merged_members: int
    merged_records: int
    retired: int
    unmerged: int
    same: int
    different: int
    review: tuple[ReasonPairs, ...]
    run_here: bool

    @property
    def waiting(self) -> int:
        """Pairs without an answer."""
        return sum(one.pairs - one.answered for one in self.review)

    @property
    def unfinished(self) -> bool:
        """Whether the last run began to write and did not end."""
        return bool(self.runs) and self.runs[0].status in ("writing", "moving")


def dedupe_status(settings: Settings) -> DedupeStatus:
    """Read the state of both. Raises RefusedError when the schema is older than this program, TargetError."""
    names = {"state": settings.target.state_schema, "schema": settings.target.schema_name}
    with connect_bulk(settings.target, "") as connection:
        require_dedupe_tables(connection, names["state"])
        runs = tuple(
            RunLine(int(run_id), began, ended, text_of(status), text_of(name), text_of(version))
            for run_id, began, ended, status, name, version in connection.query(sql(RUNS, names), (MOST_RUNS,))
        )
        records, members = connection.query(sql(LINKED, names), (DEDUPE,))[0]
        retired, unmerged = (int(connection.scalar(sql(statement, names)) or 0) for statement in (RETIRED, UNMERGED))
        decisions = standing_decisions(connection, names["state"])
    folder = settings.dedupe_dir
    run_here = (folder / "review.parquet").is_file()
    answers = answers_by_pair([decision.as_link() for decision in decisions])
    kinds = [KINDS[decision.kind] for decision in decisions]
    return DedupeStatus(
        runs,
        int(members),
        int(records),
        retired,
        unmerged,
        kinds.count("same"),
        kinds.count("different"),
        answered_by_reason(folder, read_review(folder), answers) if run_here else (),
        run_here,
    )


def require_dedupe_tables(connection: BulkConnection, state_schema: str) -> None:
    """Raise RefusedError when the target has no tables of deduplication."""
    if "dedupe_run" not in read_target_columns(connection, state_schema):
        raise RefusedError(
            f"{state_schema} has no tables of deduplication yet.",
            "Bring it up to date: membershift schema up --to tables --execute",
        )
