"""The map in a real HAProxy: what it answers to requests is what was published, without a reload and without a gap."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from migrations.release.model import Route
from migrations.release.publish.haproxy import HAProxyError, ask, show_map, update_haproxy
from migrations.release.publish.publisher import PartlyPublished, Places, publish
from migrations.release.publish.routes_map import map_of
from tests.integration.release.publish.haproxy_server import HAProxy, relay, run_haproxy
from tests.unit.release.publish.states import fenced, moved, planned

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None and not Path("/usr/sbin/haproxy").exists(), reason="haproxy is not installed"
)

MANY = tuple(f"S{number:04}" for number in range(3_000))


@pytest.fixture
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HAProxy]:
    """One that was started on map 0: all stores on the legacy side."""
    folder = tmp_path_factory.mktemp("ha")
    publish(planned(), Places(folder / "routes.json", haproxy_map=folder / "stores.map"))
    with run_haproxy(folder) as running:
        yield running


@pytest.fixture
def places(haproxy: HAProxy) -> Places:
    return Places(haproxy.folder / "routes.json", haproxy_map=haproxy.map, haproxy_sockets=(haproxy.socket,))


def test_it_starts_on_the_file_that_was_published(haproxy: HAProxy, places: Places) -> None:
    """The comment at its head must not become an entry, and nothing is left to do."""
    assert [haproxy.where(store) for store in ("S001", "S003", "S999", "#")] == ["legacy", "legacy", "nowhere", "nowhere"]
    assert not publish(planned(), places).changed


def test_a_store_that_moves_is_routed_anew_without_a_reload(haproxy: HAProxy, places: Places) -> None:
    done = publish(fenced(planned(), "S001"), places)
    assert done.outputs[-1].how == "1 entries changed"
    assert [haproxy.where(store) for store in ("S001", "S002")] == ["fenced", "legacy"]
    publish(moved(planned(), "S001"), places)
    assert haproxy.where("S001") == "tidb"


def test_stores_that_move_together_change_in_one_transaction(haproxy: HAProxy, places: Places) -> None:
    done = publish(moved(planned(), "S001", "S002"), places)
    assert done.outputs[-1].how == "replaced in one transaction"
    assert [haproxy.where(store) for store in ("S001", "S002", "S003")] == ["tidb", "tidb", "legacy"]
    assert not publish(moved(planned(), "S001", "S002"), places).changed


def test_what_somebody_did_by_hand_is_put_right(haproxy: HAProxy, places: Places) -> None:
    """A key twice, one gone, one too many, one changed: a store would be routed by a map that nobody published."""
    for command in ("add map {} S001 tidb", "del map {} S002", "add map {} S777 tidb", "set map {} S003 tidb"):
        ask(haproxy.socket, command.format(haproxy.map))
    assert publish(planned(), places).changed
    assert sorted(show_map(haproxy.socket, str(haproxy.map))) == [(store, "legacy") for store in ("S001", "S002", "S003")]


def test_a_transaction_that_was_begun_and_never_ended_does_no_harm(haproxy: HAProxy, places: Places) -> None:
    """The publisher was killed between prepare and commit."""
    ask(haproxy.socket, f"prepare map {haproxy.map}")
    ask(haproxy.socket, f"add map @1 {haproxy.map} <<\nS001 tidb\n")
    assert haproxy.where("S001") == "legacy"
    publish(moved(planned(), "S002", "S003"), places)
    assert [haproxy.where(store) for store in ("S001", "S002", "S003")] == ["legacy", "tidb", "tidb"]


def without_versions(command: str, real: Callable[[str], str]) -> str:
    """HAProxy before 2.4: it knows neither versions nor a payload."""
    return "Unknown command: 'prepare'\n\n" if command.startswith(("prepare", "commit")) else real(command)


def test_an_old_haproxy_is_changed_entry_by_entry(haproxy: HAProxy, places: Places) -> None:
    ask(haproxy.socket, f"add map {haproxy.map} S777 tidb")
    state = fenced(moved(planned("S001", "S002", "S003", "S004"), "S003"), "S001", "S002")
    with relay(haproxy, without_versions) as old:
        done = publish(state, replace(places, haproxy_sockets=(old,)))
    assert done.outputs[-1].how == "5 entries changed"
    stores = ("S001", "S002", "S003", "S004", "S777")
    assert [haproxy.where(store) for store in stores] == ["fenced", "fenced", "tidb", "legacy", "nowhere"]


def test_a_map_that_is_not_as_published_afterwards_is_an_error(haproxy: HAProxy, places: Places) -> None:
    """Somebody else's script writes to the same map: without reading it back, the switch would go on."""

    def meddled(command: str, real: Callable[[str], str]) -> str:
        answer = real(command)
        if command.startswith("commit"):
            real(f"set map {haproxy.map} S003 tidb\n")
        return answer

    with relay(haproxy, meddled) as busy, pytest.raises(PartlyPublished, match="1 entries") as caught:
        publish(moved(planned(), "S001", "S002"), replace(places, haproxy_sockets=(busy,)))
    assert caught.value.routes_out


def test_a_change_that_haproxy_refuses_is_told_with_its_words(haproxy: HAProxy, places: Places) -> None:
    def full(command: str, real: Callable[[str], str]) -> str:
        return "Out of memory error.\n\n" if command.startswith("set map") else real(command)

    with relay(haproxy, full) as refusing, pytest.raises(PartlyPublished, match="Out of memory"):
        publish(fenced(planned(), "S001"), replace(places, haproxy_sockets=(refusing,)))


def test_a_map_that_haproxy_does_not_know_is_named(haproxy: HAProxy) -> None:
    with pytest.raises(HAProxyError, match="has no map /etc/other"):
        update_haproxy(haproxy.socket, "/etc/other.map", map_of(planned()))


def test_thousands_of_stores_change_without_a_request_that_finds_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A map that is emptied and filled again sends whoever asks in between to the default: stores of both sides, to one."""
    folder = tmp_path_factory.mktemp("many")
    places = Places(folder / "routes.json", haproxy_map=folder / "stores.map", haproxy_sockets=(str(folder / "run"),))
    legacy = planned(*MANY)
    publish(legacy, replace(places, haproxy_sockets=()))
    with run_haproxy(folder) as haproxy:
        stop, seen = threading.Event(), list[str]()

        def shop() -> None:
            while not stop.is_set():
                seen.append(haproxy.where(MANY[-1]))

        shopper = threading.Thread(target=shop)
        shopper.start()
        state = legacy
        try:
            for to in (Route.TIDB, Route.LEGACY, Route.TIDB):
                state = moved(state, *MANY, to=to)
                publish(state, places)
        finally:
            stop.set()
            shopper.join()
        assert haproxy.where(MANY[0]) == haproxy.where(MANY[-1]) == "tidb"
        assert set(seen) <= {"legacy", "tidb"}
        assert len(seen) > 3
