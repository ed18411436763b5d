"""LOAD DATA damages what it does not like: every such row must be told, so that the caller can take it back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import polars as pl
import pytest

from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

GOOD = {"id": 1, "s": "a", "d": Decimal("1.50"), "n": 1, "u": 1, "f": 1.5}
TYPES = {
    "id": pl.Int64(),
    "s": pl.String(),
    "d": pl.Decimal(19, 4),
    "n": pl.Int64(),
    "u": pl.Int64(),
    "f": pl.Float64(),
}


@pytest.fixture
def narrow(bulk: BulkConnection) -> BulkConnection:
    bulk.execute(
        "CREATE TABLE narrow (id BIGINT PRIMARY KEY, s VARCHAR(5) NOT NULL, d DECIMAL(6,2), n TINYINT, u INT UNSIGNED, f DOUBLE)"
        " DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin"
    )
    return bulk


def frame(*rows: Mapping[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{**GOOD, "id": number, **row} for number, row in enumerate(rows)], schema=TYPES, orient="row")


@pytest.mark.parametrize(
    "bad",
    [
        {"s": "toolong"},
        {"s": "aaaaa "},
        {"s": None},
        {"d": Decimal("99999.99")},
        {"d": Decimal("1.5550")},
        {"n": 128},
        {"u": -1},
        {"f": float("nan")},
        {"f": float("inf")},
        {"id": None},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_told_and_can_be_undone(narrow: BulkConnection, bad: dict[str, object]) -> None:
    narrow.begin()
    outcome = narrow.load_rows("narrow", list(TYPES), frame({}, bad, {}))
    narrow.rollback()

    assert not outcome.clean
    assert outcome.warnings >= 1
    assert outcome.warning_list
    assert narrow.scalar("SELECT COUNT(*) FROM narrow") == 0


def test_rows_are_named_where_the_server_names_them(narrow: BulkConnection) -> None:
    narrow.begin()
    outcome = narrow.load_rows("narrow", list(TYPES), frame(*({"s": "toolong"} if row % 100 == 7 else {} for row in range(1000))))
    narrow.rollback()

    assert outcome.suspects == tuple(range(7, 1000, 100))
    assert {warning.code for warning in outcome.warning_list} == {1265}


def test_a_duplicate_is_skipped_and_told(narrow: BulkConnection) -> None:
    narrow.begin()
    outcome = narrow.load_rows("narrow", list(TYPES), frame({}, {"id": 0}, {}))
    narrow.rollback()

    assert (outcome.rows, outcome.skipped) == (2, 1)
    assert [warning.code for warning in outcome.warning_list] == [1062]


def test_a_frame_of_nothing_but_bad_rows_names_them_all(narrow: BulkConnection) -> None:
    narrow.begin()
    outcome = narrow.load_rows("narrow", list(TYPES), frame(*({"s": "toolong"} for _ in range(1500))))
    narrow.rollback()

    assert outcome.warnings == 1500
    assert outcome.suspects == tuple(range(1500))


def test_nothing_is_sent_when_the_server_would_keep_silent(narrow: BulkConnection) -> None:
    narrow.execute("CREATE TABLE silent (id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, c CHAR(5))")
    narrow.begin()
    outcome = narrow.load_rows("silent", ["id", "c"], pl.DataFrame({"id": [1, None, 3], "c": ["a", "b", "c "]}))

    assert outcome.suspects == (1, 2)
    assert (outcome.rows, outcome.clean) == (0, False)
    assert narrow.scalar("SELECT COUNT(*) FROM silent") == 0
    narrow.rollback()


def test_a_wrong_type_is_a_bug_of_the_caller(narrow: BulkConnection) -> None:
    narrow.begin()
    with pytest.raises(TypeError, match="column n"):
        narrow.load_rows("narrow", ["n"], pl.DataFrame({"n": [1.5]}))


def test_a_load_outside_a_transaction_is_refused(narrow: BulkConnection) -> None:
    with pytest.raises(RuntimeError):
        narrow.load_rows("narrow", list(TYPES), frame({}))


def test_a_missing_table_is_told_by_its_number(narrow: BulkConnection) -> None:
    narrow.begin()
    with pytest.raises(ServerError) as caught:
        narrow.load_rows("nowhere", list(TYPES), frame({}))
    assert caught.value.number == 1146


def test_warnings_hold_no_value(narrow: BulkConnection) -> None:
    narrow.begin()
    outcome = narrow.load_rows("narrow", list(TYPES), frame({"s": "13912345678"}, {"id": 0}))
    narrow.rollback()

    assert "139" not in repr(outcome)
