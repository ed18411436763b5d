"""Looking at a real state.db, again and again, with nothing else there."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import RefusedError, UsageError
from etl.state_db import STATE_DB
from migrations.release.alerts.book import raise_alerts
from migrations.release.alerts.model import Alert
from migrations.release.alerts.settings import AlertSettings
from migrations.release.event_log import open_event_log
from migrations.release.events import Planned, Started, WaveBegun
from migrations.release.lookout import open_lookout, read_release
from migrations.release.model import Phase, Route

PLAN = '[[wave]]\nname = "a"\nstores = ["S1"]\n[publish]\nacknowledge = "none"\n'


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """release.toml of a release of one store."""
    path = tmp_path / "release.toml"
    path.write_text(f'name = "autumn"\n{PLAN}')
    return path


def begin(state_dir: Path) -> None:
    """Plan it and start it."""
    with open_event_log(state_dir) as log:
        log.append(Planned("autumn", (("S1",),), {"S1": Route.LEGACY}))
        log.append(Started())


def test_looking_makes_no_file(tmp_path: Path, plan: Path) -> None:
    with pytest.raises(RefusedError, match="No release was planned"), open_lookout(tmp_path / "state", plan):
        pass
    assert not (tmp_path / "state").exists()


def test_what_happens_meanwhile_is_seen(tmp_path: Path, plan: Path) -> None:
    begin(tmp_path)
    with open_lookout(tmp_path, plan) as lookout, open_event_log(tmp_path) as log:
        assert lookout.look().phase is Phase.RUNNING
        assert lookout.look().nobody_at_work
        log.take_lease("me")
        log.append(WaveBegun(0))
        raise_alerts(tmp_path, AlertSettings(), (Alert("k", "red", "a", "b"),))
        seen = lookout.look()
    assert seen.holder == "me"
    assert seen.waves[0].standing == "moving"
    assert [one.alert.title for one in seen.alerts] == ["a"]
    assert seen.next.act is not None
    assert seen.next.act.kind == "switch"


def test_a_plan_that_breaks_and_is_mended(tmp_path: Path, plan: Path) -> None:
    """A typing mistake would have closed the eyes of everybody who watches."""
    begin(tmp_path)
    with open_lookout(tmp_path, plan) as lookout:
        assert not lookout.look().trouble
        plan.write_text("name = ")
        seen = lookout.look()
        assert "release.toml" in seen.trouble[0]
        assert seen.next.needs_plan
        assert seen.waves[0].stores[0].route is Route.LEGACY
        plan.write_text(f'name = "autumn"\n{PLAN}\n')
        assert not lookout.look().trouble
        plan.unlink()
        assert lookout.look().trouble


def test_the_report_of_a_release_that_never_was(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        read_release(tmp_path)
    with open_event_log(tmp_path):
        pass
    assert (tmp_path / STATE_DB).exists()
    with pytest.raises(RefusedError):
        read_release(tmp_path)
    begin(tmp_path)
    assert read_release(tmp_path).release == "autumn"
    with pytest.raises(UsageError, match="spring"):
        read_release(tmp_path, "spring")
