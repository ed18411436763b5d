"""Arrivals matched against kept records end as they would had everything been read again."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from etl.dedupe import arrive
from etl.dedupe.decisions import Decision, RecordKey, standing_decisions, withdraw_decisions, write_decisions
from etl.dedupe.incremental import read_parquet
from etl.dedupe.kept_manifest import FILE as MANIFEST
from etl.dedupe.record_files import BASE, FRESH, scan_records
from etl.dedupe.result import DedupeResult
from etl.settings import Settings
from etl.stage.read import open_stage
from etl.target.bulk import BulkConnection
from tests.integration.dedupe.conftest import empty
from tests.integration.dedupe.test_run import content, dedupe
from tests.integration.load.stage_data import stage_table

KEYS = {"crm.dbo.Member": "MemberId", "pos.dbo.PosMember": "CardNo", "ecom.dbo.Account": "AccountId"}
Frames = dict[str, pl.DataFrame]


def staged(settings: Settings) -> Frames:
    """The staged member tables."""
    with open_stage(settings) as stage:
        return {
            str(table.name): pl.concat([frame for chunk in table.chunks for frame in stage.read(chunk)])
            for table in stage.tables()
            if str(table.name) in KEYS
        }


def stage_all(settings: Settings, frames: Frames) -> None:
    """Stage them anew."""
    for name, frame in frames.items():
        stage_table(settings, name, frame.sort(KEYS[name]), (KEYS[name],), chunk_rows=700)


def in_steps(whole: Frames, seed: int) -> list[Frames]:
    """Three states of the tables: some records come later, some change, and a few are deleted."""
    chance = random.Random(seed)
    steps: list[Frames] = [{}, {}, {}]
    for name, frame in whole.items():
        comes = pl.Series([chance.choices((0, 1, 2, 3), (92, 4, 3, 1))[0] for _ in range(frame.height)])
        phones = pl.Series([f"139{chance.randrange(10**8):08}" if chance.random() < 0.01 else None for _ in range(frame.height)])
        steps[0][name] = frame.filter((comes == 0) | (comes == 3))
        later = pl.when(phones.is_not_null()).then(pl.col("UpdatedAt").dt.offset_by("1d")).otherwise("UpdatedAt")
        changed = frame.with_columns(pl.coalesce(phones, "Phone").alias("Phone"), later.alias("UpdatedAt"))
        steps[1][name] = changed.filter((comes == 0) | (comes == 1))  # those of 3 are deleted
        steps[2][name] = changed.filter(comes <= 2)
    return steps


def people(settings: Settings) -> dict[str, set[Any]]:
    """Clusters, open and refused pairs of the last run, by legacy id."""
    folder = settings.dedupe_dir
    records = scan_records(folder / BASE).select("record", key=pl.concat_str("system", pl.lit(":"), "source_id")).collect()
    clusters = read_parquet(folder / "clusters.parquet").join(records, on="record").group_by("cluster").agg("key")
    found: dict[str, set[Any]] = {"clusters": {frozenset(keys) for keys in clusters["key"].to_list()}}
    for name in ("review", "refused", "edges"):
        pairs = read_parquet(folder / f"{name}.parquet")
        for side in ("left", "right"):
            pairs = pairs.join(records.rename({"record": side, "key": f"{side}_key"}), on=side)
        reason = "rule" if name == "edges" else "reason"
        rows = pairs.select("left_key", "right_key", reason, pl.col("weight").round(5)).rows()
        found[name] = {(frozenset((left, right)), why, weight) for left, right, why, weight in rows}
    return found


def numbers_of(result: DedupeResult) -> tuple[object, ...]:
    """What a run tells of all records."""
    counts = (result.records, result.accepted, result.persons, result.merged_members, result.merged_records, result.split)
    return (*counts, dict(result.systems), dict(result.sizes))


def run_in_steps(settings: Settings, steps: list[Frames], *, quick: bool) -> list[DedupeResult]:
    """Stage and deduplicate one after the other, from nothing. Not `quick`: without what is kept for arrivals."""
    empty(settings.target)
    for name in (BASE, FRESH, MANIFEST):
        (settings.dedupe_dir / name).unlink(missing_ok=True)
    results = []
    for number, frames in enumerate(steps):
        stage_all(settings, frames)
        if not quick:
            (settings.dedupe_dir / MANIFEST).unlink(missing_ok=True)
        results.append(dedupe(settings, since="last" if number else None))
        assert (results[-1].arrivals is not None) == (quick and number > 0)
    return results


def test_the_outcome_is_that_of_a_run_over_everybody(settings: Settings, target: BulkConnection) -> None:
    results = run_in_steps(settings, in_steps(staged(settings), 5), quick=True)
    ended = people(settings)
    counts = results[1].arrivals
    assert counts is not None
    assert min(counts.new - 50, counts.gone - 5, counts.changed - 5, counts.joined - 5) > 0
    assert counts.new == counts.joined + counts.merged_among + counts.alone + counts.rejected

    whole = dedupe(settings)

    assert whole.written.nothing
    assert people(settings) == ended  # every pair weighed again, every cluster made again
    assert numbers_of(whole) == numbers_of(results[-1])


@pytest.mark.proof
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_the_same_as_reading_everything_at_each_step(settings: Settings, target: BulkConnection, seed: int) -> None:
    steps = in_steps(staged(settings), seed)
    quick = run_in_steps(settings, steps, quick=True)
    written, persons = content(target), people(settings)["clusters"]
    assert dedupe(settings).written.nothing
    slow = run_in_steps(settings, steps, quick=False)

    assert people(settings)["clusters"] == persons
    assert content(target) == written
    assert [numbers_of(result) for result in quick] == [numbers_of(result) for result in slow]


def test_killed_before_the_manifest_is_written_everything_is_read(settings: Settings, target: BulkConnection) -> None:
    """Files and manifest that do not fit each other count for nothing, whichever is older; the outcome is the same."""
    steps = in_steps(staged(settings), 5)
    stage_all(settings, steps[0])
    dedupe(settings)
    manifest = settings.dedupe_dir / MANIFEST
    older = manifest.read_bytes()
    stage_all(settings, steps[1])
    assert dedupe(settings, since="last").arrivals is not None
    whole = content(target)

    for damage in ("missing", "older", "cut"):
        match damage:
            case "missing":
                manifest.unlink()
            case "older":
                manifest.write_bytes(older)
            case "cut":
                manifest.write_bytes(older[:100])
        again = dedupe(settings, since="last")
        assert again.arrivals is None
        assert again.written.nothing
        assert content(target) == whole
        assert not (settings.dedupe_dir / FRESH).exists()
    assert dedupe(settings, since="last").arrivals is not None


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS = [*(pytest.param(step, marks=pytest.mark.proof) for step in ("write_changes", "write_fresh")), "leave_state"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_around_the_writing_the_next_run_completes_it(
    settings: Settings, target: BulkConnection, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    steps = in_steps(staged(settings), 5)
    stage_all(settings, steps[0])
    dedupe(settings)
    stage_all(settings, steps[1])

    def cut(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(arrive, step, cut)
        with pytest.raises(Killed):
            dedupe(settings, since="last")
    again = dedupe(settings, since="last")
    ended = people(settings)["clusters"]
    linked = content(target)["member_source"]
    assert (again.arrivals is not None) == (step == "write_changes")  # the run on the target is newer than the files

    whole = dedupe(settings)
    assert whole.written.nothing
    assert people(settings)["clusters"] == ended
    assert content(target)["member_source"] == linked


def test_a_dry_run_leaves_what_it_found_to_be_written(settings: Settings, target: BulkConnection) -> None:
    steps = in_steps(staged(settings), 5)
    stage_all(settings, steps[0])
    dedupe(settings)
    before = content(target)
    stage_all(settings, steps[1])

    dry = dedupe(settings, since="last", execute=False)
    assert dry.arrivals is not None
    assert not dry.written.nothing
    assert content(target) == before
    done = dedupe(settings, since="last")
    assert done.arrivals is not None
    assert done.arrivals.new == 0
    assert done.written == dry.written
    assert dedupe(settings).written.nothing


def test_answers_since_the_last_run_are_heeded_without_reading_everything(settings: Settings, target: BulkConnection) -> None:
    first = dedupe(settings)
    pairs = sorted(sorted(keys) for keys in people(settings)["clusters"] if len(keys) == 2)
    doubtful = sorted(sorted(pair) for pair, _, _ in people(settings)["review"])
    (left, right), (one, other) = ([RecordKey(*key.split(":")) for key in pair] for pair in (pairs[0], doubtful[0]))
    write_decisions(settings, [Decision("cannot_link", left, right, "test"), Decision("must_link", one, other, "test")])

    result = dedupe(settings, since="last")

    assert result.arrivals is not None
    assert result.to_split == 1
    ended = people(settings)
    assert frozenset(pairs[0]) not in ended["clusters"]
    assert any(set(doubtful[0]) <= keys for keys in ended["clusters"])
    whole = dedupe(settings)
    assert (whole.to_split, whole.merged_records) == (result.to_split, result.merged_records)
    assert people(settings) == ended
    assert first.merged_members == whole.merged_members
    withdraw_decisions(settings, [one.decision_id for one in standing_decisions(target, "dedupe_s")])
    assert dedupe(settings, since="last").to_split == 0
    assert frozenset(pairs[0]) in people(settings)["clusters"]
