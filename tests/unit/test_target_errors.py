"""Errors of the target: by number, with a remedy, and without any value."""

from __future__ import annotations

import pymysql
import pytest

from etl.errors import ExitCode
from etl.target.errors import CONFLICTS, LOST, classify, describe


@pytest.mark.parametrize("number", sorted({1021, 1044, 1045, 1049, 1142, 1148, 1227, 2003, 2006, 2013, 2026, 9007}))
def test_known_numbers_have_a_remedy_of_their_own(number: int) -> None:
    error = describe(number)

    assert str(number) in error.message
    assert "Look up error" not in error.remedy
    assert error.exit_code == ExitCode.TARGET


def test_a_phone_number_in_a_servers_text_is_not_repeated() -> None:
    error = classify(pymysql.err.IntegrityError(1062, "Duplicate entry '13912345678' for key 'ix_phone'"))

    assert "139" not in error.message + error.remedy


@pytest.mark.parametrize("number", [1105, 1292, 1366, 1406, 3140, 8141, 65000])
def test_the_text_of_an_unlisted_error_is_not_repeated(number: int) -> None:
    error = classify(pymysql.err.DataError(number, "Incorrect value: '13912345678'"))

    assert "139" not in error.message + error.remedy
    assert str(number) in error.message


def test_names_of_tables_are_told() -> None:
    error = classify(pymysql.err.ProgrammingError(1054, "Unknown column 'fone' in 'field list'"))

    assert "Unknown column 'fone'" in error.message


def test_a_syntax_error_is_cut_before_the_statement_it_quotes() -> None:
    text = "You have an error in your SQL syntax; check the manual line 1 column 5 near \"'13912345678')\""

    assert "139" not in classify(pymysql.err.ProgrammingError(1064, text)).message


def test_the_design_lists_what_is_tried_again() -> None:
    """DESIGN.md 6: retry these, and nothing else; the rest of `LOST` are other words for a connection that is gone."""
    assert frozenset({8002, 8005, 8022, 8028, 9007, 1213, 1205}) == CONFLICTS
    assert {2013, 2006, 2003, 2055} <= LOST
    assert not any(describe(number).transient for number in (1062, 1045, 1142, 1317, 1406, 8004, 9005))


def test_a_closed_pymysql_connection_counts_as_lost() -> None:
    assert classify(pymysql.err.InterfaceError(0, "")).lost
