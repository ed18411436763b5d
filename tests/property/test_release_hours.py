"""The hours in which stores may move, against a second opinion that walks the wall clock, also when clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from migrations.release.switch_hours import Hours, WeekHours, days_of_change, is_open, look_at, parse_dates, parse_hours

ZONES = ("Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC")
MINUTE = timedelta(minutes=1)

clock = st.integers(0, 24 * 60 - 1)
week_hours = st.builds(
    lambda days, start, length: WeekHours(frozenset(days), time(start // 60, start % 60), timedelta(minutes=length)),
    st.sets(st.integers(0, 6), min_size=1),
    clock,
    st.integers(1, 24 * 60),
)
days = st.dates(date(2026, 1, 1), date(2026, 12, 31))
ranges = st.builds(lambda first, length: (first, first + timedelta(days=length)), days, st.integers(0, 3))
hours = st.builds(
    lambda allow, never, zone: Hours(tuple(allow), tuple(never), ZoneInfo(zone)),
    st.lists(week_hours, max_size=3),
    st.lists(ranges, max_size=3),
    st.sampled_from(ZONES),
)
near_changes = st.sampled_from([
    datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),  # Berlin
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe: half an hour
])  # fmt: skip
moments = st.builds(
    lambda base, shift: base + timedelta(minutes=shift),
    near_changes
    | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC)),
    st.integers(-1500, 1500),
)


def opinion(rules: Hours, at: datetime) -> bool:
    """Straight from the words: the wall clock's minutes of a week, without any arithmetic over midnight."""
    wall = at.astimezone(rules.zone).replace(tzinfo=None)
    if any(first <= wall.date() <= last for first, last in rules.never):
        return False
    if not rules.allow:
        return True
    for one in rules.allow:
        for day in one.days:
            start = day * 1440 + one.start.hour * 60 + one.start.minute
            length = int(one.length.total_seconds()) // 60
            now = wall.weekday() * 1440 + wall.hour * 60 + wall.minute
            if (now - start) % (7 * 1440) < length:
                return True
    return False


@given(hours, moments)
@settings(max_examples=300, deadline=None)
def test_open_exactly_when_the_wall_clock_says_so(rules: Hours, at: datetime) -> None:
    """What a bug would cost: stores closed in the middle of double eleven."""
    assert is_open(rules, at) == opinion(rules, at)


@given(hours, moments)
@settings(max_examples=150, deadline=None)
def test_the_next_change_is_the_next_change(rules: Hours, at: datetime) -> None:
    """What a bug would cost: a controller that sleeps through the night it was given, or wakes on a date it must not touch."""
    told = look_at(rules, at)
    horizon = at + timedelta(days=9)
    change = told.changes_at
    until = min(change or horizon, horizon)
    probe = at
    while probe < until:
        assert is_open(rules, probe) is told.is_open
        probe += 7 * MINUTE
    if change is not None:
        assert change > at
        assert is_open(rules, change) is not told.is_open
        assert is_open(rules, change - timedelta(seconds=1)) is told.is_open or change - at <= timedelta(seconds=1)
        assert told.open_from(at) == (at if told.is_open else change)


