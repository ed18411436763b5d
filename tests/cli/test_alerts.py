"""membershift alerts, typed as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from migrations.release.alerts.book import raise_alerts
from migrations.release.alerts.model import Alert
from migrations.release.alerts.settings import AlertSettings


def test_a_person_takes_an_alert_on_and_settles_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "membershift.toml"
    config.write_text('[source]\nurl = "mssql://a:b@127.0.0.1:1"\n[target]\nurl = "mysql://a:b@127.0.0.1:1"\n')
    assert run(["alerts", "list", "--config", str(config)]) == 0
    raise_alerts(tmp_path / ".membershift", AlertSettings(), [Alert("k", "red", "Errors above 2 %", "4 % failed.")])
    assert run(["alerts", "list", "--config", str(config), "--lang", "zh"]) == 6
    assert "其中 1 条无人认领" in capsys.readouterr().out
    assert run(["alerts", "acknowledge", "1", "--by", "wang", "--config", str(config)]) == 0
    assert run(["alerts", "list", "--config", str(config)]) == 6, "it still holds a release"
    assert run(["alerts", "settle", "1", "--config", str(config)]) == 0
    assert run(["alerts", "list", "--config", str(config)]) == 0
    capsys.readouterr()
    assert run(["alerts", "list", "--all", "--json", "--config", str(config)]) == 0
    (alert,) = json.loads(capsys.readouterr().out)["result"]
    assert (alert["acknowledged_by"], bool(alert["resolved_at"])) == ("wang", True)
    assert run(["alerts", "acknowledge", "7", "--config", str(config)]) == 2
    assert run(["audit", "log", "--command", "alerts", "--json", "--config", str(config)]) == 0
    assert [one["command"] for one in json.loads(capsys.readouterr().out)["shown"]] == [
        *("alerts acknowledge", "alerts settle", "alerts acknowledge")
    ]
