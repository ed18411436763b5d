"""Rows that came from files have no legacy row: they are told apart, never called differences, never deleted by repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.load.import_files import ImportRequest, run_import
from etl.load.import_record import records_folder
from etl.progress import Silent
from etl.reconcile.differences import Kind, TableResult
from etl.reconcile.repair import RepairRequest, run_repair
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from tests.integration.reconcile.conftest import Damage

HEADER = "卡号,姓名,性别,手机,身份证,生日,地址,门店,入会时间"
ROWS = ("Z900001,李静,女,13912345679,,1991-01-02,,S001,2024-05-07", "Z900002,张伟,男,13912345670,,1992-01-03,,S001,2024-05-07")
CARDS = ("Z900001", "Z900002")


@pytest.fixture
def imported(moved: Settings, target: BulkConnection, tmp_path: Path) -> Iterator[int]:
    """Two members from a file, each with a further record that is refused, and one that is refused alone; how many rows were
    loaded. Taken away again."""
    path = tmp_path / "cards.csv"
    twice, refused = ROWS[1].replace("张伟", "王芳"), ROWS[0].replace("2024-05-07", "soon")
    path.write_text("\r\n".join((HEADER, *ROWS, twice, refused, "Z900003,无日期,,,,,,S001,soon")) + "\r\n", "utf-8")
    yield run_import(moved, ImportRequest((path,), "pos-members", True), Silent()).files[0].loaded
    with target.transaction():
        entries = "SELECT member_id FROM member_source WHERE source = 'pos' AND source_id IN (%s, %s)"
        for (member_id,) in target.query(entries, CARDS):
            target.execute("DELETE FROM member WHERE member_id = %s", (member_id,))
        target.execute("DELETE FROM member_source WHERE source = 'pos' AND source_id IN (%s, %s)", CARDS)
        for table in ("import_file", "reject", "load_checkpoint"):
            part = "1 = 1" if table == "import_file" else "mapping_part = 'import/pos-members'"
            target.execute(f"DELETE FROM {moved.target.state_schema}.{table} WHERE {part}")
    for record in records_folder(moved).glob("*/*.arrow"):
        record.unlink()


def tables(settings: Settings) -> dict[str, TableResult]:
    """Comparison of the members and their crosswalk."""
    return {table.table: table for table in run_reconcile(settings, ReconcileRequest(("member",)), Silent()).tables}


def test_imported_rows_are_counted_apart_and_kept_by_repair(
    moved: Settings, target: BulkConnection, imported: int, damage: Damage
) -> None:
    """A member that nobody imported is still extra, beside them."""
    found = tables(moved)
    assert imported == 2
    for name in ("member", "member_source"):
        assert (found[name].imported, found[name].differing) == (2, 0)

    damage(
        "INSERT INTO member (member_id, name, name_key, registered_at, origin, tier, points, balance) "
        "SELECT 999000001, name, name_key, registered_at, origin, tier, 1, 2 FROM member WHERE member_id = 11",
        tables=("member",),
    )
    found = tables(moved)
    assert (found["member"].imported, found["member"].counts) == (2, {Kind.EXTRA: 1})

    run_repair(moved, RepairRequest(("member",), delete_extra=True, execute=True), Silent())
    left = "SELECT COUNT(*) FROM member_source s JOIN member m ON m.member_id = s.member_id WHERE s.source_id IN (%s, %s)"
    assert target.scalar(left, CARDS) == 2


def test_a_file_whose_record_is_elsewhere_is_told(moved: Settings, imported: int) -> None:
    """Nobody can tell its rows from others then: they are extra, and the result says why that may be."""
    before = run_reconcile(moved, ReconcileRequest(("member",)), Silent())
    assert (before.unrecorded_files, before.imported) == (0, 2 * imported)
    for record in records_folder(moved).glob("*/*.arrow"):
        record.unlink()
    after = run_reconcile(moved, ReconcileRequest(("member",)), Silent())
    assert (after.unrecorded_files, after.imported, after.total_differences) == (1, 0, 2 * imported)
