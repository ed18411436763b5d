"""What a comparison runs beside itself: threads that read ahead, and files of rows that wait. Nothing is left of either."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from etl.reconcile.spill import Spill
from etl.reconcile.streams import Background


def test_items_come_in_order_and_end() -> None:
    with Background(lambda: iter(range(100)), "numbers") as numbers:
        assert list(numbers) == list(range(100))
        assert numbers.take() is None


def test_an_error_is_raised_where_the_items_are_taken() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the server went away")

    with Background(broken, "broken") as items:
        assert items.take() == 1
        with pytest.raises(OSError, match="went away"):
            items.take()


def test_leaving_early_ends_the_thread_and_closes_its_reader() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with Background(endless, "endless") as items:
        assert items.take() == 1
    assert closed.is_set()
    assert "endless" not in {thread.name for thread in threading.enumerate()}


def test_rows_that_waited_on_disk_are_private_and_removed(tmp_path: Path) -> None:
    with Spill(tmp_path, ["k"]) as spill:
        spill.write("expected", pl.DataFrame({"k": [1, 2], "name": ["a", "b"]}))
        (file,) = spill.folder.iterdir()
        assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_comparison_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed, running = tmp_path / "compare-999999999-abc", tmp_path / f"compare-{os.getpid()}-abc"
    for folder in (killed, running):
        folder.mkdir()
    with Spill(tmp_path, ["k"]):
        assert (killed.exists(), running.exists()) == (False, True)
