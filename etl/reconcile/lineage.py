"""Lineage of repaired golden records: says which legacy record each value is from, and is renewed with the row it is about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.sql import places, sql
from etl.reconcile.merged import read_lineage
from etl.reconcile.plan import PART
from etl.reconcile.rows import Comparison
from etl.reconcile.second_look import Now, corrections_now
from etl.target.bulk import BulkConnection

FORGET: Final = "DELETE FROM {state}.golden_field WHERE member_id IN ({ids})"
TELL: Final = "INSERT INTO {state}.golden_field (member_id, column_name, rule, system, source_id) VALUES {rows}"


@dataclass(frozen=True)
class Lineage:
    """Of the golden records to be repaired (`members`), by what their legacy rows say now. `told`: rows of golden_field."""

    state_schema: str
    members: frozenset[int]
    told: pl.DataFrame

    def renew(self, target: BulkConnection, members: Collection[int]) -> None:
        """Put it in place of what was told of these members, inside the caller's transaction; others are left alone."""
        ids = sorted(self.members & set(members))
        if not ids:
            return
        names = {"state": self.state_schema}
        target.execute(sql(FORGET, names, ids=places(len(ids))), tuple(ids))
        rows = self.told.filter(pl.col("member_id").is_in(ids)).rows()
        if rows:
            one = f"({places(self.told.width)})"
            target.execute(sql(TELL, names, rows=", ".join([one] * len(rows))), tuple(value for row in rows for value in row))


def lineage_of(now: Now, comparison: Comparison) -> Lineage | None:
    """What to tell of the golden records that a repair of this table writes; None when it writes none."""
    plan, findings = comparison.plan, comparison.findings
    if now.merged is None or not plan.defines_members:
        return None
    frames = [rows.frame for rows in (findings.changed_expected, findings.missing) if not rows.frame.is_empty()]
    golden = [frame.filter(pl.col(PART).is_null())[plan.key[0]] for frame in frames]
    members = pl.concat(golden).unique() if golden else pl.Series(dtype=pl.Int64)
    if members.is_empty():
        return None
    expectation = now.expectation(plan, corrections_now(now, comparison))
    told = read_lineage(now.merged, now.open_source, expectation, members, now.batch_rows)
    return Lineage(now.state_schema, frozenset(members.to_list()), told)
