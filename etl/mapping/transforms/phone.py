"""Telephone numbers as E.164 (ITU-T E.164: + and at most 15 digits)."""

from __future__ import annotations

from typing import Final

import phonenumbers
import polars as pl

from etl.mapping.transforms.base import Arguments, Inputs, Transform, put_back, unreadable
from etl.mapping.transforms.text import fold_width, strip_invisible

# MIIT numbering plan: mobiles are 1 and a digit from 3 on, 11 digits; land lines 0, an area code of 2 or 3 digits, 7 or 8 digits.
MOBILE: Final = r"^1[3-9][0-9]{9}$"
LAND_LINE: Final = r"^0(?:10|2[0-9]|[3-9][0-9]{2})[2-8][0-9]{6,7}$"
SPACED_MOBILE: Final = r"^(?:(?:\+|00)?86|0)?1[3-9][0-9]{9}$"
MARKS: Final = [" ", "\t", "-", ".", "(", ")"]
EXTENSION: Final = r"(?i)(?:转|分机|ext\.?|x|#|\*)\s*[0-9]{1,6}$"
INTERNATIONAL: Final = ("+", "00", "400", "800")
DASHED_EXTENSION: Final = r"^((?:\+?86[- ]?)?0[0-9]{2,3}[- ]?[0-9]{7,8})-[0-9]{1,6}$"


def phone(column: pl.Expr) -> pl.Expr:
    """A telephone number in E.164; NULL when it is none. Mainland numbers by rule, others by libphonenumber.

    >>> numbers = ["13912345678", "+86 139-1234-5678", "０１０ 6552 9988 转 12", "+1 (212) 555-0123", "1391234567"]
    >>> pl.DataFrame({"p": numbers}).select(phone(pl.col("p"))).to_series().to_list()
    ['+8613912345678', '+8613912345678', '+861065529988', '+12125550123', None]
    """
    return column.map_batches(phones, return_dtype=pl.String, is_elementwise=True)


def phones(values: pl.Series) -> pl.Series:
    """`phone` of each value: most are plain mobiles, most others are mobiles with marks between, few are anything else."""
    frame = values.to_frame("value")
    odd = frame.select(~pl.col("value").str.contains(MOBILE)).to_series().fill_null(value=False)
    usual = frame.select(pl.concat_str(pl.lit("+86"), pl.col("value"))).to_series().alias(values.name)
    return put_back(usual, odd, spaced_mobiles(values.filter(odd))) if odd.any() else usual


def spaced_mobiles(values: pl.Series) -> pl.Series:
    """Mobiles with blanks, hyphens or the country's code; the rest goes to `land_lines`."""
    bare = fold_width(pl.col("value")).str.replace_many(MARKS, [""] * len(MARKS))
    tidied = values.to_frame("value").select(value=bare)
    mobile = pl.when(pl.col("value").str.contains(SPACED_MOBILE)).then(pl.col("value").str.tail(11))
    numbers = tidied.select(pl.concat_str(pl.lit("+86"), mobile)).to_series()
    rest = numbers.is_null()
    return put_back(numbers, rest, land_lines(values.filter(rest))) if rest.any() else numbers


def land_lines(values: pl.Series) -> pl.Series:
    """Land lines, and numbers with an extension; the rest goes to `foreign`."""
    tidy = fold_width(strip_invisible(pl.col("value"))).str.strip_chars()
    tidy = tidy.str.replace(EXTENSION, "").str.replace(DASHED_EXTENSION, "$1")
    bare = (
        tidy.str.replace_all(r"[\s()./_-]", "")
        .str.replace(r"^(?:\+|00)?86(?:0|([1-9][0-9]{9,10}$))", "0$1")
        .str.replace(r"^0(1[3-9][0-9]{9})$", "$1")
    )
    frame = values.to_frame("value").select(
        tidy=tidy,
        number=pl.when(bare.str.contains(MOBILE))
        .then(pl.concat_str(pl.lit("+86"), bare))
        .when(bare.str.contains(LAND_LINE))
        .then(pl.concat_str(pl.lit("+86"), bare.str.slice(1))),
    )
    rest = frame["number"].is_null()
    return put_back(frame["number"], rest, foreign(frame["tidy"].filter(rest))) if rest.any() else frame["number"]


def foreign(values: pl.Series) -> pl.Series:
    """Numbers of other countries, each distinct one asked of libphonenumber once; NULL when it is not valid there."""
    distinct = values.unique().drop_nulls()
    numbers = pl.Series([foreign_number(text) for text in distinct], dtype=pl.String)
    return values.replace_strict(distinct, numbers, default=None, return_dtype=pl.String) if len(distinct) else values


def foreign_number(text: str) -> str | None:
    """One number as E.164: an international one, or a service number of mainland China. Any other number without a country's
    code could be anybody's, such as a land line without its area.

    >>> foreign_number("+852 2123 4567"), foreign_number("400-810-8888"), foreign_number("2138001380")
    ('+85221234567', '+864008108888', None)
    """
    digits = sum(character.isdigit() for character in text)
    if not 7 <= digits <= 20 or not text.startswith(INTERNATIONAL):
        return None
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return None
    return (
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else None
    )


def phone_suspects(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """Numbers long enough to hold an extension, and those in which letters stand."""
    del args
    return (inputs[0].expr.str.len_bytes() > 11) & value.is_not_null()


def phone_remark(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """E.164 has no extensions: one that was written is left out."""
    del value, args
    tidy = fold_width(inputs[0].expr).str.strip_chars()
    return pl.when(tidy.str.contains(EXTENSION) | tidy.str.contains(DASHED_EXTENSION)).then(pl.lit("phone_extension"))


TRANSFORMS: Final = (
    Transform(
        "phone",
        "A telephone number in E.164, such as +8613912345678.",
        lambda inputs, args: phone(inputs[0].expr if inputs[0].kind == "text" else inputs[0].expr.cast(pl.String)),
        (("text", "integer"),),
        why=unreadable("bad_phone"),
        suspects=phone_suspects,
        remark=phone_remark,
        personal="phone",
        on_bad="null",
    ),
)
