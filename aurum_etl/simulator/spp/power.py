"""Wind and sun: by reserve zone and by balancing area, as forecast and as they were, in 0.01 MW."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.pjm.shapes import sun, wind
from aurum_etl.simulator.spp import clock
from aurum_etl.simulator.spp.load import MID_TERM, SHORT_TERM, missed, posted
from aurum_etl.simulator.spp.places import EAST, WEST
from aurum_etl.simulator.spp.wire import Sheet, csv_of, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from aurum_etl.simulator.spp.making import Making

_ZONES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    EAST: {
        "1": (1_300, 220),
        "2": (2_700, 480),
        "3": (3_000, 1_150),
        "4": (5_400, 1_050),
        "5": (1_700, 180),
    },
    WEST: {"21": (900, 1_100)},
}
"""Reserve zones of each balancing area, and how many megawatts of wind and of sun there are."""
_FUELS = {"wind": wind, "solar": sun}
_PARTS = 12


def shared(rows: pl.DataFrame) -> pl.DataFrame:
    """With `wind` and `solar`, the shares that there are in an hour, by the local time at its start."""
    hours = rows.select("hour", "day", "weekday", clock=pl.col("clock").floor()).unique("hour", maintain_order=True)
    parts = list(hours.select("day", "weekday", "clock").iter_rows())
    shares = hours.select(
        "hour",
        *(
            pl.Series(fuel, [shape(day, weekday, at + 0.5) for day, weekday, at in parts], dtype=pl.Float64)
            for fuel, shape in _FUELS.items()
        ),
    )
    return rows.join(shares, on="hour", how="left", maintain_order="left")


def _part(fuel: str, size: pl.Expr | int, number: pl.Expr, seed: int) -> pl.Expr:
    chance = (mixed(number, seed + 70 + list(_FUELS).index(fuel)) % 61).cast(pl.Int64) - 30
    return (pl.col(fuel) * size).cast(pl.Int64) * (1000 + chance) // 10


def _actual(fuel: str, size: pl.Expr | int, step: timedelta, seed: int) -> pl.Expr:
    """What a fuel gives in an interval; of an hour the mean of its twelve."""
    if step != clock.HOUR:
        return _part(fuel, size, pl.col("number"), seed)
    parts = [_part(fuel, size, pl.col("hour") * _PARTS + part, seed) for part in range(_PARTS)]
    return pl.sum_horizontal(parts) // _PARTS


def five_minutes(baa: str, fuel: str, seed: int) -> pl.Expr:
    """What a fuel gives in all zones of an area in five minutes that are `shared`."""
    number = list(_FUELS).index(fuel)
    parts = [_part(fuel, sizes[number], pl.col("number"), seed) for sizes in _ZONES[baa].values()]
    return pl.sum_horizontal(parts)


def _in_zones(making: Making, rows: pl.DataFrame, step: timedelta) -> pl.DataFrame:
    """Every zone in every interval, latest first and zones in the order of their numbers."""
    listed = [(baa, zone, *sizes) for baa in making.areas for zone, sizes in _ZONES[baa].items()]
    zones = pl.DataFrame(listed, schema=["baa", "zone", "wind_size", "solar_size"], orient="row")
    made = shared(rows).join(zones, how="cross", maintain_order="left_right")
    made = made.with_columns(
        _actual(fuel, pl.col(f"{fuel}_size"), step, making.seed).alias(f"{fuel}_actual") for fuel in _FUELS
    )
    return clock.stamped(
        made.with_columns(
            missed(pl.col(f"{fuel}_actual"), pl.col("ahead"), making.seed + 1 + number).alias(f"{fuel}_forecast")
            for number, fuel in enumerate(_FUELS)
        )
    )


def _in_areas(made: pl.DataFrame) -> pl.DataFrame:
    """The sums of the zones of each balancing area."""
    keys = ["end", "local", "gmt", "baa", "is_over"]
    return made.group_by(keys, maintain_order=True).agg(pl.col("^(wind|solar)_(actual|forecast)$").sum())


def mid_term(making: Making) -> bytes:
    """Hourly forecast for a week and an hour; the hour behind it stands there without values or area."""
    rows = _in_areas(_in_zones(making, posted(making, clock.HOUR, MID_TERM + clock.HOUR), clock.HOUR))
    tail = ["baa"] if making.has_west else []
    printed = rows.select("local", "gmt", _shown("wind_forecast"), _shown("solar_forecast"), *tail)
    printed = pl.concat([_void(making, MID_TERM + 2 * clock.HOUR, printed), printed])
    header = ("Interval", "GMTIntervalEnd", "Wind Forecast MW", "Solar Forecast MW", *(["BAA"] if tail else []))
    return csv_of(_filled(header, printed, 2, 4 if tail else None), making.fault)


def short_term(making: Making) -> bytes:
    """Forecast of the next four hours in five minutes, and what the last day was."""
    rows = _in_areas(_in_zones(making, posted(making, clock.FIVE_MINUTES, SHORT_TERM), clock.FIVE_MINUTES))
    tail = ["baa"] if making.has_west else []
    values = [_shown("wind_forecast"), _known("wind_actual"), _shown("solar_forecast"), _known("solar_actual")]
    names = ("Wind Forecast MW", "Wind Actual MW", "Solar Forecast MW", "Solar Actual MW")
    header = ("Interval", "GMTIntervalEnd", *names, *(["BAA"] if tail else []))
    printed = rows.select("local", "gmt", *values, *tail)
    return csv_of(_filled(header, printed, 2, 6 if tail else None), making.fault)


def by_zone(making: Making) -> bytes:
    """Hourly forecast by reserve zone for a week, and what the last day was.

    Above it are the zones once more, by their numbers as text, in an hour without values or area.
    """
    made = _in_zones(making, posted(making, clock.HOUR, MID_TERM), clock.HOUR)
    area = ["baa"] if making.has_west else []
    values = [_shown("wind_forecast"), _known("wind_actual"), _shown("solar_forecast"), _known("solar_actual")]
    printed = made.select("local", "gmt", *area, "zone", *values)
    zones = printed.select("zone").unique().sort("zone")
    void = _void(making, MID_TERM + clock.HOUR, printed).drop("zone").join(zones, how="cross").select(printed.columns)
    names = ("ReserveZone", "WindForecastMW", "WindActualMW", "SolarForecastMW", "SolarActualMW")
    header = ("IntervalEnd", *(f" {each}" for each in ("GMTIntervalEnd", *(["BAA"] if area else []), *names)))
    word = len(area) + 2
    return csv_of(_filled(header, pl.concat([void, printed]), word + 1, word), making.fault)


def _shown(name: str) -> pl.Expr:
    return numbers(pl.col(name), 2).alias(name)


def _known(name: str) -> pl.Expr:
    """What was, of what is over."""
    return pl.when("is_over").then(numbers(pl.col(name), 2)).otherwise(None).alias(name)


def _void(making: Making, ahead: timedelta, printed: pl.DataFrame) -> pl.DataFrame:
    """A row like those printed for the hour that ends so far ahead, with nothing but its labels."""
    end = making.span.end + ahead
    labels = clock.stamped(clock.intervals(clock.Span(end - clock.HOUR, end), clock.HOUR)).select("local", "gmt")
    others = (pl.lit(None, printed.schema[each]).alias(each) for each in printed.columns if each not in labels.columns)
    return labels.with_columns(others).select(printed.columns)


def _filled(header: tuple[str, ...], printed: pl.DataFrame, value: int, word: int | None) -> Sheet:
    return Sheet(header, printed, value=value, word=word, digits=3)
