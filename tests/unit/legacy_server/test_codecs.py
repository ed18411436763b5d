"""Values on the wire: the encoder of whole columns against the one of single values, and both against the reader."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.legacy_server import temporal
from fixtures.legacy_server.encode import encode_rows
from fixtures.legacy_server.errors import TdsError
from fixtures.legacy_server.rawrows import locate
from fixtures.legacy_server.sqltypes import INTEGER_RANGE, SqlType, parse_type
from fixtures.legacy_server.tokens import OutColumn, type_info
from fixtures.legacy_server.values import guid_from_text, guid_text
from fixtures.legacy_server.wire_values import Cursor, read_value, write_value

CP936 = st.text(st.sampled_from("aZ9 张三é"), max_size=10)
WIDE = st.text(st.characters(exclude_categories=()), max_size=10)
FIRST_DATETIME = temporal.LIMITS["datetime"][0]
MOMENTS = st.integers(*temporal.LIMITS["datetime2"])


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    return st.integers(-top, top).map(lambda number: Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale)))


KINDS: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.integers(*limits) for name, limits in INTEGER_RANGE.items()},
    "decimal(5,2)": decimals(5, 2),
    "decimal(18,0)": decimals(18, 0),
    "decimal(38,10)": decimals(38, 10),
    "money": decimals(18, 4),
    "smallmoney": decimals(9, 4),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "date": MOMENTS.map(lambda ticks: ticks - ticks % temporal.DAY),
    "time(7)": st.integers(*temporal.LIMITS["time"]),
    "datetime": st.integers(0, 3_000_000 * 25_920_000).map(lambda n: FIRST_DATETIME + temporal.from_three_hundredths(n)),
    "datetime2(7)": MOMENTS,
    "datetime2(0)": MOMENTS.map(lambda ticks: ticks - ticks % temporal.SECOND),
    "datetimeoffset(7)": st.tuples(MOMENTS, st.integers(-840, 840)),
    "uniqueidentifier": st.binary(min_size=16, max_size=16),
    "varchar(40)": CP936,
    "varchar(max)": CP936,
    "nvarchar(40)": WIDE,
    "nvarchar(max)": WIDE,
    "varbinary(20)": st.binary(max_size=20),
    "varbinary(max)": st.binary(max_size=20),
}


def as_stored(value: Any, kind: SqlType) -> bytes | None:
    """A value as MariaDB's text protocol would send it."""
    if value is None:
        return None
    if kind.is_text:
        return bytes(value.encode("utf-16-be", "surrogatepass"))
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return f"{value[0]}.{value[1] + 5000:04d}".encode()
    if kind.name == "float":
        return repr(value).encode()
    return f"{value:f}".encode() if isinstance(value, Decimal) else str(value).encode()


def packet(values: list[bytes | None]) -> tuple[bytes, np.ndarray[Any, np.dtype[np.int64]]]:
    """Rows of one column in the text protocol, and where each begins."""
    out, starts = b"", []
    for value in values:
        starts.append(len(out))
        if value is None:
            out += b"\xfb"
        else:
            out += (bytes([len(value)]) if len(value) < 251 else b"\xfc" + struct.pack("<H", len(value))) + value
    return out, np.array(starts, np.int64)


@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_columns_and_single_values_are_encoded_alike(name: str, data: st.DataObject) -> None:
    kind = parse_type(name)
    values = data.draw(st.lists(st.none() | KINDS[name], min_size=1, max_size=8))
    chunk, starts = packet([as_stored(value, kind) for value in values])
    encoded = bytes(encode_rows(locate(chunk, starts, 1), (OutColumn("c", kind),)))
    assert encoded == b"".join(b"\xd1" + write_value(kind, value) for value in values)
    position = 0
    for value in values:  # and a client that reads it gets the value back
        one = write_value(kind, value)
        read, found = read_value(Cursor(type_info(kind) + one))
        assert read.name in (kind.name, "datetime")
        assert found == value
        position += 1 + len(one)
    assert position == len(encoded)


def test_a_row_of_several_columns_keeps_their_order() -> None:
    kinds = [parse_type(name) for name in ("int", "nvarchar(5)", "bit", "varchar(5)")]
    row = b"\x015" + b"\x04\x4e\x2d\x00a" + b"\x011" + b"\x02\x4e\x2d"
    encoded = encode_rows(locate(row * 2, np.array([0, len(row)]), 4), tuple(OutColumn("c", kind) for kind in kinds))
    one = b"\xd1\x04\x05\0\0\0" + b"\x04\0\x2d\x4ea\0" + b"\x01\x01" + b"\x02\0" + "中".encode("gbk")
    assert bytes(encoded) == one * 2


def test_a_number_beyond_its_type_is_an_overflow() -> None:
    chunk, starts = packet([b"2147483648"])
    with pytest.raises(TdsError) as caught:
        encode_rows(locate(chunk, starts, 1), (OutColumn("c", parse_type("int")),))
    assert caught.value.number == 8115


def test_guids_are_stored_in_the_order_that_sorts_them() -> None:
    text = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
    assert guid_from_text(text).hex() == "00c04fc964ff" + "b42d" + "d011" + "8b86" + "6f9619ff"
    assert guid_text(guid_from_text(text)) == text
