"""Every report of the audit log, of alerts and of snapshots, with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from migrations.audit.entry import Head
from migrations.audit.export import Exported
from migrations.audit.verify import Fault, Verified
from migrations.audit.view import AuditedCommand, AuditLog
from migrations.release.alerts.model import Alert, Standing
from migrations.release.snapshots.br import Backup
from migrations.release.snapshots.listing import Listed, Snapshots
from migrations.release.snapshots.model import Manifest, StoredFile
from migrations.release.snapshots.prune import Pruned
from migrations.release.snapshots.restore import RestoreResult, TableRestore
from migrations.release.snapshots.verify import VerifiedFile, VerifiedSnapshot
from reports.document import Document
from reports.documents import alerts, audit, snapshots

AT = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
HEAD = Head(7, "ab" * 32)
ID = "20261123T010203Z-1a2b"
NO_RIGHT = "The account may not set tidb_gc_life_time: reads as of the snapshot work for 0:10:00 only."
AWAY = "The target cannot be reached, or the connection to it was lost (error 2003) (h:1)."


def documents(lang: str) -> Iterator[Document]:
    """All of them, in a language."""
    yield from audits(lang)
    yield from raised(lang)
    yield from taken(lang)
    yield from proved(lang)
    yield from restored(lang)


def audits(lang: str) -> Iterator[Document]:
    """The log, its proof and its export."""
    command = AuditedCommand(1, AT.isoformat(), "wang", ("dba",), "db1", "sync stop", {"by": "wang", "table": ["sale"]})
    ended = replace(command, ended_at=AT.isoformat(), exit_code=7, result="7")
    for log in (AuditLog((), 0, 0, 0, None), AuditLog((command, ended), 9, 9, 1, HEAD), AuditLog((ended,), 1, 1, 0, HEAD)):
        yield audit.log_document(log, lang)
    for fault in (None, *get_args(Fault)):
        found = Verified(6, HEAD, fault, None if fault is None else 7, (3,), compared=True)
        yield audit.verified_document(found, lang)
        yield audit.verified_document(replace(found, compared=False), lang)
    yield audit.exported_document(Exported(Path("a.jsonl"), 7, HEAD), lang)


def raised(lang: str) -> Iterator[Document]:
    """Alerts in each state; what they say themselves is told as it was raised."""
    red = Standing(1, Alert("k", "red", "a", "b", "c", "d"), AT, AT, 3, 0)
    yellow = replace(red, id=2, alert=replace(red.alert, level="yellow"), step=2)
    blue = replace(red, id=3, alert=replace(red.alert, level="blue"), acknowledged_by="wang", acknowledged_at=AT)
    for some in ((), (red, yellow, blue), (yellow,), (replace(blue, resolved_at=AT),)):
        yield alerts.alerts_document(some, lang)
        yield alerts.changed_document(some, lang, settled=True)
        yield alerts.changed_document(some, lang, settled=False)


def taken(lang: str) -> Iterator[Document]:
    """What was taken, what there is, and what went."""
    files = tuple(StoredFile(side, "S001", "sale", "x", 3, 99, "ab") for side in ("target", "legacy"))
    manifest = Manifest(ID, AT, 1, AT, "TiDB", "m", "0004", ("S001",), "r", "wang", {}, {}, files, "ab", NO_RIGHT)
    yield snapshots.created_document(manifest, lang)
    yield snapshots.created_document(replace(manifest, readable_until=None, key_id="", note=""), lang)
    yield snapshots.backup_document(Backup("s3://b/x", 75.0, Path("br.log")), lang)
    listed = Listed(ID, AT, ("S001",), 3, 99, True, True, "r", "wang", "")
    reasons = (f"The manifest of snapshot {ID} is not as it was written.", "It is being written, or was never finished.")
    yield snapshots.list_document(Snapshots((listed, replace(listed, encrypted=False, readable=False))), lang)
    yield snapshots.list_document(Snapshots((), tuple((ID, reason) for reason in reasons)), lang)
    later = f"{AWAY} What it keeps for snapshots is put back by the next command that reaches it."
    pruned = Pruned(True, (ID,), 3, 99, (ID,), ("S001",), later)
    yield snapshots.pruned_document(pruned, lang)
    yield snapshots.pruned_document(replace(pruned, executed=False, note=""), lang)
    yield snapshots.pruned_document(Pruned(False, (), 0, 0), lang)


def proved(lang: str) -> Iterator[Document]:
    """Files that can be restored, and that cannot."""
    good = VerifiedFile("S001", "sale", "target", 3, True, True, True)
    faults = (
        "target/S001/sale.parquet of the snapshot is not as it was written.",
        "The snapshot is encrypted with key 0a1b, which is not among those of [snapshots].",
        "A file of the snapshot was damaged, cut short or written by somebody else.",
        "What the target gave back is not what the file holds.",
        "What the target held then is not what the file holds.",
        "3 values of target/S001/sale.parquet do not fit the table any more.",
    )
    bad = tuple(replace(good, restored=False, as_was=None, fault=fault) for fault in faults)
    yield snapshots.verified_document(VerifiedSnapshot(ID, (good, *bad), True), lang)
    yield snapshots.verified_document(VerifiedSnapshot(ID, (good,), True), lang)
    yield snapshots.verified_document(VerifiedSnapshot(ID, (good,), False), lang)


def restored(lang: str) -> Iterator[Document]:
    """Dry runs and real ones."""
    table = TableRestore("sale", 1, 2, 3, ("N1",), 1, 2, 3, 4, 5, 6)
    clean = TableRestore("sale", 0, 0, 0)
    for executed in (False, True):
        for one in (table, clean, replace(table, left=0)):
            yield snapshots.restored_document(RestoreResult(executed, "S001", ID, "2026", False, (one,)), lang)
            yield snapshots.restored_document(RestoreResult(executed, "S001", ID, "2026", True, (one,)), lang)
