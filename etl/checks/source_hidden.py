"""What the server hides from this login: masked columns and filtered rows read without an error, and are not the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from etl.checks.model import CheckResult
from etl.names import bracket
from etl.settings import SourceSettings
from etl.source.address import address_of
from etl.source.catalog import Asks, open_databases
from etl.source.hidden import filtered_tables, hides_anything, masked_columns

SHOWN: Final = 5


def check_hidden(source: Asks, settings: SourceSettings) -> Iterator[CheckResult]:
    """Masks must not be there for this login; of a policy it cannot be told here what it lets through."""
    if not hides_anything(source):
        yield CheckResult("masks and row filters", "source", "ok", "The server has neither: it is older than 2016.")
        return
    databases = open_databases(source, settings.databases)
    user = bracket(address_of(settings).user)
    masked = [f"{table}.{column}" for table, columns in masked_columns(source, databases).items() for column in columns]
    if masked:
        lacking = (("count", str(len(masked))), ("shown", shorten(masked)), ("user", user))
        found = "{count} columns show a mask instead of their values: {shown}."
        remedy = "Run in each of these databases: GRANT UNMASK TO {user}"
        yield CheckResult("masks and row filters", "source", "fail", found, remedy, lacking)
    filtered = [f"{table} ({', '.join(policies)})" for table, policies in filtered_tables(source, databases).items()]
    if filtered:
        values = (("count", str(len(filtered))), ("shown", shorten(filtered)))
        found = "Row-level security may hide rows of {count} tables: {shown}."
        remedy = "Let the policies' predicates pass every row to this login, and compare the counts with those of an owner."
        yield CheckResult("masks and row filters", "source", "warn", found, remedy, values)
    if not masked and not filtered:
        yield CheckResult("masks and row filters", "source", "ok", "None that concerns this login.")


def shorten(names: list[str]) -> str:
    """The first names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
