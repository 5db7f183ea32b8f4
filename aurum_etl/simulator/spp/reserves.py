"""Reserves: clearing prices by zone, and what was cleared."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.spp import clock
from aurum_etl.simulator.spp.places import EAST, WEST
from aurum_etl.simulator.spp.wire import Sheet, csv_of, fixed_text, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from aurum_etl.simulator.spp.making import Making

ZONES: Mapping[str, tuple[str, ...]] = {EAST: ("1", "2", "3", "4", "5", EAST), WEST: ("21", WEST)}
"""Reserve zones of each balancing area, and the area as a whole behind them."""
_USUAL = {
    "RegUP": 80_000, "RegDN": 100_000, "Spin": 4_500, "Supp": 3_000, "RampUP": 0, "RampDN": 0, "UncUP": 0,
    "RegUpMile": 12_000, "RegDNMile": 15_000,
}  # fmt: skip
"""In 0.0001 USD/MW; what usually costs nothing does so in few intervals."""
_RAMPS_SINCE, _UNCERTAINTY_SINCE = 2022, 2023
_DAY_AHEAD = ("RegUP", "RegDN", "Spin", "Supp", "RampUP", "RampDN", "UncUP")
_REAL_TIME = {
    "RegUPService": "RegUP", "RegDNService": "RegDN", "RegUpMile": "RegUpMile", " RegDNMile": "RegDNMile",
    "RampUP": "RampUP", "RampDN": "RampDN", "Spin": "Spin", "Supp": "Supp", "UncUP": "UncUP",
}  # fmt: skip
_CLEARED = {
    "RegUP_Clr": 420, " RegDN_Clr": 380, " RampUP_Clr": 600, " RampDN_Clr": 300, " UncUP_Clr": 1_200,
    " STSUncUP_Clr": 500, " Spin_Clr": 690, " Supp_Clr": 700,
}  # fmt: skip
_CLEARED_DAY_AHEAD = {
    "Generation": (31_000, 3), "Cleared DR": (25, 3), " Cleared Demand Bid": (28, 3),
    "Cleared Fixed Demand Bid": (29_600, 3), "Cleared Virtual Bid": (3_300, 3), " Cleared Virtual Offer": (3_500, 3),
    "Total Demand": (33_000, 1), "NSI": (1_300, 3), "SMP": (30, 3), "Min LMP": (-30, 3), "Max LMP": (180, 3),
    "RegUP": (430, 0), "RegDN": (370, 0), "RampUP": (600, 0), "RampDN": (300, 0), "UncUP": (1_500, 0), "Spin": (690, 0),
    "Supp": (700, 0), "Capacity Available": (59_000, 0), " Fixed Obligation": (30_500, 0), " Net Capacity": (28_500, 0),
    " Curtailed Fixed Demand Bid": (0, 0),
}  # fmt: skip
"""What is usual of each, and the digits behind the point."""


def day_ahead(making: Making) -> bytes:
    """Hourly clearing prices of a day."""
    products = {each: each for each in _DAY_AHEAD if _is_traded(each, making.span.day.year)}
    return _prices(making, clock.HOUR, products, 100)


def real_time(making: Making) -> bytes:
    """Clearing prices in five minutes of a day, or of one interval. The column of the balancing area is the last."""
    products = {name: each for name, each in _REAL_TIME.items() if _is_traded(each, making.span.day.year)}
    return _prices(making, clock.FIVE_MINUTES, products, 0, tail=("BAA",) if making.has_west else ())


def _is_traded(product: str, year: int) -> bool:
    return not (
        (product.startswith("Ramp") and year < _RAMPS_SINCE) or (product == "UncUP" and year < _UNCERTAINTY_SINCE)
    )


def _in_zones(making: Making, step: timedelta) -> pl.DataFrame:
    zones = [(zone, baa) for baa in making.areas for zone in ZONES[baa]]
    listed = pl.DataFrame(zones, schema=["zone", "baa"], orient="row").with_row_index("place")
    return clock.stamped(making.intervals(step)).join(listed, how="cross", maintain_order="left_right")


def _prices(
    making: Making, step: timedelta, products: Mapping[str, str], salt: int, tail: tuple[str, ...] = ()
) -> bytes:
    rows = _with_prices(_in_zones(making, step), tuple(products.values()), making.seed + salt)
    made = rows.select(
        "local",
        "gmt",
        "zone",
        *(numbers(pl.col(each), 4).alias(name) for name, each in products.items()),
        *(pl.col("baa").alias(each) for each in tail),
    )
    header = ("Interval", "GMTIntervalEnd", "Reserve Zone", *products, *tail)
    return csv_of(Sheet(header, made, value=3, word=2), making.fault)


def _with_prices(rows: pl.DataFrame, products: tuple[str, ...], seed: int) -> pl.DataFrame:
    """With a price of each product that all zones of an area have, and now and then one of them a dearer one.

    Chances are columns of their own: within one expression they would be worked out again wherever they are used.
    """
    moment = pl.col("number").cast(pl.UInt64)
    area = moment * 2 + (pl.col("baa") == WEST).cast(pl.UInt64)
    zone = moment + pl.col("place").cast(pl.UInt64) * 2**48
    keys = {each: list(_USUAL).index(each) * 2**40 for each in products}
    rows = rows.with_columns(area=area, zone_cell=zone)
    chances = [mixed(pl.col("area") + key, seed + 60).alias(f"chance_{each}") for each, key in keys.items()]
    chances += [mixed(pl.col("zone_cell") + key, seed + 61).alias(f"dearer_{each}") for each, key in keys.items()]
    common = rows.with_columns(chances).with_columns(_of_area(each) for each in products)
    return common.with_columns(pl.col(each) + _dearer(each) for each in products)


def _of_area(product: str) -> pl.Expr:
    """Usually a little more or less than usual, seldom much more, seldom nothing."""
    chance = pl.col(f"chance_{product}")
    price = _USUAL[product] * (600 + (chance % 800).cast(pl.Int64)) // 1000
    luck = chance // 2**12 % 30
    much = (chance // 2**20 % 300_000).cast(pl.Int64)
    return pl.when(luck == 7).then(price + much).when(luck == 8).then(0).otherwise(price).alias(product)


def _dearer(product: str) -> pl.Expr:
    chance = pl.col(f"dearer_{product}")
    is_dearer = (chance % 60 == 0) & (pl.col(product) > 0)
    return pl.when(is_dearer).then((chance // 64 % 9_000).cast(pl.Int64)).otherwise(0)


def _amount(name: str, usual: int, seed: int) -> pl.Expr:
    """About that much, in 0.001 MW."""
    cell = pl.col("number").cast(pl.UInt64) + zlib.crc32(name.encode()) * 2**24
    chance = mixed(cell, seed + 62)
    return usual * (800 + (chance % 401).cast(pl.Int64))


def cleared(making: Making) -> bytes:
    """What was cleared of each product in one interval, by reserve zone."""
    rows = _in_zones(making, clock.FIVE_MINUTES)
    share = pl.when(pl.col("baa") == WEST).then(10).when(pl.col("zone") == EAST).then(100).otherwise(20)
    made = rows.select(
        "local",
        "gmt",
        "zone",
        *(
            numbers(_amount(name, usual, making.seed) * share // 100_000 * 1_000, 3).alias(name)
            for name, usual in _CLEARED.items()
        ),
        *(pl.col("baa").alias("BAA") for _ in range(making.has_west)),
    )
    header = ("Interval", "GMTIntervalEnd", "Reserve Zone", *_CLEARED, *(["BAA"] if making.has_west else []))
    return csv_of(Sheet(header, made, value=3, word=2, digits=3), making.fault)


def day_ahead_cleared(making: Making) -> bytes:
    """What was cleared in all of the day-ahead market, hour by hour; some columns are prices."""
    rows = clock.stamped(making.intervals(clock.HOUR))
    made = rows.select(
        "local",
        "gmt",
        *(
            _rounded(_amount(name, usual, making.seed), digits).alias(name)
            for name, (usual, digits) in _CLEARED_DAY_AHEAD.items()
        ),
    )
    return csv_of(Sheet(("Interval", "GMTIntervalEnd", *_CLEARED_DAY_AHEAD), made, value=13), making.fault)


def _rounded(amount: pl.Expr, digits: int) -> pl.Expr:
    units = amount // 10 ** (3 - digits)
    return fixed_text(units, digits) if digits else units.cast(pl.String)
