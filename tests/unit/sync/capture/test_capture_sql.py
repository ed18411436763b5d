"""The statements of capture as text, and the decisions that no engine is needed for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from etl.errors import RefusedError
from etl.mapping.sync_rules import SyncRules
from etl.reconcile.plan import TablePlan
from etl.sync.capture.deletes import cannot_know, keys_at, seconds
from etl.sync.capture.marks import lock, update
from etl.sync.capture.outbox import decode_entries, read_key
from etl.sync.capture.rows import DIRTY, microseconds, moment, select_rows
from etl.sync.capture.scan import after
from etl.sync.capture.watermark import TIDB_WATERMARK, low_watermark
from etl.sync.plan import SyncTable
from etl.target.columns import TargetColumn
from etl.target.errors import ServerError

COLUMNS = (
    TargetColumn("sale_no", "text", length=20),
    TargetColumn("line_no", "integer", precision=32),
    TargetColumn("weight", "float", precision=32, type_name="float"),
)
LINE = SyncTable(TablePlan("line", ("sale_no", "line_no"), COLUMNS, (), ()), SyncRules())
MEMBER = SyncTable(
    TablePlan("member", ("id",), (TargetColumn("id", "integer", precision=64),), (), (), redirects=True), SyncRules()
)


class Answers:
    """A TiDB that gives prepared answers: a node that is silent cannot be had on one machine."""

    is_tidb = True

    def __init__(self, *answers: tuple[Any, ...]) -> None:
        self.answers = list(answers)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return [self.answers.pop(0)]


def test_now_is_asked_before_the_lists() -> None:
    # TiDB fixes NOW() where it first meets it: behind a slow list it would be later than what the list shows.
    assert TIDB_WATERMARK.split(",")[0] == "SELECT NOW(6)"
    assert TIDB_WATERMARK.index("cluster_tidb_trx") < TIDB_WATERMARK.index("cluster_processlist")


@pytest.mark.parametrize(
    ("warnings", "session", "known"),
    [(0, 7, True), (1, 7, False), (0, 8, False)],
    ids=["all answered", "a node is silent", "lost"],
)
def test_a_silent_node_or_a_lost_connection_keeps_the_old_watermark(warnings: int, session: int, known: bool) -> None:
    now = datetime(2026, 11, 11, 0, 0, 10)
    target: Any = Answers((now, "2026-11-11 00:00:08.000001", None, 7), (warnings, session))
    found = low_watermark(target, 2_000_000)
    if known:
        assert found.value_us == microseconds(datetime(2026, 11, 11, 0, 0, 6, 1))
        assert found.held_by == "transaction"
    else:
        assert found.value_us is None
        assert found.advance(5) == 5


def test_the_watermark_never_goes_back_nor_past_what_was_left() -> None:
    target: Any = Answers((datetime(2026, 1, 1), None, None, 1), (0, 1))
    found = low_watermark(target)
    assert found.value_us is not None
    assert found.advance(found.value_us + 5) == found.value_us + 5
    minute = 60_000_000
    assert found.advance(found.value_us + minute) == found.value_us, "the clock was set back: follow it"
    assert found.advance(0, left_us=7) == 7
    assert found.advance(9, left_us=7) == 9


def test_rows_are_read_by_way_of_the_index() -> None:
    assert select_rows("m", LINE, DIRTY) == (
        "SELECT `sale_no`, `line_no`, CAST(`weight` AS DOUBLE), `updated_at`, `synced_at` FROM `m`.`line` "
        "FORCE INDEX (`ix_sync`) WHERE (synced_at IS NULL OR updated_at <> synced_at)"
    )
    assert "`merged_into`" in select_rows("m", MEMBER, DIRTY)


def test_a_page_begins_behind_the_last_row_of_the_one_before() -> None:
    last = pl.DataFrame({"sale_no": ["S"], "line_no": [2], "updated_at": [datetime(2026, 1, 1, 0, 0, 0, 7)]})
    condition, values = after(LINE, 0, last)
    at = "2026-01-01 00:00:00.000007"
    assert condition == ("updated_at >= %s AND (updated_at > %s OR (`sale_no` > %s OR (`sale_no` = %s AND (`line_no` > %s))))")
    assert values == (at, at, "S", "S", 2)
    assert after(LINE, 5, None) == ("updated_at >= %s", ("1970-01-01 00:00:00.000005",))
    assert moment(microseconds(datetime(2026, 1, 1, 0, 0, 0, 7))) == at


def test_a_mark_locks_without_waiting_and_keeps_the_time() -> None:
    assert lock("m", LINE, 1, "NOWAIT") == (
        "SELECT `sale_no`, `line_no`, updated_at FROM `m`.`line` WHERE (`sale_no`, `line_no`) IN ((%s, %s)) "
        "ORDER BY `sale_no`, `line_no` FOR UPDATE NOWAIT"
    )
    assert update("m", MEMBER, 2) == (
        "UPDATE `m`.`member` SET synced_at = updated_at, updated_at = updated_at WHERE (`id`) IN ((%s), (%s))"
    )


def test_keys_of_a_past_time_are_not_read_by_way_of_the_dirty_index() -> None:
    assert keys_at("m", MEMBER, datetime(2026, 1, 1, 0, 0, 0, 5), "TRUE") == (
        "SELECT `id` FROM `m`.`member` AS OF TIMESTAMP '2026-01-01 00:00:00.000005' USE INDEX () WHERE TRUE ORDER BY `id`"
    )
    assert [seconds(text) for text in ("10m0s", "1h0m5s", "72h0m0s")] == [600, 3605, 259_200]
    for number in (9006, 1146, 1054):
        assert isinstance(cannot_know(ServerError(number, "", ""), LINE), RefusedError)
    assert not isinstance(cannot_know(ServerError(2013, "", ""), LINE), RefusedError)


@pytest.mark.parametrize("text", ["", "[1", "[1, 2]", '{"id": 1, "x": 2}', "[null]", "[true]", "[1.5]", "[[1]]", "{}"])
def test_an_entry_of_the_outbox_that_names_no_key_is_unreadable(text: str) -> None:
    assert read_key(("id",), text) is None
    assert decode_entries(MEMBER, [(9, text)])[1:] == ({}, (9,))


def test_entries_of_one_row_are_one_key() -> None:
    keys, ids, unreadable = decode_entries(LINE, [(1, '["A", 1]'), (2, b'{"line_no": "1", "sale_no": "A"}'), (3, '["A", "x"]')])
    assert keys.rows() == [("A", 1)]
    assert (ids, unreadable) == ({"A\x1f1": (1, 2)}, (3,))
