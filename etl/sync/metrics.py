"""What a running sync tells Prometheus, in its text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).

Names follow https://prometheus.io/docs/practices/naming/: base units, counters end in _total. No label holds a value of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

from etl.sync.model import Counts
from etl.sync.standing import Standing
from etl.sync.stats import Stats, StreamView

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge"]
OUTCOMES: Final = tuple(field.name for field in fields(Counts))


@dataclass(frozen=True)
class Sample:
    """One value with its labels."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Metric:
    """A metric with its samples."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


def render_metrics(stats: Stats, standing: Standing | None, up_s: float) -> str:
    """The whole page. `standing`: what was last counted on both sides, None before the first count."""
    metrics = [*process_metrics(up_s), *stream_metrics(stats.views()), *throttle_metrics(stats), *check_metrics(stats)]
    metrics += standing_metrics(standing) if standing is not None else ()
    return "".join(render(metric) for metric in metrics if metric.samples)


def process_metrics(up_s: float) -> tuple[Metric, ...]:
    """Of the process."""
    return (Metric("membershift_sync_up_seconds", "gauge", "How long this process has run.", (Sample(up_s),)),)


def stream_metrics(views: Sequence[StreamView]) -> tuple[Metric, ...]:
    """Of each stream: forward/<legacy database>, and reverse."""

    def each(name: str, kind: Kind, text: str, values: Iterable[float]) -> Metric:
        samples = (Sample(value, (("stream", view.name),)) for view, value in zip(views, values, strict=True))
        return Metric(f"membershift_sync_{name}", kind, text, tuple(samples))

    rows = tuple(
        Sample(getattr(counts, outcome), (("stream", view.name), ("table", table), ("outcome", outcome)))
        for view in views
        for table, counts in sorted(view.tables.items())
        for outcome in OUTCOMES
    )
    return (
        each(
            "lag_seconds", "gauge", "Seconds since the stream was last through with everything.", (view.lag_s for view in views)
        ),
        each("rows_per_second", "gauge", "Rows written and deleted, over the last minute.", (view.rate for view in views)),
        each("rounds_total", "counter", "Rounds since the process began.", (view.rounds for view in views)),
        each("waiting", "gauge", "1 while the stream cannot go on.", (float(bool(view.waiting)) for view in views)),
        each(
            "throttled_seconds_total",
            "counter",
            "How long the throttle has held the stream.",
            (view.throttled_s for view in views),
        ),
        Metric("membershift_sync_rows_total", "counter", "Rows since the process began, by what became of them.", rows),
    )


def throttle_metrics(stats: Stats) -> tuple[Metric, ...]:
    """How fast the throttle lets sync go, and what it measures."""
    known = [(measure.name, measure.value) for measure in stats.measures if measure.value is not None]
    limits = [(measure.name, measure.limit) for measure in stats.measures]
    return (
        Metric("membershift_sync_throttle_speed", "gauge", "1 at full speed, 0 at a standstill.", (Sample(stats.speed),)),
        Metric("membershift_sync_throttle_value", "gauge", "What the throttle measured last: percent, ms or s.", labelled(known)),
        Metric("membershift_sync_throttle_limit", "gauge", "Above this it holds sync back.", labelled(limits)),
    )


def check_metrics(stats: Stats) -> tuple[Metric, ...]:
    """The background check's pass: the one under way, or the one that ended last."""
    one = stats.check
    if one is None:
        return ()
    ended = (Sample(one.ended.timestamp()),) if one.ended is not None else ()
    trouble = Sample(float(bool(stats.check_problem)))
    return (
        Metric("membershift_sync_check_rows", "gauge", "Rows that the pass has looked at.", (Sample(one.rows),)),
        Metric("membershift_sync_check_differing", "gauge", "Rows that differ at the second look too.", (Sample(one.differing),)),
        Metric("membershift_sync_check_explained", "gauge", "Rows that differ as sync knows.", (Sample(one.explained),)),
        Metric("membershift_sync_check_ended_seconds", "gauge", "When the pass ended, seconds since 1970.", ended),
        Metric("membershift_sync_check_failing", "gauge", "1 while it cannot go on.", (trouble,)),
    )


def labelled(found: Iterable[tuple[str, float]]) -> tuple[Sample, ...]:
    """A sample a measure."""
    return tuple(Sample(value, (("measure", name),)) for name, value in found)


def standing_metrics(standing: Standing) -> tuple[Metric, ...]:
    """Of what was counted on both sides."""
    tables, legacy = standing.tables, standing.legacy

    def by(name: str, kind: Kind, text: str, label: str, found: Iterable[tuple[str, int | None]]) -> Metric:
        samples = (Sample(value, ((label, one),)) for one, value in found if value is not None)
        return Metric(f"membershift_sync_{name}", kind, text, tuple(samples))

    letters = {direction: standing.letters.get(direction, 0) for direction in ("forward", "reverse")}
    return (
        by("dirty_rows", "gauge", "Target rows still to be sent back.", "table", ((one.name, one.dirty) for one in tables)),
        by(
            "conflicts_open",
            "gauge",
            "Conflicts that nobody has settled.",
            "table",
            ((one.name, one.open_conflicts) for one in tables),
        ),
        by("conflicts_total", "counter", "Conflicts kept.", "table", ((one.name, one.conflicts) for one in tables)),
        by("dead_letters_open", "gauge", "Rows that could not be carried over.", "direction", letters.items()),
        by(
            "position",
            "gauge",
            "Version up to which a legacy table was brought.",
            "table",
            ((one.name, one.position) for one in legacy),
        ),
        by("source_backlog", "gauge", "Changes still to be brought.", "table", ((one.name, one.backlog) for one in legacy)),
        by(
            "source_forgotten",
            "gauge",
            "1 when the source has forgotten changes since the position.",
            "table",
            ((one.name, int(one.forgotten)) for one in legacy),
        ),
    )


def render(metric: Metric) -> str:
    r"""A metric as text.

    >>> print(render(Metric("a_total", "counter", "One\nline.", (Sample(2, (("t", 'q"\\'),)),))), end="")
    # HELP a_total One\nline.
    # TYPE a_total counter
    a_total{t="q\"\\"} 2
    """
    lines = [f"# HELP {metric.name} {escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}"]
    for sample in metric.samples:
        labels = ",".join(f'{name}="{escaped(value, quotes=True)}"' for name, value in sample.labels)
        lines.append(f"{metric.name}{{{labels}}} {number(sample.value)}" if labels else f"{metric.name} {number(sample.value)}")
    return "\n".join(lines) + "\n"


def escaped(text: str, *, quotes: bool = False) -> str:
    """Backslash and line end, in labels also the quote."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def number(value: float) -> str:
    """A value as Go reads it: whole numbers whole.

    >>> number(3.0), number(2**53), number(0.125)
    ('3', '9007199254740992', '0.125')
    """
    return str(int(value)) if value == int(value) else repr(float(value))
