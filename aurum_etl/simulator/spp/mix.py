"""The generation mix: five minutes down, and across what each fuel gives to the market or is scheduled by its owner."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.spp import clock, load, power
from aurum_etl.simulator.spp.places import EAST, WEST
from aurum_etl.simulator.spp.wire import Sheet, csv_of, fixed_text, numbers

if TYPE_CHECKING:
    from datetime import datetime

    from aurum_etl.simulator.spp.making import Making

_MARKET = "market"
_COLUMNS = {
    "Coal Market": 120, "Coal Self": 190, "Diesel Fuel Oil Market": 0, "Diesel Fuel Oil Self": 0, "Hydro Market": 2,
    "Hydro Self": 22, "Natural Gas Market": 300, "Gas Self": 50, "Nuclear Market": 0, "Nuclear Self": 66,
    "Solar Market": None, "Solar Self": None, "Waste Disposal Services Market": 0, "Waste Disposal Services Self": 1,
    "Wind Market": None, "Wind Self": None, "Waste Heat Market": 0, "Waste Heat Self": 0, "Other Market": -1,
    "Other Self": 1,
}  # fmt: skip
"""Per mille of the load; wind and sun are what they are."""
_STORAGE = {"Energy Storage Market": 3, "Energy Storage Self": 0}
_RENAMED_SINCE, _STORAGE_SINCE = 2018, 2026
_YEAR, _HOURS = timedelta(365), timedelta(hours=2)


def this_year(now: datetime) -> clock.Span:
    """From local midnight of the first day up to now."""
    start = clock.year_of(now.astimezone(clock.CENTRAL).date()).start
    return clock.Span(start, clock.floor(now, clock.FIVE_MINUTES))


def rolling_year(now: datetime) -> clock.Span:
    """365 days up to now."""
    end = clock.floor(now, clock.FIVE_MINUTES)
    return clock.Span(end - _YEAR, end)


def two_hours(now: datetime) -> clock.Span:
    """The last two hours."""
    end = clock.floor(now, clock.FIVE_MINUTES)
    return clock.Span(end - _HOURS, end)


def year(making: Making) -> bytes:
    """A year of the eastern area. Its first row is called by the end of the first five minutes after local midnight."""
    return of_area(EAST, making)


def of_area(baa: str, making: Making) -> bytes:
    """What a balancing area generates; of the western one nothing is known before it joined."""
    rows = making.intervals(clock.FIVE_MINUTES)
    if baa == WEST:
        rows = rows.filter(pl.col("end") > pl.lit(clock.at(clock.WEST_SINCE, 0, 0)))
    rows = power.shared(load.shaped(rows)).with_columns(load=load.five_minutes(baa, making.seed))
    last = making.span.end - clock.FIVE_MINUTES
    is_new = clock.Span(last, last).day.year >= _STORAGE_SINCE
    fuels = {**_COLUMNS, **(_STORAGE if is_new else {})}
    forecast = load.missed(pl.col("load"), pl.lit(1), making.seed)
    totals = {"Load": forecast}
    if is_new:
        totals = {**totals, "Short Term Load Forecast": forecast, "Average Actual Load": pl.col("load")}
    made = rows.select(
        pl.col("gmt").dt.to_string("%Y-%m-%dT%H:%M:%SZ"),
        *(numbers(_output(baa, name, share, making.seed), 1).alias(name) for name, share in fuels.items()),
        *(fixed_text(each, 3).alias(name) for name, each in totals.items()),
    )
    first = "GMT MKT Interval" if making.span.day.year >= _RENAMED_SINCE else "GMTTime"
    header = (first, *(f" {each}" for each in (*fuels, *totals)))
    return csv_of(Sheet(header, made, value=1, digits=2), making.fault)


def _output(baa: str, name: str, share: int | None, seed: int) -> pl.Expr:
    """In 0.1 MW. A fifth of wind and sun is the market's, and some columns are seldom anything but zero."""
    number = [*_COLUMNS, *_STORAGE].index(name)
    chance = mixed(pl.col("number").cast(pl.UInt64) + number * 2**40, seed + 80)
    if share is None:
        fuel, _, part = name.lower().partition(" ")
        whole = power.five_minutes(baa, fuel, seed) // 10
        return whole // 5 if part == _MARKET else whole - whole // 5
    if share == 0:
        return pl.when(chance % 50 == 0).then((chance // 64 % 30).cast(pl.Int64)).otherwise(0)
    return pl.col("load") * share // 1000 * (900 + (chance % 201).cast(pl.Int64)) // 100_000
