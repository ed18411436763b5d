"""What is published where, what is refused, and what one place that fails does to the others."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, RefusedError
from migrations.release.client.routes import Routes
from migrations.release.model import ReleaseState
from migrations.release.plan import PublishSettings
from migrations.release.publish.atomic import PublishError, replace_file
from migrations.release.publish.flagd import flagd_version
from migrations.release.publish.haproxy import haproxy_version
from migrations.release.publish.publisher import PartlyPublished, Places, places_of, publish
from migrations.release.publish.routes_map import EmptyMap, read_published
from tests.unit.release.publish.states import fenced, moved, planned


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "routes.json", tmp_path / "flags.json", tmp_path / "stores.map")


def texts(places: Places) -> dict[str, bytes]:
    """What stands where."""
    return {path.name: path.read_bytes() for path in places.routes.parent.iterdir() if not path.name.startswith(".")}


def test_all_places_say_the_same(places: Places) -> None:
    """A proxy that sends a store one way and a till that writes the other would be two owners of one store."""
    published = publish(fenced(moved(planned(), "S002"), "S001"), places)
    found = json.loads(places.routes.read_bytes())
    routes = {store: entry["route"] for store, entry in found["stores"].items()}
    assert routes == {"S001": "fenced", "S002": "tidb", "S003": "legacy"}
    assert found["stores"]["S001"] == {"epoch": 3, "route": "fenced", "reads": "legacy"}
    assert (found["format"], found["sequence"], found["release"]) == (1, 3, "autumn")
    assert places.flagd is not None
    flags = json.loads(places.flagd.read_bytes())["flags"]
    assert {key: flag["variants"][flag["defaultVariant"]] for key, flag in flags.items()} == {
        f"route.{store}": route for store, route in routes.items()
    }
    assert places.haproxy_map is not None
    lines = [line.split() for line in places.haproxy_map.read_text().splitlines() if not line.startswith("#")]
    assert dict(lines) == routes
    assert flagd_version(places.flagd) == haproxy_version(places.haproxy_map) == (3, published.map.digest)


def test_the_second_line_is_what_the_digest_is_of(places: Places) -> None:
    """docs/routes.md promises it to clients in other languages."""
    publish(moved(planned(), "S002"), places)
    line = places.routes.read_bytes().split(b"\n")[1]
    assert hashlib.sha256(line).hexdigest() == json.loads(places.routes.read_bytes())["digest"]


def test_publishing_again_changes_nothing(places: Places) -> None:
    """A controller publishes at each start; every reader would load 3,000 stores again for nothing."""
    publish(planned(), places)
    before = {path: path.stat() for path in places.routes.parent.iterdir()}
    again = publish(planned(), places)
    assert not again.changed
    assert {path: path.stat() for path in places.routes.parent.iterdir()} == before


@pytest.mark.parametrize("name", ["routes.json", "flags.json", "stores.map"])
@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_what_was_damaged_is_put_right(places: Places, name: str, damage: bytes | None) -> None:
    """Somebody edited, cut or removed one of the files: publishing the same map again has to notice."""
    publish(planned(), places)
    whole, path = texts(places), places.routes.parent / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(whole[name][:-10] if damage == b"half" else damage)
    assert publish(planned(), places).changed
    after = texts(places)
    assert {key: text for key, text in after.items() if key != "routes.json"} == {
        key: text for key, text in whole.items() if key != "routes.json"
    }
    assert read_published(places.routes) is not None


def test_an_empty_map_is_never_published(places: Places) -> None:
    publish(planned(), places)
    before = texts(places)
    with pytest.raises(EmptyMap):
        publish(ReleaseState(sequence=9), places)
    assert texts(places) == before


@pytest.mark.parametrize("left", ["routes.json", "flags.json", "stores.map"])
def test_a_later_map_of_somebody_else_is_never_covered_up(places: Places, left: str) -> None:
    """A controller that slept through its lease wakes up with yesterday's map: stores would go back to a side they have left."""
    publish(moved(planned(), "S001"), places)
    for path in places.routes.parent.iterdir():
        if path.name != left:
            path.unlink()
    before = texts(places)
    with pytest.raises(RefusedError, match="holds map 2, later than 1"):
        publish(fenced(planned(), "S001"), places)
    assert texts(places) == before


def test_another_map_of_the_same_sequence_is_refused(places: Places) -> None:
    """Two state folders publish to one place."""
    publish(fenced(planned(), "S001"), places)
    with pytest.raises(RefusedError, match="another map 1"):
        publish(fenced(planned(), "S002"), places)


def test_a_release_that_only_knows_more_stores_goes_out(places: Places) -> None:
    """A new store opened between two releases: nothing has moved, so the sequence is the same."""
    publish(planned("S001"), places)
    assert publish(planned("S001", "S002"), places).changed
    with pytest.raises(RefusedError):
        publish(planned("S001"), places)


def test_times_grow_by_whole_seconds(places: Places) -> None:
    """Readers that compare times in seconds, as some flag providers do, would miss the second of two quick changes: a fence, say.
    So they would after the clock was set back."""
    publish(planned(), places)
    ahead = places.routes.stat().st_mtime + 7_200
    os.utime(places.routes, (ahead, ahead))
    times = [int(ahead)]
    for state in (fenced(planned(), "S001"), moved(planned(), "S001"), moved(moved(planned(), "S001"), "S002")):
        publish(state, places)
        times.append(int(places.routes.stat().st_mtime))
    assert all(later > earlier for earlier, later in pairwise(times))


