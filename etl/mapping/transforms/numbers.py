"""Numbers, exact: nothing here rounds, and a number that would have to be rounded is unreadable."""

from __future__ import annotations

from functools import reduce
from operator import add, sub
from typing import Final

import polars as pl

from etl.mapping.transforms.base import (
    Arguments,
    ArgumentSpec,
    Input,
    Inputs,
    Kind,
    Transform,
    number_argument,
    table_argument,
)
from etl.mapping.transforms.text import fold_width

PLAIN_NUMBER: Final = r"^[+-]?[0-9]+(?:\.[0-9]*)?$|^[+-]?\.[0-9]+$"
# Legacy tier codes, in rising order (etl/rules/tiers.py).
TIERS: Final = {"0": "BRONZE", "1": "SILVER", "2": "GOLD", "3": "PLATINUM"}
TRUE_WORDS: Final = ("1", "true", "t", "yes", "y", "是", "on", "启用", "同意")
FALSE_WORDS: Final = ("0", "false", "f", "no", "n", "否", "off", "停用", "拒绝")
MOST_DIGITS: Final = 38
GROUPED_NUMBER: Final = r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?$"


def number_text(column: pl.Expr) -> pl.Expr:
    """Text of a number without its decoration: blanks, thousands separators, a currency sign.

    >>> pl.DataFrame({"n": [" ￥１,234.50 ", "1,2345"]}).select(number_text(pl.col("n"))).to_series().to_list()
    ['1234.50', '1,2345']
    """
    bare = fold_width(column).str.replace_all(r"^[\s¥￥$]+|[\s元]+$", "")
    return pl.when(bare.str.contains(GROUPED_NUMBER)).then(bare.str.replace_all(",", "", literal=True)).otherwise(bare)


def integer(given: Input) -> pl.Expr:
    """A whole number; NULL when it is none or has a fraction.

    >>> frame = pl.DataFrame({"n": ["12", " 1,200 ", "3.0", "3.5", "x"]})
    >>> frame.select(integer(Input(pl.col("n"), pl.String()))).to_series().to_list()
    [12, 1200, 3, None, None]
    """
    match given.kind:
        case "integer":
            return given.expr
        case "text":
            clean = number_text(given.expr)
            whole = clean.str.replace(r"\.0*$", "")
            return pl.when(clean.str.contains(PLAIN_NUMBER)).then(whole.str.to_integer(strict=False))
        case _:
            whole = given.expr.cast(pl.Int64, strict=False)
            return pl.when(whole.cast(given.dtype, strict=False) == given.expr).then(whole)


def decimal(given: Input, scale: int) -> pl.Expr:
    """A decimal number, exact; NULL when it has more than `scale` fractional digits. Decimals and whole numbers stay as they are.

    >>> frame = pl.DataFrame({"n": ["12.5", "￥1,200", "0.12345", "1e3", "x"]})
    >>> [str(n) for n in frame.select(decimal(Input(pl.col("n"), pl.String()), 4)).to_series()]
    ['12.5000', '1200.0000', 'None', 'None', 'None']
    """
    wanted = pl.Decimal(MOST_DIGITS, scale)
    match given.kind:
        case "decimal" | "integer":
            return given.expr
        case "text":
            clean = number_text(given.expr)
            fits = clean.str.contains(PLAIN_NUMBER) & ~clean.str.contains(too_fine(scale))
            return pl.when(fits).then(clean.cast(wanted, strict=False))
        case _:
            small = pl.when(given.expr.abs() < greatest_float(scale)).then(given.expr)
            exact = small.cast(wanted, strict=False)
            return pl.when(exact.cast(given.dtype) == given.expr).then(exact)


def greatest_float(scale: int) -> float:
    """Floats from here on are out of range: one digit short of what polars' decimals hold, since it rounds when it converts."""
    return 10.0 ** (MOST_DIGITS - 1 - scale)


