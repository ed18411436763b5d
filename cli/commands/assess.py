"""membershift assess: look before moving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Html, Json, Tables, lang_of, settings_of

if TYPE_CHECKING:
    from etl.settings import Settings

Full = Annotated[bool, typer.Option("--full", help="Read every row of every table, however large.")]
SampleRows = Annotated[int, typer.Option("--sample-rows", min=1_000, help="Rows to read of a table that is sampled.")]
ScanLimit = Annotated[int, typer.Option("--scan-limit", min=0, help="Tables of more rows than this are sampled.")]
MaxLoad = Annotated[int | None, typer.Option("--max-load", min=1, max=100, help="Pause while the source is busier (percent).")]
DraftMapping = Annotated[
    Path | None, typer.Option("--draft-mapping", help="Write a draft mapping here instead.", file_okay=False)
]
ExtractRate = Annotated[float, typer.Option(min=1, help="Rows/s out of the source, where too few are read to measure it.")]
LoadRate = Annotated[float, typer.Option(min=1, help="Rows/s into the target, for the estimate.")]
IndexRate = Annotated[float, typer.Option(min=1, help="Rows/s of building secondary indexes, for the estimate.")]
Replicas = Annotated[int, typer.Option(min=1, help="Copies of the data the target keeps, for the estimate.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put this command into `app` under `panel` of its help."""
    app.command(rich_help_panel=panel)(assess)


def assess(
    context: typer.Context,
    table: Tables = None,
    full: Full = False,
    sample_rows: SampleRows = 200_000,
    scan_limit: ScanLimit = 1_000_000,
    max_load: MaxLoad = None,
    draft_mapping: DraftMapping = None,
    extract_rate: ExtractRate = 200_000,
    load_rate: LoadRate = 33_000,
    index_rate: IndexRate = 60_000,
    replicas: Replicas = 3,
    as_json: Json = False,
    html: Html = None,
) -> None:
    """Look at the legacy databases: what is there, what would go wrong, what the move takes. Reads only.

    Large tables are sampled, and counts from a sample are lower bounds; --full reads them whole.

    Example: membershift assess --max-load 60 --html assessment.html
    """
    settings, lang = settings_of(context), lang_of(context)
    if draft_mapping is not None:
        draft(settings, table, draft_mapping, lang, as_json=as_json)
        return
    from cli.output import progress, show
    from etl.assess.model import AssessRequest, Rates
    from etl.assess.run import run_assess
    from etl.mapping.load_mapping import load_mapping
    from migrations.schema.planned import known_columns
    from reports.documents.assess import assess_document

    request = AssessRequest(
        tables=tuple(table) if table else None,
        full=full,
        scan_limit_rows=scan_limit,
        sample_rows=sample_rows,
        max_load_percent=max_load,
        rates=Rates(extract_rate, load_rate, index_rate, replicas=replicas),
    )
    with progress(as_json) as bars:
        mapping = load_mapping(settings.mapping, settings.config_dir)
        result = run_assess(settings, request, bars, mapping, known_columns(settings.target))
    show(assess_document(result, lang), result, as_json=as_json, html=html)


def draft(settings: Settings, tables: list[str] | None, folder: Path, lang: str, *, as_json: bool) -> None:
    """Write a draft mapping of the source's tables, and say what it holds."""
    from cli.output import show
    from etl.assess.draft_mapping import draft_mapping_of
    from reports.documents.draft_mapping import draft_document

    drafted = draft_mapping_of(settings, tables, folder)
    show(draft_document(drafted, folder, lang), drafted, as_json=as_json)
