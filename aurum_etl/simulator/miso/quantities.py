"""The Data Exchange's product Load, Generation and Interchange: load, its forecasts, and generation by fuel."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import decimal_text
from aurum_etl.simulator.miso import clock, energy
from aurum_etl.simulator.miso.exchange import Field, Grid, Resource, Scope
from aurum_etl.simulator.miso.wire import BadArgument, NoData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

_REGION_WORDS = (*energy.REGIONS, "MISO", "NO_REGION")
_LONGEST_LEAD = timedelta(days=6)
_MINUTES = {"hourly": 60, "daily": 1440}


def _grid(scope: Scope, minutes: int, values: pl.DataFrame, column: str, **options: str) -> Grid:
    """Values by hour, or their sums over the day, for the places that are asked for."""
    keys = [name for name in ("region", "zone") if name in values.columns]
    if minutes == 1440:
        values = values.group_by(keys, maintain_order=True).agg(pl.col(column).sum(), pl.col("hour").min())
    listed = values.select(keys).unique(maintain_order=True) if keys else pl.DataFrame({"once": [0]})
    found = scope.wanted(listed, **options)
    blocks = scope.wanted(clock.intervals([scope.day], minutes, scope.fault), interval="label")
    return Grid(blocks, found, lambda cells: cells.join(values, ["hour", *keys], how="left", maintain_order="left"))


def _published(scope: Scope, at: Callable[[date], datetime]) -> None:
    if at(scope.day) > scope.now:
        raise NoData


def _actual(scope: Scope) -> Grid:
    _published(scope, lambda day: clock.at(day, 1, 2))
    minutes = _MINUTES[scope.chosen("timeresolution", tuple(_MINUTES)) or "hourly"]
    loads = energy.hourly_load(scope.seed, scope.day)
    if _by_zone(scope):
        return _grid(scope, minutes, loads.drop("region"), "load", localresourcezone="zone")
    if scope.chosen("region", _REGION_WORDS) == "MISO":
        loads = loads.with_columns(region=pl.lit("MISO"))
    loads = loads.group_by("hour", "region", maintain_order=True).agg(pl.col("load").sum())
    return _grid(scope, minutes, loads, "load", region="region")


def _by_zone(scope: Scope) -> bool:
    return scope.chosen("georesolution", ("region", "localResourceZone")) == "localResourceZone"


def _actual_fields(scope: Scope) -> Sequence[Field]:
    place = Field("localResourceZone", "text", "zone") if _by_zone(scope) else Field("region", "text", "region")
    return (_TIME, place, Field("load", "number", "load", 2))


def _forecast(scope: Scope) -> Grid:
    minutes = _MINUTES[scope.chosen("timeresolution", tuple(_MINUTES)) or "hourly"]
    scope.chosen("region", _REGION_WORDS)
    text, newest = scope.options.get("init"), (scope.now - timedelta(hours=31)).date()
    try:
        made_on = date.fromisoformat(text) if text is not None else min(scope.day, newest)
    except ValueError:
        raise BadArgument("init must be of the form yyyy-mm-dd") from None
    if made_on > newest or not timedelta() <= scope.day - made_on <= _LONGEST_LEAD:
        raise NoData
    values = energy.forecast(scope.seed, scope.day, made_on)
    grid = _grid(scope, minutes, values, "forecast", region="region", localresourcezone="zone")
    return Grid(grid.blocks.with_columns(init=pl.lit(made_on.isoformat())), grid.places, grid.filled)


def _medium_term(scope: Scope) -> Grid:
    _published(scope, clock.next_morning)
    values = energy.forecast(scope.seed, scope.day, scope.day - timedelta(1))
    return _grid(scope, 60, values.group_by("hour", maintain_order=True).agg(pl.col("forecast").sum()), "forecast")


def _estimated(scope: Scope) -> Grid:
    _published(scope, clock.next_morning)
    return _grid(scope, 60, energy.estimated(scope.seed, scope.day).drop("region"), "demand", zone="zone")


def _by_fuel(scope: Scope, *, day_ahead: bool) -> Grid:
    """A row per region with all its fuels in one object, which faults hit inside."""
    _published(scope, clock.day_ahead if day_ahead else clock.next_morning)
    scope.chosen("region", _REGION_WORDS)
    made = energy.hourly_generation(scope.seed, scope.day, day_ahead=day_ahead)
    parts: list[pl.Expr] = []
    for fuel in energy.FUELS:
        value = decimal_text(pl.col(fuel), 2)
        if scope.fault == "text_in_number" and not parts:
            value = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit('"n/a"')).otherwise(value)
        parts += [pl.lit(f'{"," if parts else "{"}"{fuel}":'), value]
    end = ',"xyz":1}' if scope.fault == "unknown_word" else "}"
    made = made.with_columns(fuel_types=pl.concat_str([*parts, pl.lit(end)]))
    return _grid(scope, 60, made, "total", region="region")


def _resource(made: Callable[[Scope], Grid], measure: str, word: str | None, *fields: Field) -> Resource:
    return Resource(made, lambda _: fields, measure, word)


_TIME = Field("timeInterval", "json", "time_interval")
_INTERVAL = Field("interval", "text", "shown")
_REGION = Field("region", "text", "region")
_FUELS = (_TIME, _REGION, Field("fuelTypes", "json", "fuel_types"), Field("totalMw", "number", "total", 2), _INTERVAL)
RESOURCES = {
    "real-time/demand/actual": Resource(_actual, _actual_fields, "load", None),
    "real-time/demand/forecast": _resource(
        _medium_term, "demand", None, _INTERVAL, Field("demand", "number", "forecast")
    ),
    "real-time/demand/load-state-estimator": _resource(
        _estimated, "demand", "zone", _TIME, Field("zone", "text", "zone"), Field("demand", "number", "demand", 2)
    ),
    "forecast/load": _resource(
        _forecast,
        "loadForecast",
        "localResourceZone",
        _TIME,
        _REGION,
        Field("localResourceZone", "text", "zone"),
        Field("loadForecast", "number", "forecast"),
        Field("init", "text", "init"),
    ),
    "day-ahead/generation/fuel-type": _resource(partial(_by_fuel, day_ahead=True), "fuelTypes", None, *_FUELS),
    "real-time/generation/fuel-type": _resource(partial(_by_fuel, day_ahead=False), "fuelTypes", None, *_FUELS),
}
"""By path without the day."""
