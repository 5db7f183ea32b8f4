"""The file browser: file systems, their folders, the files in them, and when each of them comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from aurum_etl.simulator.spp import charts, clock, load, mix, power, prices, reserves
from aurum_etl.simulator.spp.places import EAST, WEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aurum_etl.simulator.spp.clock import Span
    from aurum_etl.simulator.spp.making import Making

_MARKET_SINCE = date(2014, 3, 1)
_LOAD_SINCE = date(2011, 1, 1)
_AHEAD = timedelta(2)
_DAY_PARTS = 3


@dataclass(frozen=True, slots=True)
class _Period:
    """How long what a file covers is, and how its name says so."""

    pattern: str
    of: Callable[[str], Span | None]
    """The span that a name means."""
    text: Callable[[Span], str]
    within: Callable[[date], Iterator[Span]]
    """The spans that begin on a day."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one kind: names, folders, and when they come."""

    name: str
    """With `{}` for the period."""
    folder: Callable[[Span], str]
    period: _Period
    published: Callable[[Span], datetime]
    made: Callable[[Making], bytes]
    size: int
    """About how many bytes such a file has."""
    since: date = _MARKET_SINCE

    def path(self, span: Span) -> str:
        """Folder and name."""
        return f"{self.folder(span)}/{self.name.format(self.period.text(span))}"

    def found(self, path: str, now: datetime) -> Span | None:
        """What the file of that path covers, if it is one of these and has come."""
        before, after = self.name.split("{}")
        parts = re.fullmatch(f"{re.escape(before)}({self.period.pattern}){re.escape(after)}", path.rpartition("/")[2])
        span = self.period.of(parts[1]) if parts is not None else None
        if span is None or not self._is_there(span, now) or self.path(span) != path:
            return None
        return span

    def listed(self, folder: str, now: datetime) -> Iterator[Entry]:
        """What is of these in a folder: further folders, and files."""
        seen: set[str] = set()
        for span in self._near(folder, now):
            path = self.path(span)
            if not path.startswith(f"{folder}/") or not self._is_there(span, now):
                continue
            name, _, rest = path.removeprefix(f"{folder}/").partition("/")
            if name not in seen:
                seen.add(name)
                yield Entry(f"{folder}/{name}", self.published(span), 0 if rest else self.size, is_folder=bool(rest))

    def _near(self, folder: str, now: datetime) -> Iterator[Span]:
        """What may be in a folder or below it; of a day, the first alone where only folders are wanted."""
        parts = folder.split("/")[1:]
        numbers = [int(each) for each in parts if each.isdecimal()]
        first, last = max(self.since, _days(numbers)[0]), min((now + _AHEAD).date(), _days(numbers)[1])
        for number in range((last - first).days + 1):
            spans = self.period.within(first + timedelta(number))
            is_full = len(numbers) >= _DAY_PARTS or len(parts) == self.folder(clock.day_of(first)).count("/")
            yield from spans if is_full else islice(spans, 1)

    def _is_there(self, span: Span, now: datetime) -> bool:
        return self.since <= span.day and self.published(span) <= now


@dataclass(frozen=True, slots=True)
class Standing:
    """A file that is always there and always new."""

    path: str
    covers: Callable[[datetime], Span]
    made: Callable[[Making], bytes]
    size: int
    """About how many bytes it has."""

    def found(self, path: str, now: datetime) -> Span | None:
        """What the file covers now, if it is the one of that path."""
        return self.covers(now) if path == self.path else None

    def published(self, span: Span) -> datetime:
        """When it was last written."""
        return span.end

    def listed(self, folder: str, now: datetime) -> Iterator[Entry]:
        """The file, or the folder that it is in."""
        if self.path.startswith(f"{folder}/"):
            name, _, rest = self.path.removeprefix(f"{folder}/").partition("/")
            yield Entry(f"{folder}/{name}", self.covers(now).end, 0 if rest else self.size, is_folder=bool(rest))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a folder's list."""

    path: str
    modified: datetime
    size: int
    """About how many bytes it has; a folder has none."""
    is_folder: bool


