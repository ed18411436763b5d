"""Rows of the target that came from files by `membershift import`: no legacy table has them, so there is nothing to compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from etl.load.import_record import LINKED, read_records, recorded_files
from etl.load.sql import sql
from etl.reconcile.plan import TablePlan
from etl.reconcile.quarantine import Asks
from etl.settings import Settings
from etl.target.columns import text_of


@dataclass(frozen=True)
class Imported:
    """The records of one target table: about 10 to 50 bytes of memory an imported row, read when first needed."""

    settings: Settings
    plan: TablePlan

    def flags(self, rows: pl.DataFrame) -> pl.Series:
        """For each row of the target whether a file brought its key."""
        if rows.is_empty() or self.keys.is_empty():
            return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
        marked = self.keys.with_columns(pl.lit(True).alias("__imported"))
        joined = rows.select(self.plan.key).join(marked, on=list(self.plan.key), how="left", maintain_order="left")
        return joined["__imported"].fill_null(False)

    def linked(self, source_ids: pl.Series) -> pl.Series:
        """For each id in the crosswalk whether a file brought its member."""
        return source_ids.is_in(self.records[LINKED].drop_nulls().implode())

    @cached_property
    def keys(self) -> pl.DataFrame:
        """Every key once."""
        return self.records.select(self.plan.key).unique()

    @cached_property
    def records(self) -> pl.DataFrame:
        """All records, in the types of the target."""
        types = pl.Schema([*((name, self.plan.schema[name]) for name in self.plan.key), (LINKED, pl.String())])
        found = [frame for frame in read_records(self.settings, self.plan.target) if not frame.is_empty()]
        return pl.concat([types.to_frame(), *(frame.select(types.names()).cast(types) for frame in found)])


def unrecorded_files(connection: Asks, settings: Settings) -> int:
    """How many files were imported whose record is not here: by another machine, say."""
    rows = connection.query(sql("SELECT file_sha FROM {state}.import_file", {"state": settings.target.state_schema}))
    return len({text_of(row[0]) for row in rows} - recorded_files(settings))
