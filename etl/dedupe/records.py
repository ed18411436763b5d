"""records.parquet: every legacy member record, standardised, numbered in one order whatever order it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from etl.dedupe.kept import write_kept
from etl.dedupe.kept_manifest import forget_manifest
from etl.dedupe.model import ComparisonSet, RecordSet, StagedState, SystemCount
from etl.dedupe.record_files import BASE as FILE
from etl.dedupe.record_files import fresh_path
from etl.dedupe.staged_members import read_staged_members
from etl.dedupe.standardise import drop_crowds, fill_from_cards, standardise
from etl.errors import RefusedError
from etl.mapping.model import Mapping as DataMapping
from etl.personal_files import write_personal_file
from etl.progress import Progress
from etl.settings import Settings
from etl.target.columns import TargetColumn

Targets = Mapping[str, Sequence[TargetColumn]]


def read_records(
    settings: Settings,
    mapping: DataMapping,
    comparison_set: ComparisonSet,
    folder: Path,
    progress: Progress,
    targets: Targets | None = None,
) -> RecordSet:
    """Standardise the staged rows of the mapping's member-defining parts, and write records.parquet to `folder`.

    `targets`: columns of the target's tables, by table; a row that the mapping would reject there is not `accepted`. Without them
    every row is (good enough to count pairs, not to merge). Raises RefusedError when a member table is not staged whole, or a
    legacy id stands twice.
    """
    members = read_staged_members(settings, mapping, comparison_set, targets, progress)
    return write_records(members.frames, comparison_set, folder, None if targets is None else members.chunks)


def records_from_frames(frames: Mapping[str, pl.DataFrame], key: str, comparison_set: ComparisonSet, folder: Path) -> RecordSet:
    """Standardise plain tables, one for each system, and write records.parquet: for public data sets and tests.

    Columns are those that the comparison set names as sources; `key` is unique in each table.
    """
    heads = [standard_head(system, frame, key) for system, frame in frames.items()]
    bodies = [standardise(frame.to_dict(), frame.height, comparison_set.fields) for frame in frames.values()]
    parts = [pl.concat([head, body], how="horizontal") for head, body in zip(heads, bodies, strict=True)]
    return write_records(parts, comparison_set, folder)


def standard_head(system: str, frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Who a record is, as far as a plain table says."""
    return frame.select(
        system=pl.lit(system),
        source_id=pl.col(key).cast(pl.String),
        accepted=pl.lit(value=True),
        registered_at=pl.col("registered_at") if "registered_at" in frame.columns else pl.lit(None, pl.Datetime("us")),
        updated_at=pl.col("updated_at") if "updated_at" in frame.columns else pl.lit(None, pl.Datetime("us")),
    )


def write_records(
    parts: list[pl.DataFrame], comparison_set: ComparisonSet, folder: Path, chunks: Mapping[str, Sequence[str]] | None = None
) -> RecordSet:
    """Put standardised parts into one order, number them, add what is computed over all of them, and write them.

    With `chunks` (content hashes of the staged chunks, by part) they are also kept for arrivals to be matched against. A key that
    stands twice in a system is refused: nobody could say which of the two records a link means.
    """
    given = pl.concat(parts, how="vertical").sort("system", "source_id")
    refuse_double_keys(given)
    filled = fill_from_cards(drop_unborn(given, comparison_set), comparison_set.fields)
    kept, remarks = drop_crowds(filled, comparison_set)
    numbered = kept.with_row_index("record").with_columns(pl.col("record").cast(pl.Int64))
    whole = add_derived(numbered, comparison_set)
    frame = whole.select(*comparison_set.columns)
    path = folder / FILE
    forget_manifest(folder)
    fresh_path(path).unlink(missing_ok=True)
    with write_personal_file(path) as file:
        frame.write_parquet(file, compression="zstd", compression_level=1, row_group_size=200_000)
    described = describe(frame, path, comparison_set, remarks)
    if chunks is None:
        return described
    write_kept(whole, comparison_set, folder)
    return replace(described, staged=staged_state(described, chunks, filled, kept, comparison_set))


