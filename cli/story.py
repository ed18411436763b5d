"""The order of --help: the story, not the alphabet, with an example beside each command."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperGroup

EXAMPLE = re.compile(r"Example: *(.+)")


class StoryGroup(TyperGroup):
    """The root command: its commands in the order of the story, each with the first example of its help."""

    story: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the story; what the story does not name comes last."""
        names = super().list_commands(ctx)
        place = {name: position for position, name in enumerate(self.story)}
        return sorted(names, key=lambda name: place.get(name, len(place)))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Put each command's example into its line, then format as usual."""
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None:
                summary = first_paragraph(command.short_help or command.help or "")
                example = find_example(command)
                command.short_help = f"{summary} [cyan]{example}[/]" if example else summary
        super().format_help(ctx, formatter)


def find_example(command: Any) -> str | None:
    """The first example in a command's help, or in that of the commands below it."""
    found = EXAMPLE.search(command.help or "")
    if found is not None:
        return found[1].strip().strip("`")
    children: dict[str, Any] = getattr(command, "commands", {})
    return next((example for child in children.values() if (example := find_example(child))), None)


def first_paragraph(text: str) -> str:
    """The first paragraph on one line, without its example.

    >>> first_paragraph("Copy\\n  tables.\\n\\nMore."), first_paragraph("Copy. Example: cp a b")
    ('Copy tables.', 'Copy.')
    """
    return " ".join(text.strip().split("\n\n")[0].split("Example:")[0].split())
