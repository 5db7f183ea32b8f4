"""Generation by fuel and by area, and forecasts of sun and wind, built column by column."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import load_shape
from aurum_etl.simulator.pjm import clock
from aurum_etl.simulator.pjm.feed import Feed, Scope, Table, Whole
from aurum_etl.simulator.pjm.shapes import noise, shaped, sizes, sun, wind
from aurum_etl.simulator.pjm.wire import Column, stamps

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARES = {"MIDATL": 0.30, "WEST": 0.36, "SOUTH": 0.28, "OTHER": 0.06}
_FUELS = {
    "Coal": (19000, False), "Gas": (38000, False), "Hydro": (2200, True), "Multiple Fuels": (420, False),
    "Nuclear": (32000, False), "Oil": (280, False), "Other": (70, False), "Other Renewables": (620, True),
    "Solar": (9000, True), "Storage": (180, False), "Wind": (5600, True),
}  # fmt: skip
_OTHER_UNTIL = datetime.fromisoformat("2024-01-01")
_SOLAR, _WIND = 9000, 5600


def _by_fuel(scope: Scope) -> Table:
    """Hourly generation by fuel; one fuel is no longer told apart, and storage is negative while it charges."""
    hours = shaped(clock.starts(scope.spans["datetime_beginning"], 60), "datetime_beginning_ept", load_shape)
    hours = shaped(hours.rename({"shape": "load"}), "datetime_beginning_ept", sun).rename({"shape": "sun"})
    fuels = sizes("fuel_type", {name: each[0] for name, each in _FUELS.items()}).with_columns(
        is_renewable=pl.Series([each[1] for each in _FUELS.values()])
    )
    number = clock.epoch("datetime_beginning_utc", 3600)
    fuel = pl.col("fuel_type")
    share = (
        pl.when(fuel == "Solar")
        .then(pl.col("sun"))
        .when(fuel == "Nuclear")
        .then(0.98)
        .when(fuel == "Storage")
        .then(pl.col("load") - 0.75)
        .otherwise(pl.col("load"))
    )
    rows = (
        hours.join(fuels, how="cross", maintain_order="left_right")
        .filter((fuel != "Other") | (pl.col("datetime_beginning_ept") < _OTHER_UNTIL))
        .with_columns(
            mw=(pl.col("size") * share * 10).cast(pl.Int64) * (1000 + noise(scope.seed + 5, number, 60)) // 1000
        )
        .with_columns(total=pl.col("mw").sum().over("datetime_beginning_utc"))
        .with_columns(fuel_percentage_of_total=(pl.col("mw") * 200 + pl.col("total")) // (pl.col("total") * 2))
    )
    return Whole(scope.wanted(rows))


def _generation(
    column: str, size: int, shape: Callable[[int, int, float], float], night: int
) -> Callable[[Scope], Table]:
    def made(scope: Scope) -> Table:
        """By area, and areas that hold others; `night` is what plants use themselves when nothing is made."""
        hours = shaped(clock.starts(scope.spans["datetime_beginning"], 60), "datetime_beginning_ept", shape)
        number = clock.epoch("datetime_beginning_utc", 3600)
        parts = sizes("area", {name: each * size for name, each in _SHARES.items()})
        output = (
            (pl.col("size") * pl.col("shape") * 1000).cast(pl.Int64)
            * (1000 + noise(scope.seed + 6, number, 90))
            // 1000
        )
        own = night * (1000 + noise(scope.seed + 7, number, 300))
        rows = hours.join(parts, how="cross").with_columns(
            pl.when(output == 0).then(own).otherwise(output).alias(column)
        )
        keys = ["datetime_beginning_utc", "datetime_beginning_ept"]
        sums = [
            rows.filter(pl.col("area").is_in(within)).group_by(keys).agg(pl.col(column).sum(), area=pl.lit(name))
            for name, within in (("RTO", tuple(_SHARES)), ("RFC", ("MIDATL", "WEST")))
        ]
        return Whole(scope.wanted(pl.concat([rows, *sums], how="diagonal").sort("datetime_beginning_utc", "area")))

    return made


def _vintages(scope: Scope, minutes: int, first: int) -> pl.DataFrame:
    """Forecasts, each from some hours ahead to two days ahead."""
    asked, issued = scope.spans["datetime_beginning"], scope.spans["evaluated_at"]
    if asked[0] > clock.EARLIEST + timedelta(days=2):
        issued = max(issued[0], asked[0] - timedelta(days=2)), issued[1]
    leads = pl.DataFrame({"lead": range(first, 48)})
    rows = (
        clock.starts(issued, minutes, "evaluated_at")
        .join(leads, how="cross", maintain_order="left_right")
        # The nearest hour is forecast at its full hour alone.
        .filter((pl.col("lead") > first) | (pl.col("evaluated_at_utc").dt.minute() == 0))
        .with_columns(
            datetime_beginning_utc=pl.col("evaluated_at_utc").dt.truncate("1h") + pl.duration(hours=pl.col("lead"))
        )
        .with_columns(
            datetime_beginning_ept=clock.eastern(pl.col("datetime_beginning_utc")),
            datetime_ending_utc=pl.col("datetime_beginning_utc") + timedelta(hours=1),
            place=pl.lit(0),
        )
        .with_columns(datetime_ending_ept=clock.eastern(pl.col("datetime_ending_utc")))
    )
    return scope.wanted(rows)


def _error(seed: int, hours: int, most: int) -> pl.Expr:
    """Per mille; the same for all forecasts that are made within so many hours."""
    return noise(
        seed,
        clock.epoch("datetime_beginning_utc", 3600) * 2**10 + clock.epoch("evaluated_at_utc", 3600) // hours % 2**10,
        most,
    )


def _solar_forecast(scope: Scope) -> Table:
    rows = shaped(_vintages(scope, 60, 0), "datetime_beginning_ept", sun)
    return Whole(
        rows.with_columns(
            solar_forecast_mwh=(pl.col("shape") * _SOLAR).cast(pl.Int64) * (1000 + _error(scope.seed + 8, 1, 80)),
            solar_forecast_btm_mwh=(pl.col("shape") * _SOLAR * 0.2).cast(pl.Int64)
            * (1000 + _error(scope.seed + 9, 6, 150)),
        )
    )


def _wind_forecast(scope: Scope) -> Table:
    rows = shaped(_vintages(scope, 10, 5), "datetime_beginning_ept", wind)
    return Whole(
        rows.with_columns(
            wind_forecast_mwh=(pl.col("shape") * _WIND).cast(pl.Int64) * (1000 + _error(scope.seed + 10, 1, 120))
        )
    )


_HOUR_OVER = clock.after(timedelta(hours=1))
_AT_ONCE = clock.after(timedelta())
_FORECAST = stamps("evaluated_at", "datetime_beginning", "datetime_ending")

FEEDS = (
    Feed(
        "gen_by_fuel",
        (
            *stamps("datetime_beginning"),
            Column("fuel_type", "text"),
            Column("mw", "decimal", 1),
            Column("fuel_percentage_of_total", "decimal", 2),
            Column("is_renewable", "flag"),
        ),
        _by_fuel,
        _HOUR_OVER,
        measure="mw",
        word="fuel_type",
        oldest=date(2016, 1, 1),
    ),
    *(
        Feed(
            name,
            (*stamps("datetime_beginning"), Column("area", "text"), Column(column, "decimal", 3)),
            _generation(column, size, shape, night),
            _HOUR_OVER,
            measure=column,
            word="area",
        )
        for name, column, size, shape, night in (
            ("solar_gen", "solar_generation_mw", _SOLAR, sun, -3),
            ("wind_gen", "wind_generation_mw", _WIND, wind, 0),
        )
    ),
    Feed(
        "hourly_solar_power_forecast",
        (*_FORECAST, Column("solar_forecast_mwh", "decimal", 3), Column("solar_forecast_btm_mwh", "decimal", 3)),
        _solar_forecast,
        _AT_ONCE,
        measure="solar_forecast_mwh",
        word="",
        kept_days=30,
        dates=("evaluated_at", "datetime_beginning"),
    ),
    Feed(
        "hourly_wind_power_forecast",
        (*_FORECAST, Column("wind_forecast_mwh", "decimal", 3)),
        _wind_forecast,
        _AT_ONCE,
        measure="wind_forecast_mwh",
        word="",
        kept_days=30,
        dates=("evaluated_at", "datetime_beginning"),
    ),
)
