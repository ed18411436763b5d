"""membershift release rollback, abort and complete: the ways to end a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from migrations.release.going_back import Ended

Reason = Annotated[str, typer.Option("--reason", help="Why, for those who come after.")]


def add_ends(release: typer.Typer) -> None:
    """Put these commands into `release`."""
    release.command()(rollback)
    release.command()(abort)
    release.command()(complete)


def rollback(
    context: typer.Context,
    reason: Reason,
    store: Annotated[
        list[str] | None, typer.Option("--store", "-s", metavar="CODE", help="Only this store; may be given more than once.")
    ] = None,
    plan_file: PlanFile = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Bring stores back to SQL Server, with everything that was written on TiDB. Waits for nothing where TiDB does not answer.

    A controller that runs does it at once; where none runs, this command does it itself. It may be killed and called again.

    Example: membershift release rollback --store S001 --reason "coupons are refused"
    """
    from cli.output import progress
    from cli.release_run import ended_by_signals
    from migrations.release.going_back import roll_back

    settings = settings_of(context)
    plan = plan_of(settings, plan_file)
    with progress(as_json) as shown, ended_by_signals() as signals:
        ended = roll_back(settings, plan, tuple(store or ()), reason, shown, signals.end)
    told(context, ended, html, as_json=as_json)


def abort(context: typer.Context, reason: Reason, plan_file: PlanFile = None, html: Html = None, as_json: Json = False) -> None:
    """Give the release up: every store goes back first. Another one can be planned then.

    Example: membershift release abort --reason "the season begins"
    """
    from cli.output import progress
    from cli.release_run import ended_by_signals
    from migrations.release.going_back import abort_release

    settings = settings_of(context)
    plan = plan_of(settings, plan_file)
    with progress(as_json) as shown, ended_by_signals() as signals:
        ended = abort_release(settings, plan, reason, shown, signals.end)
    told(context, ended, html, as_json=as_json)


def complete(context: typer.Context, plan_file: PlanFile = None, html: Html = None, as_json: Json = False) -> None:
    """Leave every store of the release on TiDB for good: there is no way back from then on.

    A controller that runs does it and ends; where none runs, this command does it itself. Refused before every wave is through,
    and while conflicts or dead letters of sync are open.

    Example: membershift release complete
    """
    from cli.output import progress
    from cli.release_run import ended_by_signals
    from migrations.release.going_back import complete_release

    settings = settings_of(context)
    plan = plan_of(settings, plan_file)
    with progress(as_json) as shown, ended_by_signals() as signals:
        ended = complete_release(settings, plan, shown, signals.end)
    told(context, ended, html, as_json=as_json)


def told(context: typer.Context, ended: Ended, html: Path | None, *, as_json: bool) -> None:
    """Say how it went. Exit code 6 while stores are not where they are to be."""
    from cli.output import show
    from etl.errors import ExitCode
    from migrations.release.model import Phase
    from reports.documents.release_decided import ended_document

    result = {
        "what": ended.what,
        "phase": ended.state.phase,
        "stores": ended.stores,
        "carried_out": ended.carried_out,
        "holder": ended.holder,
        "left": ended.left,
        "seconds": ended.seconds,
    }
    show(ended_document(ended, lang_of(context)), result, as_json=as_json, html=html)
    undone = ended.what == "complete" and not ended.carried_out
    if undone or (ended.state.phase is Phase.ROLLING_BACK and ended.holder is None):
        raise typer.Exit(int(ExitCode.DIFFERENCES))
