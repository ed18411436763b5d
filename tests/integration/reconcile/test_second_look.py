"""An extra row may have its legacy row at the second look: it is asked for by key, or by reading keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
import pytest

from etl.reconcile.by_key import LookupNow
from etl.reconcile.expected import Expectation, read_lookups
from etl.reconcile.legacy_keys import read_expected_of
from etl.reconcile.run import plan_comparison
from etl.settings import Settings
from etl.source.connect import open_source
from etl.source.session import Session
from etl.target.bulk import BulkConnection


@dataclass
class Listening:
    """A source connection that remembers what was asked."""

    session: Session
    asked: list[str] = field(default_factory=list)

    def arrow_batches(self, sql: str, schema: pa.Schema | None = None, batch_rows: int = 1000) -> Iterator[pa.RecordBatch]:
        self.asked.append(sql)
        yield from self.session.arrow_batches(sql, schema, batch_rows)


@pytest.mark.parametrize("table", ["points_ledger", "sale", "sale_line", "member", "store"])
def test_the_legacy_rows_of_some_keys_are_found(moved: Settings, target: BulkConnection, table: str) -> None:
    """The same rows as reading everything, and no column but those of the key is read of rows that are not wanted."""
    with open_source(moved.source) as source:
        (plan,) = plan_comparison(moved, source, (table,)).tables
        names = ", ".join(plan.key)
        keys = pl.DataFrame(
            target.query(f"SELECT {names} FROM {table} ORDER BY {names} DESC LIMIT 3"),
            schema={name: plan.schema[name] for name in plan.key},
            orient="row",
        )
        expectation = Expectation(plan, LookupNow(target, moved.target.schema_name))
        for part in plan.parts:
            with source.snapshot(part.part.source.database) as snapshot:
                listening = Listening(snapshot.session)
                beside = read_lookups(snapshot.session, part, 5000)
                some = list(read_expected_of(listening, expectation, part, beside, keys, 5000))
                everything = list(expectation.read(snapshot.session, part, beside, 5000))
            wanted = [batch.rows.join(keys, on=list(plan.key), how="semi") for batch in everything]
            found = [batch.rows.join(keys, on=list(plan.key), how="semi") for batch in some]
            assert sum(map(len, found)) == sum(map(len, wanted))
            if sum(map(len, found)):
                order = list(plan.key)
                assert pl.concat(found).sort(order).equals(pl.concat(wanted).sort(order))
            for sql in listening.asked:
                selected = sql[: sql.index(" FROM ")].count("[")
                assert " WHERE " in sql or selected <= 2 * len(plan.key) + 1, sql
