"""A drill from an empty folder to its verdict, on real servers; the others are run by `make proof` and by hand."""

from __future__ import annotations

from pathlib import Path

from fixtures.drills.model import DrillRequest
from fixtures.drills.run import run_drill


def test_every_store_goes_back_under_load_and_no_sale_is_lost(tmp_path: Path) -> None:
    """The way back that nobody had ever tried."""
    said: list[str] = []
    result = run_drill(DrillRequest("rollback", tmp_path / "drill", stores=3, seconds=3.0), said.append)
    assert result.passed, (result.proof, said)
    assert result.proof.sales > 0
    assert result.closed_s > 0
    assert not (tmp_path / "drill").exists()
