"""The judge of both sides: content with a synchronisation without faults, and with no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.storefront.connections import ask_legacy
from fixtures.storefront.effects import PointsMoved
from fixtures.storefront.intents import DEFAULT_MIX
from fixtures.storefront.journal import Entry, read_journals
from fixtures.storefront.judge import JudgeRequest, judge
from fixtures.storefront.run import StorefrontPlan, run_storefront
from tests.integration.storefront.conftest import Chain
from tests.integration.storefront.mirror import Mirror


@pytest.fixture(scope="module")
def mirrored(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Mirror, list[Entry]]]:
    """Two seconds of trade, all but the last ledger entry of the target brought to the other side."""
    logs = tmp_path_factory.mktemp("logs") / "run"
    even = dict.fromkeys(DEFAULT_MIX, 1.0)
    run_storefront(
        StorefrontPlan(
            chain.sides, chain.routes, logs, seconds=2.0, legacy_rate=40, tidb_rate=40, workers=2, mix=even, hot=3, hot_share=0.3,
            known_records_only=True,
        )
    )  # fmt: skip
    entries = list(read_journals((logs,)))
    redeemed = [entry for entry in entries if entry.side == "tidb" and entry.action == "redeem"]
    with closing(Mirror(chain.sides)) as mirror:
        mirror.bring(entry for entry in entries if entry is not redeemed[-1])
        yield logs, mirror, redeemed[-1:]


def test_what_has_not_arrived_is_all_that_is_missed(chain: Chain, mirrored: tuple[Path, Mirror, list[Entry]]) -> None:
    logs, mirror, left = mirrored
    (moved,) = left[0].effects
    assert isinstance(moved, PointsMoved)
    verdict = judge(JudgeRequest(chain.sides, (logs,)))
    assert {(one.kind, one.side, one.key) for one in verdict.deviations} == {
        ("ledger_lost", "legacy", moved.reference),
        ("points_wrong", "legacy", moved.who),
    }
    assert all(verdict.checked.values()), verdict.checked

    mirror.bring(left)

    assert judge(JudgeRequest(chain.sides, (logs,))).deviations == ()


def test_a_copy_too_many_is_found_on_either_side(chain: Chain, mirrored: tuple[Path, Mirror, list[Entry]]) -> None:
    logs, mirror, left = mirrored
    (moved,) = left[0].effects
    assert isinstance(moved, PointsMoved)
    mirror.bring(left)
    verdict = judge(JudgeRequest(chain.sides, (logs,)))
    assert {"ledger_doubled", "points_wrong"} == set(verdict.by_kind)
    ask_legacy(chain.sides.source(), f"DELETE FROM crm.dbo.PointsLedger WHERE RefNo = '{moved.reference}'")
