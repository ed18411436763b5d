"""Figures by PromQL over Prometheus' HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).

An instant query looks up to five minutes back and says nothing of it: its answer bears the time of the question. So the time
of the newest sample is asked for by itself, at Prometheus' own "now": a scrape that stands still shows as old, and a Prometheus
whose clock is ahead or behind shows as one whose figures are from the future or the past.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from migrations.release.figures import number
from migrations.release.metrics.base import Sample
from migrations.release.plan_metrics import PrometheusSettings

NEWEST: Final = "max(timestamp($series))"
LARGEST_ANSWER: Final = 8 * 2**20
PLACE: Final = re.compile(r"\$(series|stores|window)\b")
SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


class NoAnswer(Exception):
    """Prometheus did not answer, or not as it should. What it says holds no secret."""


class NoRedirect(HTTPRedirectHandler):
    """A password is sent to the host that the plan names, and to no other."""

    def redirect_request(self, *_: object) -> None:
        """None."""


@dataclass(frozen=True)
class PrometheusSource:
    """`settings`: see PrometheusSettings."""

    settings: PrometheusSettings
    opener: Any = field(default_factory=lambda: build_opener(NoRedirect()), repr=False, compare=False)

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """Instant queries at `end` over the time since `start`. Whatever goes wrong is said in `why`."""
        if not stores:
            return Sample(why="no store was asked for")
        settings, window_s = self.settings, (end - start).total_seconds()

        def ask(query: str, at: datetime | None = end) -> float | None:
            return only_value(self.ask("query", fill(query, settings.series, stores, window_s), at))

        try:
            newest = ask(NEWEST, None)
            requests, errors = ask(settings.requests), ask(settings.errors)
            latency = None if settings.latency_p99_s is None else ask(settings.latency_p99_s)
        except NoAnswer as error:
            return Sample(why=str(error))
        at = None if newest is None else time_at(newest)
        why = "" if requests is not None and errors is not None else "Prometheus has no figures of these stores"
        return Sample(requests, errors, latency, at, why)

    def ask(self, path: str, query: str, at: datetime | None) -> Mapping[str, Any]:
        """An instant query; `at` None is Prometheus' own now."""
        return self.call(path, {"query": query} if at is None else {"query": query, "time": seconds(at)})

    def call(self, path: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The data of an answer. By POST: a list of three thousand stores is too long for an address. Raises NoAnswer."""
        address, headers = split_address(self.settings)
        timeout_s = self.settings.timeout_s
        body = urlencode({**parameters, "timeout": f"{timeout_s:g}s"}).encode()
        request = Request(f"{address}/api/v1/{path}", body, headers)
        try:
            with self.opener.open(request, timeout=timeout_s) as answer:
                return data_of(read_all(answer, timeout_s))
        except HTTPError as error:
            with error:
                raise NoAnswer(refusal(error.code, error.read(LARGEST_ANSWER))) from None
        except (URLError, OSError, http.client.HTTPException) as error:
            raise NoAnswer(unreachable(error, timeout_s)) from None
        except ValueError:  # of urllib and idna, whose text may hold the address
            raise NoAnswer("Prometheus cannot be reached: its address is not one") from None


@dataclass(frozen=True)
class Point:
    """A value of a series at a time (UTC)."""

    at: datetime
    value: float


def fill(query: str, series: str, stores: Sequence[str], window_s: float) -> str:
    """A query with its places filled. $series may hold $stores itself.

    >>> fill("sum(increase($series[$window]))", 'r{s=~"$stores"}', ["S1", "S.2"], 60)
    'sum(increase(r{s=~"S1|S\\\\\\\\.2"}[60s]))'
    """
    values = {"stores": pattern(stores), "window": f"{window_s * 1000:.0f}ms" if window_s % 1 else f"{window_s:.0f}s"}
    values["series"] = PLACE.sub(lambda found: values.get(found[1], found[0]), series)
    return PLACE.sub(lambda found: values[found[1]], query)


def pattern(stores: Sequence[str]) -> str:
    """A regular expression of exactly these stores, as it stands between quotation marks in PromQL.

    >>> print(pattern(["a.b", 'c"d']))
    a\\\\.b|c\\"d
    """
    plain = "|".join(SPECIAL.sub(lambda found: "\\" + found[0], store) for store in stores)
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def split_address(settings: PrometheusSettings) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the headers that bear them. Secrets come quoted as for a URL."""
    parts = urlsplit(settings.url.get_secret_value())
    where = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    where += f":{parts.port}" if parts.port else ""
    headers = {"Accept": "application/json"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif settings.bearer is not None:
        headers["Authorization"] = f"Bearer {unquote(settings.bearer.get_secret_value())}"
    return urlunsplit((parts.scheme, where, parts.path.rstrip("/"), "", "")), headers


def read_all(answer: Any, timeout_s: float) -> bytes:
    """The whole answer, within the time: a server that sends a byte now and then would hold the controller. Raises NoAnswer."""
    latest, parts, size = time.monotonic() + timeout_s, [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise NoAnswer("Prometheus' answer is too large: sum() the series of the query")
        if time.monotonic() > latest:
            raise NoAnswer(f"Prometheus did not answer within {timeout_s:g} s")
    return b"".join(parts)


def data_of(content: bytes) -> Mapping[str, Any]:
    """What an answer is about. Raises NoAnswer for one that is no answer of Prometheus."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise NoAnswer("what answers is not Prometheus: it sends no JSON") from None
    data = told.get("data") if isinstance(told, Mapping) else None
    if not isinstance(told, Mapping) or told.get("status") != "success" or not isinstance(data, Mapping):
        raise NoAnswer("what answers is not Prometheus: its JSON is of another shape")
    if not isinstance(data.get("result"), list):
        raise NoAnswer("Prometheus' answer has no result")
    return data


def refusal(code: int, content: bytes) -> str:
    """What a refused query means. The text of the error is Prometheus' about the query, which names stores, no people."""
    try:
        told = json.loads(content)
        said = (
            str(told["error"])[:300] if isinstance(told, Mapping) and told.get("errorType") in ("bad_data", "execution") else ""
        )
    except (ValueError, KeyError, RecursionError):
        said = ""
    if said:
        return f"Prometheus refused the query (HTTP {code}): {said}"
    return f"Prometheus refused the query (HTTP {code})"


def unreachable(error: Exception, timeout_s: float) -> str:
    """Why there was no answer."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError | socket.timeout):
        return f"Prometheus did not answer within {timeout_s:g} s"
    said = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
    return f"Prometheus cannot be reached: {said}"


def only_value(data: Mapping[str, Any]) -> float | None:
    """The one value of an instant query; None for an empty answer, NaN and infinite. Raises NoAnswer for several series."""
    kind, result = kind_of(data), data["result"]
    if kind == "scalar":
        return number(result[1]) if len(result) == 2 else None
    if kind != "vector":
        raise NoAnswer(f"the query gives a {kind}, and one number was asked for")
    if len(result) > 1:
        raise NoAnswer(f"the query gives {len(result)} series, and one was asked for: sum() them")
    point = point_of(result[0].get("value")) if result and isinstance(result[0], Mapping) else None
    return None if point is None else point.value


def kind_of(data: Mapping[str, Any]) -> str:
    """vector, matrix, scalar or string."""
    return str(data.get("resultType"))


def point_of(pair: object) -> Point | None:
    """A pair of time and value; None where either is no number."""
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    at, value = number(pair[0]), number(pair[1])
    when = None if at is None else time_at(at)
    return None if when is None or value is None else Point(when, value)


def time_at(seconds_: float) -> datetime | None:
    """A time (UTC) of seconds since 1970; None for one that no calendar has."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds_)
    except OverflowError:
        return None


def seconds(at: datetime) -> str:
    """A time as the API takes it."""
    return f"{at.timestamp():.3f}"
