"""What steps of a switch and triggers leave behind, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reports.documents.release_words import colon, semicolon, word
from reports.text import told

EVIDENCE: Final = {
    "sequence": "map",
    "places": "places",
    "trouble": "trouble",
    "acknowledged": "acknowledged",
    "lapsed": "lapsed",
    "mark": "mark",
    "seconds": "seconds",
    "rows": "rows",
    "not_compared_by_store": "not compared by store",
    "on_their_way": "on their way",
    "not_compared_in_time": "not compared in time",
    "snapshot": "snapshot",
    "tso": "commit time",
    "not_back": "not back",
    "conflicts": "conflicts",
    "dead_letters": "dead letters",
    "side": "side",
    "tables": "tables",
    "written": "written",
    "why": "why",
    "requests": "requests",
    "errors": "errors",
    "error_rate": "error rate",
    "latency_p99_s": "p99, seconds",
    "broken": "broken",
    "seen": "seen",
    "bad_minutes": "bad minutes",
}
"""What steps and triggers call their figures."""


def evidence_text(evidence: Mapping[str, Any], lang: str) -> str:
    """What a step left behind: figures, numbers of maps and snapshots; lists by their length where they are long.

    >>> evidence_text({"sequence": 3, "trouble": "", "lapsed": []}, "en"), evidence_text({"rows": {"sale": 3}}, "en")
    ('map 3', 'rows: sale 3')
    """
    said = []
    for key, value in evidence.items():
        name, sep = word(lang, EVIDENCE, key), colon(lang)
        match value:
            case _ if value in ("", None, [], {}):
                continue
            case dict():
                said.append(name + sep + ", ".join(f"{part} {plain(item)}" for part, item in value.items()))
            case list() | tuple() if len(value) > 3:
                said.append(f"{name}{sep}{len(value)}")
            case list() | tuple():
                said.append(f"{name}{sep}{', '.join(str(item) for item in value)}")
            case str():
                said.append(f"{name}{sep}{told(lang, value)}")
            case _:
                said.append(f"{name} {plain(value)}")
    return semicolon(lang).join(said)


def plain(value: object) -> str:
    """A figure; numbers that name something, such as a commit time, have no commas.

    >>> plain(1200), plain(0.8123), plain("x")
    ('1200', '0.812', 'x')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)
