"""Locational prices in the making: integers of 0.001 USD/MWh inside, whole cents outside.

Each printed number is rounded by itself, so that what the components leave of a price differs by a cent or two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import polars as pl

from aurum_etl.simulator.invented import PRICE_UNIT, energy_prices, mixed

Stage = Literal["exante", "expost", "Preliminary", "Final"]
"""Which of the numbers that a market gives one after the other: ex-ante and ex-post, or those of real time."""
Priced = Callable[[pl.DataFrame, int, Stage], pl.DataFrame]
"""Puts prices into cells, from a seed."""
_MILLS = PRICE_UNIT // 1000
_PARTS = 12


def with_energy(intervals: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The intervals with the energy price that belongs to their hour, give or take."""
    hours = intervals.select("hour").unique(maintain_order=True)
    stamps = hours.select(pl.from_epoch(pl.col("hour") * 3600)).to_series()
    days = list(zip(stamps.dt.ordinal_day(), stamps.dt.hour(), strict=True))
    prices = [each // _MILLS for each in energy_prices(days, hours.get_column("hour").to_list(), seed)]
    hours = hours.with_columns(hour_price=pl.Series(prices, dtype=pl.Int64))
    return intervals.join(hours, on="hour", how="left", maintain_order="left")


def day_ahead(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Hourly prices of the day-ahead market. `cells` have `place`, `hour` and `hour_price`."""
    return _printed(_prepared(cells, seed + 100), *_part(seed + 100, pl.col("hour"), stage), parts=1)


def five_minutes(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Prices of the real-time market; a few are missing. `cells` have `number` besides."""
    return _with_holes(_printed(_prepared(cells, seed), *_part(seed, pl.col("number"), stage), parts=1), seed)


def hours(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Means of the twelve prices of an hour."""
    parts = [_part(seed, pl.col("hour") * _PARTS + part, stage) for part in range(_PARTS)]
    sums = [pl.sum_horizontal(each) for each in zip(*parts, strict=True)]
    return _with_holes(_printed(_prepared(cells, seed), *sums, parts=_PARTS), seed)


def cents(mills: pl.Expr, parts: int) -> pl.Expr:
    """The mean of a sum, in cents, halves up."""
    return (2 * mills + 10 * parts) // (20 * parts)


def _printed(cells: pl.DataFrame, energy: pl.Expr, congestion: pl.Expr, loss: pl.Expr, *, parts: int) -> pl.DataFrame:
    made = cells.with_columns(energy=energy, congestion=congestion, loss=loss)
    return made.with_columns(
        lmp=cents(pl.col("energy") + pl.col("congestion") + pl.col("loss"), parts),
        mcc=cents(pl.col("congestion"), parts),
        mec=cents(pl.col("energy"), parts),
        mlc=cents(pl.col("loss"), parts),
    )


def _with_holes(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Without the prices of an hour at one of a thousand locations a day."""
    chance = mixed(pl.col("place") * 2**32 + (pl.col("hour") // 24).cast(pl.UInt64), seed + 6)
    hole = (chance % 997 == 0) & ((chance // 2**20 % 24).cast(pl.Int64) == pl.col("hour") % 24)
    return cells.with_columns(
        pl.when(~hole).then(pl.col(name)).otherwise(None).alias(name) for name in ("lmp", "mcc", "mec", "mlc")
    )


def _part(seed: int, number: pl.Expr, stage: Stage) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Energy, congestion and loss in one interval of the market."""
    energy = _energy(seed, number)
    if stage == "exante":
        energy += pl.when(mixed(number, seed + 7) % 3 == 0).then(_between(mixed(number, seed + 8), 900)).otherwise(0)
    congestion = _congestion(seed, number, energy)
    if stage in ("exante", "Preliminary"):
        congestion += _other(seed + (9 if stage == "exante" else 5), number)
    return energy, congestion, _loss(energy)


def _between(chance: pl.Expr, most: int) -> pl.Expr:
    return (chance % (2 * most + 1)).cast(pl.Int64) - most


def _energy(seed: int, number: pl.Expr) -> pl.Expr:
    """Energy price of an interval: near that of its hour, and zero rather than almost zero."""
    mills = pl.col("hour_price") + _between(mixed(number, seed + 1), 2_000)
    return pl.when(mills.abs() <= 1_500).then(0).otherwise(mills)


def _prepared(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """With what holds for the whole hour: the level of congestion, whether there is none, and the share of losses.

    There is none in every twelfth hour, and where energy costs nothing, so that there are prices of exactly zero.
    """
    chance = mixed(pl.col("place") * 2**32 + pl.col("hour").cast(pl.UInt64), seed + 2)
    return cells.with_columns(
        level=(chance % 18_000).cast(pl.Int64) - 8_000,
        is_free=mixed(pl.col("hour"), seed + 4) % 12 == 0,
        share=_between(mixed(pl.col("place"), seed), 450),
    )


def _congestion(seed: int, number: pl.Expr, energy: pl.Expr) -> pl.Expr:
    """Congestion of an interval: the level of its hour and some wandering."""
    wandering = _between(mixed(pl.col("place") * 2**32 + number.cast(pl.UInt64), seed + 3), 1_000)
    return pl.when(pl.col("is_free") | (energy == 0)).then(0).otherwise(pl.col("level") + wandering)


def _loss(energy: pl.Expr) -> pl.Expr:
    return energy * pl.col("share") // 10_000


def _other(seed: int, number: pl.Expr) -> pl.Expr:
    """What makes every tenth of these numbers another than the one that follows it."""
    chance = mixed(pl.col("place") * 2**32 + number.cast(pl.UInt64), seed)
    return pl.when(chance % 10 == 0).then(_between(chance // 16, 2_500)).otherwise(0)
