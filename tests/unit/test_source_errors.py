"""Failures of the source by their number: each with a remedy, none with the server's data."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError, ExitCode
from etl.settings import SourceSettings
from etl.source.address import address_of
from etl.source.connect import choose_driver
from etl.source.errors import CAUSES, describe, number_and_text
from etl.source.gentle import cpu_of


@pytest.mark.parametrize(
    ("number", "words", "transient"),
    [
        (18456, "refused the login", False),
        (4060, "refused the database", False),
        (911, "refused the database", False),
        (229, "lacks a right", False),
        (207, "no such table or column", False),
        (208, "no such table or column", False),
        (300, "how busy", False),
        (3952, "Snapshot isolation was switched off", False),
        (3960, "gave up a read", True),
        (1205, "gave up a read", True),
        (10054, "was lost", True),
        (20047, "was lost", True),
        (20009, "cannot be reached", True),
        (None, "was lost", True),
        (777777, "error 777777", False),
    ],
)
def test_numbers_are_told_apart(number: int | None, words: str, transient: bool) -> None:
    error = describe(number, "secret 13912345678", "db1:1433")
    assert words in error.message
    assert "db1:1433" in error.message
    assert error.transient is transient
    assert error.exit_code is ExitCode.SOURCE
    assert error.remedy


def test_only_texts_that_name_objects_are_shown() -> None:
    assert "13912345678" in describe(208, "Invalid object name '13912345678'.", "s").message
    shown = [number for number in CAUSES if "13912345678" in describe(number, "13912345678", "s").message]
    assert 2627 not in shown
    assert not {1205, 18456, 245, 20003} & set(shown)


def test_every_cause_can_be_told() -> None:
    for number in CAUSES:
        error = describe(number, "text", "server")
        assert "{" not in error.message
        assert len(error.remedy) > 10


def test_numbers_of_pymssql_in_both_shapes() -> None:
    plain = Exception(207, b"Invalid column name 'x'.DB-Lib error message 20018, severity 16:\nGeneral SQL Server error")
    assert number_and_text(plain) == (207, "Invalid column name 'x'.")
    assert number_and_text(Exception((18456, b"Login failed for user 'sa'.DB-Lib error message 20018"))) == (
        18456,
        "Login failed for user 'sa'.",
    )
    assert number_and_text(Exception()) == (None, "")


def test_a_stale_number_of_pymssql_is_not_believed() -> None:
    refused = Exception((18456, b"DB-Lib error message 20009, severity 9:\nUnable to connect\nNet-Lib error during ... (111)\n"))
    assert number_and_text(refused) == (20009, "")
    assert describe(*number_and_text(refused), "db1").transient
    assert number_and_text(Exception((18456, b"Unknown error"))) == (None, "")  # an unknown host name


@pytest.mark.parametrize("url", ["mysql://u:p@h", "mssql://h", "mssql://u:p@", "mssql://u:p@h:port", "text with secret"])
def test_a_bad_url_is_told_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of(SourceSettings(url=SecretStr(url)))
    assert url not in caught.value.message + caught.value.remedy


def test_an_address_never_shows_its_password() -> None:
    address = address_of(SourceSettings(url=SecretStr("mssql://me:hush@db1:1500")))
    assert "hush" not in f"{address} {address!r}"
    assert (address.password, address.port) == ("hush", 1500)


def test_drivers_are_chosen_by_what_is_allowed() -> None:
    url = SecretStr("mssql://u:p@h")
    assert choose_driver(SourceSettings(url=url, driver="plain")) == "pymssql"
    assert choose_driver(SourceSettings(url=url)) in ("mssql-python", "pymssql")


def test_a_record_without_the_figure_tells_nothing() -> None:
    assert cpu_of("<Record/>") is None
    assert cpu_of("not xml") is None
