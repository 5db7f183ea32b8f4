"""Load by zone and generation by region, in five minutes and in their means, and what was forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import load_shape, mixed
from aurum_etl.simulator.miso import clock
from aurum_etl.simulator.pjm.shapes import noise, shaped, sizes, sun, wind

if TYPE_CHECKING:
    from datetime import date

_ZONES = {
    "Z1": 17_000, "Z2": 12_500, "Z3": 9_500, "Z4": 9_300, "Z5": 8_000, "Z6": 17_500, "Z7": 20_500, "Z8": 7_800,
    "Z9": 20_500, "Z10": 4_800,
}  # fmt: skip
_REGIONS = {
    "Z1": "NORTH", "Z2": "CENTRAL", "Z3": "NORTH", "Z4": "CENTRAL", "Z5": "CENTRAL", "Z6": "CENTRAL", "Z7": "CENTRAL",
    "Z8": "SOUTH", "Z9": "SOUTH", "Z10": "SOUTH",
}  # fmt: skip
REGIONS = ("NORTH", "CENTRAL", "SOUTH")
_FUELS = {
    "coal": (6_000, 18_000, 5_000),
    "gas": (4_000, 14_000, 20_000),
    "nuclear": (1_600, 4_500, 5_200),
    "water": (600, 800, 300),
    "wind": (14_000, 9_000, 100),
    "solar": (800, 6_000, 3_500),
    "other": (300, 900, 900),
    "storage": (100, 700, 200),
}
"""Megawatts in each region."""
FUELS = tuple(_FUELS)
_IMPORTS = 4_000


def load(seed: int, day: date) -> pl.DataFrame:
    """Load of each zone in each five minutes of a day, in 0.01 MW."""
    starts = shaped(clock.intervals([day], 5), "start", load_shape)
    zones = sizes("zone", _ZONES).with_columns(region=pl.col("zone").replace_strict(_REGIONS))
    return starts.join(zones, how="cross", maintain_order="left_right").with_columns(
        load=_load(seed, pl.col("number"), 8)
    )


def _load(seed: int, number: pl.Expr, most: int) -> pl.Expr:
    return (pl.col("size") * pl.col("shape") * 100).cast(pl.Int64) * (1000 + noise(seed + 30, number, most)) // 1000


def hourly_load(seed: int, day: date) -> pl.DataFrame:
    """Load of each zone in each hour: means in 0.01 MW."""
    keys = ["hour", "zone", "region", "place"]
    return load(seed, day).group_by(keys, maintain_order=True).agg(load=_mean(pl.col("load").sum(), 12))


def forecast(seed: int, day: date, made_on: date) -> pl.DataFrame:
    """Forecast of a day's hourly load by zone, in MW; the older, the worse."""
    lead = max((day - made_on).days, 0)
    number = pl.col("hour") * 16 + lead
    error = noise(seed + 31, number, 10 + 8 * lead)
    return hourly_load(seed, day).with_columns(forecast=_mean(pl.col("load") * (1000 + error), 100_000))


def estimated(seed: int, day: date) -> pl.DataFrame:
    """Hourly load by zone as the state estimator sees it: not quite what is metered, in 0.01 MW."""
    error = noise(seed + 32, pl.col("hour"), 6)
    return hourly_load(seed, day).with_columns(demand=_mean(pl.col("load") * (1000 + error), 1000))


def cleared(seed: int, day: date) -> pl.DataFrame:
    """Demand that cleared the day-ahead market, all of MISO, in MW."""
    error = (mixed(pl.col("hour"), seed + 33) % 41).cast(pl.Int64) - 20
    totals = hourly_load(seed, day).group_by("hour", maintain_order=True).agg(pl.col("load").sum())
    return totals.with_columns(cleared=_mean(pl.col("load") * (1000 + error), 100_000))


def generation(seed: int, day: date) -> pl.DataFrame:
    """Generation by fuel and region in each five minutes of a day, in 0.001 MW."""
    starts = clock.intervals([day], 5)
    for name, shape in (("load_shape", load_shape), ("sun", sun), ("wind", wind)):
        starts = shaped(starts, "start", shape).rename({"shape": name})
    plants = sizes(
        "plant",
        {
            f"{fuel} {each}": size
            for fuel, all_sizes in _FUELS.items()
            for each, size in zip(REGIONS, all_sizes, strict=True)
        },
    )
    words = pl.col("plant").str.split(" ")
    plants = plants.with_columns(fuel=words.list.get(0), region=words.list.get(1))
    share = (
        pl.when(pl.col("fuel") == "solar")
        .then("sun")
        .when(pl.col("fuel") == "wind")
        .then("wind")
        .when(pl.col("fuel") == "nuclear")
        .then(0.97)
        # It charges while little is used.
        .when(pl.col("fuel") == "storage")
        .then(pl.col("load_shape") - 0.75)
        .otherwise("load_shape")
    )
    output = (pl.col("size") * share * 1000).cast(pl.Int64) * (1000 + noise(seed + 34, pl.col("number"), 20)) // 1000
    # Panels need a little at night.
    own = (pl.col("size") * -5).cast(pl.Int64) * (1000 + noise(seed + 35, pl.col("number"), 100)) // 1000
    return starts.join(plants, how="cross", maintain_order="left_right").with_columns(
        output=pl.when((pl.col("fuel") == "solar") & (output == 0)).then(own).otherwise(output)
    )


def hourly_generation(seed: int, day: date, *, day_ahead: bool) -> pl.DataFrame:
    """Generation of a region in each hour: a column per fuel, and their total, each rounded by itself to 0.01 MW.

    What clears a day ahead is what will be made, give or take.
    """
    output = pl.col("output") * (1000 + noise(seed + 36, pl.col("hour"), 40)) // 1000 if day_ahead else pl.col("output")
    made = generation(seed, day).with_columns(output=output)
    return made.group_by("hour", "region", maintain_order=True).agg(
        *(_mean(pl.col("output").filter(pl.col("fuel") == fuel).sum(), 120).alias(fuel) for fuel in FUELS),
        total=_mean(pl.col("output").sum(), 120),
    )


def renewable(seed: int, day: date, fuel: str) -> pl.DataFrame:
    """Sun or wind in each hour of a day: `actual` in 0.01 MW, and what was `forecast` in MW."""
    error = (mixed(pl.col("hour"), seed + 37) % 161).cast(pl.Int64) - 80
    hours = generation(seed, day).filter(pl.col("fuel") == fuel).group_by("hour", maintain_order=True)
    return hours.agg(actual=_mean(pl.col("output").sum(), 120)).with_columns(
        forecast=pl.max_horizontal(_mean(pl.col("actual") * (1000 + error), 100_000), 0)
    )


def imports(seed: int, number: pl.Expr) -> pl.Expr:
    """What comes from neighbors in five minutes, in MW; it is listed among the fuels."""
    return (mixed(number, seed + 38) % 400).cast(pl.Int64) + _IMPORTS


def _mean(total: pl.Expr, parts: int) -> pl.Expr:
    """A share of a sum, halves up."""
    return (2 * total + parts) // (2 * parts)
