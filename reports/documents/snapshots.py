"""Snapshots of stores, as documents."""

from __future__ import annotations

from collections import Counter

from migrations.release.snapshots.br import Backup
from migrations.release.snapshots.listing import Snapshots
from migrations.release.snapshots.model import Manifest
from migrations.release.snapshots.prune import Pruned
from migrations.release.snapshots.restore import RestoreResult, TableRestore
from migrations.release.snapshots.verify import VerifiedFile, VerifiedSnapshot
from reports.document import Document, Figure, Table, Verdict, human_bytes, human_duration
from reports.text import told, tr


def created_document(manifest: Manifest, lang: str) -> Document:
    """What was taken."""
    rows: Counter[tuple[str, str]] = Counter()
    for file in manifest.files:
        rows[file.side, file.table] += file.rows
    sides = {"target": tr(lang, "Target"), "legacy": tr(lang, "Legacy side")}
    figures = [
        Figure(tr(lang, "Snapshot"), manifest.id),
        Figure(tr(lang, "Taken (UTC)"), manifest.taken_at),
        Figure(tr(lang, "Size"), human_bytes(manifest.bytes), encryption_text(manifest.key_id, lang)),
    ]
    if manifest.readable_until is not None:
        figures.append(Figure(tr(lang, "Readable on TiDB until (UTC)"), manifest.readable_until, told(lang, manifest.note)))
    values = {"stores": ", ".join(manifest.stores), "rows": f"{manifest.rows:,}"}
    return Document(
        title=tr(lang, "Snapshot of stores"),
        verdict=Verdict("warn" if manifest.note else "ok", tr(lang, "{rows} rows of {stores} are kept.", **values)),
        figures=tuple(figures),
        tables=(
            Table(
                title=tr(lang, "By table"),
                columns=(tr(lang, "Side"), tr(lang, "Table"), tr(lang, "Rows")),
                rows=tuple((sides[side], table, count) for (side, table), count in rows.items()),
            ),
        ),
        next_steps=(
            tr(lang, "Prove that it can be restored: `membershift snapshot verify {id}`.", id=manifest.id),
            tr(lang, "Members are shared by all stores: they are in no snapshot of a store."),
        ),
        lang=lang,
    )


def encryption_text(key_id: str, lang: str) -> str:
    """Whether it is encrypted, and by which key."""
    return tr(lang, "encrypted, key {id}", id=key_id) if key_id else tr(lang, "not encrypted")


def backup_document(backup: Backup, lang: str) -> Document:
    """A full backup."""
    return Document(
        title=tr(lang, "Full backup by BR"),
        verdict=Verdict("ok", tr(lang, "The whole cluster is backed up to {where}.", where=backup.storage)),
        figures=(Figure(tr(lang, "Took"), human_duration(backup.seconds)), Figure(tr(lang, "Log"), backup.log)),
        next_steps=(tr(lang, "Restoring it rewinds every store: to bring one back, use `membershift snapshot restore`."),),
        lang=lang,
    )


def list_document(snapshots: Snapshots, lang: str) -> Document:
    """What there is, the newest first."""
    values = {"count": len(snapshots.found), "unusable": len(snapshots.unusable)}
    if snapshots.unusable:
        verdict = Verdict("warn", tr(lang, "{count} snapshots; {unusable} more cannot be used.", **values))
    else:
        verdict = Verdict("ok", tr(lang, "{count} snapshots.", **values))
    yes, no = tr(lang, "yes"), tr(lang, "no")
    columns = (
        tr(lang, "Snapshot"),
        tr(lang, "Taken (UTC)"),
        tr(lang, "Stores"),
        tr(lang, "Rows"),
        tr(lang, "Size"),
        tr(lang, "Encrypted"),
        tr(lang, "Readable on TiDB"),
        tr(lang, "By"),
        tr(lang, "Why"),
    )
    rows = tuple(
        (
            one.id,
            one.taken_at,
            ", ".join(one.stores),
            one.rows,
            human_bytes(one.bytes),
            yes if one.encrypted else no,
            yes if one.readable else no,
            one.by,
            one.reason,
        )
        for one in snapshots.found
    )
    tables = [Table(tr(lang, "Snapshots"), columns, rows)] if rows else []
    if snapshots.unusable:
        reasons = tuple((name, told(lang, reason)) for name, reason in snapshots.unusable)
        tables.append(Table(tr(lang, "Not usable"), (tr(lang, "Snapshot"), tr(lang, "Why")), reasons))
    return Document(title=tr(lang, "Snapshots"), verdict=verdict, tables=tuple(tables), lang=lang)


