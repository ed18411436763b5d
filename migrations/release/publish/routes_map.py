"""The map that applications read, as a projection of the release's state.

The stores stand on a line of their own in the file, in canonical form: a client in any language hashes that line to check the
digest, without having to know how to write JSON canonically.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, RefusedError
from etl.personal_files import disk_error
from migrations.release.client.routes import FORMAT, Entry, RoutesMap, canonical, digest_of, read_map
from migrations.release.model import ReleaseState, Route, writes_to

REMEDY: Final = "Publish it again from the release log: `membershift release routes --publish`."


class EmptyMap(RefusedError):
    """A map without stores would stop every till."""


def map_of(state: ReleaseState, now: datetime | None = None) -> RoutesMap:
    """The map of a state. Raises EmptyMap for a state without stores."""
    if not state.stores:
        raise EmptyMap(
            "A map without stores is never published: every till would stop.",
            "Plan a release first (`membershift release plan`); the map that is out stays in force.",
        )
    leaving = state.switch.before if state.switch else {}
    stores = {
        store: Entry(str(where.route), where.epoch, reads_while(where.route, leaving.get(store)))
        for store, where in sorted(state.stores.items())
    }
    at = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return RoutesMap(state.sequence, stores, digest_of(plain(stores)), state.release, at)


def reads_while(route: Route, leaving: Route | None) -> str:
    """Where a fenced store's reads go: to the side it is leaving, which has every row."""
    return writes_to(leaving) if route is Route.FENCED and leaving not in (None, Route.FENCED) else ""


def plain(stores: Mapping[str, Entry]) -> dict[str, dict[str, str | int]]:
    """The stores as the file holds them."""
    return {store: plain_entry(entry) for store, entry in stores.items()}


def plain_entry(entry: Entry) -> dict[str, str | int]:
    """One store; `reads` only where it says something."""
    known: dict[str, str | int] = {"epoch": entry.epoch, "route": entry.route}
    return {**known, "reads": entry.reads} if entry.reads else known


def text_of(routes: RoutesMap) -> bytes:
    """The file's text: four lines, the second of which is what the digest is of."""
    head = {"format": FORMAT, "sequence": routes.sequence, "published_at": routes.published_at, "release": routes.release}
    first = json.dumps(head, ensure_ascii=False)[:-1] + ', "stores":'
    return b"\n".join([first.encode(), canonical(plain(routes.stores)), f', "digest": "{routes.digest}"'.encode() + b"}", b""])


def read_published(path: Path) -> RoutesMap | None:
    """The map in a file, None where there is no file. Raises ConfigurationError for one that cannot be read or is damaged."""
    try:
        return read_map(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}.", REMEDY) from error
