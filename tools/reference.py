"""Write docs/reference.md from the commands themselves, or with --check say whether it is stale.

Fails when a command has no help text or no example: what cannot be looked up does not exist.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
Command = TyperCommand | TyperGroup
HEADER = """# Command reference

Written by `make docs` from the commands; do not edit. `--config FILE` and `--lang en|zh` may stand anywhere on the line.
"""


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with what the commands say now."""
    text = render()
    if "--check" not in arguments:
        PAGE.write_text(text, "utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text("utf-8") != text:
        sys.stderr.write("docs/reference.md is stale: run `make docs` and commit it\n")
        return 1
    return 0


def render() -> str:
    """The whole page. Raises SystemExit naming commands without help or example."""
    root: Any = typer.main.get_command(app)
    sections, faults = [HEADER], []
    for name, command in walk(root, "membershift"):
        if not command.help or (not hasattr(command, "commands") and "Example:" not in command.help):
            faults.append(name)
        sections.append(describe(name, command))
    if faults:
        raise SystemExit(f"commands without help text or example: {', '.join(faults)}")
    return "\n".join(sections)


def walk(command: Command, name: str) -> Iterator[tuple[str, Command]]:
    """Every command below, parents first, in the order of --help."""
    yield name, command
    children: dict[str, Any] = getattr(command, "commands", {})
    for child_name, child in children.items():
        if not child.hidden:
            yield from walk(child, f"{name} {child_name}")


def describe(name: str, command: Command) -> str:
    """One command: what it does, its example, its arguments and options."""
    lines = [f"\n## `{name}`\n", *prose(command.help or ""), ""]
    parameters = [
        parameter for parameter in command.params if parameter.name != "help" and not getattr(parameter, "hidden", False)
    ]
    if parameters:
        lines += ["| parameter | meaning |", "|---|---|"]
        lines += [f"| {spelling(parameter)} | {getattr(parameter, 'help', None) or ''} |" for parameter in parameters]
    return "\n".join(lines).rstrip() + "\n"


def prose(text: str) -> Iterator[str]:
    """Help text as Markdown: examples as code."""
    for line in text.strip().splitlines():
        stripped = line.strip()
        yield f"Example: `{stripped.removeprefix('Example:').strip()}`" if stripped.startswith("Example:") else stripped


def spelling(parameter: Any) -> str:
    """How a parameter is written on the command line."""
    if parameter.param_type_name == "argument":
        return f"`{(parameter.name or '').upper()}`"
    return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
