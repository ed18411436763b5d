"""Our flag file in the flagd provider of OpenFeature, in file mode: what an application asks for is what was published."""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrations.release.model import ReleaseState
from migrations.release.publish.publisher import Places, publish
from tests.unit.release.publish.states import fenced, moved, planned

PROVIDER = "openfeature.contrib.provider.flagd"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openfeature") is None or importlib.util.find_spec(PROVIDER) is None,
    reason="openfeature-provider-flagd is not installed",
)


@dataclass(frozen=True)
class Application:
    """One that asks the provider for routes."""

    client: Any

    def route(self, store: str) -> str:
        """Where a store is; "fenced" for one that is not known: nobody writes then."""
        return str(self.client.get_string_value(f"route.{store}", "fenced"))

    def comes_to(self, store: str, route: str) -> bool:
        """Whether the provider, which looks at the file by itself, says so within 10 s."""
        latest = time.monotonic() + 10.0
        while self.route(store) != route:
            if time.monotonic() > latest:
                return False
            time.sleep(0.02)
        return True


@pytest.fixture
def places(tmp_path: Path) -> Places:
    settings = Places(tmp_path / "routes.json", tmp_path / "flags.json")
    publish(planned(), settings)
    return settings


@pytest.fixture
def application(places: Places) -> Iterator[Application]:
    api = importlib.import_module("openfeature.api")
    flagd = importlib.import_module(PROVIDER)
    resolver = importlib.import_module(f"{PROVIDER}.config").ResolverType.FILE
    provider = flagd.FlagdProvider(resolver_type=resolver, offline_flag_source_path=str(places.flagd), deadline_ms=50)
    api.set_provider(provider, str(places.flagd))
    asking = Application(api.get_client(str(places.flagd)))
    assert asking.comes_to("S001", "legacy"), "the provider takes its first look in a thread of its own"
    yield asking
    api.shutdown()


def test_each_store_is_a_flag(application: Application) -> None:
    assert [application.route(store) for store in ("S001", "S003", "S999")] == ["legacy", "legacy", "fenced"]
    about = application.client.get_string_details("route.S001", "fenced")
    assert about.flag_metadata["epoch"] == 0
    assert about.flag_metadata["sequence"] == 0


def test_changes_arrive_even_when_they_follow_within_a_second(application: Application, places: Places) -> None:
    """The provider looks at the file's time alone: a second change that it missed would leave a store fenced, or not fenced."""
    states: list[tuple[ReleaseState, str]] = [(fenced(planned(), "S001"), "fenced"), (moved(planned(), "S001"), "tidb")]
    for state, route in states:
        publish(state, places)
        assert application.comes_to("S001", route)
    assert application.route("S002") == "legacy"


def test_a_change_arrives_although_the_clock_was_set_back(application: Application, places: Places) -> None:
    assert places.flagd is not None
    publish(fenced(planned(), "S001"), places)
    ahead = time.time() + 3_600
    os.utime(places.flagd, (ahead, ahead))
    assert application.comes_to("S001", "fenced")
    publish(moved(planned(), "S001"), places)
    assert application.comes_to("S001", "tidb")


def test_a_file_that_vanishes_leaves_the_last_routes(application: Application, places: Places) -> None:
    assert places.flagd is not None
    publish(moved(planned(), "S001"), places)
    assert application.comes_to("S001", "tidb")
    places.flagd.unlink()
    time.sleep(0.2)
    assert application.route("S001") == "tidb"
    publish(moved(moved(planned(), "S001"), "S002"), places)
    assert application.comes_to("S002", "tidb")


def test_thousands_of_stores_are_flags_without_rules(application: Application, places: Places) -> None:
    """One flag with a rule that lists 3,000 stores was 10 times slower at each evaluation: so there is a flag for each."""
    publish(planned(*(f"S{number:03}" for number in range(3_000))), places)
    assert application.comes_to("S2999", "legacy")
    assert application.client.get_string_details("route.S2999", "fenced").reason == "STATIC"
