"""membershift release watch and release report: what everybody may look at, whatever is down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_path

if TYPE_CHECKING:
    from migrations.release.view import ReleaseView

Page = Annotated[
    str | None, typer.Option("--page", metavar="HOST:PORT", help="Also as a web page, for this machine alone: 127.0.0.1:9188.")
]
Once = Annotated[bool, typer.Option("--once", help="Show it once, and end.")]


def add_to_release(group: typer.Typer) -> None:
    """Put both commands into `membershift release`."""
    group.command("watch")(watch)
    group.command("report")(report)


def watch(
    context: typer.Context, plan_file: PlanFile = None, page: Page = None, once: Once = False, as_json: Json = False
) -> None:
    """Watch a release: waves, stores, gates, errors, what happens next and in how long. Changes nothing, and needs no database.

    With --page also in a browser, with the whole history. Ctrl-C ends the watching; the release goes on.

    Example: membershift release watch --page 127.0.0.1:9188
    """
    from contextlib import ExitStack

    from cli.output import show_json
    from cli.release_watching import keep_watching, page_of
    from migrations.release.lookout import open_lookout
    from migrations.release.page_server import parse_page_address, serve_page

    address = parse_page_address(page) if page is not None else None
    settings, lang = settings_of(context), lang_of(context)
    with ExitStack() as stack:
        plan = plan_path(settings, plan_file)
        lookout = stack.enter_context(open_lookout(settings.state_dir, plan, settings.roles))
        if as_json:
            show_json(told(lookout.look()))
            return
        served = stack.enter_context(serve_page(address, page_of(lookout.look, lang))) if address is not None else None
        keep_watching(lookout.look, lang, served.url if served is not None else "", once=once)


def told(view: ReleaseView) -> dict[str, object]:
    """What programs are told: the view without its history, which `release history --json` has."""
    from dataclasses import fields

    return {one.name: getattr(view, one.name) for one in fields(view) if one.name not in ("timeline", "events")}


def report(
    context: typer.Context,
    release: Annotated[str | None, typer.Option("--release", metavar="NAME", help="An older one. Default: the newest.")] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Tell the whole of a release to those who approve it: how long it took, how long stores were closed, on which gates it went
    on, what was overruled, what went back. Connects to nothing.

    Example: membershift release report --html release.html
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from cli.output import show
    from migrations.release.lookout import read_release
    from reports.documents.release_timeline import release_timeline_document

    timeline = read_release(settings_of(context).state_dir, release)
    document = release_timeline_document(timeline, datetime.now(UTC), lang_of(context))
    show(document, replace(timeline, events=()), as_json=as_json, html=html)