def tier(given: Input, codes: dict[str, str]) -> pl.Expr:
    """A tier's name from its legacy code, or from the name itself.

    >>> pl.DataFrame({"t": [0, 3, 9]}).select(tier(Input(pl.col("t"), pl.UInt8()), TIERS)).to_series().to_list()
    ['BRONZE', 'PLATINUM', None]
    """
    if given.kind == "text":
        table = codes | {name: name for name in codes.values()}
        return (
            given.expr.str.strip_chars()
            .str.to_uppercase()
            .replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)
        )
    numeric = {int(code): name for code, name in codes.items() if code.lstrip("-").isdigit()}
    return given.expr.cast(pl.Int64).replace_strict(list(numeric), list(numeric.values()), default=None, return_dtype=pl.String)


def boolean(given: Input) -> pl.Expr:
    """True or false from a bit, 0 and 1, or words.

    >>> pl.DataFrame({"b": ["是", "N", "2"]}).select(boolean(Input(pl.col("b"), pl.String()))).to_series().to_list()
    [True, False, None]
    """
    match given.kind:
        case "boolean":
            return given.expr
        case "text":
            words = {**dict.fromkeys(TRUE_WORDS, True), **dict.fromkeys(FALSE_WORDS, False)}
            word = fold_width(given.expr).str.strip_chars().str.to_lowercase()
            return word.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.Boolean)
        case _:
            return pl.when(given.expr.is_in([0, 1])).then(given.expr == 1)


def build_codes(inputs: Inputs, args: Arguments) -> pl.Expr:
    """A value for each code of the mapping's table."""
    table = table_argument(args, "codes")
    given = inputs[0]
    word = given.expr.str.strip_chars() if given.kind == "text" else given.expr.cast(pl.String)
    return word.replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)


def summand(given: Input, scale: int) -> pl.Expr:
    """A decimal small enough that sixteen of them cannot overflow; NULL beyond."""
    value = decimal(given, scale)
    if given.kind == "integer" or (
        isinstance(given.dtype, pl.Decimal) and (given.dtype.precision or MOST_DIGITS) <= MOST_DIGITS - 2
    ):
        return value.cast(pl.Decimal(MOST_DIGITS, 0)) if given.kind == "integer" else value
    digits = MOST_DIGITS - 2 - (given.dtype.scale if isinstance(given.dtype, pl.Decimal) else scale)
    return pl.when(value.abs() < pl.lit(10**digits, dtype=pl.Decimal(MOST_DIGITS, 0))).then(value)


