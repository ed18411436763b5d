"""membershift demo: the whole story on a private sandbox."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, lang_of


class Part(StrEnum):
    """Of the demo."""

    MOVE = "move"
    RELEASE = "release"


def add_to(app: typer.Typer, panel: str) -> None:
    """Put this command into `app` under `panel` of its help."""
    app.command("demo", rich_help_panel=panel)(demo)


def demo(
    context: typer.Context,
    members: Annotated[int, typer.Option(min=1_000, max=10_000_000, help="Generated members.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the generated data.")] = 1,
    complete_journey: Annotated[bool, typer.Option(help="Also move the Complete Journey data set.")] = True,
    differences: Annotated[int, typer.Option(min=10, max=100_000, help="Differences to plant, find and repair.")] = 30,
    reports: Annotated[Path, typer.Option(help="Folder for the reports.", file_okay=False)] = Path("demo-reports"),
    folder: Annotated[Path | None, typer.Option(help="Folder of the sandbox. Default: a temporary one.", file_okay=False)] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Keep the filled legacy server in this folder, for the next demo.", file_okay=False)
    ] = None,
    only: Annotated[
        Part | None, typer.Option(help="Only move the data; or only move the stores of a small retailer, and bring them back.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers running.")] = False,
    as_json: Json = False,
) -> None:
    """Run the whole story: sandbox, assess, schema, stage, dedupe, load, reconcile, a planted damage found and repaired.

    Then a second, small retailer moves its 300 stores in three waves while they sell, the target fails them, they go back by
    themselves, and every sale is looked for on both sides.

    Example: membershift demo --only release
    """
    import tempfile

    from cli.output import show, show_note
    from cli.signals import end_as_by_ctrl_c
    from etl.errors import ExitCode
    from fixtures.demo import PARTS, DemoRequest, run_demo
    from reports.documents.demo import demo_document

    end_as_by_ctrl_c()
    chosen = folder or Path(tempfile.mkdtemp(prefix="membershift-demo-"))
    parts = PARTS if only is None else (only.value,)
    request = DemoRequest(members, seed, complete_journey, differences, chosen, reports, keep, cache, parts)
    result = run_demo(request, show_note)
    show(demo_document(result, lang_of(context)), result, as_json=as_json)
    raise typer.Exit(int(ExitCode.DONE if result.passed else ExitCode.DIFFERENCES))
