"""Counts on both sides, taken again and again beside a running sync: for its screen and its metrics, never for its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from etl.errors import OpsError
from etl.settings import Settings
from etl.source.connect import open_source
from etl.sync.standing import Standing, read_standing
from etl.target.connect import connect_bulk

LEAST_PAUSE_S: Final = 15.0
SHARE: Final = 50
"""The pause is so many times as long as counting took: it may cost 2 % of a core, no more."""


class Counted:
    """What was last counted; None before the first time, and while a server is away."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.end = threading.Event()


@contextmanager
def keep_counting(settings: Settings) -> Iterator[Counted]:
    """Count in a thread of its own until the end of the block."""
    counted = Counted()
    thread = threading.Thread(target=count_on, args=(settings, counted), name="counting", daemon=True)
    thread.start()
    try:
        yield counted
    finally:
        counted.end.set()
        thread.join(timeout=1.0)  # one that waits for a server is left behind: it only reads


def count_on(settings: Settings, counted: Counted) -> None:
    """Count, rest, and count again; connect anew after a failure."""
    while not counted.end.is_set():
        try:
            with open_source(settings.source) as source, connect_bulk(settings.target) as target:
                pause = 0.0
                while not counted.end.wait(pause):
                    began = time.monotonic()
                    counted.standing = read_standing(settings, target, source)
                    pause = max(LEAST_PAUSE_S, SHARE * (time.monotonic() - began))
        except OpsError:
            counted.standing = None  # the streams tell what is away
            counted.end.wait(LEAST_PAUSE_S)
