"""A real Prometheus reads what a running sync serves: every series, with its labels, its kind and its value."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from etl.local_http import Address
from etl.sync.metrics import render_metrics
from etl.sync.metrics_server import serve_metrics
from etl.sync.model import Counts
from etl.sync.standing import LegacyStanding, Standing, TargetStanding
from etl.sync.stats import Stats
from fixtures.processes import LOOPBACK, free_port, start_detached, stop_process

PROMETHEUS = shutil.which("prometheus")
ODD = 'forward/c"r\\m'
"""A database's name may hold what the text format has to escape."""

CONFIG = """\
scrape_configs:
  - job_name: membershift-sync
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
      - targets: ["{host}:{port}"]
"""
PATIENCE_S = 30.0
STANDING = Standing(
    (TargetStanding("member", "both", 5, conflicts=3, open_conflicts=2), TargetStanding("product", "source", None)),
    (LegacyStanding("crm.dbo.Member", ("member",), 2**53, None, backlog=7),),
    {"reverse": 1},
)


@pytest.fixture
def metrics() -> Iterator[Address]:
    """A sync that did something, as it is served."""
    stats = Stats()
    stats.add(ODD, {"member": Counts(written=4, deleted=1, own=2)})
    stats.add("reverse", {"member": Counts(written=3, dead=1)})
    stats.wait("reverse", "the source is away")
    with serve_metrics(Address(LOOPBACK, 0), lambda: render_metrics(stats, STANDING, 12.5)) as served:
        yield served


@pytest.fixture
def prometheus(metrics: Address, tmp_path: Path) -> Iterator[str]:
    """A private Prometheus that scrapes it every second; the address of its API."""
    if PROMETHEUS is None:
        pytest.skip("prometheus is not installed")
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(host=metrics.host, port=metrics.port), "utf-8")
    command = [
        PROMETHEUS,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    mark = start_detached(command, tmp_path / "prometheus.log")
    try:
        yield f"http://{LOOPBACK}:{port}/api/v1"
    finally:
        stop_process(mark, grace_s=5)


def ask(api: str, path: str, **parameters: str) -> Any:
    """What its API answers; None while it is not ready."""
    try:
        with urlopen(f"{api}/{path}?{urlencode(parameters)}", timeout=5) as answer:
            return json.load(answer)["data"]
    except (URLError, ConnectionError):
        return None


def scraped(api: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All series of ours once there are any: name and labels (without those of the scrape), and value."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = ask(api, "query", query='{__name__=~"membershift_sync_.+"}')
        if found is not None and found["result"]:
            return {series_of(one["metric"]): float(one["value"][1]) for one in found["result"]}
        time.sleep(0.1)
    pytest.fail(f"Prometheus has no series of ours after {PATIENCE_S:.0f} s.")


def series_of(labels: dict[str, str]) -> tuple[str, frozenset[tuple[str, str]]]:
    """A series' name, and its labels that are ours."""
    own = {name: value for name, value in labels.items() if name not in ("__name__", "instance", "job")}
    return labels["__name__"].removeprefix("membershift_sync_"), frozenset(own.items())


def test_prometheus_reads_every_series(prometheus: str) -> None:
    """What would be lost: the alarm that a direction stands still."""
    series = scraped(prometheus)

    def value(name: str, **labels: str) -> float:
        return series[name, frozenset(labels.items())]

    assert value("up_seconds") == 12.5
    assert value("rows_total", stream=ODD, table="member", outcome="written") == 4
    assert value("rows_total", stream=ODD, table="member", outcome="deleted") == 1
    assert value("rows_total", stream="reverse", table="member", outcome="dead") == 1
    assert value("rounds_total", stream=ODD) == 1
    assert value("waiting", stream=ODD) == 0
    assert value("waiting", stream="reverse") == 1
    assert value("lag_seconds", stream="reverse") > 0
    assert value("rows_per_second", stream=ODD) > 0
    assert value("dirty_rows", table="member") == 5
    assert ("dirty_rows", frozenset({("table", "product")})) not in series
    assert value("conflicts_open", table="member") == 2
    assert value("conflicts_total", table="member") == 3
    assert value("dead_letters_open", direction="reverse") == 1
    assert value("dead_letters_open", direction="forward") == 0
    assert value("position", table="crm.dbo.Member") == 2**53
    assert value("source_backlog", table="crm.dbo.Member") == 7
    assert value("source_forgotten", table="crm.dbo.Member") == 0

    kinds = {name: told[0]["type"] for name, told in ask(prometheus, "metadata").items()}
    assert kinds["membershift_sync_rows_total"] == "counter"
    assert kinds["membershift_sync_lag_seconds"] == "gauge"
    assert ask(prometheus, "query", query="up")["result"][0]["value"][1] == "1"
