"""Which stores move when: every store at most once, the same plan always the same waves, mistakes named with the nearest code."""

from __future__ import annotations

import random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from etl.errors import ConfigurationError
from migrations.release.plan import WaveSettings
from migrations.release.waves import Store, Waves, assign_waves

CODES = [f"S{number}" for number in range(1, 31)]
REGIONS = ("north", "south", "")
STORES = tuple(Store(code, REGIONS[number % 3]) for number, code in enumerate(CODES))

ways = st.one_of(
    st.builds(lambda codes: {"stores": codes}, st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True)),
    st.builds(lambda count: {"count": count}, st.integers(1, 40)),
    st.builds(lambda share: {"share": share}, st.sampled_from([0.01, 0.1, 0.35, 1.0])),
    st.builds(lambda region: {"region": region}, st.sampled_from(["north", "south"])),
    st.builds(lambda codes: {"query": "SELECT", "asked": codes}, st.lists(st.sampled_from(CODES), max_size=8, unique=True)),
)


def build(drawn: list[dict[str, Any]]) -> tuple[list[WaveSettings], dict[int, list[str]]]:
    """Waves, and what their queries return."""
    asked = {number: way["asked"] for number, way in enumerate(drawn) if "asked" in way}
    waves = [
        WaveSettings(name=f"w{number}", **{key: value for key, value in way.items() if key != "asked"})
        for number, way in enumerate(drawn)
    ]
    return waves, asked


@given(st.lists(ways, min_size=1, max_size=6), st.sets(st.sampled_from(CODES), max_size=3))
@settings(max_examples=300, deadline=None)
def test_every_store_at_most_once_and_none_forgotten(drawn: list[dict[str, Any]], moved: set[str]) -> None:
    """What a bug would cost: a store switched twice, or one that stays behind without anybody knowing."""
    waves, asked = build(drawn)
    try:
        found = assign_waves(waves, STORES, asked, moved)
    except ConfigurationError:
        return
    placed = [code for wave in found.waves for code in wave]
    assert len(placed) == len(set(placed))
    assert sorted([*placed, *found.left, *moved]) == sorted(CODES)
    assert all(found.waves)
    for wave, codes in zip(waves, found.waves, strict=True):
        if wave.stores:
            assert codes == wave.stores
        if wave.region:
            assert {store.region for store in STORES if store.code in codes} == {wave.region}
    again = assign_waves(waves, STORES, asked, set(moved))
    assert again == found


def test_a_named_store_is_kept_for_its_wave() -> None:
    """What a bug would cost: the pilot's store goes with the crowd, because the crowd's wave stands first."""
    waves = [WaveSettings(name="a", count=3), WaveSettings(name="b", stores=("S2",)), WaveSettings(name="c", share=1.0)]
    assert assign_waves(waves, STORES[:5], {}) == Waves((("S1", "S3", "S4"), ("S2",), ("S5",)))


def test_a_share_is_of_all_stores_and_rounded_up() -> None:
    waves = [WaveSettings(name="a", share=0.1), WaveSettings(name="b", share=0.1)]
    assert [len(wave) for wave in assign_waves(waves, STORES, {}).waves] == [3, 3]
    assert [len(wave) for wave in assign_waves(waves, STORES[:11], {}).waves] == [2, 2]


@pytest.mark.parametrize(
    ("waves", "message", "remedy"),
    [
        ([WaveSettings(name="a", stores=("S301",))], "'S301' that the target does not", "'S30'"),
        ([WaveSettings(name="a", stores=("X",))], "'X'", "30 stores"),
        (
            [WaveSettings(name="a", stores=("S1",)), WaveSettings(name="b", stores=("S1",))],
            "in 'a' and in 'b'",
            "'b' is the later",
        ),
        ([WaveSettings(name="a", stores=("S1", "S1"))], "twice in wave 'a'", ""),
        ([WaveSettings(name="a", stores=("S9",))], "on TiDB already", "Remove"),
        ([WaveSettings(name="a", share=1.0), WaveSettings(name="b", count=1)], "left for wave 'b'", "earlier"),
        ([WaveSettings(name="a", region="nort")], "no store is in 'nort'", "'north'"),
        ([WaveSettings(name="a", query="SELECT")], "'S31'", "'S3"),
    ],
)
def test_a_mistake_is_refused_with_a_remedy(waves: list[WaveSettings], message: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        assign_waves(waves, STORES, {0: ["S1", "S31"]}, {"S9"})
    assert message in caught.value.message
    assert remedy in caught.value.remedy


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_plan_decides_not_that_of_the_server(shuffle: random.Random) -> None:
    """Wave by count, from stores that the server gave in the order of [stores]; a query's order is its own."""
    codes = list(CODES)
    shuffle.shuffle(codes)
    found = assign_waves([WaveSettings(name="a", query="SELECT")], STORES, {0: codes})
    assert found.waves == (tuple(codes),)
