"""What people decided about pairs, membershift.decision: must-link and cannot-link. Nothing is ever deleted, only withdrawn.

Decisions are kept by legacy id, so that they hold whatever member ids do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import polars as pl

from etl.dedupe.labels import KINDS, Link, RecordRef, refuse_contradictions
from etl.load.sql import places, sql
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of
from etl.target.connect import connect_bulk

DecisionKind = Literal["must_link", "cannot_link"]
RecordKey = RecordRef
STANDING: Final = """SELECT decision_id, kind, left_system, left_id, right_system, right_id, decided_at, decided_by, note
FROM {state}.decision WHERE withdrawn_at IS NULL{about} ORDER BY decision_id"""
ABOUT: Final = " AND ((left_system, left_id) IN ({records}) OR (right_system, right_id) IN ({records}))"
FEW_RECORDS: Final = 100
"""Of decisions about more records than this, all are read at once: less work than to follow every chain."""
PAIR_SCHEMA: Final = pl.Schema({"left": pl.Int64(), "right": pl.Int64(), "kind": pl.String()})


@dataclass(frozen=True)
class Decision:
    """One answer about two records, left before right by (system, source_id). `decided_at` (UTC) and `decision_id` come from the
    target."""

    kind: DecisionKind
    left: RecordKey
    right: RecordKey
    decided_by: str
    decided_at: datetime | None = None
    note: str = ""
    decision_id: int = 0

    @property
    def pair(self) -> tuple[RecordKey, RecordKey]:
        """Both records, the lesser first."""
        return (self.left, self.right) if self.left <= self.right else (self.right, self.left)

    def as_link(self) -> Link:
        """As an answer for etl.dedupe.labels."""
        place = f"decision {self.decision_id}" if self.decision_id else "new decision"
        return Link(self.left, self.right, KINDS[self.kind], place)


def read_decisions(settings: Settings) -> tuple[Decision, ...]:
    """All decisions that stand, the oldest first. Raises ServerError."""
    with connect_bulk(settings.target) as connection:
        return standing_decisions(connection, settings.target.state_schema)


def standing_decisions(
    connection: BulkConnection, state_schema: str, about: Collection[RecordKey] | None = None
) -> tuple[Decision, ...]:
    """The same through a connection that is open; only those about one of these records, where they are given."""
    records = sorted(about or ())
    named = [value for record in records for value in (record.system, record.source_id)]
    condition = "" if about is None else ABOUT.format(records=", ".join(["(%s, %s)"] * len(records)))
    return tuple(
        Decision(
            "must_link" if text_of(kind) == "must_link" else "cannot_link",
            RecordKey(text_of(left_system), text_of(left_id)),
            RecordKey(text_of(right_system), text_of(right_id)),
            text_of(by),
            at,
            text_of(note),
            int(number),
        )
        for number, kind, left_system, left_id, right_system, right_id, at, by, note in connection.query(
            sql(STANDING, {"state": state_schema}, about=condition), [*named, *named]
        )
    )


def decisions_around(connection: BulkConnection, state_schema: str, records: Collection[RecordKey]) -> tuple[Decision, ...]:
    """Those that say anything about these records, or about whoever is one with them: all that could contradict an answer about
    them."""
    found: dict[int, Decision] = {}
    reached, new = set(records), set(records)
    while new:
        some = standing_decisions(connection, state_schema, new)
        found |= {decision.decision_id: decision for decision in some}
        new = {record for one in some if one.kind == "must_link" for record in one.pair} - reached
        reached |= new
    return tuple(found[number] for number in sorted(found))


def write_decisions(
    settings: Settings, decisions: Sequence[Decision], withdrawn: Collection[tuple[RecordKey, RecordKey]] = ()
) -> tuple[Decision, ...]:
    """Take back what stands on the pairs `withdrawn` and add decisions, in one transaction; return those written, with their ids.

    A standing decision on the same pair is withdrawn first; one of the same kind stands as it is, and nothing is written. Raises
    RefusedError, with the chain, when the decisions that would then stand contradict each other.
    """
    with connect_bulk(settings.target) as connection, connection.transaction():
        take_back_pairs(connection, settings.target.state_schema, withdrawn)
        return add_decisions(connection, settings.target.state_schema, decisions)


def add_decisions(connection: BulkConnection, state_schema: str, decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The same inside the caller's transaction, without withdrawing."""
    records = {record for decision in decisions for record in decision.pair}
    few = len(records) <= FEW_RECORDS
    found = decisions_around(connection, state_schema, records) if few else standing_decisions(connection, state_schema)
    standing = {decision.pair: decision for decision in found}
    wanted = {decision.pair: decision for decision in decisions}  # of several on one pair the last counts
    new = [decision for pair, decision in wanted.items() if pair not in standing or standing[pair].kind != decision.kind]
    kept = [decision for pair, decision in standing.items() if pair not in {one.pair for one in new}]
    refuse_contradictions([decision.as_link() for decision in (*kept, *new)])
    take_back(connection, state_schema, [standing[one.pair].decision_id for one in new if one.pair in standing])
    return tuple(insert_decision(connection, state_schema, decision) for decision in new)


