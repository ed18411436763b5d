"""membershift schema: create the target's tables, look at them, go back."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of

schema = typer.Typer(no_args_is_help=True)

To = Annotated[str, typer.Option("--to", help="Revision: base, tables, indexes, head, or its number such as 0001.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(schema, name="schema", rich_help_panel=panel, help="Create the target's tables and indexes, or take them back.")


@schema.command()
def up(context: typer.Context, to: To = "head", execute: Execute = False, as_json: Json = False) -> None:
    """Create the schemas and tables, and with head their secondary indexes too. Without --execute, show the SQL.

    Load into tables without indexes, which is three times as fast, and build the indexes afterwards.

    Example: membershift schema up --to tables --execute
    """
    from cli.output import show, show_text
    from migrations.schema.commands import schema_plan, schema_up
    from reports.documents.schema import change_document

    target = settings_of(context).target
    change = schema_up(target, to) if execute else schema_plan(target, to)
    show(change_document(change, lang_of(context)), change, as_json=as_json)
    if change.sql and not execute and not as_json:
        show_text(change.sql)


@schema.command()
def down(
    context: typer.Context,
    to: To,
    execute: Execute = False,
    i_know: Annotated[bool, typer.Option("--i-know", help="Drop tables although they hold rows.")] = False,
    as_json: Json = False,
) -> None:
    """Go back to an earlier revision. Without --execute, list the tables that would be dropped, with their rows.

    Example: membershift schema down --to base
    """
    from cli.output import show
    from migrations.schema.commands import schema_down
    from reports.documents.schema import change_document

    change = schema_down(settings_of(context).target, to, execute=execute, i_know=i_know)
    show(change_document(change, lang_of(context)), change, as_json=as_json)


@schema.command()
def status(context: typer.Context, html: Html = None, as_json: Json = False) -> int:
    """Show the revision, what is pending, the rows of each table, and what somebody changed by hand (exit 6).

    Example: membershift schema status
    """
    from cli.output import show
    from etl.errors import ExitCode
    from migrations.schema.commands import schema_status
    from reports.documents.schema import status_document

    result = schema_status(settings_of(context).target)
    show(status_document(result, lang_of(context)), result, as_json=as_json, html=html)
    return int(ExitCode.DIFFERENCES if result.drift else ExitCode.DONE)


@schema.command()
def sql(
    context: typer.Context,
    span: Annotated[str, typer.Argument(help="From and to, such as base:head, tables:indexes or head:base.")] = "base:head",
) -> None:
    """Print the SQL for a DBA who applies it by hand. Connects to nothing; status agrees with it afterwards.

    Example: membershift schema sql base:tables > tables.sql
    """
    from cli.output import show_text
    from migrations.schema.commands import schema_sql

    show_text(schema_sql(settings_of(context).target, span))
