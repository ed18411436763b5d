"""Take, prove and prune snapshots: what is in them is what the target held, and whatever is damaged is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError, RefusedError, UsageError
from etl.progress import Silent
from etl.settings import Settings, SnapshotSettings
from etl.target.bulk import BulkConnection
from migrations.release.snapshots.create import SnapshotRequest, create_snapshot
from migrations.release.snapshots.listing import list_snapshots
from migrations.release.snapshots.model import MANIFEST, folder_of, read_manifest, snapshots_dir
from migrations.release.snapshots.prune import PruneRequest, prune_snapshots
from migrations.release.snapshots.verify import verify_snapshot
from tests.integration.snapshots.conftest import SALES

BOTH = SnapshotRequest(("S001", "S002"), "before the switch", "wang")
COUNTS = {"sale": SALES, "points_ledger": SALES // 2, "sale_line": 2 * SALES, "coupon_event": SALES // 3}


def with_snapshots(settings: Settings, **values: object) -> Settings:
    """The same with other settings of snapshots."""
    return settings.model_copy(update={"snapshots": SnapshotSettings.model_validate(values)})


def test_a_snapshot_has_every_row_of_its_stores_and_can_be_proved(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, BOTH, Silent())
    rows = {(file.store, file.table): file.rows for file in manifest.files}
    assert rows == {
        (store, table): count
        for store in ("S001", "S002")
        for table, count in (
            ("sale", SALES),
            ("points_ledger", SALES // 2),
            ("sale_line", 2 * SALES),
            ("coupon_event", SALES // 3),
        )
    }
    assert (manifest.revision, manifest.schema_name) != (None, "")
    found = verify_snapshot(settings, manifest.id, Silent())
    assert found.sound, [file for file in found.files if file.fault]
    assert all(file.restored for file in found.files)
    assert found.compared_as_of == shop.is_tidb
    assert all(file.as_was is (True if shop.is_tidb else None) for file in found.files)
    assert not shop.query("SHOW DATABASES LIKE 'snap_s%verify'"), "the scratch schema is gone"


def test_later_changes_do_not_make_a_snapshot_unsound(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    shop.execute("UPDATE sale SET status = 'void' WHERE store_code = 'S001'")
    shop.execute("DELETE FROM sale_line WHERE sale_no = 'N0002'")
    assert verify_snapshot(settings, manifest.id, Silent()).sound


def test_no_personal_value_is_readable_in_an_encrypted_snapshot(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, BOTH, Silent())
    folder = folder_of(settings.state_dir, manifest.id)
    for stored in manifest.files:
        content = (folder / stored.path).read_bytes()
        assert b"PAR1" not in content
        assert b"N0000" not in content
        assert (folder / stored.path).stat().st_mode & 0o077 == 0


def test_without_the_key_nothing_is_restored_and_an_old_key_still_opens_it(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    other = "cd" * 32
    found = verify_snapshot(with_snapshots(settings, key=other), manifest.id, Silent())
    assert not found.sound
    assert "old_keys" not in found.files[0].fault
    rotated = with_snapshots(settings, key=other, old_keys=[settings.snapshots.key])
    assert verify_snapshot(rotated, manifest.id, Silent()).sound


@pytest.mark.parametrize("key", ["", "ab" * 32])
def test_a_damaged_file_is_found(settings: Settings, shop: BulkConnection, key: str) -> None:
    """Restoring from a damaged file would write damaged sales."""
    chosen = with_snapshots(settings, key=SecretStr(key) if key else None)
    manifest = create_snapshot(chosen, SnapshotRequest(("S001",)), Silent())
    path = folder_of(chosen.state_dir, manifest.id) / manifest.files[0].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = verify_snapshot(chosen, manifest.id, Silent())
    assert [bool(file.fault) for file in found.files] == [True, False, False, False]


def test_a_manifest_that_was_edited_is_not_believed(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    path = folder_of(settings.state_dir, manifest.id) / MANIFEST
    path.write_text(path.read_text("utf-8").replace('"S001"', '"S002"'), "utf-8")
    with pytest.raises(ConfigurationError, match="not as it was written"):
        read_manifest(settings.state_dir, manifest.id)
    assert list_snapshots(settings.state_dir).unusable[0][0] == manifest.id


def test_a_mistyped_store_is_refused_and_leaves_nothing(settings: Settings, shop: BulkConnection) -> None:
    with pytest.raises(UsageError, match="S999"):
        create_snapshot(settings, SnapshotRequest(("S001", "S999")), Silent())
    assert [path.name for path in snapshots_dir(settings.state_dir).iterdir()] == ["lock"]
    with pytest.raises(UsageError):
        create_snapshot(settings, SnapshotRequest(()), Silent())


def test_tables_that_changed_since_are_refused_by_name(settings: Settings, shop: BulkConnection) -> None:
    manifest = create_snapshot(settings, SnapshotRequest(("S001",)), Silent())
    shop.execute("ALTER TABLE coupon_event ADD COLUMN extra INT NULL")
    try:
        with pytest.raises(RefusedError, match="coupon_event"):
            verify_snapshot(settings, manifest.id, Silent())
    finally:
        shop.execute("ALTER TABLE coupon_event DROP COLUMN extra")


def test_the_id_of_a_snapshot_leads_nowhere_else(settings: Settings, tmp_path: Path) -> None:
    for name in ("../../etc", "", "a/b", "20260101T000000Z-abcd"):
        with pytest.raises(UsageError):
            read_manifest(settings.state_dir, name)


def test_prune_keeps_the_newest_of_each_store_whatever_their_age(settings: Settings, shop: BulkConnection) -> None:
    ids = [create_snapshot(settings, SnapshotRequest((store,)), Silent()).id for store in ("S001", "S002", "S001", "S001")]
    planned = prune_snapshots(settings, PruneRequest(keep_days=0, keep_count=1))
    assert set(planned.removed) == {ids[0], ids[2]}
    assert len(list_snapshots(settings.state_dir).found) == 4, "a dry run removes nothing"
    done = prune_snapshots(settings, PruneRequest(keep_days=0, keep_count=1, execute=True))
    assert (set(done.removed), done.kept) == ({ids[0], ids[2]}, 2)
    assert [one.id for one in list_snapshots(settings.state_dir, "S001").found] == [ids[3]]
    assert prune_snapshots(settings, PruneRequest(keep_days=30, keep_count=1)).removed == ()
