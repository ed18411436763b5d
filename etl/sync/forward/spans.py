"""The changes of one legacy table between its position and now, in the way in which the table tells them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from etl.sync.forward.positions import Reached
from etl.sync.forward.read_changes import read_tracked
from etl.sync.forward.read_rows import between_versions, changed_since, newest, read_some
from etl.sync.forward.versions import check_forward, clock_of, counter_of, way_of
from etl.sync.forward.work import Work

Read = Callable[[Work, str | None, int], pl.DataFrame]
"""Changes of keys after one, at most so many."""

LOOK_AGAIN_S = 10.0
"""A table that has only a last-changed column is read again so often though that column did not move: a transaction may have been
open for long."""


@dataclass(frozen=True)
class Span:
    """`upto`: the position once everything that `read` gives is on the target. `again`: rows come that did not change."""

    upto: int
    read: Read
    again: bool = False


def open_span(work: Work, reached: Reached) -> Span | None:
    """What there is to read; None for nothing. Raises RefusedError when the source went back."""
    legacy = work.context.plan.legacy(work.part)
    match way_of(legacy, work.part, work.context.last_changed):
        case "tracking":
            return tracked_span(work, reached)
        case "rowversion":
            return counted_span(work, reached)
        case _:
            return timed_span(work, reached)


def tracked_span(work: Work, reached: Reached) -> Span | None:
    """By Change Tracking. A span that was begun is read to its own end first."""
    version = check_forward(reached, work.head.tracking)
    if version == reached.position and reached.after is None:
        return None
    return Span(
        version if reached.upto is None else reached.upto,
        lambda one, after, rows: read_tracked(one.session, one.part, reached.position, after, rows),
    )


def counted_span(work: Work, reached: Reached) -> Span | None:
    """By rowversion, below what an open transaction may still write."""
    version = check_forward(reached, work.head.row_version)
    counter = counter_of(work.context.plan.legacy(work.part))
    assert counter is not None, "way_of found it"
    if version == reached.position and reached.after is None:
        return None
    upto = version if reached.upto is None else reached.upto
    condition = between_versions(counter, reached.position, upto)
    return Span(upto, lambda one, after, rows: read_some(one.session, one.part, condition, after, rows))


def timed_span(work: Work, reached: Reached) -> Span | None:
    """By a last-changed column, with an overlap: a row may become visible later than its time says."""
    clock = clock_of(work.context.plan.legacy(work.part), work.part, work.context.last_changed)
    assert clock is not None, "way_of found it"
    latest = max(newest(work.session, work.part, clock) or 0, reached.position)
    looked, now = work.context.looked.get(reached.name, -LOOK_AGAIN_S), time.monotonic()
    if latest == reached.position and reached.after is None and now - looked < LOOK_AGAIN_S:
        return None
    work.context.looked[reached.name] = now
    condition = changed_since(clock, reached.position, work.context.limits.overlap)
    return Span(
        latest if reached.upto is None else reached.upto,
        lambda one, after, rows: read_some(one.session, one.part, condition, after, rows),
        again=True,
    )
