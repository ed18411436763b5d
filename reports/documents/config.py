"""The configuration as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from etl.check_config import ConfigCheck
from etl.settings import Section, Settings
from reports.document import Document, Figure, Table, Verdict
from reports.text import tr


def masked_settings(settings: Settings) -> dict[str, Any]:
    """Every setting by section; of a URL the password is replaced by ***."""
    values: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Section):
            values[name] = dict(shown_keys(value))
    return values


def shown_keys(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys of a table and of those inside it, with their values; of values under names of one's own only the names."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            yield from shown_keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key, sorted(value) if isinstance(value, dict) else show_value(value)


def show_value(value: Any) -> Any:
    """A setting for the screen: URLs without their password, other values as they are."""
    if isinstance(value, SecretStr):
        return mask_url(value.get_secret_value()) if "://" in value.get_secret_value() else "***"
    return list(value) if isinstance(value, tuple) else value if isinstance(value, int | float | str | None) else str(value)


def mask_url(url: str) -> str:
    """A URL without its password and its query.

    >>> mask_url("mysql://me:secret@db.example.com:4000/x?password=y")
    'mysql://me:***@db.example.com:4000/x'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name = user.split(":", 1)[0]
    return urlunsplit((parts.scheme, f"{name}:***{at}{host}" if at else host, parts.path, "", ""))


def config_document(values: dict[str, Any], lang: str) -> Document:
    """Settings as one table."""
    rows = tuple((f"{section}.{key}", str(value)) for section, keys in values.items() for key, value in keys.items())
    return Document(
        title=tr(lang, "Configuration in force"),
        verdict=Verdict("ok", tr(lang, "The file was read without error.")),
        tables=(Table(tr(lang, "Settings"), (tr(lang, "Setting"), tr(lang, "Value")), rows),),
        lang=lang,
    )


def check_document(result: ConfigCheck, lang: str) -> Document:
    """What `config check` found."""
    return Document(
        title=tr(lang, "Configuration check"),
        verdict=Verdict("ok", tr(lang, "{file} and its mapping are sound. Nothing was connected to.", file=result.file)),
        figures=(
            Figure(tr(lang, "Mapping"), result.mapping),
            Figure(tr(lang, "Target tables"), result.tables),
            Figure(tr(lang, "Mapping parts"), result.parts),
        ),
        next_steps=(tr(lang, "Run `membershift doctor` to check both servers."),),
        lang=lang,
    )
