"""The option of every command that needs a release's plan: which one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from etl.settings import Settings
    from migrations.release.plan import Plan

PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="The plan. Default: release.toml beside membershift.toml.")
]


def plan_path(settings: Settings, path: Path | None) -> Path:
    """The plan that was named, or the one beside the membershift.toml in use, from whichever folder the command is called."""
    from migrations.release.plan_file import DEFAULT_NAME

    return path or settings.origin.resolve().parent / DEFAULT_NAME


def plan_of(settings: Settings, path: Path | None) -> Plan:
    """What stands in it. Raises ConfigurationError."""
    from migrations.release.plan_file import read_plan

    return read_plan(plan_path(settings, path), settings.roles)