def staged_state(
    records: RecordSet,
    chunks: Mapping[str, Sequence[str]],
    before: pl.DataFrame,
    after: pl.DataFrame,
    comparison_set: ComparisonSet,
) -> StagedState:
    """What arrivals have to be measured by. `before` and `after`: the records around the loss of crowded values."""
    lost = {
        column: before.filter(pl.col(column).is_not_null() & after[column].is_null())[column].unique().hash().to_list()
        for column, _ in comparison_set.crowds
    }
    systems = {system.system: (system.records, system.accepted) for system in records.systems}
    latest = after["registered_at"].max()
    return StagedState(chunks, systems, latest if isinstance(latest, datetime) else None, lost)


def refuse_double_keys(frame: pl.DataFrame) -> None:
    """Raise RefusedError, naming the systems, when a legacy id stands twice. `frame` is in order of (system, source_id)."""
    double = frame.filter(pl.col("source_id").eq(pl.col("source_id").shift(1)) & pl.col("system").eq(pl.col("system").shift(1)))
    refuse_twice(double)


def refuse_twice(double: pl.DataFrame) -> None:
    """Raise RefusedError, naming the systems, when there is any record in `double`."""
    if double.height:
        counts = double.group_by("system").len().sort("system").rows()
        told = ", ".join(f"{system}: {count:,}" for system, count in counts)
        raise RefusedError(
            f"Legacy ids stand more than once in their system ({told}).", "Stage the table again, and check its key."
        )


def drop_unborn(frame: pl.DataFrame, comparison_set: ComparisonSet) -> pl.DataFrame:
    """Birthdays after the latest registration as null: nobody registers before birth."""
    latest = frame["registered_at"].max()
    columns = [column for field in comparison_set.fields if field.kind == "birthday" for column in field.columns]
    if not isinstance(latest, datetime):
        return frame
    return frame.with_columns(pl.when(pl.col(column) <= latest.date()).then(pl.col(column)).alias(column) for column in columns)


def add_derived(frame: pl.DataFrame, comparison_set: ComparisonSet) -> pl.DataFrame:
    """Add counts over the accepted records that share a value; null where there is none."""
    for name, column, counted in comparison_set.derived:
        known = frame.lazy().filter("accepted", pl.col(column).is_not_null())
        if counted is not None:
            known = known.filter(pl.col(counted).is_not_null()).select(column, counted).unique()
        counts = known.group_by(column).agg(pl.len().cast(pl.Int32).alias(name)).collect()
        joined = frame.join(counts, on=column, how="left", maintain_order="left")
        frame = joined.with_columns(pl.when(pl.col(column).is_not_null()).then(pl.col(name).fill_null(0)).alias(name))
    return frame


def describe(frame: pl.DataFrame, path: Path, comparison_set: ComparisonSet, remarks: list[tuple[str, str, int]]) -> RecordSet:
    """What was written, and what is odd about it."""
    counts = frame.group_by("system").agg(pl.len(), pl.col("accepted").sum().cast(pl.Int64)).sort("system").rows()
    systems = tuple(SystemCount(*row) for row in counts)
    accepted = frame.filter("accepted")
    columns = [column for field in comparison_set.fields for column in field.columns]
    shares = accepted.select((pl.col(column).count() / max(accepted.height, 1)) for column in columns).row(0)
    filled = dict(zip(columns, shares, strict=True))
    odd = [("all_null", field.name, 0) for field in comparison_set.fields if not any(filled[column] for column in field.columns)]
    if accepted.height and not any(filled.values()):
        odd.append(("nothing_to_compare", "", accepted.height))
    if not frame.height:
        odd.append(("no_records", "", 0))
    if len(systems) == 1:
        odd.append(("one_system", systems[0].system, systems[0].records))
    return RecordSet(path, frame.height, systems, filled, (*odd, *remarks))
