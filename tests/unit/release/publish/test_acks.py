"""Whom a switch waits for: an instance that is believed to be gone, and is not, writes to the side that its store has left."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, RefusedError
from migrations.release.acks import AckWatch, await_acknowledgement, forget_acks, read_acks, require_instances

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def say(
    folder: Path, instance: str, sequence: object, ago_s: float = 0.0, written_ago_s: float | None = None, more: object = None
) -> None:
    """An acknowledgement as the client writes it. written_ago_s: by the file's clock, where that is another one."""
    path = folder / f"{instance}.json"
    at = (NOON - timedelta(seconds=ago_s)).isoformat()
    ack = {"format": 1, "instance": instance, "sequence": sequence, "at": at, "lease_s": 30, "in_flight": 0, "trouble": ""}
    path.write_text(json.dumps(ack | (more if isinstance(more, dict) else {})))
    stamp = (NOON - timedelta(seconds=ago_s if written_ago_s is None else written_ago_s)).timestamp()
    os.utime(path, (stamp, stamp))


class Steady:
    """The controller's own clock, in the test's hands."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def waiting(folder: Path, now: datetime) -> tuple[str, ...]:
    """Who is waited for at map 42."""
    return tuple(ack.instance for ack in AckWatch(folder).look(42, now).waiting)


def test_who_holds_an_older_map_is_waited_for(tmp_path: Path) -> None:
    say(tmp_path, "till-1", 41)
    say(tmp_path, "till-2", 42)
    say(tmp_path, "till-3", 43)
    say(tmp_path, "dead", 40, ago_s=36.0)
    say(tmp_path, "slow", 40, ago_s=34.0)
    assert waiting(tmp_path, NOON) == ("slow", "till-1")


def test_a_file_that_cannot_be_read_may_be_somebody_who_writes(tmp_path: Path) -> None:
    """Taken for nobody, its till would sell on by the old route; counted for ever, one torn file would stop every release."""
    say(tmp_path, "torn", 99)
    (tmp_path / "torn.json").write_text('{"format": 1, "seq')
    os.utime(tmp_path / "torn.json", (NOON.timestamp(), NOON.timestamp()))
    assert waiting(tmp_path, NOON) == ("torn",)
    assert waiting(tmp_path, NOON + timedelta(seconds=36)) == ()


LIES: tuple[dict[str, object], ...] = (
    {"sequence": True},
    {"sequence": -5},
    {"sequence": "99"},
    {"lease_s": 1e12},
    {"lease_s": float("nan")},
    {"at": "noon"},
)


@pytest.mark.parametrize("lie", LIES)
def test_nonsense_in_an_acknowledgement_acknowledges_nothing(tmp_path: Path, lie: dict[str, object]) -> None:
    say(tmp_path, "till-1", 99)
    say(tmp_path, "till-1", 99, more=lie)
    assert waiting(tmp_path, NOON) == ("till-1",)


def test_a_clock_that_is_behind_makes_nobody_gone(tmp_path: Path) -> None:
    """Its own time says that it is an hour old; the file's, that it has just been written."""
    say(tmp_path, "till-1", 41, ago_s=3_600.0, written_ago_s=1.0)
    assert waiting(tmp_path, NOON) == ("till-1",)


def test_what_the_clocks_say_is_believed_only_after_silence(tmp_path: Path) -> None:
    """The controller's clock jumps an hour ahead: every instance looks dead, and every one of them sells."""
    steady = Steady()
    watch = AckWatch(tmp_path, steady=steady)
    say(tmp_path, "till-1", 41)
    later = NOON + timedelta(hours=1)
    assert watch.look(42, later).in_doubt == ("till-1",)
    steady.now = 34.0
    say(tmp_path, "till-1", 41, ago_s=-1.0)
    assert not watch.look(42, later).done
    steady.now = 60.0
    assert watch.look(42, later).in_doubt == ("till-1",), "it has said something since"
    steady.now = 70.0
    say(tmp_path, "till-2", 42, ago_s=-3_600.0)
    found = watch.look(42, later)
    assert (found.lapsed, found.in_doubt, found.acknowledged, found.done) == (("till-1",), (), ("till-2",), True)


