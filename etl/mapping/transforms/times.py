"""Dates and times: legacy local times become UTC, sentinels become NULL, dates are read from the ways people write them."""

from __future__ import annotations

from datetime import date as Date
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from etl.mapping.transforms.base import (
    Arguments,
    ArgumentSpec,
    Input,
    Inputs,
    Kind,
    Transform,
    list_argument,
    number_argument,
    put_back,
    text_argument,
)
from etl.mapping.transforms.text import fold_width
from etl.mapping.transforms.zones import clock_changed, clock_remark, to_utc

MIDNIGHT: Final = r"(?:[T\s]+0{1,2}:00(?::00(?:\.0+)?)?)?"
DATE_PARTS: Final = rf"^(?P<y>[0-9]{{4}}|[0-9]{{2}})(?:[-/.]|年)(?P<m>[0-9]{{1,2}})(?:[-/.]|月)(?P<d>[0-9]{{1,2}})日?{MIDNIGHT}$"
DAY_AND_TIME: Final = r"^(.+?)[T ]+([0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)$"
# An instant staged as UTC may be up to this far from the local date that was written.
FARTHEST_OFFSET: Final = timedelta(hours=14)


def is_sentinel(column: pl.Expr, dtype: pl.DataType, sentinels: tuple[str, ...], slack: timedelta = timedelta(0)) -> pl.Expr:
    """Is the value on one of the days that stand for "none"?

    >>> pl.select(is_sentinel(pl.lit(Date(1900, 1, 1)), pl.Date(), ("1900-01-01",))).item()
    True
    """
    days = [Date.fromisoformat(day) for day in sentinels]
    if isinstance(dtype, pl.Date):
        return column.is_in(days)
    starts = [datetime(day.year, day.month, day.day) for day in days]
    return pl.any_horizontal(
        [column.is_between(begin(start, slack), end(start, slack), closed="both") for start in starts] or [pl.lit(value=False)]
    )


def begin(start: datetime, slack: timedelta) -> datetime:
    """The first moment of a day, less `slack`."""
    return start - slack if start - datetime.min > slack else datetime.min


def end(start: datetime, slack: timedelta) -> datetime:
    """The last microsecond of a day, and `slack`."""
    last = start + timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999)
    return last + slack if datetime.max - last > slack else datetime.max


def without_sentinels(
    column: pl.Expr, dtype: pl.DataType, sentinels: tuple[str, ...], slack: timedelta = timedelta(0)
) -> pl.Expr:
    """The value, NULL on a sentinel day."""
    return pl.when(~is_sentinel(column, dtype, sentinels, slack)).then(column) if sentinels else column


def date_of_text(column: pl.Expr, pivot: int = 30) -> pl.Expr:
    """A date as people write it; NULL when it is none. A year of two digits is 20xx up to `pivot`, else 19xx.

    >>> dates = ["1990-01-02", "19900102", "90/1/2", "1990年1月2日", "１９９０．１．２", "1990-02-30"]
    >>> [str(date) for date in pl.DataFrame({"d": dates}).select(date_of_text(pl.col("d"))).to_series()]
    ['1990-01-02', '1990-01-02', '1990-01-02', '1990-01-02', '1990-01-02', 'None']
    """

    def work(values: pl.Series) -> pl.Series:
        # Ten characters, since %Y also takes a year of two digits for one of the first century.
        whole = pl.when(pl.col("value").str.len_bytes() == 10).then(pl.col("value"))
        usual = values.to_frame("value").select(whole.str.to_date("%Y-%m-%d", strict=False)).to_series().alias(values.name)
        odd = usual.is_null() & values.is_not_null()
        return put_back(usual, odd, unusual_dates(values.filter(odd), pivot)) if odd.any() else usual

    return column.map_batches(work, return_dtype=pl.Date, is_elementwise=True)


