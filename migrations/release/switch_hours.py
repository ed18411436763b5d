"""The times at which a switch may happen: hours of the week by the wall clock of a place, and dates on which nothing moves. Pure.

Hours may run over midnight, and then belong to the day on which they begin; a date on which nothing moves cuts them off at its
midnight. When clocks are put back, an hour that comes twice counts both times; one that is left out does not come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS: Final = re.compile(r"^(?:([A-Za-z, -]+?)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$")
EVERY_DAY: Final = frozenset(range(7))
MOST_DAYS: Final = 400
"""How far ahead the next time is looked for; every date of a year may be one on which nothing moves."""
ONE_DAY: Final = timedelta(days=1)

DateRange = tuple[date, date]
"""First and last date, both meant."""


@dataclass(frozen=True)
class WeekHours:
    """On these weekdays (0 is Monday) from `start` on for `length`, by the wall clock."""

    days: frozenset[int]
    start: time
    length: timedelta


@dataclass(frozen=True)
class Hours:
    """`allow`: none stands for always. `never` goes before everything else."""

    allow: tuple[WeekHours, ...] = ()
    never: tuple[DateRange, ...] = ()
    zone: tzinfo = UTC


@dataclass(frozen=True)
class Opening:
    """Whether a switch may happen at a time, why not, and when that changes next (UTC; None: not within a year)."""

    is_open: bool
    why: str = ""
    changes_at: datetime | None = None

    def open_from(self, now: datetime) -> datetime:
        """From when on it may happen: now, or when the hours begin; the end of time where they never do."""
        return now if self.is_open else self.changes_at or datetime.max.replace(tzinfo=UTC)


def look_at(hours: Hours, now: datetime) -> Opening:
    """Whether a switch may happen now (aware). Raises ValueError for a time without a zone."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone says nothing about the hours of a place")
    opened = is_open(hours, now)
    changes = next((at for at in boundaries(hours, now) if is_open(hours, at) is not opened), None)
    return Opening(opened, "" if opened else why_closed(hours, now), changes)


def is_open(hours: Hours, at: datetime) -> bool:
    """Whether a switch may happen at a time."""
    local = at.astimezone(hours.zone)
    return forbidden(hours, local.date()) is None and (not hours.allow or any(holds(one, local) for one in hours.allow))


def holds(hours: WeekHours, local: datetime) -> bool:
    """Whether a time of the wall clock lies in the hours of its day, or in those that began the day before."""
    wall = local.replace(tzinfo=None)
    return any(
        day.weekday() in hours.days
        and datetime.combine(day, hours.start) <= wall < datetime.combine(day, hours.start) + hours.length
        for day in (wall.date(), wall.date() - ONE_DAY)
    )


def forbidden(hours: Hours, day: date) -> DateRange | None:
    """The dates on which nothing moves that this one is among."""
    return next((dates for dates in hours.never if dates[0] <= day <= dates[1]), None)


def why_closed(hours: Hours, now: datetime) -> str:
    """For people."""
    dates = forbidden(hours, now.astimezone(hours.zone).date())
    if dates is None:
        return "it is outside the hours in which stores may move"
    first, last = dates
    return f"nothing moves on {first}" if first == last else f"nothing moves from {first} to {last}"


def boundaries(hours: Hours, after: datetime) -> Iterator[datetime]:
    """Every moment after a time at which the answer may change, in order (UTC)."""
    for day in days_of_change(hours, after.astimezone(hours.zone).date() - ONE_DAY):
        walls = {datetime.combine(day, time())}
        walls |= {datetime.combine(day, one.start) for one in hours.allow}
        walls |= {datetime.combine(day - back, one.start) + one.length for one in hours.allow for back in (timedelta(), ONE_DAY)}
        of_day = {moment for wall in walls if wall.date() == day for moment in moments(wall, hours.zone)}
        of_day |= set(clock_changes(day, hours.zone))
        yield from sorted(moment for moment in of_day if moment > after)


