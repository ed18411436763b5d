"""Both sides are read at once: each stream has a thread of its own, which stays a batch or two ahead of the comparison."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

AHEAD: Final = 1
"""Batches that may wait in a stream, besides the one being made and the one being used."""

WAIT_S: Final = 0.1


class Background(Generic[T]):
    """An iterator whose items are made by a thread. A context manager: leaving it stops the thread and waits for it.

    An error of the thread is raised by `take`.
    """

    def __init__(self, make: Callable[[], Iterator[T]], name: str) -> None:
        self._make = make
        self._items: queue.Queue[T | None] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(WAIT_S)

    def take(self) -> T | None:
        """The next item, or None when there is no more."""
        if self.ended:
            return None
        item = self._items.get()
        if item is None:
            self.ended = True
            if self._error is not None:
                raise self._error
        return item

    def __iter__(self) -> Iterator[T]:
        while (item := self.take()) is not None:
            yield item

    def _run(self) -> None:
        items: Iterator[T] | None = None
        try:
            items = self._make()
            for item in items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits for the items, and raised there
            self._error = error
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            self._put(None)

    def _put(self, item: T | None) -> bool:
        while not self._stop.is_set():
            try:
                self._items.put(item, timeout=WAIT_S)
            except queue.Full:
                continue
            return True
        return False

    def _drain(self) -> None:
        try:
            while True:
                self._items.get_nowait()
        except queue.Empty:
            return
