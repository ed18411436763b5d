"""What is made of Prometheus' answers, over real HTTP: slow, cut short, empty, of another shape, NaN, refused: never a figure."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from migrations.release.figures import Limits
from migrations.release.metrics.base import Sample, trust
from migrations.release.metrics.prometheus import PrometheusSource, fill, pattern
from migrations.release.plan_metrics import PrometheusSettings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEFORE = NOON - timedelta(minutes=1)


@dataclass
class Server:
    """A server that says what it is told to. `asked`: (path, query, time, headers) of every request."""

    port: int = 0
    answer: Callable[[str], tuple[int, bytes]] = lambda query: (200, b"")
    asked: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    drip_s: float = 0.0

    def source(self, **more: Any) -> PrometheusSource:
        """A source that asks it."""
        settings: dict[str, Any] = {"url": SecretStr(f"http://127.0.0.1:{self.port}"), "timeout_s": 1.0} | more
        return PrometheusSource(PrometheusSettings(**settings))

    def read(self, **more: Any) -> Sample:
        """What the source says."""
        return self.source(**more).read(["S1", "S2"], BEFORE, NOON)


@pytest.fixture
def server() -> Iterator[Server]:
    """On loopback, gone afterwards."""
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            query = body["query"][0]
            told.asked.append((self.path, query, body.get("time", [""])[0], dict(self.headers)))
            code, content = told.answer(query)
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            if code in (301, 302, 307):
                self.send_header("Location", f"http://127.0.0.1:{told.port}/elsewhere")
            self.end_headers()
            for at in range(0, len(content), 1 if told.drip_s else len(content) or 1):
                self.wfile.write(content[at : at + (1 if told.drip_s else len(content))])
                self.wfile.flush()
                time.sleep(told.drip_s)

        def log_message(self, format: str, *args: object) -> None:
            """Not here."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what some tests are about."""

    http = Quiet(("127.0.0.1", 0), Handler)
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield told
    http.shutdown()
    http.server_close()


def vector(*values: Any) -> bytes:
    """An answer with one series for each value."""
    result = [{"metric": {}, "value": [NOON.timestamp(), value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def by_query(requests: bytes, errors: bytes, newest: bytes | None = None) -> Callable[[str], tuple[int, bytes]]:
    """Answers told apart by what is asked."""
    fresh = vector(str(NOON.timestamp())) if newest is None else newest
    return lambda query: (200, fresh if "timestamp" in query else errors if "5.." in query else requests)


def test_a_good_answer(server: Server) -> None:
    server.answer = by_query(vector("1000.5"), vector("2"))
    assert server.read() == Sample(1000.5, 2.0, None, NOON)
    (_, newest, at, _), (path, requests, end, _), _ = server.asked
    assert (path, at, end) == ("/api/v1/query", "", f"{NOON.timestamp():.3f}")
    assert newest == 'max(timestamp(http_requests_total{store=~"S1|S2"}))'
    assert requests == 'sum(increase(http_requests_total{store=~"S1|S2"}[60s]))'


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"<html>", b'{"status": "success"', b"[]", b"null", b"NaN", b'{"status": "error"}',
        b'{"status": "success", "data": []}',
        b'{"status": "success", "data": {"resultType": "vector", "result": {}}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": []}}',
        vector(), vector("NaN"), vector("+Inf"), vector("-Inf"), vector(None), vector("many"), vector("-1"), vector(True),
        vector("1", "2"), b"[" * 100_000,
        b'{"status": "success", "data": {"resultType": "vector", "result": [1]}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": 1}]}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{}]}}',
        b'{"status": "success", "data": {"resultType": "string", "result": [1, "2"]}}',
        b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "NaN"]}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["requests", "errors", "newest"])
def test_an_answer_that_says_nothing(server: Server, answer: bytes, which: str) -> None:
    """What a bug would cost: no errors, because the answer about errors could not be read."""
    good = {"requests": vector("1000"), "errors": vector("0"), "newest": vector(str(NOON.timestamp()))}
    server.answer = by_query(**{**good, which: answer})
    trusted = trust(server.read(), Limits(120), NOON)
    assert not trusted.known
    assert trusted.why


@pytest.mark.parametrize(
    ("age_s", "known"), [(0, True), (120, True), (121, False), (-5, True), (-6, False), (1e12, False), (1e300, False)]
)
def test_old_and_future_figures(server: Server, age_s: float, known: bool) -> None:
    """A scrape that stands still, and a Prometheus whose clock is ahead."""
    server.answer = by_query(vector("1000"), vector("0"), vector(str(NOON.timestamp() - age_s)))
    assert trust(server.read(), Limits(120, 5), NOON).known is known


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 404, 422, 500, 503])
def test_a_refusal_is_said_and_never_followed(server: Server, code: int) -> None:
    server.answer = lambda query: (code, b'{"status": "error", "errorType": "bad_data", "error": "parse error at char 5"}')
    sample = server.read(url=SecretStr(f"http://me:geheim@127.0.0.1:{server.port}"))
    assert not sample.known
    assert f"HTTP {code}" in sample.why
    assert "parse error at char 5" in sample.why
    assert "geheim" not in sample.why
    assert [path for path, *_ in server.asked] == ["/api/v1/query"]


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server: Server) -> None:
    """What a bug would cost: a controller that hangs in a read, and watches nothing meanwhile."""
    server.answer, server.drip_s = by_query(vector("1"), vector("1")), 0.05
    began = time.monotonic()
    assert "did not answer within 0.3 s" in server.read(timeout_s=0.3).why
    assert time.monotonic() - began < 20


def test_a_server_that_says_nothing_is_given_up(server: Server) -> None:
    def silent(query: str) -> tuple[int, bytes]:
        time.sleep(1.5)
        return 200, b""

    server.answer = silent
    assert "did not answer within 0.2 s" in server.read(timeout_s=0.2).why


def test_nobody_there(server: Server) -> None:
    from fixtures.processes import free_port

    sample = server.read(url=SecretStr(f"http://127.0.0.1:{free_port()}"))
    assert "cannot be reached: Connection refused" in sample.why
    assert "cannot be reached" in server.read(url=SecretStr("http://no-such-host.invalid:1")).why


def test_secrets_travel_in_headers_only(server: Server) -> None:
    server.answer = by_query(vector("1"), vector("1"))
    server.read(url=SecretStr(f"http://me:ge%2Fheim@127.0.0.1:{server.port}"))
    path, query, _, headers = server.asked[-1]
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:ge/heim").decode()
    assert "ge" not in path + query.replace("increase", "")
    server.read(bearer=SecretStr("abc%2Fdef%3D"))
    assert server.asked[-1][3]["Authorization"] == "Bearer abc/def="


def test_three_thousand_stores_fit(server: Server) -> None:
    server.answer = by_query(vector("1"), vector("1"))
    server.source().read([f"S{number:05}" for number in range(3_000)], BEFORE, NOON)
    assert "S02999" in server.asked[-1][1]
    assert not server.source().read([], BEFORE, NOON).known


def test_places_of_a_query() -> None:
    assert fill("sum($series[$window]) - $storesx", 'a{s=~"$stores"}', ["x"], 0.5) == 'sum(a{s=~"x"}[500ms]) - $storesx'
    assert pattern(["S.1", 'a"b', "c\\d", "e|f"]) == 'S\\\\.1|a\\"b|c\\\\\\\\d|e\\\\|f'
