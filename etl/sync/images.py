"""Whole rows as JSON text, for the two images of a conflict. They hold personal data, and stay in the target's own schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any


def image_text(values: Mapping[str, Any]) -> str:
    """A row as JSON.

    >>> image_text({"points": 5, "balance": Decimal("1.50"), "name": None})
    '{"points": 5, "balance": "1.50", "name": null}'
    """
    return json.dumps({name: plain(value) for name, value in values.items()}, ensure_ascii=False)


def plain(value: Any) -> object:
    """A value as JSON holds it: what JSON has no type for becomes text."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


def read_image(stored: str | None) -> dict[str, Any]:
    """The reverse, values as JSON has them."""
    return {} if stored is None else dict(json.loads(stored))
