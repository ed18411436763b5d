"""The commands, one file for each noun. Their order here is the order of the story in --help."""

from __future__ import annotations

from importlib import import_module

import typer

# Panel of --help -> modules that have `add_to(app, panel)`.
STORY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Set up", ("config", "doctor", "sandbox")),
    ("Look", ("assess", "mapping")),
    ("Move", ("schema", "stage", "dedupe", "load", "import_files")),
    ("Prove", ("reconcile",)),
    ("Live with both", ("sync",)),
    ("Move over", ("loadtest", "release")),
    ("Answer for it", ("snapshot", "alerts", "audit")),
    ("Try it all", ("drill", "demo")),
)

ORDER = tuple(name.removesuffix("_files") for _, names in STORY for name in names)


def add_to(app: typer.Typer) -> None:
    """Add every command to `app`, in order."""
    for panel, names in STORY:
        for name in names:
            import_module(f"cli.commands.{name}").add_to(app, panel)
