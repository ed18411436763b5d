"""The second half of the demo: 300 stores move while they sell, a real fault sends them back, and every sale is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.demo import DemoRequest, DemoResult, run_demo

MEMBERS = 300

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1200)]  # it waits for whole minutes, as a release does


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, str, Path]:
    """Its result, what it told, and the folder of its reports."""
    folder = tmp_path_factory.mktemp("demo")
    told: list[str] = []
    request = DemoRequest(
        1_000, 7, False, 20, folder / "sandbox", folder / "reports", parts=("release",), release_members=MEMBERS
    )
    result = run_demo(request, told.append)
    assert not (folder / "sandbox" / "stores").exists(), "the logs of its tills hold names and phones"
    return result, "\n".join(told), folder / "reports"


def test_the_stores_go_back_by_themselves_and_nothing_is_lost(demo: tuple[DemoResult, str, Path]) -> None:
    """A demo that shows a rollback which loses a sale sells the opposite of what the product is for."""
    result, told, _ = demo
    assert [step.title for step in result.steps if not step.passed] == []
    released = result.release
    assert released is not None
    assert released.waves == (3, 10, 287)
    assert (released.lost, released.doubled, released.wrong, released.differing) == (0, 0, 0, 0)
    assert released.sales > 100, told
    assert result.passed


def test_the_fault_was_real_and_the_trigger_saw_it(demo: tuple[DemoResult, str, Path]) -> None:
    """A rollback that somebody ordered, or that no customer felt, would show nothing."""
    released = demo[0].release
    assert released is not None
    assert released.refused >= 5
    assert "requests failed within a minute" in released.why
    assert 0 < released.detected_s < released.back_s


def test_gates_were_met_by_figures(demo: tuple[DemoResult, str, Path]) -> None:
    """What a gate was met by has to be looked at afterwards by those who approve."""
    result, _, reports = demo
    assert {path.name for path in result.reports} == {"gates.html", "release.html"}
    assert not any(step.command.startswith("membershift release force") for step in result.steps)
    assert "within a minute" in (reports / "release.html").read_text("utf-8")
