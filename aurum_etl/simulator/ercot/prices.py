"""The price products. ERCOT publishes one price per settlement point, and never its parts.

All prices are integers of cents.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock
from aurum_etl.simulator.ercot.points import named_points, typed_points
from aurum_etl.simulator.ercot.product import Cell, Column, Product
from aurum_etl.simulator.invented import energy_prices, mixed

if TYPE_CHECKING:
    from aurum_etl.simulator.ercot.product import Scope

_CORRECTED_DAY = 5
"""The fifth of every month is corrected in the day-ahead market, three days after it was cleared."""
_ANCILLARY = {"ECRS": 0.5, "NSPIN": 0.4, "REGDN": 0.2, "REGUP": 0.45, "RRS": 0.35}
_ECRS_SINCE = pl.date(2023, 6, 10)
_NONE = pl.lit(None, pl.Datetime("us"))


def _chance(seed: int, number: pl.Expr) -> pl.Expr:
    return (mixed(number, seed) // 64).cast(pl.Int64)


def _with_hour_prices(cells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """With `epoch_hour`, and `energy` in that hour: a price near zero is zero."""
    cells = cells.with_columns(epoch_hour=clock.epoch(3600))
    hours = cells.select("epoch_hour").unique(maintain_order=True)
    local = hours.select(clock.central(pl.from_epoch(pl.col("epoch_hour") * 3600))).to_series()
    days = zip(local.dt.ordinal_day(), local.dt.hour(), strict=True)
    prices = energy_prices(list(days), hours.get_column("epoch_hour").to_list(), seed)
    cents = pl.col("energy") // 1000
    hours = hours.with_columns(energy=pl.Series(prices, dtype=pl.Int64)).with_columns(
        energy=pl.when(cents.abs() <= 300).then(0).otherwise(cents)
    )
    return cells.join(hours, on="epoch_hour", how="left", maintain_order="left")


def _basis(seed: int) -> pl.Expr:
    """What a point differs by in an hour: nothing in one hour of eight, so that there are prices of exactly zero."""
    cell = pl.col("place").cast(pl.Int64) * 2**32 + pl.col("epoch_hour")
    level = _chance(seed + 2, cell) % 2400 - 1100
    return (
        pl.when((_chance(seed + 3, pl.col("epoch_hour")) % 8 == 0) | (pl.col("energy") == 0)).then(0).otherwise(level)
    )


def _not_final(seed: int, number: pl.Expr) -> pl.Expr:
    """What is wrong with every tenth price that is yet to be corrected."""
    chance = _chance(seed + 4, pl.col("place").cast(pl.Int64) * 2**36 + number)
    wrong = pl.col("preliminary") & (chance % 10 == 0)
    return pl.when(wrong).then(chance // 16 % 500 + 1).otherwise(0)


def _cleared(seed: int, span: clock.Span) -> pl.DataFrame:
    """Hours of the day-ahead market, which is posted between 12:30 and 13:15 the day before."""
    day = pl.col("local").dt.date()
    minute = pl.duration(seconds=_chance(seed, day.to_physical()) % 2700)
    hours = clock.grid(span, 60).with_columns(local=clock.central(pl.col("start")))
    return hours.with_columns(
        posted=clock.at(day, -1, timedelta(hours=12, minutes=30)) + minute,
        corrected=pl.when(day.dt.day() == _CORRECTED_DAY).then(
            clock.at(day, 2, timedelta(hours=10, minutes=15, seconds=8))
        ),
    ).drop("local")


def _final(seed: int, span: clock.Span) -> pl.DataFrame:
    """As the day-ahead market, but without corrections."""
    return _cleared(seed, span).with_columns(corrected=_NONE)


def _by_hour(starts: pl.DataFrame) -> pl.DataFrame:
    return clock.labelled(starts).with_columns(hourEnding=clock.hour_text(pl.col("hour")))


def _day_ahead(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    cells = _with_hour_prices(cells, seed + 1)
    return cells.with_columns(
        settlementPointPrice=pl.col("energy") + _basis(seed + 1) + _not_final(seed, pl.col("epoch_hour"))
    )


def _quarters(seed: int, span: clock.Span) -> pl.DataFrame:
    """Quarters of an hour, posted about two minutes after their end; one of a day is posted again with corrections."""
    quarters = clock.grid(span, 15)
    number = clock.epoch(900)
    end = pl.col("start") + timedelta(minutes=15)
    again = end + timedelta(minutes=51, seconds=17)
    return quarters.with_columns(
        posted=end + timedelta(minutes=2) + pl.duration(seconds=_chance(seed, number) % 6),
        corrected=pl.when(_chance(seed, number // 96) % 96 == number % 96).then(again),
    )


def _by_quarter(starts: pl.DataFrame) -> pl.DataFrame:
    return clock.labelled(starts).rename({"hour": "deliveryHour", "quarter": "deliveryInterval"})


def _wandering(seed: int) -> pl.Expr:
    """What the whole market does within an hour, quarter by quarter: one in two hundred is scarce."""
    chance = _chance(seed + 5, clock.epoch(900))
    return pl.when(chance % 200 == 0).then(chance // 256 % 400_000 + 20_000).otherwise(chance // 256 % 801 - 400)


def _real_time(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    """Settlement point prices have an adder that no LMP has; those weighted by energy differ a little."""
    number = clock.epoch(900)
    place = pl.col("place").cast(pl.Int64) * 2**36 + number
    weighted = pl.col("settlementPointType").is_in(["LZEW", "LZ_DCEW"])
    free = pl.col("energy") == 0
    price = (
        pl.col("energy")
        + pl.when(free).then(0).otherwise(_wandering(seed) + _chance(seed + 6, number) % 40)
        + _basis(seed)
        + pl.when(weighted).then(_chance(seed + 7, place) % 61 - 30).otherwise(0)
        + _not_final(seed, number)
    )
    return _with_hour_prices(cells, seed).with_columns(settlementPointPrice=price)


def _runs(seed: int, span: clock.Span) -> pl.DataFrame:
    """Runs of the dispatch: about every five minutes at odd seconds, some between the others, and some left out."""
    slots = clock.grid((span[0] - timedelta(minutes=5), span[1]), 5)
    number = clock.epoch(300)
    second = _chance(seed + 8, number) % 20 + 8
    regular = slots.filter(_chance(seed + 9, number) % 150 != 0)
    between = slots.filter(_chance(seed + 10, number) % 40 == 0).with_columns(pl.col("start") + timedelta(seconds=140))
    runs = pl.concat([part.with_columns(pl.col("start") + pl.duration(seconds=second)) for part in (regular, between)])
    return (
        runs.filter(pl.col("start").is_between(*span, closed="left"))
        .sort("start")
        .with_columns(posted=pl.col("start") + timedelta(seconds=2), corrected=_NONE)
    )


def _by_run(starts: pl.DataFrame) -> pl.DataFrame:
    return clock.labelled(starts).with_columns(SCEDTimestamp="local", repeatHourFlag="DSTFlag")


def _dispatch(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    run = _chance(seed + 11, clock.epoch(1)) % 301 - 150
    moving = pl.when(pl.col("energy") == 0).then(0).otherwise(_wandering(seed) + run)
    return _with_hour_prices(cells, seed).with_columns(LMP=pl.col("energy") + moving + _basis(seed))


def _services(_: Scope) -> pl.DataFrame:
    return (
        pl.DataFrame({"ancillaryType": list(_ANCILLARY), "share": list(_ANCILLARY.values())})
        .with_row_index("place")
        .sort("ancillaryType")
    )


def _capacity(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    """Never below zero, and often zero; one of the services is newer than the others."""
    cells = cells.filter((pl.col("ancillaryType") != "ECRS") | (pl.col("deliveryDate") >= _ECRS_SINCE))
    cells = _with_hour_prices(cells, seed + 1)
    noise = _chance(seed + 12, pl.col("place").cast(pl.Int64) * 2**32 + pl.col("epoch_hour")) % 600
    price = ((pl.col("energy") - 2000) * pl.col("share")).cast(pl.Int64) + noise
    return cells.with_columns(MCPC=pl.max_horizontal(price, pl.lit(0, pl.Int64)))


DELIVERY_DATE = Column("deliveryDate", "Delivery Date", "DATE")
HOUR_TEXT = Column("hourEnding", "Hour Ending", "VARCHAR")
DST_FLAG = Column("DSTFlag", "DST Flag", "BOOLEAN")
_POINT = Column("settlementPoint", "Settlement Point", "VARCHAR")
_PRICE = Column("settlementPointPrice", "Settlement Point Price", "DOUBLE", 2)
_DATE_CELL = Cell("DeliveryDate", "deliveryDate", "date")
_FLAG_CELL = Cell("DSTFlag", "DSTFlag", "flag")

PRODUCTS = (
    Product(
        "NP4-188-CD",
        "DAM Clearing Prices for Capacity",
        "Clearing prices for capacity of all ancillary services in the day-ahead market.",
        12329,
        "Event - Per DAM Run",
        "2010-11-29",
        31,
        "DAMCPCNP4188",
        (
            _DATE_CELL,
            Cell("HourEnding", "hourEnding", "text"),
            Cell("AncillaryType", "ancillaryType", "text"),
            Cell("MCPC", "MCPC", "shortest", 2),
            _FLAG_CELL,
        ),
        _final,
        _capacity,
        _by_hour,
        _services,
        artifact="dam_clear_price_for_cap",
        columns=(
            DELIVERY_DATE,
            HOUR_TEXT,
            Column("ancillaryType", "Ancillary Type", "VARCHAR"),
            Column("MCPC", "MCPC", "DOUBLE", 2),
            DST_FLAG,
        ),
        order=("deliveryDate", "hourEnding", "ancillaryType"),
        measure="MCPC",
        word="ancillaryType",
        rules=("NP4.5.3(2)(a)",),
    ),
    Product(
        "NP4-190-CD",
        "DAM Settlement Point Prices",
        "Day-ahead prices of all settlement points.",
        12331,
        "Event - Per DAM Run",
        "2010-11-29",
        31,
        "DAMSPNP4190",
        (
            _DATE_CELL,
            Cell("HourEnding", "hourEnding", "text"),
            Cell("SettlementPoint", "settlementPoint", "text"),
            Cell("SettlementPointPrice", "settlementPointPrice", "shortest", 2),
            _FLAG_CELL,
        ),
        _cleared,
        _day_ahead,
        _by_hour,
        named_points,
        artifact="dam_stlmnt_pnt_prices",
        columns=(DELIVERY_DATE, HOUR_TEXT, _POINT, _PRICE, DST_FLAG),
        order=("deliveryDate", "hourEnding", "settlementPoint"),
        measure="settlementPointPrice",
        word="settlementPoint",
        download_limit=500,
        rules=("NP4.5.3(2)(b)",),
    ),
    Product(
        "NP6-788-CD",
        "LMPs by Resource Nodes, Load Zones and Trading Hubs",
        "Locational marginal prices of every dispatch run.",
        12300,
        "Event - Per SCED Run",
        "2010-11-30",
        5,
        "LMPSROSNODENP6788",
        (
            Cell("SCEDTimestamp", "SCEDTimestamp", "stamp"),
            Cell("RepeatedHourFlag", "repeatHourFlag", "flag"),
            Cell("SettlementPoint", "settlementPoint", "text"),
            Cell("LMP", "LMP", "shortest", 2),
        ),
        _runs,
        _dispatch,
        _by_run,
        named_points,
        artifact="lmp_node_zone_hub",
        columns=(
            Column("SCEDTimestamp", "SCED Timestamp", "DATETIME"),
            Column("repeatHourFlag", "Repeat Hour Flag", "BOOLEAN"),
            _POINT,
            Column("LMP", "LMP", "DOUBLE", 2),
        ),
        order=("SCEDTimestamp", "settlementPoint"),
        measure="LMP",
        word="settlementPoint",
        interval="SCEDTimestamp",
        lag=timedelta(hours=1),
        named_by="second",
        rules=("NP6.3.2(2)",),
    ),
    Product(
        "NP6-905-CD",
        "Settlement Point Prices at Resource Nodes, Hubs and Load Zones",
        "Real-time prices of all settlement points for every quarter of an hour.",
        12301,
        "Chron - 15 Minutes",
        "2010-11-30",
        7,
        "SPPHLZNP6905",
        (
            _DATE_CELL,
            Cell("DeliveryHour", "deliveryHour", "whole"),
            Cell("DeliveryInterval", "deliveryInterval", "whole"),
            Cell("SettlementPointName", "settlementPoint", "text"),
            Cell("SettlementPointType", "settlementPointType", "text"),
            Cell("SettlementPointPrice", "settlementPointPrice", "blank", 2),
            _FLAG_CELL,
        ),
        _quarters,
        _real_time,
        _by_quarter,
        typed_points,
        artifact="spp_node_zone_hub",
        columns=(
            DELIVERY_DATE,
            Column("deliveryHour", "Delivery Hour", "INTEGER"),
            Column("deliveryInterval", "Delivery Interval", "INTEGER"),
            _POINT,
            Column("settlementPointType", "Settlement Point Type", "VARCHAR"),
            _PRICE,
            DST_FLAG,
        ),
        order=("deliveryDate", "deliveryHour", "deliveryInterval", "settlementPoint", "settlementPointType"),
        measure="settlementPointPrice",
        word="settlementPointType",
        interval="deliveryInterval",
        lag=timedelta(hours=3),
        named_by="minute",
        retries=True,
        rules=("NP6.3.2(2)",),
    ),
)
"""In the order of the product list."""