def verified_document(found: VerifiedSnapshot, lang: str) -> Document:
    """Whether it can be restored."""
    bad = sum(bool(file.fault) for file in found.files)
    values = {"id": found.id, "count": bad, "all": len(found.files)}
    if bad:
        verdict = Verdict("bad", tr(lang, "{count} of {all} files of snapshot {id} cannot be restored.", **values))
    elif found.compared_as_of:
        verdict = Verdict("ok", tr(lang, "Snapshot {id} can be restored, and is what the target held then.", **values))
    else:
        verdict = Verdict("ok", tr(lang, "Snapshot {id} can be restored.", **values))
    alone = tr(lang, "What the target held then can no longer be read there: the files stand alone.")
    columns = (
        "",
        tr(lang, "Store"),
        tr(lang, "Table"),
        tr(lang, "Rows"),
        tr(lang, "Restored"),
        tr(lang, "As then"),
        tr(lang, "Why"),
    )
    rows = tuple(verified_row(file, lang) for file in found.files)
    return Document(
        title=tr(lang, "Proof of a snapshot"),
        verdict=verdict,
        tables=(Table(tr(lang, "Files"), columns, rows, "" if found.compared_as_of else alone, status_column=0),),
        next_steps=(tr(lang, "Take another one now: `membershift snapshot create`."),) if bad else (),
        lang=lang,
    )


def verified_row(file: VerifiedFile, lang: str) -> tuple[object, ...]:
    """One file."""
    words = {None: "", True: tr(lang, "yes"), False: tr(lang, "no")}
    status = "bad" if file.fault else "ok"
    return (status, file.store, file.table, file.rows, words[file.restored], words[file.as_was], told(lang, file.fault))


def restored_document(result: RestoreResult, lang: str) -> Document:
    """What would change, or did."""
    columns = (
        "",
        tr(lang, "Table"),
        tr(lang, "Missing"),
        tr(lang, "Changed"),
        tr(lang, "Came after"),
        tr(lang, "Inserted"),
        tr(lang, "Updated"),
        tr(lang, "Deleted"),
        tr(lang, "Changed meanwhile"),
        tr(lang, "Blocked"),
        tr(lang, "Left"),
        tr(lang, "Some keys"),
    )
    note = tr(lang, "Not the store's own, and never touched: {tables}.", tables=", ".join(result.untouched))
    return Document(
        title=tr(lang, "Restore of store {store}", store=result.store),
        verdict=restored_verdict(result, lang),
        figures=(Figure(tr(lang, "Snapshot"), result.snapshot), Figure(tr(lang, "Taken (UTC)"), result.taken_at)),
        tables=(Table(tr(lang, "By table"), columns, tuple(restored_row(table) for table in result.tables), note, 0),),
        next_steps=restored_steps(result, lang),
        lang=lang,
    )


def restored_verdict(result: RestoreResult, lang: str) -> Verdict:
    """In one sentence."""
    values = {"store": result.store, "rows": f"{result.differing:,}", "left": f"{result.left:,}"}
    if not result.executed:
        if not result.differing:
            return Verdict("ok", tr(lang, "Store {store} is as it was: there is nothing to restore.", **values))
        return Verdict("warn", tr(lang, "{rows} rows of store {store} would be brought back. Nothing was changed.", **values))
    if result.left:
        return Verdict("bad", tr(lang, "{left} rows of store {store} still differ.", **values))
    return Verdict("ok", tr(lang, "Store {store} is as it was: {rows} rows were brought back.", **values))


def restored_row(table: TableRestore) -> tuple[object, ...]:
    """One table."""
    status = "bad" if table.left else "ok"
    counts = (table.missing, table.changed, table.extra, table.inserted, table.updated, table.deleted)
    return (status, table.table, *counts, table.changed_since, table.blocked, table.left, ", ".join(table.keys[:3]))


def restored_steps(result: RestoreResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    steps = []
    if not result.executed and result.differing:
        steps.append(tr(lang, "Add --execute to bring them back."))
    if not result.delete_extra and any(table.extra for table in result.tables):
        steps.append(tr(lang, "Rows that came after the snapshot stay: --delete-extra deletes them, newer sales among them."))
    if result.executed:
        steps.append(tr(lang, "Points and tiers of members may have to follow: `membershift reconcile invariants`."))
    return tuple(steps)


def pruned_document(result: Pruned, lang: str) -> Document:
    """What went, or may go."""
    values = {"count": len(result.removed), "kept": result.kept, "size": human_bytes(result.bytes)}
    if result.executed:
        verdict = Verdict(
            "warn" if result.note else "ok", tr(lang, "{count} snapshots were removed ({size}); {kept} stay.", **values)
        )
    else:
        verdict = Verdict("ok", tr(lang, "{count} snapshots ({size}) would be removed; {kept} stay.", **values))
    figures = [Figure(tr(lang, "Removed") if result.executed else tr(lang, "Would be removed"), ", ".join(result.removed))]
    if result.abandoned:
        figures.append(Figure(tr(lang, "Half-written, removed"), ", ".join(result.abandoned)))
    if result.under_way:
        figures.append(Figure(tr(lang, "Stores on their way"), ", ".join(result.under_way), tr(lang, "their newest one stays")))
    steps = () if result.executed or not result.removed else (tr(lang, "Add --execute to remove them."),)
    return Document(
        title=tr(lang, "Snapshots: prune"),
        verdict=verdict,
        figures=tuple(figures) if result.removed or len(figures) > 1 else (),
        next_steps=(*((told(lang, result.note),) if result.note else ()), *steps),
        lang=lang,
    )
