"""Writers of many kinds against capture that is killed again and again: at the end the copy is the table."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from etl.mapping.sync_rules import SyncRules
from etl.reconcile.plan import TablePlan
from etl.settings import TargetSettings
from etl.sync.capture.requirements import require_capturable, require_process
from etl.sync.capture.sweep import count_dirty_rows
from etl.sync.plan import SyncTable
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk
from fixtures.target import TargetServer
from tests.scenarios.sync.capture.loop import Disk, Figures, Loop, live, read_all
from tests.scenarios.sync.capture.writers import ROWS, TILLS, Writers

TIMES = """updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL, KEY ix_sync (updated_at, synced_at)"""
OUTBOX = """CREATE TABLE outbox (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, table_name VARCHAR(64) NOT NULL,
    row_key VARCHAR(255) NOT NULL, op CHAR(1) NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    KEY ix_table (table_name))"""


@pytest.fixture
def connection(fresh_target: TargetSettings) -> Iterator[BulkConnection]:
    """The target, with tables `w` and `outbox`."""
    with connect_bulk(fresh_target, "") as opening:
        opening.execute(f"CREATE DATABASE {fresh_target.schema_name}")
    with connect_bulk(fresh_target) as connection:
        clustered = "/*T![clustered_index] CLUSTERED */"
        connection.execute(
            f"CREATE TABLE w (till VARCHAR(8) NOT NULL, id BIGINT NOT NULL, v BIGINT NOT NULL, kind VARCHAR(12), {TIMES},"
            f" PRIMARY KEY (till, id) {clustered}) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
        )
        connection.execute(OUTBOX)
        for till in TILLS:
            rows = ", ".join(f"('{till}', {number}, 0, 'old')" for number in range(ROWS))
            connection.execute(f"INSERT INTO w (till, id, v, kind) VALUES {rows}")
        yield connection


def sync_table(connection: BulkConnection, schema: str) -> SyncTable:
    """`w` as sync knows it."""
    columns = read_target_columns(connection, schema)["w"]
    mapped = tuple(column for column in columns if column.name not in ("updated_at", "synced_at"))
    return SyncTable(TablePlan("w", ("till", "id"), mapped, (), ()), SyncRules())


@pytest.mark.parametrize(
    ("seconds", "hold_s"),
    [
        pytest.param(6.0, 2.0, id="short"),
        pytest.param(float(os.environ.get("MEMBERSHIFT_PROOF_S", "180")), 3.0, id="long", marks=pytest.mark.proof),
    ],
)
def test_the_copy_is_the_table_after_kills_at_any_point(
    connection: BulkConnection, fresh_target: TargetSettings, target_server: TargetServer, seconds: float, hold_s: float
) -> None:
    seed = random.randrange(1_000_000)
    schema = fresh_target.schema_name
    table = sync_table(connection, schema)
    require_process(connection)
    require_capturable(connection, schema, table)
    disk, figures, chance = Disk(), Figures(), random.Random(seed)
    with Loop(fresh_target, table, disk, figures, chance) as first:
        first.sweep()
        first.round()
    writers = Writers(target_server, schema, hold_s, has_outbox=not connection.is_tidb)
    with writers.running(seed):
        live(fresh_target, table, disk, figures, chance, time.monotonic() + seconds, deadly=0.03)
    assert writers.errors == [], seed
    with Loop(fresh_target, table, disk, figures, chance) as last:
        last.round(last=True)  # no sweep: what the stream lost would show
    there = dict(read_all(connection, schema, table))
    stale = {key for key in there.keys() & disk.copy.keys() if there[key] != disk.copy[key]}
    verdict = {
        "missing": len(there.keys() - disk.copy.keys()),
        "extra": len(disk.copy.keys() - there.keys()),
        "stale": len(stale),
        "late": figures.missed,
    }
    report(writers, figures, seconds)
    assert verdict == {"missing": 0, "extra": 0, "stale": 0, "late": 0}, (seed, sorted(stale)[:5])
    assert count_dirty_rows(connection, schema, table.name) == 0
    assert figures.kills > 0, "nothing was killed: the run shows less than it says"
    assert min(writers.changes.get(name, 0) for name in writers.kinds() if name != "rolled_back") > 0, writers.changes


def report(writers: Writers, figures: Figures, seconds: float) -> None:
    """Figures of a run, shown by pytest -s through the log."""
    import logging

    lags, plain = sorted(figures.lags) or [0.0], sorted(writers.seconds) or [0.0]
    logging.getLogger("capture").warning(
        "%.0f s: %s changes %s; sent %d, again %d, tail %d, deleted %d, kills %d, rounds %d; lag p50 %.0f ms, p99 %.0f ms; "
        "plain update p50 %.1f ms, p99 %.1f ms",
        seconds, sum(writers.changes.values()), writers.changes, figures.sent, figures.again, figures.tails, figures.deleted,
        figures.kills, figures.rounds, lags[len(lags) // 2] * 1e3, lags[len(lags) * 99 // 100] * 1e3,
        plain[len(plain) // 2] * 1e3, plain[len(plain) * 99 // 100] * 1e3,
    )  # fmt: skip
