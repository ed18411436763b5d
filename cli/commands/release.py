"""membershift release: move stores over in waves, watch the gates, and bring them back without losing a sale."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.release_decide import add_decisions
from cli.commands.release_end import add_ends
from cli.commands.release_look import add_looks
from cli.commands.release_watch import add_to_release
from cli.options import Execute, Html, Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_of

release = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        release,
        name="release",
        rich_help_panel=panel,
        help="Move stores over in waves, and back again. Example: membershift release status",
    )


@release.command()
def plan(
    context: typer.Context, plan_file: PlanFile = None, execute: Execute = False, html: Html = None, as_json: Json = False
) -> None:
    """Draw the release that release.toml describes: which stores move when, what each wave has to prove, what sends them back.

    Changes nothing. With --execute it is written down, and `release start` may follow; no store moves before that.

    Example: membershift release plan
    """
    from cli.output import show
    from migrations.release.planning import plan_release
    from reports.documents.release_plan import plan_document

    settings = settings_of(context)
    drawn = plan_release(settings, plan_of(settings, plan_file), execute=execute)
    show(plan_document(drawn, lang_of(context)), drawn, as_json=as_json, html=html)


@release.command()
def start(context: typer.Context, plan_file: PlanFile = None, as_json: Json = False) -> None:
    """Allow the planned release to move stores, or one that went back to try again. Nothing moves before `release run`.

    Refused when release.toml was changed since `release plan --execute`.

    Example: membershift release start
    """
    from cli.output import show
    from migrations.release.planning import start_release
    from reports.documents.release_plan import started_document

    settings = settings_of(context)
    state = start_release(settings, plan_of(settings, plan_file))
    show(started_document(state, lang_of(context)), {"release": state.release, "phase": state.phase}, as_json=as_json)


@release.command()
def run(
    context: typer.Context,
    plan_file: PlanFile = None,
    changed_plan: Annotated[
        bool, typer.Option("--changed-plan", help="Go on with release.toml as it is now, although it was changed since.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Carry the release out: move stores, watch them minute by minute, promote, bring back. It may be killed at any time.

    It goes on where the one before stopped. Only one runs at a time. Exit code 7 when the stores went back.

    Example: membershift release run
    """
    from cli.output import show
    from cli.release_run import run_in_foreground
    from etl.errors import ExitCode
    from migrations.release.model import Phase
    from reports.documents.release_decided import run_document

    settings, lang = settings_of(context), lang_of(context)
    ended = run_in_foreground(settings, plan_of(settings, plan_file), lang, changed_plan=changed_plan, quiet=as_json)
    show(run_document(ended, lang), ended, as_json=as_json)
    if ended.phase is Phase.ROLLED_BACK:
        raise typer.Exit(int(ExitCode.REFUSED))


add_looks(release)
add_decisions(release)
add_ends(release)
add_to_release(release)
