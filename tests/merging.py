"""Members joined as deduplication leaves them, without its model: whoever is one person in truth is one member."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from etl.dedupe.golden import golden_rows
from etl.dedupe.golden_rules import read_golden_rules
from etl.load.crosswalk import DEDUPE
from etl.load.members import plan_members_dry
from etl.load.part import LoadPart
from etl.load.prepare import prepare_load
from etl.load.staged import MappedTransform
from etl.names import backtick
from etl.settings import Settings
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk

NEW_IDS = 2**32
RECORD = ["system", "source_id"]


def member_parts(settings: Settings, parts: Sequence[str]) -> pl.DataFrame:
    """Every accepted member record as the mapping makes it: the member table's columns, system and source_id."""
    with prepare_load(settings, parts, accept_mapping=True) as prepared:
        for part in prepared.parts:
            plan_members_dry(prepared, part)
        frames = [frame for part in prepared.parts for frame in accepted(part)]
        types = {
            column.name: column.polars_type() for column in read_target_columns(prepared.connection, prepared.schema)["member"]
        }
    rows = pl.concat(frames, how="diagonal_relaxed")
    return rows.cast({name: types[name] for name in rows.columns if name in types})


def accepted(part: LoadPart) -> list[pl.DataFrame]:
    """The rows of one part that are not rejected."""
    assert isinstance(part.transform, MappedTransform)
    assert part.system is not None
    found = []
    for chunk in part.chunks:
        for frame in chunk.read(part.transform.source_columns):
            outcome = part.transform.apply(frame)
            assert outcome.links is not None
            ids = outcome.links["source_id"]
            found.append(outcome.rows.with_columns(ids.alias("source_id"), pl.lit(part.system.name).alias("system")))
    return found


def truth_groups(truth: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Records of persons with several: system, source_id, member_id. The oldest crm id survives, else one that is allocated."""
    person = truth.select(
        "system", pl.col("legacy_id").str.strip_chars().str.to_uppercase().alias("key"), pl.col("person_id")
    ).unique(["system", "key"])
    key = pl.col("source_id").str.to_uppercase().alias("key")
    known = records.select(*RECORD, "registered_at", key).join(person, on=["system", "key"])
    several = known.filter(pl.len().over("person_id") > 1)
    kept = pl.when(pl.col("system") == "crm").then(pl.col("source_id").cast(pl.Int64, strict=False))
    oldest = several.with_columns(kept.alias("kept")).sort("registered_at", "kept")
    several = oldest.with_columns(pl.col("kept").drop_nulls().first().over("person_id").alias("member_id"))
    new = NEW_IDS + pl.col("person_id").rank("dense").cast(pl.Int64)
    return several.with_columns(pl.coalesce("member_id", new).alias("member_id")).select(*RECORD, "member_id").sort(RECORD)


def write_merges(settings: Settings, records: pl.DataFrame, groups: pl.DataFrame) -> int:
    """Golden records, crosswalk entries and events of `groups`, before anything is loaded; returns how many members."""
    rows = records.drop("member_id").join(groups, on=RECORD)
    golden = golden_rows(
        rows.select(*(name for name in records.columns if name not in RECORD), *RECORD), read_golden_rules(settings)
    )
    state, schema = backtick(settings.target.state_schema), backtick(settings.target.schema_name)
    links = rows.select(
        pl.col("system").alias("source"), "source_id", "member_id", pl.col("registered_at").alias("valid_from"),
        pl.lit(DEDUPE).alias("linked_by"),
    )  # fmt: skip
    with connect_bulk(settings.target) as connection, connection.transaction():
        loaded = [
            connection.load_rows("member", golden.rows.columns, golden.rows),
            connection.load_rows("member_source", links.columns, links),
            connection.load_rows("golden_field", golden.lineage.columns, golden.lineage, schema=settings.target.state_schema),
        ]
        assert all(outcome.clean for outcome in loaded)
        connection.execute(
            f"INSERT INTO {state}.merge_event (run_id, kind, member_id, system, source_id, reason, at, by_whom) "
            f"SELECT 0, 'merge', member_id, source, source_id, 'truth', UTC_TIMESTAMP(6), 'test' FROM {schema}.member_source "
            "WHERE linked_by = 'dedupe'"
        )
        last = max(NEW_IDS, int(golden.rows["member_id"].max() or 0) + 1)  # type: ignore[arg-type]  # of integers
        connection.execute(f"INSERT INTO {state}.id_allocator (name, next_id) VALUES ('member', {last})")
    return golden.rows.height


def read_truth(folder: Path) -> pl.DataFrame:
    """Which person each legacy id belongs to, of generated data."""
    return pl.read_parquet(folder / "truth_person.parquet")
