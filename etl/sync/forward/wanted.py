"""What a page of changes asks of a table that both sides change: rows as the legacy side has them, rows that are gone, and how
the crosswalk follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import polars as pl

from etl.dedupe.result import LINEAGE_SCHEMA
from etl.sync.forward.crosswalk import ENTRY_SCHEMA
from etl.sync.forward.later_changes import ReadFrom
from etl.sync.forward.transform import Transformed
from etl.sync.model import KEY, DeadLetter


def no_entries() -> pl.DataFrame:
    """No entry of the crosswalk."""
    return pl.DataFrame(schema=ENTRY_SCHEMA)


def no_lineage() -> pl.DataFrame:
    """Nothing told of golden records."""
    return pl.DataFrame(schema=LINEAGE_SCHEMA)


def no_keys() -> pl.Series:
    """No key."""
    return pl.Series(KEY, [], dtype=pl.String)


ORIGIN_SCHEMA: Final = pl.Schema([(KEY, pl.String()), ("part", pl.String()), ("legacy", pl.String())])
"""Which legacy rows (of a part, by key) a target row (KEY) is made of."""


def no_origins() -> pl.DataFrame:
    """Nothing known of where rows come from."""
    return pl.DataFrame(schema=ORIGIN_SCHEMA)


@dataclass(frozen=True)
class Wanted:
    """`rows`: target rows as the legacy side has them (s): the table's columns and KEY, each once. `returned`: what reverse has
    added to the counters of each (R), by KEY. `gone`: KEY and the key's columns of rows that no legacy row stands for any more.

    `sources`: where the legacy rows behind them were read, and when; `origins`: which they are (ORIGIN_SCHEMA). `changed`: keys
    of all legacy rows that changed.

    Of members: `joined` entries that newcomers get, `known` the entries of their members so far, `ended` legacy ids whose entry
    ends, `told` where the values of golden records come from, `merged` members that have golden records, or had.
    """

    made: Transformed
    rows: pl.DataFrame
    returned: Mapping[str, Mapping[str, Decimal]]
    gone: pl.DataFrame
    gone_legacy: pl.Series
    sources: tuple[ReadFrom, ...] = ()
    origins: pl.DataFrame = field(default_factory=no_origins)
    changed: pl.Series = field(default_factory=no_keys)
    letters: tuple[DeadLetter, ...] = ()
    joined: pl.DataFrame = field(default_factory=no_entries)
    known: pl.DataFrame = field(default_factory=no_entries)
    ended: tuple[str, ...] = ()
    told: pl.DataFrame = field(default_factory=no_lineage)
    merged: tuple[int, ...] = ()
