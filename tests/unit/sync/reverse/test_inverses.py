"""For every transform: what a legacy value makes of itself on the target comes back as a legacy value that makes the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.mapping.model import Argument
from etl.mapping.transforms.base import Input
from etl.mapping.transforms.registry import TRANSFORMS
from etl.source.catalog import Column
from etl.sync.reverse.inverse import INVERSES
from etl.sync.reverse.inverse_base import Slot, Wanted
from etl.sync.reverse.inverse_times import precision_us, rounded, to_local

ZONE = "Asia/Shanghai"
GIVEN: dict[str, Argument] = {
    "zone": ZONE,
    "sentinels": ("1900-01-01", "9999-12-31"),
    "with": "E",
    "codes": {"1": "ja", "2": "nein"},
}
BUILT_IN_CODES = ("tier", "gender")
NO_INVERSE = {"name_key"}

CHARACTERS = st.characters(codec="utf-8")
ANY_TEXT = st.text(st.one_of(st.sampled_from(" 　\t\n·，１Ａａß\x00\u200b王小明"), CHARACTERS), max_size=12)
PHONES = st.sampled_from(
    [
        "13912345678",
        "+86 139-1234-5678",
        "０１０ 6552 9988 转 12",
        "+1 (212) 555-0123",
        "400-810-8888",
        "0755-26012345",
        "x",
        "+852 2123 4567",
    ]
)
CARDS = st.sampled_from(["11010519491231002x", "130503670401001", "110105194912310021", "abc", ""])
MAILS = st.sampled_from([" Wang＠Example.COM ", "a@b", "li.ming+x@mail.example.cn", ""])
TEXT_NUMBERS = st.one_of(
    st.decimals(-(10**9), 10**9, places=3).map(str),
    st.sampled_from(["￥1,200", " 3.0 ", "x", "", "１２", "-0", "1e3", "0.12345"]),
)
MOMENTS = st.datetimes(datetime(1925, 1, 1), datetime(2200, 1, 1))
TEXT_MOMENTS = st.one_of(MOMENTS.map(str), st.sampled_from(["90/1/2", "1990年1月2日", "19000101", "x", "", "2024-11-11 20:00"]))
GUIDS = st.one_of(st.uuids().map(str), st.uuids().map(lambda one: "{" + str(one).upper() + "}"), ANY_TEXT)


def column(name: str, type_name: str, scale: int = 7, *, nullable: bool = True) -> Column:
    """A legacy column."""
    return Column(name, type_name, 200, 20, scale, nullable)


TEXT, WHOLE, BIT = (column("a", "nvarchar"), pl.String()), (column("a", "int"), pl.Int32()), (column("a", "bit"), pl.Boolean())
MONEY, REAL = (column("a", "money"), pl.Decimal(19, 4)), (column("a", "float"), pl.Float64())
WIDE = pl.Decimal(12, 2)
STAMP, DAY = (column("a", "datetime"), pl.Datetime("us")), (column("a", "date"), pl.Date())
SMALL, FINE = (column("a", "smalldatetime"), pl.Datetime("us")), (column("a", "datetime2", 7), pl.Datetime("us"))
COARSE = (column("a", "datetime2", 3), pl.Datetime("us"))
INT32 = st.integers(-(2**31), 2**31 - 1)
AMOUNTS = st.decimals(-(10**9), 10**9, places=4)
Kind = tuple[Column, pl.DataType]

Case = tuple[str, list[Kind], list[st.SearchStrategy[Any]]]
SAME: list[Case] = [(name, [TEXT], [ANY_TEXT]) for name in ("text", "code", "upper", "lower", "trim", "copy", "name", "address")]
TIMES: list[Case] = [("local_time", [kind], [MOMENTS]) for kind in (STAMP, SMALL, FINE, COARSE)]
CASES: list[Case] = [
    *SAME,
    *TIMES,
    ("text", [WHOLE], [INT32]),
    ("code", [WHOLE], [INT32]),
    ("prefix", [TEXT], [ANY_TEXT]),
    ("prefix", [WHOLE], [INT32]),
    ("guid", [TEXT], [GUIDS]),
    ("email", [TEXT], [MAILS]),
    ("phone", [TEXT], [PHONES]),
    ("id_card", [TEXT], [CARDS]),
    ("gender", [TEXT], [st.sampled_from(["男", " f", "2", "0", "？"])]),
    ("gender", [WHOLE], [st.sampled_from([0, 1, 2, 9])]),
    ("tier", [WHOLE], [st.sampled_from([0, 1, 2, 3, 9])]),
    ("tier", [TEXT], [st.sampled_from(["0", " 3", "GOLD", "x"])]),
    ("codes", [TEXT], [st.sampled_from(["1", " 2", "3"])]),
    ("codes", [WHOLE], [st.sampled_from([1, 2, 3])]),
    ("boolean", [BIT], [st.booleans()]),
    ("boolean", [TEXT], [st.sampled_from(["是", "N", "2", "1", "off"])]),
    ("boolean", [WHOLE], [st.sampled_from([0, 1, 2])]),
    ("integer", [WHOLE], [INT32]),
    ("integer", [TEXT], [TEXT_NUMBERS]),
    ("integer", [MONEY], [AMOUNTS]),
    ("points", [WHOLE], [INT32]),
    ("decimal", [MONEY], [AMOUNTS]),
    ("decimal", [TEXT], [TEXT_NUMBERS]),
    ("money", [MONEY], [AMOUNTS]),
    ("money", [TEXT], [TEXT_NUMBERS]),
    ("float", [REAL], [st.floats(allow_nan=False, allow_infinity=False)]),
    ("float", [TEXT], [TEXT_NUMBERS]),
    ("sum", [MONEY, (column("b", "money"), pl.Decimal(19, 4))], [AMOUNTS, AMOUNTS]),
    ("difference", [MONEY, (column("b", "money"), pl.Decimal(19, 4))], [AMOUNTS, AMOUNTS]),
    ("concat", [TEXT, (column("b", "nvarchar"), pl.String())], [ANY_TEXT, ANY_TEXT]),
    ("coalesce", [TEXT, (column("b", "nvarchar"), pl.String())], [ANY_TEXT, ANY_TEXT]),
    ("local_time", [TEXT], [TEXT_MOMENTS]),
    ("local_time", [DAY, (column("b", "time", 0), pl.Time())],
     [MOMENTS.map(datetime.date), st.times().map(lambda t: t.replace(microsecond=0))]),
    ("utc_time", [FINE], [MOMENTS]),
    ("utc_time", [(column("a", "datetimeoffset", 3), pl.Datetime("us"))], [MOMENTS]),
    ("date", [DAY], [MOMENTS.map(datetime.date)]),
    ("date", [STAMP], [MOMENTS]),
    ("date", [TEXT], [TEXT_MOMENTS]),
]  # fmt: skip


def arguments(name: str) -> Mapping[str, Argument]:
    """The arguments of a transform: its own defaults, ours for what has none."""
    found: dict[str, Argument] = {}
    for key, spec in TRANSFORMS[name].args.items():
        own = spec.default if key == "codes" and name in BUILT_IN_CODES else GIVEN.get(key, spec.default)
        assert own is not None, key
        found[key] = own
    return found


def test_every_transform_has_an_inverse_or_needs_none() -> None:
    assert TRANSFORMS.keys() - INVERSES.keys() == NO_INVERSE
    assert {name for name, _, _ in CASES} == set(INVERSES)


@pytest.mark.parametrize(("name", "kinds", "values"), CASES, ids=[f"{case[0]}-{case[1][0][0].type_name}" for case in CASES])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_back_and_forth(name: str, kinds: list[Kind], values: list[st.SearchStrategy[Any]], data: st.DataObject) -> None:
    slots = tuple(Slot(one.name, one, dtype) for one, dtype in kinds)
    rows = data.draw(st.lists(st.tuples(*(st.none() | strategy for strategy in values)), min_size=1, max_size=8))
    legacy = pl.DataFrame(rows, schema={slot.name: slot.dtype for slot in slots}, orient="row")
    if slots[0].kind == "datetime":
        legacy = legacy.with_columns(rounded(pl.col(slots[0].name), slots[0]).alias(slots[0].name))  # as the server holds it
    args = arguments(name)
    forward = TRANSFORMS[name].build([Input(pl.col(slot.name), slot.dtype) for slot in slots], args).alias("t")
    target = legacy.with_columns(forward)
    opened = frozenset({slots[0].name}) if name in ("sum", "difference") else frozenset(slot.name for slot in slots)
    back = INVERSES[name](Wanted(pl.col("t"), args, slots, opened, ZONE))
    again = target.with_columns(
        expr.cast({slot.name: slot.dtype for slot in slots}[column_name], strict=False).alias(column_name)
        for column_name, expr in back.items()
    ).with_columns(forward.alias("again"))
    assert again["again"].to_list() == again["t"].to_list()


@pytest.mark.parametrize("kind", [STAMP, SMALL, FINE, COARSE], ids=lambda kind: kind[0].type_name)
@settings(max_examples=40, deadline=None)
@given(moment=MOMENTS)
def test_times_are_rounded_by_less_than_the_type_tells(kind: Kind, moment: datetime) -> None:
    slot = Slot("a", *kind)
    frame = pl.DataFrame({"t": [moment]}).select(rounded(pl.col("t"), slot))
    assert abs(frame.item() - moment) <= timedelta(microseconds=precision_us(slot) / 2 + 500)
    assert frame.select(rounded(pl.col("t"), slot)).item() == frame.item()


def test_a_value_that_must_be_there_is_the_sentinel_that_the_type_holds() -> None:
    small = Slot("a", column("a", "smalldatetime", nullable=False), pl.Datetime("us"))
    args = {**arguments("local_time"), "sentinels": ("9999-12-31", "1900-01-01")}
    wanted = Wanted(pl.lit(None, pl.Datetime("us")), args, (small,), frozenset("a"), ZONE)
    assert pl.select(INVERSES["local_time"](wanted)["a"]).item() == datetime(1900, 1, 1)


def test_a_time_of_day_carries_over_into_the_next_day() -> None:
    day, clock = Slot("d", column("d", "date"), pl.Date()), Slot("t", column("t", "time", 0), pl.Time())
    wanted = Wanted(
        pl.lit(datetime(2026, 11, 11, 15, 59, 59, 900_000)), arguments("local_time"), (day, clock), frozenset("dt"), ZONE
    )
    given = INVERSES["local_time"](wanted)
    found = pl.select(given["d"].alias("d"), given["t"].alias("t")).row(0)
    assert found == (date(2026, 11, 12), time(0))


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("points", (column("a", "tinyint"), pl.UInt8()), 256),
        ("money", (column("a", "decimal", 2), WIDE), Decimal("1.005")),
        ("tier", WHOLE, "DIAMOND"),
        ("prefix", WHOLE, "X17"),
        ("prefix", WHOLE, "E17a"),
        ("integer", WHOLE, 2**31),
    ],
)
def test_what_has_no_form_becomes_nothing_that_could_be_taken_for_it(name: str, kind: Kind, value: object) -> None:
    slot = Slot("a", *kind)
    frame = pl.DataFrame({"t": [value], "a": pl.Series([None], dtype=slot.dtype)})
    (expr,) = INVERSES[name](Wanted(pl.col("t"), arguments(name), (slot,), frozenset("a"), ZONE)).values()
    assert frame.select(expr.cast(slot.dtype, strict=False)).item() is None


def test_local_time_of_a_summer_in_shanghai() -> None:
    assert pl.select(to_local(pl.lit(datetime(1988, 6, 30, 15)), ZONE)).item() == datetime(1988, 7, 1)
