"""Eastern Standard Time, which MISO keeps all year, and when what is published.

All stamps in here are that clock's, without a zone: every day has 24 hours, change days of other clocks included.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

EST = timezone(timedelta(hours=-5), "EST")
_RESOLUTIONS = {5: "5min", 60: "hourly", 1440: "daily"}
_LATE = timedelta(minutes=7)
_OLDEST = date(2016, 1, 1)
_KEPT_YEARS = 3
_KEPT_PRELIMINARY = timedelta(days=4)


def standard(now: datetime) -> datetime:
    """What the clock shows."""
    return now.astimezone(EST).replace(tzinfo=None)


def at(day: date, days: int, hour: int, minute: int = 0) -> datetime:
    """A time of the clock, so many days after a day."""
    return datetime.combine(day + timedelta(days), time(hour, minute))


def day_ahead(day: date) -> datetime:
    """When the Data Exchange has the day-ahead results."""
    return at(day, -1, 14)


def day_ahead_file(day: date) -> datetime:
    """When the files of day-ahead results are out."""
    return at(day, -1, 13, 30)


def next_morning(day: date) -> datetime:
    """When preliminary results of the real-time market are out, and most else about a day."""
    return at(day, 1, 7)


def final(day: date) -> datetime:
    """When final results of the real-time market are out."""
    return at(day, 4, 10)


def preliminary_kept(day: date, now: datetime) -> bool:
    """Whether the file of a day's preliminary prices is there: from the next morning on for some days."""
    return next_morning(day) <= now and now.date() - day <= _KEPT_PRELIMINARY


def file_kept(day: date, now: datetime) -> bool:
    """Whether files of a day are still there: those of this year and of the three before it are."""
    return day.year >= now.year - _KEPT_YEARS


def known(day: date) -> bool:
    """Whether the Data Exchange reaches back that far."""
    return day >= _OLDEST


def latest(now: datetime) -> datetime:
    """Start of the last five minutes that have prices."""
    return now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) - timedelta(minutes=5)


def intervals(days: Sequence[date], minutes: int, fault: str | None = None) -> pl.DataFrame:
    """The intervals of some days, as the Data Exchange labels them.

    `number` and `hour` count intervals and hours since 1970 and are right whatever the fault does to the times that are
    shown; so is `label`, by which an interval is asked for.
    """
    step = timedelta(minutes=minutes)
    starts = pl.concat(
        [
            pl.datetime_range(at(day, 0, 0), at(day, 1, 0), step, closed="left", eager=True, time_unit="us")
            for day in days
        ]
    ).alias("start")
    rows = (
        starts.to_frame()
        .with_columns(
            number=pl.col("start").dt.epoch("s") // (60 * minutes),
            hour=pl.col("start").dt.epoch("s") // 3600,
            label=_label(minutes),
        )
        .with_columns(shown=pl.col("label"))
    )
    if fault == "missing_hour":
        rows = rows.slice(1)
    if fault == "off_grid":
        is_first = pl.int_range(pl.len()) == 0
        late = _label(5) if minutes == 5 else pl.col("label") + ":07"
        rows = rows.with_columns(start=pl.when(is_first).then(pl.col("start") + _LATE).otherwise("start"))
        rows = rows.with_columns(shown=pl.when(is_first).then(late).otherwise("label"))
    end = pl.col("start") + step
    stamp = '"%Y-%m-%d %H:%M:%S.000"'
    value = end.dt.to_string("%Y-%m-%d") if minutes == 1440 else pl.col("shown")
    return rows.with_columns(
        time_interval=pl.concat_str(
            pl.lit(f'{{"resolution":"{_RESOLUTIONS[minutes]}","start":'),
            pl.col("start").dt.to_string(stamp),
            pl.lit(',"end":'),
            end.dt.to_string(stamp),
            pl.lit(',"value":"'),
            value,
            pl.lit('"}'),
        )
    )


def _label(minutes: int) -> pl.Expr:
    """Hours by their number from 1 to 24, five minutes by when they start, days by their date."""
    start = pl.col("start")
    match minutes:
        case 60:
            return (start.dt.hour().cast(pl.Int64) + 1).cast(pl.String)
        case 5:
            return start.dt.to_string("%H:%M")
        case _:
            return start.dt.to_string("%Y-%m-%d")
