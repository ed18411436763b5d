"""membershift snapshot: what single stores hold at one instant, and the way back to it for one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of

snapshot = typer.Typer(no_args_is_help=True)

Stores = Annotated[
    list[str] | None, typer.Option("--store", "-s", metavar="STORE", help="This store; may be given more than once.")
]
SnapshotId = Annotated[str, typer.Argument(metavar="ID", help="From `snapshot list`.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        snapshot,
        name="snapshot",
        rich_help_panel=panel,
        help="Keep what stores hold, and bring one of them back. Example: membershift snapshot create --store S001",
    )


@snapshot.command()
def create(
    context: typer.Context,
    store: Stores = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who come after.")] = "",
    legacy: Annotated[bool | None, typer.Option("--legacy/--no-legacy", help="Also the stores' rows on the legacy side.")] = None,
    br: Annotated[
        str | None, typer.Option("--br", metavar="STORAGE", help="Back the whole cluster up with BR: s3://bucket/path.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Export the rows of stores as they are at one instant, and have TiDB keep that instant readable. Nothing of theirs changes.

    The files are encrypted when membershift.toml has [snapshots] key.

    Example: membershift snapshot create --store S001 --store S002 --reason "before the switch"
    """
    from cli.output import progress, show
    from etl.dedupe.answers import who_is_asked
    from migrations.release.snapshots.br import full_backup
    from migrations.release.snapshots.create import SnapshotRequest, create_snapshot
    from reports.documents.snapshots import backup_document, created_document

    settings, lang = settings_of(context), lang_of(context)
    if br is not None:
        backup = full_backup(settings, br)
        show(backup_document(backup, lang), backup, as_json=as_json)
        if not store:
            return
    request = SnapshotRequest(tuple(store or ()), reason, who_is_asked(None), legacy)
    with progress(as_json) as shown:
        result = create_snapshot(settings, request, shown)
    show(created_document(result, lang), result, as_json=as_json, html=html)


@snapshot.command("list")
def list_them(
    context: typer.Context,
    store: Annotated[str | None, typer.Option("--store", "-s", help="Only those of this store.")] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """List the snapshots, the newest first. Connects to nothing.

    Example: membershift snapshot list --store S001
    """
    from cli.output import show
    from migrations.release.snapshots.listing import list_snapshots
    from reports.documents.snapshots import list_document

    result = list_snapshots(settings_of(context).state_dir, store)
    show(list_document(result, lang_of(context)), result, as_json=as_json, html=html)


@snapshot.command()
def verify(context: typer.Context, snapshot_id: SnapshotId, html: Html = None, as_json: Json = False) -> None:
    """Prove that a snapshot can be restored: restore it into a schema of its own on the target, compare, and drop that.

    On TiDB it is also compared with what the tables held then. Exit code 6 when anything differs.

    Example: membershift snapshot verify 20261123T010203456Z-1a2b
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from migrations.release.snapshots.verify import verify_snapshot
    from reports.documents.snapshots import verified_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = verify_snapshot(settings, snapshot_id, shown)
    show(verified_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if not result.sound:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@snapshot.command()
def restore(
    context: typer.Context,
    store: Annotated[str, typer.Option("--store", "-s", help="The one store to bring back.")],
    at: Annotated[str, typer.Option("--at", metavar="ID", help="The snapshot, from `snapshot list`.")],
    delete_extra: Annotated[
        bool, typer.Option("--delete-extra", help="Also delete the store's rows that came after: its newer sales.")
    ] = False,
    to_both: Annotated[
        bool, typer.Option("--to-both", help="Although the store writes to SQL Server: sync carries restored rows there.")
    ] = False,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Bring one store's own rows back by difference; nobody else's are touched. Sync sees the result as changes of the target.

    Without --execute it says what would change. Rows that came after the snapshot stay unless --delete-extra is given, and rows
    that change meanwhile are left alone. Members are shared by all stores and stay as they are. Exit code 6 when rows differ.

    Example: membershift snapshot restore --store S001 --at 20261123T010203456Z-1a2b --execute
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from migrations.release.snapshots.restore import RestoreRequest, restore_store
    from reports.documents.snapshots import restored_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = restore_store(settings, RestoreRequest(store, at, delete_extra, to_both, execute), shown)
    show(restored_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.left if execute else result.differing:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@snapshot.command()
def prune(
    context: typer.Context,
    keep_days: Annotated[float | None, typer.Option("--keep-days", min=0, help="Younger ones stay.")] = None,
    keep_count: Annotated[int | None, typer.Option("--keep", min=1, help="So many stay of each store.")] = None,
    execute: Execute = False,
    as_json: Json = False,
) -> None:
    """Remove old snapshots, and put back what TiDB was asked to keep for them. The newest of a store on its way always stays.

    Example: membershift snapshot prune --keep-days 30 --keep 3 --execute
    """
    from cli.output import show
    from migrations.release.snapshots.prune import PruneRequest, prune_snapshots
    from reports.documents.snapshots import pruned_document

    result = prune_snapshots(settings_of(context), PruneRequest(keep_days, keep_count, execute))
    show(pruned_document(result, lang_of(context)), result, as_json=as_json)
