"""Words of a release that several of its documents use."""

from __future__ import annotations

from migrations.release.decide import Act
from migrations.release.model import Phase
from reports.text import told, tr

PHASES: dict[Phase, str] = {
    Phase.PLANNED: "planned",
    Phase.RUNNING: "running",
    Phase.PAUSED: "paused",
    Phase.ROLLING_BACK: "rolling back",
    Phase.ROLLED_BACK: "rolled back",
    Phase.COMPLETED: "completed",
    Phase.ABORTED: "aborted",
}
ROUTES: dict[str, str] = {
    "legacy": "SQL Server",
    "shadow": "SQL Server, reads compared",
    "fenced": "closed for writes",
    "tidb": "TiDB",
    "complete": "TiDB for good",
}


def phase_text(phase: Phase, lang: str) -> str:
    """A phase in words."""
    return tr(lang, PHASES[phase])


def route_text(route: str, lang: str) -> str:
    """A route in words."""
    return tr(lang, ROUTES[route]) if route in ROUTES else route


def act_text(act: Act, lang: str) -> str:
    """What comes next, in words."""
    why = told(lang, act.why)
    match act.kind:
        case "switch":
            values = {"count": f"{len(act.stores):,}", "route": route_text(str(act.to), lang)}
            return tr(lang, "switch {count} stores to {route}", **values)
        case "carry on":
            return tr(lang, "finish the switch under way")
        case "begin wave":
            return tr(lang, "begin wave {wave}", wave=act.wave + 1)
        case "promote":
            return tr(lang, "promote wave {wave}", wave=act.wave + 1)
        case "rolled back":
            return tr(lang, "note that the stores are back")
        case "complete":
            return tr(lang, "note that the release is completed")
        case _:
            return tr(lang, "wait: {why}", why=why)
