"""What a transform is, and how one stays fast: check that values are usual, and repair only those that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from etl.mapping.model import Argument, OnBad

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "datetime", "time", "binary"]
"""Kinds of staged and produced values; `kind_of` finds it."""

Condition = Callable[[pl.Expr], pl.Expr]
Arguments = Mapping[str, Argument]


@dataclass(frozen=True)
class Input:
    """One source column of a transform."""

    expr: pl.Expr
    dtype: pl.DataType

    @property
    def kind(self) -> Kind:
        """Which kind of value it holds."""
        return kind_of(self.dtype)


Inputs = Sequence[Input]


@dataclass(frozen=True)
class ArgumentSpec:
    """An argument of a transform: its type in the file, what it is when left out (None: it must be given), and what for."""

    type: Literal["text", "whole number", "yes or no", "list of texts", "table of texts"]
    default: Argument | None
    meaning: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transform:
    """A named way to make one target value of source values.

    `build` gives the value: NULL where there is none or where it cannot be read.
    `why` tells these two apart, on rows whose value is NULL although a source is not: a reason code, or NULL for "none".
    `remark` gives a reason code where a value was changed beyond its spelling; it is asked only where `suspects` is true.
    `accepts`: kinds of each source column; the last stands for all further ones. `sources`: least and greatest number of them.
    """

    name: str
    meaning: str
    build: Callable[[Inputs, Arguments], pl.Expr]
    accepts: tuple[tuple[Kind, ...], ...]
    why: Callable[[Inputs, Arguments], pl.Expr] | None = None
    suspects: Callable[[Inputs, pl.Expr, Arguments], pl.Expr] | None = None
    remark: Callable[[Inputs, pl.Expr, Arguments], pl.Expr] | None = None
    sources: tuple[int, int] = (1, 1)
    args: Mapping[str, ArgumentSpec] = field(default_factory=dict)
    personal: str | None = None
    on_bad: OnBad = "reject"


def kind_of(dtype: pl.DataType) -> Kind:
    """The kind of a staged column's type.

    >>> kind_of(pl.Decimal(19, 4)), kind_of(pl.Datetime("us")), kind_of(pl.Int32())
    ('decimal', 'datetime', 'integer')
    """
    match dtype:
        case pl.String():
            return "text"
        case pl.Decimal():
            return "decimal"
        case pl.Boolean():
            return "boolean"
        case pl.Date():
            return "date"
        case pl.Datetime():
            return "datetime"
        case pl.Time():
            return "time"
        case pl.Binary():
            return "binary"
        case _ if dtype.is_integer():
            return "integer"
        case _ if dtype.is_float():
            return "float"
    raise ValueError(f"no transform reads {dtype}")


def repair_unusual(column: pl.Expr, unusual: Condition, repair: Condition) -> pl.Expr:
    """`column` with `repair` applied only to values for which `unusual` is true; NULL is usual. Text to text.

    A `when` would compute `repair` for every row; this computes it for the few that need it, which is what makes transforms
    of text fast. Each value still depends on itself alone.
    """

    def work(values: pl.Series) -> pl.Series:
        frame = values.to_frame("value")
        odd = frame.select(unusual(pl.col("value")).fill_null(value=False)).to_series()
        if not odd.any():
            return values
        repaired = frame.filter(odd).select(repair(pl.col("value")).alias("value")).to_series()
        return put_back(values, odd, repaired)

    return column.map_batches(work, return_dtype=pl.String, is_elementwise=True)


def put_back(values: pl.Series, odd: pl.Series, repaired: pl.Series) -> pl.Series:
    """`values` with those marked `odd` replaced by `repaired`, in order.

    >>> put_back(pl.Series(["a", "b", "c"]), pl.Series([True, False, True]), pl.Series(["A", None])).to_list()
    ['A', 'b', None]
    """
    return values.clone().scatter(odd.arg_true(), repaired)


def blank_is_none(column: pl.Expr) -> pl.Expr:
    """Empty text as NULL."""
    return pl.when(column.str.len_bytes() > 0).then(column)


def unreadable(reason: str) -> Callable[[Inputs, Arguments], pl.Expr]:
    """A `why`: `reason`, unless the text is blank. Words such as N/A are told too: nothing is left out in silence."""

    def why(inputs: Inputs, args: Arguments) -> pl.Expr:
        del args
        first = inputs[0]
        return pl.when(first.expr.str.strip_chars() != "").then(pl.lit(reason)) if first.kind == "text" else pl.lit(reason)

    return why


def text_argument(args: Arguments, name: str) -> str:
    """An argument that is a text."""
    value = args[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a text")
    return value


def table_argument(args: Arguments, name: str) -> dict[str, str]:
    """An argument that is a table of texts."""
    value = args[name]
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is not a table")
    return dict(value)


def list_argument(args: Arguments, name: str) -> tuple[str, ...]:
    """An argument that is a list of texts."""
    value = args[name]
    if not isinstance(value, tuple):
        raise TypeError(f"{name} is not a list")
    return value


def flag_argument(args: Arguments, name: str) -> bool:
    """An argument that is true or false."""
    return args[name] is True


def number_argument(args: Arguments, name: str) -> int:
    """An argument that is a whole number."""
    value = args[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is not a whole number")
    return value
