"""1,000 differences of ten kinds, planted in data our own load moved: all are found as what they are, and none is invented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.load.model import LoadRequest
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.repair import RepairRequest, run_repair
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings
from etl.stage.run import StageRequest, run_stage
from fixtures.data.corrupt import plant
from fixtures.data.corrupt_kinds import Damage
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import generate
from fixtures.legacy_server.launcher import LegacyServer, start_legacy_server, stop_legacy_server
from migrations.schema.commands import schema_up

MEMBERS = 100_000
DIFFERENCES = 1_000
KINDS = {
    Damage.MISSING: "missing",
    Damage.EXTRA: "extra",
    Damage.DUPLICATE: "duplicated",
    Damage.LINK: "merged_wrongly",
}


@pytest.fixture
def large_legacy(tmp_path: Path) -> Iterator[LegacyServer]:
    """A legacy server of its own with 100,000 members."""
    server = start_legacy_server(tmp_path / "legacy", password="Scenario_1", databases=())
    create_legacy_tables(server)
    fill_legacy(server, generate(MEMBERS, 3, tmp_path / "data"))
    yield server
    stop_legacy_server(server.folder)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_a_thousand_differences_of_ten_kinds(large_legacy: LegacyServer, fresh_target: TargetSettings, tmp_path: Path) -> None:
    """Moved, proven equal, damaged, found, repaired, proven equal again."""
    settings = Settings(
        source=SourceSettings(url=SecretStr(large_legacy.url), databases=("crm", "pos", "ecom")),
        target=fresh_target,
        state=StateSettings(dir=tmp_path / "state"),
        origin=tmp_path / "membershift.toml",
    )
    schema_up(fresh_target, "0001")
    run_stage(settings, StageRequest(), Silent())
    run_load(settings, LoadRequest(execute=True), Silent())
    assert run_reconcile(settings, ReconcileRequest(), Silent()).total_differences == 0
    planted = plant(fresh_target, DIFFERENCES, seed=5)
    repaired = run_repair(settings, RepairRequest(delete_extra=True, execute=True), Silent())
    found = {(one.table, one.key): one.kind.value for table in repaired.before.tables for one in table.differences}
    assert found == {(one.table, one.key): KINDS.get(one.kind, "changed") for one in planted}
    assert repaired.before.total_differences == DIFFERENCES
    assert repaired.left == 0
    assert run_reconcile(settings, ReconcileRequest(), Silent()).total_differences == 0
