"""membershift sync, typed as people type it, against a target without a running process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from cli.app import run
from etl.settings import TargetSettings
from etl.sync.conflicts import FoundConflict, write_conflicts
from etl.sync.dead_letters import write_dead_letters
from etl.sync.heartbeat import HEARTBEAT, IN_ORDER, heartbeat_text, write_heartbeat
from etl.sync.model import DeadLetter
from etl.sync.state import STATE, read_state, write_control
from etl.sync.stats import StreamView
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

if TYPE_CHECKING:
    from fixtures.target import TargetServer

NAME, PHONE = "欧阳小明", "13912345678"


@pytest.fixture(scope="module")
def fresh_target(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Schemas that the tests of this file share: making them is slow."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="m_sync_cli", state_schema="s_sync_cli")
    schema_up(settings)
    yield settings
    drop_schemas(settings)


@pytest.fixture
def config(tmp_path: Path, fresh_target: TargetSettings) -> str:
    """A configuration whose source is away."""
    path = tmp_path / "membershift.toml"
    path.write_text(
        f"""
[source]
url = "mssql://nobody:x@127.0.0.1:1"
databases = ["crm", "pos", "ecom"]
[target]
url = "{fresh_target.url.get_secret_value()}"
schema = "{fresh_target.schema_name}"
state_schema = "{fresh_target.state_schema}"
"""
    )
    return str(path)


@pytest.fixture
def target(fresh_target: TargetSettings) -> Iterator[BulkConnection]:
    """A connection to it, with nothing of an earlier test."""
    with connect_bulk(fresh_target) as connection:
        for table in ("sync_control", "sync_conflict", "sync_dead_letter"):
            connection.execute(f"DELETE FROM {fresh_target.state_schema}.{table}")
        yield connection


def alive(target: BulkConnection, state: str, waiting: str = "") -> None:
    """A sign of life, as a running process gives it."""
    views = [StreamView("forward/crm", 0.2, 12.5, 9, waiting, {}), StreamView("reverse", 0.3, 1.0, 9, waiting, {})]
    write_heartbeat(target, state, heartbeat_text(views, 4711, "till-1", 60.0))


def keep_a_conflict(target: BulkConnection, state: str) -> None:
    """A member that both sides changed, with personal data in it."""
    image = {"member_id": 7, "name": NAME, "phone": PHONE, "points": 5, "balance": Decimal("1.50")}
    other = image | {"name": "欧阳大明", "points": 6}
    with target.transaction():
        write_conflicts(target, state, [FoundConflict("forward", "member", "7", ("name",), "latest", "target", image, other)])


def newest(target: BulkConnection, state: str) -> str:
    """The number of the conflict that was kept last."""
    return str(int(target.scalar(f"SELECT MAX(conflict_id) FROM {state}.sync_conflict")))


def test_before_the_start(config: str, target: BulkConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sync", "status", "--config", config]) == 0
    assert "never started" in capsys.readouterr().out
    for command in ("pause", "resume", "stop"):
        assert run(["sync", command, "--config", config]) == 7
        assert "sync start --execute" in capsys.readouterr().err


def test_a_process_that_is_alive_one_that_is_silent_and_none(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    assert run(["sync", "status", "--config", config]) == 6
    assert "none ever ran" in capsys.readouterr().out

    alive(target, state)
    assert run(["sync", "status", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "Sync runs." in shown
    assert "4711" in shown
    assert "till-1" in shown
    assert "cannot be reached" in shown  # the source is away, and that is no reason to say nothing

    target.execute(f"UPDATE {state}.sync_control SET at = at - INTERVAL 2 HOUR WHERE name = '{HEARTBEAT}'")
    assert run(["sync", "status", "--config", config]) == 6
    assert "the last sign of life is 2 h 0 min old" in capsys.readouterr().out
    assert run(["sync", "status", "--config", config, "--lang", "zh"]) == 6
    assert "没有进程在运行" in capsys.readouterr().out
    assert run(["sync", "status", "--config", config, "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["heartbeat"]["pid"] == 4711


def test_a_process_that_ended_in_order_is_not_looked_for(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    write_heartbeat(target, state, heartbeat_text([], 4711, "till-1", 60.0, ended=IN_ORDER))
    assert run(["sync", "status", "--config", config]) == 0
    assert "ended in order at 20" in capsys.readouterr().out
    write_heartbeat(target, state, heartbeat_text([], 4711, "till-1", 60.0, ended="The source has forgotten changes."))
    assert run(["sync", "status", "--config", config]) == 6
    assert "The source has forgotten changes." in capsys.readouterr().out


def test_many_streams_that_wait_are_all_told(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than one row of sync_control holds, and fewer again afterwards."""
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    why = "throttled: source load 92 % > 80 %; file throttle"
    views = [StreamView(f"forward/database{number}", 0.2, 1.0, 9, why, {}) for number in range(12)]
    for some in (views, views[:1]):
        write_heartbeat(target, state, heartbeat_text(some, 4711, "till-1", 60.0, throttle=why.removeprefix("throttled: ")))
        assert run(["sync", "status", "--config", config, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [(one["name"], one["waiting"]) for one in told["heartbeat"]["streams"]] == [(one.name, why) for one in some]
    assert run(["sync", "status", "--config", config]) == 0
    assert "held back: source load 92 % > 80 %" in capsys.readouterr().out


def test_a_mark_that_is_none_is_refused_before_anything_is_asked(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sync", "drain", "--store", "S001", "--until", "m1,at=5", "--config", config]) == 2
    assert "membershift sync mark" in capsys.readouterr().err
    assert run(["sync", "mark", "--config", config]) == 4  # the source is away


def test_dirty_rows_are_counted_while_the_source_is_away(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    write_control(target, fresh_target.state_schema, STATE, "stopped", "li")
    target.execute(
        "INSERT INTO consent (consent_id, member_id, kind, granted, source, granted_at) VALUES (1, 7, 'sms', 1, 'app', NOW(6))"
    )
    assert run(["sync", "status", "--config", config, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["dirty"] for one in told["standing"]["tables"]}["consent"] == 1
    assert "stopped" in told["verdict"]


def test_asking_without_a_process(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    assert run(["sync", "pause", "--config", config]) == 0
    assert "No process is running" in capsys.readouterr().out
    assert read_state(target, state) == "paused"
    assert run(["sync", "resume", "--config", config, "--lang", "zh"]) == 0
    assert "没有进程在运行" in capsys.readouterr().out
    assert read_state(target, state) == "running"


def test_asking_a_process_that_takes_notice(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    alive(target, state)

    def take_notice() -> None:
        with connect_bulk(fresh_target) as mine:
            while read_state(mine, state) != "paused":
                time.sleep(0.05)
            alive(mine, state, "paused")

    process = threading.Thread(target=take_notice)
    process.start()
    assert run(["sync", "pause", "--config", config]) == 0
    process.join()
    assert "is paused" in capsys.readouterr().out


def test_conflicts_are_masked_everywhere(
    config: str, fresh_target: TargetSettings, target: BulkConnection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = fresh_target.state_schema
    write_control(target, state, STATE, "running", "li")
    alive(target, state)
    keep_a_conflict(target, state)
    page = tmp_path / "conflict.html"
    shown, one = "", newest(target, state)
    for command in (
        ["list"],
        ["list", "--json"],
        ["show", one, "--html", str(page)],
        ["show", one, "--json"],
        ["show", one, "--lang", "zh"],
    ):
        assert run(["sync", "conflicts", *command, "--config", config]) == 0
        shown += capsys.readouterr().out
    shown += page.read_text("utf-8")
    assert NAME not in shown
    assert "欧阳大明" not in shown
    assert PHONE not in shown
    assert "139****5678" in shown
    assert "欧***" in shown
    assert "两端都改动了该行" in shown
    assert run(["sync", "status", "--config", config]) == 6
    assert "conflicts list" in capsys.readouterr().out


def test_a_conflict_of_a_table_that_nobody_maps_shows_nothing(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    found = FoundConflict("forward", "gone", NAME, ("nick",), "latest", "target", {"nick": NAME}, {"nick": "x"})
    with target.transaction():
        write_conflicts(target, fresh_target.state_schema, [found])
    assert run(["sync", "conflicts", "show", newest(target, fresh_target.state_schema), "--config", config]) == 0
    assert NAME not in capsys.readouterr().out


def test_conflicts_are_settled_by_number_or_all(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        keep_a_conflict(target, fresh_target.state_schema)
    first = int(target.scalar(f"SELECT MIN(conflict_id) FROM {fresh_target.state_schema}.sync_conflict"))
    settle = ["sync", "conflicts", "settle", "--config", config]
    assert run(settle) == 2
    assert run([*settle, "999999"]) == 2
    assert run([*settle, str(first), "--all"]) == 2
    assert run([*settle, str(first), "--note", "the till was right", "--by", "Li Na"]) == 0
    capsys.readouterr()
    assert run(["sync", "conflicts", "show", str(first), "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "Li Na" in shown
    assert "the till was right" in shown
    assert run([*settle, "--all", "--table", "sale", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 0
    assert run([*settle, "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 2
    assert run(["sync", "conflicts", "list", "--config", config]) == 0
    assert "No conflict is open." in capsys.readouterr().out


def test_dead_letters(
    config: str, fresh_target: TargetSettings, target: BulkConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = [
        DeadLetter("reverse", "member/crm", "7", "too_long", "Name (nvarchar(20)) holds 20 characters, 31 needed"),
        DeadLetter("forward", "member/pos", "B1", "duplicate_key", "another legacy row makes the same target row"),
    ]
    with target.transaction():
        write_dead_letters(target, fresh_target.state_schema, letters)
    assert run(["sync", "dead-letters", "list", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "longer than the column" in shown
    assert "31 needed" in shown
    assert run(["sync", "dead-letters", "list", "--config", config, "--lang", "zh"]) == 0
    assert "超出列长度" in capsys.readouterr().out
    assert run(["sync", "dead-letters", "retry", "--config", config, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["executed"], told["found"], told["left"]) == (False, 2, 0)
    number = int(target.scalar(f"SELECT letter_id FROM {fresh_target.state_schema}.sync_dead_letter WHERE row_key = '7'"))
    assert run(["sync", "dead-letters", "settle", str(number), "999999", "--config", config]) == 2
    assert run(["sync", "dead-letters", "settle", str(number), "--config", config, "--json"]) == 0
    assert run(["sync", "dead-letters", "settle", str(number), "--config", config]) == 0
    assert "0 dead letters are settled" in capsys.readouterr().out


def test_metrics_are_not_given_to_strangers(config: str, target: BulkConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sync", "run", "--metrics", "0.0.0.0:9187", "--config", config]) == 2
    assert "--metrics-anywhere" in capsys.readouterr().err
    assert run(["sync", "run", "--metrics", "here", "--config", config]) == 2
