"""A real Prometheus scrapes stores whose figures are good, NaN, old, from the future or none: only the good ones pass a gate."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from fixtures.processes import LOOPBACK, ProcessMark, free_port, start_detached, stop_process
from migrations.release.figures import Limits, Verdict
from migrations.release.gates.availability import check_availability
from migrations.release.gates.base import Answer
from migrations.release.metrics.base import trust
from migrations.release.metrics.prometheus import PrometheusSource
from migrations.release.model import ReleaseState
from migrations.release.plan_gates import AvailabilityGate
from migrations.release.plan_metrics import PrometheusSettings

PROMETHEUS = shutil.which("prometheus")
CONFIG = """\
scrape_configs:
  - job_name: stores
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
      - targets: ["{host}:{port}"]
"""
PATIENCE_S = 60.0
OLD_S, AHEAD_S = 100.0, 300.0
WINDOW_S = 200.0
GATE = AvailabilityGate(window_s=WINDOW_S, min_requests=50, max_age_s=30)


@dataclass
class Stores:
    """What the stores count: at each scrape 100 requests more, and of each 2,000 one failed."""

    scrapes: int = 0
    well: threading.Event = field(default_factory=threading.Event)

    def page(self, now: float) -> str:
        """In Prometheus' text format; a figure's own time is in ms."""
        self.scrapes += 1
        requests, errors = 100 * self.scrapes, self.scrapes / 20
        lines = []
        for store, value, at in (
            ("good", requests, ""),
            ("bad", requests, ""),
            ("nan", math.nan, ""),
            ("inf", math.inf, ""),
            ("old", requests, f" {(now - OLD_S) * 1000:.0f}"),
            ("ahead", requests, f" {(now + AHEAD_S) * 1000:.0f}"),
        ):
            failed = {"bad": requests / 2, "nan": math.nan}.get(store, errors)
            lines += [
                f'http_requests_total{{store="{store}",code="200"}} {value}{at}',
                f'http_requests_total{{store="{store}",code="500"}} {failed}{at}',
                f'http_seconds_bucket{{store="{store}",le="0.1"}} {value}{at}',
                f'http_seconds_bucket{{store="{store}",le="+Inf"}} {value}{at}',
            ]
        return "\n".join([*lines, ""]).replace("nan", "NaN").replace('store="NaN"', 'store="nan"').replace(" inf", " +Inf")


@dataclass(frozen=True)
class World:
    """A Prometheus that scrapes the stores, and how to stop it."""

    url: str
    stores: Stores
    mark: ProcessMark

    def source(self, **more: str) -> PrometheusSource:
        """As a plan would set it up."""
        settings = {"url": SecretStr(self.url)} | more
        return PrometheusSource(PrometheusSettings.model_validate(settings))

    def gate(self, *stores: str, source: PrometheusSource | None = None, now: datetime | None = None) -> Answer:
        """Availability of some stores, now."""
        state = ReleaseState(waves=(stores,))
        return check_availability(GATE, source or self.source(), state, 0, 5, now or datetime.now(UTC))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Scraped every second, gone afterwards."""
    if PROMETHEUS is None:
        pytest.skip("prometheus is not installed")
    stores = Stores()
    stores.well.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = stores.page(time.time()).encode() if stores.well.is_set() else b""
            self.send_response(200 if content else 500)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Not here."""

    http = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(host=LOOPBACK, port=http.server_address[1]), "utf-8")
    command = [
        PROMETHEUS,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    mark = start_detached(command, tmp_path / "prometheus.log")
    try:
        yield World(f"http://{LOOPBACK}:{port}", stores, mark)
    finally:
        stop_process(mark, grace_s=5)
        http.shutdown()
        http.server_close()


def wait_until(answer: Callable[[], Answer], verdict: Verdict) -> Answer:
    """The first answer with a verdict."""
    until = time.monotonic() + PATIENCE_S
    while (last := answer()).verdict is not verdict:
        if time.monotonic() > until:
            pytest.fail(f"no {verdict} within {PATIENCE_S:.0f} s: {last}")
        time.sleep(0.2)
    return last


def test_only_good_figures_pass(world: World) -> None:
    """What a bug would cost: a wave promoted on NaN, on figures of yesterday, or of a machine whose clock is ahead."""
    good = wait_until(lambda: world.gate("good"), Verdict.PASS)
    assert good.figure == pytest.approx(0.999, abs=0.0009)
    assert good.age_s is not None
    assert good.age_s < 30
    answers = {store: world.gate(store) for store in ("bad", "nan", "inf", "old", "ahead", "closed", "g..d", "goo")}
    assert answers["bad"].verdict is Verdict.FAIL
    assert {answer.verdict for store, answer in answers.items() if store != "bad"} == {Verdict.UNKNOWN}
    assert "min old" in answers["old"].evidence or "s old" in answers["old"].evidence  # with figures, but not of now
    pooled = world.gate("good", "nan")
    assert pooled.verdict is not Verdict.PASS  # one store's NaN is not hidden by the others
    end = datetime.now(UTC)
    for wrong in (end - timedelta(minutes=30), end + timedelta(minutes=30)):  # whose clock is wrong: ours
        assert world.gate("good", now=wrong).verdict is Verdict.UNKNOWN


def test_queries_of_a_plan(world: World) -> None:
    """Latency, a range to be drawn, an error counter that does not exist yet, and a query that is wrong."""
    wait_until(lambda: world.gate("good"), Verdict.PASS)
    end = datetime.now(UTC)
    start = end - timedelta(seconds=WINDOW_S)
    buckets = 'http_seconds_bucket{store=~"$stores"}[$window]'
    latency = world.source(latency_p99_s=f"histogram_quantile(0.99, sum by (le) (rate({buckets})))").read(["good"], start, end)
    assert latency.latency_p99_s == pytest.approx(0.099)
    none_yet = 'sum(increase(payment_errors_total{store=~"$stores"}[$window]))'
    assert world.gate("good", source=world.source(errors=none_yet)).verdict is Verdict.UNKNOWN
    assert world.gate("good", source=world.source(errors=f"{none_yet} or vector(0)")).figure == 1.0
    wrong = world.gate("good", source=world.source(errors="sum(("))
    assert wrong.verdict is Verdict.UNKNOWN
    assert "parse error" in wrong.evidence
    assert "series, and one was asked for" in world.gate("good", source=world.source(errors="http_requests_total")).evidence


def test_stores_that_are_no_longer_scraped_and_a_prometheus_that_is_gone(world: World) -> None:
    """What a bug would cost: promotions go on while nobody measures anything."""
    wait_until(lambda: world.gate("good"), Verdict.PASS)
    world.stores.well.clear()
    wait_until(lambda: world.gate("good"), Verdict.UNKNOWN)
    world.stores.well.set()
    wait_until(lambda: world.gate("good"), Verdict.PASS)
    stop_process(world.mark, grace_s=5)
    answer = world.gate("good")
    assert answer.verdict is Verdict.UNKNOWN
    assert "cannot be reached" in answer.evidence
    sample = world.source().read(["good"], datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC))
    assert not trust(sample, Limits(60), datetime.now(UTC)).known
