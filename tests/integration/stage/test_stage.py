"""Staging real tables: each row once, whatever the key, the driver, the interruption or the other writers."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import polars as pl
import pymssql
import pytest

from etl.errors import RefusedError, UsageError
from etl.progress import Silent
from etl.settings import Settings, StageSettings
from etl.source.errors import ServerError
from etl.stage.lock import only_one
from etl.stage.read import open_stage
from etl.stage.run import StageRequest, run_stage
from etl.stage.summary import stage_status
from tests.integration.source.legacy_tables import run_sql
from tests.integration.stage.stage_runs import (
    LATEST_S,
    all_done,
    done_chunks,
    finish,
    kill_after,
    start_stage,
    wait_for,
    write_config,
)
from tests.integration.stage.stage_tables import Seeded, assert_staged_exactly, seed

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="module")
def seeded(legacy: LegacyServer) -> Seeded:
    return seed(legacy, "stg_shop", 24_000)


@pytest.fixture
def settings(legacy: LegacyServer, settings_for: MakeSettings, seeded: Seeded) -> Settings:
    stage = StageSettings(chunk_rows=1000, min_free_disk_gib=0)
    return settings_for(source=legacy, databases=(seeded.database,), stage=stage)


@pytest.mark.parametrize("driver", ["auto", "plain"])
def test_every_row_is_staged_once_whatever_its_key(settings: Settings, seeded: Seeded, driver: str) -> None:
    source = settings.source.model_copy(update={"driver": driver})
    result = run_stage(settings.model_copy(update={"source": source}), StageRequest(parallel=3), Silent())
    assert result.complete
    assert result.rows_read == sum(frame.height for frame in seeded.frames.values())
    assert_staged_exactly(settings, seeded)
    tables = {table.name.name: table for table in result.tables}
    assert tables["Member"].chunks >= 24
    assert {tables[name].chunks for name in ("Card", "Line", "Account")} <= {6, 7}
    assert tables["Note"].chunks == 1
    assert tables["Member"].left_out == (("RowVer", "rowversion: counts the source's own writes"),)
    assert {table.isolation for table in result.tables} == {"snapshot"}
    assert tables["Member"].changed is False


def test_a_second_run_reads_nothing_again(settings: Settings, seeded: Seeded) -> None:
    request = StageRequest(tables=(str(seeded.table("Card")), str(seeded.table("Note"))))
    run_stage(settings, request, Silent())
    files = {path: path.stat().st_mtime_ns for path in settings.stage_dir.glob("*/*.parquet")}
    assert run_stage(settings, request, Silent()).rows_read == 0
    assert files == {path: path.stat().st_mtime_ns for path in settings.stage_dir.glob("*/*.parquet")}
    assert [table.name for table in run_stage(settings, request, Silent()).tables] == [seeded.table("Card"), seeded.table("Note")]


def test_killed_right_after_its_last_chunk_a_table_becomes_whole_on_the_next_run(settings: Settings, seeded: Seeded) -> None:
    run_stage(settings, StageRequest(), Silent())
    with closing(sqlite3.connect(settings.stage_dir / "manifest.db")) as manifest, manifest:
        manifest.execute("UPDATE staged_table SET finished_at = NULL, changed = NULL")
    assert not stage_status(settings).complete
    again = run_stage(settings, StageRequest(), Silent())
    assert (again.rows_read, again.complete) == (0, True)
    assert stage_status(settings).complete


def test_restart_takes_a_table_anew(settings: Settings, seeded: Seeded) -> None:
    name = str(seeded.table("Card"))
    run_stage(settings, StageRequest(tables=(name,)), Silent())
    again = run_stage(settings, StageRequest(restart=(name,)), Silent())
    assert again.rows_read == seeded.frames["Card"].height
    assert_staged_exactly(settings, seeded, ["Card"])


def test_a_lost_or_cut_file_is_taken_again_alone(settings: Settings, seeded: Seeded) -> None:
    request = StageRequest(tables=(str(seeded.table("Account")),))
    run_stage(settings, request, Silent())
    first, second, *_ = sorted(settings.stage_dir.glob("*/*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert run_stage(settings, request, Silent()).rows_read == 2000
    assert_staged_exactly(settings, seeded, ["Account"])


def test_changes_made_while_staging_lie_above_the_noted_version(legacy: LegacyServer, settings_for: MakeSettings) -> None:
    busy = seed(legacy, "stg_busy", 8000)
    settings = settings_for(source=legacy, databases=("stg_busy",), stage=StageSettings(chunk_rows=1000, min_free_disk_gib=0))
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        number = 0
        while not stop.is_set() and number < 2_000:
            number += 1
            run_sql(
                legacy,
                f"INSERT INTO stg_busy.dbo.Member (Name, Balance, CreatedAt) VALUES ('w{number}', {number}, '2024-01-01')",
                f"DELETE FROM stg_busy.dbo.Member WHERE MemberId = {busy.frames['Member']['MemberId'][number * 3]}",
            )
            written.append(number)

    writer = threading.Thread(target=write)
    writer.start()

    class AwaitsWrite(Silent):
        """Holds up the first rows until something was written after the versions were noted."""

        def advance(self, task: str, amount: int) -> None:
            self.seen = getattr(self, "seen", len(written))
            while len(written) <= self.seen and writer.is_alive():
                time.sleep(0.01)

    try:
        result = run_stage(settings, StageRequest(tables=("stg_busy.dbo.Member",), parallel=2), AwaitsWrite())
    finally:
        stop.set()
        writer.join()
    (table,) = result.tables
    assert table.changed is True
    changes = run_sql(
        legacy,
        f"SELECT MemberId, SYS_CHANGE_OPERATION FROM CHANGETABLE(CHANGES dbo.Member, {table.ct_version}) AS c",
        database="stg_busy",
    )
    with open_stage(settings) as stage:
        staged = stage.table(busy.table("Member"))
        got = pl.concat([part for chunk in staged.chunks for part in stage.read(chunk, ["MemberId"])])["MemberId"]
    assert got.is_unique().all()
    now = {row[0] for row in run_sql(legacy, "SELECT MemberId FROM stg_busy.dbo.Member")}
    replayed = set(got.to_list())
    for member, operation in changes:
        replayed.discard(member) if operation == "D" else replayed.add(member)
    assert replayed == now


def test_a_changed_source_schema_is_refused_until_restarted(legacy: LegacyServer, settings_for: MakeSettings) -> None:
    seed(legacy, "stg_alter", 4000)
    settings = settings_for(source=legacy, databases=("stg_alter",), stage=StageSettings(min_free_disk_gib=0))
    request = StageRequest(tables=("stg_alter.dbo.Card",))
    run_stage(settings, request, Silent())
    run_sql(legacy, "ALTER TABLE dbo.Card ADD Colour int NULL", database="stg_alter")
    with pytest.raises(RefusedError, match="new: Colour") as caught:
        run_stage(settings, request, Silent())
    assert "--restart stg_alter.dbo.Card" in caught.value.remedy
    run_stage(settings, StageRequest(restart=("stg_alter.dbo.Card",)), Silent())
    with open_stage(settings) as stage:
        (table,) = stage.tables()
        assert "Colour" in table.schema.names


def test_without_snapshots_reads_are_told_to_be_read_committed(legacy: LegacyServer, settings_for: MakeSettings) -> None:
    plain = seed(legacy, "stg_plain", 4000, snapshot=False)
    settings = settings_for(source=legacy, databases=("stg_plain",), stage=StageSettings(chunk_rows=1000, min_free_disk_gib=0))
    result = run_stage(settings, StageRequest(), Silent())
    assert {table.isolation for table in result.tables} == {"read committed"}
    assert_staged_exactly(settings, plain)


def test_half_surrogates_are_flagged_and_emoji_are_not(legacy: LegacyServer, settings_for: MakeSettings) -> None:
    from fixtures.legacy_server.seed import load_table

    half = seed(legacy, "stg_half", 4000)
    texts = ["plain", "\U0001f600", "\ud83d", "a\ude00b", "\U0001f600\ud83d", "", None, "\ud83d\ud83d\ude00"]
    frame = pl.DataFrame(
        {
            "CardNo": [f"X{number}" for number in range(len(texts))],
            "Name": [None if text is None else text.encode("utf-16-le", "surrogatepass") for text in texts],
        },
        schema={"CardNo": pl.String, "Name": pl.Binary},
    )
    load_table(legacy, "stg_half.dbo.Card", frame)
    settings = settings_for(source=legacy, databases=("stg_half",), stage=StageSettings(min_free_disk_gib=0))
    run_stage(settings, StageRequest(tables=("stg_half.dbo.Card",)), Silent())
    with open_stage(settings) as stage:
        (chunk,) = stage.table(half.table("Card")).chunks
        (rows,) = stage.read(chunk)
    assert rows.filter(pl.col("Name__damaged"))["CardNo"].to_list() == ["X2", "X3", "X4", "X7"]
    assert rows.filter(pl.col("CardNo") == "X1")["Name"].to_list() == ["\U0001f600"]


def test_an_unknown_table_and_an_unknown_right_are_named(settings: Settings, seeded: Seeded) -> None:
    with pytest.raises(UsageError, match="no table"):
        run_stage(settings, StageRequest(tables=(f"{seeded.database}.dbo.Crd",)), Silent())
    with pytest.raises(UsageError, match="not a table name"):
        run_stage(settings, StageRequest(tables=("Card",)), Silent())


def test_killed_again_and_again_each_row_is_staged_once(settings: Settings, seeded: Seeded) -> None:
    config = write_config(settings, seeded)
    for kill in range(3):
        kill_after(settings, config, chunks=kill * 7, delay_s=0.004 * kill)
    finish(settings, config)
    assert_staged_exactly(settings, seeded)


@pytest.mark.proof
def test_killed_fifty_times_at_random(settings: Settings, seeded: Seeded) -> None:
    chance = random.Random(50)
    config = write_config(settings, seeded)
    for _ in range(50):
        if all_done(settings):
            shutil.rmtree(settings.stage_dir)
        kill_after(settings, config, chunks=done_chunks(settings) + chance.randrange(3), delay_s=chance.uniform(0, 0.05))
    finish(settings, config)
    assert_staged_exactly(settings, seeded)


def test_interrupted_it_ends_with_130_and_goes_on(settings: Settings, seeded: Seeded) -> None:
    config = write_config(settings, seeded)
    for _ in range(10):
        shutil.rmtree(settings.stage_dir, ignore_errors=True)
        with start_stage(config, "--parallel", "1") as process:
            wait_for(settings, chunks=2)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=LATEST_S)
        if not all_done(settings):  # else it had finished before the signal came: on a busy machine that happens
            break
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert not list(settings.stage_dir.glob("*/.*.partial"))
    assert done_chunks(settings) >= 2
    assert not stage_status(settings).complete
    finish(settings, config)
    assert_staged_exactly(settings, seeded)


def test_a_second_copy_is_refused_by_exit_code(settings: Settings, seeded: Seeded) -> None:
    with only_one(settings.stage_dir), start_stage(write_config(settings, seeded)) as second:
        _, errors = second.communicate(timeout=LATEST_S)
    assert second.returncode == 7
    assert "Another stage is running" in json.loads(errors)["error"]


def test_a_server_that_dies_in_mid_stage_is_one_clear_error(settings: Settings, seeded: Seeded, legacy: LegacyServer) -> None:
    class Killer(Silent):
        """Ends every other session of the server as soon as rows flow; one at a time, or they would end each other's."""

        killing = threading.Lock()

        def advance(self, task: str, amount: int) -> None:
            with self.killing:
                for (session,) in run_sql(legacy, "SELECT session_id FROM sys.dm_exec_sessions WHERE session_id <> @@SPID"):
                    with suppress(pymssql.OperationalError):  # gone already
                        run_sql(legacy, f"KILL {session}")

    with pytest.raises(ServerError, match=r"lost|cannot be reached"):
        run_stage(settings, StageRequest(), Killer())
    run_stage(settings, StageRequest(), Silent())
    assert_staged_exactly(settings, seeded)
