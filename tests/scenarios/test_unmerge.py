"""Persons taken apart again: everything is as if they had never been joined."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge import run_unmerge
from etl.dedupe.unmerge_model import UnmergeRequest
from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.invariants import run_invariants
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import LegacyData, generate
from fixtures.legacy_server.launcher import LegacyServer, start_legacy_server, stop_legacy_server
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.merging import member_parts, truth_groups, write_merges
from tests.retailer import retailer_settings

MEMBER_PARTS = ("member/crm", "member/pos", "member/ecom")
ALLOCATED = 2**32
OURS = ("updated_at", "synced_at")
REFERRING = {"points_ledger": "entry_id", "sale": "sale_no", "coupon_event": "coupon_event_id", "sign_in": "sign_in_id"}


@dataclass(frozen=True)
class Merged:
    """A target with merged members; `groups`: which records are one (system, source_id, member_id)."""

    settings: Settings
    groups: pl.DataFrame
    records: pl.DataFrame


def load(settings: Settings) -> None:
    """Everything that is staged."""
    assert run_load(settings, LoadRequest(execute=True), Silent()).complete


@pytest.fixture
def merged(legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path: Path) -> Iterator[Merged]:
    """2,000 members, whoever is one person joined, and nothing loaded yet."""
    settings = retailer_settings(legacy, target_server, tmp_path, "unmerge")
    run_stage(settings, StageRequest(), Silent())
    records = member_parts(settings, MEMBER_PARTS)
    groups = truth_groups(retailer.frame("truth_person"), records)
    write_merges(settings, records, groups)
    yield Merged(settings, groups, records)
    drop_schemas(settings.target)


def refs(frame: pl.DataFrame) -> tuple[RecordRef, ...]:
    """Records of a frame."""
    return tuple(RecordRef(system, source_id) for system, source_id in frame.select("system", "source_id").iter_rows())


def chosen_records(groups: pl.DataFrame, count: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`count` merges to take back: (records that come out alone, the groups as if these had never been in them).

    Some of them are the record that lent the member its id, so that the others need another.
    """
    members = sorted(groups["member_id"].unique().to_list())
    chance = random.Random(seed)
    out: list[tuple[str, str]] = []
    for member in chance.sample(members, count):
        own = sorted(groups.filter(pl.col("member_id") == member).select("system", "source_id").iter_rows())
        out.append(chance.choice(own))
    taken = pl.DataFrame(out, schema={"system": pl.String, "source_id": pl.String}, orient="row")
    return taken, groups.join(taken, on=["system", "source_id"], how="anti")


