"""The commands: exit codes, JSON, HTML, and no personal value in any of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from tests.integration.reconcile.conftest import Damage


def write_config(settings: Settings, path: Path) -> Path:
    """The settings as membershift.toml."""
    source, target = settings.source.url.get_secret_value(), settings.target.url.get_secret_value()
    path.write_text(
        f'[source]\nurl = "{source}"\ndatabases = ["crm", "pos", "ecom"]\n'
        f'[target]\nurl = "{target}"\nschema = "{settings.target.schema_name}"\nstate_schema = "{settings.target.state_schema}"\n'
        f'[state]\ndir = "{settings.state_dir}"\n',
        "utf-8",
    )
    return path


def test_rows_and_repair_from_the_command_line(
    moved: Settings, target: BulkConnection, damage: Damage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0 when all agrees, 6 when something differs; reports name the key and mask the value."""
    config = ["--config", str(write_config(moved, tmp_path / "membershift.toml")), "--table", "member"]
    assert run(["reconcile", "rows", *config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total_differences"] == 0

    (member, name, phone), *_ = target.query(
        "SELECT member_id, name, phone FROM member WHERE CHAR_LENGTH(name) > 2 AND phone > '' AND origin = 'crm' LIMIT 1"
    )
    damage(
        f"UPDATE member SET name = CONCAT(name, '啊'), phone = '+8613900000000' WHERE member_id = {member}", tables=("member",)
    )
    html = tmp_path / "rows.html"
    assert run(["reconcile", "rows", *config, "--html", str(html)]) == 6
    shown = capsys.readouterr().out + html.read_text("utf-8")
    assert f"member_id={member}" in shown
    assert run(["reconcile", "rows", *config, "--lang", "zh"]) == 6
    chinese = capsys.readouterr().out
    assert "被改动" in chinese
    assert run(["reconcile", "repair", *config, "--json"]) == 6
    dry = capsys.readouterr().out
    assert json.loads(dry)["left"] == 1
    assert run(["reconcile", "repair", *config, "--execute"]) == 0
    told = shown + chinese + dry + capsys.readouterr().out
    for secret in (name, phone, "+8613900000000", moved.target.url.get_secret_value()):
        assert secret not in told
    assert run(["reconcile", "rows", *config]) == 0


def test_invariants_from_the_command_line(moved: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 although the source has defects: they are the same on both sides, and are told so."""
    config = ["--config", str(write_config(moved, tmp_path / "membershift.toml"))]
    html = tmp_path / "invariants.html"
    assert run(["reconcile", "invariants", *config, "--html", str(html), "--lang", "zh"]) == 0
    assert "两端有同样的缺陷" in capsys.readouterr().out
    assert "会员等级符合规则" in html.read_text("utf-8")


def test_bad_options_are_refused_before_anything_is_read(moved: Settings, tmp_path: Path) -> None:
    """A share that is none, a table that is none."""
    config = ["--config", str(write_config(moved, tmp_path / "membershift.toml"))]
    assert run(["reconcile", "rows", *config, "--sample", "200%"]) == 2
    assert run(["reconcile", "rows", *config, "--table", "nowhere"]) == 2
