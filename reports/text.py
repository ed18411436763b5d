"""User-facing text in English and Chinese. The English sentence is the key; reports/text_zh/<noun>.toml holds the Chinese."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Final, Literal

Language = Literal["en", "zh"]
LANGUAGES: Final = ("en", "zh")
KEPT_AS_TEXT: Final = "told.toml"
PLACE: Final = re.compile(r"\\\{(\w+)\\\}")


def tr(lang: str, english: str, /, **values: object) -> str:
    """`english` in language `lang`, with {names} filled from `values`. A sentence without a translation stays English.

    >>> tr("en", "{rows} rows", rows=3)
    '3 rows'
    >>> tr("zh", "Next steps")
    '下一步'
    """
    template = chinese().get(english, english) if lang == "zh" else english
    return template.format(**values) if values else template


def told(lang: str, text: str) -> str:
    """A sentence that comes as text with its values in it, such as one out of the quarantine, in language `lang`.

    Only sentences of KEPT_AS_TEXT are looked for: a column called "Note" is no sentence.

    >>> told("zh", "Index ix_a is left out: its key is too long.")
    '索引 ix_a 未建立：其键过长。'
    >>> told("zh", "Nobody wrote this down."), told("en", "loaded as NULL")
    ('Nobody wrote this down.', 'loaded as NULL')
    """
    if lang != "zh" or not text:
        return text
    for pattern, template in shapes():
        found = pattern.fullmatch(text)
        if found is not None:
            return template.format(**{name: told(lang, value) for name, value in found.groupdict().items()})
    return text


@cache
def shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every sentence that is kept as text, as a pattern with its translation; the one with the most words of its own first."""
    by_length = sorted(read(KEPT_AS_TEXT).items(), key=lambda item: len(re.sub(r"\{\w+\}", "", item[0])), reverse=True)
    return tuple((shape(english), template) for english, template in by_length)


def shape(english: str) -> re.Pattern[str]:
    """What a sentence looks like with anything in its places.

    >>> shape("{count} rows of {part}").fullmatch("3 rows of sale").groupdict()
    {'count': '3', 'part': 'sale'}
    """
    literal = re.escape(english.replace("{{", "\0").replace("}}", "\1"))
    return re.compile(PLACE.sub(r"(?P<\1>.+?)", literal).replace("\0", r"\{").replace("\1", r"\}"), re.DOTALL)


@cache
def chinese() -> dict[str, str]:
    """All translations, read once."""
    sentences: dict[str, str] = {}
    for file in sorted(resources.files("reports").joinpath("text_zh").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            sentences.update(read(file.name))
    return sentences


def read(name: str) -> dict[str, str]:
    """One file of translations."""
    return tomllib.loads(resources.files("reports").joinpath("text_zh", name).read_text("utf-8"))
