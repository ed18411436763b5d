"""Who is this? A batch of legacy rows against everybody known: what forward sync asks before it writes a member.

    with open_matcher(settings) as matcher:
        found = matcher.match("member/pos", rows)
        ...                                        # the caller writes and commits
        matcher.keep(found)                        # from now on these rows are known, also after a restart

Decisions, constraints and the crosswalk hold as in a run. What is known is mapped from disk, not read into memory. Nothing is
written to the target; the next `dedupe run` finds the same rows in the stage, and the crosswalk that the caller wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import duckdb
import polars as pl

from etl.dedupe.absorb import Absorbed, absorb
from etl.dedupe.arrive import find_neighbourhood, replace_edges
from etl.dedupe.arrived import NOBODY
from etl.dedupe.database import open_database
from etl.dedupe.incremental import Linked
from etl.dedupe.kept import IDENTITY, ROW, Kept
from etl.dedupe.kept_manifest import decision_keys
from etl.dedupe.last_run import LastRun, last_done_run, open_last_run
from etl.dedupe.matched_log import FILE, append_rows, read_rows, restart_log
from etl.dedupe.model import Limits
from etl.dedupe.neighbourhood import replace_persons
from etl.dedupe.plan import limits_of
from etl.dedupe.read_model import open_model
from etl.dedupe.record_files import BASE
from etl.dedupe.result import DedupeRequest
from etl.dedupe.run_steps import Work, find_persons, open_work
from etl.dedupe.scorer import weigh_arrivals
from etl.dedupe.staged_members import PartReader, open_readers
from etl.errors import RefusedError, UsageError
from etl.progress import Silent
from etl.settings import Settings

MOST_ROWS: Final = 5_000
RUN_FIRST: Final = "Run `membershift dedupe run --execute` once; sync goes on from its outcome."


@dataclass(frozen=True)
class Found:
    """What `match` found. `people`, a row for each given row, in their order: system, source_id, accepted (the mapping takes it);
    same_system and same_id, the record that it is one person with, somebody known before others of the batch (null: nobody);
    weight, of the pair that says so; member_id, to which the crosswalk leads from that record now.

    `review`: left_system, left_id, right_system, right_id, weight, reason of pairs that people should look at. `rows`: the given
    rows, standardised. `after`: everybody known, these rows included.
    """

    people: pl.DataFrame
    review: pl.DataFrame
    rows: pl.DataFrame
    after: LastRun


class Matcher:
    """Everybody known, ready to be asked. Made by `open_matcher`; for one caller at a time."""

    def __init__(self, work: Work, last: LastRun, readers: tuple[PartReader, ...], database: duckdb.DuckDBPyConnection) -> None:
        self._work, self._last, self._database = work, last, database
        self._readers = {reader.part.name: reader for reader in readers}
        self._limits: Limits = limits_of(work.settings)
        self._log = work.folder / FILE
        batches = [rows for rows in read_rows(self._log) if rows.columns == self._row_columns()]
        if batches:
            kept = pl.concat(batches).unique(IDENTITY, keep="last", maintain_order=True)
            rows = ahead_of(kept, last.kept)
            if rows.height < kept.height:  # a run has read the others from the stage
                restart_log(self._log, rows)
            if rows.height:
                self._last = self._settle(rows).after

    def match(self, part: str, rows: pl.DataFrame) -> Found:
        """Who these rows are. `rows`: 1 to 5,000 rows of the part's legacy table, with the columns and types of the stage.

        Raises UsageError for a part that defines no members or columns that lack; RefusedError for a legacy id that stands twice
        or a blocking rule over the pair budget; TargetError.
        """
        reader = self._readers.get(part)
        if reader is None:
            raise UsageError(f"{part} defines no members.", f"Parts that do: {', '.join(sorted(self._readers))}.")
        missing = [column for column in reader.columns if column not in rows.columns]
        if missing or not 0 < rows.height <= MOST_ROWS:
            told = f"columns {', '.join(missing)} lack" if missing else f"{rows.height:,} rows are not 1 to {MOST_ROWS:,}"
            raise UsageError(f"These rows of {part} cannot be matched: {told}.", "Give rows as they would be staged.")
        return self._settle(reader.standardise(rows.select(reader.columns)).select(self._row_columns()))

    def keep(self, found: Found) -> None:
        """Make the rows of `found` known, for the next `match` and after a restart. On disk when this returns."""
        append_rows(self._log, found.rows)
        self._last = found.after

    def _row_columns(self) -> list[str]:
        """Columns of a standardised row: those of a record, less what is only known among all."""
        comparison_set = self._last.kept.comparison_set
        derived = {name for name, _, _ in comparison_set.derived}
        return [column for column in (*comparison_set.columns, ROW) if column != "record" and column not in derived]

    def _settle(self, rows: pl.DataFrame) -> Found:
        """Put rows among everybody known, and see whose group they come to."""
        last, work = self._last, self._work
        absorbed = absorb(last.kept, rows, None, NOBODY, last.manifest.staged)
        weighed = weigh_arrivals(self._database, absorbed.kept, absorbed.arrivals, last.model, self._limits)
        edges = replace_edges(last.edges, weighed.edges, absorbed)
        _, hood = find_neighbourhood(work, last, absorbed, edges)
        linked = Linked(
            hood.records, hood.local(edges, "left", "right"), weighed.rules, work.folder / BASE, work.folder / "edges.parquet"
        )
        decided = find_persons(work, linked, last.model)
        clustering = replace_persons(last.clustering, decided, hood, absorbed.gone)
        staged = replace(last.manifest.staged, crowded=absorbed.crowded)
        manifest = replace(last.manifest, decisions=decision_keys(work.decisions), staged=staged)
        after = LastRun(manifest, absorbed.kept, last.model, edges, clustering)
        given = absorbed.kept.numbered(rows.select("system", "source_id", "accepted"))
        people = tell_people(given, hood.lasting(decided.clusters, "record", "cluster"), edges, absorbed, work.crosswalk)
        return Found(people, tell_review(hood.lasting_pairs(decided.review), given, absorbed), rows, after)


def ahead_of(rows: pl.DataFrame, kept: Kept) -> pl.DataFrame:
    """Of rows that were kept between two runs, those that the last run did not read in the same state or a later one."""
    known = kept.rows(kept.numbered(rows.select(IDENTITY))["record"])
    beside = rows.join(known.select(*IDENTITY, since="updated_at", was=ROW), on=list(IDENTITY), how="left", maintain_order="left")
    older = (pl.col("updated_at") <= pl.col("since")).fill_null(value=False)
    return beside.filter(~((pl.col(ROW) == pl.col("was")).fill_null(value=False) | older)).select(rows.columns)


def tell_people(
    given: pl.DataFrame, clusters: pl.DataFrame, edges: pl.DataFrame, absorbed: Absorbed, crosswalk: pl.DataFrame
) -> pl.DataFrame:
    """`Found.people` of the given rows (system, source_id, accepted, record)."""
    numbers = given["record"].implode()
    mine = clusters.filter(pl.col("record").is_in(numbers))
    mates = mine.join(clusters.rename({"record": "other"}), on="cluster").filter(pl.col("record") != pl.col("other"))
    ends = pl.concat(
        [edges.select(record=one, other=two, weight="weight") for one, two in (("left", "right"), ("right", "left"))]
    )
    tied = mates.join(ends.filter(pl.col("record").is_in(numbers)), on=["record", "other"], how="left")
    order = tied.with_columns(pl.col("other").is_in(numbers).alias("among")).sort(
        "record", "among", "weight", "other", descending=[False, False, True, False], nulls_last=True
    )
    best = order.unique("record", keep="first", maintain_order=True).select("record", "other", "weight")
    names = absorbed.kept.names(best["other"]).rename({"record": "other", "system": "same_system", "source_id": "same_id"})
    members = crosswalk.select(pl.col("system").alias("same_system"), pl.col("source_id").alias("same_id"), "member_id")
    told = best.join(names, on="other", how="left").join(members, on=["same_system", "same_id"], how="left")
    whole = given.join(told.drop("other"), on="record", how="left", maintain_order="left")
    return whole.select("system", "source_id", "accepted", "same_system", "same_id", "weight", "member_id")


def tell_review(review: pl.DataFrame, given: pl.DataFrame, absorbed: Absorbed) -> pl.DataFrame:
    """`Found.review`: open pairs with one of the given rows, by legacy id."""
    numbers = given["record"].implode()
    pairs = review.filter(pl.col("left").is_in(numbers) | pl.col("right").is_in(numbers))
    names = absorbed.kept.names(pl.concat([pairs["left"], pairs["right"]]))
    for side in ("left", "right"):
        named = names.rename({"record": side, "system": f"{side}_system", "source_id": f"{side}_id"})
        pairs = pairs.join(named, on=side, how="left", maintain_order="left")
    return pairs.select("left_system", "left_id", "right_system", "right_id", "weight", "reason")


@contextmanager
def open_matcher(settings: Settings) -> Iterator[Matcher]:
    """Open the outcome of the last run, and what was kept since, for matching.

    Raises RefusedError when there is none on the target that this configuration can go on from; ConfigurationError, TargetError.
    """
    with open_work(settings, DedupeRequest(), Silent()) as work, open_database(limits_of(settings), work.folder) as database:
        comparison_set = open_model(settings.dedupe.model)
        run_id = last_done_run(work.connection, work.registry.state_schema)
        last = open_last_run(settings, work.mapping, work.live.columns, comparison_set, run_id)
        if last is None or last.manifest.unwritten:
            raise RefusedError("There is no deduplication on the target to go on from.", RUN_FIRST)
        readers = open_readers(work.stage, work.mapping, comparison_set, work.live.columns)
        if any(reader.lookups for reader in readers):
            raise RefusedError(
                "A part that defines members looks values up in other tables: its rows alone do not say who they are.",
                "Run `membershift dedupe run --since last --execute` instead.",
            )
        yield Matcher(work, last, readers, database)