@pytest.mark.parametrize(
    ("allow", "zone", "at", "opened", "changes"),
    [
        # clocks go from 02:00 to 03:00: hours that begin in the hole begin when it is over
        ("Sun 02:30-06:00", "America/New_York", "2026-03-08T06:59:00+00:00", False, "2026-03-08T07:00:00+00:00"),
        # hours that lie wholly in the hole do not come that day
        ("Sun 02:15-02:45", "America/New_York", "2026-03-08T06:00:00+00:00", False, "2026-03-15T06:15:00+00:00"),
        # clocks go back from 02:00 to 01:00: the hour counts twice, with a pause
        ("Sun 00:00-01:30", "America/New_York", "2026-11-01T04:00:00+00:00", True, "2026-11-01T05:30:00+00:00"),
        ("Sun 00:00-01:30", "America/New_York", "2026-11-01T05:30:00+00:00", False, "2026-11-01T06:00:00+00:00"),
        ("Sun 00:00-01:30", "America/New_York", "2026-11-01T06:00:00+00:00", True, "2026-11-01T06:30:00+00:00"),
        # over midnight, by the day on which they begin
        ("Fri 22:00-06:00", "Asia/Shanghai", "2026-11-20T14:00:00+00:00", True, "2026-11-20T22:00:00+00:00"),
        ("Fri 22:00-06:00", "Asia/Shanghai", "2026-11-21T14:00:00+00:00", False, "2026-11-27T14:00:00+00:00"),
        ("Sat,Sun 00:00-24:00", "Asia/Shanghai", "2026-11-20T16:00:00+00:00", True, "2026-11-22T16:00:00+00:00"),
    ],
)
def test_hours_at_their_edges(allow: str, zone: str, at: str, opened: bool, changes: str) -> None:
    rules = Hours((parse_hours(allow),), (), ZoneInfo(zone))
    told = look_at(rules, datetime.fromisoformat(at))
    assert (told.is_open, told.changes_at) == (opened, datetime.fromisoformat(changes))


def test_double_eleven_cuts_off_the_night_before_and_is_named() -> None:
    rules = Hours((parse_hours("22:00-06:00"),), (parse_dates("2026-11-10/2026-11-12"),), ZoneInfo("Asia/Shanghai"))
    evening = datetime(2026, 11, 9, 15, 59, tzinfo=UTC)  # 23:59 there
    assert look_at(rules, evening).changes_at == datetime(2026, 11, 9, 16, tzinfo=UTC)
    closed = look_at(rules, evening + MINUTE)
    assert closed.why == "nothing moves from 2026-11-10 to 2026-11-12"
    assert closed.changes_at == datetime(2026, 11, 12, 16, tzinfo=UTC)  # the hours that began on the 12th go on after midnight


def test_hours_that_never_come_are_not_waited_for() -> None:
    rules = Hours((), (parse_dates("2026-01-01/2036-01-01"),), ZoneInfo("UTC"))
    told = look_at(rules, datetime(2026, 6, 1, tzinfo=UTC))
    assert told.changes_at is None
    assert told.open_from(datetime(2026, 6, 1, tzinfo=UTC)).year == 9999


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        look_at(Hours(), datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "22-06",
        "Mon 25:00-26:00",
        "Mon 10:60-11:00",
        "Mon 10:00-10:00",
        "Mon 24:00-01:00",
        "Foo 10:00-11:00",
        "Mon- 1:00-2:00",
        "",
    ],
)
def test_hours_that_cannot_be_are_refused(text: str) -> None:
    """ "Mon- 1:00-2:00" would otherwise be read as some range of days that nobody meant."""
    with pytest.raises(ValueError, match=r"hours|length|clock|weekday"):
        parse_hours(text)


@pytest.mark.parametrize("text", ["11-11", "2026-11-12/2026-11-10", "2026-02-30", "2026-11-10/"])
def test_dates_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dates|ends before"):
        parse_dates(text)


@pytest.mark.parametrize("allow", [(), (parse_hours("Mon-Fri 22:00-06:00"),)])
def test_looking_every_second_costs_next_to_nothing(allow: tuple[WeekHours, ...]) -> None:
    """What a bug would cost: a controller that is busy with the calendar. Counted in days looked at, not in seconds."""
    rules = Hours(allow, (parse_dates("2026-11-10/2026-11-12"), parse_dates("2026-12-12")), ZoneInfo("Asia/Shanghai"))
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert look_at(rules, now).is_open is not bool(allow)
    looked = list(islice(days_of_change(rules, now.date()), 5))
    assert len(looked) == (5 if allow else 4)
    assert list(days_of_change(Hours(), now.date())) == []
