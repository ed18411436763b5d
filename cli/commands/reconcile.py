"""membershift reconcile: prove that the target holds what the source says, and repair what it does not."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Execute, Html, Json, Tables, lang_of, settings_of

reconcile = typer.Typer(no_args_is_help=True)

SecondLook = Annotated[
    float | None,
    typer.Option("--second-look", metavar="SECONDS", min=0, max=3600, help="Count a difference only if it is there after this."),
]
DeleteExtra = Annotated[bool, typer.Option("--delete-extra", help="Also delete rows that the source does not have.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        reconcile,
        name="reconcile",
        rich_help_panel=panel,
        help="Compare both sides and repair the target. Example: membershift reconcile rows --html reconcile.html",
    )


@reconcile.command()
def rows(
    context: typer.Context,
    table: Tables = None,
    second_look: SecondLook = None,
    sample: Annotated[str | None, typer.Option("--sample", metavar="SHARE", help="Only about this share, such as 1%.")] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Compare every row of the source, read anew, with the target: typed, column by column. Changes nothing.

    Exit code 6 when anything differs. Rows that load put into quarantine are counted apart.

    Example: membershift reconcile rows --table member --html reconcile.html
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.load.model import parse_share
    from etl.reconcile.run import ReconcileRequest, run_reconcile
    from reports.documents.reconcile import reconcile_document

    share = None if sample is None else parse_share(sample)
    request = ReconcileRequest(tuple(table or ()), second_look, share)
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_reconcile(settings, request, shown)
    show(reconcile_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.total_differences:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@reconcile.command()
def invariants(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Compute sums and rules on both sides, each by SQL of its own, and compare the results. Changes nothing.

    Exit code 6 when a side differs from the other beyond what quarantine explains.

    Example: membershift reconcile invariants --html invariants.html
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.reconcile.invariants import run_invariants
    from reports.documents.reconcile_invariants import invariants_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_invariants(settings, shown)
    show(invariants_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.failed:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@reconcile.command()
def repair(
    context: typer.Context,
    table: Tables = None,
    delete_extra: DeleteExtra = False,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Write the rows that differ as the source has them, and compare them again. Rows changed meanwhile are left alone.

    Exit code 6 when differences are left: always so in a dry run that finds any.

    Example: membershift reconcile repair --table member --execute
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.reconcile.repair import RepairRequest, run_repair
    from reports.documents.reconcile_repair import repair_document

    request = RepairRequest(tuple(table or ()), delete_extra, execute)
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_repair(settings, request, shown)
    show(repair_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.left:
        raise typer.Exit(int(ExitCode.DIFFERENCES))
