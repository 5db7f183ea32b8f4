"""Half-open windows of time in UTC, and their algebra.

Inclusive dates exist only on the command line; everything below it speaks `[start, end)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STAMP = "%Y%m%dT%H%MZ"
_FINE_STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Instants from `start` up to, but without, `end`; both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.utcoffset() != timedelta(0):
                raise ValueError(f"window {name} {instant.isoformat()} is not in UTC")
        if self.end <= self.start:
            raise ValueError(f"window ends at {self.end.isoformat()}, not after its start {self.start.isoformat()}")

    @classmethod
    def parse(cls, text: str) -> Window:
        """The window that `str` wrote.

        Raises: ValueError if it did not.
        """
        start, _, end = text.partition("/")
        window = cls(*(datetime.fromisoformat(each) for each in (start, end)))
        if str(window) != text:
            raise ValueError(f'"{text}" is not how a window is written')
        return window

    def __str__(self) -> str:
        # Minutes are enough for market days; a window about the instant of a publication needs all that there is.
        whole = all(each.second == each.microsecond == 0 for each in (self.start, self.end))
        stamp = _STAMP if whole else _FINE_STAMP
        return f"{self.start.strftime(stamp)}/{self.end.strftime(stamp)}"

    @property
    def duration(self) -> timedelta:
        """Elapsed time, so 23 or 25 hours on a change day."""
        return self.end - self.start

    def contains(self, other: Window) -> bool:
        """Whether every instant of `other` lies in this window."""
        return self.start <= other.start and other.end <= self.end


def market_day(day: date, zone: str) -> Window:
    """The market day `day`: local midnight to local midnight, so 23, 24 or 25 hours long."""
    start, end = (datetime.combine(each, time(), ZoneInfo(zone)).astimezone(UTC) for each in (day, day + timedelta(1)))
    return Window(start, end)


def market_days(start: date, end: date, zone: str) -> Window | None:
    """One window over the market days `start` up to, but without, `end`; None if that is no day at all."""
    if end <= start:
        return None
    return Window(market_day(start, zone).start, market_day(end, zone).start)


def days_of(window: Window, zone: str) -> Iterator[date]:
    """The market days that the window touches, in order."""
    local = ZoneInfo(zone)
    day = window.start.astimezone(local).date()
    last = (window.end - timedelta(microseconds=1)).astimezone(local).date()
    while day <= last:
        yield day
        day += timedelta(1)


def split(window: Window, days: int, zone: str) -> list[Window]:
    """Pieces of at most `days` market days each, cut at local midnights; together they are the window."""
    touched = list(days_of(window, zone))
    pieces = []
    for first in range(0, len(touched), days):
        start = market_day(touched[first], zone).start
        end = market_day(touched[min(first + days, len(touched)) - 1], zone).end
        pieces.append(Window(max(start, window.start), min(end, window.end)))
    return pieces


def halves(window: Window, zone: str, *, by_hour: bool) -> list[Window]:
    """Two pieces, cut at the local midnight in the middle; of a single market day at the whole hour there, if `by_hour`.
    Nothing where there is no such place to cut.
    """
    days = [market_day(day, zone) for day in days_of(window, zone)]
    edges = [each.start for each in days[1:]]
    if not edges and by_hour:
        edges = [each.start for each in split_hours(window)[1:]]
    if not edges:
        return []
    middle = edges[len(edges) // 2]
    return [Window(window.start, middle), Window(middle, window.end)]


def merge(windows: Iterable[Window]) -> list[Window]:
    """The fewest windows that cover the same instants, in order."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def subtract(wanted: Iterable[Window], done: Iterable[Window]) -> list[Window]:
    """What is in `wanted` and in none of `done`, as the fewest windows, in order."""
    rest: list[Window] = []
    taken = merge(done)
    for window in merge(wanted):
        start = window.start
        for hole in taken:
            if hole.end <= start:
                continue
            if hole.start >= window.end:
                break
            if hole.start > start:
                rest.append(Window(start, hole.start))
            start = hole.end
        if start < window.end:
            rest.append(Window(start, window.end))
    return rest


def intersect(one: Window, other: Window) -> Window | None:
    """The instants in both, or None."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Window(start, end) if start < end else None


def split_hours(window: Window) -> list[Window]:
    """Pieces of one hour; together they are the window."""
    pieces = []
    start = window.start
    while start < window.end:
        pieces.append(Window(start, min(start + timedelta(hours=1), window.end)))
        start = pieces[-1].end
    return pieces
