"""Prices of reserves by product and zone, and those of the whole of MISO below which no zone's is."""

from __future__ import annotations

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.miso.prices import Stage, cents

PRODUCTS = ("Regulation", "Spin", "Supplemental", "STR", "Ramp-up", "Ramp-down")
SUMMARY_PRODUCTS = ("Regulation", "Spin", "Supplemental", "SER", "Mileage")
_USUAL = {
    "Regulation": 9_000, "Spin": 2_000, "Supplemental": 900, "STR": 400, "Ramp-up": 300, "Ramp-down": 60, "SER": 9_000,
    "Mileage": 700,
}  # fmt: skip
"""In 0.001 USD/MW."""
_RARE = ("Ramp-up", "Ramp-down", "STR")
ZONES = 8
_PARTS = 12


def in_zones(products: tuple[str, ...]) -> pl.DataFrame:
    """Each product in each zone."""
    numbered = pl.DataFrame({"zone_number": range(1, ZONES + 1)}, schema={"zone_number": pl.Int64})
    return _products(products).join(numbered, how="cross", maintain_order="left_right").with_columns(zone=_zone())


def as_a_whole(products: tuple[str, ...]) -> pl.DataFrame:
    """Each product for the whole of MISO, which is zone number 0."""
    return _products(products).with_columns(zone_number=pl.lit(0, pl.Int64), zone=pl.lit("MISO"))


def _products(products: tuple[str, ...]) -> pl.DataFrame:
    numbers = list(_USUAL)
    return pl.DataFrame(
        {
            "product": products,
            "product_number": [numbers.index(each) for each in products],
            "usual": [_USUAL[each] for each in products],
            "is_rare": [each in _RARE for each in products],
        }
    )


def _zone() -> pl.Expr:
    return "Zone " + pl.col("zone_number").cast(pl.String)


def day_ahead(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Hourly prices of the day-ahead market, `mcp` in cents."""
    return cells.with_columns(mcp=cents(_part(seed + 100, pl.col("hour"), stage), 1))


def five_minutes(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Prices of the real-time market."""
    return cells.with_columns(mcp=cents(_part(seed, pl.col("number"), stage), 1))


def hours(cells: pl.DataFrame, seed: int, stage: Stage) -> pl.DataFrame:
    """Means of the twelve prices of an hour."""
    parts = [_part(seed, pl.col("hour") * _PARTS + part, stage) for part in range(_PARTS)]
    return cells.with_columns(mcp=cents(pl.sum_horizontal(parts), _PARTS))


def _part(seed: int, number: pl.Expr, stage: Stage) -> pl.Expr:
    """A price that all zones have, more in some, very high in one interval of many; ramping is mostly free."""
    product = pl.col("product_number").cast(pl.UInt64) * 2**40
    chance = mixed(product + number.cast(pl.UInt64), seed + 20)
    hour_chance = mixed(product + pl.col("hour").cast(pl.UInt64), seed + 21)
    price = pl.col("usual") * (500 + (chance % 1000).cast(pl.Int64)) // 1000
    price = pl.when(pl.col("is_rare") & (hour_chance % 3 > 0)).then(0).otherwise(price)
    price = pl.when(hour_chance % 2000 == 7).then(price + 850_000).otherwise(price)
    if stage in ("exante", "Preliminary"):
        price += pl.when(chance // 2**10 % 10 == 0).then((chance // 2**20 % 400).cast(pl.Int64)).otherwise(0)
    zone = pl.col("zone_number").cast(pl.UInt64) * 2**32
    dearer = mixed(zone + pl.col("hour").cast(pl.UInt64), seed + 22)
    more = pl.when((pl.col("zone_number") > 0) & (dearer % 6 == 0)).then((dearer // 8 % 2_000).cast(pl.Int64))
    return price + more.otherwise(0)
