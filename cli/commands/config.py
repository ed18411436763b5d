"""membershift config: write, show and check the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, lang_of, settings_of

config = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(config, name="config", rich_help_panel=panel, help="Write, show and check membershift.toml.")


@config.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.", dir_okay=False)] = Path("membershift.toml"),
    print_only: Annotated[bool, typer.Option("--print", help="Print it instead of writing it.")] = False,
) -> None:
    """Write a commented membershift.toml to fill in. Never overwrites a file.

    Example: membershift config init
    """
    from cli.output import show_note, show_text
    from etl.config_template import config_template, write_template

    if print_only:
        show_text(config_template())
        return
    write_template(path)
    show_note(f"Wrote {path}. Fill in both URLs, then run: membershift doctor")


@config.command()
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show every setting in force, secrets masked.

    Example: membershift config show
    """
    from cli.output import show as show_result
    from reports.documents.config import config_document, masked_settings

    values = masked_settings(settings_of(context))
    show_result(config_document(values, lang_of(context)), values, as_json=as_json)


@config.command()
def check(context: typer.Context, as_json: Json = False) -> None:
    """Read the configuration and the mapping, and say whether both are sound. Connects to nothing.

    Example: membershift config check
    """
    from cli.output import show as show_result
    from etl.check_config import check_config
    from reports.documents.config import check_document

    result = check_config(settings_of(context))
    show_result(check_document(result, lang_of(context)), result, as_json=as_json)
