"""Mistakes in a mapping, each with its file, its line and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from etl.errors import ConfigurationError
from etl.mapping.model import Place


def mistake(place: Place, what: str, remedy: str) -> ConfigurationError:
    """A mistake at `place`."""
    return ConfigurationError(f"{place}: {what}", remedy)


def unknown(place: Place, kind: str, name: str, valid: Iterable[str], where: str = "") -> ConfigurationError:
    """`name` is no `kind`; the remedy names what it may have been meant to be.

    >>> from pathlib import Path
    >>> unknown(Place(Path("member.toml"), 7), "transform", "phonee", ["phone", "name"]).remedy
    "Did you mean 'phone'?"
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1) or [known for known in names if known.lower() == name.lower()]
    listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {listed}." if names else "There are none."
    return mistake(place, f"unknown {kind} {name!r}{where}.", remedy)
