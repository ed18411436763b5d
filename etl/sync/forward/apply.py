"""A page of changes brought to the target, in the way of its table."""

from __future__ import annotations

from dataclasses import fields
from functools import partial

import polars as pl

from etl.sync.forward.append import apply_append
from etl.sync.forward.both import apply_both
from etl.sync.forward.ensure import ensure_members
from etl.sync.forward.positions import Reached
from etl.sync.forward.work import Work
from etl.sync.model import Counts


def apply_changes(work: Work, changes: pl.DataFrame, seen: Reached | None, to: Reached | None) -> Counts:
    """Bring changes (read_changes.py) over in one transaction, with the position where there is one. Safe to be done again."""
    apply = apply_both if work.is_merged else apply_append
    return apply(work, changes, partial(ensure_members, work), seen, to)


def add(one: Counts, other: Counts) -> Counts:
    """The sum of two counts."""
    return Counts(**{field.name: getattr(one, field.name) + getattr(other, field.name) for field in fields(Counts)})
