"""Which snapshots may go: never the one that a store on its way would be brought back from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from migrations.release.event_log import open_event_log
from migrations.release.events import Planned, Started, SwitchBegun, WaveBegun
from migrations.release.model import Route
from migrations.release.snapshots.listing import Listed
from migrations.release.snapshots.prune import choose, known_routes, stores_under_way

NOW = datetime(2026, 11, 23, tzinfo=UTC)
STORES = ("S001", "S002", "S003")


def listed(age_h: int, stores: tuple[str, ...]) -> Listed:
    """A snapshot of that age."""
    return Listed(f"{age_h}", NOW - timedelta(hours=age_h), stores, 1, 1, False, False, "", "", "")


snapshots = st.lists(
    st.tuples(st.integers(0, 100), st.sets(st.sampled_from(STORES), min_size=1).map(lambda some: tuple(sorted(some)))),
    unique_by=lambda pair: pair[0],
    max_size=12,
).map(lambda pairs: [listed(age, stores) for age, stores in sorted(pairs)])


@given(found=snapshots, days=st.integers(0, 4), count=st.integers(0, 3), moving=st.sets(st.sampled_from(STORES)))
def test_what_has_to_stay_stays(found: list[Listed], days: int, count: int, moving: set[str]) -> None:
    before = NOW - timedelta(days=days)
    old = choose(found, before, count, moving)
    kept = [one for one in found if one not in old]
    assert all(one.taken_at < before for one in old)
    for store in STORES:
        of_store = [one for one in found if store in one.stores]
        assert of_store[:count] == [one for one in kept if store in one.stores][:count]
        if store in moving and of_store:
            assert of_store[0] in kept


def test_old_and_many_go() -> None:
    found = [listed(age, ("S001",)) for age in (1, 30, 60, 90)]
    assert [one.id for one in choose(found, NOW - timedelta(hours=24), 2, ())] == ["60", "90"]


def test_one_shared_by_two_stores_stays_while_either_needs_it() -> None:
    found = [listed(1, ("S001",)), listed(50, ("S001", "S002"))]
    assert choose(found, NOW - timedelta(hours=24), 1, ()) == []


def test_stores_between_both_databases_are_known_from_the_log_of_the_release(tmp_path: Path) -> None:
    assert (stores_under_way(tmp_path), known_routes(tmp_path)) == (frozenset(), {})
    routes = {"S001": Route.LEGACY, "S002": Route.LEGACY, "S003": Route.TIDB}
    with open_event_log(tmp_path) as log:
        log.append(Planned("autumn", (("S001",), ("S002",)), routes))
        log.append(Started())
        log.take_lease("test")
        log.append(WaveBegun(0))
        log.append(SwitchBegun(("S001",), Route.TIDB))
    assert stores_under_way(tmp_path) == {"S001", "S003"}
    assert known_routes(tmp_path) == {"S001": Route.LEGACY, "S002": Route.LEGACY}, "S003 is in no wave of it"
