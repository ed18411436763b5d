"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from etl.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Html = Annotated[Path | None, typer.Option("--html", help="Also write the report to this HTML file.", dir_okay=False)]
Execute = Annotated[bool, typer.Option("--execute", help="Do it. Without this, only say what would be done.")]
Tables = Annotated[list[str] | None, typer.Option("--table", "-t", help="Only this table; may be given more than once.")]


@dataclass(frozen=True)
class Globals:
    """What stands before or after any command: the configuration file and the language."""

    config: Path | None = None
    lang: str = "en"


def lang_of(context: typer.Context) -> str:
    """The language asked for with --lang."""
    return globals_of(context).lang


def settings_of(context: typer.Context) -> Settings:
    """Read the configuration this command was called with. Raises ConfigurationError."""
    from etl.config_file import find_config, read_settings

    return read_settings(find_config(globals_of(context).config))


def globals_of(context: typer.Context) -> Globals:
    """The global options, from any depth of commands."""
    found = context.find_object(Globals)
    return found if found is not None else Globals()
