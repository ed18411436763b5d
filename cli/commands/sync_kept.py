"""membershift sync conflicts, membershift sync dead-letters: what sync kept for people to look at."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of

conflicts = typer.Typer(no_args_is_help=True)
dead_letters = typer.Typer(no_args_is_help=True)

Every = Annotated[bool, typer.Option("--all", help="Also those that are settled.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest first.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who settles them. Default: the user of this machine.")]
OneTable = Annotated[str | None, typer.Option("--table", "-t", help="Only those of this target table.")]


@conflicts.command("list")
def list_conflicts(
    context: typer.Context,
    table: OneTable = None,
    every: Every = False,
    limit: Limit = 100,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """List rows that both sides changed since they were last in step, and whose value was kept.

    Example: membershift sync conflicts list --table member
    """
    from cli.output import show
    from etl.sync.conflict_view import read_conflicts
    from reports.documents.sync_conflicts import conflicts_document

    result = read_conflicts(settings_of(context), table, every=every, limit=limit)
    show(conflicts_document(result, lang_of(context)), result, as_json=as_json, html=html)


@conflicts.command("show")
def show_conflict(
    context: typer.Context,
    conflict: Annotated[int, typer.Argument(metavar="ID", help="Its number, from `sync conflicts list`.")],
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show a conflict: the row as each side had it, the rule and the result. Personal values are masked.

    Example: membershift sync conflicts show 12
    """
    from cli.output import show
    from etl.sync.conflict_view import read_conflict
    from reports.documents.sync_conflicts import conflict_document

    result = read_conflict(settings_of(context), conflict)
    show(conflict_document(result, lang_of(context)), result, as_json=as_json, html=html)


@conflicts.command("settle")
def settle_conflicts(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Numbers, from `sync conflicts list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open now, instead of numbers.")] = False,
    table: OneTable = None,
    note: Annotated[str, typer.Option("--note", help="Why this is right, for those who come after.")] = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Note that somebody looked at conflicts and is content with the result. The rows stay as they are, and so does the record.

    Example: membershift sync conflicts settle 12 13 --note "the till was right"
    """
    from cli.output import show
    from etl.dedupe.answers import who_is_asked
    from etl.errors import UsageError
    from etl.sync.conflict_view import settle, settle_all
    from reports.documents.sync_conflicts import settled_document

    if everything == bool(ids) or (table is not None and not everything):
        raise UsageError("Which conflicts?", "Give their numbers, or --all, if you like with --table.")
    settings, who = settings_of(context), who_is_asked(by)
    result = settle_all(settings, table, who, note) if everything else settle(settings, tuple(ids or ()), who, note)
    show(settled_document(result, lang_of(context)), result, as_json=as_json)


@dead_letters.command("list")
def list_letters(
    context: typer.Context, every: Every = False, limit: Limit = 100, html: Html = None, as_json: Json = False
) -> None:
    """List rows that could not be carried over, and why: text longer than the legacy column, characters that it cannot hold.

    Example: membershift sync dead-letters list
    """
    from cli.output import show
    from etl.sync.letters import read_letters
    from reports.documents.sync_letters import letters_document

    result = read_letters(settings_of(context), every=every, limit=limit)
    show(letters_document(result, lang_of(context)), result, as_json=as_json, html=html)


@dead_letters.command("retry")
def retry_letters(context: typer.Context, execute: Execute = False, as_json: Json = False) -> None:
    """Try rows that could not be carried over again now, instead of waiting. A sync may be running.

    Exit code 6 when some are refused again.

    Example: membershift sync dead-letters retry --execute
    """
    from cli.output import progress, show
    from etl.errors import ExitCode
    from etl.sync.retry import retry_letters as retry
    from reports.documents.sync_letters import retried_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = retry(settings, execute=execute, progress=shown)
    show(retried_document(result, lang_of(context)), result, as_json=as_json)
    if result.refused:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@dead_letters.command("settle")
def settle_letters(
    context: typer.Context,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers, from `sync dead-letters list`.")],
    as_json: Json = False,
) -> None:
    """Note that somebody took care of rows by hand. A row that is refused again opens its letter again.

    Example: membershift sync dead-letters settle 4
    """
    from cli.output import show
    from etl.sync.letters import settle_letters as settle
    from reports.documents.sync_letters import settled_document

    result = settle(settings_of(context), tuple(ids))
    show(settled_document(result, lang_of(context)), result, as_json=as_json)
