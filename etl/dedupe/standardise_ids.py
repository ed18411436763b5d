"""Identity cards, birthdays and gender."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.id_card import examine, id_cards, lengthen
from etl.mapping.transforms.people import gender as read_gender
from etl.mapping.transforms.text import fold_width, strip_invisible

# Dates that programs write where there is none, and those older than anybody.
NO_BIRTHDAYS: Final = ("1900-01-01", "1970-01-01", "1899-12-30", "1753-01-01", "9999-12-31", "2079-06-06")
OLDEST: Final = "1901-01-01"
LATEST: Final = "2100-01-01"
DATE_FORMS: Final = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
MASKED: Final = r"^[0-9X*]*\*[0-9X*]*$"


def standard_cards(values: pl.Series) -> pl.DataFrame:
    """Columns card (valid, of 18 characters) and mask (as given, where it is masked or its check character is wrong).

    What Excel made a measure of ("1.10105E+17") has lost its last digits and says nothing: both are null.

    >>> cards = ["11010519491231002x", "110105194912310021", "110105********002X", "1.10105E+17", "111111111111111111"]
    >>> standard_cards(pl.Series(cards)).rows()
    [('11010519491231002X', None), (None, '110105194912310021'), (None, '110105********002X'), (None, None), (None, None)]
    """
    text = pl.col("value")
    tidy = fold_width(strip_invisible(text)).str.replace_all(r"[\s'-]", "").str.to_uppercase().str.replace_all("[xX＊]", "X")
    given = values.cast(pl.String).alias("value").to_frame().select(tidy).to_series()
    long = lengthen(given)
    shaped, _ = examine(long)
    frame = pl.DataFrame({"card": id_cards(long), "long": long, "shaped": pl.Series(shaped)})
    masked = pl.col("long").str.contains(MASKED) & pl.col("long").str.len_bytes().is_in([15, 18])
    masked &= pl.col("long").str.count_matches("[0-9]") >= 6
    return frame.select("card", mask=pl.when(pl.col("card").is_null() & (pl.col("shaped") | masked)).then("long"))


def standard_birthdays(values: pl.Series) -> pl.Series:
    """Dates from dates, moments or texts; sentinels and absurd ones are null.

    >>> standard_birthdays(pl.Series(["1988/5/6", "19880506", "1900-01-01", "1888-01-01", "30"])).dt.to_string().to_list()
    ['1988-05-06', '1988-05-06', None, None, None]
    """
    dates = _dates(values).alias("value").to_frame()
    real = pl.col("value").is_between(pl.lit(OLDEST).str.to_date(), pl.lit(LATEST).str.to_date(), closed="left")
    sentinel = pl.col("value").dt.to_string("iso").is_in(NO_BIRTHDAYS)
    return dates.select(pl.when(real & ~sentinel).then("value")).to_series()


def _dates(values: pl.Series) -> pl.Series:
    """Whatever is a date as Date; distinct texts are read once, in each of the usual forms."""
    if values.dtype != pl.String:
        kind = values.dtype
        if kind.is_integer():
            return _dates(values.cast(pl.String))
        return values.cast(pl.Date) if kind.is_temporal() else pl.Series(values.name, [None] * len(values), dtype=pl.Date)
    distinct = values.unique().drop_nulls().alias("raw").to_frame()
    text = fold_width(pl.col("raw")).str.strip_chars().str.replace(r"[ T]\d\d:\d\d.*$", "")
    read = distinct.with_columns(date=pl.coalesce(text.str.to_date(form, strict=False) for form in DATE_FORMS))
    return values.alias("raw").to_frame().join(read, on="raw", how="left", maintain_order="left")["date"]


def card_birthdays(cards: pl.Series) -> pl.Series:
    """The date of birth in valid card numbers.

    >>> card_birthdays(pl.Series(["11010519491231002X", None])).dt.to_string().to_list()
    ['1949-12-31', None]
    """
    return cards.str.slice(6, 8).str.to_date("%Y%m%d", strict=False)


def card_genders(cards: pl.Series) -> pl.Series:
    """M or F by the seventeenth digit of valid card numbers: odd for men (GB 11643-1999)."""
    digit = cards.str.slice(16, 1).cast(pl.Int8, strict=False).alias("value").to_frame()
    return digit.select(
        pl.when(pl.col("value") % 2 == 1).then(pl.lit("M")).when(pl.col("value") % 2 == 0).then(pl.lit("F"))
    ).to_series()


def standard_gender(values: pl.Series) -> pl.Series:
    """M, F or null from any usual code.

    >>> standard_gender(pl.Series(["女", " m", "未知"])).to_list()
    ['F', 'M', None]
    """
    return values.cast(pl.String).alias("value").to_frame().select(read_gender(pl.col("value"))).to_series()
