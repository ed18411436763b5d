"""membershift sync drain, verify and resync: prove that both sides agree, and begin a table anew where changes were lost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from cli.options import Execute, Html, Json, Tables, lang_of, settings_of

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_proofs(sync: typer.Typer) -> None:
    """Put these commands into `sync`."""
    sync.command()(mark)
    sync.command()(drain)
    sync.command()(verify)
    sync.command()(resync)


def read_span(text: str) -> timedelta:
    """A span such as 90s, 10m, 2h, 1d.

    >>> read_span("10m")
    datetime.timedelta(seconds=600)
    """
    found = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span: write 90s, 10m, 2h or 1d.", param_hint="--since")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def mark(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Show how far both sides are now, as one short text for `sync drain --until`. Take it once writes to a store are refused.

    Example: membershift sync mark
    """
    from cli.output import progress, show
    from etl.sync.mark import take_mark
    from reports.documents.sync_proofs import mark_document, shown_mark

    with progress(as_json) as shown:
        taken = take_mark(settings_of(context), shown)
    show(mark_document(taken, lang_of(context)), shown_mark(taken), as_json=as_json, html=html)


def drain(
    context: typer.Context,
    store: Annotated[
        list[str], typer.Option("--store", metavar="CODE", help="A store whose writes are refused now; may be repeated.")
    ],
    toward: Annotated[
        str, typer.Option("--toward", metavar="SIDE", help="target: to TiDB. source: back to SQL Server.")
    ] = "target",
    within: Annotated[float, typer.Option("--within", metavar="SECONDS", min=1, help="How long to wait.")] = 60.0,
    until: Annotated[
        str | None, typer.Option("--until", metavar="MARK", help="Wait for this mark of `sync mark`. Default: one of now.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Prove that everything of some stores has arrived on the other side, after writes to them are refused on one.

    Waits until the stream is past the mark, then compares the stores' rows on both sides, key by key. Sync has
    to run meanwhile. Exit code 6 when something is left.

    Example: membershift sync drain --store S001 --toward target
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.sync.drain import DrainRequest, drain_store
    from etl.sync.mark import parse_mark
    from reports.documents.sync_proofs import drain_document

    if toward not in ("target", "source"):
        raise typer.BadParameter(f"{toward!r} is no side: write target or source.", param_hint="--toward")
    settings = settings_of(context)
    wanted = None if until is None else parse_mark(until)
    request = DrainRequest(tuple(store), "target" if toward == "target" else "source", within, until=wanted)
    with progress(as_json) as shown:
        result = drain_store(settings, request, shown)
    show(drain_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if not result.drained:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


def verify(
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--since", metavar="SPAN", help="Rows that changed within this: 90s, 10m, 2h, 1d.")
    ] = "10m",
    settle: Annotated[float, typer.Option("--settle", metavar="SECONDS", min=0, help="Pause before the second look.")] = 5.0,
    table: Tables = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Compare rows that changed lately with the legacy rows they come from. Changes nothing.

    Exit code 6 when something differs at the second look.

    Example: membershift sync verify --since 10m
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.sync.verify import VerifyRequest, run_verify
    from reports.documents.sync_proofs import verify_document

    request = VerifyRequest(read_span(since), settle, tuple(table or ()))
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_verify(settings, request, shown)
    show(verify_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.total_differences:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


def resync(
    context: typer.Context,
    tables: Annotated[list[str], typer.Argument(metavar="TABLE...", help="Legacy tables: database.schema.table.")],
    keep_gone: Annotated[bool, typer.Option("--keep-gone", help="Leave rows that the legacy side lost.")] = False,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Begin a legacy table anew where its changes are lost: compare all rows, merge what differs, go on from now.

    For tracking that expired, a table that changed, a source that was restored or replaced. Rows changed on the target are merged
    by the mapping's rules, not overwritten. Sync must not run meanwhile.

    Example: membershift sync resync crm.dbo.Member --execute
    """
    from cli.output import progress, show
    from etl.sync.resync import ResyncRequest, run_resync
    from reports.documents.sync_proofs import resync_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_resync(settings, ResyncRequest(tuple(tables), keep_gone, execute), shown)
    show(resync_document(result, lang_of(context)), result, as_json=as_json, html=html)
