"""The room that is kept: made, given up once, told once; and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.state_db import StateFull
from migrations.release import reserve as kept
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Planned
from migrations.release.model import ReleaseState, Route
from migrations.release.reserve import Reserve, keeping

PLANNED = Planned("r", (("S1",),), {"S1": Route.LEGACY})


@pytest.fixture
def told() -> list[str]:
    return []


def reserve_in(told: list[str], *folders: Path, ample: int = 0) -> Reserve:
    """With a list for alerts."""
    return Reserve(
        folders, lambda level, key, *rest: told.append(f"{level} {key}"), lambda key: told.append(f"over {key}"), ample
    )


def test_one_for_each_disk_for_its_owner_and_gone_in_the_end(tmp_path: Path, told: list[str]) -> None:
    state, maps = tmp_path / "state", tmp_path / "maps"
    state.mkdir()
    maps.mkdir()
    with keeping(reserve_in(told, state, maps, tmp_path / "not there")):
        assert [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob(kept.NAME)] == ["state"]
        found = (state / kept.NAME).stat()
        assert (found.st_size, found.st_mode & 0o777, found.st_blocks * 512 >= kept.SIZE) == (kept.SIZE, 0o600, True)
    assert list(tmp_path.rglob(kept.NAME)) == []
    assert told == []


def test_it_is_given_up_once_told_once_and_made_anew(tmp_path: Path, told: list[str]) -> None:
    """What a bug would cost: a red alert each second, or room that is gone for good."""
    reserve = reserve_in(told, tmp_path, ample=2**62)
    reserve.keep()
    assert reserve.let_go()
    assert reserve.let_go(), "the other thread failed at the same moment: it tries again too"
    reserve.given_up_at = (reserve.given_up_at or 0) - kept.JUST_NOW_S
    assert not reserve.let_go(), "there is nothing any more: what failed, fails"
    for _ in range(3):
        reserve.tend()
    assert told == ["red disk full"]
    reserve.ample = 0
    reserve.tend()
    reserve.tend()
    assert told == ["red disk full", "over disk full"]
    assert (tmp_path / kept.NAME).exists()


def test_a_folder_that_may_not_be_written_is_no_full_disk(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing will say so, in better words."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(kept, "write_bytes", refuse)
    reserve = reserve_in(told, tmp_path)
    reserve.keep()
    reserve.tend()
    assert told == []


def test_only_a_full_log_asks_for_room(tmp_path: Path) -> None:
    """What a bug would cost: an event that is written twice, or a full disk that is not tried again."""
    asked: list[int] = []

    class Full(EventLog):
        times = 1

        def write(self, event: object) -> ReleaseState:
            if self.times:
                self.times -= 1
                raise StateFull("full", "x")
            return super().write(PLANNED)

    with open_event_log(tmp_path) as log:
        full = Full(log.connection)

        def make_room() -> bool:
            asked.append(1)
            return True

        full.make_room = make_room
        assert full.append(PLANNED).release == "r"
        assert (len(asked), len(log.events())) == (1, 1)
        full.times, full.make_room = 1, lambda: False
        with pytest.raises(StateFull):
            full.append(PLANNED)
