"""Figures by one SQL query on the target: for retailers whose applications note every request in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from etl.errors import OpsError
from etl.load.sql import places
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk
from migrations.release.figures import number
from migrations.release.haste import hasty
from migrations.release.metrics.base import Sample

TOKEN: Final = re.compile(
    r"""('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/)|:(stores|start|end)\b""", re.DOTALL
)
"""Text and comments, which stay as they are, or a place for a value."""


@dataclass(frozen=True)
class SqlSource:
    """`query`: see SqlSettings."""

    target: TargetSettings
    query: str

    def read(self, stores: Sequence[str], start: datetime, end: datetime) -> Sample:
        """One row of figures. A query that fails, or answers with another shape, says why."""
        if not stores:
            return Sample(why="no store was asked for")
        statement, values = fill(self.query, stores, start, end)
        try:
            with connect_bulk(hasty(self.target)) as connection:
                connection.begin()
                rows = connection.query(statement, values)
                connection.rollback()
        except OpsError as error:
            return Sample(why=f"the query of [metrics.sql] failed: {error.message}")
        return sample_of(rows, end)


def fill(query: str, stores: Sequence[str], start: datetime, end: datetime) -> tuple[str, list[Any]]:
    """The statement with %s for each value, and the values in order. Times are UTC without a zone, as sessions of ours have it.

    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> fill("SELECT ':end', 5 % 2 FROM r WHERE s IN (:stores) AND t < :end", ["S1", "S2"], at, at)[0]
    "SELECT ':end', 5 %% 2 FROM r WHERE s IN (%s, %s) AND t < %s"
    """
    values: list[Any] = []
    parts: list[str] = []
    last = 0
    for found in TOKEN.finditer(query):
        parts.append(query[last : found.start()].replace("%", "%%"))
        last = found.end()
        if found[1] is not None:
            parts.append(found[1].replace("%", "%%"))
        elif found[2] == "stores":
            parts.append(places(len(stores)))
            values += stores
        else:
            parts.append("%s")
            values.append(naive(start if found[2] == "start" else end))
    return "".join([*parts, query[last:].replace("%", "%%")]), values


def naive(at: datetime) -> datetime:
    """UTC, without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None)


def sample_of(rows: Sequence[Sequence[Any]], end: datetime) -> Sample:
    """Requests, errors, and perhaps the response time and the time of the newest request. Where that is not asked for, figures
    are as new as the time up to which they were."""
    if len(rows) != 1 or not 2 <= len(rows[0]) <= 4:
        return Sample(why="the query of [metrics.sql] has to return one row of 2 to 4 columns: requests, errors, p99, newest")
    requests, errors, latency, newest = (*rows[0], None, None)[:4]
    at = end if len(rows[0]) < 4 else newest.replace(tzinfo=UTC) if isinstance(newest, datetime) else None
    found = number(requests)
    counted = 0.0 if errors is None and found == 0 else number(errors)  # SUM() over no rows is NULL
    if at is None and found == 0:
        at = end
    return Sample(found, counted, number(latency), at)
