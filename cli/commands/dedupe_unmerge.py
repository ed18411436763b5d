"""membershift dedupe unmerge: take a merge, or a whole person, apart again."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of

if TYPE_CHECKING:
    from cli.ask_later import Later
    from etl.dedupe.unmerge_model import UnmergeRequest
    from etl.progress import Progress
    from etl.settings import Settings

STAY = "stay"


def unmerge(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(help="Member ids, or records such as crm:123, to be taken apart.")],
    later: Annotated[
        str | None,
        typer.Option(
            "--later", metavar="WHO", help="Who keeps what came after the merge: a record, or stay (with the member's id)."
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why, for those who come after.")] = "",
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who does this. Default: the user of this machine.")
    ] = None,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Take merged members apart: crosswalk, golden record and rows as if they had never been joined, and a cannot-link for good.

    A member id takes the whole person apart; an id that was retired comes back with its records; a record comes out alone.
    What happened after the merge is asked about on a terminal; elsewhere such members are left as they are (exit code 7).

    Example: membershift dedupe unmerge pos:B0000042 --note "father and son" --execute
    """
    from cli.output import progress, show
    from etl.dedupe.unmerge import run_unmerge
    from etl.errors import ExitCode
    from reports.documents.dedupe_unmerge import unmerge_document

    settings = settings_of(context)
    request = read_request(what, by, note, execute=execute)
    decided = decide_later(settings, request, later, lang_of(context), interactive=not as_json and sys.stdin.isatty())
    request = replace(request, keep_later=decided.keep, later_to=dict(decided.to))
    with progress(as_json) as shown:
        result = run_unmerge(settings, request, shown)
    show(unmerge_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.left:
        raise typer.Exit(int(ExitCode.REFUSED))


def read_request(what: list[str], by: str | None, note: str, *, execute: bool) -> UnmergeRequest:
    """Ids and records apart. Raises UsageError for what is neither."""
    from etl.dedupe.answers import who_is_asked
    from etl.dedupe.labels import parse_record
    from etl.dedupe.unmerge_model import UnmergeRequest

    members = tuple(int(one) for one in what if one.isascii() and one.isdigit())
    records = tuple(parse_record(one) for one in what if not (one.isascii() and one.isdigit()))
    return UnmergeRequest(members, records, execute, who_is_asked(by), note)


def decide_later(settings: Settings, request: UnmergeRequest, later: str | None, lang: str, *, interactive: bool) -> Later:
    """Who keeps what came after the merge: as given, or as answered on the terminal before anything is written."""
    from cli.ask_later import Later, ask_later
    from etl.dedupe.labels import parse_record
    from etl.dedupe.unmerge import plan_unmerge
    from etl.progress import Silent

    if later == STAY:
        return Later(keep=True)
    if not request.execute or (later is None and not interactive):
        return Later()
    silent: Progress = Silent()
    members = plan_unmerge(settings, request, silent)
    if later is None:
        return ask_later(members, lang)
    record = parse_record(later)
    return Later(to=tuple((one.member_id, record) for one in members if any(record in group.records for group in one.groups)))
