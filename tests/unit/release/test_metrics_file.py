"""Figures from a file, and the SQL of a query: what is cut short, missing or old gives no figures at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from migrations.release.figures import Limits
from migrations.release.metrics.base import Sample, trust
from migrations.release.metrics.file import FileSource
from migrations.release.metrics.sql import fill, sample_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
END = NOON + timedelta(minutes=2)


def row(minute: int, store: str = "S1", requests: Any = 100, errors: Any = 1, latency: Any = 0.2) -> dict[str, Any]:
    """A minute of a store."""
    at = NOON + timedelta(minutes=minute)
    return {"minute": at.isoformat(), "store": store, "requests": requests, "errors": errors, "latency_p99_s": latency}


def read(path: Path, rows: Any, stores: tuple[str, ...] = ("S1", "S2")) -> Sample:
    """What the source says of the two minutes from noon on."""
    path.write_text(json.dumps(rows) if not isinstance(rows, str) else rows, "utf-8")
    return FileSource(path).read(stores, NOON, END)


def test_minutes_of_the_stores_are_summed_up(tmp_path: Path) -> None:
    rows = [row(-1, errors=50), row(0), row(0, "S2", 50, 2, 0.7), row(1, "S3", 999, 999), row(1), row(2, errors=50)]
    sample = read(tmp_path / "m.json", rows)
    assert sample == Sample(250, 4, 0.7, NOON + timedelta(minutes=3))


def test_csv_says_the_same(tmp_path: Path) -> None:
    text = "minute,store,requests,errors,latency_p99_s\n2026-11-23T12:00:00Z,S1,100,1,0.2\n2026-11-23T20:01:00+08:00,S2,50,2,\n"
    assert read(tmp_path / "m.csv", text) == Sample(150, 3, None, END)


@pytest.mark.parametrize(
    "rows",
    [
        "[", "{}", "[1]", "[]", "null", '[{"minute": "2026-11-23T12:00:00"}]',
        [row(0, requests=None)], [row(0, requests="NaN")], [row(0, errors="inf")], [row(0, errors=-1)], [row(0, errors=101)],
        [row(0, "S3")], [row(-1)], [row(2)], [{"store": "S1", "requests": 1, "errors": 0}],
    ],
)  # fmt: skip
def test_what_says_nothing_gives_nothing(tmp_path: Path, rows: Any) -> None:
    """What a bug would cost: a file cut short in the middle, in which the errors come last."""
    sample = read(tmp_path / "m.json", rows)
    assert not sample.known
    assert sample.why


def test_csv_cut_short(tmp_path: Path) -> None:
    assert not read(tmp_path / "m.csv", "minute,store,requests,errors\n2026-11-23T12:00:00Z,S1,100").known
    assert not read(tmp_path / "m.csv", 'minute,store\n"2026-11-23T12:00:00Z,S1').known
    assert not FileSource(tmp_path / "none.csv").read(["S1"], NOON, END).known
    assert not FileSource(tmp_path).read(["S1"], NOON, END).known


def test_a_file_that_nobody_writes_any_more_is_old(tmp_path: Path) -> None:
    sample = read(tmp_path / "m.json", [row(0)])
    assert trust(sample, Limits(120), NOON + timedelta(minutes=3)).known
    assert not trust(sample, Limits(120), NOON + timedelta(minutes=3, seconds=1)).known
    assert not trust(sample, Limits(120), NOON).known  # the minute has not ended yet: somebody's clock is wrong


@pytest.mark.parametrize(
    ("query", "statement", "values"),
    [
        ("SELECT 1 FROM r WHERE s IN (:stores)", "SELECT 1 FROM r WHERE s IN (%s, %s)", ["S1", "S2"]),
        ("SELECT ':start', \":end\", `:end` -- :start\n, :start", "SELECT ':start', \":end\", `:end` -- :start\n, %s", [NOON]),
        ("SELECT 'it''s :end', '\\':end', /* :end */ :end", "SELECT 'it''s :end', '\\':end', /* :end */ %s", [END]),
        ("SELECT a LIKE 'x%', b % 2, :ends, :start_1", "SELECT a LIKE 'x%%', b %% 2, :ends, :start_1", []),
        ("SELECT :end, :start, :end", "SELECT %s, %s, %s", [END, NOON, END]),
    ],
)
def test_places_of_a_query(query: str, statement: str, values: list[Any]) -> None:
    """What a bug would cost: a text that looks like a place shifts all values by one, and other stores are watched."""
    plain = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in values]
    assert fill(query, ["S1", "S2"], NOON.astimezone(), END) == (statement, plain)


@pytest.mark.parametrize(
    ("rows", "sample"),
    [
        ([(10, 1)], Sample(10, 1, None, END)),
        ([(10, 1, 0.5)], Sample(10, 1, 0.5, END)),
        ([(10, 1, None, NOON.replace(tzinfo=None))], Sample(10, 1, None, NOON)),
        ([(0, None, None, None)], Sample(0, 0, None, END)),  # SUM() and MAX() of no rows
        ([(10, None)], Sample(10, None, None, END)),
        ([(10, 1, None, None)], Sample(10, 1, None, None)),
        ([(10, 1, None, "yesterday")], Sample(10, 1, None, None)),
    ],
)
def test_what_a_row_means(rows: list[tuple[Any, ...]], sample: Sample) -> None:
    assert sample_of(rows, END) == sample


@pytest.mark.parametrize("rows", [[], [(1,)], [(1, 2, 3, 4, 5)], [(1, 2), (3, 4)]])
def test_another_shape_is_no_answer(rows: list[tuple[Any, ...]]) -> None:
    assert not sample_of(rows, END).known
