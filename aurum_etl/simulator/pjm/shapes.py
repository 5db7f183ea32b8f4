"""Courses over the day that load and generation follow, and what makes them differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def noise(seed: int, number: pl.Expr, most: int) -> pl.Expr:
    """Between minus and plus `most`, per mille, by the row's `place` and a number."""
    cell = pl.col("place").cast(pl.UInt64) * 2**40 + number.cast(pl.UInt64)
    return (mixed(cell, seed) % (2 * most + 1)).cast(pl.Int64) - most


def shaped(rows: pl.DataFrame, column: str, shape: Callable[[int, int, float], float]) -> pl.DataFrame:
    """With `shape`: a share of the day, by the wall clock of a stamp."""
    stamp = rows.get_column(column).unique()
    parts = zip(stamp.dt.ordinal_day(), stamp.dt.weekday() - 1, stamp.dt.hour() + stamp.dt.minute() / 60, strict=True)
    shapes = pl.DataFrame({column: stamp, "shape": pl.Series([shape(*each) for each in parts], dtype=pl.Float64)})
    return rows.join(shapes, on=column, how="left", maintain_order="left")


def sun(day: int, _: int, hour: float) -> float:
    """Share of what the sun can give: a hump from six to eight, lower in winter."""
    height = math.cos((hour - 13) / 14 * math.pi) if 6 < hour < 20 else 0
    return max(height, 0) * (0.7 + 0.3 * math.cos((day - 172) / 365 * 2 * math.pi))


def wind(day: int, _: int, hour: float) -> float:
    """Share of what the wind can give: waves of some days, and more at night."""
    return 0.55 + 0.3 * math.sin(day * 1.7 + hour / 9) + 0.12 * math.cos((hour - 3) / 24 * 2 * math.pi)


def sizes(column: str, megawatts: Mapping[str, float]) -> pl.DataFrame:
    """Names with their sizes in MW, and a number that tells them apart."""
    return pl.DataFrame({column: list(megawatts), "size": [float(each) for each in megawatts.values()]}).with_row_index(
        "place"
    )
