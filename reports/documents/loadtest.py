"""Load tests: what a plan will do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loadtest.plans import BURST, WARM_UP, Plan
from loadtest.run import LoadResult
from loadtest.samples import Outcome
from loadtest.timeline import Tally, together
from loadtest.verdict import Finding
from loadtest.verdict import Verdict as Held
from reports.document import Document, Figure, Status, Table, Verdict, human_duration
from reports.text import told, tr

MARKS: Final[Mapping[Held, Status]] = {Held.PASS: "ok", Held.FAIL: "bad", Held.VOID: "warn"}


def plan_document(plan: Plan, members: int, lang: str) -> Document:
    """What a test would do, and to whom."""
    columns = (
        tr(lang, "Stretch"),
        tr(lang, "Seconds"),
        tr(lang, "From, transactions/s"),
        tr(lang, "Up to"),
        tr(lang, "What is asked of it"),
    )
    rows = tuple(
        (tr(lang, part.name), round(part.seconds), round(part.begins), round(part.ends), asked_of(plan, part.name, lang))
        for part in plan.curve
    )
    values = {"count": f"{plan.transactions:,.0f}", "peak": f"{plan.peak:,.0f}", "time": human_duration(plan.seconds)}
    sentence = "About {count} transactions within {time}, at most {peak} a second, whatever the server answers."
    return Document(
        title=tr(lang, "Load test {name}", name=plan.name),
        verdict=Verdict("ok", tr(lang, sentence, **values)),
        figures=(
            Figure(tr(lang, "Mix"), plan.mix),
            Figure(tr(lang, "Members of the test's own"), members),
            Figure(tr(lang, "Seed"), plan.seed),
        ),
        tables=(Table(tr(lang, "Stretches"), columns, rows),),
        next_steps=(tr(lang, "Run it: `membershift loadtest run` with the same options."),),
        lang=lang,
    )


def asked_of(plan: Plan, part: str, lang: str) -> str:
    """The targets of a part, in words."""
    targets = plan.targets
    if part == WARM_UP:
        return tr(lang, "nothing: it is not judged")
    if part == BURST:
        return tr(lang, "{share} served", share=f"{targets.success:.4g}")
    limits = [(name, limit) for name, limit in (("p95", targets.p95_ms), ("p99", targets.p99_ms)) if limit is not None]
    asked = [
        tr(lang, "{share} served", share=f"{targets.steady_success:.4g}"),
        *(f"{name} ≤ {limit:g} ms" for name, limit in limits),
    ]
    return ", ".join(asked)


def result_document(result: LoadResult, lang: str) -> Document:
    """The verdict, each target with its figure, each operation, each check."""
    whole = together(list(result.operations.values()))
    return Document(
        title=tr(lang, "Load test {name}", name=result.plan.name),
        verdict=verdict_of(result, lang),
        figures=(
            Figure(
                tr(lang, "Held, outside bursts"),
                f"{result.judgement.held_rate:,.1f}/s",
                tr(lang, "of {rate}/s", rate=f"{result.plan.rate:g}"),
            ),
            Figure(tr(lang, "Transactions"), whole.asked),
            Figure(tr(lang, "Not served"), whole.asked - whole.served),
            Figure(tr(lang, "Done again after a conflict"), whole.retries),
            Figure(tr(lang, "Mix"), result.plan.mix),
            Figure(tr(lang, "Begun"), result.begun_at),
            Figure(tr(lang, "Time"), human_duration(result.seconds)),
        ),
        tables=(
            findings_table(result, lang),
            operations_table(result.operations, lang),
            parts_table(result, lang),
            generator_table(result, lang),
        ),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: LoadResult, lang: str) -> Verdict:
    """One plain sentence."""
    judgement = result.judgement
    values = {"rate": f"{result.plan.rate:g}", "held": f"{judgement.held_rate:,.1f}"}
    match judgement.verdict:
        case Held.PASS:
            text = tr(lang, "The target held {rate} transactions a second, with every goal reached.", **values)
        case Held.FAIL:
            missed = sum(not finding.held for finding in judgement.findings)
            text = tr(
                lang, "The target did not hold {rate} transactions a second: {missed} goals were missed.", missed=missed, **values
            )
        case Held.VOID:
            why = "; ".join(told(lang, reason) for reason in judgement.why)
            text = tr(lang, "This test says nothing about the target: {why}.", why=why)
    return Verdict(MARKS[judgement.verdict], text)


def findings_table(result: LoadResult, lang: str) -> Table:
    """Each target."""
    columns = ("", tr(lang, "Goal"), tr(lang, "Stretch"), tr(lang, "Seen"), tr(lang, "Limit"))
    rows = tuple(
        ("ok" if one.held else "bad", goal_of(one.name, lang), tr(lang, one.part), seen(one), limit_of(one))
        for one in result.judgement.findings
    )
    note = tr(lang, "Response times count from when a transaction was due, and only of those that were served.")
    return Table(tr(lang, "Goals"), columns, rows, note, status_column=0)


def goal_of(name: str, lang: str) -> str:
    """What a goal is called: a percentile, a share, or a rule over the rows."""
    return told(lang, tr(lang, name))


def seen(finding: Finding) -> str:
    """The figure of a target.

    >>> seen(Finding("success", "steady", 0.99951, 0.999, True)), seen(Finding("p99", "steady", None, 500, False, "ms"))
    ('99.951 %', '')
    """
    if finding.figure is None:
        return ""
    return f"{finding.figure:,.4g} {finding.unit}" if finding.unit else f"{finding.figure * 100:.5g} %"


def limit_of(finding: Finding) -> str:
    """What was asked.

    >>> limit_of(Finding("success", "steady", 0.99951, 0.999, True)), limit_of(Finding("p99", "steady", None, 500, False, "ms"))
    ('≥ 99.9 %', '≤ 500 ms')
    """
    return f"≤ {finding.limit:g} {finding.unit}" if finding.unit else f"≥ {finding.limit * 100:.5g} %"


def operations_table(operations: Mapping[str, Tally], lang: str) -> Table:
    """Each operation, over the whole test."""
    columns = (
        tr(lang, "Operation"), tr(lang, "Asked"), tr(lang, "Refused by the business"), tr(lang, "Conflict"), tr(lang, "Timeout"),
        tr(lang, "Connection lost"), tr(lang, "Failed"), "p50 ms", "p95 ms", "p99 ms", "p99.9 ms", tr(lang, "Longest, ms"),
    )  # fmt: skip
    kinds = (Outcome.REFUSED, Outcome.CONFLICT, Outcome.TIMEOUT, Outcome.LOST, Outcome.FAILED)
    rows = tuple(
        (name, tally.asked, *(tally.outcomes[kind] for kind in kinds), *times(tally)) for name, tally in operations.items()
    )
    return Table(tr(lang, "Operations"), columns, rows)


def times(tally: Tally) -> tuple[float, ...]:
    """Response times in milliseconds."""
    response = tally.response
    return (*(response.at(percentile) / 1000 for percentile in (50.0, 95.0, 99.0, 99.9)), response.longest_us / 1000)


def parts_table(result: LoadResult, lang: str) -> Table:
    """Each part of the plan."""
    columns = (
        tr(lang, "Stretch"), tr(lang, "Asked for, /s"), tr(lang, "Asked"), tr(lang, "Served"), "p50 ms", "p95 ms", "p99 ms",
        "p99.9 ms", tr(lang, "Longest, ms"),
    )  # fmt: skip
    rows = []
    for number, part in enumerate(result.plan.curve):
        tally = together(list(result.stretches.get(number, {}).values()))
        served = "" if tally.success is None else f"{tally.success:.3%}"
        rows.append((tr(lang, part.name), round(part.ends), tally.asked, served, *times(tally)))
    return Table(tr(lang, "Stretches"), columns, tuple(rows))


def generator_table(result: LoadResult, lang: str) -> Table:
    """Whether the test itself can be believed."""
    whole, health = together(list(result.operations.values())), result.health
    share = whole.late / whole.asked if whole.asked else 0.0
    rows = (
        (tr(lang, "Begun late although a connection was free"), f"{share:.3%}", f"≤ {result.plan.targets.late:.3%}"),
        (
            tr(lang, "Seconds in which a process was starved"),
            str(health.starved_seconds),
            tr(lang, "of {count}", count=health.seconds),
        ),
        (tr(lang, "Busiest process, share of a core"), f"{health.busy:.0%}", ""),
    )
    return Table(tr(lang, "The generator"), (tr(lang, "Question"), tr(lang, "Answer"), tr(lang, "Limit")), rows)


def next_steps(result: LoadResult, lang: str) -> tuple[str, ...]:
    """What to do."""
    match result.judgement.verdict:
        case Held.PASS:
            return (tr(lang, "The gate `loadtest` of a release reads this: `membershift release check`."),)
        case Held.FAIL:
            return (tr(lang, "Look at the part and the operation that missed its goal; then run it at a lower --rate."),)
        case Held.VOID:
            return (
                tr(
                    lang,
                    "Run it again from a machine of its own, near the target; with more --processes where one core was busy.",
                ),
            )


def cleaned_document(rows: int, lang: str, *, executed: bool) -> Document:
    """Rows of tests taken away, or not yet."""
    if executed:
        text = tr(lang, "{rows} rows of load tests were deleted.", rows=f"{rows:,}")
    elif rows:
        text = tr(lang, "Rows of a load test are there; nothing was deleted.")
    else:
        text = tr(lang, "There is nothing of a load test here.")
    steps = () if executed or not rows else (tr(lang, "Delete them: `membershift loadtest clean --execute`."),)
    return Document(tr(lang, "Load test"), Verdict("warn" if rows and not executed else "ok", text), next_steps=steps, lang=lang)
