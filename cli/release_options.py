"""The option of every release command: which plan."""

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


def plan_of(settings: Settings, path: Path | None) -> Plan:
    """The plan that was named, or the one beside membershift.toml. Raises ConfigurationError."""
    from migrations.release.plan_file import DEFAULT_NAME, read_plan

    return read_plan(path or settings.origin.resolve().parent / DEFAULT_NAME)
