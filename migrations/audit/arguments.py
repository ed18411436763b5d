"""The arguments of a command as they may be written down: without secrets, and without what tells a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from etl.masking import mask

HIDDEN: Final = "***"
SECRET_NAMES: Final = re.compile(r"password|passwd|secret|token|credential|(^|_)key($|_)", re.IGNORECASE)
IN_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s/@:]*):[^\s/]*@", re.IGNORECASE)
IN_QUERY: Final = re.compile(
    r"(?P<name>[\w-]*(?:password|passwd|secret|token|api_?key|access-?_?key)[\w-]*\s*=\s*)[^\s&;,]+", re.IGNORECASE
)
PERSONAL: Final = (
    (re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"), "id_card"),
    (re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"), "phone"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "email"),
)
SHORTEST_SECRET: Final = 4
"""A shorter one would hide half of every sentence, and is no secret."""


def masked_arguments(arguments: Mapping[str, object], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Arguments by name, as values of JSON. `secrets` are texts that must not be in any of them.

    >>> masked_arguments({"to": "mysql://me:pw@h:4000/x", "api_token": "abc", "store": ["S001"], "for_s": 1.5, "note": None})
    {'to': 'mysql://me:***@h:4000/x', 'api_token': '***', 'store': ['S001'], 'for_s': '1.5', 'note': None}
    """
    hidden = sorted((secret for secret in set(secrets) if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)
    return {name: HIDDEN if SECRET_NAMES.search(name) else masked(value, hidden) for name, value in arguments.items()}


def masked(value: object, hidden: Iterable[str]) -> Any:
    """One value; a number with a fraction becomes text, since texts are written alike by every program."""
    match value:
        case None | bool() | int():
            return value
        case list() | tuple() | set() | frozenset():
            return [masked(item, hidden) for item in value]
        case _:
            return masked_text(str(value), hidden)


def masked_text(text: str, hidden: Iterable[str] = ()) -> str:
    """A text without passwords of URLs, known secrets, telephone numbers, identity numbers and mail addresses.

    >>> masked_text("asked by 13912345678 (wang@example.com), pw hunter22", ["hunter22"])
    'asked by 139****5678 (w***@e***), pw ***'
    """
    text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair has no place in a database
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
    text = IN_QUERY.sub(rf"\g<name>{HIDDEN}", text)
    # an address inside a URL is its host: URLs first, and what is left of them is no mail address
    text = IN_URL.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    for pattern, kind in PERSONAL:
        text = pattern.sub(partial(mask_unless_url, kind), text)
    return text


def mask_unless_url(kind: str, found: re.Match[str]) -> str:
    """The masked form; the user and host of a URL stay."""
    start = found.string.rfind("://", 0, found.start())
    inside = kind == "email" and start >= 0 and not re.search(r"\s", found.string[start : found.start()])
    return found[0] if inside else mask(found[0], kind)


def secrets_of(section: BaseModel) -> Iterator[str]:
    """Every secret of the settings: whole, and of a URL its password, as it stands there and as it is meant."""
    for name in type(section).model_fields:
        yield from secrets_in(getattr(section, name))


def secrets_in(value: object) -> Iterator[str]:
    """The secrets inside one setting."""
    match value:
        case SecretStr():
            whole = value.get_secret_value()
            yield whole
            password = password_of(whole)
            if password:
                yield from {password, unquote(password)}
        case BaseModel():
            yield from secrets_of(value)
        case dict():
            for item in value.values():
                yield from secrets_in(item)
        case list() | tuple():
            for item in value:
                yield from secrets_in(item)
        case _:
            return


def password_of(url: str) -> str | None:
    """The password in a URL, None where there is none or it is no URL."""
    try:
        return urlsplit(url).password
    except ValueError:
        return None
