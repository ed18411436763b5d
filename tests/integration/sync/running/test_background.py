"""The background check beside a running sync finds what sync could not see, once, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.reconcile.differences import Difference, Kind
from etl.sync import background
from etl.sync.check_record import CheckPass, Found, note_pass, read_standing
from etl.sync.state import read_positions
from etl.sync.stats import Stats
from etl.sync.status import read_status
from tests.integration.sync.running.support import Shop, until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with sync, and does not wait long before it looks twice."""
    monkeypatch.setattr(background, "FIRST_S", 0.0)
    monkeypatch.setattr(background, "LEAST_SETTLE_S", 0.5)


def forget_passes(shop: Shop) -> None:
    """As if it had never run."""
    shop.target.execute(f"DELETE FROM {shop.settings.target.state_schema}.sync_position WHERE name LIKE 'check%'")


def one_pass(shop: Shop) -> CheckPass:
    """A whole pass beside a running sync."""
    forget_passes(shop)
    with shop.running(shop.with_sync(check_share=1.0)) as stats:
        until(lambda: has_ended(stats), 60)
    found = read_standing(read_positions(shop.target, shop.settings.target.state_schema)).last
    assert found is not None
    return found


def has_ended(stats: Stats) -> bool:
    """Whether the pass is through."""
    assert not stats.check_problem
    return stats.check is not None and stats.check.ended is not None


def test_it_finds_what_was_changed_behind_the_back_of_sync(shop: Shop) -> None:
    """Somebody writes and sets the times so that the row seems in step; a row is lost; one is there that nobody made."""
    long_ago = "'2026-01-01 00:00:00'"  # the tail pass looks at what changed lately
    quiet = f"updated_at = {long_ago}, synced_at = {long_ago}"
    ((member,), (other,)) = shop.rows("SELECT member_id FROM member WHERE name IS NOT NULL ORDER BY member_id LIMIT 2")
    ((line,),) = shop.rows("SELECT MIN(sign_in_id) FROM sign_in")
    before = shop.rows("SELECT name FROM member WHERE member_id = %s", member)[0][0]
    kept = shop.rows("SELECT * FROM sign_in WHERE sign_in_id = %s", line)

    shop.target.execute(f"UPDATE member SET name = '欧阳大明', {quiet} WHERE member_id = %s", (member,))
    shop.target.execute("DELETE FROM sign_in WHERE sign_in_id = %s", (line,))
    shop.target.execute(
        "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel, updated_at, synced_at) "
        f"SELECT 140737488355999, member_id, signed_at, channel, {long_ago}, {long_ago} FROM sign_in "
        "WHERE sign_in_id <> %s LIMIT 1",
        (line,),
    )
    try:
        found = one_pass(shop)
        assert found.differing == 3
        assert found.explained == 0
        status = read_status(shop.settings)
        assert status.check.differing == 3
        assert status.needs_person
        (path,) = (shop.settings.state_dir / "sync").glob(f"check-{found.began:%Y%m%dT%H%M%S}.json")
        told = json.loads(path.read_text("utf-8"))["differences"]
        assert {(one["table"], one["kind"]) for one in told} == {
            ("member", "changed"),
            ("sign_in", "missing"),
            ("sign_in", "extra"),
        }
        assert "欧阳大明" not in path.read_text("utf-8")
        assert str(other) not in {one["key"] for one in told}
    finally:
        shop.target.execute("DELETE FROM sign_in WHERE sign_in_id = 140737488355999")
        shop.target.execute(f"UPDATE member SET name = %s, {quiet} WHERE member_id = %s", (before, member))
        marks = ", ".join(["%s"] * len(kept[0]))
        shop.target.execute(f"INSERT INTO sign_in VALUES ({marks})", kept[0])


def test_a_pass_goes_on_where_it_was(shop: Shop) -> None:
    """After a restart it begins with the key behind the last one: of all tables only what follows is looked at."""
    forget_passes(shop)
    ((sale, line),) = shop.rows("SELECT sale_no, line_no FROM sale_line ORDER BY sale_no DESC, line_no DESC LIMIT 1, 1")
    ((tills,),) = shop.legacy("pos", "SELECT COUNT(*) FROM dbo.SaleLine")
    ((orders,),) = shop.legacy("ecom", "SELECT COUNT(*) FROM dbo.OrderLine")
    began = datetime.now(UTC).replace(microsecond=7)
    midway = CheckPass(began, "target/sale_line", f"{sale}\x1f{line}", rows=1_000, differing=1)
    note_pass(shop.target, shop.settings.target.state_schema, midway)
    with shop.running(shop.with_sync(check_share=1.0)) as stats:
        until(lambda: has_ended(stats), 60)
    done = read_standing(read_positions(shop.target, shop.settings.target.state_schema)).last
    assert done is not None
    assert done.began == began
    assert done.differing == 1
    assert done.rows == 1_000 + tills + orders + 1  # keys of the legacy side, and the one key behind


def test_the_file_of_differences_has_a_limit_and_outlives_a_restart(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    for name in ("a", "b", "c"):
        Found(tmp_path, 2, began).add([Difference("member", Kind.EXTRA, name)])
    told = json.loads(Found(tmp_path, 2, began).path.read_text("utf-8"))["differences"]
    assert [one["key"] for one in told] == ["a", "b"]
    assert len(replace(CheckPass(began), leg="x", after="k" * 500).detail) < 400
