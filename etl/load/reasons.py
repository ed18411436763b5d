"""Why the target refused a row, from the number of its error and the kind of the column: never from its text."""

from __future__ import annotations

from typing import Final, Literal

from etl.target.columns import TargetColumn

Family = Literal["text", "number", "time", "other"]

BY_NUMBER: Final[dict[int, str]] = {
    1048: "null_not_allowed",
    1364: "null_not_allowed",  # no default value
    1263: "null_not_allowed",  # NULL for a NOT NULL column, from LOAD DATA
    1406: "too_long",
    1264: "out_of_range",
    1690: "out_of_range",
    1441: "out_of_range",  # datetime overflow
    1062: "duplicate_key",
    1586: "duplicate_key",
    3819: "check_failed",
    4025: "check_failed",  # MariaDB
    8025: "too_large",  # TiDB: entry larger than txn-entry-size-limit
    1153: "too_large",  # packet larger than max_allowed_packet
    1118: "too_large",
    3140: "not_json",
}
BY_FAMILY: Final[dict[int, dict[Family, str]]] = {
    1265: {"text": "too_long", "number": "not_a_number", "time": "bad_date"},
    1366: {"text": "damaged_text", "number": "not_a_number", "time": "bad_date"},
    1292: {"text": "refused_by_target", "number": "not_a_number", "time": "bad_date"},
    1300: {"text": "damaged_text"},
    1411: {"time": "bad_date"},
    1525: {"time": "bad_date", "number": "not_a_number"},
}
FAMILIES: Final[dict[str, Family]] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "date": "time",
    "time": "time",
    "datetime": "time",
}
DATA_ERRORS: Final = frozenset(BY_NUMBER) | frozenset(BY_FAMILY)
"""Errors that speak of a row. Any other stops the load: a missing right is not the row's fault."""


def reason_for(number: int, column: TargetColumn | None) -> str:
    """Reason code of an error or warning number.

    >>> reason_for(1406, None), reason_for(1292, TargetColumn("sold_at", "datetime")), reason_for(9999, None)
    ('too_long', 'bad_date', 'refused_by_target')
    """
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    return BY_FAMILY.get(number, {}).get(family(column), "refused_by_target")


def family(column: TargetColumn | None) -> Family:
    """What kind of value a column holds."""
    if column is None:
        return "other"
    return FAMILIES.get(column.kind, "other")


def column_named(message: str, columns: tuple[TargetColumn, ...]) -> TargetColumn | None:
    """The column an error message names, to show beside the reason (the reason itself never comes from the text).

    >>> column_named("Data too long for column 'name' at row 1", (TargetColumn("name", "text", 40),)).name
    'name'
    """
    for column in columns:
        if any(quoted in message for quoted in (f"'{column.name}'", f".{column.name}'", f"`{column.name}`")):
            return column
    return None
