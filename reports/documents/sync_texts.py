"""Words of sync in both languages: how changes are told, rules, reasons of dead letters, the three states."""

from __future__ import annotations

from typing import Final

from etl.sync.throttle import THROTTLED
from reports.text import tr

WAYS: Final = {"tracking": "Change Tracking", "rowversion": "its rowversion", "time": "its last-changed column"}
"""etl.sync.forward.versions.Way."""

DIRECTIONS: Final = {"forward": "to the target", "reverse": "back to SQL Server"}

SIDES: Final = {"source": "the legacy side", "target": "the target"}

RULES: Final = {
    "latest": "the later change wins",
    "source": "the legacy side wins",
    "target": "the target wins",
    "sum": "each side adds",
    "least": "the lesser wins",
    "greatest": "the greater wins",
    "hidden": "another record of the person counts",
}
"""etl.mapping.sync_rules.Rule."""

REASONS: Final = {
    "too_long": "longer than the column",
    "not_in_code_page": "characters that its code page lacks",
    "out_of_range": "out of the range of its type",
    "not_xml": "no well-formed XML",
    "no_key": "the mapping does not say its key",
    "no_part": "no part of the mapping makes such a row",
    "null_not_allowed": "the column takes no NULL",
    "cannot_hold": "no legacy column for it",
    "not_reversible": "it would not come back as it is",
    "refused_by_mapping": "the mapping would refuse the row",
    "refused_by_server": "SQL Server refuses it",
    "refused_by_target": "the target refuses it",
    "legacy_row_refused": "the mapping refuses the legacy row",
    "unknown_member": "refers to an unknown member",
    "unknown_system": "no part makes members of this system",
    "duplicate_key": "another row has its key",
    "delete_refused": "SQL Server does not delete it",
}
"""Reasons of dead letters (etl/sync/forward, etl/sync/reverse)."""

MEASURES: Final = {
    "source load": "source load",
    "source latency": "source latency",
    "target latency": "target latency",
    "replication lag": "replication lag",
    "file ": "file ",
    "nice_ratio": "nice_ratio",
}
"""What the throttle measures, as its reasons begin."""

STATES: Final = {"running": "running", "paused": "paused", "stopped": "stopped"}


def way_text(way: str, lang: str) -> str:
    """How changes of a legacy table are told."""
    return tr(lang, WAYS.get(way, way))


def direction_text(direction: str, lang: str) -> str:
    """Where changes go."""
    return tr(lang, DIRECTIONS.get(direction, direction))


def side_text(side: str, lang: str) -> str:
    """Whose value it is."""
    return tr(lang, SIDES.get(side, side))


def rule_text(rule: str, lang: str) -> str:
    """Who wins, in words."""
    return tr(lang, RULES.get(rule, rule))


def state_text(state: str, lang: str) -> str:
    """What people asked for."""
    return tr(lang, STATES.get(state, state))


def waiting_text(waiting: str, lang: str) -> str:
    """What a stream waits for, as the running process told it: asked for by people, held by the throttle, or a server's message.

    >>> waiting_text("throttled: source load 92 % > 80 %; file throttle", "en")
    'held back: source load 92 % > 80 %; file throttle'
    """
    if not waiting.startswith(THROTTLED):
        return state_text(waiting, lang)
    told = []
    for one in waiting.removeprefix(THROTTLED).split("; "):
        name = next((name for name in MEASURES if one.startswith(name)), "")
        told.append(tr(lang, MEASURES[name]) + one.removeprefix(name) if name else one)
    return tr(lang, "held back: {why}", why="; ".join(told))


def reason_text(reason: str, lang: str) -> str:
    """A reason of a dead letter; one that nobody described is shown as it is.

    >>> reason_text("too_long", "en"), reason_text("no_such", "en")
    ('longer than the column', 'no such')
    """
    return tr(lang, REASONS.get(reason, reason.replace("_", " ")))
