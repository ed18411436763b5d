"""A drill's verdict: what counts as lost, and when stores went where they should not have gone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ConfigurationError, UsageError
from fixtures.drills.faults import DRILLS
from fixtures.drills.model import Answered, DrillRequest, DrillResult, Told
from fixtures.drills.run import run_drill
from fixtures.drills.verdict import count_since, last_switch, longest_closed, longest_silence, proof_of
from fixtures.storefront.figures import Figures
from fixtures.storefront.journal import Journal
from fixtures.storefront.judge import Verdict
from fixtures.storefront.verdicts import Deviation
from migrations.release.event_log import Logged
from migrations.release.events import Event, Routed, StepDone, SwitchBegun, SwitchFailed
from migrations.release.metrics.file import FileSource
from migrations.release.model import Route
from reports.documents.drill import drill_document, drills_document

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CLEAN = proof_of(Verdict(100, 2, {}, ()), 60, 0)


def result(**changes: Any) -> DrillResult:
    """A drill that went well."""
    good = DrillResult(
        drill="rollback", what=DRILLS["rollback"].what, expected="rolled back", stores=6,
        answered=Answered("rolled back", 4.2), proof=CLEAN, closed_s=1.5, silent_s=2.5, refused=3, seconds=30.0,
        target="8.0.11-TiDB",
        story=(Told(1.0, "{count} stores were ordered back", {"count": 6}),),
        steps=(("fence", 0.1), ("drain", 2.0)),
    )  # fmt: skip
    return replace(good, **changes)


@pytest.mark.parametrize(
    ("kind", "lost", "doubled", "wrong"),
    [
        ("sale_lost", 1, 0, 0),
        ("ledger_lost", 1, 0, 0),
        ("ledger_doubled", 0, 1, 0),
        ("sale_extra", 0, 1, 0),
        ("points_wrong", 0, 0, 1),
    ],
)
def test_every_kind_of_deviation_counts(kind: str, lost: int, doubled: int, wrong: int) -> None:
    """A kind that fell through would turn a lost sale into a drill that went well."""
    proof = proof_of(Verdict(1, 0, {}, (Deviation(kind, "tidb", "S1"),)), 1, 0)
    assert (proof.lost, proof.doubled, sum(proof.wrong.values())) == (lost, doubled, wrong)
    assert not proof.clean
    assert drill_document(result(proof=proof), "en").verdict.status == "bad"


def test_what_a_dead_letter_explains_is_not_lost() -> None:
    """It waits for somebody, by name; it is shown as a letter."""
    proof = proof_of(Verdict(1, 0, {}, (Deviation("sale_lost", "legacy", "1", explained=True),), letters=1), 1, 0)
    assert proof.clean
    assert proof.letters == 1


def test_stores_that_went_back_without_need_fail_the_drill() -> None:
    """Blind controllers would send 3,000 stores back whenever a metrics server is updated, and every drill would call it good."""
    went = result(expected="held", answered=Answered("went astray", 90.0, 90.0))
    assert not went.passed
    assert drill_document(went, "en").verdict.status == "bad"
    assert result().passed


def test_differing_rows_fail_the_drill() -> None:
    assert not result(proof=replace(CLEAN, differing=1)).passed


def test_closed_is_from_a_fence_to_the_map_after_it() -> None:
    """Also where the old routes were put back: stores were closed all the same."""
    events: list[tuple[float, Event]] = [
        (0, Routed("fence")), (1, StepDone("fence")), (4, Routed("publish")),
        (9, Routed("fence")), (16, SwitchFailed("drain", "")), (20, Routed("publish")),
    ]  # fmt: skip
    logged = [Logged(number, (NOON + timedelta(seconds=at)).isoformat(), event) for number, (at, event) in enumerate(events)]
    assert longest_closed(logged) == 7.0


def test_nothing_sold_is_between_two_sales_of_the_stores_that_moved(tmp_path: Path) -> None:
    """A rescue closes no store, and a drill that looked at closed stores alone would call an outage of minutes a second. Stores
    that had not moved sell on meanwhile, and a commit that was never answered is no sale."""
    journal = Journal(tmp_path, "till")
    sold = [(1, "S1", "done"), (3, "S2", "done"), (4, "S9", "done"), (5, "S1", "unknown"), (9, "S1", "done")]
    for at, store, outcome in sold:
        entry = {"side": "tidb", "store": store, "action": "sale", "outcome": outcome, "begun": 0, "effects": []}
        with journal.path.open("a") as file:
            file.write(json.dumps(entry | {"ended": NOON.timestamp() + at}) + "\n")
    ended = NOON + timedelta(seconds=11)
    assert longest_silence(tmp_path, {"S1", "S2"}, NOON, ended) == 6.0
    assert longest_silence(tmp_path, {"S3"}, NOON, ended) == 11.0
    assert count_since(tmp_path, {"S1", "S2"}, NOON + timedelta(seconds=2)) == 2


def test_stores_that_sold_nothing_fail_the_drill() -> None:
    """Nothing is lost where nothing is sold: closing every store for a quarter of an hour is no way to pass."""
    stood = result(answered=Answered("sold nothing", 4.2))
    assert not stood.passed
    assert drill_document(stood, "en").verdict.status == "bad"


def test_the_steps_are_those_of_the_last_switch() -> None:
    """Somebody looks there for what took so long."""
    events: list[tuple[float, Event]] = [
        (0, SwitchBegun(("S1",), Route.TIDB)), (3, StepDone("fence")), (5, SwitchBegun(("S1",), Route.LEGACY)),
        (6, StepDone("snapshot")), (6.5, Routed("fence")), (8, StepDone("fence")),
    ]  # fmt: skip
    logged = [Logged(number, (NOON + timedelta(seconds=at)).isoformat(), event) for number, (at, event) in enumerate(events)]
    assert last_switch(logged) == (("snapshot", 1.0), ("fence", 2.0))


def test_figures_are_those_that_a_release_reads(tmp_path: Path) -> None:
    """A minute under way would be from the future, and all figures with it would count as none."""
    now = [NOON.timestamp() + 30]
    figures = Figures(lambda: now[0])
    for failed in (False, False, True):
        figures.note("S1", 0.25, failed=failed)
    figures.write(tmp_path / "minutes.json")
    source = FileSource(tmp_path / "minutes.json")
    assert not source.read(["S1"], NOON, NOON + timedelta(minutes=1)).known
    now[0] += 60
    figures.write(tmp_path / "minutes.json")
    sample = source.read(["S1"], NOON, NOON + timedelta(minutes=1))
    assert (sample.requests, sample.errors, sample.latency_p99_s) == (3, 1, 0.25)
    assert sample.at == NOON + timedelta(minutes=1)


@pytest.mark.parametrize("shown", ["rolled back", "held", "sold nothing", "lost"])
def test_a_verdict_in_chinese(shown: str) -> None:
    """The people who approve read it in their language."""
    one = {
        "rolled back": result(),
        "held": result(expected="held", answered=Answered("held", 90.0, 90.0, "nothing was seen")),
        "sold nothing": result(answered=Answered("sold nothing", 90.0)),
        "lost": result(proof=replace(CLEAN, lost=2, wrong={"points_wrong": 1})),
    }[shown]
    document = drill_document(one, "zh")
    said = [document.title, document.verdict.text, *(str(cell) for row in document.tables[1].rows for cell in row[1:])]
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in said), said
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in str(row[1])) for row in document.tables[0].rows)


def test_the_list_says_all_of_each_drill() -> None:
    rows = drills_document(DRILLS.values(), "zh").tables[0].rows
    assert len(rows) == len(DRILLS)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in str(row[1])) for row in rows)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """It is removed afterwards, with whatever else was in it."""
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ConfigurationError, match="not empty"):
        run_drill(DrillRequest("rollback", tmp_path), print)
    assert (tmp_path / "mine.txt").exists()


def test_an_unknown_drill_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run_drill(DrillRequest("kill-taget", tmp_path), print)
    assert "'kill-target'" in caught.value.remedy
