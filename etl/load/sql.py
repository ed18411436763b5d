"""Statements as plain text with places for names: identifiers are quoted here, values are always parameters."""

from __future__ import annotations

from collections.abc import Mapping

from etl.names import backtick


def sql(template: str, names: Mapping[str, str], **fragments: str) -> str:
    """Fill {places} of a statement: `names` are quoted as identifiers, `fragments` stand as they are (never from outside).

    >>> sql("SELECT {column} FROM {schema}.reject WHERE reason IN ({values})", {"column": "a", "schema": "s"}, values=places(2))
    'SELECT `a` FROM `s`.reject WHERE reason IN (%s, %s)'
    """
    return template.format(**{name: backtick(value) for name, value in names.items()}, **fragments)


def places(count: int) -> str:
    """Places for `count` values.

    >>> places(3)
    '%s, %s, %s'
    """
    return ", ".join(["%s"] * count)


def name_list(names: tuple[str, ...]) -> str:
    """Quoted names, separated by commas.

    >>> name_list(("a", "b"))
    '`a`, `b`'
    """
    return ", ".join(backtick(name) for name in names)
