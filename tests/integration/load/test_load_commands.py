"""The commands themselves: exit codes, JSON, HTML, and no personal value in anything they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cli.app import run
from etl.settings import Settings, TargetSettings
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import KEYS, generated_tables, stage_table

Command = Callable[..., int]
PARTS = ("--table", "store", "--table", "member/crm", "--table", "points_ledger")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """300 members."""
    generated = generated_tables(tmp_path_factory.mktemp("generated"), 300)
    return {name: generated[name] for name in ("pos.dbo.Store", "crm.dbo.Member", "crm.dbo.PointsLedger")}


@pytest.fixture
def settings(ready_target: TargetSettings, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame]) -> Settings:
    """A stage, and membershift.toml beside it; every tenth name is too long."""
    settings = settings_for(target=ready_target)
    row = pl.int_range(pl.len())
    for name, frame in tables.items():
        rows = (
            frame.with_columns(Name=pl.when(row % 10 == 3).then(pl.lit("欧阳" * 25)).otherwise("Name"))
            if "Member" in name
            else frame
        )
        stage_table(settings, name, rows, KEYS[name])
    settings.origin.write_text(
        f"""
[source]
url = "mssql://nobody:nothing@127.0.0.1:1"
[target]
url = {json.dumps(ready_target.url.get_secret_value())}
schema = "{ready_target.schema_name}"
state_schema = "{ready_target.state_schema}"
[state]
dir = {json.dumps(str(settings.state_dir))}
"""
    )
    settings.origin.chmod(0o600)
    return settings


@pytest.fixture
def command(settings: Settings) -> Command:
    """Run `membershift` with that configuration; returns the exit code."""
    return lambda *arguments: run([*arguments, "--config", str(settings.origin)])


def test_load_list_export_and_retry(
    command: Command, tmp_path: Path, tables: dict[str, pl.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("load", *PARTS) == 0
    assert "Nothing was changed" in capsys.readouterr().out
    assert command("load", *PARTS, "--canary", "10%", "--execute") == 7
    assert "the limit is 5.0%" in capsys.readouterr().err
    assert command("load", *PARTS, "--execute", "--html", str(tmp_path / "load.html"), "--lang", "zh") == 0
    told = capsys.readouterr().out
    assert "在隔离区" in told
    assert command("load", "rejects", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {count["counted"]["reason"] for count in listed["counts"]} >= {"too_long", "unknown_member"}
    assert command("load", "rejects", "export", str(tmp_path / "rejects.csv")) == 0
    assert command("load", "rejects", "export", str(tmp_path / "rejects.doc")) == 2
    assert command("load", "rejects", "retry", *PARTS) == 0
    told += capsys.readouterr().out + (tmp_path / "load.html").read_text("utf-8") + (tmp_path / "rejects.csv").read_text("utf-8")
    told += json.dumps(listed, ensure_ascii=False)
    members = tables["crm.dbo.Member"]
    planted = {
        value for name in ("Phone", "IdCard", "Email", "Address") for value in members[name].drop_nulls() if len(value) > 7
    }
    assert not [value for value in planted if value in told]
    assert "欧阳欧" not in told


def test_import_from_the_command_line(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cards.csv").write_text(
        "卡号,姓名,手机号,入会时间\nC1,王小明,13912345678,2024-05-06\nC2,李静,13912345679,soon\n", "utf-8"
    )

    assert command("import", str(tmp_path / "cards.csv"), "--as", "pos-members", "--execute", "--json") == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert (file["loaded"], file["rejected"]) == (1, 1)
    assert Path(file["rejected_file"]).exists()
    assert command("import", str(tmp_path / "cards.csv"), "--as", "pos-members") == 0
    out = capsys.readouterr().out
    assert "13912345679" not in out
    assert command("import", str(tmp_path / "none.csv"), "--as", "pos-members") == 2
    assert command("import", str(tmp_path / "cards.csv"), "--as", "penguins") == 2
    assert "pos-members, products" in capsys.readouterr().err


def test_mistakes_of_the_caller(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("load", "--canary", "110%") == 2
    assert command("load", "--table", "penguin") == 2
    assert "has no table or part 'penguin'" in capsys.readouterr().err
    assert command("load", "--as-is", "pos.TillNote") == 2
