"""Faults while loading: whatever happens, the same command in the end leaves every row there exactly once, with the same ids."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import LoadSettings, Settings, TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.target import kill_target, remove_target, start_target, stop_target
from migrations.schema.commands import schema_up
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import PARTS, generated_tables, stage_all

TABLES = ("store", "product", "member", "member_source", "points_ledger", "tier_history", "sign_in", "sale", "sale_line")
STATE_TABLES = ("load_checkpoint", "reject", "load_run", "id_allocator")
OURS = ("updated_at", "synced_at")
PROGRAM = "import sys; from cli.app import main; main(sys.argv[1:])"
MEMBERS = 500
LATEST_S = 120.0


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """What is loaded."""
    return generated_tables(tmp_path_factory.mktemp("generated"), MEMBERS)


@pytest.fixture
def settings(fresh_target: TargetSettings, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame]) -> Settings:
    """A full stage, an empty target, small batches, and the same in a configuration file."""
    schema_up(fresh_target, "0001")
    return staged(settings_for(target=fresh_target, load=LoadSettings(batch_rows=150, connections=3)), tables)


def staged(settings: Settings, tables: dict[str, pl.DataFrame]) -> Settings:
    """Fill the stage and write membershift.toml."""
    stage_all(settings, tables, 700)
    target = settings.target
    settings.origin.write_text(
        f"""
