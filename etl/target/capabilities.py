"""What the target can do, asked of it once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

VARIABLES: Final = (
    "allow_auto_random_explicit_insert",
    "local_infile",
    "max_allowed_packet",
    "sql_mode",
    "tidb_enable_check_constraint",
    "tidb_gc_life_time",
    "tidb_mem_quota_query",
)


class Queries(Protocol):
    """What asking needs of a connection; BulkConnection has it."""

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Capabilities:
    """The target as it presents itself.

    `version`: TiDB's own (8, 5, 3), or MariaDB's. `auto_random`: AUTO_RANDOM(5, 54) works (TiDB 6.5 and later).
    `check_constraints`: CHECK is enforced. `as_of`: reads at a past time. `local_infile`: LOAD DATA LOCAL is allowed
    (TiDB 8.5 shows the variable of this name and ignores it).
    `max_packet`: bytes. `gc_life_time`: how far back reads can go ("10m0s"), "" where they cannot. `memory_quota`: bytes one
    statement may use, None where there is no such limit.
    """

    is_tidb: bool
    version: tuple[int, int, int]
    version_text: str
    auto_random: bool
    check_constraints: bool
    as_of: bool
    local_infile: bool
    max_packet: int
    gc_life_time: str
    memory_quota: int | None

    @property
    def name(self) -> str:
        """Product and version.

        >>> Capabilities(True, (8, 5, 3), "", True, False, True, True, 1, "10m", 1).name
        'TiDB 8.5.3'
        """
        return f"{'TiDB' if self.is_tidb else 'MariaDB'} {'.'.join(map(str, self.version))}"


def read_capabilities(connection: Queries) -> Capabilities:
    """Ask the server. Raises ServerError."""
    names = ", ".join(f"'{name}'" for name in VARIABLES)
    variables = {str(name): str(value) for name, value in connection.query(f"SHOW VARIABLES WHERE Variable_name IN ({names})")}
    is_tidb = "allow_auto_random_explicit_insert" in variables
    # VERSION() of a TiDB can be set to anything by its configuration; TIDB_VERSION() cannot.
    text = str(connection.query("SELECT TIDB_VERSION()" if is_tidb else "SELECT VERSION()")[0][0])
    version = parse_version(text)
    return Capabilities(
        is_tidb=is_tidb,
        version=version,
        version_text=text.splitlines()[0],
        auto_random=is_tidb and version >= (6, 5, 0),
        check_constraints=not is_tidb or variables.get("tidb_enable_check_constraint") == "ON",
        as_of=is_tidb,
        local_infile=is_tidb or variables.get("local_infile") == "ON",
        max_packet=int(variables.get("max_allowed_packet", 0)),
        gc_life_time=variables.get("tidb_gc_life_time", ""),
        memory_quota=int(variables["tidb_mem_quota_query"]) if "tidb_mem_quota_query" in variables else None,
    )


def parse_version(text: str) -> tuple[int, int, int]:
    """The first dotted version in a text.

    >>> parse_version("Release Version: v8.5.3-alpha"), parse_version("10.11.19-MariaDB"), parse_version("None")
    ((8, 5, 3), (10, 11, 19), (0, 0, 0))
    """
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
