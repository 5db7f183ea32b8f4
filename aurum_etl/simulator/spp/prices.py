"""Locational prices in integers of 0.0001 USD/MWh: what stands in a day's file is what stood in those of its intervals."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

import polars as pl

from aurum_etl.simulator.invented import PRICE_UNIT, decimal_text, energy_prices, mixed
from aurum_etl.simulator.spp import clock
from aurum_etl.simulator.spp.places import EAST, WEST
from aurum_etl.simulator.spp.wire import Sheet, csv_of, numbers

if TYPE_CHECKING:
    from aurum_etl.simulator.spp.making import Making

Market = Literal["da", "rt"]
_SALTS = {"da": 0, "rt": 1}
_UNIT = 10_000
_STEPS = PRICE_UNIT // _UNIT
_LOWER = {EAST: 16 * _UNIT, WEST: 11 * _UNIT}
"""How much cheaper energy is than the invented prices are."""
_AREA_SALTS = {EAST: 0, WEST: 50}
_PRICES = ("LMP", "MLC", "MCC", "MEC")
_SPREADSHEET = {date(2026, 6, 1): "%-m/%-d/%Y %H:%M", date(2026, 6, 4): "%-m/%-d/%Y %-H:%M"}
"""Days whose file of the day-ahead market was saved again by a spreadsheet, and how that writes times."""
_SHOUTED = date(2026, 6, 4)
"""The one among them with names in capitals."""


def _energy(rows: pl.DataFrame, market: Market, baa: str, seed: int) -> pl.DataFrame:
    """The intervals with the energy price of an area: near that of the hour, zero rather than almost zero."""
    salt = seed + _SALTS[market] + _AREA_SALTS[baa]
    hours = rows.select("hour", "day", clock=pl.col("clock").floor()).unique("hour", maintain_order=True)
    days = list(hours.select("day", "clock").iter_rows())
    prices = energy_prices(days, hours.get_column("hour").to_list(), salt)
    hours = hours.select("hour", usual=pl.Series([each // _STEPS for each in prices], dtype=pl.Int64))
    rows = rows.with_columns(chance=mixed(pl.col("number"), salt + 10))
    chance = pl.col("chance")
    wander = (chance % 120_001).cast(pl.Int64) - 60_000
    spike = pl.when((chance // 2**20 % 400) == 7).then(2_600_000).otherwise(0)
    extra = wander + spike if market == "rt" else wander // 4
    return (
        rows.join(hours, on="hour", how="left", maintain_order="left")
        .with_columns(energy=pl.col("usual") - _LOWER[baa] + extra)
        .with_columns(energy=pl.when(pl.col("energy").abs() < 5_000).then(0).otherwise("energy"), baa=pl.lit(baa))
    )


def cells(rows: pl.DataFrame, places: pl.DataFrame, market: Market, seed: int) -> pl.DataFrame:
    """Every place in every interval with its price; components add up to it exactly.

    Energy is a ten-thousandth more in some rows. Nothing is congested where energy costs nothing, nor in every ninth
    interval; places of the west, where little is, have at times no price but zeros.
    """
    salt = seed + _SALTS[market]
    energies = pl.concat(_energy(rows, market, each, seed) for each in (EAST, WEST))
    order = pl.int_range(pl.len())
    made = (
        places.with_columns(order=order)
        .join(energies.select("baa", "end", "number", "energy", "local", "gmt"), on="baa", how="inner")
        .sort("end", "order")
    )
    cell = pl.col("place") * 2**34
    moment = pl.col("number").cast(pl.UInt64)
    made = made.with_columns(
        chance=mixed(cell + moment, salt + 20),
        level=mixed(cell + moment // 12, salt + 23),
        share=mixed(pl.col("place"), seed + 21),
        is_free=(mixed(pl.col("number"), salt + 22) % 9 == 0) | (pl.col("energy") == 0),
    )
    chance, energy = pl.col("chance"), pl.col("energy")
    wander = (chance // 8 % 60_001).cast(pl.Int64) - 30_000
    congested = wander + (pl.col("level") % 400_000).cast(pl.Int64) - 200_000
    is_west = pl.col("baa") == WEST
    return (
        made.with_columns(
            MLC=energy * ((pl.col("share") % 901).cast(pl.Int64) - 450) // 10_000,
            MCC=pl.when("is_free").then(0).when(is_west).then(congested // 100).otherwise(congested),
            MEC=energy + pl.when((energy != 0) & (chance % 4 == 0)).then(1).otherwise(0),
            is_void=is_west & (chance // 2**30 % 50 == 0),
        )
        .with_columns(pl.when("is_void").then(0).otherwise(each).alias(each) for each in _PRICES[1:])
        .with_columns(LMP=pl.sum_horizontal(_PRICES[1:]))
    )


def day_ahead(making: Making) -> bytes:
    """Hourly prices of a day by settlement location. The column of the balancing area is the third."""
    day = making.span.day
    rows = clock.stamped(making.intervals(clock.HOUR), _SPREADSHEET.get(day, clock.STAMP))
    made = cells(rows, making.there(making.locations), "da", making.seed)
    names = ("Interval", "GMTIntervalEnd", "BAA", "Settlement Location", "Pnode")
    columns = ("local", "gmt", "baa", "location", "pnode")
    return _written(made, names, columns, making, is_resaved=day in _SPREADSHEET, is_shouted=day == _SHOUTED)


def day_ahead_by_bus(making: Making) -> bytes:
    """Hourly prices of a day by pnode."""
    rows = clock.stamped(making.intervals(clock.HOUR))
    made = cells(rows, making.there(making.buses), "da", making.seed)
    return _written(made, ("Interval", "GMTIntervalEnd", "Pnode"), ("local", "gmt", "pnode"), making)


def real_time(making: Making) -> bytes:
    """Prices of one interval by settlement location. The column of the balancing area is the last."""
    names = ("Interval", "GMTIntervalEnd", "Settlement Location", "Pnode")
    return _five_minutes(making, names)


def real_time_day(making: Making) -> bytes:
    """Prices of all intervals of a day; some columns have other names than where an interval stands alone."""
    names = ("Interval", "GMT Interval", "Settlement Location Name", "PNODE Name")
    return _five_minutes(making, names)


def real_time_by_bus(making: Making) -> bytes:
    """Prices of one interval by pnode."""
    rows = clock.stamped(making.intervals(clock.FIVE_MINUTES))
    made = cells(rows, making.there(making.buses), "rt", making.seed)
    return _written(made, ("Interval", "GMTIntervalEnd", "Pnode"), ("local", "gmt", "pnode"), making)


def _five_minutes(making: Making, names: tuple[str, ...]) -> bytes:
    rows = clock.stamped(making.intervals(clock.FIVE_MINUTES))
    made = cells(rows, making.there(making.locations), "rt", making.seed)
    return _written(made, names, ("local", "gmt", "location", "pnode"), making, last="BAA")


def _written(
    made: pl.DataFrame,
    names: tuple[str, ...],
    columns: tuple[str, ...],
    making: Making,
    *,
    last: str | None = None,
    is_resaved: bool = False,
    is_shouted: bool = False,
) -> bytes:
    """The file; before the west joined, it has no column for the balancing area."""
    kept = [(name, column) for name, column in zip(names, columns, strict=True) if making.has_west or column != "baa"]
    tail = [(last, "baa")] if last is not None and making.has_west else []
    header = [*(name for name, _ in kept), *_PRICES, *(name for name, _ in tail)]
    if is_shouted:
        header = [name.upper().replace(" ", "_") for name in header]
    # A spreadsheet leaves no zeros at the end.
    texts = [decimal_text(pl.col(name), 4) if is_resaved else numbers(pl.col(name), 4) for name in _PRICES]
    rows = made.select(
        *(column for _, column in kept),
        *(text.alias(name) for text, name in zip(texts, _PRICES, strict=True)),
        *(column for _, column in tail),
    )
    # Locations are an open set: the area is the word that can be unknown, and where there is none a location is.
    word = rows.columns.index("baa") if "baa" in rows.columns else 2
    return csv_of(Sheet(tuple(header), rows, value=len(kept), word=word), making.fault)
