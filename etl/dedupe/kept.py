"""The records of the last run, kept for random access: mapped into memory, never read whole.

Beside records.parquet a full run writes the same rows, in the order of their numbers, to an uncompressed Arrow file, with hashes:
one of each row as it was staged, which tells what changed since, and one of each key that a blocking rule, a crowd or a derived
count asks for. A hash finds candidates; whoever finds them compares the values themselves. What arrived since stands in `fresh`
and supersedes rows of the same number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import polars as pl
import pyarrow as pa

from etl.dedupe.model import ComparisonSet
from etl.dedupe.record_files import GONE, fresh_path
from etl.personal_files import map_personal_file, read_personal_file, write_personal_file

FILE: Final = "records-kept.arrow"
ROW: Final = "row"
"""Column with the hash of a record's staged row: all values the mapping reads."""
IDENTITY: Final = ("system", "source_id")


def keys_of(comparison_set: ComparisonSet) -> tuple[tuple[str, ...], ...]:
    """Every set of columns by which kept records are looked up."""
    wanted = [IDENTITY, *(rule.on for rule in comparison_set.blocking)]
    wanted += [(column,) for column, _ in comparison_set.crowds] + [(column,) for _, column, _ in comparison_set.derived]
    return tuple(dict.fromkeys(wanted))


def key_name(columns: Iterable[str]) -> str:
    """The column that holds the hash of a key."""
    return "key:" + "+".join(columns)


def key_hash(columns: tuple[str, ...]) -> pl.Expr:
    """The hash of a key (UInt64); null where one of its columns is."""
    whole = pl.all_horizontal(pl.col(column).is_not_null() for column in columns)
    value = pl.col(columns[0]) if len(columns) == 1 else pl.struct(columns)
    return pl.when(whole).then(value.hash()).alias(key_name(columns))


def with_keys(frame: pl.DataFrame, comparison_set: ComparisonSet) -> pl.DataFrame:
    """`frame` with the hash of every key, anew."""
    return frame.with_columns(key_hash(columns) for columns in keys_of(comparison_set))


def write_kept(frame: pl.DataFrame, comparison_set: ComparisonSet, folder: Path) -> None:
    """Keep the records of a full run. `frame`: columns of the comparison set, and `row`; in the order of `record`, from 0."""
    columns = [*comparison_set.columns, ROW, *(key_name(key) for key in keys_of(comparison_set))]
    kept = with_keys(frame, comparison_set).select(columns)
    with write_personal_file(folder / FILE) as file:
        kept.write_ipc(
            file, compression="uncompressed", compat_level=pl.CompatLevel.oldest(), record_batch_size=max(1, kept.height)
        )


