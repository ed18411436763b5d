"""User-facing text in English and Chinese. The English sentence is the key; reports/text_zh/<noun>.toml holds the Chinese."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Final, Literal

Language = Literal["en", "zh"]
LANGUAGES: Final = ("en", "zh")


def tr(lang: str, english: str, /, **values: object) -> str:
    """`english` in language `lang`, with {names} filled from `values`. A sentence without a translation stays English.

    >>> tr("en", "{rows} rows", rows=3)
    '3 rows'
    >>> tr("zh", "Next steps")
    '下一步'
    """
    template = chinese().get(english, english) if lang == "zh" else english
    return template.format(**values) if values else template


@cache
def chinese() -> dict[str, str]:
    """All translations, read once."""
    sentences: dict[str, str] = {}
    for file in sorted(resources.files("reports").joinpath("text_zh").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            sentences.update(tomllib.loads(file.read_text("utf-8")))
    return sentences
