"""Send one message to one address: by POST where it is a plain webhook, else by apprise, which knows mail and a hundred chats."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from etl.errors import OpsError
from migrations.release.alerts.settings import Level
from migrations.release.alerts.text import Message

if TYPE_CHECKING:
    from types import ModuleType

PLAIN: Final = ("http://", "https://")
TYPES: Final[dict[Level, str]] = {"red": "failure", "yellow": "warning", "blue": "info"}
"""How apprise calls our levels."""


class NotSent(OpsError):
    """A message could not be delivered; it is kept and tried again. Never holds the address, which is a secret."""


def send(address: str, message: Message, timeout_s: float) -> None:
    """Deliver it. Raises NotSent."""
    if address.startswith(PLAIN):
        post(address, message, timeout_s)
    else:
        notify(address, message)


def post(address: str, message: Message, timeout_s: float) -> None:
    """A JSON document with level, title and text; any answer of 2xx means that it arrived."""
    document = {"level": message.level, "title": message.title, "text": message.body}
    content = json.dumps(document, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "membershift"}
    try:
        request = urllib.request.Request(address, content, headers, method="POST")
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            raise NotSent(f"the receiver answered {error.code}", "Check the address of the receiver.") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None)
        kind = type(reason if isinstance(reason, Exception) else error).__name__
        raise NotSent(f"the receiver cannot be reached ({kind})", "Check the address and the way to it.") from None


def notify(address: str, message: Message) -> None:
    """By apprise. It says only whether it worked; why not is in its own log, which may show the address and is not kept."""
    apprise = load_apprise()
    service = apprise.Apprise()
    if not service.add(address):
        raise NotSent("apprise does not understand the address", "See the list of its services: appriseit.com/services.")
    if not service.notify(title=message.title, body=message.body, notify_type=TYPES[message.level]):
        raise NotSent("apprise could not deliver it", "Try the address by hand: apprise -vv -b test ADDRESS")


def load_apprise() -> ModuleType:
    """Imported only where it is needed: it takes half a second."""
    import importlib

    try:
        return importlib.import_module("apprise")
    except ImportError as error:
        raise NotSent(
            "apprise is not installed", "Install it beside membershift, or give the receiver an http:// or https:// address."
        ) from error
