"""membershift alerts: what people have to know of, and who has taken it on."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of

alerts = typer.Typer(no_args_is_help=True)

Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="From `alerts list`.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who. Default: the user of this machine.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        alerts,
        name="alerts",
        rich_help_panel=panel,
        help="See what somebody has to look at, and take it on. Example: membershift alerts list",
    )


@alerts.command("list")
def list_alerts(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """List the open alerts, the most urgent first: what happened, what was done, what to do. Connects to nothing.

    Exit code 6 when a red one is open.

    Example: membershift alerts list
    """
    from cli.output import show
    from etl.errors import ExitCode
    from migrations.release.alerts.book import read_alerts
    from reports.documents.alerts import alerts_document

    result = read_alerts(settings_of(context).state_dir, every=every)
    show(alerts_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if any(one.open and one.alert.level == "red" for one in result):
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@alerts.command()
def acknowledge(context: typer.Context, numbers: Numbers, by: By = None, as_json: Json = False) -> None:
    """Take alerts on: nobody else is told of them any more. They stay open until their cause is gone.

    Example: membershift alerts acknowledge 12 13
    """
    from cli.output import show
    from etl.dedupe.answers import who_is_asked
    from migrations.release.alerts.book import acknowledge as take_on
    from reports.documents.alerts import changed_document

    result = take_on(settings_of(context).state_dir, numbers, who_is_asked(by))
    show(changed_document(result, lang_of(context), settled=False), result, as_json=as_json)


@alerts.command()
def settle(context: typer.Context, numbers: Numbers, by: By = None, as_json: Json = False) -> None:
    """Note that the cause of alerts is gone. The same cause raises a new one.

    Example: membershift alerts settle 12
    """
    from cli.output import show
    from etl.dedupe.answers import who_is_asked
    from migrations.release.alerts.book import settle as note_over
    from reports.documents.alerts import changed_document

    result = note_over(settings_of(context).state_dir, numbers, who_is_asked(by))
    show(changed_document(result, lang_of(context), settled=True), result, as_json=as_json)
