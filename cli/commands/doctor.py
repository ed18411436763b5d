"""membershift doctor: is everything ready?"""

from __future__ import annotations

import typer

from cli.options import Html, Json, lang_of, settings_of


def add_to(app: typer.Typer, panel: str) -> None:
    """Put this command into `app` under `panel` of its help."""
    app.command(rich_help_panel=panel)(doctor)


def doctor(context: typer.Context, as_json: Json = False, html: Html = None) -> None:
    """Check drivers, both connections, versions, rights, clocks, disk and settings; a remedy beside each failure.

    A server that is down does not stop the checks of the other. Exits with 3, 4 or 5 when something fails on this machine, on
    the source or on the target, in this order.

    Example: membershift doctor
    """
    from cli.output import show
    from etl.checks.run import run_doctor
    from reports.documents.doctor import doctor_document, plain_doctor

    lang = lang_of(context)
    result = run_doctor(settings_of(context))
    show(doctor_document(result, lang), plain_doctor(result, lang), as_json=as_json, html=html)
    if result.failures:
        raise typer.Exit(int(result.exit_code))
