"""membershift audit verify: find any edit, removal, insertion or reordering in the audit log, and name the first bad entry.

A log from which the newest entries were cut off is a shorter log that holds together: only a head kept elsewhere shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from etl.personal_files import disk_error
from migrations.audit.entry import KINDS, ORIGIN, Head, canonical, hash_of
from migrations.audit.log import read_rows

Fault = Literal["edited", "removed", "not in order", "does not follow", "unreadable", "cut off", "rewritten"]
TEXTS: Final = ("at", "kind", "previous", "hash")


@dataclass(frozen=True)
class Verified:
    """`entries` hold together up to `head` (None: there are none). `fault` and `first_bad`: what is wrong, from which entry on;
    None when nothing is. `unended`: numbers of commands that began and did not end: they run still, or were killed. `compared`:
    whether a head kept elsewhere was given."""

    entries: int = 0
    head: Head | None = None
    fault: Fault | None = None
    first_bad: int | None = None
    unended: tuple[int, ...] = ()
    compared: bool = False

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None


def verify_audit(state_dir: Path, head: Head | None = None) -> Verified:
    """Check the log in state.db, against a head that was kept elsewhere if there is one. Raises ConfigurationError."""
    return against_head(verify_rows(map(dict, read_rows(state_dir)), head), head)


def verify_export(path: Path, head: Head | None = None) -> Verified:
    """The same of a file that `audit export` wrote. Raises ConfigurationError."""
    try:
        lines = path.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise disk_error(error, path) from error
    return against_head(verify_rows((row_of(line) for line in lines), head), head)


def row_of(line: str) -> dict[str, Any]:
    """A line of an export as a row of the table; {} when it is none."""
    try:
        values = json.loads(line)
        return {**values, "body": canonical(values["body"])} if canonical(values) == line else {}
    except (ValueError, TypeError, KeyError):
        return {}


def verify_rows(rows: Iterable[Mapping[str, Any]], kept: Head | None) -> Verified:
    """Follow the chain. `rows` in the order in which they are stored."""
    found = Verified()
    before = Head(0, ORIGIN)
    unended: set[int] = set()
    for row in rows:
        fault, body = fault_of(row, before)
        if fault is not None:
            return replace(found, fault=fault, first_bad=before.number + 1, unended=tuple(sorted(unended)))
        before = Head(before.number + 1, row["hash"])
        if kept is not None and before.number == kept.number and before.hash != kept.hash:
            return replace(found, fault="rewritten", first_bad=before.number, unended=tuple(sorted(unended)))
        if row["kind"] == "begin":
            unended.add(before.number)
        else:
            unended.discard(body.get("begun", 0))
        found = Verified(before.number, before)
    return replace(found, unended=tuple(sorted(unended)))


def fault_of(row: Mapping[str, Any], before: Head) -> tuple[Fault | None, Mapping[str, Any]]:
    """What is wrong with the row that follows `before`, and its body."""
    try:
        body = json.loads(row["body"])
        readable = isinstance(body, dict) and row["kind"] in KINDS and canonical(body) == row["body"]
        readable = readable and all(isinstance(row[name], str) for name in TEXTS) and type(row["number"]) is int
    except (ValueError, TypeError, KeyError):
        return "unreadable", {}
    number, expected = row["number"], before.number + 1
    own = readable and hash_of(number, row["at"], row["kind"], body, row["previous"]) == row["hash"]
    if not own:
        return "edited", body
    if number > expected:
        return "removed", body
    if number < expected:
        return "not in order", body
    return (None if row["previous"] == before.hash else "does not follow"), body


def against_head(found: Verified, head: Head | None) -> Verified:
    """A log that holds together but ends before the head that was kept was cut off."""
    if head is None:
        return found
    found = replace(found, compared=True)
    if found.sound and found.entries < head.number:
        return replace(found, fault="cut off", first_bad=found.entries + 1)
    return found
