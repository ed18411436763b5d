"""membershift dedupe model: what each agreement and each difference weighs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of

model = typer.Typer(no_args_is_help=True)

ModelFile = Annotated[Path, typer.Argument(help="A model.json, such as the one kept by the last training.", dir_okay=False)]
OtherFile = Annotated[Path | None, typer.Argument(help="Another one. Default: the model in use.", dir_okay=False)]


@model.command()
def train(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Learn the weights anew from the staged records; the model before it is kept beside. The same records give the same model.

    Example: membershift dedupe model train
    """
    from cli.output import progress, show
    from etl.dedupe.train_command import train_and_keep
    from reports.documents.dedupe_model import trained_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = train_and_keep(settings, shown)
    show(trained_document(result, lang_of(context)), result, as_json=as_json, html=html)


@model.command("show")
def show_command(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A model.json. Default: the model in use.", dir_okay=False)] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show the weight of every outcome of every comparison, as bars.

    Example: membershift dedupe model show --html model.html
    """
    from cli.output import show
    from etl.dedupe.model_view import read_model_view
    from reports.documents.dedupe_model import model_document

    result = read_model_view(settings_of(context), file)
    show(model_document(result, lang_of(context)), result, as_json=as_json, html=html)


@model.command()
def compare(context: typer.Context, first: ModelFile, second: OtherFile = None, html: Html = None, as_json: Json = False) -> None:
    """Show how the weights of two models differ, level by level.

    Example: membershift dedupe model compare .membershift/dedupe/model-1-3f2a91bc.json
    """
    from cli.output import show
    from etl.dedupe.model_view import compare_models, read_model_view
    from reports.documents.dedupe_model import compare_document

    settings = settings_of(context)
    result = compare_models(read_model_view(settings, first), read_model_view(settings, second))
    show(compare_document(result, lang_of(context)), result, as_json=as_json, html=html)
