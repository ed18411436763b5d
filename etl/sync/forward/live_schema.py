"""Whether the legacy tables are still what the plan was made for: looked at now and then, and whenever a read fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from etl.errors import RefusedError, SourceError, UsageError
from etl.source.catalog import read_catalog
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.versions import changed

LOOK_EVERY_S = 30.0


def check_schema(context: ForwardContext, database: str, *, every_s: float = LOOK_EVERY_S) -> None:
    """Compare the live tables with the plan's, at most so often. Raises RefusedError for one that changed in what is mapped."""
    name, now = f"schema/{database}", time.monotonic()
    if now - context.looked.get(name, -every_s) < every_s:
        return
    context.looked[name] = now
    parts = context.plan.parts_of(database)
    try:
        live = read_catalog(context.source, [database], {part.part.source for _, part in parts}).tables
    except UsageError as error:
        raise RefusedError(error.message, "Bring the table back, or take its part out of the mapping.") from error
    for _, part in parts:
        planned, found = context.plan.legacy(part), live[part.part.source]
        mapped = replace(found, columns=tuple(column for column in found.columns if column.name in part.table.by_name))
        if mapped.schema_hash != part.table.schema_hash or planned.change_tracking != found.change_tracking:
            raise changed(part.part.source)


@contextmanager
def explaining(context: ForwardContext, database: str) -> Iterator[None]:
    """Where a read fails because the table is another by now, say that instead."""
    try:
        yield
    except (SourceError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if isinstance(error, SourceError) and getattr(error, "transient", False):
            raise
        check_schema(context, database, every_s=0)
        raise
