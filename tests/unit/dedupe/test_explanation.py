"""What decided about a pair: a person before a constraint, a constraint before the weight."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from etl.dedupe.decisions import Decision
from etl.dedupe.explanation import Explanation, decider
from tests.unit.dedupe.documents import FOUND, LEFT, RIGHT

CLUSTERS = pl.DataFrame({"record": [1, 2], "cluster": [1, 1]})
HEAVY = replace(FOUND, decision=None, weight=12.0)
LIGHT = replace(HEAVY, weight=-5.0)
APART = replace(LIGHT, same=False)
SAME, DIFFERENT = (Decision(kind, LEFT, RIGHT, "li.na") for kind in ("must_link", "cannot_link"))


@pytest.mark.parametrize(
    ("found", "refused", "review", "expected"),
    [
        (HEAVY, False, False, "weight"),
        (LIGHT, False, False, "others"),
        (replace(HEAVY, rule=None), False, False, "others"),
        (replace(HEAVY, decision=SAME), False, False, "decision"),
        (replace(APART, decision=DIFFERENT), True, False, "decision"),
        (replace(APART, decision=SAME), True, False, "constraint"),
        (replace(APART, weight=12.0), True, True, "constraint"),
        (replace(APART, weight=3.0), False, True, "review"),
        (replace(APART, weight=12.0, rule=None), False, False, "not_compared"),
        (APART, False, False, "too_light"),
    ],
)
def test_the_strongest_reason_is_told(found: Explanation, refused: bool, review: bool, expected: str) -> None:
    assert decider(found, refused, review, CLUSTERS, (1, 2)) == expected


def test_a_record_that_the_mapping_rejects_takes_no_part() -> None:
    assert decider(APART, False, False, CLUSTERS.head(1), (1, 2)) == "rejected"
