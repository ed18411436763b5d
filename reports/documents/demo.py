"""The demo's one-screen summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.text import tr


class Step(Protocol):
    """What the summary says of one step."""

    @property
    def title(self) -> str: ...
    @property
    def passed(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def verdict(self) -> str: ...


class Result(Protocol):
    """The demo's result, as far as the summary goes."""

    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def planted(self) -> int: ...
    @property
    def found(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def reports(self) -> Sequence[Path]: ...
    @property
    def passed(self) -> bool: ...


def demo_document(result: Result, lang: str) -> Document:
    """Verdict, steps with their times, and the reports to open."""
    if result.passed:
        verdict = Verdict(
            "ok",
            tr(
                lang,
                "Everything was moved and proved; all {count} planted differences were found and repaired.",
                count=result.planted,
            ),
        )
    else:
        verdict = Verdict(
            "bad", tr(lang, "{planted} differences were planted, {found} were found.", planted=result.planted, found=result.found)
        )
    rows = tuple(
        ("ok" if step.passed else "bad", tr(lang, step.title), f"{step.seconds:.1f}", step.verdict) for step in result.steps
    )
    return Document(
        title=tr(lang, "membershift demo"),
        verdict=verdict,
        figures=(Figure(tr(lang, "Time"), human_duration(result.seconds)),),
        tables=(
            Table(tr(lang, "Steps"), ("", tr(lang, "Step"), tr(lang, "Seconds"), tr(lang, "Verdict")), rows, status_column=0),
        ),
        next_steps=tuple(tr(lang, "Open {path}", path=path) for path in result.reports),
        lang=lang,
    )
