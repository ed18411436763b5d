"""membershift assess and doctor, typed as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from etl.settings import TargetSettings
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from tests.conftest import READER


def write_config(folder: Path, source: str, target: str, databases: str = '"crm", "pos", "ecom"') -> str:
    """A configuration file."""
    path = folder / "membershift.toml"
    text = f'[source]\nurl = "{source}"\nretries = 0\ndatabases = [{databases}]\n[target]\nurl = "{target}"\nretries = 0\n'
    path.write_text(text, "utf-8")
    return str(path)


NOWHERE = ("mssql://nobody:nothing@127.0.0.1:1", "mysql://nobody:nothing@127.0.0.1:1")


@pytest.fixture
def config(tmp_path: Path, legacy: LegacyServer, retailer: LegacyData) -> str:
    """The retailer as a login that may only read, and no target."""
    assert retailer.rows
    return write_config(tmp_path, legacy.url.replace(f"//{legacy.user}:", f"//{READER}:", 1), NOWHERE[1])


def test_doctor_exits_by_the_worst_side_and_names_remedies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, *NOWHERE)
    assert run(["doctor", "--config", config]) == 4
    text = capsys.readouterr().out
    assert "[source] url" in text
    assert "[target] url" in text
    assert "nothing@" not in text


def test_doctor_in_json_and_in_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, *NOWHERE)
    assert run(["doctor", "--config", config, "--json", "--lang", "zh"]) == 4
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 4
    assert any("仅本用户可访问" in check["found"] for check in answer["checks"])


def test_doctor_writes_a_page(tmp_path: Path, fresh_target: TargetSettings) -> None:
    config = write_config(tmp_path, NOWHERE[0], fresh_target.url.get_secret_value())
    page = tmp_path / "doctor.html"
    assert run(["doctor", "--config", config, "--html", str(page)]) == 4
    assert "local_infile" in page.read_text("utf-8")


def test_assess_of_a_server_that_is_down_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["assess", "--config", write_config(tmp_path, *NOWHERE)]) == 4
    assert "cannot be reached" in capsys.readouterr().err


def test_assess_says_it_all_three_ways(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "assessment.html"
    assert run(["assess", "--config", config, "-t", "crm.dbo.Member", "--html", str(page)]) == 0
    screen = capsys.readouterr().out
    assert "Half a character" in screen
    assert "crm.dbo.Member" in page.read_text("utf-8")
    assert run(["assess", "--config", config, "-t", "crm.dbo.Member", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    codes = {finding["code"] for finding in result["findings"]}
    assert {"lone_surrogate", "sentinel_date", "mapping_reject"} <= codes
    assert run(["assess", "--config", config, "-t", "crm.dbo.Member", "--lang", "zh"]) == 0
    assert "旧数据库评估" in capsys.readouterr().out


def test_assess_of_an_unknown_table_is_a_usage_error(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["assess", "--config", config, "-t", "crm.dbo.Membr"]) == 2
    assert "crm.dbo.Member" in capsys.readouterr().err


def test_a_draft_is_a_mapping_that_config_check_takes(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "draft"
    assert run(["assess", "--config", config, "--draft-mapping", str(folder)]) == 0
    assert "TillNote" in capsys.readouterr().out
    Path(config).write_text(Path(config).read_text("utf-8") + '[mapping]\npath = "draft"\n', "utf-8")
    assert run(["config", "check", "--config", config]) == 0
    assert run(["assess", "--config", config, "--draft-mapping", str(folder)]) == 3
    assert "not empty" in capsys.readouterr().err
