"""membershift release status, check, history and routes: look, and change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_of


def add_looks(release: typer.Typer) -> None:
    """Put these commands into `release`."""
    release.command()(status)
    release.command()(check)
    release.command()(history)
    release.command()(routes)


def status(context: typer.Context, plan_file: PlanFile = None, html: Html = None, as_json: Json = False) -> None:
    """Show where the release stands, what happens next and in how long, and what to do after whatever crash.

    Works while both databases are down. Exit code 6 when nothing goes on, or nobody watches, unless somebody does something.

    Example: membershift release status
    """
    from cli.output import show
    from etl.errors import ConfigurationError, ExitCode
    from migrations.release.look import read_status
    from reports.documents.release_history import shown_events
    from reports.documents.release_status import status_document

    settings, plan, trouble = settings_of(context), None, ""
    try:
        plan = plan_of(settings, plan_file)
    except ConfigurationError as error:
        trouble = error.message
    found = read_status(settings, plan, trouble)
    result = {
        "release": found.state.release,
        "phase": found.state.phase,
        "sequence": found.state.sequence,
        "waves": found.waves,
        "stores": {store: where.route for store, where in found.state.stores.items()},
        "next": found.act,
        "in_s": found.in_s,
        "switch": found.state.switch,
        "passes": found.state.passes,
        "windows_needed": found.windows_needed,
        "bad_minutes": found.state.bad_minutes,
        "forced": found.state.forced,
        "sick": found.state.sick,
        "holder": found.holder,
        "unwatched": found.unwatched,
        "failed": found.failed,
        "changed_plan": found.changed_plan,
        "trouble": found.trouble,
        "possible": found.possible,
        "red": found.red,
        "events": shown_events(found.events),
    }
    show(status_document(found, lang_of(context)), result, as_json=as_json, html=html)
    if found.needs_person:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


def check(
    context: typer.Context,
    wave: Annotated[
        int | None, typer.Option("--wave", min=1, help="This wave. Default: the one under way, else the next.")
    ] = None,
    plan_file: PlanFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Ask every gate of a wave: figure, limit, age, verdict, and the command that would fix it.

    Also says whether the hours allow a switch, and what one would lack. Exit code 7 when a gate does not pass.

    Example: membershift release check --wave 1
    """
    from cli.output import show
    from etl.errors import ExitCode
    from migrations.release.look import check_release
    from reports.documents.release_check import check_document

    settings = settings_of(context)
    found = check_release(settings, plan_of(settings, plan_file), None if wave is None else wave - 1)
    show(check_document(found, lang_of(context)), found, as_json=as_json, html=html)
    if not found.passed:
        raise typer.Exit(int(ExitCode.REFUSED))


def history(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also each judged minute and window.")] = False,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the newest N events.")] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show what has happened, with times, from the log that every decision was written to first. Connects to nothing.

    Example: membershift release history --last 20
    """
    from cli.output import show
    from migrations.release.look import read_history
    from reports.documents.release_history import history_document, shown_events

    found = read_history(settings_of(context), everything=everything, last=last)
    result = {"events": shown_events(found.events), "left_out": found.left_out}
    show(history_document(found, lang_of(context)), result, as_json=as_json, html=html)


def routes(
    context: typer.Context,
    publish: Annotated[
        bool, typer.Option("--publish", help="Put the log's map out once more: a file of it was damaged or lost.")
    ] = False,
    plan_file: PlanFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show the published map: where each store writes, and which application instances have taken it.

    Exit code 6 when the map is not the one of the log, or somebody has not taken it.

    Example: membershift release routes
    """
    from dataclasses import replace

    from cli.output import show
    from etl.errors import ExitCode
    from migrations.release.look import publish_again, read_routes
    from reports.documents.release_check import routes_document

    settings = settings_of(context)
    plan = plan_of(settings, plan_file)
    written = publish_again(settings, plan) if publish else ()
    found = replace(read_routes(settings, plan), outputs=written)
    show(routes_document(found, lang_of(context)), found, as_json=as_json, html=html)
    if not found.in_order:
        raise typer.Exit(int(ExitCode.DIFFERENCES))
