"""Whole loads of generated tables: exactly once, whatever came before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from etl.errors import RefusedError
from etl.load.lock import hold_load_lock
from etl.load.model import LoadRequest, LoadResult
from etl.load.rejects import RejectFilter, read_rejects
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import LoadSettings, Settings, TargetSettings
from etl.target.bulk import BulkConnection
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import KEYS, PARTS, generated_tables, stage_all, stage_table

Tables = dict[str, pl.DataFrame]
Ready = tuple[Settings, Tables]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """700 members and what goes with them."""
    return generated_tables(tmp_path_factory.mktemp("generated"), 700)


@pytest.fixture
def settings(ready_target: TargetSettings, settings_for: SettingsFactory, tables: Tables) -> Settings:
    """A stage in chunks of 1,000 rows, batches of 300, two connections."""
    settings = settings_for(target=ready_target, load=LoadSettings(batch_rows=300, connections=2))
    stage_all(settings, tables, 1_000)
    return settings


def load(settings: Settings, **options: object) -> LoadResult:
    """Load the parts that the tables fill."""
    request = LoadRequest(**{"tables": PARTS, "execute": True, **options})  # type: ignore[arg-type]  # options of the test's choice
    return run_load(settings, request, Silent())


def counts(connection: BulkConnection, settings: Settings) -> dict[str, int]:
    """Rows of every table loaded."""
    schema = settings.target.schema_name
    names = ("store", "product", "member", "member_source", "points_ledger", "tier_history", "sign_in", "sale", "sale_line")
    return {name: int(connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.{name}")) for name in names}


def crosswalk(connection: BulkConnection, settings: Settings) -> dict[tuple[str, str], int]:
    """Every entry."""
    rows = connection.query(f"SELECT source, source_id, member_id FROM `{settings.target.schema_name}`.member_source")
    return {(str(row[0]), str(row[1])): int(row[2]) for row in rows}


def test_dry_run_changes_nothing_and_says_what_it_would_do(
    settings: Settings, connection: BulkConnection, tables: Tables
) -> None:
    result = load(settings, execute=False)

    assert not result.executed
    assert {part.source: part.pending for part in result.tables} == {name: frame.height for name, frame in tables.items()}
    assert sum(part.rejected for part in result.tables) > 0
    assert set(counts(connection, settings).values()) == {0}
    assert not connection.query(f"SELECT 1 FROM `{settings.target.state_schema}`.load_run")


def test_every_row_is_loaded_once_or_in_quarantine(settings: Settings, connection: BulkConnection, tables: Tables) -> None:
    result = load(settings)

    assert result.complete
    loaded = counts(connection, settings)
    rejected = {part.source: part.rejected for part in result.tables}
    assert loaded["sale_line"] == tables["pos.dbo.SaleLine"].height - rejected["pos.dbo.SaleLine"]
    members = tables["crm.dbo.Member"].height + tables["pos.dbo.PosMember"].height
    assert loaded["member"] == members - rejected["crm.dbo.Member"] - rejected["pos.dbo.PosMember"]
    assert loaded["member_source"] == loaded["member"]
    waiting = read_rejects(connection, settings.target.state_schema, RejectFilter())
    assert len({(line.mapping_part, line.source_key) for line in waiting}) == result.rejected > 0

    again = load(settings)

    assert again.complete
    assert again.rows == again.rejected == 0
    assert counts(connection, settings) == loaded


def test_orphans_are_rejected_as_unknown_members(settings: Settings, connection: BulkConnection, tables: Tables) -> None:
    load(settings)
    known = set(tables["crm.dbo.Member"]["MemberId"])
    orphans = {
        str(entry)
        for entry, member in tables["crm.dbo.PointsLedger"].select("EntryId", "MemberId").iter_rows()
        if member not in known
    }

    found = read_rejects(
        connection, settings.target.state_schema, RejectFilter(tables=("points_ledger",), reason="unknown_member")
    )

    assert orphans
    assert {line.source_key for line in found} == orphans


def test_kept_ids_stay_and_allocated_ones_follow_the_key_order(
    settings: Settings, connection: BulkConnection, tables: Tables
) -> None:
    load(settings)
    entries = crosswalk(connection, settings)

    assert all(member == int(key) for (system, key), member in entries.items() if system == "crm")
    cards = sorted(tables["pos.dbo.PosMember"]["CardNo"].str.strip_chars().str.to_uppercase().to_list())
    numbers = {card: 2**32 + place for place, card in enumerate(cards)}
    assert {key: member for (system, key), member in entries.items() if system == "pos"} == {
        key: numbers[key] for system, key in entries if system == "pos"
    }


class Stopped(Exception):
    """Raised by a test in the middle of a load."""


def stop_after(batches: int) -> Callable[[], None]:
    """Something to call for each batch, which raises when enough are done."""
    done = iter(range(batches))

    def step() -> None:
        if next(done, None) is None:
            raise Stopped

    return step


@pytest.mark.parametrize("batches", [1, 9])
def test_a_load_that_was_cut_short_goes_on_with_the_same_ids(
    settings: Settings, connection: BulkConnection, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from etl.load.batch import BatchWriter

    write, step = BatchWriter.write, stop_after(batches)

    def interrupted(self: BatchWriter, batch, **options):  # type: ignore[no-untyped-def]  # passes everything on
        step()
        return write(self, batch, **options)

    monkeypatch.setattr(BatchWriter, "write", interrupted)
    with pytest.raises(Stopped):
        load(settings)
    monkeypatch.undo()
    resumed = settings.model_copy(update={"load": LoadSettings(batch_rows=170, connections=3)})

    result = load(resumed)

    assert result.complete
    entries = crosswalk(connection, settings)
    assert len(entries) == counts(connection, settings)["member"]
    cards = sorted(key for system, key in entries if system == "pos")
    ids = [entries["pos", card] for card in cards]
    assert ids == sorted(ids)
    assert min(ids) >= 2**32
    assert max(ids) < 2**32 + len(ids) + 5  # one block, in which only rejected members leave gaps


def test_a_table_staged_anew_in_other_chunks_changes_nothing(
    settings: Settings, connection: BulkConnection, tables: Tables
) -> None:
    load(settings)
    before, entries = counts(connection, settings), crosswalk(connection, settings)
    stage_all(settings, tables, 777)

    result = load(settings)

    assert result.rows == 0
    assert result.complete
    assert sum(part.unchanged for part in result.tables) > 5_000
    assert counts(connection, settings) == before
    assert crosswalk(connection, settings) == entries
    assert not read_rejects(connection, settings.target.state_schema, RejectFilter(reason="differs_from_target"))


def test_rows_corrected_in_the_source_leave_the_quarantine(
    settings: Settings, connection: BulkConnection, tables: Tables
) -> None:
    load(settings)
    waiting = read_rejects(connection, settings.target.state_schema, RejectFilter(tables=("points_ledger",)))
    assert waiting
    known = int(tables["crm.dbo.Member"]["MemberId"].min())  # type: ignore[arg-type]  # an integer column
    bad = pl.col("EntryId").cast(pl.String).is_in([line.source_key for line in waiting])
    corrected = tables["crm.dbo.PointsLedger"].with_columns(
        MemberId=pl.when(bad).then(pl.lit(known, pl.Int32)).otherwise("MemberId"), Note=pl.when(bad).then(None).otherwise("Note")
    )
    stage_table(settings, "crm.dbo.PointsLedger", corrected, KEYS["crm.dbo.PointsLedger"], 1_000)

    result = load(settings)

    assert {part.part: part.loaded for part in result.tables if part.loaded} == {
        "points_ledger/crm": len({w.source_key for w in waiting})
    }
    assert not read_rejects(connection, settings.target.state_schema, RejectFilter(tables=("points_ledger",)))


def test_the_canary_is_a_tenth_of_every_part_and_part_of_the_whole(
    settings: Settings, connection: BulkConnection, tables: Tables
) -> None:
    result = load(settings, canary=0.1)

    assert result.canary is not None
    assert result.canary.passed
    for part in result.canary.parts:
        staged = next(table.staged for table in result.tables if table.part == part.part)
        assert part.missing == part.changed == 0
        assert part.rows == pytest.approx(staged / 10, rel=0.1, abs=3)
    assert result.complete
    assert sum(part.loaded for part in result.tables) == sum(
        v for k, v in counts(connection, settings).items() if k != "member_source"
    )


def test_a_canary_with_too_many_errors_stops_the_load(settings: Settings, connection: BulkConnection, tables: Tables) -> None:
    lines = tables["pos.dbo.SaleLine"]
    broken = lines.with_columns(Quantity=pl.when(pl.int_range(pl.len()) % 10 == 3).then(None).otherwise("Quantity"))
    stage_table(settings, "pos.dbo.SaleLine", broken, KEYS["pos.dbo.SaleLine"], 1_000)

    with pytest.raises(RefusedError, match="canary failed"):
        load(settings, canary=0.1)

    assert 0 < counts(connection, settings)["sale_line"] < lines.height / 5


def test_a_second_copy_is_refused(settings: Settings) -> None:
    with hold_load_lock(settings), pytest.raises(RefusedError, match="Another load is running"):
        load(settings)


def test_a_second_copy_elsewhere_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"state": settings.state.model_copy(update={"dir": tmp_path / "elsewhere"})})
    with hold_load_lock(other), pytest.raises(RefusedError, match="lock on the target"):
        load(settings)


def test_children_before_members_are_refused(settings: Settings) -> None:
    with pytest.raises(RefusedError, match="member/crm is not loaded"):
        load(settings, tables=("points_ledger",))


def test_an_unfinished_stage_is_refused(settings: Settings) -> None:
    from etl.names import SourceTable
    from etl.stage.manifest import open_manifest

    with open_manifest(settings.stage_dir) as manifest:
        manifest.reopen_chunk(SourceTable.parse("pos.dbo.Sale"), 1)

    with pytest.raises(RefusedError, match=r"not to the end: pos\.dbo\.Sale"):
        load(settings)


def test_no_schema_names_the_remedy(fresh_target: TargetSettings, settings_for: SettingsFactory, tables: Tables) -> None:
    settings = settings_for(target=fresh_target)
    stage_all(settings, {"pos.dbo.Store": tables["pos.dbo.Store"]})

    with pytest.raises(Exception, match="schema") as caught:
        load(settings, tables=("store",))

    assert "membershift schema up" in getattr(caught.value, "remedy", "")
