"""membershift stage: copy legacy tables into local Parquet files."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Html, Json, Tables, lang_of, settings_of

stage = typer.Typer(invoke_without_command=True)

Parallel = Annotated[
    int | None, typer.Option("--parallel", "-p", min=1, max=32, help="Connections at once, in place of the configured number.")
]
Restart = Annotated[
    list[str] | None, typer.Option("--restart", help="Throw away what is staged of this table and take it anew; repeatable.")
]
MaxLoad = Annotated[
    int | None, typer.Option("--max-load", min=1, max=100, metavar="PCT", help="Pause while the source is busier than this.")
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        stage,
        name="stage",
        rich_help_panel=panel,
        help="Copy legacy tables into local Parquet files. Example: membershift stage --table crm.dbo.Member --parallel 4",
    )


@stage.callback()
def run(
    context: typer.Context,
    table: Tables = None,
    parallel: Parallel = None,
    restart: Restart = None,
    max_load: MaxLoad = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Copy legacy tables into the local stage. Safe to repeat: finished chunks are not read again.

    Example: membershift stage --table crm.dbo.Member --parallel 4
    """
    if context.invoked_subcommand is not None:
        return
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.stage.run import StageRequest, run_stage
    from reports.documents.stage import stage_document

    request = StageRequest(tuple(table or ()), parallel, tuple(restart or ()), max_load)
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_stage(settings, request, shown)
    show(stage_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.refused:
        raise typer.Exit(int(ExitCode.REFUSED))


@stage.command()
def status(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Show how far each table is, from the manifest alone. Connects to nothing.

    Example: membershift stage status
    """
    from cli.output import show
    from etl.stage.summary import stage_status
    from reports.documents.stage import status_document

    result = stage_status(settings_of(context))
    show(status_document(result, lang_of(context)), result, as_json=as_json, html=html)
