"""membershift drill: break something on purpose, and see that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_of

drill = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        drill,
        name="drill",
        rich_help_panel=panel,
        help="Break something on purpose, and see that nothing is lost. Example: membershift drill run rollback",
    )


@drill.command("list")
def list_them(context: typer.Context, as_json: Json = False) -> None:
    """List the drills: what each breaks, and what the release has to do.

    Example: membershift drill list
    """
    from cli.output import show
    from fixtures.drills.faults import DRILLS
    from reports.documents.drill import drills_document

    listed = [{"name": one.name, "what": one.what, "expect": one.expect, "minutes": one.minutes} for one in DRILLS.values()]
    show(drills_document(DRILLS.values(), lang_of(context)), listed, as_json=as_json)


@drill.command("run")
def run_one(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="From `drill list`; in production only rollback.")],
    sandbox: Annotated[bool, typer.Option("--sandbox/--no-sandbox", help="On a private sandbox, or on the real thing.")] = True,
    stores: Annotated[int, typer.Option(min=1, max=100, help="Stores that are moved, in the sandbox.")] = 6,
    rate: Annotated[float, typer.Option(min=1, max=1_000, help="Actions a second on each side, in the sandbox.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="How long stores sell before the fault, and after it.")] = 10.0,
    folder: Annotated[Path | None, typer.Option(help="Folder of the sandbox. Default: a temporary one.", file_okay=False)] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the logs of the sandbox's programs.")] = False,
    i_mean_production: Annotated[
        bool, typer.Option("--i-mean-production", help="Close real stores for some seconds, twice, under the plan.")
    ] = False,
    plan_file: PlanFile = None,
    store: Annotated[
        list[str] | None, typer.Option("--store", "-s", help="In production: this store goes back and comes again; repeatable.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Run a drill on a private sandbox: stores sell, some are moved, one thing breaks, and every sale is looked for afterwards.

    Exit code 6 when anything was lost or doubled, or the release did not do what it should. Without a sandbox only `rollback`
    may run: the stores named go back and come again, in the plan's hours, with --i-mean-production.

    Example: membershift drill run kill-target
    """
    import tempfile

    from cli.output import show, show_note
    from cli.signals import end_as_by_ctrl_c
    from etl.errors import ExitCode
    from fixtures.drills.model import DrillRequest
    from fixtures.drills.run import run_drill
    from reports.documents.drill import drill_document

    if not sandbox:
        in_production(context, name, plan_file, tuple(store or ()), meant=i_mean_production, as_json=as_json)
        return
    end_as_by_ctrl_c()
    chosen = folder or Path(tempfile.mkdtemp(prefix="membershift-drill-"))
    result = run_drill(DrillRequest(name, chosen.absolute(), stores, rate, seconds, keep=keep), show_note)
    show(drill_document(result, lang_of(context)), result, as_json=as_json, html=html)
    raise typer.Exit(int(ExitCode.DONE if result.passed else ExitCode.DIFFERENCES))


def in_production(
    context: typer.Context, name: str, plan_file: Path | None, stores: tuple[str, ...], *, meant: bool, as_json: bool
) -> None:
    """Stores go back and come again."""
    from cli.output import show, show_note
    from etl.dedupe.answers import who_is_asked
    from etl.errors import RefusedError
    from fixtures.drills.production import ReturnRequest, refuse_unmeant, return_stores
    from reports.documents.drill import returned_document

    if name != "rollback":
        raise RefusedError(
            f"Drill {name!r} breaks things, and is for a sandbox only.",
            "In production there is `drill run rollback --no-sandbox`.",
        )
    request = ReturnRequest(stores, who_is_asked(None), meant)
    refuse_unmeant(request)
    settings = settings_of(context)
    result = return_stores(settings, plan_of(settings, plan_file), request, show_note)
    show(returned_document(result, lang_of(context)), result, as_json=as_json)
