"""The applications' client: what it does when the map vanishes, lies or moves, and when it may say that it has taken it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from migrations.release.client import routes as client
from migrations.release.client.routes import Fenced, Moved, Routes, digest_of
from migrations.release.model import Route
from migrations.release.publish.atomic import replace_file
from migrations.release.publish.routes_map import map_of, text_of
from tests.unit.release.publish.conftest import Publish, acked
from tests.unit.release.publish.states import fenced, moved, planned


def test_a_write_gets_the_side_of_its_store(till: Routes, publish: Publish) -> None:
    publish(moved(planned(), "S001"))
    with till.writing("S001") as one, till.writing("S002") as two:
        assert (one.side, one.route, two.side) == ("tidb", "tidb", "legacy")
        one.still()
        two.still()


def test_a_fenced_store_takes_no_write_and_still_answers_reads(till: Routes, publish: Publish, path: Path) -> None:
    """A write let through behind the fence would be on the old side only; reads that failed would be an outage for nothing."""
    publish(fenced(planned(), "S001"))
    with pytest.raises(Fenced, match="S001"), till.writing("S001"):
        pytest.fail("a fenced store was written to")
    assert till.reads("S001") == "legacy"
    publish(fenced(moved(planned(), "S001"), "S001", to=Route.LEGACY))
    assert till.reads("S001") == "tidb"
    assert Routes(path).reads("S001") == "tidb", "an instance that starts during the fence has to know it too"


def test_an_unknown_store_takes_no_write(till: Routes) -> None:
    with pytest.raises(Fenced, match="S999"), till.writing("S999"):
        pytest.fail("a store without a route was written to")


def test_a_store_that_moved_during_the_write_stops_it_before_its_commit(till: Routes, publish: Publish) -> None:
    """The sale would be committed on the side that the store has left, after the reconciliation: lost."""
    with till.writing("S001") as write, till.writing("S002") as other:
        publish(fenced(planned(), "S001"))
        with pytest.raises(Moved, match="S001"):
            write.still()
        other.still()


def test_there_and_back_again_is_a_move_too(till: Routes, publish: Publish) -> None:
    """The route is the same word again, but in between the other side took writes that this transaction has not seen."""
    with till.writing("S001") as write:
        publish(moved(moved(planned(), "S001"), "S001", to=Route.LEGACY))
        with pytest.raises(Moved):
            write.still()


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def damage_emptied(path: Path) -> None:
    path.write_bytes(b"")


def damage_no_stores(path: Path) -> None:
    path.write_text(json.dumps({"format": 1, "sequence": 9, "stores": {}, "digest": digest_of({})}))


def damage_digest(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"route":"tidb"', b'"route":"legacy"'))


def damage_backward(path: Path) -> None:
    replace_file(path, text_of(map_of(planned())))


def damage_format(path: Path) -> None:
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


def damage_word(path: Path) -> None:
    stores = {"S001": {"epoch": 0, "route": "moon"}}
    path.write_text(json.dumps({"format": 1, "sequence": 9, "stores": stores, "digest": digest_of(stores)}))


def damage_nested(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_cut, "cut short"),
        (damage_emptied, "cut short"),
        (damage_no_stores, "empty"),
        (damage_digest, "digest"),
        (damage_backward, "backwards: 0 after 2"),
        (damage_format, "format"),
        (damage_word, "no route"),
        (damage_nested, "cut short"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_whatever_becomes_of_the_file_the_last_good_map_stays(
    till: Routes, publish: Publish, path: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    """A till that believed a bad map would write to the side that its store has left, or stop for no reason."""
    publish(moved(planned(), "S001"))
    till.poll()
    whole = path.read_bytes()
    damage(path)
    till.poll()
    assert reason in till.trouble
    assert till.sequence == 2
    with till.writing("S001") as write:
        assert write.side == "tidb"
        write.still()
    assert reason in json.loads((tmp_path / "acks" / "till-1.json").read_text())["trouble"], "nobody would be told"
    path.write_bytes(whole)
    till.poll()
    assert till.trouble == ""


def test_a_second_map_of_the_same_sequence_is_not_believed(till: Routes, publish: Publish) -> None:
    """Two state folders publish to one place: following whichever wrote last, a store would swing between two databases."""
    publish(fenced(planned(), "S001"))
    till.poll()
    publish(fenced(planned(), "S002"))
    till.poll()
    assert "two maps of sequence 1" in till.trouble
    assert till.stores()["S001"].route == "fenced"


def test_an_instance_that_starts_without_a_map_writes_nothing(path: Path, tmp_path: Path) -> None:
    routes = Routes(path, tmp_path / "acks", "till-1")
    with pytest.raises(Fenced, match="no map"), routes.writing("S001"):
        pytest.fail("a write without any map")


def test_an_instance_that_starts_on_a_map_put_back_from_a_backup_does_not_believe_it(
    till: Routes, publish: Publish, path: Path, tmp_path: Path
) -> None:
    """It remembers nothing itself, but the others have acknowledged a later map: S001 is on TiDB by now."""
    publish(moved(planned(), "S001"))
    till.poll()
    publish(planned())
    late = Routes(path, tmp_path / "acks", "till-2")
    with pytest.raises(Fenced, match="backwards"), late.writing("S001"):
        pytest.fail("a write by an old map")


def test_a_map_is_acknowledged_at_once(till: Routes, publish: Publish, tmp_path: Path) -> None:
    """Every second until then the stores stand still."""
    assert acked(tmp_path) == 0
    publish(fenced(planned(), "S001"))
    with till.writing("S002"):
        assert acked(tmp_path) == 1


def test_a_write_in_flight_under_the_old_route_holds_the_acknowledgement_back(
    till: Routes, publish: Publish, tmp_path: Path
) -> None:
    """Acknowledged too early, the store would be drained and reconciled before this write's COMMIT: a sale on the wrong side."""
    with till.writing("S001"):
        publish(fenced(planned(), "S001"))
        till.poll()
        assert acked(tmp_path) == 0
        assert json.loads((tmp_path / "acks" / "till-1.json").read_text())["in_flight"] == 1
    assert acked(tmp_path) == 1, "and it goes out the moment that write ends"


