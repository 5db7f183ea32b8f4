"""Invented numbers: plausible, and the same for the same seed, place and hour, whoever asks and however.

All arithmetic is on integers (prices in 0.00001 USD/MWh, load in 0.01 MW), so that sums are exact as printed and the same
on every machine. Polars' own hash is not stable between versions, hence the mixing here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

PRICE_UNIT = 100_000
"""Integer steps per USD/MWh."""

_C1, _C2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mixed(value: pl.Expr, seed: int) -> pl.Expr:
    """The integers, well shuffled over 64 bits (the finalizer of splitmix64)."""
    x = value.cast(pl.UInt64) + pl.lit(seed * 0x9E3779B97F4A7C15 % 2**64, pl.UInt64)
    x = (x ^ (x // 2**30)) * pl.lit(_C1, pl.UInt64)
    x = (x ^ (x // 2**27)) * pl.lit(_C2, pl.UInt64)
    return x ^ (x // 2**31)


def energy_prices(local_hours: Sequence[tuple[int, float]], epoch_hours: list[int], seed: int) -> list[int]:
    """Energy price per interval in price units; `local_hours` are (day of the year, hour of the day).

    A morning and an evening peak, and a midday valley that goes below zero in spring.
    """
    prices = []
    for (day, hour), epoch_hour in zip(local_hours, epoch_hours, strict=True):
        spring = math.exp(-(((day - 110) / 45) ** 2))
        peaks = 14 * math.exp(-(((hour - 7.5) / 2) ** 2)) + 30 * math.exp(-(((hour - 19) / 2.5) ** 2))
        valley = (18 + 32 * spring) * math.exp(-(((hour - 12.5) / 3) ** 2))
        noise = (epoch_hour * 2654435761 + seed * 40503) % 4001 / 1000 - 2
        prices.append(round((33 + peaks - valley + noise) * PRICE_UNIT))
    return prices


def load_shape(day: int, weekday: int, hour: float) -> float:
    """Share of an area's size that is used at that hour: summer, weekday and evening are high."""
    summer = 1 + 0.25 * math.exp(-(((day - 215) / 50) ** 2))
    evening = 0.62 + 0.12 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.16 * math.exp(-(((hour - 18.5) / 3) ** 2))
    return summer * evening * (0.93 if weekday >= 5 else 1.0)


def decimal_text(units: pl.Expr, digits: int) -> pl.Expr:
    """Integers of 10⁻ᵈⁱᵍⁱᵗˢ as the shortest decimal text: `0`, `37.19566`, `-0.5`."""
    size = 10**digits
    whole = (units.abs() // size).cast(pl.String)
    parts = (units.abs() % size).cast(pl.String).str.zfill(digits)
    text = (whole + "." + parts).str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(units < 0).then("-" + text).otherwise(text)
