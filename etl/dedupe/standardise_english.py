"""Text of languages in Latin letters, and plain numbers: what English names, streets and codes need before they are compared."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.text import strip_invisible

NOTHING: Final = ("", "none", "null", "nan", "na", "n a", "unknown", "not known", "not given", "test", "xxx", "x")


def plain_text(values: pl.Series) -> pl.Series:
    """Lower case, without accents and signs, blanks single; words for "none" are null.

    >>> plain_text(pl.Series(["  O'Néill-Smith ", "N/A", "12 High  St."])).to_list()
    ['o neill smith', None, '12 high st']
    """
    folded = strip_invisible(pl.col("value")).str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()
    tidy = folded.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    frame = values.cast(pl.String).alias("value").to_frame().select(tidy.alias("value"))
    return frame.select(pl.when(~pl.col("value").is_in(NOTHING)).then("value")).to_series()


def letters(values: pl.Series) -> pl.Series:
    """`plain_text` without blanks: for names of persons, in which "mc donald" is "mcdonald".

    >>> letters(pl.Series(["Mc Donald", "D'Arcy"])).to_list()
    ['mcdonald', 'darcy']
    """
    return plain_text(values).str.replace_all(" ", "")


def digits(values: pl.Series) -> pl.Series:
    """Digits alone, without leading zeros; null where there is none, or nothing but zeros.

    >>> digits(pl.Series(["No. 0012a", "-", "000"])).to_list()
    ['12', None, None]
    """
    frame = values.cast(pl.String).alias("value").to_frame()
    bare = frame.select(value=pl.col("value").str.replace(r"\.0$", "").str.replace_all(r"[^0-9]", "").str.strip_chars_start("0"))
    return bare.select(pl.when(pl.col("value") != "").then("value")).to_series()
