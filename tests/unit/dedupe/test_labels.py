"""Answers that cannot all be true are refused, with the chain that says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.dedupe.labels import Answer, Link, RecordRef, find_contradictions, parse_record, refuse_contradictions
from etl.dedupe.review_session import ReviewSession
from etl.errors import RefusedError, UsageError
from tests.unit.dedupe.reviewing import MemoryStore, doubtful

LINKS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from(["same", "different"])), max_size=20)


def ref(number: int) -> RecordRef:
    return RecordRef("crm", str(number))


@given(LINKS)
def test_a_contradiction_is_found_exactly_when_there_is_one(answers: list[tuple[int, int, Answer]]) -> None:
    links = [Link(ref(left), ref(right), answer) for left, right, answer in answers if left != right]
    group = list(range(8))
    for left, right, answer in answers:
        if answer == "same":
            group = [group[left] if one == group[right] else one for one in group]
    wrong = [
        link
        for link in links
        if link.answer == "different" and group[int(link.left.source_id)] == group[int(link.right.source_id)]
    ]
    found = find_contradictions(links)
    assert [one.different for one in found] == wrong
    for one in found:
        assert (one.same[0].left, one.same[-1].right) == (one.different.left, one.different.right)
        assert all(before.right == after.left for before, after in zip(one.same, one.same[1:], strict=False))


def test_the_chain_is_told_with_the_places_of_its_answers() -> None:
    links = [
        Link(ref(1), ref(2), "same", "row 7"),
        Link(ref(3), ref(2), "same", "decision 3"),
        Link(ref(1), ref(3), "different", "row 9"),
    ]
    with pytest.raises(RefusedError, match=r"crm:1 = crm:2 \(row 7\), crm:2 = crm:3 \(decision 3\), crm:1 ≠ crm:3 \(row 9\)"):
        refuse_contradictions(links)


@pytest.mark.parametrize("text", ["crm", "crm:", ":1", ""])
def test_a_record_needs_system_and_key(text: str) -> None:
    with pytest.raises(UsageError, match="names no record"):
        parse_record(text)


def test_a_key_may_hold_colons() -> None:
    assert parse_record("pos:A:1") == RecordRef("pos", "A:1")


def test_a_sitting_stores_each_answer_and_takes_the_last_one_back() -> None:
    store = MemoryStore()
    session = ReviewSession([doubtful(1, 2), doubtful(2, 3), doubtful(1, 3)], store)
    assert session.answer("same") == ""
    assert session.answer("same") == ""
    assert "crm:1 = crm:2" in session.answer("different"), "it would contradict the first two"
    assert session.position == 2, "a refused answer does not go on"
    assert session.undo()
    assert [link.answer for link in store.standing()] == ["same"]
    assert session.answer("different") == ""
    session.skip()
    assert session.now is None
    tally = session.tally
    assert (tally.same, tally.different, tally.skipped, tally.undone, tally.left) == (1, 1, 1, 1, 1)


def test_undo_brings_back_what_was_answered_before_the_sitting() -> None:
    store = MemoryStore([Link(ref(1), ref(2), "different")])
    session = ReviewSession([doubtful(1, 2)], store)
    assert session.answer("same") == ""
    assert session.undo()
    assert [link.answer for link in store.standing()] == ["different"]
    assert not session.undo()
