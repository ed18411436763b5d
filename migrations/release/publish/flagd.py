"""The map as a flag file of flagd (flagd.dev/schema/v0/flags.json): a flag for each store, `route.S001`, its value the route.

One flag per store and no targeting: a lookup is then one step for any number of stores, where a rule that lists 3,000 of them is
walked through at each evaluation. Only the variant in force is named, which keeps the file of 3,000 stores below 400 kB.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from migrations.release.client.routes import RoutesMap, is_count

SCHEMA: Final = "https://flagd.dev/schema/v0/flags.json"
PREFIX: Final = "route."


def flagd_text(routes: RoutesMap) -> bytes:
    """The file's text. An application asks for the string `route.<store>` with "fenced" as its default."""
    flags = {
        PREFIX + store: {
            "state": "ENABLED",
            "variants": {entry.route: entry.route},
            "defaultVariant": entry.route,
            "metadata": {"epoch": entry.epoch},
        }
        for store, entry in routes.stores.items()
    }
    about = {
        "flagSetId": "membershift-routes",
        "version": str(routes.sequence),
        "sequence": routes.sequence,
        "release": routes.release,
        "digest": routes.digest,
    }
    file = {"$schema": SCHEMA, "metadata": about, "flags": flags}
    return json.dumps(file, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def flagd_version(path: Path) -> tuple[int, str] | None:
    """Sequence and digest of the map in a flag file, None where there is none that can be read."""
    try:
        about: Any = json.loads(path.read_bytes())["metadata"]
        sequence, digest = about["sequence"], about["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (sequence, str(digest)) if is_count(sequence) else None