[source]
url = "mssql://nobody:nothing@127.0.0.1:1"
[target]
url = {json.dumps(target.url.get_secret_value())}
schema = "{target.schema_name}"
state_schema = "{target.state_schema}"
[load]
batch_rows = {settings.load.batch_rows}
connections = {settings.load.connections}
[state]
dir = {json.dumps(str(settings.state_dir))}
"""
    )
    settings.origin.chmod(0o600)
    return settings


def start_load(settings: Settings) -> subprocess.Popen[str]:
    """`membershift load --execute` as a program of its own."""
    parts = [argument for part in PARTS for argument in ("--table", part)]
    command = [sys.executable, "-c", PROGRAM, "--config", str(settings.origin), "load", *parts, "--execute", "--json"]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root)


def finish(process: subprocess.Popen[str], code: int = 0) -> dict[str, object]:
    """Wait for its end; return what it printed."""
    out, err = process.communicate(timeout=LATEST_S)
    assert process.returncode == code, err
    return dict(json.loads(out)) if out.strip() else {}


def batches_done(connection: BulkConnection, settings: Settings) -> int:
    """Checkpoints so far."""
    return int(connection.scalar(f"SELECT COUNT(*) FROM `{settings.target.state_schema}`.load_checkpoint"))


def contents(connection: BulkConnection, settings: Settings) -> dict[str, tuple[int, str]]:
    """(rows, hash of all their values) of each table, without the columns that say when."""
    found: dict[str, tuple[int, str]] = {}
    for table in TABLES:
        columns = [str(row[0]) for row in connection.query(f"SHOW COLUMNS FROM `{settings.target.schema_name}`.`{table}`")]
        names = ", ".join(f"`{name}`" for name in columns if name not in OURS)
        rows = sorted(map(repr, connection.query(f"SELECT {names} FROM `{settings.target.schema_name}`.`{table}`")))
        found[table] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    lines = connection.query(f"SELECT mapping_part, source_key, column_name, reason FROM `{settings.target.state_schema}`.reject")
    found["reject"] = (len(lines), hashlib.sha256("\n".join(sorted(map(repr, lines))).encode()).hexdigest())
    return found


def clean(connection: BulkConnection, settings: Settings) -> None:
    """An empty target again."""
    for schema, names in ((settings.target.schema_name, TABLES), (settings.target.state_schema, STATE_TABLES)):
        for name in names:
            connection.execute(f"DELETE FROM `{schema}`.`{name}`")


@pytest.fixture
def connection(settings: Settings) -> Iterator[BulkConnection]:
    """A connection to look with."""
    with connect_bulk(settings.target) as opened:
        yield opened


def kill_at_random_points(settings: Settings, connection: BulkConnection, kills: int) -> None:
    """Load undisturbed for comparison; then with a kill -9 at each of `kills` points, from the first second to the last batch."""
    run_load(settings, LoadRequest(tables=PARTS, execute=True), Silent())
    expected, batches = contents(connection, settings), batches_done(connection, settings)
    clean(connection, settings)
    chance = random.Random(20080901)
    killed = 0
    while killed < kills:
        process = start_load(settings)
        wait_for_batches(process, connection, settings, chance.randrange(-5, batches))
        time.sleep(chance.uniform(0, 0.08))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.communicate()
        if batches_done(connection, settings) == batches or chance.random() < 0.15:
            finish(start_load(settings))
            assert contents(connection, settings) == expected
            clean(connection, settings)
    finish(start_load(settings))

    assert contents(connection, settings) == expected
    assert batches_done(connection, settings) >= batches


def wait_for_batches(process: subprocess.Popen[str], connection: BulkConnection, settings: Settings, batches: int) -> None:
    """Until that many are done; below 0 for a moment somewhere before the first."""
    if batches < 0:
        time.sleep(random.Random(batches).uniform(0.1, 2.0))
        return
    deadline = time.monotonic() + LATEST_S
    while process.poll() is None and batches_done(connection, settings) < batches:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_point_every_row_is_there_once(settings: Settings, connection: BulkConnection) -> None:
    kill_at_random_points(settings, connection, 4)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_killed_at_fifty_points_every_row_is_there_once(settings: Settings, connection: BulkConnection) -> None:
    kill_at_random_points(settings, connection, 50)


def test_interrupted_it_ends_with_130_and_goes_on(settings: Settings, connection: BulkConnection) -> None:
    for _ in range(10):
        clean(connection, settings)
        process = start_load(settings)
        wait_for_batches(process, connection, settings, 8)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LATEST_S)
        if process.returncode != 0:  # else it had finished before the signal came: on a busy machine that happens
            break

    assert process.returncode == 130, err
    assert "goes on from here" in err
    assert "Traceback" not in out + err
    statuses = connection.query(f"SELECT status FROM `{settings.target.state_schema}`.load_run")
    assert [row[0] for row in statuses] == ["stopped"]
    finish(start_load(settings))
    again = finish(start_load(settings))
    assert {part["loaded"] for part in again["tables"]} == {0}  # type: ignore[attr-defined]  # a list of objects


def test_a_target_that_is_restarted_is_waited_for(
    tmp_path: Path, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame]
) -> None:
    """MariaDB is killed; a standalone TiDB, which does not write every commit through to the disk, is stopped."""
    server = start_target(tmp_path / "server")
    try:
        target = TargetSettings(url=SecretStr(server.url), schema="b", state_schema="s")
        schema_up(target, "0001")
        settings = staged(settings_for(target=target, load=LoadSettings(batch_rows=150, connections=3)), tables)

        def restart() -> None:
            with connect_bulk(target) as looking:
                while batches_done(looking, settings) < 12:
                    time.sleep(0.005)
            stop_target(server.folder) if server.is_tidb else kill_target(server.folder)
            time.sleep(3)
            start_target(server.folder)

        restarting = threading.Thread(target=restart)
        restarting.start()
        result = run_load(settings, LoadRequest(tables=PARTS, execute=True), Silent())
        restarting.join(LATEST_S)
        assert not restarting.is_alive()

        assert result.complete
        with connect_bulk(target) as looking:
            found = contents(looking, settings)
        loaded = {part.source: part.loaded for part in result.tables}
        assert found["sale_line"][0] == loaded["pos.dbo.SaleLine"]
        assert found["member"][0] == loaded["crm.dbo.Member"] + loaded["pos.dbo.PosMember"] == found["member_source"][0]
        assert run_load(settings, LoadRequest(tables=PARTS, execute=True), Silent()).rows == 0
    finally:
        remove_target(server.folder)
