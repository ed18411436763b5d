"""`membershift loadtest` as people type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.app import run
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk
from fixtures.retailer import PROGRAM, ROOT
from fixtures.target import TargetServer
from loadtest.data import left_over
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

QUICK = ("--rate", "40", "--steady", "2", "--burst", "1", "--warm-up", "1", "--after", "1", "--members", "100", "--threads", "8",
         "--p95-ms", "5000", "--p99-ms", "9000")  # fmt: skip


@pytest.fixture(scope="module")
def target(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Both schemas."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="ltc_m", state_schema="ltc_s", retries=1)
    drop_schemas(settings)
    schema_up(settings)
    with connect_bulk(settings) as connection:
        connection.execute("INSERT INTO store (store_code, name, is_open) VALUES ('S001', 'one', 1)")
    yield settings
    drop_schemas(settings)


@pytest.fixture
def config(target: TargetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that allows it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "membershift.toml"
    path.write_text(
        f"""
[source]
url = "mssql://nobody:nothing@127.0.0.1:1"
[target]
url = "{target.url.get_secret_value()}"
schema = "{target.schema_name}"
state_schema = "{target.state_schema}"
loadtest = true
"""
    )
    return path


def typed(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command's exit code, and what it shows."""
    capsys.readouterr()
    code = run([*words, "--config", str(config)])
    return code, capsys.readouterr().out


def test_from_plan_to_verdict(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = typed(config, capsys, "loadtest", "plan", *QUICK[:10])
    assert code == 0
    assert "at most 160 a second" in shown
    code, shown = typed(config, capsys, "loadtest", "run", *QUICK, "--html", "report.html", "--json")
    told = json.loads(shown)
    assert told["verdict"] in ("PASS", "VOID")  # VOID where the machine of the tests was too busy to ask in time
    assert code == {"PASS": 0, "VOID": 7}[told["verdict"]], told
    assert sum(one["outcomes"]["done"] for one in told["operations"].values()) > 100
    assert "double-eleven" in (config.parent / "report.html").read_text()
    assert typed(config, capsys, "loadtest", "clean")[1].count("nothing of a load test") == 1


def test_a_goal_that_is_missed_is_6(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = typed(config, capsys, "loadtest", "run", *QUICK, "--p95-ms", "0.1", "--lang", "zh")
    assert code in (6, 7)
    assert "压力测试" in shown
    assert "p95" in shown


def test_what_cannot_be_meant_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(config, capsys, "loadtest", "plan", "--mix", "nothing")[0] == 2
    config.write_text(config.read_text().replace("loadtest = true", ""))
    assert typed(config, capsys, "loadtest", "run", *QUICK)[0] == 7


def test_killed_it_leaves_rows_that_clean_takes_away(
    config: Path, target: TargetSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a bug would cost: a hundred thousand members who do not exist, in tomorrow's report."""
    words = [sys.executable, "-c", PROGRAM, "--config", str(config), "loadtest", "run", *QUICK, "--steady", "600"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("Begun." in line for line in process.stderr)
        time.sleep(3)
        process.send_signal(signal.SIGKILL)
    with connect_bulk(target) as connection:
        assert left_over(connection)
        assert typed(config, capsys, "loadtest", "run", *QUICK)[0] == 7, "rows of an earlier test"
        assert "nothing was deleted" in typed(config, capsys, "loadtest", "clean")[1]
        assert left_over(connection)
        assert typed(config, capsys, "loadtest", "clean", "--execute")[0] == 0
        assert not left_over(connection)


def test_ctrl_c_ends_it_in_order(config: Path, target: TargetSettings) -> None:
    """What was seen by then is told, as a test that proves nothing; the rows are gone."""
    words = [sys.executable, "-c", PROGRAM, "--config", str(config), "loadtest", "run", *QUICK, "--steady", "600", "--json"]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert any("Begun." in line for line in process.stderr)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of it
        shown, _ = process.communicate(timeout=60)
    told = json.loads(shown)
    assert (process.returncode, told["verdict"], told["cut_short"]) == (7, "VOID", True)
    with connect_bulk(target) as connection:
        assert not left_over(connection)
