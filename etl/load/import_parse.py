"""Cells of a file as staged columns: each value is read exactly or its row is rejected with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.load.import_profile import Profile, ProfileColumn
from etl.load.import_read import PROBLEM, ROW, ReadFile
from etl.load.import_text import REPLACEMENT
from etl.mapping.outcome import FINDING_SCHEMA
from etl.masking import mask

SCIENTIFIC: Final = r"^[+-]?\d(\.\d*)?[eE]\+?\d+$"
BLANKS: Final = " \t\r\n\u00a0\u3000\ufeff'"
"""Stripped around every cell; the apostrophe is how spreadsheets mark a number as text."""
EXCEL_DAY_ONE: Final = 61
"""Serial numbers from here on count from 1899-12-30; before it Excel has a 29th of February 1900 that never was."""
LAST_SERIAL: Final = 2_958_465
DATE: Final = r"^(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
TIME: Final = r"(?:[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?$"
TRUE: Final = ("1", "true", "yes", "y", "是", "真", "√")
FALSE: Final = ("0", "false", "no", "n", "否", "假", "×")


@dataclass(frozen=True)
class Parsed:
    """Typed rows of a frame, all of them, in order; `bad` says which cannot be used, `findings` why (FINDING_SCHEMA, where
    source_key is the record's number as text until the key is known)."""

    rows: pl.DataFrame
    bad: pl.Series
    findings: pl.DataFrame


@dataclass(frozen=True)
class Reading:
    """A cell's value, and the reason it cannot be read, NULL when it can or is empty."""

    value: pl.Expr
    reason: pl.Expr


def parse_cells(frame: pl.DataFrame, file: ReadFile, profile: Profile) -> Parsed:
    """Read a slice of a file as the staged columns of `profile`."""
    places = {column.name: f"c{place}" for place, column in file.match.columns}
    texts = frame.select(cell_text(places.get(column.name), column) for column in profile.columns)
    values, reasons = {}, {}
    for column in profile.columns:
        reading = READERS[column.type](pl.col(column.name))
        damaged = pl.when(pl.col(column.name).str.contains(REPLACEMENT, literal=True)).then(pl.lit("damaged_text"))
        empty = pl.when(pl.col(column.name).is_null() & pl.lit(column.required)).then(pl.lit("null_not_allowed"))
        values[column.name] = reading.value
        reasons[column.name] = pl.coalesce(damaged, empty, reading.reason)
    rows = texts.select(value.alias(name) for name, value in values.items())
    why = texts.select(reason.alias(name) for name, reason in reasons.items())
    whole = frame[PROBLEM]
    bad = whole.is_not_null() | why.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return Parsed(rows, bad, findings_of(frame, texts, why, profile) if bad.any() else pl.DataFrame(schema=FINDING_SCHEMA))


def cell_text(place: str | None, column: ProfileColumn) -> pl.Expr:
    """A cell without blanks around it, NULL when empty, the default where there is one."""
    if place is None:
        return pl.lit(column.default, pl.String).alias(column.name)
    text = pl.col(place).str.strip_chars(BLANKS)
    filled = pl.when(text != "").then(text)
    return (filled if column.default is None else filled.fill_null(column.default)).alias(column.name)


def findings_of(frame: pl.DataFrame, texts: pl.DataFrame, why: pl.DataFrame, profile: Profile) -> pl.DataFrame:
    """A finding for each reason. The few rows concerned are masked one by one."""
    lines: list[dict[str, str]] = []
    for record, problem in frame.filter(pl.col(PROBLEM).is_not_null()).select(ROW, PROBLEM).iter_rows():
        lines.append(finding(record, "", problem, "", "the record has more or fewer cells than the header"))
    sound = frame[PROBLEM].is_null()
    for column in profile.columns:
        at = why[column.name].is_not_null() & sound
        if at.any():
            shown = zip(frame[ROW].filter(at), texts[column.name].filter(at), why[column.name].filter(at), strict=True)
            lines += [finding(record, column.name, reason, mask(text, column.personal), "") for record, text, reason in shown]
    return pl.DataFrame(lines, schema=FINDING_SCHEMA, orient="row")


def finding(record: int, column: str, reason: str, value: str, detail: str) -> dict[str, str]:
    """One line."""
    return {"source_key": str(record), "column_name": column, "reason": reason, "masked_value": value, "detail": detail}


def reason_unless(good: pl.Expr, text: pl.Expr, reason: str) -> pl.Expr:
    """`reason` where there is a text and it is not `good`."""
    return pl.when(text.is_not_null() & ~good.fill_null(False)).then(pl.lit(reason))


def lost_digits(text: pl.Expr) -> pl.Expr:
    """Whether a text is a number that a spreadsheet shortened, such as 4.20106E+17."""
    return text.str.contains(SCIENTIFIC)


def read_text(text: pl.Expr) -> Reading:
    """Free text, as it is."""
    return Reading(text, pl.lit(None, pl.String))


def read_code(text: pl.Expr) -> Reading:
    """A code: refused when a spreadsheet has made a number of it."""
    return Reading(text, pl.when(lost_digits(text)).then(pl.lit("excel_lost_digits")))


def number_text(text: pl.Expr) -> pl.Expr:
    """A number without full width, currency signs and separators of thousands. "1,5" is left alone: it is ambiguous."""
    plain = text.str.normalize("NFKC").str.replace_all(r"[¥￥元\s]", "")
    grouped = plain.str.contains(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
    return pl.when(grouped).then(plain.str.replace_all(",", "", literal=True)).otherwise(plain)


def read_integer(text: pl.Expr) -> Reading:
    """A whole number; "12.0" is one."""
    plain = number_text(text).str.replace(r"\.0*$", "")
    good = plain.str.contains(r"^[+-]?\d{1,18}$")
    lost = pl.when(lost_digits(text)).then(pl.lit("excel_lost_digits"))
    return Reading(
        pl.when(good).then(plain).cast(pl.Int64, strict=False), pl.coalesce(lost, reason_unless(good, text, "not_a_number"))
    )


def decimal_reader(precision: int, scale: int) -> Callable[[pl.Expr], Reading]:
    """Reads numbers of `precision` digits, `scale` of them fractional; more fractional digits are refused, not rounded."""

    def read(text: pl.Expr) -> Reading:
        plain = number_text(text).str.replace(r"(\.\d*?)0+$", "${1}").str.replace(r"\.$", "")
        number = plain.str.contains(r"^[+-]?(\d+(\.\d+)?|\.\d+)$")
        exact = plain.str.contains(rf"^[^.]*(\.\d{{0,{scale}}})?$")
        fits = plain.str.contains(rf"^[+-]?0*\d{{0,{precision - scale}}}(\.\d*)?$")
        good = number & exact & fits
        reason = pl.coalesce(
            pl.when(lost_digits(text)).then(pl.lit("excel_lost_digits")),
            reason_unless(number, text, "not_a_number"),
            reason_unless(fits, text, "out_of_range"),
            reason_unless(exact, text, "too_precise"),
        )
        return Reading(pl.when(good).then(plain).cast(pl.Decimal(precision, scale), strict=False), reason)

    return read


def read_number(text: pl.Expr) -> Reading:
    """A floating-point number, such as a coordinate."""
    value = number_text(text).cast(pl.Float64, strict=False)
    return Reading(value, reason_unless(value.is_finite(), text, "not_a_number"))


def read_boolean(text: pl.Expr) -> Reading:
    """Yes or no, in either language."""
    plain = text.str.normalize("NFKC").str.to_lowercase()
    value = pl.when(plain.is_in(TRUE)).then(True).when(plain.is_in(FALSE)).then(False)
    return Reading(value, reason_unless(plain.is_in([*TRUE, *FALSE]), text, "not_yes_or_no"))


def moment(text: pl.Expr) -> pl.Expr:
    """Local date and time of a text: year first, in any usual spelling, or the serial number of a spreadsheet; else NULL."""
    plain = text.str.normalize("NFKC").str.strip_chars()
    parts = [plain.str.extract(DATE + TIME, group) for group in range(1, 8)]
    year, month, day, hour, minute, second, fraction = parts
    iso = pl.format(
        "{}-{}-{} {}:{}:{}.{}",
        year,
        month.str.zfill(2),
        day.str.zfill(2),
        hour.fill_null("00").str.zfill(2),
        minute.fill_null("00").str.zfill(2),
        second.fill_null("00").str.zfill(2),
        fraction.fill_null("0").str.pad_end(6, "0"),
    )
    written = iso.str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", strict=False, time_unit="us")
    compact = pl.when(plain.str.contains(r"^\d{8}$")).then(plain).str.to_datetime("%Y%m%d", strict=False, time_unit="us")
    serial = pl.when(plain.str.contains(r"^\d{1,7}(\.\d+)?$")).then(plain).cast(pl.Float64, strict=False)
    usable = (serial >= 1) & (serial < LAST_SERIAL + 1) & (serial.floor() != EXCEL_DAY_ONE - 1)
    days = pl.when(serial >= EXCEL_DAY_ONE).then(serial).otherwise(serial + 1)
    milliseconds = pl.when(usable).then((days * 86_400_000).round()).cast(pl.Int64)
    counted = pl.lit("1899-12-30").str.to_datetime("%Y-%m-%d", time_unit="us") + pl.duration(milliseconds=milliseconds)
    return pl.coalesce(written, compact, counted)


def read_time(text: pl.Expr) -> Reading:
    """Local date and time."""
    value = moment(text)
    return Reading(value, reason_unless(value.is_not_null(), text, "bad_date"))


def read_date(text: pl.Expr) -> Reading:
    """A date; a time of day beside it must be midnight."""
    value = moment(text)
    good = value.is_not_null() & (value.dt.truncate("1d") == value)
    return Reading(value.cast(pl.Date), reason_unless(good, text, "bad_date"))


def read_date_text(text: pl.Expr) -> Reading:
    """A date that the legacy table keeps as text: written year-month-day where it can be read, as it is where not."""
    return Reading(pl.coalesce(moment(text).dt.strftime("%Y-%m-%d"), text), pl.lit(None, pl.String))


READERS: Final[dict[str, Callable[[pl.Expr], Reading]]] = {
    "text": read_text,
    "code": read_code,
    "date_text": read_date_text,
    "integer": read_integer,
    "money": decimal_reader(19, 4),
    "quantity": decimal_reader(12, 3),
    "area": decimal_reader(9, 2),
    "number": read_number,
    "date": read_date,
    "time": read_time,
    "boolean": read_boolean,
}
