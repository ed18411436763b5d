"""Masked forms of personal values: enough to find the row by its key, never enough to know the person."""

from __future__ import annotations

from typing import Final

PERSONAL_KINDS: Final = ("name", "phone", "email", "id_card", "birthday", "address", "union_id", "text")
"""Values of `personal = ...` in a mapping."""


def mask(value: object, personal: str | None) -> str:
    """Show `value` in a report. None is shown as NULL; a column not marked personal is shown, cut to 60 characters.

    >>> mask("13912345678", "phone")
    '139****5678'
    >>> mask("欧阳小明", "name")
    '欧***'
    >>> mask("wang@example.com", "email")
    'w***@e***'
    >>> mask("110101199003071234", "id_card")
    '1101**********1234'
    >>> mask("123", "phone"), mask(None, "name"), mask("S001", None)
    ('***', 'NULL', 'S001')
    """
    if value is None:
        return "NULL"
    text = value.hex() if isinstance(value, bytes) else str(value)
    text = "".join(character if character.isprintable() else "?" for character in text)
    if personal is None:
        return text if len(text) <= 60 else f"{text[:57]}..."
    match personal:
        case "phone" if len(text) >= 11:
            return f"{text[:3]}****{text[-4:]}"
        case "id_card" if len(text) >= 15:
            return f"{text[:4]}{'*' * (len(text) - 8)}{text[-4:]}"
        case "email" if "@" in text:
            local, _, domain = text.partition("@")
            return f"{local[:1]}***@{domain[:1]}***"
        case "name" | "address" if len(text) >= 2:
            return f"{text[0]}***"
        case "birthday" if len(text) >= 10:
            return f"{text[:4]}-**-**"
        case _:
            return "***"
