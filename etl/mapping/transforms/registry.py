"""All transforms by name."""

from __future__ import annotations

from typing import Final

from etl.mapping.transforms import id_card, numbers, people, phone, text, times
from etl.mapping.transforms.base import Transform

TRANSFORMS: Final[dict[str, Transform]] = {
    transform.name: transform
    for transform in (
        *text.TRANSFORMS,
        *people.TRANSFORMS,
        *phone.TRANSFORMS,
        *id_card.TRANSFORMS,
        *numbers.TRANSFORMS,
        *times.TRANSFORMS,
    )
}
"""Transforms that a mapping may name in `as`."""
