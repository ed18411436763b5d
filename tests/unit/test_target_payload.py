"""What is sent for LOAD DATA, to the byte."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from etl.target.payload import binary_columns, load_statement, payload_in_memory


def sent(frame: pl.DataFrame) -> bytes:
    with payload_in_memory(frame) as path:
        return Path(path).read_bytes()


def test_null_empty_and_the_words_for_null_differ() -> None:
    assert sent(pl.DataFrame({"a": [None, "", "NULL", "\\N"]})) == b'NULL\n""\n"NULL"\n"\\N"\n'


def test_text_is_quoted_and_only_quotes_are_doubled() -> None:
    frame = pl.DataFrame({"a": ['say "hi"\t\\ \r\n\x00 '], "b": ["\U0001f600"]})

    assert sent(frame) == '"say ""hi""\t\\ \r\n\x00 "\t"\U0001f600"\n'.encode()


def test_every_type_in_its_exact_form() -> None:
    frame = pl.DataFrame(
        {
            "whole": [-(2**63)],
            "money": pl.Series([Decimal("-922337203685477.5808")], dtype=pl.Decimal(19, 4)),
            "float": [0.1],
            "truth": [True],
            "day": [date(1, 1, 1)],
            "moment": [datetime(9999, 12, 31, 23, 59, 59, 999_999)],
            "zoned": pl.Series([datetime(2026, 1, 1, 8, tzinfo=UTC)]).dt.convert_time_zone("Asia/Shanghai"),
            "clock": [time(23, 59, 59, 1)],
            "bytes": [b"\x00\xff"],
            "kind": pl.Series(["x"], dtype=pl.Categorical),
        }
    )

    assert sent(frame).decode() == (
        '-9223372036854775808\t-922337203685477.5808\t0.1\t1\t"0001-01-01"\t"9999-12-31 23:59:59.999999"\t'
        '"2026-01-01 08:00:00.000000"\t"23:59:59.000001"\t"00ff"\t"x"\n'
    )


def test_binary_columns_become_bytes_on_the_server() -> None:
    frame = pl.DataFrame({"a`b": [1], "c": [b"x"]})

    statement = load_statement("/p", "`t`", frame.columns, binary_columns(frame))

    assert statement.endswith("(`a``b`, @b1) SET `c` = UNHEX(@b1)")


def test_nested_columns_are_refused() -> None:
    with pytest.raises(TypeError, match="column a"):
        sent(pl.DataFrame({"a": [[1, 2]]}))
