"""membershift mapping, typed as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration whose servers are not there."""
    path = tmp_path / "membershift.toml"
    path.write_text(
        '[source]\nurl = "mssql://nobody:x@127.0.0.1:1"\nretries = 0\n[target]\nurl = "mysql://nobody:x@127.0.0.1:1"\n'
    )
    return str(path)


def test_show_needs_no_server(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mapping", "show", "--table", "member/crm", "--config", config]) == 0
    text = capsys.readouterr().out
    assert "member/crm" in text
    assert "id_card" in text
    assert "member/pos" not in text


def test_show_as_json_has_every_column(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mapping", "show", "--table", "sign_in", "--json", "--config", config]) == 0
    part = json.loads(capsys.readouterr().out)["result"][0]
    signed = next(column for column in part["columns"] if column["target"] == "signed_at")
    assert (signed["sources"], signed["transform"]) == (["SignDate", "SignTime"], "local_time")


def test_show_transforms(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mapping", "show", "--transforms", "--config", config]) == 0
    assert "E.164" in capsys.readouterr().out


def test_an_unknown_table_is_a_usage_error(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mapping", "show", "--table", "membr", "--config", config]) == 2
    assert "points_ledger" in capsys.readouterr().err


def test_check_needs_the_source_where_nothing_is_staged(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mapping", "check", "--config", config]) == 4
    assert "cannot be reached" in capsys.readouterr().err


def test_a_wrong_mapping_is_a_configuration_error(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mapping.toml").write_text('tables = ["a"]\nsentinel = []\n')
    with Path(config).open("a") as file:
        file.write(f'[mapping]\npath = "{tmp_path / "mine"}"\n')
    assert run(["mapping", "check", "--config", config]) == 3
    error = capsys.readouterr().err
    assert "mapping.toml, line 2" in error
    assert "sentinels" in error