def test_a_file_that_vanished_comes_back_with_a_later_time(places: Places) -> None:
    """The flagd provider looks at the time alone, and remembers it over an absence: it would never read the file again."""
    publish(planned(), places)
    publish(fenced(planned(), "S001"), places)
    before = places.routes.stat().st_mtime_ns
    for path in (places.routes, places.flagd, places.haproxy_map):
        assert path is not None
        path.unlink()
    publish(moved(planned(), "S001"), places)
    assert places.routes.stat().st_mtime_ns > before


def test_one_place_that_fails_keeps_the_map_from_no_other(places: Places) -> None:
    """TiDB is down and the stores go back; a flag folder that is full must not keep the tills where they are."""
    broken = replace(places, flagd=places.routes.parent / "no folder" / "flags.json")
    with pytest.raises(PartlyPublished, match="does not exist") as caught:
        publish(fenced(planned(), "S001"), broken)
    assert caught.value.routes_out
    assert [output.kind for output in caught.value.published.outputs] == ["routes", "haproxy map"]
    assert set(texts(places)) == {"routes.json", "stores.map"}


def test_a_store_that_haproxy_would_read_otherwise_is_named(places: Places) -> None:
    """ "S 1 tidb" is the store S with the route "1 tidb"."""
    with pytest.raises(PartlyPublished, match="'S 1'"):
        publish(planned("S 1"), places)
    with pytest.raises(ConfigurationError, match="haproxy_map"):
        publish(planned(), Places(places.routes, haproxy_sockets=("/nowhere",)))


def test_a_socket_without_haproxy_is_named_and_the_file_is_written(places: Places) -> None:
    with pytest.raises(PartlyPublished, match="cannot be reached") as caught:
        publish(planned(), replace(places, haproxy_sockets=(str(places.routes.parent / "none.sock"),)))
    assert len(caught.value.published.outputs) == 3


def test_rights_are_kept_and_applications_of_other_users_may_read(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    mask = os.umask(0o077)
    try:
        replace_file(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o640)
        replace_file(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(mask)


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Replaced by a file, what it pointed to would never change again, and applications read that."""
    (tmp_path / "real").mkdir()
    (tmp_path / "routes.json").symlink_to(tmp_path / "real" / "routes.json")
    replace_file(tmp_path / "routes.json", b"1")
    assert (tmp_path / "routes.json").is_symlink()
    assert (tmp_path / "real" / "routes.json").read_bytes() == b"1"


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "routes.json").mkdir()
    with pytest.raises(PublishError, match="is a folder"):
        replace_file(tmp_path / "routes.json", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["routes.json"]


def test_a_disk_without_room_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """By a limit on the size of files, which the file system enforces just as it does the size of a disk."""
    path = tmp_path / "routes.json"
    replace_file(path, b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from migrations.release.publish.atomic import PublishError, replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: replace_file(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except PublishError as error: sys.exit(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert "disk is full" in done.stderr, done.stderr
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["routes.json"]


def test_what_a_killed_publisher_left_is_taken_away(tmp_path: Path) -> None:
    """A controller that is killed again and again would fill the disk with halves of maps."""
    old, fresh, other = (tmp_path / f".{name}.partial" for name in ("routes.json.1.aa", "routes.json.2.bb", "flags.json.1.cc"))
    for path in (old, fresh, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1, 1))
    replace_file(tmp_path / "routes.json", b"1")
    assert [path.exists() for path in (old, fresh, other)] == [False, True, True]


def test_the_folder_for_acknowledgements_is_ready_before_the_first_map(tmp_path: Path) -> None:
    """Without the mark in it no application may write."""
    places = Places(tmp_path / "routes.json", acks=tmp_path / "acks")
    assert [output.kind for output in publish(planned(), places).outputs] == ["acknowledgements", "routes"]
    with Routes(places.routes, places.acks, "till-1") as till, till.writing("S001") as write:
        write.still()
    assert not publish(planned(), places).changed


def test_a_plan_names_the_places_beside_itself(tmp_path: Path) -> None:
    """Relative to wherever a command happens to run, two commands would publish two maps."""
    plan = PublishSettings(flagd=Path("f.json"), haproxy_map=Path("/etc/stores.map"), haproxy_socket="run/admin.sock")
    assert places_of(plan, tmp_path) == Places(
        tmp_path / "routes.json",
        tmp_path / "f.json",
        Path("/etc/stores.map"),
        (str(tmp_path / "run/admin.sock"),),
        acks=tmp_path / "acks",
    )
    assert places_of(PublishSettings(acknowledge="none"), tmp_path).acks is None
    assert places_of(PublishSettings(haproxy_socket="lb:9999"), tmp_path).haproxy_sockets == ("lb:9999",)


def test_a_damaged_map_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    assert read_published(path) is None
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="cut short"):
        read_published(path)


def test_another_publisher_is_waited_for(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking at what is out and writing, somebody else's later map would be covered up by this one."""
    import fcntl

    monkeypatch.setattr("migrations.release.publish.publisher.LOCK_S", 0.05)
    publish(planned(), places)
    with places.routes.with_name(".routes.json.lock").open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PublishError, match="Another process"):
            publish(fenced(planned(), "S001"), places)
    assert publish(fenced(planned(), "S001"), places).changed
