"""membershift drill, typed as people type it; the drills themselves are in tests/scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Without any configuration: people look before they have one."""
    assert run(["drill", "list", "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["result"]]
    assert {"rollback", "kill-sync", "kill-target", "freeze-metrics", "kill-controller"} <= set(names)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["drill", "run", "kill-taget", "--folder", "d"], 2, "'kill-target'"),
        (["drill", "run", "kill-target", "--no-sandbox", "--i-mean-production"], 7, "for a sandbox only"),
        (["drill", "run", "rollback", "--no-sandbox", "--store", "S1"], 7, "--i-mean-production"),
    ],
)
def test_what_is_refused(
    words: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Production needs to be meant, and nothing is ever broken there."""
    (tmp_path / "membershift.toml").write_text(
        '[source]\nurl = "mssql://nobody:x@127.0.0.1:1"\n[target]\nurl = "mysql://nobody:x@127.0.0.1:1"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert run(words) == code
    assert said in capsys.readouterr().err
