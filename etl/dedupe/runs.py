"""Rows of membershift.dedupe_run: who deduplicated with which model, and whether it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.dedupe.result import RunRow, RunStatus
from etl.errors import RefusedError
from etl.load.runs import RunRecord
from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.errors import ServerError

NO_TABLE: Final = 1146
UNFINISHED: Final[tuple[RunStatus, ...]] = ("writing", "moving")
COLUMNS: Final = "run_id, status, started_at, finished_at, model_name, model_version, model_sha, details"


@dataclass(frozen=True)
class ModelFacts:
    """Which model a run used."""

    name: str
    version: str
    sha: str


class DedupeRecord(RunRecord):
    """The run under way, as the allocator of ids notes its block in it."""

    def note(self, section: str, name: str, value: Any) -> None:
        """Note something about `name`, inside the caller's transaction."""
        self.details = {**self.details, section: {**self.details.get(section, {}), name: value}}
        self.connection.execute(
            sql("UPDATE {state}.dedupe_run SET details = %s WHERE run_id = %s", {"state": self.state_schema}),
            (json.dumps(self.details), self.run_id),
        )


def begin_dedupe_run(
    connection: BulkConnection, state_schema: str, model: ModelFacts, details: Mapping[str, Any]
) -> DedupeRecord:
    """Note that a run begins, planning yet. Commits."""
    with connection.transaction():
        connection.execute(
            sql(
                "INSERT INTO {state}.dedupe_run (started_at, status, model_name, model_version, model_sha, details)"
                " VALUES (UTC_TIMESTAMP(6), 'planned', %s, %s, %s, %s)",
                {"state": state_schema},
            ),
            (model.name[:64], model.version[:32], model.sha, json.dumps(details)),
        )
        run_id = int(connection.scalar("SELECT LAST_INSERT_ID()"))
    return DedupeRecord(connection, state_schema, run_id, dict(details))


def set_status(record: DedupeRecord, status: RunStatus) -> None:
    """Say where the run is, inside the caller's transaction."""
    finished = "UTC_TIMESTAMP(6)" if status in ("done", "abandoned") else "NULL"
    record.connection.execute(
        sql(
            "UPDATE {state}.dedupe_run SET status = %s, finished_at = {finished} WHERE run_id = %s",
            {"state": record.state_schema},
            finished=finished,
        ),
        (status, record.run_id),
    )


def read_dedupe_runs(connection: BulkConnection, state_schema: str) -> tuple[RunRow, ...]:
    """All runs, the newest first; none on a target that is older than deduplication."""
    try:
        rows = connection.query(
            sql("SELECT {columns} FROM {state}.dedupe_run ORDER BY run_id DESC", {"state": state_schema}, columns=COLUMNS)
        )
    except ServerError as error:
        if error.number != NO_TABLE:
            raise
        return ()
    return tuple(
        RunRow(
            int(number),
            known_status(text_of(status)),
            began,
            ended,
            text_of(name),
            text_of(version),
            text_of(sha),
            json.loads(text_of(details) or "{}"),
        )
        for number, status, began, ended, name, version, sha, details in rows
    )


def known_status(status: str) -> RunStatus:
    """A status as the column holds it."""
    match status:
        case "writing" | "moving" | "done" | "abandoned":
            return status
        case _:
            return "planned"


def unfinished_run(connection: BulkConnection, state_schema: str) -> RunRow | None:
    """The run that was cut short while it wrote, if there is one."""
    return next((run for run in read_dedupe_runs(connection, state_schema) if run.status in UNFINISHED), None)


def require_no_half_run(connection: BulkConnection, state_schema: str) -> None:
    """Refuse to go on over a registry that is half way between two states. Raises RefusedError."""
    run = unfinished_run(connection, state_schema)
    if run is not None:
        raise RefusedError(
            f"A deduplication (run {run.run_id}, begun {run.started_at:%Y-%m-%d %H:%M} UTC) was cut short while it wrote.",
            "Run `membershift dedupe run --execute` again: it completes what was begun.",
        )
