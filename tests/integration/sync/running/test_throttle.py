"""Sync holds back while it is told to, says why, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.settings import ThrottleSettings
from etl.sync.status import read_status
from etl.sync.throttle import THROTTLED
from etl.sync.throttle_probes import LOAD, SOURCE_LATENCY, ReplicaProbe, SourceProbe
from tests.integration.sync.running.support import READER, Shop, until


@pytest.fixture
def file(shop: Shop) -> Iterator[Path]:
    """The file that holds sync back, there."""
    path = shop.settings.state_dir / "throttle"
    path.write_text("")
    yield path
    path.unlink(missing_ok=True)


def test_a_file_holds_every_stream_until_it_is_gone(shop: Shop, file: Path) -> None:
    member = shop.a_member()
    with shop.running() as stats:
        name = shop.rename_on_legacy(member)
        until(lambda: all(view.waiting == f"{THROTTLED}file throttle" for view in stats.views()))
        time.sleep(1.0)
        assert shop.name_of(member) != name
        until(lambda: (beat := read_status(shop.settings).heartbeat) is not None and beat.throttle == "file throttle")
        told = read_status(shop.settings).heartbeat
        assert told is not None
        assert {stream.waiting for stream in told.streams} == {f"{THROTTLED}file throttle"}
        file.unlink()
        until(lambda: shop.name_of(member) == name)
        assert all(view.throttled_s >= 1.0 for view in stats.views())
    ended = read_status(shop.settings)
    assert ended.process == "ended"
    assert not ended.missing


def test_a_percentage_slows_down_and_does_not_stop(shop: Shop, file: Path) -> None:
    member = shop.a_member()
    file.write_text("20 %\n")
    with shop.running() as stats:
        name = shop.rename_on_legacy(member)
        until(lambda: shop.name_of(member) == name)
        assert stats.speed == 0.2
        until(lambda: any(view.throttled_s > 0 for view in stats.views()))


def test_the_lag_of_replicas_holds_it_until_they_are_well_below(shop: Shop) -> None:
    shop.target.execute("CREATE TABLE told_lag (seconds INT NULL)")
    shop.target.execute("INSERT INTO told_lag VALUES (60)")
    throttle = ThrottleSettings(lag_query="SELECT seconds FROM told_lag", max_lag_s=10, every_s=0.1)
    member = shop.a_member()
    try:
        with shop.running(shop.with_sync(throttle=throttle)) as stats:
            until(lambda: stats.throttle == "replication lag 60 s > 10 s")
            name = shop.rename_on_legacy(member)
            shop.target.execute("UPDATE told_lag SET seconds = 9")  # near the limit: not yet
            time.sleep(0.6)
            assert stats.throttle
            shop.target.execute("UPDATE told_lag SET seconds = NULL")  # nobody knows
            until(lambda: stats.throttle == "replication lag ? s > 10 s")
            assert shop.name_of(member) != name
            shop.target.execute("UPDATE told_lag SET seconds = 1")
            until(lambda: shop.name_of(member) == name)
    finally:
        shop.target.execute("DROP TABLE told_lag")


def test_a_slow_target_holds_it(shop: Shop) -> None:
    throttle = ThrottleSettings(max_target_latency_ms=0.001, every_s=0.1)
    with shop.running(shop.with_sync(throttle=throttle)) as stats:
        until(lambda: stats.throttle.startswith("target latency"))
        assert all(view.rounds == 0 for view in stats.views())


def test_the_load_of_the_source_is_seen_or_its_answers_are_timed(shop: Shop) -> None:
    settings = shop.with_sync(throttle=ThrottleSettings(max_load=80))
    probe = SourceProbe(settings)
    value = probe.measure()
    assert probe.name == LOAD
    assert value is not None
    assert 0 <= value <= 100
    probe.close()

    url = shop.settings.source.url.get_secret_value().replace("sa:", f"{READER}:")
    source = shop.settings.source.model_copy(update={"url": SecretStr(url)})
    blind = SourceProbe(settings.model_copy(update={"source": source}))
    value = blind.measure()
    assert (blind.name, blind.limit) == (SOURCE_LATENCY, 250.0)
    assert value is not None
    assert value > 0
    blind.close()


def test_a_server_that_follows_nobody_is_no_replica_to_rely_on(shop: Shop) -> None:
    if shop.target.is_tidb:
        pytest.skip("TiDB has no replicas of this kind")
    probe = ReplicaProbe(shop.settings, shop.settings.target.url, 1)
    assert probe.measure() is None
    assert probe.unknown_holds
