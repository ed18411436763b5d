"""One entry of the audit log, and the hash that ties it to the entry before.

hash = SHA-256, in hexadecimal, of the canonical JSON of {"at", "body", "kind", "number", "previous"}: keys sorted, no spaces,
UTF-8 as it is, and only texts, whole numbers, true, false, null, lists and objects in it, so that no two programs can disagree on
how a number is written. `previous` is the hash of the entry before; that of the first is 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from etl.errors import UsageError

Kind = Literal["begin", "end"]
KINDS: Final = ("begin", "end")
ORIGIN: Final = "0" * 64
"""What the first entry holds as the hash of the one before."""


@dataclass(frozen=True)
class Entry:
    """`number` counts from 1 without gaps, `at` is the time in UTC (ISO 8601). The body of a `begin` says who does what; that of
    an `end` names the number of its begin, the exit code and the result."""

    number: int
    at: str
    kind: Kind
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Head:
    """The newest entry: kept off the machine, it proves later that nothing was cut off. Written as number:hash."""

    number: int
    hash: str

    @property
    def text(self) -> str:
        """As `parse_head` reads it."""
        return f"{self.number}:{self.hash}"


def parse_head(text: str) -> Head:
    """A head as it was printed. Raises UsageError.

    >>> parse_head("2:" + "ab" * 32).number
    2
    """
    number, _, digest = text.strip().partition(":")
    if not number.isascii() or not number.isdecimal() or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise UsageError(f"{text!r} is no head of the audit log.", "Give it as `membershift audit log` printed it: number:hash.")
    return Head(int(number), digest)


def canonical(value: object) -> str:
    """The one JSON text of a value. Raises TypeError for what has more than one, such as a float.

    >>> canonical({"b": ["王", 1], "a": None})
    '{"a":null,"b":["王",1]}'
    """
    refuse_ambiguous(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def refuse_ambiguous(value: object) -> None:
    """Only what every program writes alike."""
    match value:
        case None | bool() | int() | str():
            return
        case list() | tuple():
            for item in value:
                refuse_ambiguous(item)
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"a key of type {type(key).__name__} has no place in the audit log")
                refuse_ambiguous(item)
        case _:
            raise TypeError(f"a value of type {type(value).__name__} has no place in the audit log")


def hash_of(number: int, at: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry: the formula at the top of this file."""
    text = canonical({"number": number, "at": at, "kind": kind, "body": dict(body), "previous": previous})
    return hashlib.sha256(text.encode()).hexdigest()


def seal(number: int, at: str, kind: Kind, body: Mapping[str, Any], previous: str) -> Entry:
    """An entry with its hash."""
    return Entry(number, at, kind, body, previous, hash_of(number, at, kind, body, previous))


def line_of(entry: Entry) -> str:
    """An entry as one line of JSON, as `audit export` writes it."""
    return canonical(
        {
            "number": entry.number,
            "at": entry.at,
            "kind": entry.kind,
            "body": dict(entry.body),
            "previous": entry.previous,
            "hash": entry.hash,
        }
    )
