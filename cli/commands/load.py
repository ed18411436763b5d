"""membershift load: staged rows into the target, and what was put into quarantine on the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Execute, Html, Json, Tables, lang_of, settings_of

if TYPE_CHECKING:
    from etl.load.model import LoadRequest, LoadResult
    from etl.progress import Progress
    from etl.settings import Settings

load = typer.Typer(invoke_without_command=True)
rejects = typer.Typer(no_args_is_help=True)
load.add_typer(rejects, name="rejects", help="Rows in quarantine: list, export, retry. Example: membershift load rejects list")

Canary = Annotated[str | None, typer.Option("--canary", metavar="SHARE", help="Load and check this share first, such as 10%.")]
AsIs = Annotated[str | None, typer.Option("--as-is", metavar="TABLE", help="Move this source table without a mapping.")]
AsName = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the target table of --as-is.")]
AcceptMapping = Annotated[bool, typer.Option("--accept-mapping", help="Go on although the mapping changed since the load began.")]
NoIndexes = Annotated[bool, typer.Option("--no-indexes", help="Leave the secondary indexes and the counting of rows for later.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only this reason, such as too_long.")]
Settled = Annotated[bool, typer.Option("--settled", help="Also lines whose row is loaded by now.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        load,
        name="load",
        rich_help_panel=panel,
        help="Load the stage into the target. Example: membershift load --canary 10% --execute",
    )


@load.callback()
def run(
    context: typer.Context,
    table: Tables = None,
    canary: Canary = None,
    as_is: AsIs = None,
    as_name: AsName = None,
    accept_mapping: AcceptMapping = False,
    no_indexes: NoIndexes = False,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Load staged rows into the target, each exactly once; bad rows go into quarantine with their reason.

    Interrupted or killed, the same command goes on where it stopped. The secondary indexes are built when all is loaded.

    Example: membershift load --canary 10% --execute
    """
    if context.invoked_subcommand is not None:
        return
    from cli.output import progress, show
    from etl.load.model import LoadRequest, parse_share
    from etl.load.run import run_load
    from etl.names import SourceTable
    from reports.documents.load import load_document

    request = LoadRequest(
        tables=tuple(table or ()),
        execute=execute,
        canary=None if canary is None else parse_share(canary),
        as_is=None if as_is is None else SourceTable.parse(as_is),
        as_name=as_name,
        indexes=not no_indexes,
        accept_mapping=accept_mapping,
    )
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_load(settings, request, shown)
        if execute:
            finish(settings, request, result, shown)
    show(load_document(result, lang_of(context)), result, as_json=as_json, html=html)


def finish(settings: Settings, request: LoadRequest, result: LoadResult, progress: Progress) -> None:
    """Build the indexes once the whole mapping is loaded, then let the target count its rows."""
    from etl.load.finish import analyze_tables

    if not request.indexes:
        return
    if request.as_is is None and not request.tables and result.complete:
        from migrations.schema.commands import indexes_up

        progress.start("indexes", None)
        indexes_up(settings.target)
        progress.finish("indexes")
    analyze_tables(settings, [part.target for part in result.tables if part.loaded], progress)


@rejects.command("list")
def list_command(
    context: typer.Context,
    table: Tables = None,
    reason: Reason = None,
    settled: Settled = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Lines to show.")] = 100,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show rows in quarantine: which, why, and a masked value.

    Example: membershift load rejects list --table member --reason too_long
    """
    from cli.output import show
    from etl.load.export_rejects import list_rejects
    from etl.load.rejects import RejectFilter
    from reports.documents.load import rejects_document

    result = list_rejects(settings_of(context), RejectFilter(tuple(table or ()), reason, settled, limit))
    show(rejects_document(result, lang_of(context)), result, as_json=as_json, html=html)


@rejects.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An .xlsx or .csv file.", dir_okay=False)],
    table: Tables = None,
    reason: Reason = None,
    settled: Settled = False,
    as_json: Json = False,
) -> None:
    """Write the quarantine to a spreadsheet or CSV file, values masked, readable by you only.

    Example: membershift load rejects export rejects.xlsx
    """
    from cli.output import show
    from etl.load.export_rejects import export_rejects
    from etl.load.rejects import RejectFilter
    from reports.documents.load import exported_document

    result = export_rejects(settings_of(context), RejectFilter(tuple(table or ()), reason, settled), file)
    show(exported_document(result, lang_of(context)), result, as_json=as_json)


@rejects.command()
def retry(
    context: typer.Context, table: Tables = None, execute: Execute = False, html: Html = None, as_json: Json = False
) -> None:
    """Put rows in quarantine through the mapping again, after it was corrected. They are read from the stage.

    Example: membershift load rejects retry --table member --execute
    """
    from cli.output import progress, show
    from etl.load.retry_rejects import retry_rejects
    from reports.documents.load import retry_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = retry_rejects(settings, tuple(table or ()), shown, execute=execute)
    show(retry_document(result, lang_of(context)), result, as_json=as_json, html=html)
