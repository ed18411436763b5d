"""What both sides last had in common, row by row: sync_base, read and written in the transaction of the row itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from etl.load.sql import places, sql
from etl.sync.digest import pack, unpack
from etl.target.bulk import BulkConnection
from etl.target.columns import text_of

KEYS_A_QUERY: Final = 500


@dataclass(frozen=True)
class RowBase:
    """Digests by column, and what forward has added to each counter so far (F)."""

    hashes: Mapping[str, bytes]
    added: Mapping[str, Decimal] = field(default_factory=dict)


def read_bases(
    connection: BulkConnection,
    state_schema: str,
    table: str,
    columns: tuple[str, ...],
    keys: Iterable[str],
    *,
    lock: bool = False,
) -> dict[str, RowBase]:
    """Bases of rows by key (as encode_keys writes it); rows without one are left out. `lock`: FOR UPDATE."""
    found: dict[str, RowBase] = {}
    wanted = sorted(set(keys))
    for first in range(0, len(wanted), KEYS_A_QUERY):
        some = wanted[first : first + KEYS_A_QUERY]
        statement = sql(
            "SELECT row_key, hashes, counters FROM {state}.sync_base WHERE table_name = %s AND row_key IN ({keys}){lock}",
            {"state": state_schema},
            keys=places(len(some)),
            lock=" FOR UPDATE" if lock else "",
        )
        for key, hashes, counters in connection.query(statement, (table, *some)):
            found[text_of(key)] = RowBase(unpack(columns, as_bytes(hashes)), read_counters(counters))
    return found


def write_bases(
    connection: BulkConnection, state_schema: str, table: str, columns: tuple[str, ...], bases: Mapping[str, RowBase]
) -> None:
    """Write bases, those of their keys replaced, inside the caller's transaction."""
    rows = sorted(bases.items())
    for first in range(0, len(rows), KEYS_A_QUERY):
        some = rows[first : first + KEYS_A_QUERY]
        statement = sql(
            "INSERT INTO {state}.sync_base (table_name, row_key, hashes, counters) VALUES {rows} "
            "ON DUPLICATE KEY UPDATE hashes = VALUES(hashes), counters = VALUES(counters)",
            {"state": state_schema},
            rows=", ".join(["(%s, %s, %s, %s)"] * len(some)),
        )
        values = [
            value for key, base in some for value in (table, key, pack(columns, dict(base.hashes)), counters_text(base.added))
        ]
        connection.execute(statement, values)


def forget_bases(connection: BulkConnection, state_schema: str, table: str, keys: Iterable[str]) -> None:
    """Rows that are gone, inside the caller's transaction."""
    wanted = sorted(set(keys))
    for first in range(0, len(wanted), KEYS_A_QUERY):
        some = wanted[first : first + KEYS_A_QUERY]
        statement = sql(
            "DELETE FROM {state}.sync_base WHERE table_name = %s AND row_key IN ({keys})",
            {"state": state_schema},
            keys=places(len(some)),
        )
        connection.execute(statement, (table, *some))


def counters_text(added: Mapping[str, Decimal]) -> str | None:
    """Counters as they are stored."""
    return json.dumps({name: str(value) for name, value in added.items()}) if added else None


def read_counters(stored: object) -> dict[str, Decimal]:
    """The reverse."""
    return {} if stored is None else {name: Decimal(value) for name, value in json.loads(text_of(stored)).items()}


def as_bytes(value: object) -> bytes:
    """A binary column, which some drivers give as text."""
    return value if isinstance(value, bytes) else str(value).encode("latin-1")