def renamed(groups: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Groups of two and more under the id that deduplication would give them: the oldest kept one."""
    known = groups.join(records.select("system", "source_id", "registered_at"), on=["system", "source_id"])
    several = known.filter(pl.len().over("member_id") > 1)
    kept = pl.when(pl.col("system") == "crm").then(pl.col("source_id").cast(pl.Int64, strict=False))
    oldest = several.with_columns(kept.alias("kept")).sort("registered_at", "kept")
    names = oldest.group_by("member_id").agg(pl.col("kept").drop_nulls().first())
    return several.join(names, on="member_id").select("system", "source_id", pl.coalesce("kept", "member_id").alias("member_id"))


def proven(settings: Settings) -> None:
    """Rows and invariants of both sides agree."""
    result = run_reconcile(settings, ReconcileRequest(), Silent())
    assert [difference for table in result.tables for difference in table.differences] == []
    invariants = run_invariants(settings, Silent())
    assert [(one.name, one.rows) for one in invariants.invariants if one.verdict.value == "differs"] == []


def contents(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """Members, crosswalk, lineage and what refers to members; an allocated id is known by the first record that leads to it."""
    schema, state = settings.target.schema_name, settings.target.state_schema
    with connect_bulk(settings.target) as connection:
        entries = connection.query(f"SELECT source, source_id, member_id, valid_from, linked_by FROM `{schema}`.member_source")
        names: dict[int, str] = {}
        for source, source_id, member_id, *_ in sorted(entries, key=lambda row: (str(row[0]), str(row[1]))):
            if int(member_id) >= ALLOCATED:
                names.setdefault(int(member_id), f"{source}:{source_id}")
        columns = columns_of(connection, schema, "member")
        found: dict[str, list[tuple[object, ...]]] = {
            "member_source": [(row[0], row[1], names.get(int(row[2]), row[2]), *row[3:]) for row in entries],
            "member": [
                (names.get(int(row[0]), row[0]), *row[1:])
                for row in connection.query(f"SELECT {columns} FROM `{schema}`.member WHERE merged_into IS NULL")
            ],
            "golden_field": [
                (names.get(int(row[0]), row[0]), *row[1:])
                for row in connection.query(f"SELECT member_id, column_name, rule, system, source_id FROM `{state}`.golden_field")
            ],
        }
        for table, key in REFERRING.items():
            rows = connection.query(f"SELECT {key}, member_id FROM `{schema}`.`{table}`")
            found[table] = [(row[0], None if row[1] is None else names.get(int(row[1]), row[1])) for row in rows]
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def columns_of(connection: BulkConnection, schema: str, table: str) -> str:
    """The table's columns but those that the target keeps itself, the id first."""
    names = [str(row[0]) for row in connection.query(f"SHOW COLUMNS FROM `{schema}`.`{table}`")]
    return ", ".join(f"`{name}`" for name in names if name not in OURS)


def take_apart_and_compare(merged: Merged, other: Settings, count: int, seed: int) -> None:
    """Unmerge, a quarter of it before the load, prove, and compare with a target on which these merges were never made."""
    taken, left = chosen_records(merged.groups, count, seed)
    early = UnmergeRequest(records=refs(taken.head(count // 4)), execute=True, by_whom="test")
    assert run_unmerge(merged.settings, early, Silent()).left == 0
    load(merged.settings)
    taken, count = taken.slice(count // 4), count - count // 4
    dry = run_unmerge(merged.settings, UnmergeRequest(records=refs(taken)), Silent())
    assert (len(dry.members), dry.executed) == (count, False)
    assert not any(member.undecided for member in dry.members)
    assert sum(sum(member.moves.values()) for member in dry.members) > 0

    result = run_unmerge(merged.settings, UnmergeRequest(records=refs(taken), execute=True, by_whom="test"), Silent())

    assert (result.done, result.left) == (count, 0)
    assert result.decisions >= count
    proven(merged.settings)
    write_merges(other, merged.records, renamed(left, merged.records))
    load(other)
    expected, found = contents(other), contents(merged.settings)
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in expected.items()}
    for name, rows in expected.items():
        assert found[name] == rows, name


def test_unmerged_it_is_as_if_they_had_never_been_joined(
    merged: Merged, legacy: LegacyServer, target_server: TargetServer, tmp_path: Path
) -> None:
    other = retailer_settings(legacy, target_server, tmp_path, "never")
    try:
        take_apart_and_compare(merged, other, 40, seed=4)
    finally:
        drop_schemas(other.target)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_thousand_merges_and_two_hundred_unmerges(target_server: TargetServer, tmp_path: Path) -> None:
    server = start_legacy_server(tmp_path / "legacy", password="Scenario_1", databases=())
    create_legacy_tables(server)
    data = generate(8_000, 11, tmp_path / "data")
    fill_legacy(server, data)
    settings = retailer_settings(server, target_server, tmp_path, "thousand")
    other = retailer_settings(server, target_server, tmp_path, "never")
    try:
        run_stage(settings, StageRequest(), Silent())
        records = member_parts(settings, MEMBER_PARTS)
        groups = truth_groups(data.frame("truth_person"), records)
        assert groups["member_id"].n_unique() >= 1_000
        some = groups["member_id"].unique().sort().head(1_000).implode()
        groups = groups.filter(pl.col("member_id").is_in(some))
        write_merges(settings, records, groups)
        take_apart_and_compare(Merged(settings, groups, records), other, 200, seed=5)
    finally:
        for one in (settings, other):
            drop_schemas(one.target)
        stop_legacy_server(server.folder)
