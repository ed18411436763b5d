"""What a running sync tells of itself: how far behind a stream is, and when all is quiet."""

from __future__ import annotations

import time

from etl.sync.model import Counts
from etl.sync.stats import Stats


def test_a_stream_that_is_always_busy_is_not_behind_for_that() -> None:
    """A store that sells all day would have read as hours behind, and no gate of a release would ever have opened."""
    stats = Stats()
    stats.expect(["reverse"])
    for _ in range(3):
        began = time.monotonic()
        time.sleep(0.02)
        stats.add("reverse", {"sale": Counts(written=5)})
        stats.through("reverse", began)
    (view,) = stats.views()
    assert view.lag_s < 0.05
    assert not stats.quiet


def test_rows_left_for_later_keep_a_stream_behind() -> None:
    """A locked row that waits for a minute is a minute behind, however fast the others go."""
    stats = Stats()
    stats.expect(["reverse"])
    stats.through("reverse", time.monotonic() - 60)
    (view,) = stats.views()
    assert 59 < view.lag_s < 61


def test_quiet_is_a_round_that_found_nothing_after_the_last_that_did() -> None:
    """`--until-quiet` ended while another stream had just written what the first has to carry back."""
    stats = Stats()
    stats.expect(["forward/crm", "reverse"])
    stats.idle("forward/crm", time.monotonic())
    assert not stats.quiet
    stats.add("reverse", {"member": Counts(written=1)})
    stats.idle("reverse", time.monotonic())
    assert not stats.quiet
    stats.idle("forward/crm", time.monotonic())
    assert stats.quiet
