"""How the target is asked while a release waits: once, and not for long. Not knowing is an answer; hanging is none."""

from __future__ import annotations

from typing import Final

from etl.settings import TargetSettings

HASTE_S: Final = 5.0
"""A controller that hangs for longer loses its lease (event_log.LEASE_S) to another one."""


def hasty(target: TargetSettings) -> TargetSettings:
    """The same target, of which a statement may take HASTE_S, and which is not tried again."""
    limits = {
        "connect_timeout_s": min(target.connect_timeout_s, HASTE_S),
        "query_timeout_s": min(target.query_timeout_s, HASTE_S),
    }
    return target.model_copy(update={"retries": 0, **limits})
