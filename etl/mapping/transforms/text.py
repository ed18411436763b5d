"""Text that is kept as text: trimmed, without control characters, folded where two spellings are one key."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.base import (
    Arguments,
    ArgumentSpec,
    Inputs,
    Kind,
    Transform,
    blank_is_none,
    flag_argument,
    repair_unusual,
    text_argument,
    unreadable,
)

# C0 and C1 controls without tab, line feed and carriage return; zero-width characters and marks of writing direction.
# The zero-width joiner stays: emoji are written with it.
INVISIBLE: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{ad}\x{200b}\x{200c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}\x{feff}"
LINE_BREAKS: Final = r"\t\n\r\x{2028}\x{2029}"
FULL_WIDTH: Final = [chr(code) for code in range(0xFF01, 0xFF5F)] + ["\u3000"]
HALF_WIDTH: Final = [chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)] + [" "]

GUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def strip_invisible(column: pl.Expr) -> pl.Expr:
    """Without control and zero-width characters.

    >>> pl.select(strip_invisible(pl.lit("a\\x00b\\u200bc"))).item()
    'abc'
    """
    return column.str.replace_all(f"[{INVISIBLE}]", "")


def one_line(column: pl.Expr) -> pl.Expr:
    """On one line: each run of blanks and line ends becomes one space, none at the ends.

    >>> pl.select(one_line(pl.lit(" a \\r\\n\\u3000b "))).item()
    'a b'
    """
    return column.str.replace_all(r"\s+", " ").str.strip_chars()


def fold_width(column: pl.Expr) -> pl.Expr:
    """Full-width letters, digits and signs as their ordinary forms; nothing else changes.

    >>> pl.select(fold_width(pl.lit("Ａ座１０１（①）"))).item()
    'A座101(①)'
    """
    wide = r"[\x{ff01}-\x{ff5e}\x{3000}]"
    return repair_unusual(
        column, lambda value: value.str.contains(wide), lambda value: value.str.replace_many(FULL_WIDTH, HALF_WIDTH)
    )


def text(column: pl.Expr, *, multiline: bool = False, control: str = "strip", blank: str = "null") -> pl.Expr:
    """Text as written, trimmed, without what cannot be seen. Blank text is NULL unless `blank` is "keep".

    `multiline` keeps line ends and tabs. `control`: "strip" removes control characters, "reject" makes the value unreadable,
    "keep" leaves them.

    >>> pl.select(text(pl.lit("  a\\tb\\x07  "))).item()
    'a b'
    >>> pl.select(text(pl.lit("a\\nb"), multiline=True)).item()
    'a\\nb'
    >>> pl.select(text(pl.lit(" "))).item() is None
    True
    """
    breaks = "" if multiline else LINE_BREAKS
    hidden = "" if control == "keep" else INVISIBLE
    odd = f"[{breaks}{hidden}]" if breaks or hidden else "$^"

    def repair(value: pl.Expr) -> pl.Expr:
        clean = strip_invisible(value) if control == "strip" else value
        clean = clean.str.strip_chars() if multiline else clean.str.replace_all(f"[{LINE_BREAKS}]+", " ").str.strip_chars()
        clean = blank_is_none(clean) if blank == "null" else clean
        return pl.when(~value.str.contains(f"[{INVISIBLE}]")).then(clean) if control == "reject" else clean

    return repair_unusual(column, lambda value: value.str.contains(rf"^\s|\s$|^$|{odd}"), repair)


def code(column: pl.Expr) -> pl.Expr:
    """A code that other rows refer to, written in one way: trimmed, upper case, ordinary width. Blank is NULL.

    SQL Server's Chinese_PRC_CI_AS takes 's01', 'S01 ' and 'Ｓ０１' as equal; utf8mb4_bin does not.

    >>> pl.select(code(pl.lit("ｓ01 "))).item()
    'S01'
    """
    return repair_unusual(
        column,
        lambda value: value.str.contains(r"[^\x21-\x60\x7b-\x7e]|^$"),
        lambda value: blank_is_none(fold_width(strip_invisible(value)).str.strip_chars().str.to_uppercase()),
    )


def guid(column: pl.Expr) -> pl.Expr:
    """A GUID in lower case with hyphens; braces and upper case are taken, anything else is unreadable.

    >>> pl.select(guid(pl.lit("{6F9619FF-8B86-D011-B42D-00C04FC964FF}"))).item()
    '6f9619ff-8b86-d011-b42d-00c04fc964ff'
    """

    def repair(value: pl.Expr) -> pl.Expr:
        bare = value.str.strip_chars(" {}\t\r\n").str.to_lowercase()
        return pl.when(bare.str.contains(GUID)).then(bare)

    return repair_unusual(column, lambda value: ~value.str.contains(GUID), repair)


def as_text(inputs: Inputs, at: int = 0) -> pl.Expr:
    """A source as text: numbers without a fraction and GUIDs are written out."""
    given = inputs[at]
    return given.expr if given.kind == "text" else given.expr.cast(pl.String)


def why_no_text(inputs: Inputs, args: Arguments) -> pl.Expr:
    """Text is unreadable only when control characters are to be rejected."""
    del args
    return pl.when(as_text(inputs).str.contains(f"[{INVISIBLE}]")).then(pl.lit("control_characters"))


def text_changed(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """Rows whose text is not what it was."""
    del args
    return value != as_text(inputs)


def text_remark(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """Characters that cannot be seen were taken out, or line ends and tabs became blanks."""
    del value
    breaks = "" if args.get("multiline") else LINE_BREAKS
    return pl.when(as_text(inputs).str.contains(f"[{INVISIBLE}{breaks}]")).then(pl.lit("control_characters"))


def build_concat(inputs: Inputs, args: Arguments) -> pl.Expr:
    """Texts joined; NULL parts are left out, and nothing but NULL gives NULL."""
    parts = [as_text(inputs, at) for at in range(len(inputs))]
    joined = pl.concat_str(parts, separator=text_argument(args, "separator"), ignore_nulls=True)
    return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(joined)


def build_coalesce(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The first source that has a value; blank text is none."""
    del args
    return pl.coalesce([blank_is_none(given.expr) if given.kind == "text" else given.expr for given in inputs])


