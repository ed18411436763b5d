"""membershift dedupe: one person, one member; every decision explained and reversible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.dedupe_model import model
from cli.commands.dedupe_review import review
from cli.commands.dedupe_unmerge import unmerge
from cli.options import Execute, Html, Json, lang_of, settings_of

dedupe = typer.Typer(no_args_is_help=True)
dedupe.add_typer(
    review, name="review", help="Answer doubtful pairs: in the terminal, or as a spreadsheet. Example: membershift dedupe review"
)
dedupe.add_typer(model, name="model", help="The weights: train, show, compare. Example: membershift dedupe model show")

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only records changed since this ISO time; `last`: those no run has seen."),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who does this, for the audit. Default: the user of this machine.")
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="ENGINE", help="What compares the pairs: duckdb, or spark. Default: the configured one."),
]
Truth = Annotated[
    Path | None,
    typer.Option("--truth", help="Measure against this file (Parquet or CSV) of system, source_id, person.", dir_okay=False),
]
ShowPersonal = Annotated[bool, typer.Option("--show-personal", help="Show personal values in full.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        dedupe,
        name="dedupe",
        rich_help_panel=panel,
        help="Find who is one person, and make one member of them. Example: membershift dedupe run --execute",
    )


@dedupe.command()
def plan(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Count what a run would look at: records, what is odd about them, and the pairs of each rule. Compares nothing.

    Exit code 7 when a rule makes more pairs than the budget, so that a run would be refused.

    Example: membershift dedupe plan
    """
    from cli.output import progress, show
    from etl.dedupe.plan import plan_dedupe
    from etl.errors import ExitCode
    from reports.documents.dedupe_plan import plan_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = plan_dedupe(settings, shown)
    show(plan_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.refused:
        raise typer.Exit(int(ExitCode.REFUSED))


@dedupe.command()
def run(
    context: typer.Context,
    since: Since = None,
    engine: Engine = None,
    by: By = None,
    execute: Execute = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Find who is one person among the staged records; with --execute, write the crosswalk and the golden records.

    A rerun on the same data changes nothing. Interrupted or killed, the crosswalk is the old or the new one, never half of each.

    Example: membershift dedupe run --execute --html dedupe.html
    """
    from cli.output import progress, show
    from etl.dedupe.answers import who_is_asked
    from etl.dedupe.engine import engine_named
    from etl.dedupe.result import DedupeRequest
    from etl.dedupe.run import run_dedupe
    from reports.documents.dedupe_run import run_document

    request = DedupeRequest(execute=execute, since=since, by_whom=who_is_asked(by), engine=engine_named(engine))
    settings = settings_of(context)
    with progress(as_json) as shown:
        result = run_dedupe(settings, request, shown)
    show(run_document(result, lang_of(context)), result, as_json=as_json, html=html)


@dedupe.command()
def report(context: typer.Context, truth: Truth = None, html: Html = None, as_json: Json = False) -> None:
    """Show how good the last run was, measured on labels or a truth file, what waits, and what is at stake. Changes nothing.

    Precision and recall come with 95 % limits, and never from the model's own opinion.

    Example: membershift dedupe report --html dedupe-report.html
    """
    from cli.output import progress, show
    from etl.dedupe.report import read_report
    from reports.documents.dedupe_report import report_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = read_report(settings, truth, shown)
    show(report_document(result, lang_of(context)), result, as_json=as_json, html=html)


@dedupe.command()
def explain(
    context: typer.Context,
    left: Annotated[str, typer.Argument(help="A record: its system and its key there, such as crm:123.")],
    right: Annotated[str, typer.Argument(help="Another record.")],
    show_personal: ShowPersonal = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show why two records are, or are not, one person: the weights as a waterfall, and what decided in the end.

    Example: membershift dedupe explain crm:123 pos:B0000042 --html why.html
    """
    from cli.output import show
    from etl.dedupe.explanation import explain_records
    from etl.dedupe.labels import parse_record
    from reports.documents.dedupe_explain import explain_document

    pair = parse_record(left), parse_record(right)
    result = explain_records(settings_of(context), *pair, show_personal=show_personal)
    show(explain_document(result, lang_of(context)), result, as_json=as_json, html=html)


dedupe.command()(unmerge)


@dedupe.command()
def status(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Show where deduplication stands: runs, merged members, decisions, and pairs that wait for an answer. Changes nothing.

    Example: membershift dedupe status
    """
    from cli.output import show
    from etl.dedupe.status import dedupe_status
    from reports.documents.dedupe_status import status_document

    result = dedupe_status(settings_of(context))
    show(status_document(result, lang_of(context)), result, as_json=as_json, html=html)
