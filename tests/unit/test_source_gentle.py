"""Pausing while the source is busy, over a scripted sequence of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from etl.progress import Silent
from etl.source.connect import Source
from etl.source.errors import ServerError, describe
from etl.source.gentle import Gentle, read_load


class Notes(Silent):
    """Keeps what was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, message: str) -> None:
        self.told.append(message)


class Answers:
    """The server's CPU record, one reading after another; nobody else runs anything on its 4 processors."""

    def __init__(self, *cpu: int | None, running: int = 0, error: ServerError | None = None) -> None:
        self.cpu = list(cpu)
        self.running = running
        self.error = error
        self.asked = 0

    def scalar(self, sql: str, params: Sequence[object] = ()) -> object:
        if self.error is not None:
            raise self.error
        if "dm_os_ring_buffers" in sql:
            self.asked += 1
            reading = self.cpu.pop(0) if self.cpu else 0
            return None if reading is None else f"<R><SystemHealth><SystemIdle>{100 - reading}</SystemIdle></SystemHealth></R>"
        return 4 if "cpu_count" in sql else self.running


def gentle(answers: Answers, notes: Notes, max_load: int | None = 60, recheck_s: float = 0.01) -> Gentle:
    return Gentle(cast(Source, answers), max_load, notes, recheck_s=recheck_s)


def test_reading_pauses_until_the_server_is_below_the_limit() -> None:
    answers, notes = Answers(90, 85, 61, 60, 10), Notes()
    pauses = gentle(answers, notes)
    pauses.wait()
    assert answers.asked == 4
    assert pauses.paused_s >= 0.03
    assert notes.told == ["The source is 90 % busy (limit 60 %): reading pauses."]


def test_the_server_is_not_asked_before_every_chunk() -> None:
    answers = Answers(10, 10, 10)
    pauses = gentle(answers, Notes(), recheck_s=60)
    for _ in range(50):
        pauses.wait()
    assert answers.asked == 1
    assert pauses.paused_s == 0


def test_without_a_limit_nothing_is_asked() -> None:
    answers = Answers(100)
    gentle(answers, Notes(), max_load=None).wait()
    assert answers.asked == 0


def test_a_stop_ends_the_pause() -> None:
    gentle(Answers(*[99] * 10_000), Notes()).wait(stop=lambda: True)


def test_without_the_right_it_is_said_once_and_reading_goes_on() -> None:
    notes = Notes()
    pauses = gentle(Answers(error=describe(300, "VIEW SERVER STATE permission was denied", "db1")), notes)
    for _ in range(3):
        pauses.wait()
    assert pauses.blind
    assert len(notes.told) == 1
    assert "VIEW SERVER STATE" in notes.told[0]


def test_another_failure_is_not_taken_for_a_missing_right() -> None:
    with pytest.raises(ServerError, match="was lost"):
        gentle(Answers(error=describe(None, "", "db1")), Notes()).wait()


@pytest.mark.parametrize(("cpu", "running", "percent"), [(30, 0, 30), (30, 3, 75), (None, 1, 25), (None, 9, 100)])
def test_busy_is_the_greater_of_cpu_and_running_requests(cpu: int | None, running: int, percent: int) -> None:
    assert read_load(cast(Source, Answers(cpu, running=running))).percent == percent
