"""TiDB keeps old versions for as long as a snapshot wants them, and not for ever: whoever is killed, the old value comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.progress import Silent
from etl.settings import Settings, TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from migrations.release.snapshots.create import SnapshotRequest, clear_abandoned, create_snapshot
from migrations.release.snapshots.gc_hold import hold_gc, life_time, settle_gc
from migrations.release.snapshots.model import folder_of, snapshots_dir
from migrations.release.snapshots.prune import PruneRequest, prune_snapshots

pytestmark = pytest.mark.tidb
DAY = timedelta(days=1)
TEN = timedelta(minutes=10)


@pytest.fixture
def target(fresh_target: TargetSettings) -> Iterator[BulkConnection]:
    """The target with the life time that TiDB comes with."""
    with connect_bulk(fresh_target, "") as connection:
        connection.execute("SET GLOBAL tidb_gc_life_time = '10m'")
        yield connection
        connection.execute("SET GLOBAL tidb_gc_life_time = '10m'")


def test_the_last_snapshot_puts_the_old_value_back(target: BulkConnection, tmp_path: Path) -> None:
    hold_gc(tmp_path, target, "one", DAY)
    hold_gc(tmp_path, target, "two", 2 * DAY)
    assert life_time(target) >= 2 * DAY
    settle_gc(tmp_path, target, frozenset({"two"}))
    assert life_time(target) >= 2 * DAY, "one still needs it"
    settle_gc(tmp_path, target, frozenset({"one"}))
    assert life_time(target) == TEN


def test_a_hold_that_ran_out_is_forgotten_by_whoever_comes_next(target: BulkConnection, tmp_path: Path) -> None:
    hold_gc(tmp_path, target, "one", DAY)
    assert settle_gc(tmp_path, target) is None
    assert settle_gc(tmp_path, target, now=datetime.now(UTC) + 2 * DAY) == TEN
    assert life_time(target) == TEN


def test_a_value_that_somebody_set_meanwhile_is_theirs(target: BulkConnection, tmp_path: Path) -> None:
    hold_gc(tmp_path, target, "one", DAY)
    target.execute("SET GLOBAL tidb_gc_life_time = '72h'")
    settle_gc(tmp_path, target, frozenset({"one"}))
    assert life_time(target) == timedelta(hours=72)


def test_a_longer_life_time_is_never_shortened(target: BulkConnection, tmp_path: Path) -> None:
    target.execute("SET GLOBAL tidb_gc_life_time = '240h'")
    hold_gc(tmp_path, target, "one", DAY)
    assert life_time(target) == timedelta(hours=240)
    settle_gc(tmp_path, target, frozenset({"one"}))
    assert life_time(target) == timedelta(hours=240)


@pytest.mark.parametrize("statement", ["note_before", "set_life_time", "delete"])
def test_killed_at_any_step_the_old_value_still_comes_back(
    target: BulkConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Raised and forgotten, TiDB would keep every version of every row until its disks are full."""
    from migrations.release.snapshots import gc_hold

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    if statement == "delete":  # put back, and killed before that was noted
        hold_gc(tmp_path, target, "one", DAY)
        gc_hold.set_life_time(target, TEN)
    else:  # killed after the note, before or after the value was set
        real = gc_hold.set_life_time

        def set_and_die(*arguments: object) -> None:
            if statement == "set_life_time":
                real(*arguments)  # type: ignore[arg-type]
            die()

        with monkeypatch.context() as patch:
            patch.setattr(gc_hold, "set_life_time", set_and_die)
            with pytest.raises(Killed):
                hold_gc(tmp_path, target, "one", DAY)
    settle_gc(tmp_path, target, frozenset({"one"}))
    assert life_time(target) == TEN
    hold_gc(tmp_path, target, "two", DAY)
    settle_gc(tmp_path, target, frozenset({"two"}))
    assert life_time(target) == TEN


