"""A published map, and an application instance that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrations.release.acks import prepare_acks
from migrations.release.client.routes import Routes
from migrations.release.model import ReleaseState
from migrations.release.publish.atomic import replace_file
from migrations.release.publish.routes_map import map_of, text_of
from tests.unit.release.publish.states import planned

Publish = Callable[[ReleaseState], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routes.json"


@pytest.fixture
def publish(path: Path) -> Publish:
    prepare_acks(path.parent / "acks")
    return lambda state: replace_file(path, text_of(map_of(state)))


@pytest.fixture
def till(path: Path, publish: Publish, tmp_path: Path) -> Iterator[Routes]:
    """An instance that polls only when the test says so, on map 0."""
    publish(planned())
    routes = Routes(path, tmp_path / "acks", "till-1", lease_s=30.0, poll_s=20.0)
    yield routes
    routes.close()


def acked(tmp_path: Path, instance: str = "till-1") -> int:
    """The sequence that an instance has acknowledged."""
    found: int = json.loads((tmp_path / "acks" / f"{instance}.json").read_text())["sequence"]
    return found
