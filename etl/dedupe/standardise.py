"""From values as they were typed to values that can be compared: each kind of field, and the columns it makes.

Placeholders become null before anything else, so that nobody is merged for sharing 13800138000 or 1900-01-01.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.dedupe.model import ComparisonSet, Field
from etl.dedupe.standardise_contacts import standard_email, standard_id, standard_phones
from etl.dedupe.standardise_english import digits, letters, plain_text
from etl.dedupe.standardise_ids import card_birthdays, card_genders, standard_birthdays, standard_cards, standard_gender
from etl.dedupe.standardise_lunar import solar_of_lunar
from etl.dedupe.standardise_names import chinese_names
from etl.dedupe.standardise_places import standard_places


@dataclass(frozen=True)
class Kind:
    """What a kind of field makes of a column. `columns`: names of what it makes, in which `{}` stands for the field's name."""

    meaning: str
    columns: tuple[str, ...]
    types: tuple[pl.DataType, ...]
    read: Callable[[pl.Series], tuple[pl.Series, ...]]


def _one(read: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], tuple[pl.Series, ...]]:
    return lambda values: (read(values),)


def _several(read: Callable[[pl.Series], pl.DataFrame]) -> Callable[[pl.Series], tuple[pl.Series, ...]]:
    return lambda values: tuple(read(values).get_columns())


def _birthday(values: pl.Series) -> tuple[pl.Series, ...]:
    dates = standard_birthdays(values)
    return dates, solar_of_lunar(dates)


TEXT: Final = pl.String()
KINDS: Final[dict[str, Kind]] = {
    "chinese_name": Kind(
        "A name in Chinese characters or pinyin: script, width, titles; surname, given name and pinyin.",
        ("{}", "surname", "given", "{}_pinyin"),
        (TEXT, TEXT, TEXT, TEXT),
        _several(chinese_names),
    ),
    "phone": Kind(
        "A telephone number as E.164, its beginning, and its last four digits.",
        ("{}", "{}_head", "{}_tail"),
        (TEXT, TEXT, TEXT),
        standard_phones,
    ),
    "chinese_id_card": Kind(
        "An identity card of mainland China: the valid number, and apart from it a masked or mistyped one.",
        ("{}", "{}_mask"),
        (TEXT, TEXT),
        _several(standard_cards),
    ),
    "id": Kind("An opaque id, compared as it is.", ("{}",), (TEXT,), _one(standard_id)),
    "email": Kind("An e-mail address without plus tag.", ("{}",), (TEXT,), _one(standard_email)),
    "birthday": Kind(
        "A date of birth, and the day it stands for if it was given by the lunar calendar.",
        ("{}", "{}_alt"),
        (pl.Date(), pl.Date()),
        _birthday,
    ),
    "gender": Kind("M or F.", ("{}",), (TEXT,), _one(standard_gender)),
    "chinese_address": Kind("An address as road and door.", ("road", "door"), (TEXT, TEXT), _several(standard_places)),
    "text": Kind("Words in Latin letters, without accents and signs.", ("{}",), (TEXT,), _one(plain_text)),
    "letters": Kind("A name in Latin letters, without blanks, accents and signs.", ("{}",), (TEXT,), _one(letters)),
    "digits": Kind("Digits alone.", ("{}",), (TEXT,), _one(digits)),
    "date": Kind("A date.", ("{}",), (pl.Date(),), _one(standard_birthdays)),
}


def standardise(values: Mapping[str, pl.Series], rows: int, fields: Iterable[Field]) -> pl.DataFrame:
    """The standardised columns of `fields`, of `rows` rows. `values`: by the field's source; a missing one is all null.

    >>> from etl.dedupe.model import Field
    >>> mail = Field("email", "email", "Mail", ("email",), (pl.String(),))
    >>> standardise({"Mail": pl.Series(["Li@B.cn", "a@a.com"])}, 2, [mail]).rows()
    [('li@b.cn',), (None,)]
    """
    made: dict[str, pl.Series] = {}
    for field in fields:
        given = values.get(field.source)
        if given is None or given.dtype == pl.Null:
            made |= {name: pl.Series([None] * rows, dtype=kind) for name, kind in zip(field.columns, field.types, strict=True)}
            continue
        read = KINDS[field.kind].read(given)
        made |= {name: series.cast(kind) for name, kind, series in zip(field.columns, field.types, read, strict=True)}
    return pl.DataFrame(made)


def fill_from_cards(frame: pl.DataFrame, fields: Iterable[Field]) -> pl.DataFrame:
    """Birthday and gender where they are missing and a valid identity card tells them."""
    kinds = {field.kind: field.columns[0] for field in fields}
    card = kinds.get("chinese_id_card")
    if card is None:
        return frame
    for kind, read in (("birthday", card_birthdays), ("gender", card_genders)):
        column = kinds.get(kind)
        if column is not None:
            told = read(frame[card]).alias("told")
            frame = frame.with_columns(told).with_columns(pl.coalesce(column, "told").alias(column)).drop("told")
    return frame


def drop_crowds(frame: pl.DataFrame, comparison_set: ComparisonSet) -> tuple[pl.DataFrame, list[tuple[str, str, int]]]:
    """Values of contact and id columns that more records share than a household or a person explains, as null: a shop's own
    number, an id that a program wrote for everybody. The remarks say how many records each column lost."""
    remarks: list[tuple[str, str, int]] = []
    parts = {field.columns[0]: field.columns for field in comparison_set.fields}
    for column, most in comparison_set.crowds:
        holders = frame.select(pl.len().over(column)).to_series()
        crowded = frame.select((pl.col(column).is_not_null() & (holders > most)).alias("crowded")).to_series()
        lost = int(crowded.sum())
        if lost:
            remarks.append(("crowded", column, lost))
            told = parts.get(column, (column,))
            frame = frame.with_columns(pl.when(~crowded).then(pl.col(part)).alias(part) for part in told)
    return frame, remarks