def insert_decision(connection: BulkConnection, state_schema: str, decision: Decision) -> Decision:
    """Write one; return it with its id."""
    left, right = decision.pair
    connection.execute(
        sql(
            "INSERT INTO {state}.decision (kind, left_system, left_id, right_system, right_id, decided_at, decided_by, note)"
            " VALUES (%s, %s, %s, %s, %s, UTC_TIMESTAMP(6), %s, %s)",
            {"state": state_schema},
        ),
        (decision.kind, left.system, left.source_id, right.system, right.source_id, decision.decided_by, decision.note or None),
    )
    number = int(connection.scalar("SELECT LAST_INSERT_ID()"))
    return replace(decision, left=left, right=right, decision_id=number)


def withdraw_decisions(settings: Settings, ids: Sequence[int]) -> int:
    """Decisions that no longer hold; returns how many of them stood."""
    with connect_bulk(settings.target) as connection, connection.transaction():
        return take_back(connection, settings.target.state_schema, ids)


def withdraw_pairs(settings: Settings, pairs: Collection[tuple[RecordKey, RecordKey]]) -> int:
    """What stands on these pairs no longer holds; returns how many did. Each pair with the lesser record first."""
    with connect_bulk(settings.target) as connection, connection.transaction():
        return take_back_pairs(connection, settings.target.state_schema, pairs)


def take_back_pairs(connection: BulkConnection, state_schema: str, pairs: Collection[tuple[RecordKey, RecordKey]]) -> int:
    """The same inside the caller's transaction."""
    if not pairs:
        return 0
    standing = standing_decisions(connection, state_schema)
    return take_back(connection, state_schema, [decision.decision_id for decision in standing if decision.pair in pairs])


def take_back(connection: BulkConnection, state_schema: str, ids: Sequence[int]) -> int:
    """The same inside the caller's transaction."""
    if not ids:
        return 0
    return connection.execute(
        sql(
            "UPDATE {state}.decision SET withdrawn_at = UTC_TIMESTAMP(6) WHERE withdrawn_at IS NULL AND decision_id IN ({ids})",
            {"state": state_schema},
            ids=places(len(ids)),
        ),
        tuple(ids),
    )


def as_record_pairs(decisions: Sequence[Decision], records: pl.DataFrame) -> pl.DataFrame:
    """Decisions by record number (PAIR_SCHEMA), left < right; those on records that are not there are left out.

    `records` has record, system, source_id.
    """
    if not decisions:
        return pl.DataFrame(schema=PAIR_SCHEMA)
    frame = pl.DataFrame(
        [(one.kind, one.left.system, one.left.source_id, one.right.system, one.right.source_id) for one in decisions],
        schema=["kind", "left_system", "left_id", "right_system", "right_id"],
        orient="row",
    )
    numbers = records.select("record", "system", "source_id")
    for side in ("left", "right"):
        frame = frame.join(
            numbers.rename({"record": side, "system": f"{side}_system", "source_id": f"{side}_id"}),
            on=[f"{side}_system", f"{side}_id"],
            how="inner",
        )
    low, high = pl.min_horizontal("left", "right"), pl.max_horizontal("left", "right")
    return frame.select(low.alias("left"), high.alias("right"), "kind").filter(pl.col("left") != pl.col("right")).sort(pl.all())
