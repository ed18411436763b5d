"""Streams that a thread reads ahead: errors arrive where the rows are wanted, and nothing is left running."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

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
