"""Wind and solar power: hourly, two days back and a week ahead, posted anew every hour.

What was made is in 0.01 MW, what is expected in 0.1 MW.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock
from aurum_etl.simulator.ercot.prices import DELIVERY_DATE, DST_FLAG
from aurum_etl.simulator.ercot.product import Cell, Column, Product
from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.pjm.shapes import shaped, sun, wind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WIND_ZONES = {"LoadZoneSouthHouston": 8800, "LoadZoneWest": 26000, "LoadZoneNorth": 3900}
_WIND_REGIONS = {"Panhandle": 4400, "Coastal": 5600, "South": 6900, "West": 18500, "North": 3300}
_SOLAR_ZONES = {"Everywhere": 31000}
_SOLAR_REGIONS = {
    "CenterWest": 6100, "NorthWest": 3900, "FarWest": 9400, "FarEast": 1200, "SouthEast": 4700, "CenterEast": 5700,
}  # fmt: skip
_PAST, _AHEAD = 48, 168
_NONE = pl.lit(None, pl.Datetime("us"))


def _noise(seed: int, cell: pl.Expr, most: int) -> pl.Expr:
    """Between minus and plus `most`."""
    return (mixed(cell, seed) % (2 * most + 1)).cast(pl.Int64) - most


def _five_to(seed: int, span: clock.Span) -> pl.DataFrame:
    """Posted some seconds behind five to every hour."""
    late = timedelta(minutes=55)
    hours = clock.grid((span[0] - late - timedelta(minutes=1), span[1] - late), 60)
    second = pl.duration(seconds=(mixed(clock.epoch(3600), seed) % 5 + 7).cast(pl.Int64))
    posted = hours.with_columns(pl.col("start") + late + second).filter(
        pl.col("start").is_between(*span, closed="left")
    )
    return posted.with_columns(posted="start", corrected=_NONE)


def _nine_days(starts: pl.DataFrame) -> pl.DataFrame:
    """The hours that are over, two days back, and those that are not, a week ahead."""
    hours = (
        starts.drop("start")
        .with_columns(postedDatetime=clock.central(pl.col("posted")))
        .join(pl.DataFrame({"lead": range(-_PAST, _AHEAD)}), how="cross", maintain_order="left_right")
        .with_columns(start=pl.col("posted").dt.truncate("1h") + pl.duration(hours=pl.col("lead")))
    )
    return clock.labelled(hours).rename({"hour": "hourEnding"})


def _power(
    shape: Callable[[int, int, float], float],
    zones: Mapping[str, int],
    middle: str,
    low: str,
    seed: int,
    cells: pl.DataFrame,
) -> pl.DataFrame:
    """What was made, or nothing for what is yet to come; and three expectations, which are the system's sum over zones."""
    rows = shaped(cells, "local", shape)
    is_over = pl.col("lead") < 0
    made = []
    for number, (zone, size) in enumerate(zones.items()):
        hour = clock.epoch(3600) * 4 + number
        # What is expected of an hour that is over no longer changes.
        issued = pl.min_horizontal(clock.epoch(3600, "posted"), clock.epoch(3600) + 1)
        vintage = (issued * 2**10 + clock.epoch(3600) % 2**10) * 4 + number
        output = (size * pl.col("shape") * 100).cast(pl.Int64) * (1000 + _noise(seed + 30, hour, 80)) // 1000
        expected = output // 10 * (1000 + _noise(seed + 31, vintage, 90)) // 1000
        made += [
            pl.when(is_over).then(output).alias(f"gen{zone}"),
            (expected * (1000 + _noise(seed + 32, vintage, 50)) // 1000).alias(f"COPHSL{zone}"),
            expected.alias(f"{middle}{zone}"),
            (expected * 9 // 10).alias(f"{low}{zone}"),
        ]
    kinds = ("gen", "COPHSL", middle, low)
    rows = rows.with_columns(made).with_columns(
        pl.sum_horizontal([f"{kind}{zone}" for zone in zones], ignore_nulls=False).alias(f"{kind}SystemWide")
        for kind in kinds
    )
    return rows.with_columns(HSLSystemWide=pl.col("genSystemWide") * 104 // 100)


def _apart(name: str) -> str:
    """`LoadZoneWest` in words of its own."""
    return "".join(f" {each}" if each.isupper() else each for each in name).strip()


def _columns(middle: str, low: str, zones: tuple[str, ...]) -> tuple[Column, ...]:
    return (
        Column("postedDatetime", "Posted Datetime", "DATETIME"),
        DELIVERY_DATE,
        Column("hourEnding", "Hour Ending", "INTEGER"),
        *(
            Column(f"{kind}{zone}", f"{kind.upper()} {_apart(zone)}", "DOUBLE", digits)
            for zone in ("SystemWide", *zones)
            for kind, digits in (("gen", 2), ("COPHSL", 1), (middle, 1), (low, 1))
        ),
        Column("HSLSystemWide", "HSL System Wide", "DOUBLE", 2),
        DST_FLAG,
    )


def _cells(middle: str, low: str, zones: tuple[str, ...]) -> tuple[Cell, ...]:
    words = {each: _apart(each).upper().replace(" ", "_").replace("LOAD_ZONE", "LZ") for each in _WIND_ZONES}
    words |= {each: each.upper() for each in _WIND_REGIONS} | {each: each for each in _SOLAR_REGIONS}
    kinds = (("GEN", "gen", 2), ("COP_HSL", "COPHSL", 1), (middle, middle, 1), (low, low, 1))
    return (
        Cell("DELIVERY_DATE", "deliveryDate", "date"),
        Cell("HOUR_ENDING", "hourEnding", "padded"),
        Cell("SYSTEM_WIDE_GEN", "genSystemWide", "shortest", 2),
        *(Cell(f"{header}_SYSTEM_WIDE", f"{kind}SystemWide", "shortest", digits) for header, kind, digits in kinds[1:]),
        *(
            Cell(f"{header}_{words[zone]}", f"{kind}{zone}", "shortest", digits)
            for zone in zones
            for header, kind, digits in kinds
        ),
        Cell("SYSTEM_WIDE_HSL", "HSLSystemWide", "shortest", 2),
        Cell("DSTFlag", "DSTFlag", "flag"),
    )


PRODUCTS = (
    Product(
        "NP4-732-CD",
        "Wind Power Production - Hourly Averaged Actual and Forecasted Values",
        "Hourly wind power, actual for the last 48 hours and forecast for the next 168.",
        13028,
        "Chron - Hourly",
        "2010-11-28",
        7,
        "WPPHRLYAVGACTNP4732",
        _cells("STWPF", "WGRPP", tuple(_WIND_ZONES)),
        _five_to,
        partial(_power, wind, _WIND_ZONES, "STWPF", "WGRPP"),
        _nine_days,
        artifact="wpp_hrly_avrg_actl_fcast",
        columns=_columns("STWPF", "WGRPP", tuple(_WIND_ZONES)),
        order=("postedDatetime", "deliveryDate", "hourEnding"),
        measure="STWPFSystemWide",
        reach=(_AHEAD // 24 + 1, _PAST // 24 + 1),
        lag=timedelta(hours=1),
        rules=("NP4.2.2(7)", "NP4.2.2(5)", "NP4.2.2(3)"),
    ),
    Product(
        "NP4-737-CD",
        "Solar Power Production - Hourly Averaged Actual and Forecasted Values",
        "Hourly solar power, actual for the last 48 hours and forecast for the next 168.",
        13483,
        "Chron - Hourly",
        "2016-02-09",
        7,
        "PVGRHRLYAVGACTNP4737",
        _cells("STPPF", "PVGRPP", ()),
        _five_to,
        partial(_power, sun, _SOLAR_ZONES, "STPPF", "PVGRPP"),
        _nine_days,
        artifact="spp_hrly_avrg_actl_fcast",
        columns=_columns("STPPF", "PVGRPP", ()),
        order=("postedDatetime", "deliveryDate", "hourEnding"),
        measure="STPPFSystemWide",
        reach=(_AHEAD // 24 + 1, _PAST // 24 + 1),
        lag=timedelta(hours=1),
        rules=("NP4.2.3(5)",),
    ),
    Product(
        "NP4-742-CD",
        "Wind Power Production - Hourly Averaged Actual and Forecasted Values by Geographical Region",
        "Hourly wind power by region, actual for the last 48 hours and forecast for the next 168.",
        14787,
        "Chron - Hourly",
        "2017-05-10",
        7,
        "WPPHRLYACTFCSTGEONP4742",
        _cells("STWPF", "WGRPP", tuple(_WIND_REGIONS)),
        _five_to,
        partial(_power, wind, _WIND_REGIONS, "STWPF", "WGRPP"),
        _nine_days,
        artifact="wpp_hrly_actual_fcast_geo",
        columns=_columns("STWPF", "WGRPP", tuple(_WIND_REGIONS)),
        order=("postedDatetime", "deliveryDate", "hourEnding"),
        measure="STWPFSystemWide",
        reach=(_AHEAD // 24 + 1, _PAST // 24 + 1),
        lag=timedelta(hours=1),
        rules=("NP4.2.2(7)",),
    ),
    Product(
        "NP4-745-CD",
        "Solar Power Production - Hourly Averaged Actual and Forecasted Values by Geographical Region",
        "Hourly solar power by region, actual for the last 48 hours and forecast for the next 168.",
        21809,
        "Chron - Hourly",
        "2022-06-30",
        7,
        "PVGRHRLYACTFCSTGEONP4745",
        _cells("STPPF", "PVGRPP", tuple(_SOLAR_REGIONS)),
        _five_to,
        partial(_power, sun, _SOLAR_REGIONS, "STPPF", "PVGRPP"),
        _nine_days,
        artifact="spp_hrly_actual_fcast_geo",
        columns=_columns("STPPF", "PVGRPP", tuple(_SOLAR_REGIONS)),
        order=("postedDatetime", "deliveryDate", "hourEnding"),
        measure="STPPFSystemWide",
        reach=(_AHEAD // 24 + 1, _PAST // 24 + 1),
        lag=timedelta(hours=1),
        rules=("NP4.2.3(5)",),
    ),
)
