"""The frame of the command line: help, exit codes, global flags, errors printed once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import run

NOT_AT_START = (
    "polars",
    "pyarrow",
    "sqlalchemy",
    "pydantic",
    "pymysql",
    "MySQLdb",
    "pymssql",
    "mssql_python",
    "jinja2",
    "pandas",
    "numpy",
)


def test_help_tells_the_story_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    story = [text.index(f" {word} ") for word in ("assess", "schema", "stage", "load", "reconcile")]
    assert story == sorted(story)


def test_help_imports_nothing_heavy() -> None:
    code = (
        f"import sys, cli.app; cli.app.run(['--help']); print([m for m in {NOT_AT_START!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lod"]) == 2
    assert "lod" in capsys.readouterr().err


def test_no_configuration_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMBERSHIFT_CONFIG", raising=False)
    assert run(["config", "show"]) == 3
    assert "membershift config init" in capsys.readouterr().err


def test_with_json_an_error_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--json", "--config", str(tmp_path / "none.toml")]) == 3
    error = json.loads(capsys.readouterr().err)
    assert error["exit_code"] == 3
    assert "none.toml" in error["error"]


def test_init_writes_a_private_file_once(tmp_path: Path) -> None:
    path = tmp_path / "membershift.toml"
    assert run(["config", "init", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert run(["config", "init", str(path)]) == 3
    assert path.read_text() == before


def test_show_masks_every_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "membershift.toml"
    run(["config", "init", str(path)])
    monkeypatch.setenv("MEMBERSHIFT_SOURCE_PASSWORD", "hush/hush")
    monkeypatch.setenv("MEMBERSHIFT_TARGET_PASSWORD", "quiet@night")
    assert run(["config", "show", "--config", str(path)]) == 0
    shown = capsys.readouterr().out
    for secret in ("hush", "quiet"):
        assert secret not in shown
    assert "membershift:***@sqlserver.example.com" in shown


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[load]\nbatch_row = 5000\n", "'batch_rows'"),
        ("[load]\nbatch_rows = -1\n", "load.batch_rows"),
        ("[lod]\nx = 1\n", "'load'"),
        ("[load\n", "TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(wrong: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "membershift.toml"
    path.write_text(f'[source]\nurl = "mssql://a:b@h:1"\n[target]\nurl = "mysql://a:b@h:1"\n{wrong}')
    assert run(["config", "show", "--config", str(path)]) == 3
    error = capsys.readouterr().err
    assert told in error
    assert "line" in error


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.config_file import read_settings

    (tmp_path / "secret").write_text("p@ss:w/rd\n")
    monkeypatch.setenv("TARGET_PASSWORD", "x")
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:${file:secret}@h:1"\n[target]\nurl = "mysql://a:${env:TARGET_PASSWORD}@h:1"\n')
    settings = read_settings(path)
    assert settings.source.url.get_secret_value() == "mssql://a:p%40ss%3Aw%2Frd@h:1"
    assert settings.target.url.get_secret_value() == "mysql://a:x@h:1"


def test_a_missing_secret_is_a_configuration_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:${env:NEVER_SET_HERE}@h:1"\n[target]\nurl = "mysql://a:b@h:1"\n')
    assert run(["config", "show", "--config", str(path)]) == 3
    assert "NEVER_SET_HERE" in capsys.readouterr().err


def test_no_color_is_honoured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "config", "show", "--config", "none.toml"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1", "FORCE_COLOR": ""},
    )
    assert done.returncode == 3
    assert "\x1b[3" not in done.stderr