def test_a_write_in_flight_of_a_store_that_stays_holds_nothing_back(till: Routes, publish: Publish, tmp_path: Path) -> None:
    with till.writing("S002"):
        publish(fenced(planned(), "S001"))
        till.poll()
        assert acked(tmp_path) == 1


def test_a_write_that_failed_is_in_flight_no_more(till: Routes, publish: Publish, tmp_path: Path) -> None:
    """Counted for ever, it would hold back every acknowledgement of this instance from then on."""
    with pytest.raises(ZeroDivisionError), till.writing("S001"):
        raise ZeroDivisionError
    publish(fenced(planned(), "S001"))
    till.poll()
    assert acked(tmp_path) == 1


def test_two_writes_of_a_store_hold_back_until_both_have_ended(till: Routes, publish: Publish, tmp_path: Path) -> None:
    first, second = till.writing("S001"), till.writing("S001")
    first.__enter__()
    second.__enter__()
    publish(fenced(planned(), "S001"))
    till.poll()
    first.__exit__(None, None, None)
    assert acked(tmp_path) == 0
    second.__exit__(None, None, None)
    assert acked(tmp_path) == 1


def test_a_thread_takes_new_maps_without_any_traffic(path: Path, publish: Publish, tmp_path: Path) -> None:
    """At night nobody sells, and a store is moved at night."""
    publish(planned())
    with Routes(path, tmp_path / "acks", "till-1", poll_s=0.02) as till:
        publish(fenced(planned(), "S001"))
        deadline = threading.Event()
        for _ in range(500):
            if acked(tmp_path) == 1:
                break
            deadline.wait(0.02)
        assert acked(tmp_path) == 1
        assert till.sequence == 1


def test_many_threads_never_acknowledge_over_a_write_of_one_of_them(path: Path, publish: Publish, tmp_path: Path) -> None:
    """The property that everything rests on, under real threads: an acknowledged map has no older write behind it."""
    state = planned()
    publish(state)
    routes = Routes(path, tmp_path / "acks", "till-1", poll_s=0.001).start()
    stop, lock = threading.Event(), threading.Lock()
    open_writes: dict[str, int] = {}
    too_early = 0

    def sell(store: str) -> None:
        while not stop.is_set():
            try:
                with routes.writing(store) as write:
                    with lock:
                        open_writes[store] = write.epoch
                    try:
                        write.still()
                    finally:
                        with lock:
                            del open_writes[store]
            except (Fenced, Moved):
                continue

    threads = [threading.Thread(target=sell, args=(store,)) for store in state.stores]
    for thread in threads:
        thread.start()
    for turn in range(30):
        state = moved(state, "S001", to=Route.TIDB if turn % 2 == 0 else Route.LEGACY)
        publish(state)
        for _ in range(2_000):
            seen = acked(tmp_path)
            with lock:
                too_early += open_writes.get("S001", state.sequence) < state.stores["S001"].epoch <= seen
            if seen == state.sequence:
                break
            stop.wait(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert acked(tmp_path) == state.sequence
    assert too_early == 0
    routes.close()


def test_after_a_fork_they_are_refused(till: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child would acknowledge under its parent's name, and have no thread that polls."""
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="fork"), till.writing("S001"):
        pytest.fail("a child of a fork wrote")


@pytest.mark.parametrize("name", ["../till", "a/b", "", " ", "ü", "." * 3])
def test_a_name_that_leaves_the_folder_is_refused(path: Path, tmp_path: Path, name: str) -> None:
    if not name:
        assert Routes(path, tmp_path / "acks").instance
        return
    with pytest.raises(ValueError, match="name of an instance"):
        Routes(path, tmp_path / "acks", name)


def test_a_lease_that_lapses_between_two_polls_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="poll_s"):
        Routes(path, poll_s=28.0, lease_s=30.0)


def test_a_copy_of_the_file_works_alone(path: Path, publish: Publish, tmp_path: Path) -> None:
    """Applications copy it as it is, into processes that have nothing else of ours and no packages."""
    publish(planned())
    (tmp_path / "copied.py").write_bytes(Path(client.__file__).read_bytes())
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import copied; print(copied.Routes({str(path)!r}).reads('S001'))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "legacy\n"
