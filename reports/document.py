"""What every report looks like, whatever shows it: verdict first, then the figures behind it, then what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Literal

from reports.chart import Chart

Status = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Verdict:
    """One sentence that answers the question the reader came with."""

    status: Status
    text: str


@dataclass(frozen=True)
class Figure:
    """One number with its name; `note` says what it is measured on."""

    label: str
    value: object
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows behind the verdict. A cell is any value; numbers are aligned right. `status_column` is the index of a column
    whose cells are ok, warn or bad, shown as a mark and a colour."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""
    status_column: int | None = None


@dataclass(frozen=True)
class Bar:
    """A cell drawn as a bar from `start` to `end` on an axis from `low` to `high`: a waterfall when each starts where
    the one above ended. Its direction is its sign."""

    start: float
    end: float
    low: float
    high: float

    @property
    def forward(self) -> bool:
        """Whether it goes up."""
        return self.end >= self.start

    def place(self, value: float) -> float:
        """Where `value` is on the axis, between 0 and 1."""
        width = self.high - self.low
        return min(1.0, max(0.0, (value - self.low) / width)) if width > 0 else 0.0


@dataclass(frozen=True)
class Document:
    """A report in one language. `charts` are in the HTML only: its tables have to say the same."""

    title: str
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    next_steps: tuple[str, ...] = ()
    lang: str = "en"
    charts: tuple[Chart, ...] = ()


def cell_text(value: object) -> str:
    """How every report writes a value: thousands separated, times in ISO 8601 with their zone, nothing for None.

    >>> cell_text(1234567), cell_text(Decimal("1234.5000")), cell_text(None), cell_text(0.12345)
    ('1,234,567', '1,234.5000', '', '0.123')
    >>> from datetime import UTC
    >>> cell_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05+00:00'
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case int() | Decimal():
            return f"{value:,}"
        case float():
            return f"{value:,.3f}"
        case datetime():
            return value.isoformat(timespec="seconds")
        case Bar():
            return draw_bar(value)
        case _:
            return str(value)


def draw_bar(bar: Bar, width: int = 30) -> str:
    """A bar as text: what goes up is full, what goes down is shaded, and a line stands at nought.

    >>> draw_bar(Bar(0, 5, -10, 10), 20), draw_bar(Bar(0, -5, -10, 10), 20), draw_bar(Bar(2, 6, 0, 10), 10)
    ('          │█████', '     ▒▒▒▒▒│', '│  ████')
    """
    first, last = sorted((round(bar.place(bar.start) * width), round(bar.place(bar.end) * width)))
    cells = [" "] * first + ["█" if bar.forward else "▒"] * max(last - first, 1 if bar.start != bar.end else 0)
    zero = round(bar.place(0.0) * width)
    cells += [" "] * (zero - len(cells))
    return "".join([*cells[:zero], "│", *cells[zero:]]).rstrip()


def human_bytes(size: float) -> str:
    """Bytes with a binary unit.

    >>> human_bytes(0), human_bytes(1536), human_bytes(3 * 1024**3)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def human_duration(seconds: float) -> str:
    """Seconds for reading.

    >>> human_duration(0.25), human_duration(75), human_duration(3700)
    ('0.2 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
