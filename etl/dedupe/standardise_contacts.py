"""Ways to reach a person: telephone numbers, e-mail addresses, ids of other platforms; what stands for "none" becomes null."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.people import email as readable_email
from etl.mapping.transforms.phone import phones
from etl.mapping.transforms.text import fold_width, strip_invisible

# Numbers typed to get past a form: the operator's own example, one digit again and again, digits in order.
NO_PHONES: Final = r"(?:13800138000|13912345678|13812345678|13900000000|12345678\d?|87654321|98765432)$"
REPEATED: Final = tuple(str(digit) * 7 for digit in range(10))
NO_LOCAL_WORDS: Final = """
a aa aaa aaaa ab abc abcd b x xx xxx xxxx 1 11 111 1111 123 1234 12345 123456 12345678 test test1 test123 tester testing none no
null nil na n noemail nomail noreply no-reply email mail unknown anonymous nobody user guest admin asdf qwerty 无 没有
"""
NO_LOCALS: Final = NO_LOCAL_WORDS.split()
DOTLESS: Final = ("gmail.com", "googlemail.com")
SCIENTIFIC: Final = r"^[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,2}$"
NO_IDS: Final = ("", "0", "null", "none", "n/a", "na", "-", "unknown", "undefined", "nan", "无")


def standard_phone(values: pl.Series) -> pl.Series:
    """E.164, null for what is no number or stands for none. Numbers that Excel took for measures ("1.39E+10") are lost: null.

    >>> standard_phone(pl.Series(["139-1234-8765", "13800138000", "8613512348765", "1.39E+10", "13111111111"])).to_list()
    ['+8613912348765', None, '+8613512348765', None, None]
    """
    text = pl.col("value")
    whole = values.cast(pl.String).alias("value").to_frame().select(text.str.strip_chars().str.replace(r"^(\d+)\.0$", "$1"))
    number = phones(whole.to_series()).alias("value").to_frame()
    placeholder = text.str.contains(NO_PHONES) | pl.any_horizontal(text.str.ends_with(tail) for tail in REPEATED)
    return number.select(pl.when(~placeholder).then(text)).to_series()


def standard_phones(values: pl.Series) -> tuple[pl.Series, ...]:
    """`standard_phone`, and its two parts: all but the last four digits, and those. One digit mistyped leaves one of them whole.

    >>> [part.to_list() for part in standard_phones(pl.Series(["139-1234-8765"]))]
    [['+8613912348765'], ['+861391234'], ['8765']]
    """
    number = standard_phone(values)
    return number, number.str.head(-4), number.str.tail(4)


def standard_email(values: pl.Series) -> pl.Series:
    """Lower case, without a plus tag; dots do not count where the mail service ignores them. Placeholders are null.

    >>> standard_email(pl.Series(["Li.Na+shop@Gmail.com", "a@a.com", "test@163.com", "wang@qq.com "])).to_list()
    ['lina@gmail.com', None, None, 'wang@qq.com']
    """
    read = values.cast(pl.String).alias("value").to_frame().select(readable_email(pl.col("value")).alias("value"))
    parts = read.select(
        local=pl.col("value").str.extract(r"^([^@+]+)[^@]*@"),
        domain=pl.col("value").str.extract(r"@(.+)$"),
    ).with_columns(
        local=pl.when(pl.col("domain").is_in(DOTLESS)).then(pl.col("local").str.replace_all(r"\.", "")).otherwise("local"),
        site=pl.col("domain").str.extract(r"^([^.]+)\."),
    )
    placeholder = pl.col("local").is_in(NO_LOCALS) | (pl.col("local").eq(pl.col("site")) & (pl.col("local").str.len_chars() <= 4))
    return parts.select(pl.when(~placeholder).then(pl.concat_str("local", pl.lit("@"), "domain"))).to_series()


def standard_id(values: pl.Series) -> pl.Series:
    """An opaque id, as written (its case may matter), without blanks and invisible characters.

    >>> standard_id(pl.Series([" oAb-1 ", "NULL", "1.2E+17", None])).to_list()
    ['oAb-1', None, None, None]
    """
    text = fold_width(strip_invisible(pl.col("value"))).str.replace_all(r"\s", "")
    tidy = values.cast(pl.String).alias("value").to_frame().select(text)
    nothing = pl.col("value").str.to_lowercase().is_in(NO_IDS) | pl.col("value").str.contains(SCIENTIFIC)
    return tidy.select(pl.when(~nothing).then(pl.col("value"))).to_series()
