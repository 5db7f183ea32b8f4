"""The public displays: what is now, today or yesterday, with numbers as text and no way to ask for another day."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.miso import clock, energy, price_displays
from aurum_etl.simulator.miso.showing import Rows, Showing, compact, reference, twelve_hours
from aurum_etl.simulator.miso.wire import fixed_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CATEGORIES = {
    "Battery Storage": ("storage",),
    "Coal": ("coal",),
    "Imports": (),
    "Natural Gas": ("gas",),
    "Nuclear": ("nuclear",),
    "Other": ("other", "water"),
    "Solar": ("solar",),
    "Wind": ("wind",),
}
_HOURS_SHOWN = 48
_ACTUAL, _FORECAST = "Actual", "Forecast"


def _fuel_mix(which: str, showing: Showing) -> str:
    """Generation by category: in the last five minutes, since midnight, or yesterday."""
    last = showing.measured
    day = last.date() - timedelta(1) if which == "Yesterday" else last.date()
    made = energy.generation(showing.seed, day)
    fuels = pl.col("fuel")
    start = pl.col("start")
    totals = made.group_by("start", "number", maintain_order=True).agg(
        pl.col("output").filter(fuels.is_in(words)).sum().alias(name) for name, words in _CATEGORIES.items()
    )
    totals = totals.with_columns(Imports=energy.imports(showing.seed, pl.col("number")) * 1000)
    shown = totals.filter(start == last if which == "" else start <= last)
    long = shown.unpivot(list(_CATEGORIES), index="start", variable_name="category").with_columns(
        (pl.col("value") + 500) // 1000
    )
    rows = [
        {
            "INTERVALEST": twelve_hours(stamp),
            "CATEGORY": name,
            "ACT": str(value),
            "FUEL_CATEGORY": f"{name}  ({value:,} MW)",
        }
        for stamp, name, value in long.sort("start", maintain_order=True).iter_rows()
    ]
    total = str(long.get_column("value").sum()) if which == "" else "0"
    fuel = {"Type": showing.hurt(rows, "INTERVALEST", "ACT", "CATEGORY")}
    return compact({"RefId": reference(last), "TotalMW": total, "Fuel": fuel})


def _total_load(showing: Showing) -> str:
    """Cleared demand and the forecast of today's hours, and load in five minutes up to now."""
    last = showing.measured
    day = last.date()
    seed = showing.seed
    cleared = energy.cleared(seed, day).get_column("cleared")
    forecast = (
        energy.forecast(seed, day, day - timedelta(1))
        .group_by("hour", maintain_order=True)
        .agg(pl.col("forecast").sum())
    )
    loads = (
        energy.load(seed, day)
        .filter(pl.col("start") <= last)
        .group_by("label", maintain_order=True)
        .agg((pl.col("load").sum() + 50) // 100)
    )
    hurt = showing.hurt
    five = hurt([{"Time": label, "Value": str(value)} for label, value in loads.iter_rows()], "Time", "Value", "Time")
    hours = [
        {"HourEnding": str(hour), "LoadForecast": str(value)}
        for hour, value in enumerate(forecast.get_column("forecast"), 1)
    ]
    sold = [{"Hour": str(hour), "Value": str(value)} for hour, value in enumerate(cleared, 1)]
    shown = {
        "RefId": reference(last),
        "ClearedMW": [{"ClearedMWHourly": each} for each in hurt(sold, "Hour", "Value", "Hour")],
        "MediumTermLoadForecast": [
            {"Forecast": each} for each in hurt(hours, "HourEnding", "LoadForecast", "HourEnding")
        ],
        "FiveMinTotalLoad": [{"Load": each} for each in five],
    }
    return compact({"LoadInfo": shown})


def _renewable(fuels: tuple[str, ...], kinds: tuple[str, ...], showing: Showing) -> str:
    """Hours of wind or sun since midnight: actual ones up to now, forecasts of two days, or both side by side."""
    day = showing.now.date()
    full_hour = showing.now.replace(minute=0, second=0, microsecond=0)
    past = int((full_hour - clock.at(day, 0, 0)) / timedelta(hours=1))
    together, both = len(kinds) > 1, len(fuels) > 1
    rows: Rows = [{} for _ in range(_HOURS_SHOWN if _FORECAST in kinds else past)]
    values = {fuel: _values(showing.seed, day, fuel) for fuel in fuels}
    for kind in kinds:
        prefix = kind if together else ""
        for number, row in enumerate(rows):
            there = kind == _FORECAST or number < past
            stamp = clock.at(day, 0, 0) + timedelta(hours=number)
            row[f"{prefix}DateTimeEST"] = twelve_hours(stamp) if there else None
            row[f"{prefix}HourEndingEST"] = str(stamp.hour + 1) if there else None
            for fuel in fuels:
                name = f"{prefix}{fuel.title() if both else ''}Value"
                row[name] = values[fuel][kind][number] if there else None
    prefix = kinds[0] if together else ""
    value = f"{prefix}{fuels[0].title() if both else ''}Value"
    hurt = showing.hurt(rows, f"{prefix}DateTimeEST", value, f"{prefix}HourEndingEST")
    return compact(
        {
            "Forecast" if kinds == (_FORECAST,) else "instance": hurt,
            "RefId": reference(full_hour),
            "MktDay": f"{day:%m-%d-%Y}",
        }
    )


def _values(seed: int, day: date, fuel: str) -> dict[str, list[str]]:
    both = pl.concat([energy.renewable(seed, day, fuel), energy.renewable(seed, day + timedelta(1), fuel)])
    return {
        _ACTUAL: both.select(fixed_text(pl.col("actual"))).to_series().to_list(),
        _FORECAST: both.select(fixed_text(pl.col("forecast") * 100)).to_series().to_list(),
    }


_PAGES: Mapping[str, Callable[[Showing], str]] = {
    "FuelMix": partial(_fuel_mix, ""),
    "FuelMix/Today": partial(_fuel_mix, "Today"),
    "FuelMix/Yesterday": partial(_fuel_mix, "Yesterday"),
    "RealTimeTotalLoad": _total_load,
    **price_displays.PAGES,
    "WindSolar/GetCombined": partial(_renewable, ("wind", "solar"), (_FORECAST, _ACTUAL)),
    **{
        f"WindSolar/get{fuel}{kind.lower()}": partial(_renewable, (fuel,), (kind,) if kind else (_FORECAST, _ACTUAL))
        for fuel in ("wind", "solar")
        for kind in ("", _ACTUAL, _FORECAST)
    },
}
PAGES = {name.lower(): made for name, made in _PAGES.items()}
"""By path in lower case, for the service does not tell cases apart."""
