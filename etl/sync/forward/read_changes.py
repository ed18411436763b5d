"""Net changes of a legacy table since a version, each with its row as it is now, in key order, so many at a time.

One statement joins the changes to the table, so that a row and what is told of it are of one instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import polars as pl
import pyarrow as pa

from etl.names import bracket
from etl.reconcile.by_key import key_literal
from etl.reconcile.expected import ReadsArrow
from etl.reconcile.plan import PartPlan, decode_keys, encode_keys
from etl.source.catalog import Table
from etl.source.extract import DAMAGED_SUFFIX, OFFSET_SUFFIX, SelectItem, canonical_schema, select_list
from etl.sync.model import CONTEXT, DELETED, KEY, OURS, VERSION

THERE: Final = "__there"
CONTEXT_COLUMN: Final = "__context"


def read_tracked(session: ReadsArrow, part: PartPlan, since: int, after: str | None, rows: int) -> pl.DataFrame:
    """At most `rows` changes after version `since`, of keys after `after` (as KEY has them): KEY, DELETED, OURS, VERSION, and the
    columns of the part's rows, NULL where the row is gone.

    The key's order is the server's. Raises ServerError.
    """
    schema = change_schema(part)
    sql = tracked_statement(part, since, after, rows)
    return told_changes(part, read_all(session, sql, schema))


def read_all(session: ReadsArrow, sql: str, schema: pa.Schema) -> pl.DataFrame:
    """All rows of a bounded read."""
    batches = list(session.arrow_batches(sql, schema))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, schema)))


def tracked_statement(part: PartPlan, since: int, after: str | None, rows: int) -> str:
    """The T-SQL. The changes' own columns have names of ours, so that those of the table need no alias."""
    table = part.table
    name = f"{bracket(table.name.schema)}.{bracket(table.name.name)}"
    keys = part.part.key
    changes = ", ".join(f"c.{bracket(key)} AS {bracket(key_name(place))}" for place, key in enumerate(keys))
    items = ", ".join(written(item) for item in (*key_items(part), *select_list(table)))
    same = " AND ".join(f"t.{bracket(key)} = ct.{bracket(key_name(place))}" for place, key in enumerate(keys))
    order = ", ".join(f"ct.{bracket(key_name(place))}" for place in range(len(keys)))
    parts = [
        f"SELECT TOP ({int(rows)})",
        f"CASE WHEN t.{bracket(keys[0])} IS NULL THEN 0 ELSE 1 END AS {bracket(THERE)},",
        f"CASE WHEN ct.{bracket(CONTEXT_COLUMN)} = 0x{CONTEXT.hex()} THEN 1 ELSE 0 END AS {bracket(OURS)},",
        f"ct.{bracket(VERSION)}, {items}",
        f"FROM (SELECT {changes}, c.SYS_CHANGE_VERSION AS {bracket(VERSION)}, c.SYS_CHANGE_CONTEXT AS {bracket(CONTEXT_COLUMN)}",
        f"FROM CHANGETABLE(CHANGES {name}, {int(since)}) AS c) AS ct",
        f"LEFT JOIN {name} AS t ON {same}",
    ]
    if after is not None:
        parts.append(f"WHERE {beyond(part, after, [f'ct.{bracket(key_name(place))}' for place in range(len(keys))])}")
    return " ".join((*parts, f"ORDER BY {order}"))


def beyond(part: PartPlan, after: str, columns: Sequence[str]) -> str:
    """Keys after this one, in the server's order. `columns`: the key's columns as T-SQL names them."""
    types = part.key_schema
    (values,) = decode_keys(pl.Series([after]), types).rows()
    alternatives: list[str] = []
    literals = [key_literal(part.table.by_name[key], value) for key, value in zip(types, values, strict=True)]
    for place, column in enumerate(columns):
        same = [f"{columns[before]} = {literals[before]}" for before in range(place)]
        alternatives.append(" AND ".join((*same, f"{column} > {literals[place]}")))
    return " OR ".join(f"({alternative})" for alternative in alternatives)


def key_name(place: int) -> str:
    """What a key column of the changes is called."""
    return f"__k{place}"


def key_table(part: PartPlan) -> Table:
    """The key columns as a table of their own, under our names."""
    columns = tuple(replace(part.table.by_name[key], name=key_name(place)) for place, key in enumerate(part.part.key))
    return replace(part.table, columns=columns, key=())


def key_items(part: PartPlan) -> list[SelectItem]:
    """What reads the key, without what stands beside it."""
    return [item for item in select_list(key_table(part)) if not item.name.endswith((DAMAGED_SUFFIX, OFFSET_SUFFIX))]


def written(item: SelectItem) -> str:
    """An item of a select list."""
    return item.expression if item.expression == bracket(item.name) else f"{item.expression} AS {bracket(item.name)}"


def change_schema(part: PartPlan) -> pa.Schema:
    """Types of what `tracked_statement` reads."""
    keys = canonical_schema(key_table(part))
    return pa.schema(
        [
            pa.field(THERE, pa.int32()),
            pa.field(OURS, pa.int32()),
            pa.field(VERSION, pa.int64()),
            *(keys.field(item.name) for item in key_items(part)),
            *canonical_schema(part.table),
        ]
    )


def told_changes(part: PartPlan, read: pl.DataFrame) -> pl.DataFrame:
    """What was read, with one KEY in place of the key's columns."""
    keys = read.select(pl.col(key_name(place)).alias(key) for place, key in enumerate(part.part.key))
    return read.select(
        encode_keys(keys).alias(KEY),
        (pl.col(THERE) == 0).alias(DELETED),
        (pl.col(OURS) == 1).alias(OURS),
        VERSION,
        *(item.name for item in select_list(part.table)),
    )
