"""The map as HAProxy knows it: a file that it reads when it starts, and the map in its memory, changed over its runtime socket.

Several stores change at once, by a transaction (HAProxy 2.4 and newer): no request is routed by half a map. What HAProxy answers
to changes says little, so the map is read back.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError
from migrations.release.client.routes import RoutesMap
from migrations.release.publish.atomic import PublishError

ANSWER_S: Final = 5.0
PAYLOAD_BYTES: Final = 4_000
"""Of entries in one command: HAProxy takes no more than its buffer (16 kB by default) at once."""

WORD: Final = re.compile(r"[^\s#;\\<>\"'$\x00-\x1f\x7f][^\s;\\<>\"'$\x00-\x1f\x7f]*")
"""What stands in a map file and in a command as it is."""

HEAD: Final = re.compile(r"# membershift sequence (\d+) digest ([0-9a-f]{64})$")


class HAProxyError(PublishError):
    """HAProxy's map in memory is not as published."""


@dataclass(frozen=True)
class Changes:
    """What makes one map of another: entries to change and to add, keys to take away."""

    change: Mapping[str, str]
    add: Mapping[str, str]
    delete: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.change) + len(self.add) + len(self.delete)


def haproxy_entries(routes: RoutesMap) -> dict[str, str]:
    """Store and route. Raises ConfigurationError for a store whose code HAProxy would read as something else."""
    for store in routes.stores:
        if not WORD.fullmatch(store):
            raise ConfigurationError(
                f"Store {store!r} cannot stand in a map of HAProxy.", "Leave haproxy_map and haproxy_socket out of release.toml."
            )
    return {store: entry.route for store, entry in routes.stores.items()}


def haproxy_text(routes: RoutesMap) -> bytes:
    """The map file: a comment that says which map it is, then a line for each store."""
    lines = [f"# membershift sequence {routes.sequence} digest {routes.digest}"]
    lines += [f"{store} {route}" for store, route in haproxy_entries(routes).items()]
    return ("\n".join(lines) + "\n").encode()


def haproxy_version(path: Path) -> tuple[int, str] | None:
    """Sequence and digest of the map in a map file, None where there is none that can be read."""
    try:
        with path.open(encoding="utf-8") as file:
            head = HEAD.match(file.readline().rstrip("\n"))
    except (OSError, ValueError):
        return None
    return (int(head[1]), head[2]) if head else None


def update_haproxy(address: str, name: str, routes: RoutesMap) -> str:
    """Make the map `name` (its file's path, as HAProxy's configuration has it) in a running HAProxy the published one.

    address: path of the runtime socket, or host:port. Returns what had to be done, "" where nothing had. Raises HAProxyError.
    """
    wanted = haproxy_entries(routes)
    found = show_map(address, name)
    changes = differences(found, wanted)
    if not changes and len(found) == len(wanted):
        return ""
    if len(changes) == len(changes.change) == 1 and len(found) == len(wanted):
        how = change_one_by_one(address, name, changes)
    else:
        how = replace_map(address, name, wanted) or change_one_by_one(address, name, changes)
    after = show_map(address, name)
    if dict(after) != wanted or len(after) != len(wanted):
        wrong = len(differences(after, wanted)) or len(after) - len(wanted)
        raise HAProxyError(
            f"HAProxy at {address} has {wrong} entries of {name} that are not as published.",
            "Somebody else changes that map, or the socket is not of level admin: see to that, then publish again.",
        )
    return how


def differences(found: list[tuple[str, str]], wanted: Mapping[str, str]) -> Changes:
    """What is to be done; stores that stop come before all others, so that nobody writes by an old route beside a new one.

    >>> differences([("S1", "legacy"), ("S2", "tidb")], {"S1": "fenced", "S3": "tidb"})
    Changes(change={'S1': 'fenced'}, add={'S3': 'tidb'}, delete=('S2',))
    """
    known = set(found)
    there = {store for store, _ in found}
    stale = {store for store, route in known if wanted.get(store, route) != route}
    change = sorted(stale, key=lambda store: (wanted[store] != "fenced", store))
    return Changes(
        {store: wanted[store] for store in change},
        {store: route for store, route in wanted.items() if store not in there},
        tuple(sorted(there - set(wanted))),
    )


def show_map(address: str, name: str) -> list[tuple[str, str]]:
    """The entries in memory, in order. Raises HAProxyError where there is no such map."""
    entries = []
    for line in ask(address, f"show map {name}").splitlines():
        parts = line.split(" ", 2)
        if len(parts) < 3 or not parts[0].startswith("0x"):
            raise HAProxyError(
                f"HAProxy at {address} has no map {name}: {line[:100]}",
                "Name haproxy_map as HAProxy's configuration names it: map(...) there must be the same path.",
            )
        entries.append((parts[1], parts[2]))
    return entries


def replace_map(address: str, name: str, wanted: Mapping[str, str]) -> str:
    """All entries at once, as a new version of the map; "" where this HAProxy has no versions. A version that was prepared and
    never committed, because this process was killed, does no harm and goes with the next commit."""
    prepared = re.search(r"New version created: (\d+)", ask(address, f"prepare map {name}"))
    if prepared is None:
        return ""
    version = prepared[1]
    for payload in payloads(wanted):
        expect_nothing(address, ask(address, f"add map @{version} {name} <<\n{payload}"))
    expect_nothing(address, ask(address, f"commit map @{version} {name}"))
    return "replaced in one transaction"


def change_one_by_one(address: str, name: str, changes: Changes) -> str:
    """Entry by entry."""
    for store, route in changes.change.items():
        expect_nothing(address, ask(address, f"set map {name} {store} {route}"))
    for store, route in changes.add.items():
        expect_nothing(address, ask(address, f"add map {name} {store} {route}"))
    for store in changes.delete:
        expect_nothing(address, ask(address, f"del map {name} {store}"))
    return f"{len(changes)} entries changed"


def payloads(wanted: Mapping[str, str]) -> Iterator[str]:
    """The entries in pieces that one command takes; an empty line ends each."""
    lines: list[str] = []
    size = 0
    for store, route in wanted.items():
        line = f"{store} {route}\n"
        if lines and size + len(line.encode()) > PAYLOAD_BYTES:
            yield "".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line.encode())
    yield "".join(lines)


def expect_nothing(address: str, answer: str) -> None:
    """A change that was made is answered by an empty line. Raises HAProxyError for anything else."""
    if answer.strip():
        raise HAProxyError(
            f"HAProxy at {address} refused: {answer.strip()[:200]}", "Try it by hand: `echo help | socat stdio` and its socket."
        )


def ask(address: str, command: str) -> str:
    """What HAProxy answers to one command. Raises HAProxyError when it cannot be asked."""
    host, _, port = address.rpartition(":")
    try:
        if "/" not in address and port.isdigit():
            connection = socket.create_connection((host, int(port)), timeout=ANSWER_S)
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(ANSWER_S)
            connection.connect(address)
        with connection:
            connection.sendall(command.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        raise HAProxyError(
            f"HAProxy cannot be reached at {address}: {error.strerror or 'no answer'}.",
            "Is it running, and may this user write to its socket? It reads the map file, which is written, when it starts.",
        ) from error
    return answer.decode(errors="replace").strip("\n")
