"""Eight bytes that stand for a value: what both sides last had in common is kept as these, a seventh of the rows themselves."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

WIDTH: Final = 8
NOTHING: Final = bytes(WIDTH)
"""Stands for a column that is unknown. No value has it: one in 2**64 would be taken for another."""


@lru_cache(maxsize=8192, typed=True)
def digest(value: Any) -> bytes:
    """The digest of a value as polars gives it. A decimal counts by its value, whatever its zeros; 1 and "1" differ.

    >>> digest(Decimal("1.50")) == digest(Decimal("1.5000")), digest(1) == digest("1"), digest(None) == digest("")
    (True, False, False)
    """
    return hashlib.blake2b(canonical(value), digest_size=WIDTH).digest()


def canonical(value: Any) -> bytes:
    """A value as bytes: its kind, then its text."""
    if value is None:
        return b"n"
    if isinstance(value, bool):
        return b"i1" if value else b"i0"
    if isinstance(value, int):
        return b"i%d" % value
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, Decimal):
        return b"d" + format(value.normalize(), "f").encode()
    if isinstance(value, float):
        return b"f" + repr(value).encode()
    if isinstance(value, datetime | date | time):
        return b"t" + value.isoformat().encode()
    if isinstance(value, bytes):
        return b"b" + value
    raise TypeError(f"a value of type {type(value).__name__} cannot be kept in step")


def pack(columns: tuple[str, ...], base: dict[str, bytes]) -> bytes:
    """Digests in the order of `columns`, for sync_base.hashes."""
    return b"".join(base.get(column, NOTHING) for column in columns)


def pack_rows(rows: pl.DataFrame, columns: tuple[str, ...]) -> list[bytes]:
    """The same for every row of a frame, a column at a time."""
    digests = [[digest(value) for value in rows[column]] for column in columns]
    return [b"".join(parts) for parts in zip(*digests, strict=True)]


def unpack(columns: tuple[str, ...], packed: bytes) -> dict[str, bytes]:
    """The reverse; columns that are unknown are left out."""
    parts = (packed[at : at + WIDTH] for at in range(0, len(packed), WIDTH))
    return {column: part for column, part in zip(columns, parts, strict=False) if part != NOTHING}
