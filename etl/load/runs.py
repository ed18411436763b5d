"""The record of runs, membershift.load_run: who loaded what, when, under which mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of


@dataclass(frozen=True)
class Run:
    """One row of load_run. `details` is what the run noted: fingerprints of the mapping parts, blocks of allocated ids."""

    run_id: int
    command: str
    status: str
    details: Mapping[str, Any]


def begin_run(connection: BulkConnection, state_schema: str, command: str, details: Mapping[str, Any]) -> int:
    """Note that a run begins; return its number. Commits."""
    connection.begin()
    connection.execute(
        sql(
            "INSERT INTO {state}.load_run (started_at, command, status, details) VALUES (UTC_TIMESTAMP(6), %s, 'running', %s)",
            {"state": state_schema},
        ),
        (command, json.dumps(details)),
    )
    run_id = int(connection.query("SELECT LAST_INSERT_ID()", ())[0][0])
    connection.commit()
    return run_id


@dataclass
class RunRecord:
    """The run under way; `details` is what it noted so far."""

    connection: BulkConnection
    state_schema: str
    run_id: int
    details: dict[str, Any]

    def note(self, section: str, name: str, value: Any) -> None:
        """Note something about `name`, inside the caller's transaction."""
        self.details = {**self.details, section: {**self.details.get(section, {}), name: value}}
        self.connection.execute(
            sql("UPDATE {state}.load_run SET details = %s WHERE run_id = %s", {"state": self.state_schema}),
            (json.dumps(self.details), self.run_id),
        )


def finish_run(connection: BulkConnection, state_schema: str, run_id: int, status: str) -> None:
    """Note how a run ended: "done", "stopped" or "failed". Commits."""
    connection.begin()
    connection.execute(
        sql("UPDATE {state}.load_run SET finished_at = UTC_TIMESTAMP(6), status = %s WHERE run_id = %s", {"state": state_schema}),
        (status, run_id),
    )
    connection.commit()


def read_runs(connection: BulkConnection, state_schema: str) -> tuple[Run, ...]:
    """All runs, the newest first."""
    rows = connection.query(
        sql("SELECT run_id, command, status, details FROM {state}.load_run ORDER BY run_id DESC", {"state": state_schema})
    )
    return tuple(
        Run(int(number), str(command), str(status), json.loads(text_of(details) or "{}"))
        for number, command, status, details in rows
    )


def newest_detail(runs: tuple[Run, ...], section: str, name: str) -> Any:
    """What the newest run that noted anything about `name` in `section` noted; None when none did."""
    for run in runs:
        noted = run.details.get(section, {})
        if name in noted:
            return noted[name]
    return None
