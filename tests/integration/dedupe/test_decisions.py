"""Decisions on the target: added, replaced, withdrawn, never contradicting each other."""

from __future__ import annotations

import pytest

from etl.dedupe.decisions import Decision, DecisionKind, RecordKey, read_decisions, withdraw_decisions, write_decisions
from etl.errors import RefusedError
from etl.settings import Settings

A, B, C = (RecordKey("crm", key) for key in "123")


def decision(kind: DecisionKind, left: RecordKey, right: RecordKey) -> Decision:
    """By somebody."""
    return Decision(kind, left, right, "tester", note="because")


def test_decisions_are_kept_replaced_and_withdrawn(settings: Settings) -> None:
    written = write_decisions(settings, [decision("must_link", B, A), decision("cannot_link", B, C)])
    again = write_decisions(settings, [decision("must_link", A, B)])
    changed = write_decisions(settings, [decision("cannot_link", A, B)])

    assert [one.pair for one in written] == [(A, B), (B, C)]
    assert again == ()
    assert len(changed) == 1
    standing = read_decisions(settings)
    assert [(one.kind, one.left, one.right, one.decided_by, one.note) for one in standing] == [
        ("cannot_link", B, C, "tester", "because"),
        ("cannot_link", A, B, "tester", "because"),
    ]
    assert withdraw_decisions(settings, [standing[0].decision_id, 999]) == 1
    assert [one.pair for one in read_decisions(settings)] == [(A, B)]


def test_a_contradiction_is_refused_with_its_chain_and_nothing_is_written(settings: Settings) -> None:
    write_decisions(settings, [decision("must_link", A, B)])

    with pytest.raises(RefusedError, match=r"crm:1 = crm:2.*crm:2 = crm:3.*crm:1 ≠ crm:3"):
        write_decisions(settings, [decision("must_link", B, C), decision("cannot_link", A, C)])

    assert len(read_decisions(settings)) == 1
