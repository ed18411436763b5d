"""Doing a transaction again: when, how often, and when not."""

from __future__ import annotations

import pytest

from etl.progress import Silent
from etl.target.errors import ServerError, describe
from etl.target.retry import with_retries


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class Action:
    """Fails with each of `errors` in turn, then returns how often it was called."""

    def __init__(self, *errors: ServerError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("etl.target.retry.time.sleep", pauses.append)
    return pauses


def test_a_conflict_is_done_again_and_told() -> None:
    action, notes = Action(describe(9007), describe(1213)), Notes()

    assert with_retries(action, retries=2, progress=notes) == 3
    assert [text.split(":")[0] for text in notes.notes] == ["Target error 9007", "Target error 1213"]


def test_retries_run_out() -> None:
    action = Action(*(describe(8002) for _ in range(9)))

    with pytest.raises(ServerError):
        with_retries(action, retries=3)
    assert action.calls == 4


@pytest.mark.parametrize("number", [1062, 1406, 1045, 1142, 1021, 9005])
def test_other_errors_are_not_done_again(number: int) -> None:
    action = Action(describe(number))

    with pytest.raises(ServerError):
        with_retries(action, retries=5)
    assert action.calls == 1


def test_zero_retries_means_none() -> None:
    action = Action(describe(2003, connecting=True))

    with pytest.raises(ServerError):
        with_retries(action, retries=0)
    assert action.calls == 1


def test_a_server_that_refuses_is_waited_for_longer_than_retries_say() -> None:
    action = Action(*(describe(2003, connecting=True) for _ in range(15)))

    assert with_retries(action, retries=1, outage_s=60) == 16


def test_an_outage_ends_the_waiting() -> None:
    action = Action(*(describe(2003, connecting=True) for _ in range(9)))

    with pytest.raises(ServerError):
        with_retries(action, retries=5, outage_s=0)
    assert action.calls <= 2


def test_pauses_grow_but_stay_below_five_seconds(no_waiting: list[float]) -> None:
    with_retries(Action(*(describe(1205) for _ in range(20))), retries=20)

    assert no_waiting[0] <= 0.1
    assert 2 < max(no_waiting) <= 5


def test_a_bug_is_not_done_again() -> None:
    calls = 0

    def broken() -> None:
        nonlocal calls
        calls += 1
        raise KeyError("x")

    with pytest.raises(KeyError):
        with_retries(broken, retries=5)
    assert calls == 1
