"""Tables that stay readable in a narrow terminal: no number and no name is ever broken over two lines.

What does not fit is made to fit in steps: what is the same in every row moves below the table, the words of the status column
give way to their marks and long bars to short ones, and at last each row becomes a paragraph of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.markup import escape

from reports.document import Bar, Table, cell_text, draw_bar
from reports.text import tr

if TYPE_CHECKING:
    from rich.console import RenderableType

# Okabe and Ito's palette: told apart by colour-blind readers; a mark and a word carry the meaning when colour is off.
COLOURS: Final = {"ok": "#56B4E9", "warn": "#E69F00", "bad": "#CC79A7"}
MARKS: Final = {"ok": "✔", "warn": "!", "bad": "✘"}
WORDS: Final = {"ok": "OK", "warn": "ATTENTION", "bad": "FAILED"}
MAX_ROWS_ON_SCREEN: Final = 40
LONG_BAR: Final = 30
SHORT_BAR: Final = 12
BETWEEN: Final = 3
"""Cells between two columns."""
WIDE: Final = 2
"""Cells of a Chinese character, which a line may be broken after."""


@dataclass(frozen=True)
class Shape:
    """How one column is laid out: `least` is the width below which it cannot be read, `full` the one it would like."""

    numeric: bool
    least: int
    full: int


@dataclass(frozen=True)
class Style:
    """How much room is given to what is not text: a status with its word or its mark alone, bars of so many cells."""

    lang: str
    words: bool = True
    bar: int = LONG_BAR


def render_table(table: Table, lang: str, width: int) -> list[RenderableType]:
    """The first rows of a table in at most `width` cells, then what is told below it."""
    shown, style = replace(table, rows=table.rows[:MAX_ROWS_ON_SCREEN]), Style(lang)
    notes: list[str] = []
    if not fits(shown, style, width, full=True):
        shown, same = without_equal_columns(shown)
        if same:
            notes.append(tr(lang, "The same in every row: {columns}", columns="; ".join(same)))
        style = replace(style, words=fits(shown, style, width, full=True))
    if not fits(shown, style, width, full=True):
        style = replace(style, bar=SHORT_BAR)
    whole = fits(shown, style, width, full=False)
    body: list[RenderableType] = [grid(shown, style, width)] if whole else paragraphs(shown, style)
    if (hidden := len(table.rows) - len(shown.rows)) > 0:
        notes.append(tr(lang, "... and {count} more rows: see --json or the HTML report", count=f"{hidden:,}"))
    if table.note:
        notes.append(table.note)
    return [*body, *(f"  [dim]{escape(note)}[/]" for note in notes)]


def fits(table: Table, style: Style, width: int, *, full: bool) -> bool:
    """Whether a grid fits, every column at its full width, or at its least."""
    columns = shapes(table, style)
    return sum((shape.full if full else shape.least) + BETWEEN for shape in columns) <= width


def without_equal_columns(table: Table) -> tuple[Table, list[str]]:
    """The table without columns that hold one value in all of several rows, but for its first two; and "name value" of each."""
    if len(table.rows) < 2:
        return table, []
    equal = [
        index
        for index in range(2, len(table.columns))
        if index != table.status_column and all(row[index] == table.rows[0][index] for row in table.rows)
    ]
    told = [f"{table.columns[index]} {cell_text(table.rows[0][index]) or '-'}" for index in equal]
    kept = [index for index in range(len(table.columns)) if index not in equal]
    status = None if table.status_column is None else kept.index(table.status_column)
    rows = tuple(tuple(row[index] for index in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[index] for index in kept), rows=rows, status_column=status), told


def shapes(table: Table, style: Style) -> list[Shape]:
    """The layout of each column."""
    found = []
    for index, name in enumerate(table.columns):
        values = [row[index] for row in table.rows]
        texts = [plain_cell(table, index, value, style) for value in values]
        longest = max((cell_len(line) for text in texts for line in text.split("\n")), default=0)
        unbroken = index == table.status_column or is_numeric(values) or any(isinstance(value, Bar) for value in values)
        least = longest if unbroken else max((longest_piece(text) for text in texts), default=0)
        found.append(Shape(is_numeric(values), max(least, longest_piece(name)), max(longest, cell_len(name))))
    return found


def is_numeric(values: list[object]) -> bool:
    """Whether a column holds numbers and nothing else."""
    given = [value for value in values if value is not None]
    return bool(given) and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in given)


def longest_piece(text: str) -> int:
    """Cells of what cannot be broken: the longest word; Chinese may be broken anywhere, which is done after four characters at
    the earliest.

    >>> longest_piece("crm.dbo.Member is staged"), longest_piece("由隔离区解释"), longest_piece("")
    (14, 8, 0)
    """
    return max((min(cell_len(word), 4 * WIDE) if cell_len(word) > len(word) else len(word) for word in text.split()), default=0)


def plain_cell(table: Table, index: int, value: object, style: Style) -> str:
    """A cell's text; the status as mark and word, or as its mark alone."""
    if isinstance(value, Bar):
        return draw_bar(value, style.bar)
    if index != table.status_column:
        return cell_text(value)
    return f"{MARKS[str(value)]} {tr(style.lang, WORDS[str(value)])}" if style.words else MARKS[str(value)]


