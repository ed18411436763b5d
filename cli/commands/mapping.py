"""membershift mapping: read a mapping, and check it against both sides."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Html, Json, Tables, lang_of, settings_of

mapping = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        mapping, name="mapping", rich_help_panel=panel, help="Show how legacy columns become target columns, and check it."
    )


@mapping.command()
def check(context: typer.Context, html: Html = None, as_json: Json = False) -> int:
    """Compare every part with the columns of the stage (or the source) and of the target (exit 3 when one does not fit).

    Example: membershift mapping check
    """
    from cli.output import show as show_result
    from etl.errors import ExitCode
    from etl.mapping.check import check_mapping
    from etl.mapping.load_mapping import load_mapping
    from migrations.schema.planned import known_columns
    from reports.documents.mapping import check_document

    settings = settings_of(context)
    found = load_mapping(settings.mapping, settings.config_dir)
    checked = check_mapping(settings, found, known_columns(settings.target))
    show_result(check_document(checked, lang_of(context)), checked, as_json=as_json, html=html)
    return int(ExitCode.CONFIGURATION if checked.problems else ExitCode.DONE)


@mapping.command()
def show(
    context: typer.Context,
    table: Tables = None,
    transforms: Annotated[bool, typer.Option("--transforms", help="List the transforms a mapping may name instead.")] = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show where each target column comes from. --table names target tables or parts, such as member or member/crm.

    Example: membershift mapping show --table member
    """
    from cli.output import show as show_result
    from etl.load.preflight import choose_parts
    from etl.mapping.load_mapping import load_mapping
    from reports.documents.mapping import mapping_document, transforms_document

    if transforms:
        document = transforms_document(lang_of(context))
        show_result(document, document.tables[0], as_json=as_json, html=html)
        return
    settings = settings_of(context)
    found = load_mapping(settings.mapping, settings.config_dir)
    parts = choose_parts(found, table or ())
    show_result(mapping_document(found, parts, lang_of(context)), parts, as_json=as_json, html=html)
