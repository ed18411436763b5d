"""The quarantine: listed and exported masked, retried after a correction of the mapping."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from etl.load.export_rejects import export_rejects, list_rejects
from etl.load.model import LoadRequest
from etl.load.rejects import RejectFilter
from etl.load.retry_rejects import retry_rejects
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import LoadSettings, MappingSettings, Settings, TargetSettings
from etl.target.bulk import BulkConnection
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import KEYS, generated_tables, stage_table

PARTS = ("member/crm", "member/pos", "points_ledger/crm", "sign_in/crm")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """400 members, and what the parts need."""
    generated = generated_tables(tmp_path_factory.mktemp("generated"), 400)
    return {name: generated[name] for name in ("crm.dbo.Member", "pos.dbo.PosMember", "crm.dbo.PointsLedger", "crm.dbo.SignIn")}


@pytest.fixture
def settings(
    ready_target: TargetSettings, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> Settings:
    """A mapping of its own, which a test may change, and a member whose store code is too long for it."""
    shutil.copytree(str(resources.files("etl.mapping").joinpath("retailer")), tmp_path / "mapping")
    settings = settings_for(
        target=ready_target, load=LoadSettings(batch_rows=150), mapping=MappingSettings(path=str(tmp_path / "mapping"))
    )
    for name, frame in tables.items():
        stage_table(settings, name, spoiled(frame) if name.endswith("Member") else frame, KEYS[name], 300)
    return settings


def spoiled(frame: pl.DataFrame) -> pl.DataFrame:
    """Every 50th row with a store code that is too long."""
    row = pl.int_range(pl.len())
    return frame.with_columns(StoreCode=pl.when(row % 50 == 7).then(pl.lit("MUCH-TOO-LONG")).otherwise("StoreCode"))


def correct_mapping(settings: Settings) -> None:
    """From now on a store code that does not fit is loaded as NULL."""
    path = Path(settings.mapping.path) / "member.toml"
    wrong, right = (
        'store_code = { from = "StoreCode", as = "code" }',
        'store_code = { from = "StoreCode", as = "code", on_bad = "null" }',
    )
    assert wrong in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(wrong, right), "utf-8")


def test_rows_in_quarantine_load_after_the_mapping_is_corrected(settings: Settings, connection: BulkConnection) -> None:
    first = run_load(settings, LoadRequest(PARTS, execute=True), Silent())
    state, schema = settings.target.state_schema, settings.target.schema_name
    before = {
        (row[0], row[1]): row[2] for row in connection.query(f"SELECT source, source_id, member_id FROM `{schema}`.member_source")
    }
    stuck = list_rejects(settings, RejectFilter(tables=("member",), reason="too_long"))
    assert stuck.total >= 8
    correct_mapping(settings)

    dry = retry_rejects(settings, PARTS, Silent(), execute=False)
    assert dry.loaded > 0
    assert list_rejects(settings, RejectFilter(tables=("member",), reason="too_long")).total == stuck.total

    result = retry_rejects(settings, PARTS, Silent(), execute=True)

    assert result.loaded >= stuck.total
    assert result.rejected == first.rejected - result.loaded
    assert list_rejects(settings, RejectFilter(tables=("member",), reason="too_long")).total == 0
    members = {str(row[0]) for row in connection.query(f"SELECT member_id FROM `{schema}`.member")}
    assert {line.source_key for line in stuck.lines if line.mapping_part == "member/crm"} <= members
    after = {
        (row[0], row[1]): row[2] for row in connection.query(f"SELECT source, source_id, member_id FROM `{schema}`.member_source")
    }
    assert before.items() <= after.items()
    cards = sorted((key, member) for (system, key), member in after.items() if system == "pos")
    assert [member for _, member in cards] == sorted(member for _, member in cards)
    settled = connection.scalar(
        f"SELECT COUNT(*) FROM `{state}`.reject WHERE settled_at IS NOT NULL AND reason = 'unknown_member'"
    )
    assert int(settled) > 0  # rows of the members that had been missing followed them

    again = retry_rejects(settings, PARTS, Silent(), execute=True)
    assert again.loaded == 0
    assert again.rejected == result.rejected


def test_lists_and_exports_show_no_personal_value(settings: Settings, tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    spoil = tables["crm.dbo.Member"].with_columns(Name=pl.lit("欧阳" * 30))
    stage_table(settings, "crm.dbo.Member", spoil, KEYS["crm.dbo.Member"])
    run_load(settings, LoadRequest(("member/crm",), execute=True), Silent())
    members = tables["crm.dbo.Member"]
    planted = {value for name in ("Phone", "IdCard", "Email") for value in members[name].drop_nulls() if len(value) > 5}

    for name in ("rejects.xlsx", "rejects.csv"):
        written = export_rejects(settings, RejectFilter(), tmp_path / name)
        assert written.lines > 0
        assert written.path.stat().st_mode & 0o077 == 0
    book = openpyxl.load_workbook(tmp_path / "rejects.xlsx")
    assert book.active is not None
    cells = {str(cell) for row in book.active.iter_rows(values_only=True) for cell in row}
    text = (tmp_path / "rejects.csv").read_text("utf-8-sig")
    assert text.startswith("mapping_part,source_table,source_key")
    assert not planted & cells
    assert not [value for value in planted if value in text]
    assert "欧阳" not in text


def test_a_mapping_changed_in_mid_load_is_refused_until_accepted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.errors import RefusedError
    from etl.load.batch import BatchWriter

    write, written = BatchWriter.write, iter(range(2))

    def stop_soon(self: BatchWriter, batch, **options):  # type: ignore[no-untyped-def]  # passes everything on
        if next(written, None) is None:
            raise KeyboardInterrupt
        return write(self, batch, **options)

    monkeypatch.setattr(BatchWriter, "write", stop_soon)
    with pytest.raises(KeyboardInterrupt):
        run_load(settings, LoadRequest(PARTS, execute=True), Silent())
    monkeypatch.undo()
    correct_mapping(settings)

    with pytest.raises(RefusedError, match="mapping of member/crm changed while its load is unfinished"):
        run_load(settings, LoadRequest(PARTS, execute=True), Silent())

    assert run_load(settings, LoadRequest(PARTS, execute=True, accept_mapping=True), Silent()).complete
    told = run_load(settings, LoadRequest(PARTS, execute=True), Silent())
    assert told.complete
