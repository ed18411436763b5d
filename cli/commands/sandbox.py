"""membershift sandbox: a legacy server full of members and an empty target, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, lang_of

sandbox = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Folder of the sandbox: its data and its membershift.toml.", file_okay=False)]
DEFAULT = Path("sandbox")


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(sandbox, name="sandbox", rich_help_panel=panel, help="Try everything on servers of this machine.")


@sandbox.command()
def up(
    context: typer.Context,
    members: Annotated[int, typer.Option(min=1, max=10_000_000, help="Generated members.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated data.")] = 1,
    complete_journey: Annotated[bool, typer.Option(help="Also fill in the Complete Journey data set.")] = True,
    folder: Folder = DEFAULT,
    cache: Annotated[
        Path | None, typer.Option(help="Keep a filled legacy server in this folder, and copy it the next time.", file_okay=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a legacy server and a target on free ports of this machine, fill in members, write membershift.toml.

    Example: membershift sandbox up --members 100000
    """
    from cli.output import progress, show
    from fixtures.sandbox import sandbox_up
    from reports.documents.sandbox import sandbox_document

    with progress(as_json) as bars:
        result = sandbox_up(folder, members, seed, complete_journey, bars, cache)
    show(sandbox_document(result, lang_of(context)), result, as_json=as_json)


@sandbox.command()
def status(context: typer.Context, folder: Folder = DEFAULT, as_json: Json = False) -> None:
    """Say what runs, where, and what it holds.

    Example: membershift sandbox status
    """
    from cli.output import show
    from fixtures.sandbox import sandbox_status
    from reports.documents.sandbox import sandbox_document

    result = sandbox_status(folder)
    show(sandbox_document(result, lang_of(context)), result, as_json=as_json)


@sandbox.command()
def down(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete all its data and its membershift.toml.")] = False,
    folder: Folder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Stop both servers. Their data stays unless --purge is given.

    Example: membershift sandbox down --purge
    """
    from cli.output import show
    from fixtures.sandbox import sandbox_down
    from reports.documents.sandbox import stopped_document

    result = sandbox_down(folder, purge=purge)
    show(stopped_document(result, lang_of(context), purged=purge), result, as_json=as_json)
