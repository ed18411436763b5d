"""Has somebody else changed a legacy row since forward last looked? Asked of Change Tracking for each row, in our transaction."""

from __future__ import annotations

import polars as pl

from etl.names import bracket
from etl.reconcile.by_key import key_literal
from etl.reconcile.plan import PartPlan, encode_keys
from etl.source.session import PlainSession
from etl.sync.model import CONTEXT


def pending_changes(session: PlainSession, part: PartPlan, frame: pl.DataFrame, since: int) -> set[str]:
    """Encoded keys of those rows whose last change is not ours and is younger than version `since`. Raises ServerError."""
    keys = frame.select(part.part.key)
    if keys.is_empty():
        return set()
    encoded = encode_keys(keys)
    return {
        encoded[int(number)]
        for number, version, context in session.query(versions_query(part, keys))
        if version is not None and int(version) > since and (context is None or bytes(context) != CONTEXT)
    }


def versions_query(part: PartPlan, keys: pl.DataFrame) -> str:
    """T-SQL that asks for the last change of each key: its number here, the version, the context."""
    columns = [part.table.by_name[name] for name in keys.columns]
    rows = ", ".join(
        f"({number}, {', '.join(key_literal(column, value) for column, value in zip(columns, row, strict=True))})"
        for number, row in enumerate(keys.iter_rows())
    )
    places = [f"k{at}" for at in range(len(columns))]
    names, values = ", ".join(bracket(column.name) for column in columns), ", ".join(f"w.{place}" for place in places)
    return " ".join(
        (
            "SELECT w.n, v.SYS_CHANGE_VERSION, v.SYS_CHANGE_CONTEXT",
            f"FROM (VALUES {rows}) AS w (n, {', '.join(places)})",
            f"CROSS APPLY CHANGETABLE(VERSION {part.table.name.quoted}, ({names}), ({values})) AS v",
        )
    )
