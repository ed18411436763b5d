"""A drill from an empty folder to its verdict, on real servers; all of them are run by `make proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.drills.faults import DRILLS
from fixtures.drills.model import DrillRequest
from fixtures.drills.run import run_drill


def test_every_store_goes_back_under_load_and_no_sale_is_lost(tmp_path: Path) -> None:
    """The way back that nobody had ever tried."""
    said: list[str] = []
    result = run_drill(DrillRequest("rollback", tmp_path / "drill", stores=3, seconds=3.0), said.append)
    assert result.passed, (result.answered, result.proof, said)
    assert result.proof.sales > 0
    assert result.closed_s > 0
    assert 0 < result.silent_s < result.seconds
    assert not (tmp_path / "drill").exists()


@pytest.mark.proof
@pytest.mark.parametrize("name", sorted(set(DRILLS) - {"rollback"}))
def test_whatever_breaks_no_sale_is_lost(tmp_path: Path, name: str) -> None:
    """Each fault alone, as people try them by hand."""
    said: list[str] = []
    result = run_drill(DrillRequest(name, tmp_path / "drill"), said.append)
    assert result.passed, (result.answered, result.proof, said)
