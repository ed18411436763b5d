"""Resident identity card numbers of mainland China (GB 11643-1999): 17 digits and a check character, or 15 digits before 1999."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.mapping.transforms.base import Arguments, Inputs, Transform, put_back, unreadable
from etl.mapping.transforms.text import fold_width, strip_invisible

WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int16)  # 2**(17 - i) mod 11
CHECKS: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)
DAYS: Final = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] + [0] * 87, dtype=np.int8)  # of month 0 to 99

Digits = npt.NDArray[np.uint8]


def id_card(column: pl.Expr) -> pl.Expr:
    """An identity card number of 18 characters, the last a digit or X; NULL when it cannot be one.

    Old numbers of 15 digits get their century and check character. The check character and the date of birth are checked.

    >>> numbers = ["11010519491231002x", "130503670401001", "110105194912310021", "1101051949"]
    >>> pl.DataFrame({"c": numbers}).select(id_card(pl.col("c"))).to_series().to_list()
    ['11010519491231002X', '130503196704010016', None, None]
    """
    return column.map_batches(id_cards, return_dtype=pl.String, is_elementwise=True)


def id_cards(values: pl.Series) -> pl.Series:
    """`id_card` of each value."""
    _, good = examine(values)
    odd = pl.Series(~good) & values.is_not_null()
    return put_back(values, odd, repair(values.filter(odd))) if odd.any() else values


def repair(values: pl.Series) -> pl.Series:
    """Numbers written in another way; NULL for those that stay wrong."""
    tidy = fold_width(strip_invisible(pl.col("value"))).str.replace_all(r"[\s-]", "").str.to_uppercase()
    tidied = values.to_frame("value").select(tidy).to_series()
    long = lengthen(tidied)
    return long.to_frame("value").select(pl.when(pl.Series(examine(long)[1])).then(pl.col("value"))).to_series()


def lengthen(values: pl.Series) -> pl.Series:
    """Numbers of 15 digits as 18: their births were before 2000 (GB 11643-1999, annex)."""
    old = values.to_frame("value").select(pl.col("value").str.contains(r"^[0-9]{15}$").fill_null(value=False)).to_series()
    if not old.any():
        return values
    body = (
        values.filter(old)
        .to_frame("value")
        .select(pl.concat_str(pl.col("value").str.slice(0, 6), pl.lit("19"), pl.col("value").str.slice(6)))
    )
    checks = check_characters(byte_matrix(body.to_series(), 17) - ord("0"))
    tail = pl.Series([chr(check) for check in CHECKS]).gather(pl.Series(checks))
    return put_back(values, old, body.select(pl.concat_str(pl.first(), tail)).to_series())


def examine(values: pl.Series) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which values are well written (17 digits with a date of birth, a digit or X), and which of them have the right check."""
    shaped = (values.str.len_bytes() == 18).fill_null(value=False).to_numpy(writable=True)
    good = np.zeros(len(values), dtype=np.bool_)
    if shaped.any():
        matrix = byte_matrix(values.filter(pl.Series(shaped)), 18)
        digits = matrix[:, :17] - ord("0")  # other characters wrap to more than 9
        last = matrix[:, 17]
        numeric = (digits <= 9).all(axis=1) & ((last == ord("X")) | ((last >= ord("0")) & (last <= ord("9"))))
        well = numeric & born(digits)
        good[shaped] = well & (CHECKS[check_characters(digits)] == last)
        shaped[shaped] = well
    return shaped, good


def born(digits: Digits) -> npt.NDArray[np.bool_]:
    """Which rows of digits have a calendar date from 1800 to 2199 at 6 to 13."""
    year = digits[:, 6:10].astype(np.int32) @ np.array([1000, 100, 10, 1], dtype=np.int32)
    month = (digits[:, 10].astype(np.int32) * 10 + digits[:, 11]) % 100
    day = digits[:, 12].astype(np.int32) * 10 + digits[:, 13]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    real: npt.NDArray[np.bool_] = (
        (year >= 1800) & (year < 2200) & (day >= 1) & (day <= DAYS[month]) & ((month != 2) | (day <= 28) | leap)
    )
    return real


def check_characters(digits: Digits) -> npt.NDArray[np.int16]:
    """Index into CHECKS for rows of 17 digits (ISO 7064, MOD 11-2)."""
    index: npt.NDArray[np.int16] = (digits.astype(np.int16) @ WEIGHTS) % np.int16(11)
    return index


def byte_matrix(values: pl.Series, width: int) -> Digits:
    """The bytes of texts that are all `width` bytes long, a row each."""
    joined = values.str.join("").item() if len(values) else ""
    return np.frombuffer(joined.encode(), dtype=np.uint8).reshape(-1, width)


def why_no_card(inputs: Inputs, args: Arguments) -> pl.Expr:
    """A well written number fails by its check character, anything else by its form; blank is none."""
    form = unreadable("id_card_format")(inputs, args)
    tidy = fold_width(inputs[0].expr).str.replace_all(r"[\s-]", "").str.to_uppercase()
    shaped = tidy.map_batches(lambda values: pl.Series(examine(values)[0]), return_dtype=pl.Boolean, is_elementwise=True)
    return pl.when(shaped).then(pl.lit("id_card_check_digit")).otherwise(form)


TRANSFORMS: Final = (
    Transform(
        "id_card",
        "A mainland identity card number of 18 characters, check character verified; 15 digits become 18.",
        lambda inputs, args: id_card(inputs[0].expr),
        (("text",),),
        why=why_no_card,
        personal="id_card",
        on_bad="null",
    ),
)
