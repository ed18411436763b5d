"""membershift audit log: commands with how they ended, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrations.audit.entry import Entry, Head
from migrations.audit.log import read_entries


@dataclass(frozen=True)
class AuditedCommand:
    """`number` is that of its begin. `ended_at`, `exit_code` and `result` are None while it runs, and for ever when it was
    killed."""

    number: int
    began_at: str
    user: str
    roles: tuple[str, ...]
    host: str
    command: str
    arguments: Mapping[str, Any]
    ended_at: str | None = None
    exit_code: int | None = None
    result: str | None = None


@dataclass(frozen=True)
class AuditLog:
    """The commands that were asked for; `matching` of `commands` altogether. `head`: the newest entry."""

    shown: tuple[AuditedCommand, ...]
    matching: int
    commands: int
    unended: int
    head: Head | None


@dataclass(frozen=True)
class AuditQuery:
    """`command`: how it begins ("release", "sync start"). `since`: ISO 8601; `user`; only the `limit` newest."""

    command: str = ""
    user: str = ""
    since: str = ""
    limit: int = 50


def read_audit(state_dir: Path, query: AuditQuery) -> AuditLog:
    """Read the log. Raises ConfigurationError."""
    began: dict[int, AuditedCommand] = {}
    head = None
    for entry in read_entries(state_dir):
        head = Head(entry.number, entry.hash)
        if entry.kind == "begin":
            began[entry.number] = begun_by(entry)
        elif entry.body.get("begun") in began:
            began[entry.body["begun"]] = ended_by(began[entry.body["begun"]], entry)
    matching = [one for one in began.values() if matches(one, query)]
    unended = sum(one.ended_at is None for one in began.values())
    return AuditLog(tuple(reversed(matching[-query.limit :])), len(matching), len(began), unended, head)


def begun_by(entry: Entry) -> AuditedCommand:
    """A command of which only the begin is known."""
    body = entry.body
    roles, host = tuple(body.get("roles", ())), str(body.get("host", ""))
    user = f"{body['behind']} (sudo)" if body.get("behind") else str(body.get("user", ""))
    command = str(body.get("command", ""))
    return AuditedCommand(entry.number, entry.at, user, roles, host, command, body.get("arguments", {}))


def ended_by(command: AuditedCommand, entry: Entry) -> AuditedCommand:
    """The same with its end."""
    return AuditedCommand(
        command.number,
        command.began_at,
        command.user,
        command.roles,
        command.host,
        command.command,
        command.arguments,
        entry.at,
        entry.body.get("exit_code"),
        entry.body.get("result"),
    )


def matches(command: AuditedCommand, query: AuditQuery) -> bool:
    """Whether somebody asked for it."""
    words = query.command.split()
    return (
        command.command.split()[: len(words)] == words
        and (not query.user or query.user == command.user.split(" ")[0])
        and command.began_at >= query.since
    )
