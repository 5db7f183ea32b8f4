"""Eastern prevailing time, and when PJM has published what.

All instants in here are UTC without a zone, as the columns ending `_utc` have them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

EASTERN = ZoneInfo("America/New_York")
EARLIEST, LATEST = datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-29")
Span = tuple[datetime, datetime]
"""First and last instant, both inclusive; nothing if they are the wrong way round."""


def eastern(column: pl.Expr) -> pl.Expr:
    """The clock on the wall; the repeated hour in autumn comes twice."""
    local = column.dt.replace_time_zone("UTC").dt.convert_time_zone(EASTERN.key)
    return local.dt.replace_time_zone(None)


def wall(instant: datetime) -> datetime:
    """The clock on the wall at an instant."""
    return instant.replace(tzinfo=UTC).astimezone(EASTERN).replace(tzinfo=None, fold=0)


def midnight(day: date) -> datetime:
    """When a day begins in the East."""
    return datetime.combine(day, time(), EASTERN).astimezone(UTC).replace(tzinfo=None)


def around(first: datetime, last: datetime) -> Span:
    """A span that holds every instant between two times of the wall clock, and at change days an hour more."""
    readings = [
        each.replace(fold=fold, tzinfo=EASTERN).astimezone(UTC).replace(tzinfo=None)
        for each in (first, last)
        for fold in (0, 1)
    ]
    return min(readings[:2]), max(readings[2:])


def starts(span: Span, minutes: int, name: str = "datetime_beginning") -> pl.DataFrame:
    """The intervals that start within the span, with both stamps."""
    step = timedelta(minutes=minutes)
    first = span[0] + (EARLIEST - span[0]) % step
    instants = (
        pl.datetime_range(first, span[1], step, eager=True, time_unit="us")
        if first <= span[1]
        else pl.Series(dtype=pl.Datetime("us"))
    )
    return instants.alias(f"{name}_utc").to_frame().with_columns(eastern(pl.col(f"{name}_utc")).alias(f"{name}_ept"))


def epoch(column: str, seconds: int) -> pl.Expr:
    """Number of the interval since 1970."""
    return pl.col(column).dt.epoch("s") // seconds


def after(lag: timedelta) -> Callable[[datetime], datetime]:
    """What starts that long before now is published."""

    def last(now: datetime) -> datetime:
        return now - lag

    return last


def day_ahead(now: datetime) -> datetime:
    """Tomorrow's results come at 13:30."""
    local = wall(now)
    days = 2 if local.time() >= time(13, 30) else 1
    return midnight(local.date() + timedelta(days)) - timedelta(microseconds=1)


def next_business_day(now: datetime) -> datetime:
    """A day is verified by noon of the next business day: Friday's and the weekend's on Monday."""
    day = wall(now).date()
    while _business_day_after(day) > wall(now):
        day -= timedelta(1)
    return midnight(day + timedelta(1)) - timedelta(microseconds=1)


def _business_day_after(day: date) -> datetime:
    following = day + timedelta(1)
    while following.weekday() >= 5:
        following += timedelta(1)
    return datetime.combine(following, time(12))


def two_days_later(now: datetime) -> datetime:
    """A day comes at eight in the morning of the second day after it."""
    local = wall(now) - timedelta(hours=8)
    return midnight(local.date() - timedelta(1)) - timedelta(microseconds=1)