def styled_cell(table: Table, index: int, value: object, style: Style) -> str:
    """The same with colour, as rich's markup."""
    text = escape(plain_cell(table, index, value, style))
    if index == table.status_column:
        return f"[{COLOURS[str(value)]}]{text}[/]"
    if isinstance(value, Bar):
        return f"[{COLOURS['ok' if value.forward else 'warn']}]{text}[/]"
    return text


def widths(columns: list[Shape], width: int) -> list[int]:
    """How wide each column is: its least, and an equal share of the rest of `width` until it has its full.

    >>> widths([Shape(True, 5, 5), Shape(False, 4, 20), Shape(False, 4, 8)], 30)
    [5, 8, 8]
    """
    given = [shape.least for shape in columns]
    room = width - BETWEEN * len(columns) - sum(given)
    by_need = sorted(range(len(columns)), key=lambda index: columns[index].full - columns[index].least)
    for place, index in enumerate(by_need):
        more = min(columns[index].full - columns[index].least, max(room, 0) // (len(columns) - place))
        given[index] += more
        room -= more
    return given


def grid(table: Table, style: Style, width: int) -> RenderableType:
    """Rows and columns; columns that hold only numbers are aligned right."""
    from rich import box
    from rich.table import Table as RichTable

    view = RichTable(title=escape(table.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = shapes(table, style)
    for name, shape, cells in zip(table.columns, columns, widths(columns, width), strict=True):
        view.add_column(escape(name), justify="right" if shape.numeric else "left", overflow="fold", width=cells)
    for row in table.rows:
        view.add_row(*(styled_cell(table, index, value, style) for index, value in enumerate(row)))
    return view


def paragraphs(table: Table, style: Style) -> list[RenderableType]:
    """Each row by itself: its status and first cell, then every other cell with the name of its column. Bars are left out, since
    they speak only one under another."""
    from rich.padding import Padding

    head = next((index for index in range(len(table.columns)) if index != table.status_column), 0)
    lines: list[RenderableType] = [f"[bold]{escape(table.title)}[/]"]
    for row in table.rows:
        status = table.status_column
        mark = "" if status is None else styled_cell(table, status, row[status], replace(style, words=False)) + " "
        lines.append(f"  {mark}[bold]{styled_cell(table, head, row[head], style)}[/]")
        rest = [
            f"[dim]{escape(table.columns[index])}[/] {styled_cell(table, index, value, style)}"
            for index, value in enumerate(row)
            if index not in (head, status) and not isinstance(value, Bar) and cell_text(value)
        ]
        if rest:
            lines.append(Padding(" · ".join(rest), (0, 0, 0, 6)))
    return lines
