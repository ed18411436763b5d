"""Newcomers of the legacy side who are persons already known: deduplication is asked before they get a member of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import polars as pl

from etl.dedupe.matcher import open_matcher
from etl.errors import RefusedError
from etl.progress import Progress
from etl.settings import Settings
from etl.sync.forward.context import Match, nobody_known


@contextmanager
def open_persons(settings: Settings, progress: Progress) -> Iterator[Match]:
    """What forward asks. Where deduplication never ran from this state folder, or its model changed since, everybody is new, and
    the next `dedupe run` finds who is one person."""
    with ExitStack() as stack:
        try:
            matcher = stack.enter_context(open_matcher(settings))
        except RefusedError as error:
            progress.note(f"Newcomers are not matched with persons already known: {error.message} {error.remedy}")
            yield nobody_known
            return
        lock = threading.Lock()

        def match(part: str, newcomers: pl.DataFrame) -> pl.Series:
            # Known from here on. If they are not committed they come again, under the same keys, and nothing is doubled.
            with lock:
                found = matcher.match(part, newcomers)
                matcher.keep(found)
            return found.people["member_id"]

        yield match
