"""A disk that fills up in the middle of a night: one clear message, exit code 3, no half file, and the same command goes on.

The limit on the size of a file (RLIMIT_FSIZE) makes the system refuse real writes, without root and without a disk to fill.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etl.errors import ExitCode
from etl.settings import Settings, StageSettings
from tests.conftest import SettingsFactory
from tests.integration.stage.stage_runs import LATEST_S, done_chunks, finish, write_config
from tests.integration.stage.stage_tables import Seeded, assert_staged_exactly, seed

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer

KIB = 1024
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
from cli.app import main
sys.argv[0] = "membershift"
main()
"""


@pytest.fixture(scope="module")
def seeded(legacy: LegacyServer) -> Seeded:
    return seed(legacy, "stg_full", 24_000)


@pytest.fixture
def settings(legacy: LegacyServer, settings_for: SettingsFactory, seeded: Seeded) -> Settings:
    stage = StageSettings(chunk_rows=6_000, min_free_disk_gib=0)
    return settings_for(source=legacy, databases=(seeded.database,), stage=stage)


def run_limited(limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the program in a process whose files may not grow beyond `limit` bytes."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *arguments],
        capture_output=True,
        text=True,
        timeout=LATEST_S,
        cwd=Path(__file__).resolve().parents[3],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def assert_one_message(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 3 and one error with a remedy, no traceback."""
    assert done.returncode == ExitCode.CONFIGURATION, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("{")]
    told = json.loads(line)
    assert all(word in told["error"] for word in words), told
    assert told["remedy"]


@pytest.mark.parametrize(("limit", "where"), [(2 * KIB, "state.db"), (60 * KIB, ""), (100 * KIB, "parquet")])
def test_a_stage_without_room_ends_clearly_and_goes_on_when_there_is_some(
    settings: Settings, seeded: Seeded, limit: int, where: str
) -> None:
    config = write_config(settings, seeded, chunk_rows=6_000)

    done = run_limited(limit, "stage", "--config", str(config), "--json")

    assert_one_message(done, where)
    files = list(settings.stage_dir.rglob("*")) if settings.stage_dir.exists() else []
    assert not [path for path in files if path.name.endswith(".partial")]
    manifest = settings.stage_dir / "manifest.db"
    before = done_chunks(settings) if manifest.exists() and manifest.stat().st_size else 0
    whole = {path: path.stat().st_mtime_ns for path in files if path.suffix == ".parquet"}
    assert len(whole) == before  # a file stands only where its chunk is done

    finish(settings, config)

    assert_staged_exactly(settings, seeded)
    assert {path: path.stat().st_mtime_ns for path in whole} == whole  # what was done was not taken again


def test_reports_without_room_leave_no_half_file(settings: Settings, seeded: Seeded, tmp_path: Path) -> None:
    config = write_config(settings, seeded)
    report = tmp_path / "out" / "report.html"

    done = run_limited(2 * KIB, "mapping", "show", "--config", str(config), "--json", "--html", str(report))

    assert_one_message(done, str(report))
    assert list(report.parent.iterdir()) == []
