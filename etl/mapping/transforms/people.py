"""What describes a person: name, gender, e-mail, address."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.base import (
    Arguments,
    ArgumentSpec,
    Inputs,
    Transform,
    blank_is_none,
    put_back,
    repair_unusual,
    table_argument,
    unreadable,
)
from etl.mapping.transforms.text import INVISIBLE, fold_width, one_line, strip_invisible, text_changed, text_remark

TITLES: Final = r"(?:\s*(?:先生|女士|小姐|太太))+$"
USUAL_EMAIL: Final = r"^[a-z0-9._+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}$"
# What mail systems deliver to in practice: one @, no blanks, a domain with a dot (RFC 5321 4.1.2 without quoting and literals).
ANY_EMAIL: Final = r"^[^\s@,;:<>()\[\]\\]+@[^\s@,;:<>()\[\]\\.]+(?:\.[^\s@,;:<>()\[\]\\.]+)+$"

# GB/T 2261.1: 1 male, 2 female; 0 and 9 are unknown and not said, hence none.
GENDERS: Final = {
    **dict.fromkeys(("m", "M", "男", "1", "male", "Male", "MALE", "男性"), "M"),
    **dict.fromkeys(("f", "F", "女", "2", "female", "Female", "FEMALE", "女性"), "F"),
}
NO_GENDER: Final = ("0", "9", "u", "n", "x", "-", "unknown", "未知", "未说明", "不详", "保密", "null")


def name(column: pl.Expr) -> pl.Expr:
    """A person's name: NFKC, on one line, nothing invisible, titles such as 先生 taken off. Blank is NULL.

    >>> pl.select(name(pl.lit("　王 小明　先生 "))).item()
    '王 小明'
    >>> pl.select(name(pl.lit("Ｌｉ\\u200b Ming"))).item()
    'Li Ming'
    """
    return repair_unusual(column, lambda value: value.str.contains(rf"[^\x{{4e00}}-\x{{9fff}}]|{TITLES}|^$"), repair_name)


def repair_name(value: pl.Expr) -> pl.Expr:
    """`name` for a name that is not plain Chinese characters."""
    composed = strip_invisible(value).str.normalize("NFKC")
    return blank_is_none(one_line(one_line(strip_invisible(composed)).str.replace(TITLES, "")))


def name_key(column: pl.Expr) -> pl.Expr:
    """A name for comparing: `name` without blanks and middle dots, in lower case.

    >>> pl.select(name_key(pl.lit("Straße · LI"))).item()
    'strasseli'
    """

    def repair(value: pl.Expr) -> pl.Expr:
        lower = repair_name(value).str.to_lowercase().str.replace_many(["ß", "ς"], ["ss", "σ"])
        # Composed again at last: a mark may have stood behind a blank, as in the NFKC form of "´".
        return blank_is_none(lower.str.replace_all(r"[\s·•・.'’-]", "").str.normalize("NFKC"))

    return repair_unusual(column, lambda value: value.str.contains(rf"[^\x{{4e00}}-\x{{9fff}}]|{TITLES}|^$"), repair)


def gender(column: pl.Expr, codes: dict[str, str] | None = None) -> pl.Expr:
    """M, F or NULL from any usual code. `codes` are read before the built-in ones.

    >>> pl.DataFrame({"g": ["男", " f", "2", "0", "？", None]}).select(gender(pl.col("g"))).to_series().to_list()
    ['M', 'F', 'F', None, None, None]
    """
    table = GENDERS | (codes or {})
    rare = {key.lower(): value for key, value in table.items()}

    def work(values: pl.Series) -> pl.Series:
        usual = values.replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)
        odd = usual.is_null() & values.is_not_null()
        if not odd.any():
            return usual
        word = (
            values.filter(odd)
            .to_frame("value")
            .select(fold_width(pl.col("value")).str.strip_chars().str.to_lowercase())
            .to_series()
        )
        return put_back(usual, odd, word.replace_strict(list(rare), list(rare.values()), default=None, return_dtype=pl.String))

    return column.map_batches(work, return_dtype=pl.String, is_elementwise=True)


def email(column: pl.Expr) -> pl.Expr:
    """An e-mail address in lower case and ordinary width; NULL when it cannot be one.

    >>> pl.DataFrame({"e": [" Wang＠Example.COM ", "a@b", "wang@@x.cn"]}).select(email(pl.col("e"))).to_series().to_list()
    ['wang@example.com', None, None]
    """

    def repair(value: pl.Expr) -> pl.Expr:
        clean = fold_width(strip_invisible(value)).str.strip_chars().str.to_lowercase()
        return pl.when(clean.str.contains(ANY_EMAIL) & (clean.str.len_bytes() <= 254)).then(clean)

    return repair_unusual(column, lambda value: ~value.str.contains(USUAL_EMAIL), repair)


def address(column: pl.Expr) -> pl.Expr:
    """A postal address on one line, digits and letters in ordinary width. Blank is NULL.

    >>> pl.select(address(pl.lit("上海市浦东新区　世纪大道１００号\\n２楼"))).item()
    '上海市浦东新区 世纪大道100号 2楼'
    """
    odd = rf"^\s|\s$|\s\s|^$|[\t\n\r\x{{2028}}\x{{2029}}\x{{3000}}\x{{ff01}}-\x{{ff5e}}{INVISIBLE}]"
    return repair_unusual(
        column, lambda value: value.str.contains(odd), lambda value: blank_is_none(one_line(fold_width(strip_invisible(value))))
    )


def build_gender(inputs: Inputs, args: Arguments) -> pl.Expr:
    """`gender` of a text or a number."""
    given = inputs[0]
    return gender(given.expr if given.kind == "text" else given.expr.cast(pl.String), table_argument(args, "codes"))


def why_no_gender(inputs: Inputs, args: Arguments) -> pl.Expr:
    """Blank and the codes for "unknown" are none."""
    del args
    given = inputs[0]
    word = (given.expr if given.kind == "text" else given.expr.cast(pl.String)).str.strip_chars().str.to_lowercase()
    return pl.when(~word.is_in(["", *NO_GENDER])).then(pl.lit("unknown_code"))


TRANSFORMS: Final = (
    Transform(
        "name",
        "A person's name: NFKC, one line, nothing invisible, no title.",
        lambda inputs, args: name(inputs[0].expr),
        (("text",),),
        suspects=text_changed,
        remark=text_remark,
        personal="name",
    ),
    Transform(
        "name_key",
        "A name for comparing: lower case, no blanks.",
        lambda inputs, args: name_key(inputs[0].expr),
        (("text",),),
        personal="name",
    ),
    Transform(
        "gender",
        "M, F or NULL from any usual code (GB/T 2261.1 and words).",
        build_gender,
        (("text", "integer", "boolean"),),
        why=why_no_gender,
        args={"codes": ArgumentSpec("table of texts", {}, "codes of your own, such as { 0 = 'F', 1 = 'M' }")},
        on_bad="null",
    ),
    Transform(
        "email",
        "An e-mail address in lower case.",
        lambda inputs, args: email(inputs[0].expr),
        (("text",),),
        why=unreadable("bad_email"),
        personal="email",
        on_bad="null",
    ),
    Transform(
        "address",
        "A postal address on one line.",
        lambda inputs, args: address(inputs[0].expr),
        (("text",),),
        suspects=text_changed,
        remark=text_remark,
        personal="address",
    ),
)
