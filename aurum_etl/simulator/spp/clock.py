"""Central Prevailing Time, by which SPP names files and labels intervals, and spans that files cover.

An interval is called by its end, in local time and in GMT. Where clocks go back, the two hours that end at 2 are both
called so; in the names of files the second one, and its five minutes, have a `d` behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

CENTRAL = ZoneInfo("America/Chicago")
WEST_SINCE = date(2026, 4, 1)
"""The day on which the western balancing area joined, and files got its column."""
STAMP = "%m/%d/%Y %H:%M:%S"
FIVE_MINUTES, HOUR = timedelta(minutes=5), timedelta(hours=1)
_SHORTEST_DAY = timedelta(hours=23)
_LATE = timedelta(minutes=7)
_OFFSETS = (timedelta(hours=5), timedelta(hours=6))


@dataclass(frozen=True, slots=True)
class Span:
    """Two instants."""

    start: datetime
    end: datetime

    @property
    def day(self) -> date:
        """The market day in which it begins."""
        return self.start.astimezone(CENTRAL).date()


def at(day: date, days: int, hour: int, minute: int = 0) -> datetime:
    """An instant by the local clock, so many days after a day."""
    return datetime.combine(day + timedelta(days), time(hour, minute), CENTRAL).astimezone(UTC)


def day_of(day: date) -> Span:
    """Local midnight to local midnight."""
    return Span(at(day, 0, 0), at(day, 1, 0))


def month_of(day: date) -> Span:
    """The month that a day is in."""
    first = day.replace(day=1)
    return Span(at(first, 0, 0), at((first + timedelta(31)).replace(day=1), 0, 0))


def year_of(day: date) -> Span:
    """The year that a day is in."""
    return Span(at(date(day.year, 1, 1), 0, 0), at(date(day.year + 1, 1, 1), 0, 0))


def local_label(end: datetime, step: timedelta) -> datetime:
    """What an interval is called: the clock at its end, or where that has gone back, the clock at its start and its length."""
    by_end = end.astimezone(CENTRAL).replace(tzinfo=None, fold=0)
    by_start = (end - step).astimezone(CENTRAL).replace(tzinfo=None, fold=0) + step
    return max(by_end, by_start)


def file_label(end: datetime, step: timedelta) -> str:
    """The same in the name of a file: `202511020105`, and `202511020105d` an hour later."""
    mark = "d" if (end - step).astimezone(CENTRAL).fold else ""
    return f"{local_label(end, step):%Y%m%d%H%M}{mark}"


def labelled(text: str, step: timedelta) -> Span | None:
    """The interval that the name of a file means."""
    try:
        label = datetime.strptime(text.removesuffix("d"), "%Y%m%d%H%M").replace(tzinfo=UTC)
        ends = [label + each for each in _OFFSETS]
        return next(
            (Span(end - step, end) for end in ends if file_label(end, step) == text and _on_grid(end, step)), None
        )
    except (ValueError, OverflowError):
        return None


def _on_grid(end: datetime, step: timedelta) -> bool:
    return end.timestamp() % step.total_seconds() == 0


def floor(now: datetime, step: timedelta) -> datetime:
    """The last end of an interval up to now."""
    return datetime.fromtimestamp(now.timestamp() // step.total_seconds() * step.total_seconds(), UTC)


def intervals(span: Span, step: timedelta, fault: str | None = None) -> pl.DataFrame:
    """The intervals of a span in order, with their labels as `local` and `gmt`, times without a zone.

    `number` counts intervals and `hour` hours since 1970 and both are right whatever the fault does to the labels; so are
    `day`, `weekday` and `clock`, the local time at the start. Faults hit each day's beginning, for those who read one day
    of many, and that of a span which is shorter than one.
    """
    ends = [span.start + step * (number + 1) for number in range((span.end - span.start) // step)]
    local = [(each - step).astimezone(CENTRAL) for each in ends]
    rows = pl.DataFrame(
        {
            "end": pl.Series(ends, dtype=pl.Datetime("us", "UTC")),
            "local": pl.Series([local_label(each, step) for each in ends], dtype=pl.Datetime("us")),
            "gmt": pl.Series([each.replace(tzinfo=None) for each in ends], dtype=pl.Datetime("us")),
            "day": pl.Series([each.timetuple().tm_yday for each in local], dtype=pl.Int64),
            "weekday": pl.Series([each.weekday() for each in local], dtype=pl.Int64),
            "clock": pl.Series([each.hour + each.minute / 60 for each in local], dtype=pl.Float64),
        }
    )
    begin = pl.col("end").dt.epoch("s") - int(step.total_seconds())
    rows = rows.with_columns(number=begin // int(step.total_seconds()), hour=begin // 3600)
    is_short = span.end - span.start < _SHORTEST_DAY
    if fault == "missing_hour":
        is_hit = pl.col("end") <= pl.lit(span.start + HOUR) if is_short else pl.col("clock") < 1
        return rows.filter(~is_hit)
    if fault == "off_grid":
        is_hit = pl.col("end") == pl.lit(span.start + step) if is_short else pl.col("clock") == 0
        return rows.with_columns(
            pl.when(is_hit).then(pl.col(each) + _LATE).otherwise(each).alias(each) for each in ("local", "gmt")
        )
    return rows


def stamped(rows: pl.DataFrame, form: str = STAMP) -> pl.DataFrame:
    """With the labels as text."""
    return rows.with_columns(pl.col("local", "gmt").dt.to_string(form))