@dataclass(frozen=True)
class Kept:
    """`table`: the mapped base; a row's place is its record number. `fresh`: columns of the base and `gone`."""

    table: pa.Table
    fresh: pl.DataFrame
    comparison_set: ComparisonSet

    @property
    def next_number(self) -> int:
        """The number that the next new record takes."""
        last = self.fresh["record"].max()
        after = last + 1 if isinstance(last, int) else 0
        return max(int(self.table.num_rows), after)

    @property
    def columns(self) -> list[str]:
        """Columns of a kept row."""
        return list(self.table.column_names)

    def hashes(self, column: str) -> pl.Series:
        """A column of whole numbers of the base, as it is mapped."""
        found = pl.from_arrow(self.table.select([column]))
        assert isinstance(found, pl.DataFrame)
        return found.to_series()

    def find(self, key: tuple[str, ...], wanted: pl.Series, *, gone: bool = False) -> pl.DataFrame:
        """Numbers of the records that have one of these hashes of `key`: columns hash, record. With `gone` also those gone."""
        name = key_name(key)
        values = wanted.drop_nulls().unique().implode()
        base = pl.select(self.hashes(name).alias("hash")).with_row_index("record").filter(pl.col("hash").is_in(values))
        old = base.select("hash", pl.col("record").cast(pl.Int64)).join(self.fresh.select("record"), on="record", how="anti")
        here = self.fresh.filter(pl.col(name).is_in(values), pl.lit(gone) | ~pl.col(GONE))
        return pl.concat([old, here.select(pl.col(name).alias("hash"), "record")])

    def rows(self, numbers: pl.Series) -> pl.DataFrame:
        """These records, whole, in order of number; those gone are left out."""
        wanted = numbers.unique().sort().alias("record").to_frame()
        here = self.fresh.join(wanted, on="record", how="semi").filter(~pl.col(GONE)).select(self.columns)
        old = wanted.join(self.fresh.select("record"), on="record", how="anti")["record"]
        old = old.filter((old >= 0) & (old < self.table.num_rows))
        return pl.concat([self._taken(old, self.columns), here]).sort("record")

    def names(self, numbers: pl.Series) -> pl.DataFrame:
        """record, system, source_id of these records, also of those gone."""
        wanted = numbers.unique().sort().alias("record").to_frame()
        here = self.fresh.join(wanted, on="record", how="semi").select("record", *IDENTITY)
        old = wanted.join(self.fresh.select("record"), on="record", how="anti")["record"]
        return pl.concat([self._taken(old, ["record", *IDENTITY]), here])

    def _taken(self, numbers: pl.Series, columns: list[str]) -> pl.DataFrame:
        """Columns of these rows of the base."""
        types = {name: self.fresh.schema[name] for name in columns}
        if numbers.is_empty():  # pyarrow would import pandas for an empty table, and for an array of numpy's
            return pl.DataFrame(schema=types)
        taken = pl.from_arrow(self.table.select(columns).take(numbers.to_arrow()))
        assert isinstance(taken, pl.DataFrame)
        return taken.cast(pl.Schema(types))

    def numbered(self, keys: pl.DataFrame, *, gone: bool = False) -> pl.DataFrame:
        """`keys` (system, source_id, and whatever else) of records that are known, with their `record`."""
        known = self.find(IDENTITY, keys.select(key_hash(IDENTITY)).to_series(), gone=gone)
        return keys.join(self.names(known["record"]), on=list(IDENTITY), how="inner", maintain_order="left")

    def staged_rows(self, system: str) -> pl.DataFrame:
        """record, row: of every record of a system that is not gone."""
        names = self.table["system"]  # in order: records are numbered by system first
        first, end = (find(range(len(names)), system, key=lambda at: names[at].as_py()) for find in (bisect_left, bisect_right))
        old = pl.select(pl.int_range(first, end, dtype=pl.Int64).alias("record"), self.hashes(ROW).slice(first, end - first))
        old = old.join(self.fresh.select("record"), on="record", how="anti")
        here = self.fresh.filter(pl.col("system") == system, ~pl.col(GONE)).select("record", ROW)
        return pl.concat([old, here])

    def changed_since(self, moment: pl.Expr) -> pl.Series:
        """Numbers of records that changed or were registered at `moment` (a literal time) or later."""
        times = pl.from_arrow(self.table.select(["record", "updated_at", "registered_at"]))
        assert isinstance(times, pl.DataFrame)
        changed = pl.max_horizontal("updated_at", "registered_at") >= moment
        old = times.filter(changed).select("record").join(self.fresh.select("record"), on="record", how="anti")
        return pl.concat([old["record"], self.fresh.filter(changed, ~pl.col(GONE))["record"]])

    def put(self, rows: pl.DataFrame, *, gone: bool = False) -> Kept:
        """The same with these rows (columns of a kept row) in place of those of their numbers."""
        marked = rows.select(self.columns).with_columns(pl.lit(gone).alias(GONE)).cast(self.fresh.schema)
        others = self.fresh.join(marked.select("record"), on="record", how="anti", maintain_order="left")
        return replace(self, fresh=pl.concat([others, marked]).sort("record"))


def open_kept(records: Path, comparison_set: ComparisonSet) -> Kept:
    """Map what was kept beside records.parquet, and read what arrived since. Raises ConfigurationError when it is not there."""
    table = cast(pa.Table, pa.ipc.open_file(map_personal_file(records.with_name(FILE))).read_all())
    keys = {name: pl.UInt64() for name in table.column_names if name not in comparison_set.columns}
    fresh = pl.DataFrame(schema={**comparison_set.columns, **keys, GONE: pl.Boolean()})
    beside = fresh_path(records)
    if beside.is_file():
        with read_personal_file(beside) as file:
            fresh = pl.read_parquet(file).select(fresh.columns)
    return Kept(table, fresh, comparison_set)


def write_fresh(kept: Kept, records: Path) -> Path:
    """Write what arrived since the base beside it."""
    path = fresh_path(records)
    with write_personal_file(path) as file:
        kept.fresh.write_parquet(file, compression="zstd", compression_level=1)
    return path