def test_kill_9_in_the_middle_of_a_snapshot_leaves_nothing_for_long(settings: Settings, shop: BulkConnection) -> None:
    shop.execute("SET GLOBAL tidb_gc_life_time = '10m'")
    code = f"""
import os, signal
from pathlib import Path
from pydantic import SecretStr
from etl.progress import Silent
from etl.settings import Settings
from migrations.release.snapshots import create
create.write_rows = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
settings = Settings.model_validate({{
    "source": {{"url": "mssql://nobody:x@127.0.0.1:1"}},
    "target": {{"url": {settings.target.url.get_secret_value()!r}, "schema": "snap_m", "state_schema": "snap_s"}},
    "state": {{"dir": {str(settings.state_dir)!r}}},
}})
create.create_snapshot(settings, create.SnapshotRequest(("S001",)), Silent())
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert life_time(shop) > DAY, "the killed process had raised it"
    assert [path for path in snapshots_dir(settings.state_dir).iterdir() if path.is_dir()]
    assert len(clear_abandoned(settings.state_dir, shop)) == 1
    assert life_time(shop) == TEN
    assert not [path for path in snapshots_dir(settings.state_dir).iterdir() if path.is_dir()]


def test_pruning_the_last_snapshot_puts_it_back(settings: Settings, shop: BulkConnection) -> None:
    shop.execute("SET GLOBAL tidb_gc_life_time = '10m'")
    first, second = (create_snapshot(settings, SnapshotRequest(("S001",)), Silent()) for _ in range(2))
    assert first.tso is not None
    assert first.readable_until is not None
    assert life_time(shop) > DAY
    prune_snapshots(settings, PruneRequest(keep_days=0, keep_count=1, execute=True))
    assert life_time(shop) > DAY, "the second one still needs it"
    settle_gc(settings.state_dir, shop, frozenset({second.id}))
    assert life_time(shop) == TEN
    assert folder_of(settings.state_dir, second.id).is_dir()


def test_a_failed_snapshot_puts_it_back_at_once(
    settings: Settings, shop: BulkConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from migrations.release.snapshots import create

    shop.execute("SET GLOBAL tidb_gc_life_time = '10m'")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "write_rows", fail)
    with pytest.raises(OSError, match="No space"):
        create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    assert life_time(shop) == TEN


def test_the_instant_of_a_snapshot_is_the_one_its_timestamp_names(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    shop.execute("UPDATE sale SET status = 'void' WHERE store_code = 'S001'")
    then = shop.scalar(f"SELECT COUNT(*) FROM sale AS OF TIMESTAMP TIDB_PARSE_TSO({manifest.tso}) WHERE status = 'void'")
    assert then == 0
    assert shop.scalar(f"SELECT COUNT(*) FROM sale AS OF TIMESTAMP '{manifest.as_of}' WHERE status = 'paid'") == 60


def test_an_account_that_may_not_set_it_takes_its_snapshot_all_the_same(settings: Settings, shop: BulkConnection) -> None:
    """A missing right must not stop a switch: the files are there, only the reads as of then end early, and that is said."""
    shop.execute("SET GLOBAL tidb_gc_life_time = '10m'")
    shop.execute("DROP USER IF EXISTS 'plain'@'%'")
    shop.execute("CREATE USER 'plain'@'%' IDENTIFIED BY 'plain'")
    for schema in ("snap_m", "snap_s"):
        shop.execute(f"GRANT ALL ON {schema}.* TO 'plain'@'%'")
    host = settings.target.url.get_secret_value().rpartition("@")[2]
    plain = settings.target.model_copy(update={"url": SecretStr(f"mysql://plain:plain@{host}")})
    try:
        chosen = settings.model_copy(update={"target": plain})
        manifest = create_snapshot(chosen, SnapshotRequest(("S001",)), Silent())
    finally:
        shop.execute("DROP USER 'plain'@'%'")
    assert manifest.rows > 0
    assert "may not set tidb_gc_life_time" in manifest.note
    assert manifest.readable_until is not None
    assert manifest.readable_until - manifest.taken_at <= TEN
    assert life_time(shop) == TEN
    assert settle_gc(settings.state_dir, shop) is None, "nothing is left to be put back"
