"""What the command line notes of itself: every command that changes something, and none that only looks."""

from __future__ import annotations

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.app import app, run
from cli.audit_hook import only_looks
from migrations.audit.log import read_entries

PASSWORD = "Hunter22secret"


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration whose servers are away."""
    import pwd

    path = tmp_path / "membershift.toml"
    user = pwd.getpwuid(os.getuid()).pw_name
    path.write_text(
        f"""
[source]
url = "mssql://sa:{PASSWORD}@127.0.0.1:1"
databases = ["crm"]
retries = 0
[target]
url = "mysql://root:{PASSWORD}@127.0.0.1:1"
retries = 0
[roles]
ops = ["{user}"]
"""
    )
    return str(path)


def entries(config: str) -> list[dict[str, Any]]:
    """Bodies of the entries so far."""
    return [dict(entry.body) for entry in read_entries(Path(config).parent / ".membershift")]


def test_a_command_that_changes_something_is_noted_with_who_what_and_how_it_ended(config: str) -> None:
    assert run(["sync", "pause", "--by", "wang 13912345678", "--config", config]) == 5
    begin, end = entries(config)
    assert (begin["command"], begin["roles"], begin["arguments"]) == ("sync pause", ["ops"], {"by": "wang 139****5678"})
    assert (end["begun"], end["exit_code"]) == (1, 5)
    assert end["result"]
    assert PASSWORD not in str((begin, end))


def test_commands_that_only_look_and_dry_runs_leave_no_trace(config: str) -> None:
    for line in (["config", "show"], ["sync", "status"], ["load"], ["sync", "start"], ["audit", "log"], ["stage", "status"]):
        run([*line, "--config", config])
    run(["sync", "--help"])
    assert entries(config) == []


@pytest.mark.parametrize(
    "line",
    [
        ["sync", "start", "--execute"],
        ["load", "--execute"],
        ["stage"],
        ["load", "rejects", "retry", "--execute"],
        ["sync", "conflicts", "settle", "--all"],
        ["sync", "resume"],
        ["reconcile", "repair", "--execute"],
        ["schema", "up", "--execute"],
        ["dedupe", "review", "decide", "crm:1", "pos:2", "same"],
    ],
    ids=" ".join,
)
def test_each_command_that_writes_is_noted(config: str, line: list[str]) -> None:
    code = run([*line, "--config", config])
    noted = entries(config)
    words = " ".join(word for word in line if not word.startswith("-"))
    assert len(noted) == 2
    assert words.startswith(noted[0]["command"])
    assert noted[1]["exit_code"] == code


def test_no_command_that_changes_something_is_out_of_reach_of_the_log() -> None:
    """A new command without a context would never be noted, and nobody would see that."""
    unreachable = []

    def walk(command: Any, words: tuple[str, ...]) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*words, name))
        callback = inspect.unwrap(command.callback) if command.callback else None
        if callback is not None and words and "context" not in inspect.signature(callback).parameters:
            unreachable.append(" ".join(words))

    walk(get_command(app), ())
    assert [words for words in unreachable if not only_looks(words)] == []


def test_what_cannot_be_noted_is_not_done(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A change without a trace is what the log is there to rule out: the command has to stop before the first connection."""
    (Path(config).parent / ".membershift").write_text("a file where the state folder should be")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        text = Path(config).read_text().replace("127.0.0.1:1", f"127.0.0.1:{listener.getsockname()[1]}")
        Path(config).write_text(text)
        assert run(["sync", "stop", "--config", config]) == 3
        with pytest.raises(TimeoutError):
            listener.accept()
    assert ".membershift" in capsys.readouterr().err


def test_a_killed_command_stands_there_as_begun_and_not_ended(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Path(config).write_text(Path(config).read_text().replace("127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}"))
        process = subprocess.Popen([sys.executable, "-m", "cli", "sync", "stop", "--config", config], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not entries(config) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run(["audit", "log", "--json", "--config", config]) == 0
    log = json.loads(capsys.readouterr().out)
    assert (log["unended"], log["shown"][0]["exit_code"], log["verdict_status"]) == (1, None, "warn")
    assert run(["audit", "verify", "--config", config]) == 0


def test_verify_and_export_from_the_command_line(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["sync", "pause", "--config", config])
    path = tmp_path / "audit.jsonl"
    assert run(["audit", "export", str(path), "--config", config, "--json"]) == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert run(["audit", "verify", "--head", f"{head['number']}:{head['hash']}", "--config", config]) == 0
    assert run(["audit", "verify", "--head", f"{head['number'] + 1}:{head['hash']}", "--config", config, "--lang", "zh"]) == 6
    assert "截断" in capsys.readouterr().out
    path.write_text(path.read_text("utf-8").replace("sync pause", "sync party"), "utf-8")
    assert run(["audit", "verify", "--file", str(path), "--config", config]) == 6
    assert "Entry 1 was edited" in capsys.readouterr().out
    assert run(["audit", "verify", "--head", "nonsense", "--config", config]) == 2