def _days(numbers: list[int]) -> tuple[date, date]:
    """First and last day of a year, a month or a day, with the day before it, some of whose files are named after the next."""
    try:
        match numbers:
            case []:
                return date.min, date.max
            case [year]:
                return date(year - 1, 12, 31), date(year, 12, 31)
            case [year, month]:
                first = date(year, month, 1)
                return first - timedelta(1), (first + timedelta(31)).replace(day=1) - timedelta(1)
            case _:
                year, month, day = numbers[:_DAY_PARTS]
                return date(year, month, day) - timedelta(1), date(year, month, day)
    except (ValueError, OverflowError):
        return date.max, date.min


def _dated(pattern: str, form: str, of: Callable[[date], Span], days: Callable[[date], bool]) -> _Period:
    def meant(text: str) -> Span | None:
        try:
            return of(datetime.strptime(text, form).replace(tzinfo=UTC).date())
        except (ValueError, OverflowError):
            return None

    def within(day: date) -> Iterator[Span]:
        if days(day):
            yield of(day)

    return _Period(pattern, meant, lambda span: span.day.strftime(form), within)


def _timed(pattern: str, step: timedelta) -> _Period:
    def within(day: date) -> Iterator[Span]:
        whole = clock.day_of(day)
        for number in range((whole.end - whole.start) // step):
            start = whole.start + step * number
            yield clock.Span(start, start + step)

    return _Period(
        pattern, lambda text: clock.labelled(text, step), lambda span: clock.file_label(span.end, step), within
    )


_DAY = _dated(r"\d{8}", "%Y%m%d", clock.day_of, lambda _: True)
_MONTH = _dated(r"\d{6}", "%Y%m", clock.month_of, lambda day: day.day == 1)
_YEAR = _dated(r"\d{4}", "%Y", clock.year_of, lambda day: (day.month, day.day) == (1, 1))
_HOUR = _timed(r"\d{10}00d?", clock.HOUR)
_FIVE = _timed(r"\d{12}d?", clock.FIVE_MINUTES)


def _by(form: str) -> Callable[[Span], str]:
    """A folder by the day in which what is covered begins."""
    return lambda span: span.day.strftime(form)


def _posted(step: timedelta, *, by_hour: bool) -> Callable[[Span], str]:
    """A folder by the label of a posting, with that of its hour and one, or without."""

    def folder(span: Span) -> str:
        label = clock.local_label(span.end, step)
        return f"{label:/%Y/%m/%d}" + (f"/{(label.hour + 1) % 24:02d}" if by_hour else "")

    return folder


def _day_before(span: Span) -> datetime:
    return clock.at(span.day, -1, 13, 30)


def _at_once(span: Span) -> datetime:
    return span.end


def _days_later(span: Span) -> datetime:
    return clock.at(span.day, 5, 8)


def _next_morning(span: Span) -> datetime:
    return span.end + timedelta(hours=8)


def _latest(now: datetime) -> Span:
    end = clock.floor(now, clock.FIVE_MINUTES)
    return clock.Span(end - clock.FIVE_MINUTES, end)


_BY_DAY, _BY_INTERVAL, _BY_MONTH = _by("/%Y/%m/By_Day"), _by("/%Y/%m/By_Interval/%d"), _by("/%Y/%m")
_DAY_AHEAD = (Kind("DA-LMP-SL-{}0100.csv", _BY_DAY, _DAY, _day_before, prices.day_ahead, 3_600_000),)
FILE_SYSTEMS: Mapping[str, tuple[Kind | Standing, ...]] = {
    "da-lmp-by-settlement-location": _DAY_AHEAD,
    "da-lmp-by-location": _DAY_AHEAD,
    "da-lmp-by-bus": (Kind("DA-LMP-B-{}0100.csv", _BY_DAY, _DAY, _day_before, prices.day_ahead_by_bus, 27_000_000),),
    "rtbm-lmp-by-location": (
        Kind("RTBM-LMP-SL-{}.csv", _BY_INTERVAL, _FIVE, _at_once, prices.real_time, 130_000),
        Kind("RTBM-LMP-DAILY-SL-{}.csv", _BY_DAY, _DAY, _days_later, prices.real_time_day, 47_000_000),
        Standing("/RTBM-LMP-SL-latestInterval.csv", _latest, prices.real_time, 130_000),
    ),
    "rtbm-lmp-by-bus": (
        Kind("RTBM-LMP-B-{}.csv", _BY_INTERVAL, _FIVE, _at_once, prices.real_time_by_bus, 1_100_000),
        Standing("/RTBM-LMP-B-latestInterval.csv", _latest, prices.real_time_by_bus, 1_100_000),
    ),
    "da-mcp": (Kind("DA-MCP-{}0100.csv", _BY_MONTH, _DAY, _day_before, reserves.day_ahead, 14_000),),
    "rtbm-mcp": (
        Kind("RTBM-MCP-{}.csv", _BY_INTERVAL, _FIVE, _at_once, reserves.real_time, 1_000),
        Kind("RTBM-MCP-DAILY-{}.csv", _BY_DAY, _DAY, _days_later, reserves.real_time, 250_000),
        Standing("/RTBM-MCP-latestInterval.csv", _latest, reserves.real_time, 1_000),
    ),
    "operating-reserves": (
        Kind("RTBM-OR-{}.csv", _by("/%Y/%m/%d"), _FIVE, _at_once, reserves.cleared, 1_000),
        Standing("/RTBM-OR-latestInterval.csv", _latest, reserves.cleared, 1_000),
    ),
    "market-clearing": (Kind("DA-MC-{}0100.csv", _BY_MONTH, _DAY, _day_before, reserves.day_ahead_cleared, 4_600),),
    "hourly-load": (
        Kind("DAILY_HOURLY_LOAD-{}.csv", _by("/%Y"), _DAY, _next_morning, load.hours, 4_000, _LOAD_SINCE),
        Kind("HOURLY_LOAD-{}.csv", _by("/%Y"), _MONTH, _next_morning, load.hours, 120_000, _LOAD_SINCE),
        Kind("{}.zip", _by("/%Y"), _YEAR, _next_morning, load.year, 840_000, _LOAD_SINCE),
    ),
    "mtlf-vs-actual": (
        Kind("OP-MTLF-{}.csv", _posted(clock.HOUR, by_hour=False), _HOUR, _at_once, load.mid_term, 20_000),
    ),
    "stlf-vs-actual": (
        Kind("OP-STLF-{}.csv", _posted(clock.FIVE_MINUTES, by_hour=True), _FIVE, _at_once, load.short_term, 42_000),
    ),
    "midterm-resource-forecast": (
        Kind("OP-MTRF-{}.csv", _posted(clock.HOUR, by_hour=False), _HOUR, _at_once, power.mid_term, 24_000),
    ),
    "shortterm-resource-forecast": (
        Kind("OP-STRF-{}.csv", _posted(clock.FIVE_MINUTES, by_hour=True), _FIVE, _at_once, power.short_term, 51_000),
    ),
    "resource-forecast-by-reserve-zone": (
        Kind("RF_RESERVE_ZONE-{}.csv", _posted(clock.HOUR, by_hour=False), _HOUR, _at_once, power.by_zone, 76_000),
    ),
    "generation-mix-historical": (
        Kind("GenMix_{}.csv", lambda _: "", _YEAR, _next_morning, mix.year, 16_000_000),
        Standing("/GenMixYTD.csv", mix.this_year, mix.year, 16_000_000),
        *(
            Standing(f"/{baa}/{name}_{baa}.csv", covers, partial(mix.of_area, baa), size)
            for baa in (EAST, WEST)
            for name, covers, size in (
                ("GenMix365", mix.rolling_year, 16_000_000),
                ("GenMix2Hour", mix.two_hours, 5_000),
            )
        ),
    ),
}
"""What is in each file system."""
CHARTS: Mapping[str, Standing] = {
    "load-forecast": Standing("/load-forecast/asFile", _latest, charts.load_forecast, 131_000),
    "gen-mix": Standing("/gen-mix/asFile", mix.two_hours, partial(mix.of_area, EAST), 5_000),
}
"""What charts are drawn from."""
