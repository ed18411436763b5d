"""Rows born on the target and carried back to the legacy side: a legacy row that says which target row it is.

The legacy side may give such a row a key of its own (IDENTITY); dbo.membershift_row says whose it is. And it cannot say where the
row was born: columns that only tell that (`origin`, `origin_id`) are the target's own, and are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from etl.names import bracket
from etl.reconcile.plan import SOURCE, PartPlan, TablePlan, decode_keys, provenance
from etl.source.connect import Source

TABLE = "membershift_row"
SCHEMA = pa.schema([pa.field(name, pa.large_string()) for name in ("part", "legacy_key", "target_key")])


@dataclass(frozen=True)
class Born:
    """Of one target table. `keys`: by part, SOURCE and the target's key columns. `provenance`: columns that are not compared."""

    keys: Mapping[str, pl.DataFrame]
    provenance: frozenset[str]
    all_keys: pl.DataFrame

    def rekeyed(self, part: PartPlan, rows: pl.DataFrame) -> pl.DataFrame:
        """Expected rows (with SOURCE) under the keys that they have on the target."""
        known = self.keys.get(part.part.name)
        if known is None:
            return rows
        names = [name for name in known.columns if name != SOURCE]
        joined = rows.join(known.rename({name: f"__born_{name}" for name in names}), on=SOURCE, how="left", maintain_order="left")
        return joined.with_columns(pl.coalesce(f"__born_{name}", name).alias(name) for name in names).select(rows.columns)

    def members(self, part: PartPlan, encoded: pl.Series) -> pl.Series | None:
        """The member of each legacy row of a part that defines members, NULL where the row was not born on the target."""
        known = self.keys.get(part.part.name)
        if known is None:
            return None
        (name,) = part.part.target_key
        return encoded.alias(SOURCE).to_frame().join(known, on=SOURCE, how="left", maintain_order="left")[name]

    def blanked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows without what is not compared, on both sides alike."""
        mine = (
            rows.select(self.all_keys.columns)
            .with_row_index("__row")
            .join(self.all_keys, on=self.all_keys.columns, how="semi")["__row"]
        )
        if mine.is_empty():
            return rows
        is_born = pl.int_range(rows.height, eager=True).is_in(mine.cast(pl.Int64).implode())
        return rows.with_columns(
            pl.when(~is_born).then(pl.col(name)).alias(name) for name in sorted(self.provenance) if name in rows.columns
        )


def read_born(source: Source, plan: TablePlan) -> Born | None:
    """What the legacy databases say of rows of this table; None where there are none."""
    types = {name: plan.schema[name] for name in plan.key}
    keys: dict[str, pl.DataFrame] = {}
    for part in plan.parts:
        frame = read_entries(source, part)
        if not frame.is_empty():
            keys[part.part.name] = pl.concat(
                [frame["legacy_key"].alias(SOURCE).to_frame(), decode_keys(frame["target_key"], types)], how="horizontal"
            )
    if not keys:
        return None
    together = pl.concat([frame.select(plan.key) for frame in keys.values()]).unique()
    return Born(keys, provenance(plan) - set(plan.key), together)


def read_entries(source: Source, part: PartPlan) -> pl.DataFrame:
    """legacy_key and target_key of a part's rows; nothing where the database has no such table."""
    database = part.part.source.database
    name = f"{bracket(database)}.[dbo].{bracket(TABLE)}"
    nothing = pl.DataFrame(schema={"part": pl.String, "legacy_key": pl.String, "target_key": pl.String})
    if source.scalar("SELECT OBJECT_ID(%s, N'U')", (name,)) is None:
        return nothing
    wanted = part.part.name.replace("'", "''")
    sql = " ".join(("SELECT part, legacy_key, target_key FROM", name, f"WHERE part = '{wanted}'"))
    frames = [pl.DataFrame(pl.from_arrow(batch)) for batch in source.arrow_batches(sql, schema=SCHEMA, database=database)]
    return pl.concat([nothing, *frames])
