"""What every connection of ours sets before its first statement, whatever the server's defaults are."""

from __future__ import annotations

from typing import Final, Protocol

MAX_WARNINGS: Final = 65_535
"""The most that MariaDB keeps; TiDB keeps all, and counts to this."""

COMMON: Final = {
    # Times are written and read in UTC.
    "time_zone": "'+00:00'",
    # A key of 0 stays 0; a value that does not fit is an error in every statement but LOAD DATA LOCAL.
    "sql_mode": "'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO'",
    "max_error_count": str(MAX_WARNINGS),
    # A reader that pauses in a large result is not cut off after a minute.
    "net_write_timeout": "3600",
}
TIDB: Final = {
    # Members keep their ids, in a column whose new ids are made by AUTO_RANDOM.
    "allow_auto_random_explicit_insert": "1",
}


class Runs(Protocol):
    """What preparing needs of a driver."""

    def run(self, sql: str) -> tuple[int, int]: ...

    def query(self, sql: str) -> list[tuple[object, ...]]: ...


def prepare_session(driver: Runs) -> bool:
    """Set the session up; return whether the server is a TiDB: told by a variable of its own: its version can be faked."""
    is_tidb = bool(driver.query("SHOW VARIABLES LIKE 'allow_auto_random_explicit_insert'"))
    driver.run(session_statement(is_tidb=is_tidb))
    return is_tidb


def session_statement(*, is_tidb: bool) -> str:
    """The one SET statement of a session.

    >>> session_statement(is_tidb=True).endswith("allow_auto_random_explicit_insert = 1")
    True
    """
    variables = COMMON | TIDB if is_tidb else COMMON
    return "SET SESSION " + ", ".join(f"{name} = {value}" for name, value in variables.items())
