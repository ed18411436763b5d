"""The demo's one-screen summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.text import told, tr


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


class Released(Protocol):
    """What moving the stores came to."""

    @property
    def stores(self) -> int: ...
    @property
    def waves(self) -> Sequence[int]: ...
    @property
    def sales(self) -> int: ...
    @property
    def acknowledged(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def doubled(self) -> int: ...
    @property
    def wrong(self) -> int: ...
    @property
    def differing(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def why(self) -> str: ...
    @property
    def detected_s(self) -> float: ...
    @property
    def back_s(self) -> float: ...
    @property
    def closed_s(self) -> float: ...
    @property
    def target(self) -> str: ...
    @property
    def clean(self) -> bool: ...


class Result(Protocol):
    """The demo's result, as far as the summary goes."""

    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def planted(self) -> int: ...
    @property
    def found(self) -> int: ...
    @property
    def release(self) -> Released | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def reports(self) -> Sequence[Path]: ...
    @property
    def passed(self) -> bool: ...


def demo_document(result: Result, lang: str) -> Document:
    """Verdict, steps with their times, what became of the stores' sales, and the reports to open."""
    rows = tuple(
        ("ok" if step.passed else "bad", tr(lang, step.title), f"{step.seconds:.1f}", step.verdict) for step in result.steps
    )
    steps = Table(tr(lang, "Steps"), ("", tr(lang, "Step"), tr(lang, "Seconds"), tr(lang, "Verdict")), rows, status_column=0)
    return Document(
        title=tr(lang, "membershift demo"),
        verdict=Verdict("ok" if result.passed else "bad", " ".join(sentences(result, lang))),
        figures=(Figure(tr(lang, "Time"), human_duration(result.seconds)),),
        tables=(steps, *([release_table(result.release, lang)] if result.release is not None else [])),
        next_steps=tuple(tr(lang, "Open {path}", path=path) for path in result.reports),
        lang=lang,
    )


def sentences(result: Result, lang: str) -> list[str]:
    """One for each half that was shown."""
    found = []
    if result.planted and result.planted == result.found:
        text = "Everything was moved and proved; all {count} planted differences were found and repaired."
        found.append(tr(lang, text, count=result.planted))
    elif result.planted:
        text = "{planted} differences were planted, {found} were found."
        found.append(tr(lang, text, planted=result.planted, found=result.found))
    if result.release is not None:
        found.append(release_sentence(result.release, lang))
    return found


def release_sentence(released: Released, lang: str) -> str:
    """Whether a sale was lost."""
    values = {"stores": released.stores, "seconds": f"{released.back_s:.0f}", "count": f"{released.acknowledged:,}"}
    if released.clean:
        text = "{stores} stores moved, and went back by themselves {seconds} s after a fault; nothing of {count} writes is lost."
        return tr(lang, text, **values)
    text = "{stores} stores moved and went back, and of {count} acknowledged writes not all are on both sides exactly once."
    return tr(lang, text, **values)


def release_table(released: Released, lang: str) -> Table:
    """What the release is measured by."""
    waves = ", ".join(str(stores) for stores in released.waves)
    counted = (
        ("Acknowledged writes", released.acknowledged, tr(lang, "{count} of them sales and orders", count=f"{released.sales:,}")),
        ("Lost", released.lost, ""),
        ("Doubled", released.doubled, ""),
        ("Otherwise wrong", released.wrong, ""),
        ("Rows differing", released.differing, tr(lang, "by `reconcile rows`, over all tables")),
        ("Refused while customers stood there", released.refused, tr(lang, "not acknowledged, so not lost")),
        ("Detected in", f"{released.detected_s:.1f} s", told(lang, released.why)),
        ("Rolled back in", f"{released.back_s:.1f} s", tr(lang, "from the fault until the last store was back")),
        ("A store closed for at most", f"{released.closed_s:.1f} s", ""),
        ("Stores", released.stores, tr(lang, "in waves of {waves}; target {target}", waves=waves, target=released.target)),
    )
    bad = {"Lost", "Doubled", "Otherwise wrong", "Rows differing"}
    rows = tuple(("bad" if name in bad and value else "ok", tr(lang, name), value, note) for name, value, note in counted)
    columns = ("", tr(lang, "Figure"), tr(lang, "Value"), tr(lang, "What it means"))
    return Table(tr(lang, "What became of the stores' sales"), columns, rows, status_column=0)
