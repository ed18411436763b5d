"""membershift snapshot, typed as people type it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from cli.app import run
from etl.errors import RefusedError, TargetError, UsageError
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk
from migrations.audit.log import read_entries
from migrations.release.snapshots.br import find_program, run_backup, storage_without_secrets
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

if TYPE_CHECKING:
    from fixtures.target import TargetServer

KEY = "0f" * 32


@pytest.fixture(scope="module")
def tables(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Schemas that the tests of this file share: making them is slow."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="m_snap_cli", state_schema="s_snap_cli")
    drop_schemas(settings)
    schema_up(settings)
    with connect_bulk(settings) as target:
        target.execute("INSERT INTO store (store_code, name, is_open) VALUES ('S001', '一', 1)")
    yield settings
    drop_schemas(settings)


@pytest.fixture
def config(tmp_path: Path, tables: TargetSettings) -> str:
    """A configuration with a key in a file, and one sale."""
    (tmp_path / "snapshot.key").write_text(KEY + "\n")
    path = tmp_path / "membershift.toml"
    path.write_text(
        f"""
[source]
url = "mssql://nobody:x@127.0.0.1:1"
[target]
url = "{tables.url.get_secret_value()}"
schema = "{tables.schema_name}"
state_schema = "{tables.state_schema}"
[snapshots]
key = "${{file:snapshot.key}}"
"""
    )
    with connect_bulk(tables) as target:
        target.execute("DELETE FROM sale")
        target.execute(
            "INSERT INTO sale (sale_no, channel, store_code, sold_at, status, total, discount, freight, paid) "
            "VALUES ('N1', 'pos', 'S001', NOW(6), 'paid', 1, 0, 0, 1)"
        )
    return str(path)


def test_from_create_to_prune(config: str, tables: TargetSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "create", "--store", "S001", "--reason", "test", "--json", "--config", config]) == 0
    created = json.loads(capsys.readouterr().out)
    assert sum(file["rows"] for file in created["files"]) == 1
    assert run(["snapshot", "verify", created["id"], "--config", config]) == 0
    with connect_bulk(tables) as target:
        target.execute("DELETE FROM sale")
        assert run(["snapshot", "restore", "--store", "S001", "--at", created["id"], "--config", config, "--lang", "zh"]) == 6
        assert "尚未更改任何数据" in capsys.readouterr().out
        assert target.scalar("SELECT COUNT(*) FROM sale") == 0
        assert run(["snapshot", "restore", "--store", "S001", "--at", created["id"], "--config", config, "--execute"]) == 0
        assert target.scalar("SELECT COUNT(*) FROM sale") == 1
    assert run(["snapshot", "prune", "--keep-days", "0", "--config", config, "--lang", "zh"]) == 0
    assert run(["snapshot", "list", "--json", "--config", config]) == 0
    assert created["id"] in capsys.readouterr().out
    noted = [entry.body["command"] for entry in read_entries(Path(config).parent / ".membershift") if entry.kind == "begin"]
    assert noted == ["snapshot create", "snapshot verify", "snapshot restore"]


def test_no_output_shows_the_key(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "--config", config]) == 0
    run(["snapshot", "create", "--store", "S001", "--config", config])
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err


def test_a_wrong_key_is_a_configuration_error(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(config).parent / "snapshot.key").write_text("too short")
    assert run(["snapshot", "create", "--store", "S001", "--config", config]) == 3
    assert "openssl" in capsys.readouterr().err


def test_a_full_backup_is_refused_with_the_reason_where_it_cannot_be_made(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither MariaDB nor a standalone TiDB has what BR needs; silence would be taken for a backup."""
    assert run(["snapshot", "create", "--br", "s3://bucket/x?secret-access-key=abcdef", "--config", config]) == 7
    shown = capsys.readouterr().err
    assert "BR" in shown
    assert "abcdef" not in shown
    noted = next(read_entries(Path(config).parent / ".membershift"))
    assert "abcdef" not in str(noted.body)


def test_br_is_called_with_the_cluster_and_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "br"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called\nexit "${{BR_CODE:-0}}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    log = tmp_path / "br.log"
    done = run_backup(find_program(), ("pd1:2379", "pd2:2379"), "s3://b/x?secret-access-key=k", "s3://b/x", log, None)
    assert (tmp_path / "called").read_text().split() == [
        *("backup", "full", "--pd", "pd1:2379,pd2:2379", "--storage", "s3://b/x?secret-access-key=k", "--log-file", str(log))
    ]
    assert done.storage == "s3://b/x"
    monkeypatch.setenv("BR_CODE", "3")
    with pytest.raises(TargetError, match="code 3"):
        run_backup(str(program), ("pd1:2379",), "s3://b/x?secret-access-key=k", "s3://b/x", log, None)


def test_br_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="not installed"):
        find_program()
    with pytest.raises(UsageError):
        storage_without_secrets("bucket")
