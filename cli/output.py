"""The only module that prints. Results go to standard output, progress and errors to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from etl.errors import OpsError
    from etl.progress import Progress
    from reports.document import Document


last_verdict: ContextVar[str] = ContextVar("last_verdict", default="")
"""What the command said of its result, for the audit log."""


def show(document: Document, result: object, *, as_json: bool = False, html: Path | None = None) -> None:
    """Print a result once: as JSON for programs, else the document for people; `html` also gets the whole report."""
    last_verdict.set(document.verdict.text)
    if html is not None:
        write_html(document, html)
    if as_json:
        values = plain(result)
        verdict = {"verdict": document.verdict.text, "verdict_status": document.verdict.status}
        show_json(verdict | values if isinstance(values, dict) else verdict | {"result": values})
    else:
        show_document(document)
        if html is not None:
            console().print(f"HTML: {html}", highlight=False, soft_wrap=True)


def show_json(result: object) -> None:
    """One JSON document on standard output. Decimals are text, so that no digit is lost."""
    sys.stdout.write(json.dumps(plain(result), ensure_ascii=False, indent=2) + "\n")


def show_text(text: str) -> None:
    """Text as it is: offline SQL, a configuration file."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def write_html(document: Document, path: Path) -> None:
    """The report as one HTML file, readable by its owner only, since it names keys of members."""
    from etl.personal_files import write_personal_file
    from reports.html import render_html

    with write_personal_file(path) as file:
        file.write(render_html(document).encode())


def show_document(document: Document) -> None:
    """Verdict, figures, tables, next steps."""
    from rich.markup import escape

    from cli.tables import COLOURS, MARKS, WORDS, render_table
    from reports.document import cell_text
    from reports.text import tr

    screen = console()
    verdict = document.verdict
    mark = f"[bold {COLOURS[verdict.status]}]{MARKS[verdict.status]} {tr(document.lang, WORDS[verdict.status])}[/]"
    screen.print(f"[bold]{escape(document.title)}[/]")
    screen.print(f"{mark}  {escape(verdict.text)}", highlight=False, soft_wrap=True)
    if document.figures:
        width = max(len(figure.label) for figure in document.figures)
        for figure in document.figures:
            note = f"  [dim]{escape(figure.note)}[/]" if figure.note else ""
            screen.print(f"  {escape(figure.label):<{width}}  [bold]{escape(cell_text(figure.value))}[/]{note}", highlight=False)
    for table in document.tables:
        screen.print()
        for part in render_table(table, document.lang, screen.width):
            screen.print(part, highlight=False)
    if document.next_steps:
        screen.print(f"\n[bold]{tr(document.lang, 'Next steps')}[/]")
        for number, step in enumerate(document.next_steps, 1):
            screen.print(f"  {number}. {escape(step)}", highlight=False)


def show_error(error: OpsError, *, as_json: bool = False) -> None:
    """What went wrong and what to do, on standard error."""
    if as_json:
        described = {"error": error.message, "remedy": error.remedy, "exit_code": int(error.exit_code)}
        sys.stderr.write(json.dumps(described, ensure_ascii=False) + "\n")
        return
    from rich.markup import escape

    from cli.tables import COLOURS, MARKS

    screen = console(stderr=True)
    screen.print(f"[bold {COLOURS['bad']}]{MARKS['bad']}[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    screen.print(f"  → {escape(error.remedy)}", highlight=False, soft_wrap=True)


def show_note(text: str) -> None:
    """A plain line on standard error."""
    sys.stderr.write(text + "\n")


@contextmanager
def progress(as_json: bool = False) -> Iterator[Progress]:
    """A line for each task with rows, rate and time left on a terminal; nothing where nobody watches."""
    from etl.progress import Silent

    if as_json or not sys.stderr.isatty():
        yield Silent()
        return
    from cli.progress_bars import ProgressBars

    with ProgressBars(console(stderr=True)) as bars:
        yield bars


def console(*, stderr: bool = False) -> Console:
    """A rich console; honours NO_COLOR and COLUMNS, and does not fold lines to 80 columns when piped to a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else 160
    return Console(stderr=stderr, width=width)


def plain(value: object) -> Any:
    """A result as JSON values: dataclasses as objects, decimals and times as text, bytes as hexadecimal."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    match value:
        case None | bool() | int() | float() | str():
            return value.value if isinstance(value, Enum) else value
        case Enum():
            return plain(value.value)
        case Decimal() | Path():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)
