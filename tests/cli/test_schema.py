"""membershift schema, typed as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk


@pytest.fixture
def config(tmp_path: Path, fresh_target: TargetSettings) -> str:
    path = tmp_path / "membershift.toml"
    path.write_text(
        f"""
[source]
url = "mssql://nobody:x@127.0.0.1:1"
[target]
url = "{fresh_target.url.get_secret_value()}"
schema = "{fresh_target.schema_name}"
state_schema = "{fresh_target.state_schema}"
"""
    )
    return str(path)


def test_up_shows_the_sql_and_does_nothing_until_told(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "up", "--config", config]) == 0
    assert "CREATE TABLE IF NOT EXISTS" in capsys.readouterr().out
    assert run(["schema", "status", "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revision"] is None


def test_the_whole_way(config: str, fresh_target: TargetSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "up", "--to", "tables", "--execute", "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revisions"] == ["0001_tables"]
    with connect_bulk(fresh_target) as connection:
        connection.execute("INSERT INTO product (product_id, name, is_private_label) VALUES (1, 'tea', 0)")
        assert run(["schema", "down", "--to", "base", "--config", config]) == 0
        assert run(["schema", "down", "--to", "base", "--execute", "--config", config]) == 7
        assert "--i-know" in capsys.readouterr().err
        connection.execute("ALTER TABLE product MODIFY name VARCHAR(121) NOT NULL")
        assert run(["schema", "status", "--config", config]) == 6
        assert "varchar(121)" in capsys.readouterr().out
    assert run(["schema", "down", "--to", "base", "--execute", "--i-know", "--config", config]) == 0
    assert "0001_tables" in capsys.readouterr().out


def test_status_in_chinese_and_as_a_page(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "status.html"

    assert run(["schema", "status", "--config", config, "--lang", "zh", "--html", str(page)]) == 0
    assert "表尚未创建。" in capsys.readouterr().out
    assert "表尚未创建。" in page.read_text("utf-8")


def test_sql_needs_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:b@127.0.0.1:1"\n')

    assert run(["schema", "sql", "tables:indexes", "--config", str(path)]) == 0
    assert "ADD INDEX IF NOT EXISTS ix_sync" in capsys.readouterr().out
    assert run(["schema", "sql", "nowhere:head", "--config", str(path)]) == 2


def test_a_target_that_is_away_is_exit_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "membershift.toml"
    path.write_text('[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:hush@127.0.0.1:1"\n')

    assert run(["schema", "status", "--config", str(path)]) == 5
    error = capsys.readouterr().err
    assert "cannot be reached" in error
    assert "hush" not in error
