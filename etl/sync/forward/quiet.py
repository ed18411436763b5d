"""Whether anything can have changed in a legacy database since a round found nothing to do: one question, in place of a round.

A round that begins with every table at the database's versions has nothing to read. As long as those versions stand, so has the
next one. Letters, keys to be compared and the schema are looked at all the same, every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, MutableMapping
from typing import Final

from etl.errors import SourceError
from etl.sync.forward.positions import Reached
from etl.sync.forward.sessions import Sessions
from etl.sync.forward.versions import Head, read_head_at_once

WHOLE_ROUND_S: Final = 5.0
"""After this long a whole round is made though nothing seems to have changed."""


def still_quiet(sessions: Sessions, database: str, last: Head | None, looked: MutableMapping[str, float]) -> bool:
    """Whether the versions are those of the `last` round that had nothing to do, and it was not long ago (`looked`: when things
    were looked at, by name). A source that does not answer is left to the round that follows, which says what is wrong."""
    name, now = f"round/{database}", time.monotonic()
    if last is None or now - looked.get(name, -WHOLE_ROUND_S) >= WHOLE_ROUND_S:
        looked[name] = now
        return False
    try:
        return read_head_at_once(sessions.live(database, sure=False)) == last
    except SourceError:
        sessions.forget_live(database)
        return False


def is_through(head: Head, tables: Iterable[tuple[Reached, bool]]) -> bool:
    """Whether tables (how far each was when the round began, and whether Change Tracking tells its changes) were all at `head`.
    Those that have nothing but a last-changed column never are: no version tells of them."""
    return all(
        reached.after is None and reached.position == (head.tracking if tracked else head.row_version)
        for reached, tracked in tables
    )