def test_all_have_to_say_so(tmp_path: Path) -> None:
    watch = AckWatch(tmp_path, expected=2)
    say(tmp_path, "till-1", 42)
    assert watch.look(42, NOON).why() == "1 instances are missing"
    say(tmp_path, "till-2", 41, more={"in_flight": 3, "trouble": "the map is empty"})
    found = watch.look(42, NOON)
    assert not found.done
    assert found.why() == "waiting for till-2 (at map 41, 3 writes in flight, the map is empty)"
    say(tmp_path, "till-2", 42)
    assert watch.look(42, NOON).done
    assert watch.look(42, NOON).why() == ""


def test_nobody_there_is_not_everybody_agreed(tmp_path: Path) -> None:
    """A folder that is not mounted looks exactly like this."""
    assert not AckWatch(tmp_path / "not mounted").look(42, NOON).done
    with pytest.raises(RefusedError, match="0 application instances"):
        require_instances(read_acks(tmp_path), 0, NOON)
    say(tmp_path, "till-1", 3)
    say(tmp_path, "dead", 3, ago_s=100.0)
    require_instances(read_acks(tmp_path), 0, NOON)
    with pytest.raises(RefusedError, match="2 are needed"):
        require_instances(read_acks(tmp_path), 2, NOON)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "acks").write_text("a file")
    with pytest.raises(ConfigurationError):
        read_acks(tmp_path / "acks")


def test_only_those_gone_for_long_are_forgotten(tmp_path: Path) -> None:
    say(tmp_path, "old", 1, ago_s=90_000.0)
    say(tmp_path, "recent", 1, ago_s=3_600.0)
    for name, ago_s in (("killed", 90_000.0), ("writing", 1.0)):
        (tmp_path / f"{name}.partial").write_text("{")
        os.utime(tmp_path / f"{name}.partial", (NOON.timestamp() - ago_s,) * 2)
    assert forget_acks(tmp_path, NOON) == ("old",)
    assert [path.name for path in tmp_path.glob("*.partial")] == ["writing.partial"]
    assert [ack.instance for ack in read_acks(tmp_path)] == ["recent"]


def test_waiting_ends_with_the_names_of_those_who_have_not_taken_it(tmp_path: Path) -> None:
    """A switch that waited for ever would keep its stores closed for ever."""
    steady = Steady()

    class Passing(Steady):
        def __call__(self) -> float:
            steady.now += 1.0
            return steady.now

    watch = AckWatch(tmp_path, steady=Passing())
    now = datetime.now(UTC).isoformat()
    say(tmp_path, "till-1", 41, more={"at": now, "in_flight": 1})
    with pytest.raises(RefusedError, match=r"Map 42 .* within 10 s: waiting for till-1 \(at map 41, 1 writes"):
        await_acknowledgement(watch, 42, 10.0, pause_s=0.0)
    say(tmp_path, "till-1", 42, more={"at": now})
    assert await_acknowledgement(watch, 42, 10.0, pause_s=0.0).acknowledged == ("till-1",)


def test_who_was_silent_before_the_switch_is_not_waited_for_in_it(tmp_path: Path) -> None:
    """What a bug would cost: stores closed for as long as the lease of an instance that died last week."""
    steady = Steady()
    watch = AckWatch(tmp_path, steady=steady)
    say(tmp_path, "dead", 40, ago_s=3_600.0)
    say(tmp_path, "till-1", 42)
    watch.hear()
    steady.now = 36.0
    say(tmp_path, "came", 40, ago_s=3_600.0)
    watch.hear()
    found = watch.look(42, NOON)
    assert (found.lapsed, found.in_doubt) == (("dead",), ("came",)), "who came during the release may be alive"
    steady.now = 72.0
    assert watch.look(42, NOON).done


def test_hearing_and_looking_know_an_instance_by_the_same_mark(tmp_path: Path) -> None:
    """What a bug would cost: each look begins the silence anew, and nobody is ever known to be gone."""
    steady = Steady()
    watch = AckWatch(tmp_path, steady=steady)
    say(tmp_path, "店.1", 40, ago_s=3_600.0)
    (tmp_path / "half.json.partial").write_text("x")
    for steady.now in (0.0, 20.0, 40.0):
        watch.hear()
        found = watch.look(42, NOON)
    assert found.lapsed == ("店.1",)
    say(tmp_path, "店.1", 40, ago_s=3_500.0)
    watch.hear()
    assert watch.look(42, NOON).in_doubt == ("店.1",), "it has said something: it is alive"


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    AckWatch(tmp_path / "nowhere").hear()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError):
        AckWatch(tmp_path / "file").hear()
