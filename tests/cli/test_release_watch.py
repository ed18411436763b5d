"""membershift release watch and report, typed as people type them, with both databases out of reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cli.app import run
from cli.release_watching import Patient, page_of
from etl.errors import ConfigurationError
from migrations.release.event_log import open_event_log
from migrations.release.view import ReleaseView, read_view
from tests.unit.release.example_logs import PLAN, completed, in_the_middle


def tell(state_dir: Path) -> None:
    """Write a whole story into state.db, each event at its time."""
    with open_event_log(state_dir) as log:
        log.take_lease("test")
        for logged in completed().log:
            log.append(logged.event)
        log.release_lease()


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration whose databases do not answer, and a plan."""
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:b@127.0.0.1:1"\n')
    (tmp_path / "release.toml").write_text('name = "autumn"\n')
    return str(path)


def test_nothing_is_planned_yet(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("watch", "report"):
        assert run(["release", command, "--config", config]) == 7
        assert "No release was planned here." in capsys.readouterr().err
    assert not (Path(config).parent / ".membershift" / "state.db").exists()


def test_it_is_seen_and_reported_while_both_databases_are_down(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the hour in which it matters most nobody would have seen anything."""
    tell(Path(config).parent / ".membershift")
    assert run(["release", "watch", "--once", "--config", config]) == 0
    assert "✔ completed" in capsys.readouterr().out
    assert run(["release", "watch", "--json", "--config", config]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["phase"], len(seen["waves"]), seen["holder"]) == ("completed", 2, "")
    html = Path(config).parent / "release.html"
    assert run(["release", "report", "--html", str(html), "--lang", "zh", "--config", config]) == 0
    assert "已完成：13 家门店已永久迁至 TiDB" in capsys.readouterr().out
    assert "<svg" in html.read_text("utf-8")
    assert run(["release", "report", "--json", "--config", config]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict_status"] == "warn"
    assert told["switches"][0]["failed_step"] == "drain"
    assert run(["release", "report", "--release", "spring", "--config", config]) == 2


@pytest.mark.parametrize("page", ["0.0.0.0:9188", "nowhere"])
def test_a_page_for_everybody_is_refused(config: str, page: str) -> None:
    assert run(["release", "watch", "--page", page, "--config", config]) == 2


def test_the_page_is_there_while_somebody_watches(config: str) -> None:
    """As it is started by hand or by systemd; Ctrl-C ends it at once, and is no failure."""
    tell(Path(config).parent / ".membershift")
    command = [sys.executable, "-m", "cli", "release", "watch", "--page", "127.0.0.1:0", "--config", config]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ})
    try:
        assert process.stderr is not None
        url = process.stderr.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert "autumn" in answer.read().decode()
        assert "autumn: completed" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 20
    finally:
        process.kill()
        process.wait()


def test_trouble_with_the_log_is_waited_out() -> None:
    """A disk that was full for a second would have ended the watch of the night."""
    story = in_the_middle()
    first = read_view(story.log, PLAN, (), (), story.now)
    assert first is not None

    def look() -> ReleaseView:
        raise ConfigurationError("state.db is locked.", "Wait.")

    patient = Patient(look, first)
    assert patient.look().trouble == ("state.db is locked.",)
    assert patient.look().waves == first.waves
    assert "state.db is locked." in page_of(look, "en")("", "nonce")
