"""Do a whole transaction again when the target says that this would help, and only then."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from etl.progress import Progress, Silent
from etl.target.errors import ServerError

Result = TypeVar("Result")

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
OUTAGE_S: Final = 90.0
"""How long a server that lets nobody in is waited for: a restart takes up to a minute."""


def with_retries(
    action: Callable[[], Result], *, retries: int, progress: Progress | None = None, outage_s: float = OUTAGE_S
) -> Result:
    """Run `action`; after a conflict or a lost connection run it again from its start, at most `retries` times; while the server
    lets nobody in, keep trying for `outage_s` seconds. With `retries` 0 nothing is done twice.

    `action` must be a whole transaction: it begins one (a BulkConnection reconnects there), and reads again what it decides from.
    A connection lost during COMMIT leaves it unknown whether the work is there: an action that must not be done twice looks for
    its own mark (a checkpoint row written in the same transaction) before anything else.

    Raises the last ServerError, and every other error at once.
    """
    patience, told = Patience(retries, outage_s), progress or Silent()
    while True:
        try:
            return action()
        except ServerError as error:
            pause = patience.pause_after(error)
            if pause is None:
                raise
            told.note(f"Target error {error.number}: the transaction is done again in {pause:.1f} s.")
        time.sleep(pause)


@dataclass
class Patience:
    """How much is left of the willingness to try again."""

    retries: int
    outage_s: float
    failures: int = 0
    refusals: int = 0
    refused_since: float = 0.0

    def pause_after(self, error: ServerError, now: float | None = None) -> float | None:
        """Seconds to wait before the next try, or None when there shall be none.

        >>> refused = ServerError(2003, "", "", connecting=True)
        >>> patience = Patience(retries=1, outage_s=60)
        >>> [patience.pause_after(refused, now=t) is not None for t in (0.0, 30.0, 61.0)]
        [True, True, False]
        >>> [patience.pause_after(ServerError(9007, "", ""), now=t) is not None for t in (1.0, 2.0)]
        [True, False]
        """
        if not error.transient or self.retries == 0:
            return None
        now = time.monotonic() if now is None else now
        if error.lost and error.connecting:
            self.refused_since = self.refused_since if self.refusals else now
            self.refusals += 1
            return backoff(self.refusals + 2) if now - self.refused_since <= self.outage_s else None
        self.refusals = 0
        self.failures += 1
        return backoff(self.failures) if self.failures <= self.retries else None


def backoff(attempt: int) -> float:
    """Seconds before try number `attempt` + 1: doubling, with a random part so that those who met do not meet again."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 10)) * random.uniform(0.5, 1.0)
