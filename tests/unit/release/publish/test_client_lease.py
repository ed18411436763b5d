"""The lease of an application instance: when it has to stop writing by itself, since nobody waits for it any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrations.release.client import routes as client
from migrations.release.client.routes import Fenced, Moved, Routes
from tests.unit.release.publish.conftest import Publish, acked
from tests.unit.release.publish.states import fenced, planned


class Clocks:
    """Both clocks of the machine, in the test's hands."""

    def __init__(self) -> None:
        self.boot, self.wall = 1_000.0, 1_700_000_000.0

    def __call__(self) -> tuple[float, float]:
        return self.boot, self.wall

    def pass_s(self, seconds: float) -> None:
        """Time goes by on both."""
        self.boot += seconds
        self.wall += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    hands = Clocks()
    monkeypatch.setattr(client, "clocks", hands)
    return hands


def test_an_instance_whose_lease_lapsed_writes_nothing(
    clocks: Clocks, path: Path, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it any more: its store may have moved meanwhile. A write that began before may not be committed either."""
    publish(planned())
    till = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, margin_s=5.0, poll_s=20.0)
    with till.writing("S001") as write:
        clocks.pass_s(24.0)
        write.still()
        clocks.pass_s(1.5)
        with pytest.raises(Moved, match="acknowledgement"):
            write.still()
    with pytest.raises(Fenced, match="acknowledgement"), till.writing("S001"):
        pytest.fail("a write without a lease")
    till.poll()
    with till.writing("S001") as write:
        write.still()


def test_the_lease_does_not_live_longer_because_a_clock_was_set_back(
    clocks: Clocks, path: Path, publish: Publish, tmp_path: Path
) -> None:
    publish(planned())
    till = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)
    clocks.pass_s(28.0)
    clocks.wall -= 3_600.0
    with pytest.raises(Fenced), till.writing("S001"):
        pytest.fail("a lease that an administrator's clock had made longer")


def test_a_machine_that_slept_knows_it_by_the_other_clock(clocks: Clocks, path: Path, publish: Publish, tmp_path: Path) -> None:
    """A virtual machine that was paused: its own steady clock stood still, everybody else's went on."""
    publish(planned())
    till = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)
    clocks.wall += 60.0
    with pytest.raises(Fenced), till.writing("S001"):
        pytest.fail("a write after a sleep longer than the lease")


def test_an_acknowledgement_that_cannot_be_written_ends_the_lease(
    clocks: Clocks, path: Path, publish: Publish, tmp_path: Path
) -> None:
    """The share with the acknowledgements is gone: the controller hears nothing, and goes on after the lease."""
    publish(planned())
    acks = tmp_path / "acks"
    till = Routes(path, acks, "till-1", lease_s=30.0, poll_s=20.0)
    acks.rename(tmp_path / "gone")
    acks.write_text("a file where the folder was")
    clocks.pass_s(24.0)
    till.poll()
    assert "acknowledgement cannot be written" in till.trouble
    with till.writing("S001"):
        clocks.pass_s(2.0)
    with pytest.raises(Fenced), till.writing("S001"):
        pytest.fail("a write that nobody waits for")


def test_an_empty_place_where_the_share_was_is_no_acknowledgement(
    clocks: Clocks, path: Path, publish: Publish, tmp_path: Path
) -> None:
    """The share is unmounted, and what is left is an empty folder that can be written: nobody would read what is said there."""
    publish(planned())
    acks = tmp_path / "acks"
    till = Routes(path, acks, "till-1", lease_s=30.0, poll_s=20.0)
    acks.rename(tmp_path / "share")
    acks.mkdir()
    clocks.pass_s(26.0)
    till.poll()
    assert not any(acks.iterdir())
    with pytest.raises(Fenced, match="acknowledgement"), till.writing("S001"):
        pytest.fail("a write that nobody waits for")


def test_a_name_taken_by_another_process_is_given_up(till: Routes, publish: Publish, path: Path, tmp_path: Path) -> None:
    """Two processes under one name: the acknowledgement of one would be taken for the other's, whose write is still in flight."""
    with till.writing("S001") as write:
        publish(fenced(planned(), "S001"))
        successor = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)
        assert acked(tmp_path) == 0, "until the lease of the one before has lapsed, the name says what that one said"
        till.poll()
        with pytest.raises(Moved):
            write.still()
    assert acked(tmp_path) == 0
    with pytest.raises(Fenced, match="another process"), till.writing("S002"):
        pytest.fail("a write under a name that is somebody else's")
    with successor.writing("S002") as write:
        write.still()


def test_a_restart_under_the_same_name_acknowledges_after_one_lease(
    clocks: Clocks, path: Path, publish: Publish, tmp_path: Path
) -> None:
    publish(planned())
    Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)  # killed: it never closes
    publish(fenced(planned(), "S001"))
    again = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)
    assert acked(tmp_path) == 0
    clocks.pass_s(31.0)
    again.poll()
    assert acked(tmp_path) == 1


def test_leaving_takes_the_acknowledgement_along_unless_a_write_is_in_flight(
    path: Path, publish: Publish, tmp_path: Path
) -> None:
    """Left behind, it would be waited for until it lapses; taken along too early, its last write would not be waited for."""
    publish(planned())
    acks = tmp_path / "acks"
    with Routes(path, acks, "till-1") as till, till.writing("S001"):
        pass
    assert not list(acks.glob("*.json"))
    busy = Routes(path, acks, "till-2").start()
    with busy.writing("S001"):
        busy.close()
        assert (acks / "till-2.json").exists()


def test_without_a_folder_for_acknowledgements_there_is_no_lease(clocks: Clocks, path: Path, publish: Publish) -> None:
    publish(planned())
    till = Routes(path)
    clocks.pass_s(10_000.0)
    with till.writing("S001") as write:
        write.still()
