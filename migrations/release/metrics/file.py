"""Figures from a file with a row for each minute and store, JSON or CSV: for what has neither Prometheus nor a table.

Whoever writes it replaces it as a whole (a temporary file, then a rename). A minute counts when it lies wholly in the time asked
for; the newest row tells how old the file is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from etl.records import time_of
from migrations.release.figures import count
from migrations.release.metrics.base import Sample

MINUTE: Final = timedelta(minutes=1)
MOST_BYTES: Final = 64 * 2**20


class BadMinutes(Exception):
    """What is wrong with the file."""


@dataclass(frozen=True)
class FileSource:
    """`path`: see FileSettings."""

    path: Path

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """The minutes of these stores, summed up; of the response time the worst, which no pooled one exceeds."""
        try:
            with self.path.open("rb") as file:
                rows = parse(self.path.name, file.read(MOST_BYTES + 1))
            return pool(rows, frozenset(stores), start, end)
        except OSError as error:
            return Sample(why=f"{self.path} cannot be read: {error.strerror}")
        except BadMinutes as error:
            return Sample(why=f"{self.path.name} cannot be used: {error}")


def parse(name: str, content: bytes) -> list[Mapping[str, Any]]:
    """The rows of a file. Raises BadMinutes."""
    if len(content) > MOST_BYTES:
        raise BadMinutes(f"it is larger than {MOST_BYTES // 2**20} MiB")
    try:
        text = content.decode("utf-8-sig")
        rows = json.loads(text) if name.lower().endswith(".json") else list(csv.DictReader(io.StringIO(text), strict=True))
    except (UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise BadMinutes("it is cut short, or not what its name says") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadMinutes("it is not a list of rows")
    return rows


def pool(rows: Iterable[Mapping[str, Any]], stores: frozenset[str], start: datetime, end: datetime) -> Sample:
    """All rows of the stores in the time asked for. Raises BadMinutes for one that cannot be."""
    newest: datetime | None = None
    found: list[tuple[float, float, float | None]] = []
    for number, row in enumerate(rows, 1):
        at = minute_of(row, number)
        newest = at + MINUTE if newest is None else max(newest, at + MINUTE)
        if str(row.get("store", "")).strip() in stores and start <= at and at + MINUTE <= end:
            found.append(figures_of(row, number))
    if newest is None:
        return Sample(why="the file holds no minute")
    if not found:
        return Sample(at=newest, why="the file holds no minute of these stores in this time")
    latencies = [latency for requests, _, latency in found if requests]
    known = [latency for latency in latencies if latency is not None]
    worst = max(known) if known and len(known) == len(latencies) else None
    return Sample(sum(requests for requests, _, _ in found), sum(errors for _, errors, _ in found), worst, newest)


def minute_of(row: Mapping[str, Any], number: int) -> datetime:
    """When the minute of a row began (UTC)."""
    at = time_of(row.get("minute"))
    if at is None:
        raise BadMinutes(f"row {number} has no minute with its zone, such as 2026-11-23T01:02:00+00:00")
    return at.astimezone(UTC)


def figures_of(row: Mapping[str, Any], number: int) -> tuple[float, float, float | None]:
    """Requests, errors and response time of a row."""
    requests, errors = count(row.get("requests")), count(row.get("errors"))
    if requests is None or errors is None or errors > requests:
        raise BadMinutes(f"row {number} has requests or errors that cannot be")
    return requests, errors, count(row.get("latency_p99_s"))