def build_sum(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The sum of all sources; NULL when one is."""
    first, *others = (summand(given, number_argument(args, "scale")) for given in inputs)
    return reduce(add, others, first)


def build_difference(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The first source less all others; NULL when one is."""
    first, *others = (summand(given, number_argument(args, "scale")) for given in inputs)
    return reduce(sub, others, first)


def floating(given: Input) -> pl.Expr:
    """A floating point number; NULL when it is none.

    >>> pl.DataFrame({"n": ["31.25", "x"]}).select(floating(Input(pl.col("n"), pl.String()))).to_series().to_list()
    [31.25, None]
    """
    if given.kind == "text":
        clean = number_text(given.expr)
        return pl.when(clean.str.contains(PLAIN_NUMBER)).then(clean.cast(pl.Float64, strict=False))
    return given.expr


def why_no_number(inputs: Inputs, args: Arguments) -> pl.Expr:
    """A well written number fails by its fraction or its size, anything else by not being one; blank is none."""
    return pl.coalesce(pl.when(given.expr.is_not_null()).then(why_not(given, args)) for given in inputs)


def why_not(given: Input, args: Arguments) -> pl.Expr:
    """`why_no_number` of one source; NULL also for a source that is well."""
    scale = number_argument(args, "scale") if "scale" in args else 0
    if given.kind == "text":
        clean = number_text(given.expr)
        return (
            pl.when(clean.str.contains(PLAIN_NUMBER) & clean.str.contains(too_fine(scale)))
            .then(pl.lit("not_exact"))
            .when(clean.str.contains(PLAIN_NUMBER))
            .then(pl.lit("out_of_range"))
            .when(clean != "")
            .then(pl.lit("not_a_number"))
        )
    if given.kind == "float":
        huge = given.expr.abs() >= (greatest_float(scale) if "scale" in args else 2.0**63)
        reason = pl.when(huge).then(pl.lit("out_of_range")).otherwise(pl.lit("not_exact"))
        return pl.when(given.expr.is_finite()).then(reason).otherwise(pl.lit("not_a_number"))
    return pl.when(given.expr.cast(pl.Int64, strict=False).is_null()).then(pl.lit("out_of_range")).otherwise(pl.lit("not_exact"))


def why_no_total(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The first source that is there but cannot be read; where one is merely missing, so is the total."""
    scale = number_argument(args, "scale")
    return pl.coalesce(
        pl.when(given.expr.is_not_null() & summand(given, scale).is_null()).then(why_not(given, args)) for given in inputs
    )


def too_fine(scale: int) -> str:
    """Pattern of a number with a digit other than 0 beyond `scale` fractional digits."""
    return rf"\.[0-9]{{{scale}}}[0-9]*[1-9]"


def why_no_code(inputs: Inputs, args: Arguments) -> pl.Expr:
    """A code that the table does not have; blank is none."""
    del args
    given = inputs[0]
    return (
        pl.when(given.expr.str.strip_chars() != "").then(pl.lit("unknown_code"))
        if given.kind == "text"
        else pl.lit("unknown_code")
    )


READABLE: Final[tuple[Kind, ...]] = ("integer", "decimal", "float", "text")
SCALE = ArgumentSpec("whole number", 4, "most fractional digits")

TRANSFORMS: Final = (
    Transform("integer", "A whole number.", lambda inputs, args: integer(inputs[0]), (READABLE,), why=why_no_number),
    Transform("points", "Points, a whole number.", lambda inputs, args: integer(inputs[0]), (READABLE,), why=why_no_number),
    Transform(
        "decimal",
        "A decimal number, exact.",
        lambda inputs, args: decimal(inputs[0], number_argument(args, "scale")),
        (READABLE,),
        why=why_no_number,
        args={"scale": SCALE},
    ),
    Transform(
        "money",
        "An amount of money, exact to four digits.",
        lambda inputs, args: decimal(inputs[0], number_argument(args, "scale")),
        (READABLE,),
        why=why_no_number,
        args={"scale": SCALE},
    ),
    Transform(
        "sum", "The sum of several columns.", build_sum, (READABLE,), why=why_no_total, sources=(2, 16), args={"scale": SCALE}
    ),
    Transform(
        "difference",
        "The first column less the others.",
        build_difference,
        (READABLE,),
        why=why_no_total,
        sources=(2, 16),
        args={"scale": SCALE},
    ),
    Transform(
        "float",
        "A floating point number.",
        lambda inputs, args: floating(inputs[0]),
        (("float", "integer", "text"),),
        why=why_no_number,
    ),
    Transform(
        "tier",
        "A tier from its legacy code.",
        lambda inputs, args: tier(inputs[0], table_argument(args, "codes")),
        (("integer", "text"),),
        why=why_no_code,
        args={"codes": ArgumentSpec("table of texts", TIERS, "tier for each code")},
    ),
    Transform(
        "codes",
        "A text for each code of a table.",
        build_codes,
        (("integer", "text", "boolean"),),
        why=why_no_code,
        args={"codes": ArgumentSpec("table of texts", None, "text for each code")},
    ),
    Transform(
        "boolean",
        "True or false from a bit or a word.",
        lambda inputs, args: boolean(inputs[0]),
        (("boolean", *READABLE),),
        why=why_no_code,
    ),
)
