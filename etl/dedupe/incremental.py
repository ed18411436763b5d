"""Arrivals against everybody: only pairs with a new or changed record are weighed, all others stay as the last run left them.

Records are numbered anew by every run, so what a run leaves for the next one is written by legacy id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.engine import link_all
from etl.dedupe.model import RecordSet, RuleCount
from etl.dedupe.plan import limits_of
from etl.dedupe.predict import link_records
from etl.dedupe.trained_model import TrainedModel
from etl.errors import RefusedError, UsageError
from etl.personal_files import read_personal_file, write_personal_file
from etl.progress import Progress
from etl.settings import Engine, Settings

LAST: Final = "last"
SEEN_FILE: Final = "seen_records.parquet"
WEIGHED_FILE: Final = "weighed_pairs.parquet"
TASK: Final = "link"
KEY: Final = ("system", "source_id")
SEEN: Final = (*KEY, "accepted", "updated_at")


@dataclass(frozen=True)
class Linked:
    """All records, all pairs at or above the review weight, and what each blocking rule found this time. `arrivals`: records that
    were matched against all others; None when all were."""

    records: pl.DataFrame
    edges: pl.DataFrame
    rules: tuple[RuleCount, ...]
    records_path: Path
    edges_path: Path
    arrivals: pl.Series | None = None


def link_all_or_new(
    settings: Settings, since: str | None, records: RecordSet, model: TrainedModel, progress: Progress, engine: Engine = "duckdb"
) -> Linked:
    """Weigh all pairs on `engine`, or with `since` only those of records that arrived or changed since then, always on DuckDB.

    Raises UsageError for a time that cannot be read, RefusedError where there is no earlier run with this model to go on from.
    """
    folder = settings.dedupe_dir
    progress.start(TASK, None, "pairs")
    arrivals: pl.Series | None = None
    frame = read_parquet(records.path)
    if since is None:
        edge_set = link_all(settings, records.path, model, engine)
        edges = read_parquet(edge_set.path)
    else:
        seen, weighed = read_last_run(folder, model)
        arrivals = find_arrivals(frame, seen, since)
        edge_set = link_records(records.path, model, folder, limits_of(settings), arrivals=arrivals)
        edges = with_earlier(read_parquet(edge_set.path), weighed, frame, arrivals)
        write_parquet(edges, edge_set.path)
    progress.finish(TASK)
    return Linked(frame, edges, edge_set.rules, records.path, edge_set.path, arrivals)


def find_arrivals(records: pl.DataFrame, seen: pl.DataFrame, since: str) -> pl.Series:
    """Numbers of the records that the last run did not see as they are now; with a time, of those changed at it or later."""
    if since == LAST:
        known = records.join(seen.select(SEEN), on=SEEN, how="semi", nulls_equal=True).select("record")
        return records.join(known, on="record", how="anti")["record"].sort()
    moment = as_moment(since)
    changed = pl.max_horizontal("updated_at", "registered_at") >= moment
    unseen = records.join(seen.select(KEY), on=KEY, how="anti")["record"]
    return pl.concat([records.filter(changed)["record"], unseen]).unique().sort()


def as_moment(since: str) -> datetime:
    """The time that `since` says, in UTC, which it is taken for where it names no offset. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(since)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise UsageError(f"{since!r} is no time.", 'Write "last", or a time such as 2026-01-31T08:00+08:00.') from None


def with_earlier(new: pl.DataFrame, weighed: pl.DataFrame, records: pl.DataFrame, arrivals: pl.Series) -> pl.DataFrame:
    """New pairs and those of the last run between records that did not change, left < right, in order."""
    numbers = records.filter("accepted").select("record", *KEY).join(arrivals.alias("record").to_frame(), on="record", how="anti")
    kept = weighed
    for side in ("left", "right"):
        named = numbers.rename({"record": side, "system": f"{side}_system", "source_id": f"{side}_id"})
        kept = kept.join(named, on=[f"{side}_system", f"{side}_id"], how="inner")
    kept = kept.with_columns(
        pl.min_horizontal("left", "right").alias("left"), pl.max_horizontal("left", "right").alias("right")
    ).select(new.columns)
    return pl.concat([new, kept.cast(new.schema)]).sort("left", "right")


def leave_for_next_run(folder: Path, linked: Linked, model: TrainedModel) -> None:
    """Write what the next run may go on from; the records last, so that a kill between them only makes more arrivals."""
    numbers = linked.records.select("record", *KEY)
    named = linked.edges.with_columns(pl.lit(model.sha).alias("model"))
    for side in ("left", "right"):
        renamed = numbers.rename({"record": side, "system": f"{side}_system", "source_id": f"{side}_id"})
        named = named.join(renamed, on=side, how="left", maintain_order="left")
    write_parquet(named.drop("left", "right"), folder / WEIGHED_FILE)
    write_parquet(linked.records.select(SEEN).with_columns(pl.lit(model.sha).alias("model")), folder / SEEN_FILE)


def read_last_run(folder: Path, model: TrainedModel) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `leave_for_next_run` wrote. Raises RefusedError when there is none, or it is of another model."""
    if not (folder / SEEN_FILE).is_file() or not (folder / WEIGHED_FILE).is_file():
        raise RefusedError("There is no earlier run here to go on from.", "Run `membershift dedupe run` without --since once.")
    seen, weighed = read_parquet(folder / SEEN_FILE), read_parquet(folder / WEIGHED_FILE)
    if not seen.is_empty() and seen["model"][0] != model.sha:
        raise RefusedError(
            "The model is not the one of the last run: old and new weights cannot stand side by side.",
            "Run `membershift dedupe run` without --since once.",
        )
    return seen, weighed


def read_parquet(path: Path) -> pl.DataFrame:
    """A file with member data."""
    with read_personal_file(path) as file:
        return pl.read_parquet(file)


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a file with member data."""
    with write_personal_file(path) as file:
        frame.write_parquet(file, compression="zstd", compression_level=1)