def build_text(inputs: Inputs, args: Arguments) -> pl.Expr:
    """`text` with the arguments of the mapping."""
    multiline, control, blank = flag_argument(args, "multiline"), text_argument(args, "control"), text_argument(args, "blank")
    return text(as_text(inputs), multiline=multiline, control=control, blank=blank)


CONTROL = ArgumentSpec("text", "strip", "what to do with control characters", choices=("strip", "reject", "keep"))
BLANK = ArgumentSpec("text", "null", "what a blank text is", choices=("null", "keep"))
MULTILINE = ArgumentSpec("yes or no", False, "keep line ends and tabs")
WRITABLE: Final[tuple[Kind, ...]] = ("text", "integer")
ANY_KIND: Final[tuple[Kind, ...]] = ("text", "integer", "decimal", "float", "boolean", "date", "datetime", "time", "binary")

TRANSFORMS: Final = (
    Transform(
        "copy",
        "The value as it is; only checked against the target column.",
        lambda inputs, args: inputs[0].expr,
        (ANY_KIND,),
    ),
    Transform(
        "text",
        "Text, trimmed, without control characters; whole numbers are written out.",
        build_text,
        (WRITABLE,),
        why=why_no_text,
        suspects=text_changed,
        remark=text_remark,
        args={"multiline": MULTILINE, "control": CONTROL, "blank": BLANK},
    ),
    Transform(
        "code",
        "A code that rows refer to: trimmed, upper case, ordinary width.",
        lambda inputs, args: code(as_text(inputs)),
        (WRITABLE,),
        suspects=text_changed,
        remark=text_remark,
    ),
    Transform(
        "upper", "Text in upper case, trimmed.", lambda inputs, args: text(as_text(inputs)).str.to_uppercase(), (WRITABLE,)
    ),
    Transform(
        "lower", "Text in lower case, trimmed.", lambda inputs, args: text(as_text(inputs)).str.to_lowercase(), (WRITABLE,)
    ),
    Transform("trim", "Text without blanks at its ends.", lambda inputs, args: as_text(inputs).str.strip_chars(), (WRITABLE,)),
    Transform(
        "prefix",
        "Text behind a fixed beginning.",
        lambda inputs, args: pl.concat_str(pl.lit(text_argument(args, "with")), text(as_text(inputs))),
        (WRITABLE,),
        args={"with": ArgumentSpec("text", None, "what to put before it")},
    ),
    Transform(
        "concat",
        "Texts of several columns joined; NULL is left out.",
        build_concat,
        (WRITABLE,),
        sources=(1, 16),
        args={"separator": ArgumentSpec("text", "", "what to put between them")},
    ),
    Transform(
        "coalesce",
        "The first column that has a value; all of one kind.",
        build_coalesce,
        (ANY_KIND,),
        sources=(1, 16),
    ),
    Transform(
        "guid", "A GUID in lower case.", lambda inputs, args: guid(inputs[0].expr), (("text",),), why=unreadable("bad_guid")
    ),
)
