"""Every clock of every dataset, over the change days of twenty years: labels are made with the standard library alone, as
the ISO's documents say they look, and must come back as the instants they were made from.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aurum_etl import adapters
from aurum_etl.clock import DeliveryInterval, HourEnding, Instants, UtcInstants, Validity, WallClock
from aurum_etl.market import Iso

if TYPE_CHECKING:
    from aurum_etl.clock import Clock

YEARS = range(2008, 2028)
NAIVE = pl.Datetime("us")
INSTANT = pl.Datetime("us", "UTC")
# ISO-NE names an hour by the clock when it ends, so that spring has no 02; the others have no 03.
NAMED_BY_ITS_END = {Iso.ISONE}

USES = {
    (dataset.iso, report.clock, minutes): f"{dataset.key}-{report.name}-{minutes}"
    for dataset in adapters.datasets().values()
    for report in dataset.reports
    for minutes in dataset.intervals
    if not isinstance(report.clock, Validity)
}
CLOCKS = {name: use for use, name in USES.items()}
"""Those that differ, each by the name of the last that uses it: many reports tell time in the same way."""


@cache
def change_days(zone: str) -> list[date]:
    """Days of the twenty years that are not 24 hours long; any days where there are none."""
    days = (date(YEARS[0], 1, 1) + timedelta(number) for number in range(365 * len(YEARS)))
    found = [day for day in days if midnight(day + timedelta(1), zone) - midnight(day, zone) != timedelta(hours=24)]
    return found or [date(2026, 3, 8), date(2025, 11, 2)]


def midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def labels(clock: Clock, iso: Iso, start: datetime, end: datetime) -> dict[str, object]:
    """How the ISO writes the interval."""
    if isinstance(clock, UtcInstants):
        return {clock.start: start, clock.end: end}
    if isinstance(clock, Instants):
        return {clock.column: start if clock.labels == "start" else end}
    if isinstance(clock, WallClock):
        local = (start if clock.labels == "start" else end).astimezone(ZoneInfo(clock.zone))
        return {clock.column: local.replace(tzinfo=None, fold=0), **flag(clock, local)}
    if isinstance(clock, DeliveryInterval):
        hour = start.astimezone(ZoneInfo(clock.hours.zone)).replace(minute=0).astimezone(UTC)
        number = (start - hour) // timedelta(minutes=clock.minutes) + 1
        return {**labels(clock.hours, iso, hour, hour + timedelta(hours=1)), clock.interval: str(number)}
    assert isinstance(clock, HourEnding)
    local, ending = (each.astimezone(ZoneInfo(clock.zone)) for each in (start, end))
    number = local.hour + 1
    if iso in NAMED_BY_ITS_END and ending.hour not in (0, local.hour):
        number = ending.hour
    text = f"{number:02d}" + (clock.repeated if local.fold else "")
    return {clock.date: datetime(local.year, local.month, local.day), clock.hour: text, **flag(clock, local)}  # noqa: DTZ001 - a label


def flag(clock: WallClock | HourEnding, local: datetime) -> dict[str, object]:
    """The word beside a label that tells which of two is meant."""
    if not clock.flag:
        return {}
    return {clock.flag: clock.flagged[0] if (clock.flag_means == "second") == bool(local.fold) else "other"}


def is_told(clock: Clock, start: datetime, end: datetime) -> bool:
    """Whether its label stands for this interval alone."""
    if isinstance(clock, WallClock) and not clock.flag:
        return not (start if clock.labels == "start" else end).astimezone(ZoneInfo(clock.zone)).fold
    return True


@pytest.mark.parametrize("key", CLOCKS)
def test_intervals_tile_every_market_day(key: str) -> None:
    iso, clock, minutes = CLOCKS[key]
    zone = iso.timezone
    step = timedelta(minutes=minutes or 5)
    length = timedelta(minutes=minutes)

    @given(st.sampled_from(change_days(zone)) | st.dates(date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31)))
    @example(change_days(zone)[0])
    @example(change_days(zone)[1])
    def tiles(day: date) -> None:
        begin, finish = midnight(day, zone), midnight(day + timedelta(1), zone)
        assert (finish - begin) // timedelta(hours=1) in (23, 24, 25)
        starts = [begin + number * step for number in range((finish - begin) // step)]
        wanted = [(each, each + length) for each in starts if is_told(clock, each, each + length)]
        rows = [labels(clock, iso, start, end) for start, end in wanted]
        kinds = {
            name: INSTANT
            if isinstance(value, datetime) and value.tzinfo
            else NAIVE
            if isinstance(value, datetime)
            else pl.String
            for name, value in rows[0].items()
        }
        frame = pl.DataFrame(rows, schema=kinds)
        found = frame.select(start=clock.interval_start(), end=clock.interval_end())
        assert found.rows() == wanted
        assert found.schema == {"start": INSTANT, "end": INSTANT}

    tiles()


@pytest.mark.parametrize("day", [datetime(2026, 3, 8), datetime(2026, 7, 14), datetime(2025, 11, 2)], ids=str)  # noqa: DTZ001 - labels
def test_an_hour_is_the_second_of_two_where_there_are_two(day: datetime) -> None:
    """A mark on any other hour is a label that no clock shows, and not the hour itself."""
    clock = HourEnding("date", "hour", "America/New_York", repeated="X")
    names = [f"{number:02d}X" for number in range(1, 25)]
    frame = pl.DataFrame({"date": [day] * 24, "hour": names}).with_columns(start=clock.interval_start())
    placed = frame.filter(pl.col("start").is_not_null())
    assert placed.select("hour", "start").rows() == (
        [("02X", datetime(2025, 11, 2, 6, tzinfo=UTC))] if day.month == 11 else []
    )


@pytest.mark.parametrize("key", CLOCKS)
def test_nothing_is_placed_nowhere(key: str) -> None:
    """A source that has nothing is read by the same clock."""
    iso, clock, minutes = CLOCKS[key]
    start = midnight(date(2026, 7, 14), iso.timezone)
    frame = pl.DataFrame([labels(clock, iso, start, start + timedelta(minutes=minutes))]).clear()
    found = frame.select(start=clock.interval_start(), end=clock.interval_end())
    assert (len(found), found.schema) == (0, {"start": INSTANT, "end": INSTANT})
