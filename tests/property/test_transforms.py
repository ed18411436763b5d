"""What holds for every value a transform may meet, checked against plain Python where Python knows the answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.mapping.transforms import people, text, times
from etl.mapping.transforms.base import Input
from etl.mapping.transforms.id_card import id_card
from etl.mapping.transforms.numbers import boolean, decimal, integer
from etl.mapping.transforms.phone import phone
from etl.mapping.transforms.zones import to_utc

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
MESSY = st.text(st.sampled_from("王小明先生女士 Ａａß·\t\n\r\x00\x07\u200b\u3000\ufeff-+()0123456789１２３@＠.,{}"), max_size=24)
TEXTS = st.lists(st.one_of(st.none(), ANY_TEXT, MESSY), min_size=1, max_size=8)
DIGITS = st.text("0123456789", min_size=9, max_size=9)
MOBILES = st.builds("1{}{}".format, st.sampled_from("3456789"), DIGITS)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)

Transform = Callable[[pl.Expr], pl.Expr]
some = settings(max_examples=30, deadline=None)
many = settings(max_examples=150, deadline=None)


def run(transform: Transform, values: Sequence[str | None]) -> list[str | None]:
    return pl.DataFrame({"v": pl.Series(values, dtype=pl.String)}).select(transform(pl.col("v"))).to_series().to_list()


TEXT_TRANSFORMS: list[Transform] = [
    text.text,
    lambda column: text.text(column, multiline=True),
    text.code,
    text.guid,
    people.name,
    people.name_key,
    people.email,
    people.address,
    people.gender,
    phone,
    id_card,
]


@pytest.mark.parametrize("transform", TEXT_TRANSFORMS)
@given(values=TEXTS)
@some
def test_each_value_depends_on_itself_alone_and_a_second_time_changes_nothing(
    transform: Transform, values: list[str | None]
) -> None:
    together = run(transform, values)
    assert together == [run(transform, [value])[0] for value in values]
    assert run(transform, together) == together
    assert all(value is None or value == value.strip() != "" for value in together)


@pytest.mark.parametrize("transform", TEXT_TRANSFORMS)
def test_streaming_gives_the_same(transform: Transform) -> None:
    frame = pl.DataFrame({"v": ["王小明", " Ａ １ ", None, "13912345678", "139-1234-5678", "男", "x@y.cn"] * 500})
    eager = frame.select(transform(pl.col("v")))
    assert frame.lazy().select(transform(pl.col("v"))).collect(engine="streaming").equals(eager, null_equal=True)


@given(values=TEXTS)
@some
def test_nothing_invisible_is_left_in_a_name_or_an_address(values: list[str | None]) -> None:
    for transform in (people.name, people.address, text.text):
        for value in run(transform, values):
            assert value is None or not re.search(r"[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff]", value)


@given(value=st.text("王小明欧阳", min_size=1, max_size=4))
@some
def test_plain_names_stay_as_they_are(value: str) -> None:
    assert run(people.name, [value]) == [value]
    assert run(people.name_key, [value, f" {value} 先生"]) == [value, value]


@given(value=st.text("abcXYZ ", min_size=1, max_size=12))
@some
def test_a_name_has_one_key_whatever_its_case_width_and_blanks(value: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) if character != " " else "\u3000" for character in value)
    keys = run(people.name_key, [value, wide, value.upper(), value.replace(" ", "")])
    assert len(set(keys)) == 1


@given(number=MOBILES, style=st.sampled_from(["{}", "+86{}", "0086{}", "86{}", "0{}", "{:.3}-{}", " {} ", "({})", "+86 {}"]))
@some
def test_a_mobile_is_one_number_however_it_is_written(number: str, style: str) -> None:
    written = f"{number[:3]}-{number[3:7]} {number[7:]}" if "{:.3}" in style else style.format(number)
    wide = unicodedata.normalize("NFKC", written).translate({code: code + 0xFEE0 for code in range(0x30, 0x3A)})
    assert run(phone, [written, wide]) == [f"+86{number}"] * 2


@given(
    area=st.sampled_from(["10", "21", "755", "379"]),
    number=st.text("0123456789", min_size=7, max_size=7),
    tail=st.sampled_from(["", "-8", "转123", " ext 9"]),
)
@some
def test_a_land_line_keeps_its_area_and_loses_its_extension(area: str, number: str, tail: str) -> None:
    assert run(phone, [f"0{area}-6{number}{tail}", f"+86 {area} 6{number}"]) == [f"+86{area}6{number}"] * 2


@given(values=TEXTS)
@many
def test_a_phone_is_e164_or_nothing(values: list[str | None]) -> None:
    assert all(value is None or re.fullmatch(r"\+[1-9][0-9]{6,14}", value) for value in run(phone, values))


def card_of(region: str, birth: date, order: int) -> str:
    """A card number by the standard, the slow way."""
    body = f"{region}{birth:%Y%m%d}{order:03}"
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11]


CARDS = st.builds(
    card_of, st.sampled_from(["110105", "310115", "440305"]), st.dates(date(1900, 1, 1), date(2024, 12, 31)), st.integers(0, 999)
)


@given(card=CARDS, place=st.integers(0, 16), shift=st.integers(1, 9))
@some
def test_a_card_number_is_kept_and_one_wrong_digit_is_always_found(card: str, place: int, shift: int) -> None:
    wrong = card[:place] + str((int(card[place]) + shift) % 10) + card[place + 1 :]
    assert run(id_card, [card, card.lower(), f" {card[:6]} {card[6:]}", wrong]) == [card, card, card, None]


@given(
    region=st.sampled_from(["110105", "440305"]), birth=st.dates(date(1900, 1, 1), date(1999, 12, 31)), order=st.integers(0, 999)
)
@some
def test_an_old_card_number_becomes_the_new_one_of_the_same_person(region: str, birth: date, order: int) -> None:
    assert run(id_card, [f"{region}{birth:%y%m%d}{order:03}"]) == [card_of(region, birth, order)]


@given(values=st.lists(st.one_of(st.none(), st.text("0123456789Xx", min_size=14, max_size=19)), min_size=1, max_size=6))
@some
def test_whatever_passes_as_a_card_number_is_one(values: list[str | None]) -> None:
    for value in run(id_card, values):
        if value is not None:
            born = datetime.strptime(value[6:14], "%Y%m%d").date()
            assert card_of(value[:6], born, int(value[14:17])) == value


DATE_STYLES = (
    "{0:%Y-%m-%d}",
    "{0:%Y%m%d}",
    "{0.year}/{0.month}/{0.day}",
    "{0.year}.{0.month}.{0.day}",
    "{0:%y}-{0.month}-{0.day}",
    "{0:%y}/{0:%m}/{0:%d}",
    "{0.year}年{0.month}月{0.day}日",
    " {0:%Y-%m-%d} ",
    "{0:%Y-%m-%d} 00:00:00",
)


@given(day=st.dates(date(1931, 1, 1), date(2030, 12, 31)), style=st.sampled_from(DATE_STYLES))
@some
def test_a_date_is_read_however_it_is_written(day: date, style: str) -> None:
    frame = pl.DataFrame({"v": [style.format(day)]})
    assert frame.select(times.date_of_text(pl.col("v"))).item() == day


@given(
    values=st.lists(
        st.one_of(ANY_TEXT, st.from_regex(r"[0-9]{2,4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}", fullmatch=True)), min_size=1, max_size=6
    )
)
@some
def test_no_text_becomes_a_date_that_it_does_not_say(values: list[str]) -> None:
    found = pl.DataFrame({"v": values}).select(times.date_of_text(pl.col("v"))).to_series().to_list()
    for value, day in zip(values, found, strict=True):
        if day is not None:
            digits = re.findall(r"[0-9]+", unicodedata.normalize("NFKC", value))
            shown = "".join(digits) if len(digits) == 1 else digits[-1] if len(digits) == 3 else digits[2]
            assert day.day == int(shown[-2:]), (value, day)


@given(
    local=st.datetimes(datetime(1902, 1, 1), datetime(2037, 12, 31)),
    zone=st.sampled_from(["Asia/Shanghai", "Asia/Hong_Kong", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
@many
def test_local_times_become_utc_as_the_tz_database_says(local: datetime, zone: str) -> None:
    found = pl.DataFrame({"t": [local]}).select(to_utc(pl.col("t"), zone)).item()
    assert found == local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None)


@given(
    start=st.sampled_from([datetime(1986, 5, 4), datetime(1988, 9, 11), datetime(1991, 9, 15), datetime(1940, 6, 1)]),
    minutes=st.integers(0, 300),
)
@some
def test_shanghai_is_exact_around_each_change_of_its_clock(start: datetime, minutes: int) -> None:
    local = start + timedelta(minutes=minutes)
    found = pl.DataFrame({"t": [local]}).select(to_utc(pl.col("t"), "Asia/Shanghai")).item()
    # Python's fold=0 is our policy: the first showing of a time shown twice, and the offset before a gap.
    assert found == local.replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC).replace(tzinfo=None)


@given(number=st.decimals(min_value=Decimal(-(10**15)), max_value=Decimal(10**15), places=6), scale=st.integers(0, 6))
@some
def test_a_decimal_is_exact_or_nothing(number: Decimal, scale: int) -> None:
    frame = pl.DataFrame({"n": [format(number, "f")]})
    found = frame.select(decimal(Input(pl.col("n"), pl.String()), scale)).item()
    exact = number == round(number, scale)
    assert found == (number if exact else None)


@given(number=st.floats(allow_nan=True, allow_infinity=True), scale=st.integers(0, 6))
@some
def test_a_float_becomes_a_decimal_only_if_it_comes_back(number: float, scale: int) -> None:
    found = pl.DataFrame({"n": [number]}).select(decimal(Input(pl.col("n"), pl.Float64()), scale)).item()
    assert found is None or float(found) == number


@given(number=st.integers(-(10**20), 10**20))
@some
def test_a_whole_number_is_itself_or_nothing(number: int) -> None:
    frame = pl.DataFrame({"n": [str(number), f"{number:,}", f"{number}.00"]})
    found = frame.select(integer(Input(pl.col("n"), pl.String()))).to_series().to_list()
    assert found == [number if -(2**63) <= number < 2**63 else None] * 3


@given(values=TEXTS)
@some
def test_words_for_yes_and_no_never_mean_both(values: list[str | None]) -> None:
    found = pl.DataFrame({"b": pl.Series(values, dtype=pl.String)}).select(boolean(Input(pl.col("b"), pl.String())))
    assert set(found.to_series().to_list()) <= {True, False, None}


@given(
    moment=st.datetimes(datetime(1931, 1, 1), datetime(2030, 12, 31)),
    style=st.sampled_from(DATE_STYLES[:7]),
    joint=st.sampled_from("T "),
)
@some
def test_a_time_is_read_however_its_date_is_written(moment: datetime, style: str, joint: str) -> None:
    written = f"{style.format(moment)}{joint}{moment:%H:%M:%S.%f}"
    assert pl.DataFrame({"t": [written]}).select(times.time_of_text(pl.col("t"))).item() == moment
