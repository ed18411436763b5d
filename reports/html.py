"""A document as one self-contained HTML file: no script, no request to anywhere, readable in print and in the dark."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING

from reports.chart import chart_style, render_chart
from reports.document import Bar, Document, cell_text
from reports.text import tr

if TYPE_CHECKING:
    from jinja2 import Template


def render_html(document: Document) -> str:
    """The whole page as text; every value is escaped."""
    made = tr(
        document.lang,
        "Made at {time} by membershift {version}",
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        version=metadata.version("membershift"),
    )
    return page_template().render(
        document=document,
        cell=cell_text,
        is_bar=lambda value: isinstance(value, Bar),
        is_number=lambda value: isinstance(value, int | float) or type(value).__name__ == "Decimal",
        next_steps_title=tr(document.lang, "Next steps"),
        marks={"ok": "✔", "warn": "!", "bad": "✘"},
        words={
            "ok": tr(document.lang, "OK"),
            "warn": tr(document.lang, "ATTENTION"),
            "bad": tr(document.lang, "FAILED"),
        },
        made=made,
        draw=render_chart,
        chart_style=chart_style() if document.charts else "",
    )


@cache
def page_template() -> Template:
    """The compiled template of reports/page.html.j2."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files("reports").joinpath("page.html.j2").read_text("utf-8"))
