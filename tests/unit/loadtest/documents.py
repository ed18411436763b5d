"""Every report of load tests, with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from loadtest.data import Check
from loadtest.plans import Plan, double_eleven
from loadtest.run import LoadResult
from loadtest.samples import Outcome
from loadtest.timeline import Tally
from loadtest.verdict import Health, judge
from reports.document import Document
from reports.documents import loadtest

PLAN = double_eleven(100, warm_up_s=1, steady_s=5, burst_s=2, after_s=1)
WELL, STARVED = Health(9, 0, 0.4), Health(9, 5, 1.0)
CHECKS = (
    Check("no balance below zero", 0),
    Check("every acknowledged sell is there", 2, (7, 8)),
    Check("no sell that nobody was told of", 1),
)


def tally(asked: float, lost: int = 0) -> Tally:
    """So many, a tenth of a second each."""
    made = Tally()
    made.outcomes[Outcome.DONE], made.outcomes[Outcome.LOST] = round(asked) - lost, lost
    made.response.add(np.full(round(asked) - lost, 100_000))
    made.service.add(np.full(round(asked) - lost, 90_000))
    return made


def result(plan: Plan = PLAN, *, lost: int = 0, late: int = 0, health: Health = WELL, checks: tuple[Check, ...] = CHECKS[:1],
           trouble: tuple[str, ...] = ()) -> LoadResult:  # fmt: skip
    """What a test ends with."""
    stretches = {number: {"sell": tally(part.count, lost)} for number, part in enumerate(plan.curve)}
    stretches[1]["sell"].late = late
    whole = tally(plan.transactions, lost)
    whole.late = late
    judgement = judge(plan, {number: list(found.values()) for number, found in stretches.items()}, health, checks, trouble)
    at = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    return LoadResult(plan, at, judgement, {"sell": whole}, stretches, checks, health, bool(trouble), 9.0)


RESULTS = (
    result(),
    result(lost=20, checks=CHECKS),
    result(late=50, health=STARVED),
    result(trouble=("it was ended before its time",)),
)


def documents(lang: str) -> Iterator[Document]:
    """All of them."""
    yield loadtest.plan_document(PLAN, 500, lang)
    for one in RESULTS:
        yield loadtest.result_document(one, lang)
    for rows, executed in ((3, True), (1, False), (0, False)):
        yield loadtest.cleaned_document(rows, lang, executed=executed)
