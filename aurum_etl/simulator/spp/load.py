"""Load: by area in hours, and by balancing area in hours and five minutes beside what was forecast.

Load is an integer of 0.001 MW. That of an hour is the mean of its twelve.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import decimal_text, load_shape, mixed
from aurum_etl.simulator.spp import clock
from aurum_etl.simulator.spp.places import AREAS, EAST, WEST, WESTERN_AREAS
from aurum_etl.simulator.spp.wire import Sheet, csv_of, numbers
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from aurum_etl.simulator.spp.making import Making

PAST, MID_TERM, SHORT_TERM = timedelta(hours=24), timedelta(hours=168), timedelta(hours=4)
"""How far postings look back, and how far ahead."""
_SIZES = {EAST: 44_000, WEST: 4_200}
_SALTS = {EAST: 0, WEST: 7}
_PARTS = 12
_SHARES = (140, 15, 21, 4, 8, 51, 11, 26, 59, 98, 43, 21, 10, 106, 117, 30, 98)
_WESTERN_SHARES = (250, 190, 430, 130)
_UPPER_PLAINS, _UPPER_PLAINS_SINCE = "WAUE", date(2015, 10, 1)
_LONG_SINCE = date(2026, 3, 24)
_FINE_UNTIL = date(2016, 1, 1)
_NOVEMBER_LINES = 744
_WITH_NON_CONFORMING = {"KCPL", "LES", "NPPD", "OPPD", "WACM", "WAUE", "WR"}
_NON_CONFORMING = 20
"""One part in so many does not conform."""


def shaped(rows: pl.DataFrame) -> pl.DataFrame:
    """With `shape`, the share of the load that is there in an hour, by the local time at its start."""
    hours = rows.select("hour", "day", "weekday", clock=pl.col("clock").floor()).unique("hour", maintain_order=True)
    parts = hours.select("day", "weekday", "clock").iter_rows()
    shapes = hours.select("hour", shape=pl.Series([load_shape(*each) for each in parts], dtype=pl.Float64))
    return rows.join(shapes, on="hour", how="left", maintain_order="left")


def _part(baa: str, number: pl.Expr, seed: int) -> pl.Expr:
    chance = (mixed(number, seed + 30 + _SALTS[baa]) % 17).cast(pl.Int64) - 8
    return (pl.col("shape") * _SIZES[baa]).cast(pl.Int64) * (1000 + chance)


def five_minutes(baa: str, seed: int) -> pl.Expr:
    """Load in five minutes that are `shaped`."""
    return _part(baa, pl.col("number"), seed)


def hourly(baa: str, seed: int) -> pl.Expr:
    """Load in hours that are `shaped`."""
    parts = [_part(baa, pl.col("hour") * _PARTS + part, seed) for part in range(_PARTS)]
    return pl.sum_horizontal(parts) // _PARTS


def missed(actual: pl.Expr, ahead: pl.Expr, seed: int) -> pl.Expr:
    """What is forecast of a quantity so many steps ahead: the further ahead, the worse."""
    chance = mixed(pl.col("number").cast(pl.UInt64) * 2**20 + ahead.cast(pl.UInt64), seed + 40)
    most = 5 + ahead // 3
    return actual * (1000 + (chance % (2 * most + 1).cast(pl.UInt64)).cast(pl.Int64) - most) // 1000


def posted(making: Making, step: timedelta, ahead: timedelta) -> pl.DataFrame:
    """The intervals of a posting, latest first, with `ahead`, the steps to them, and whether they are over."""
    at = making.span.end
    rows = clock.intervals(clock.Span(at - PAST, at + ahead), step, making.fault)
    distance = (pl.col("end") - pl.lit(at)).dt.total_minutes() // (step.total_seconds() // 60)
    rows = rows.with_columns(ahead=distance.cast(pl.Int64).clip(lower_bound=0), is_over=pl.col("end") <= pl.lit(at))
    return rows.sort("end", descending=True)


def _by_balancing_area(making: Making, rows: pl.DataFrame, step: timedelta) -> pl.DataFrame:
    load = hourly if step == clock.HOUR else five_minutes
    rows = clock.stamped(shaped(rows))
    parts = [
        rows.with_columns(actual=load(each, making.seed), baa=pl.lit(each), order=number)
        for number, each in enumerate(making.areas)
    ]
    made = pl.concat(parts).sort(["end", "order"], descending=[True, False])
    return made.with_columns(forecast=missed(pl.col("actual"), pl.col("ahead"), making.seed))


def mid_term(making: Making) -> bytes:
    """Hourly forecast in whole megawatts for a week, and what the last day was."""
    rows = _by_balancing_area(making, posted(making, clock.HOUR, MID_TERM), clock.HOUR)
    rows = rows.with_columns((pl.col("forecast", "actual") + 500) // 1000)
    return _forecast(making, rows, ("Interval", "GMTIntervalEnd", "MTLF", "Averaged Actual"))


def short_term(making: Making) -> bytes:
    """Forecast of the next four hours in five minutes, and what the last day was."""
    rows = _by_balancing_area(making, posted(making, clock.FIVE_MINUTES, SHORT_TERM), clock.FIVE_MINUTES)
    rows = rows.with_columns(numbers(pl.col(each), 3).alias(each) for each in ("forecast", "actual"))
    return _forecast(making, rows, ("Interval", "GMTInterval", "STLF", "Actual"))


def _forecast(making: Making, rows: pl.DataFrame, names: tuple[str, ...]) -> bytes:
    actual = pl.when("is_over").then("actual").otherwise(None).alias("actual")
    tail = ["baa"] if making.has_west else []
    printed = rows.select("local", "gmt", "forecast", actual, *tail)
    header = (*names, *(["BAA"] if making.has_west else []))
    return csv_of(Sheet(header, printed, value=2, word=4 if making.has_west else None, digits=3), making.fault)


def hours(making: Making) -> bytes:
    """Load by area in the hours of a day or a month: areas across, and since spring 2026 down."""
    rows = shaped(making.intervals(clock.HOUR)).with_columns(
        hourly(each, making.seed).alias(each) for each in (EAST, WEST)
    )
    last = making.span.end - clock.HOUR
    if clock.Span(last, last).day >= _LONG_SINCE:
        return _long(making, rows)
    since = making.span.day >= _UPPER_PLAINS_SINCE
    areas = [each for each in AREAS if each != _UPPER_PLAINS or since]
    digits = 6 if making.span.day < _FINE_UNTIL else 3
    of_areas = [_of_area(EAST, area, making.seed, digits).alias(area) for area in areas]
    printed = rows.select(
        _market_hour(), *(decimal_text(each, digits).alias(each.meta.output_name()) for each in of_areas)
    )
    lacking = _NOVEMBER_LINES - len(printed) if making.span == clock.month_of(date(making.span.day.year, 11, 1)) else 0
    below = ("," * len(areas) + "\r\n") * max(lacking, 0)
    header = ("MarketHour", *(f" {each}" for each in areas))
    return csv_of(Sheet(header, printed, value=1, newline="\r\n", below=below), making.fault)


def _of_area(baa: str, area: str, seed: int, digits: int) -> pl.Expr:
    """Load of an area in an hour, about a share of all of it, in 10⁻ᵈⁱᵍⁱᵗˢ MW."""
    areas, shares = (AREAS, _SHARES) if baa == EAST else (WESTERN_AREAS, _WESTERN_SHARES)
    number = areas.index(area)
    chance = mixed(pl.col("hour").cast(pl.UInt64) + number * 2**40, seed + 50 + _SALTS[baa])
    fine = pl.col(baa) * shares[number] + (chance % 20_000).cast(pl.Int64)
    coarser: int = 10 ** (6 - digits)
    return fine // coarser


def _market_hour() -> pl.Expr:
    """`3/1/2015 7:00` in GMT, and at its midnight the day alone."""
    gmt = pl.col("gmt")
    is_midnight = gmt.dt.time() == pl.time(0)
    return pl.when(is_midnight).then(gmt.dt.to_string("%-m/%-d/%Y")).otherwise(gmt.dt.to_string("%-m/%-d/%Y %-H:%M"))


def _kinds(area: str, load: pl.Expr) -> list[tuple[str, pl.Expr]]:
    """Load of an area that conforms to the weather, and that which doesn't, where there is some."""
    if area not in _WITH_NON_CONFORMING:
        return [("CF", load)]
    return [("CF", load - load // _NON_CONFORMING), ("NC", load // _NON_CONFORMING)]


def _long(making: Making, rows: pl.DataFrame) -> bytes:
    parts = [
        clock.stamped(rows).select(
            "end",
            "gmt",
            balancing=pl.lit(baa),
            zone=pl.lit(area),
            kind=pl.lit(kind),
            load=numbers(load, 3),
        )
        for baa, areas in ((EAST, AREAS), (WEST, WESTERN_AREAS))
        for area in areas
        for kind, load in _kinds(area, _of_area(baa, area, making.seed, 3))
    ]
    is_there = (pl.col("balancing") == EAST) | (pl.col("end") > pl.lit(clock.at(clock.WEST_SINCE, 0, 0)))
    made = pl.concat(parts).filter(is_there).sort("end", maintain_order=True).drop("end")
    header = ("Market Hour", " Balancing Area Name", " Control Zone Name", " Forecast Area Type", " Load MW")
    return csv_of(Sheet(header, made, value=4, word=1, digits=3, newline="\r\n"), making.fault)


def year(making: Making) -> bytes:
    """A year's months in a zip."""
    firsts = [date(making.span.day.year, month, 1) for month in range(1, 13)]
    months = ((each, clock.month_of(each)) for each in firsts)
    return zipped([(f"HOURLY_LOAD-{each:%Y%m}.csv", hours(making.over(span))) for each, span in months], making.now)
