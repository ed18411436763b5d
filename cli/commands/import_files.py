"""membershift import: files of tills and partners into the same pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of


def add_to(app: typer.Typer, panel: str) -> None:
    """Put this command into `app` under `panel` of its help."""
    app.command("import", rich_help_panel=panel)(import_files)


def import_files(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="CSV (UTF-8, GB18030, UTF-16) or .xlsx files.", dir_okay=False)],
    kind: Annotated[
        str,
        typer.Option("--as", metavar="KIND", help="pos-members, sales, sale-lines, stores, products, or your own .toml profile."),
    ],
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a spreadsheet; else the first that fits.")] = None,
    rejected: Annotated[
        Path | None, typer.Option("--rejected", help="Where to write the rows to correct.", dir_okay=False)
    ] = None,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Load files of tills and partners. Rejected rows come back as a spreadsheet to correct and import again.

    The same file twice changes nothing, and a row that is on the target is never overwritten.

    Example: membershift import new-cards.xlsx --as pos-members --execute
    """
    from cli.output import progress, show
    from etl.load.import_files import ImportRequest, run_import
    from reports.documents.imports import import_document

    settings = settings_of(context)
    request = ImportRequest(tuple(files), kind, execute, sheet, rejected)
    with progress(as_json) as shown:
        result = run_import(settings, request, shown)
    show(import_document(result, lang_of(context)), result, as_json=as_json, html=html)
