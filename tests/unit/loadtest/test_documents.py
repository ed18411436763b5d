"""What a tired DBA reads."""

from __future__ import annotations

import json

import pytest

from loadtest.run import summary_of
from reports.document import Status
from reports.documents.loadtest import result_document
from tests.unit.loadtest.documents import RESULTS


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (0, "ok", "The target held 100 transactions a second, with every goal reached."),
        (1, "bad", "did not hold"),
        (2, "warn", "says nothing about the target: the generator"),
        (3, "warn", "it was ended before its time"),
    ],
)
def test_the_first_sentence_is_the_answer(number: int, status: Status, said: str) -> None:
    verdict = result_document(RESULTS[number], "en").verdict
    assert verdict.status == status
    assert said in verdict.text


def test_each_goal_stands_beside_what_was_seen() -> None:
    (goals, *_) = result_document(RESULTS[1], "en").tables
    rows = {(str(row[1]), str(row[2])): row for row in goals.rows}
    assert rows["success", "steady"][0] == "bad"
    assert (rows["success", "burst"][3], rows["success", "burst"][4]) == ("97.5 %", "≥ 95 %")
    assert rows["every acknowledged sell is there", ""][3] == "2 rows"


def test_machines_read_the_same() -> None:
    told = json.loads(json.dumps(summary_of(RESULTS[1])))
    assert (told["verdict"], told["passed"], told["target_rate"]) == ("FAIL", False, 100)
    assert {goal["name"] for goal in told["goals"] if not goal["held"]} >= {"success", "every acknowledged sell is there"}
