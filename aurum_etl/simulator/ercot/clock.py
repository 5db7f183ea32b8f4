"""Central prevailing time, and the labels that ERCOT gives to intervals.

All instants in here are UTC without a zone; `local` is the clock on the wall.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

CENTRAL = ZoneInfo("America/Chicago")
Span = tuple[datetime, datetime]
"""First instant and the one behind the last."""
_HOUR = timedelta(hours=1)
_EPOCH = datetime.fromisoformat("1970-01-01")


def central(instant: pl.Expr) -> pl.Expr:
    """The clock on the wall; the repeated hour in autumn comes twice."""
    return instant.dt.replace_time_zone("UTC").dt.convert_time_zone(CENTRAL.key).dt.replace_time_zone(None)


def instant(local: pl.Expr) -> pl.Expr:
    """The instant of a reading that is neither skipped nor repeated."""
    return local.dt.replace_time_zone(CENTRAL.key).dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def wall(moment: datetime) -> datetime:
    """The clock on the wall at an instant."""
    return moment.replace(tzinfo=UTC).astimezone(CENTRAL).replace(tzinfo=None, fold=0)


def midnight(day: date) -> datetime:
    """When a day begins in Texas."""
    return datetime.combine(day, time(), CENTRAL).astimezone(UTC).replace(tzinfo=None)


def around(first: datetime, last: datetime) -> Span:
    """A span that holds every instant between two readings of the wall clock, and at change days an hour more."""
    readings = [
        each.replace(fold=fold, tzinfo=CENTRAL).astimezone(UTC).replace(tzinfo=None)
        for each in (first, last)
        for fold in (0, 1)
    ]
    return min(readings[:2]), max(readings[2:]) + timedelta(microseconds=1)


def is_repeated(moment: pl.Expr) -> pl.Expr:
    """Whether it lies in the hour after the clock was set back."""
    return central(moment) == central(moment - _HOUR)


def repeated(moment: datetime) -> bool:
    """Whether it lies in the hour after the clock was set back."""
    return wall(moment) == wall(moment - _HOUR)


def grid(span: Span, minutes: int) -> pl.DataFrame:
    """The intervals that start within the span."""
    step = timedelta(minutes=minutes)
    first = span[0] + (_EPOCH - span[0]) % step
    starts = (
        pl.datetime_range(first, span[1], step, closed="left", eager=True, time_unit="us")
        if first < span[1]
        else pl.Series(dtype=pl.Datetime("us"))
    )
    return starts.alias("start").to_frame()


def labelled(rows: pl.DataFrame, date_name: str = "deliveryDate") -> pl.DataFrame:
    """With `local`, the day, `hour` from 1 to 24, `quarter` from 1 to 4 and `DSTFlag` of every `start`.

    The hour that is repeated in autumn has the number of the one before it and the flag; spring has no third hour.
    """
    return rows.with_columns(local=central(pl.col("start")), DSTFlag=is_repeated(pl.col("start"))).with_columns(
        pl.col("local").dt.date().alias(date_name),
        hour=pl.col("local").dt.hour().cast(pl.Int64) + 1,
        quarter=pl.col("local").dt.minute().cast(pl.Int64) // 15 + 1,
    )


def hour_text(hour: pl.Expr) -> pl.Expr:
    """An hour by its end: `01:00` to `24:00`."""
    return hour.cast(pl.String).str.zfill(2) + ":00"


def at(day: pl.Expr, days: int, clock_time: timedelta) -> pl.Expr:
    """The instant of a time of the day, some days after a date."""
    return instant(day.cast(pl.Datetime("us")) + timedelta(days) + clock_time)


def epoch(seconds: int, column: str = "start") -> pl.Expr:
    """Number of the interval since 1970."""
    return pl.col(column).dt.epoch("s") // seconds