def days_of_change(hours: Hours, first: date) -> Iterator[date]:
    """Days from `first` on, on which the answer may change: without hours of the week only where dates of `never` begin or end.
    The controller asks every second."""
    if hours.allow:
        yield from (first + number * ONE_DAY for number in range(MOST_DAYS))
        return
    edges = {edge for start, end in hours.never for edge in (start, end + ONE_DAY)}
    yield from sorted(edge for edge in edges if first <= edge < first + MOST_DAYS * ONE_DAY)


def moments(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """When the wall clock shows a time (UTC): twice when clocks are put back. A time that is left out gives moments nearby."""
    return tuple(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def clock_changes(day: date, zone: tzinfo) -> Iterator[datetime]:
    """When the clocks of a place are changed on a day of theirs (UTC), to the second."""
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    if start.astimezone(zone).utcoffset() == (start + timedelta(hours=25)).astimezone(zone).utcoffset():
        return
    for hour in range(25):
        low, high = start + timedelta(hours=hour), start + timedelta(hours=hour + 1)
        offset = low.astimezone(zone).utcoffset()
        if offset == high.astimezone(zone).utcoffset():
            continue
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
            low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
        yield high


def parse_hours(text: str) -> WeekHours:
    """Hours as they stand in release.toml. Raises ValueError that says how they are written.

    >>> parse_hours("Mon-Fri 22:00-06:00").length
    datetime.timedelta(seconds=28800)
    >>> sorted(parse_hours("sat,sun 00:00-24:00").days), parse_hours("9:00-12:30").days == EVERY_DAY
    ([5, 6], True)
    """
    found = HOURS.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} are no hours; write them as 'Mon-Fri 22:00-06:00' or '22:00-06:00'")
    start, end = minutes(found[2], found[3], text), minutes(found[4], found[5], text)
    if start == end or start == 24 * 60:
        raise ValueError(f"{text!r} has no length; a whole day is written 00:00-24:00")
    length = end - start if end > start else end - start + 24 * 60
    days = parse_days(found[1], text) if found[1] else EVERY_DAY
    return WeekHours(days, time(start // 60, start % 60), timedelta(minutes=length))


def minutes(hour: str, minute: str, text: str) -> int:
    """Minutes since midnight, at most 24:00."""
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > 24 * 60:
        raise ValueError(f"{text!r} has a time that no clock shows; it goes from 00:00 to 24:00")
    return value


def parse_days(text: str, whole: str) -> frozenset[int]:
    """Weekdays and ranges of them; a range may run over Sunday.

    >>> sorted(parse_days("Fri-Mon", "")), sorted(parse_days("Tue, Thu", ""))
    ([0, 4, 5, 6], [1, 3])
    """
    days: set[int] = set()
    for part in text.replace(" ", "").lower().split(","):
        first, to, last = part.partition("-")
        unknown = next((name for name in ((first, last) if to else (first,)) if name not in DAYS), None)
        if unknown is not None:
            raise ValueError(f"{whole!r} has no weekday {unknown!r}; they are Mon, Tue, Wed, Thu, Fri, Sat and Sun")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + (7 if end < start else 0) + 1)}
    return frozenset(days)


def parse_dates(text: str) -> DateRange:
    """A date, or the first and the last of several. Raises ValueError that says how they are written.

    >>> parse_dates("2026-11-10/2026-11-12")
    (datetime.date(2026, 11, 10), datetime.date(2026, 11, 12))
    """
    first, to, last = text.strip().partition("/")
    try:
        dates = date.fromisoformat(first.strip()), date.fromisoformat((last if to else first).strip())
    except ValueError as error:
        raise ValueError(f"{text!r} are no dates; write them as '2026-11-11' or '2026-11-10/2026-11-12'") from error
    if dates[1] < dates[0]:
        raise ValueError(f"{text!r} ends before it begins")
    return dates
