"""What a comparison set says, as data: which fields there are, how two records are compared, and which pairs are looked at.

A comparison set is a TOML file (docs/dedupe.md); reading it is in etl/dedupe/read_model.py. Nothing here touches a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

RECORD: Final[dict[str, pl.DataType]] = {
    "record": pl.Int64(),
    "system": pl.String(),
    "source_id": pl.String(),
    "accepted": pl.Boolean(),
    "registered_at": pl.Datetime("us"),
    "updated_at": pl.Datetime("us"),
}
"""Columns of records.parquet that every comparison set has. `record` counts from 0 in the order of (system, source_id) by bytes.

The columns of the set's fields follow (`ComparisonSet.columns`), placeholders already null.
"""

EDGE: Final[dict[str, pl.DataType]] = {
    "left": pl.Int64(),
    "right": pl.Int64(),
    "weight": pl.Float64(),
    "probability": pl.Float64(),
    "rule": pl.String(),
}
"""Columns of edges.parquet; a column `gamma_<comparison>` Int8 for each comparison follows. left < right, ordered by both.

`weight` is the match weight: log2 of the odds that the two are one person, prior included. A gamma of -1 says that a side lacks
the value; otherwise it is the place of the level counted from the last one (0), as `Comparison.level_of` reads it.
"""


@dataclass(frozen=True)
class Field:
    """A fact about a person. `kind` is one of etl.dedupe.standardise.KINDS, `source` the target column of the mapping (or the
    column of a plain table) that holds it. Its standardised columns are `columns`, of `types`."""

    name: str
    kind: str
    source: str
    columns: tuple[str, ...]
    types: tuple[pl.DataType, ...]


@dataclass(frozen=True)
class Level:
    """One outcome of a comparison: the first level whose `sql` (over `<column>_l`, `<column>_r`) is true applies.

    `m` and `u` are the shares of true matches, and of other pairs, at this level: where a file gives them they are kept as they
    are, otherwise trained. `tf`: the column whose value's rarity adds to the weight. `counted_on`: columns on which all pairs at
    this level agree, so that u can be counted instead of sampled. `is_null` levels say nothing either way.
    """

    name: str
    sql: str
    is_null: bool = False
    m: float | None = None
    u: float | None = None
    tf: str | None = None
    counted_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """One piece of evidence, as mutually exclusive levels: first the null level, then best to worst; the last is "differs".

    `columns`: those its levels read. `personal_id`: its best level rests on an id that belongs to one person.
    """

    name: str
    title: str
    levels: tuple[Level, ...]
    columns: tuple[str, ...]
    personal_id: bool = False

    @property
    def gamma(self) -> str:
        """Its column in edges.parquet."""
        return f"gamma_{self.name}"

    @property
    def weighed(self) -> tuple[Level, ...]:
        """The levels that have a weight, best first."""
        return tuple(level for level in self.levels if not level.is_null)

    def level_of(self, gamma: int) -> Level:
        """The level that a gamma of edges.parquet stands for."""
        if gamma < 0:
            return next(level for level in self.levels if level.is_null)
        return self.weighed[len(self.weighed) - 1 - gamma]

    def gamma_of(self, level: str) -> int:
        """The gamma of a level, by name. Raises KeyError."""
        names = [one.name for one in reversed(self.weighed)]
        if level not in names:
            raise KeyError(level)
        return names.index(level)


@dataclass(frozen=True)
class BlockingRule:
    """Pairs to look at: those that agree on every column of `on` (none null), where `where` (SQL over l. and r.) holds too."""

    name: str
    on: tuple[str, ...]
    where: str | None = None


@dataclass(frozen=True)
class Thresholds:
    """Match weights: merged at `match` and above, reviewed between `review` and `match`, forgotten below."""

    match: float
    review: float


@dataclass(frozen=True)
class ComparisonSet:
    """A whole comparison set. `training` are the blocks in which m is learned, `blocking` those that find pairs.

    `sha256` is of the file's content. `derived` are columns computed over all records, such as how many share a phone:
    (name, column, what is counted: distinct values of that column, or records where None). `crowds`: how many records may share a
    value of a column before it says nothing about a person.
    """

    name: str
    version: int
    title: str
    fields: tuple[Field, ...]
    derived: tuple[tuple[str, str, str | None], ...]
    crowds: tuple[tuple[str, int], ...]
    comparisons: tuple[Comparison, ...]
    blocking: tuple[BlockingRule, ...]
    training: tuple[BlockingRule, ...]
    thresholds: Thresholds
    file: Path
    sha256: str
    text: str

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """Every column of records.parquet with its type, in order."""
        own = {name: kind for field in self.fields for name, kind in zip(field.columns, field.types, strict=True)}
        return {**RECORD, **own, **{name: pl.Int32() for name, _, _ in self.derived}}

    def comparison(self, name: str) -> Comparison:
        """A comparison by name. Raises KeyError."""
        for comparison in self.comparisons:
            if comparison.name == name:
                return comparison
        raise KeyError(name)


@dataclass(frozen=True)
class Limits:
    """What a run may take. `pair_budget`: pairs one blocking rule may make. `memory` as DuckDB writes it ("2GB"); what does not
    fit goes to `temp` (the folder of the run where None)."""

    threads: int = 2
    memory: str = "2GB"
    pair_budget: int = 30_000_000
    temp: Path | None = None


@dataclass(frozen=True)
class SystemCount:
    """Records of one system; those the mapping rejects are counted but not compared."""

    system: str
    records: int
    accepted: int


@dataclass(frozen=True)
class StagedState:
    """What the stage held. `chunks`: content hashes of the chunks of each part, in order. `systems`: records and accepted ones.

    `latest`: when the last record was registered. `crowded`: hashes of the values of a column that say nothing about a person.
    """

    chunks: Mapping[str, Sequence[str]]
    systems: Mapping[str, tuple[int, int]]
    latest: datetime | None
    crowded: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class RecordSet:
    """records.parquet as written. `filled`: share of accepted records that have each column. `staged`: of what it was made; None
    where it was not the stage.

    `remarks`: what is odd about the input, as (code, subject, count): ("all_null", "email", 0), ("crowded", "phone", 100000),
    ("duplicate_key", "crm", 3), ("one_system", "crm", 1).
    """

    path: Path
    rows: int
    systems: tuple[SystemCount, ...]
    filled: dict[str, float]
    remarks: tuple[tuple[str, str, int], ...]
    staged: StagedState | None = None


@dataclass(frozen=True)
class RuleCount:
    """A blocking rule: the pairs it makes alone, and those no earlier rule had found (None before it ran)."""

    rule: str
    pairs: int
    found: int | None = None


@dataclass(frozen=True)
class EdgeSet:
    """edges.parquet as written: pairs at or above the review weight. `scored` pairs were compared."""

    path: Path
    rows: int
    scored: int
    rules: tuple[RuleCount, ...]


@dataclass(frozen=True)
class FieldWeight:
    """One bar of a waterfall. `left` and `right` are the compared values (personal: mask them in a log); `rarity` is the part of
    `weight` that the value's frequency adds. The prior is the bar called "prior"."""

    comparison: str
    title: str
    level: str
    left: str | None
    right: str | None
    weight: float
    rarity: float = 0.0