def unusual_dates(values: pl.Series, pivot: int) -> pl.Series:
    """Dates with other marks between their parts, or none; the rest goes to `rare_dates`."""
    tidy = fold_width(pl.col("value")).str.strip_chars()
    tidied = values.to_frame("value").select(
        value=tidy.str.replace_many(["/", ".", "年", "月"], ["-"] * 4).str.strip_suffix("日")
    )
    marked = pl.when(pl.col("value").str.contains(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$")).then(pl.col("value"))
    compact = pl.when(pl.col("value").str.contains(r"^[0-9]{8}$")).then(pl.col("value"))
    found = tidied.select(
        pl.coalesce(marked.str.to_date("%Y-%m-%d", strict=False), compact.str.to_date("%Y%m%d", strict=False))
    ).to_series()
    rest = found.is_null()
    return put_back(found, rest, rare_dates(values.filter(rest), pivot)) if rest.any() else found


def rare_dates(values: pl.Series, pivot: int) -> pl.Series:
    """Dates with a year of two digits, or with a midnight behind them."""
    parsed = fold_width(pl.col("value")).str.strip_chars().str.extract_groups(DATE_PARTS)
    parts = values.to_frame("value").select(parsed.alias("parts")).unnest("parts").cast(pl.Int32)
    year = (
        pl.when(pl.col("y") <= pivot)
        .then(pl.col("y") + 2000)
        .when(pl.col("y") < 100)
        .then(pl.col("y") + 1900)
        .otherwise(pl.col("y"))
    )
    padded = [part.cast(pl.String).str.zfill(width) for part, width in ((year, 4), (pl.col("m"), 2), (pl.col("d"), 2))]
    return parts.select(pl.concat_str(padded, separator="-").str.to_date("%Y-%m-%d", strict=False)).to_series()


def time_of_text(column: pl.Expr, pivot: int = 30) -> pl.Expr:
    """A date and time as text; a date alone is its midnight. NULL when it is none.

    >>> times = ["2024-11-11 20:00:00.123", "24/11/11 8:00", "20241111200000", "2024-11-11", "20:00"]
    >>> [str(time) for time in pl.DataFrame({"t": times}).select(time_of_text(pl.col("t"))).to_series()]
    ['2024-11-11 20:00:00.123000', '2024-11-11 08:00:00', '2024-11-11 20:00:00', '2024-11-11 00:00:00', 'None']
    """
    tidy = fold_width(column).str.strip_chars()
    day = tidy.str.extract(DAY_AND_TIME, 1)
    clock = tidy.str.extract(DAY_AND_TIME, 2)
    compact = tidy.str.contains(r"^[0-9]{14}$")
    return pl.coalesce(
        date_of_text(day, pivot).cast(pl.Datetime("us")) + time_of_day(clock),
        pl.when(compact).then(tidy).str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us"),
        date_of_text(column, pivot).cast(pl.Datetime("us")),
    )


def time_of_day(column: pl.Expr) -> pl.Expr:
    """A time of day as text, as the time since midnight; NULL when it is none.

    >>> pl.select(time_of_day(pl.lit("8:05"))).item()
    datetime.timedelta(seconds=29100)
    """
    readings = (column.str.to_time(form, strict=False) for form in ("%H:%M:%S%.f", "%H:%M"))
    return pl.coalesce(readings).cast(pl.Duration("us"))


def moment(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The local time the sources write: one column, or a date and a time of day."""
    first = inputs[0]
    sentinels = list_argument(args, "sentinels")
    pivot = number_argument(args, "pivot")
    if first.kind == "text":
        only_date = len(inputs) > 1
        written = date_of_text(first.expr, pivot) if only_date else time_of_text(first.expr, pivot)
        first = Input(written, pl.Date() if only_date else pl.Datetime("us"))
    value = without_sentinels(first.expr, first.dtype, sentinels).cast(pl.Datetime("us"))
    if len(inputs) == 1:
        return value
    clock = inputs[1].expr
    return value + (time_of_day(clock.str.strip_chars()) if inputs[1].kind == "text" else clock.cast(pl.Duration("us")))


def build_local_time(inputs: Inputs, args: Arguments) -> pl.Expr:
    """`to_utc` of the moment written."""
    return to_utc(
        moment(inputs, args),
        text_argument(args, "zone"),
        ambiguous=text_argument(args, "ambiguous"),
        non_existent=text_argument(args, "non_existent"),
    )


def why_no_local_time(inputs: Inputs, args: Arguments) -> pl.Expr:
    """A time the zone's clock skipped or showed twice, where those are rejected; else as for dates."""
    return pl.coalesce(clock_remark(moment(inputs, args), text_argument(args, "zone")), why_no_date(inputs, args))


def why_no_date(inputs: Inputs, args: Arguments) -> pl.Expr:
    """Sentinels and blank text are none; other text that is no date is a mistake."""
    sentinels = list_argument(args, "sentinels")
    reasons: list[pl.Expr] = []
    for given in inputs:
        if given.kind == "text":
            written = fold_width(given.expr).str.strip_chars()
            day = date_of_text(written.str.slice(0, 10))
            missing = (
                (written == "")
                | is_sentinel(day, pl.Date(), sentinels).fill_null(value=False)
                | written.str.contains(r"^0000-00-00")
            )
            reasons.append(pl.when(~missing).then(pl.lit("bad_date")))
        else:
            reasons.append(pl.lit(None, dtype=pl.String))
    return pl.coalesce(reasons)


def build_utc_time(inputs: Inputs, args: Arguments) -> pl.Expr:
    """An instant that is staged as UTC already."""
    given = inputs[0]
    sentinels = list_argument(args, "sentinels")
    expr = time_of_text(given.expr) if given.kind == "text" else given.expr
    return without_sentinels(expr.cast(pl.Datetime("us")), pl.Datetime("us"), sentinels, FARTHEST_OFFSET)


def build_date(inputs: Inputs, args: Arguments) -> pl.Expr:
    """The date of a date, a date and time, or a text."""
    given = inputs[0]
    sentinels = list_argument(args, "sentinels")
    if given.kind == "text":
        return without_sentinels(date_of_text(given.expr, number_argument(args, "pivot")), pl.Date(), sentinels)
    return without_sentinels(given.expr.dt.date() if given.kind == "datetime" else given.expr, pl.Date(), sentinels)


def local_suspects(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """Times from when the zone's clock still changed."""
    del value
    first = inputs[0]
    if first.kind == "text":
        return clock_changed(moment(inputs, args), text_argument(args, "zone"))
    return clock_changed(first.expr, text_argument(args, "zone"))


def local_remark(inputs: Inputs, value: pl.Expr, args: Arguments) -> pl.Expr:
    """A time that was skipped or shown twice had to be interpreted."""
    del value
    return clock_remark(moment(inputs, args), text_argument(args, "zone"))


SENTINELS = ArgumentSpec("list of texts", (), "days that mean none; the mapping's sentinels when left out")
PIVOT = ArgumentSpec("whole number", 30, "two-digit years up to this are 20xx")
ZONE = ArgumentSpec("text", "", "time zone of the legacy clock; the mapping's when left out")
AMBIGUOUS = ArgumentSpec("text", "earliest", "a time the clock showed twice", choices=("earliest", "latest", "reject"))
NON_EXISTENT = ArgumentSpec("text", "shift", "a time the clock skipped", choices=("shift", "reject"))
DATED: Final[tuple[Kind, ...]] = ("datetime", "date", "text")

TRANSFORMS: Final = (
    Transform(
        "local_time",
        "A local time without zone, as UTC; from one column, or from a date and a time of day.",
        build_local_time,
        (DATED, ("time", "text")),
        why=why_no_local_time,
        suspects=local_suspects,
        remark=local_remark,
        sources=(1, 2),
        args={"zone": ZONE, "ambiguous": AMBIGUOUS, "non_existent": NON_EXISTENT, "sentinels": SENTINELS, "pivot": PIVOT},
    ),
    Transform(
        "utc_time",
        "An instant that is UTC already, as datetimeoffset is staged.",
        build_utc_time,
        (("datetime", "text"),),
        why=why_no_date,
        args={"sentinels": SENTINELS},
    ),
    Transform(
        "date",
        "A calendar date; text in the ways people write it.",
        build_date,
        (DATED,),
        why=why_no_date,
        args={"sentinels": SENTINELS, "pivot": PIVOT},
    ),
)
