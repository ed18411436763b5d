"""What `membershift sandbox` says when nothing runs, or when a folder is not its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run


def test_status_of_an_empty_folder_says_how_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "status", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "is not running" in told
    assert "sandbox up" in told


def test_status_as_json_has_no_secret_and_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "status", "--folder", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict_status"] == "warn"
    assert told["legacy"] is None
    assert told["target"] is None
    assert not any("password" in key for key in told)


def test_a_foreign_configuration_is_a_configuration_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "membershift.toml").write_text("[source]\n")
    assert run(["sandbox", "up", "--folder", str(tmp_path)]) == 3
    assert "not written by a sandbox" in capsys.readouterr().err


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sandbox", "down", "--purge", "--folder", str(tmp_path / "nowhere")]) == 0
    assert "was not running" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()


def test_too_many_members_are_a_usage_error(tmp_path: Path) -> None:
    assert run(["sandbox", "up", "--members", "99999999", "--folder", str(tmp_path)]) == 2
