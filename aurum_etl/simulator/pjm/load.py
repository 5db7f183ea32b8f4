"""Load and its forecasts, built column by column."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from aurum_etl.simulator.invented import load_shape, mixed
from aurum_etl.simulator.pjm import clock
from aurum_etl.simulator.pjm.feed import Feed, Scope, Table, Whole
from aurum_etl.simulator.pjm.shapes import noise, shaped, sizes
from aurum_etl.simulator.pjm.wire import Column, stamps

_METERED = {
    "AECO": ("RFC", "MIDATL", "AE", 1050), "AEPAPT": ("RFC", "WEST", "AEP", 5100),
    "AEPIMP": ("RFC", "WEST", "AEP", 3600), "AEPKPT": ("RFC", "WEST", "AEP", 900),
    "AEPOPT": ("RFC", "WEST", "AEP", 8000), "AP": ("RFC", "WEST", "AP", 7400), "BC": ("RFC", "MIDATL", "BC", 4600),
    "CE": ("RFC", "WEST", "CE", 13500), "DAY": ("RFC", "WEST", "DAY", 2500), "DEOK": ("RFC", "WEST", "DEOK", 3800),
    "DOM": ("SERC", "SOUTH", "DOM", 15500), "DPLCO": ("RFC", "MIDATL", "DPL", 2500),
    "DUQ": ("RFC", "WEST", "DUQ", 2000), "EASTON": ("RFC", "MIDATL", "DPL", 40), "EKPC": ("SERC", "WEST", "EKPC", 2100),
    "JC": ("RFC", "MIDATL", "JC", 3200), "ME": ("RFC", "MIDATL", "ME", 2300), "OE": ("RFC", "WEST", "ATSI", 8800),
    "OVEC": ("RFC", "WEST", "OVEC", 60), "PAPWR": ("RFC", "WEST", "ATSI", 520), "PE": ("RFC", "MIDATL", "PE", 5600),
    "PEPCO": ("RFC", "MIDATL", "PEP", 3600), "PLCO": ("RFC", "MIDATL", "PL", 5700), "PN": ("RFC", "MIDATL", "PN", 2400),
    "PS": ("RFC", "MIDATL", "PS", 6200), "RECO": ("RFC", "MIDATL", "RECO", 210), "SMECO": ("RFC", "MIDATL", "PEP", 560),
    "UGI": ("RFC", "MIDATL", "PL", 170), "VMEU": ("RFC", "MIDATL", "AE", 110),
}  # fmt: skip
"""Area: region of NERC, region of the market, zone, size in MW."""
_LATE = ("DAY", "DEOK", "DOM", "PLCO", "PS", "RECO")
_VERIFIED_DAYS, _LATE_DAYS = 10, 90
_REGIONS = {
    "PJM MID ATLANTIC REGION": ("AE", "BC", "DPL", "JC", "ME", "PE", "PEP", "PL", "PN", "PS", "RECO"),
    "PJM SOUTHERN REGION": ("DOM",),
    "PJM WESTERN REGION": ("AEP", "APS", "ATSI", "COMED", "DAYTON", "DEOK", "DUQ", "EKPC"),
}
_SPELLED = {"AP": "APS", "CE": "COMED", "DAY": "DAYTON"}
"""Zones that the feed of the instant spells otherwise."""
_COMBINED = {
    "RTO_COMBINED": 109000, "MID_ATLANTIC_REGION": 38200, "WESTERN_REGION": 58100, "SOUTHERN_REGION": 15500,
    "AE/MIDATL": 1160, "BG&E/MIDATL": 4600, "DP&L/MIDATL": 2540, "JCP&L/MIDATL": 3200, "METED/MIDATL": 2300,
    "PE/MIDATL": 5600, "PENELEC/MIDATL": 2400, "PEPCO/MIDATL": 4160, "PPL/MIDATL": 5700, "PSE&G/MIDATL": 6200,
    "RECO/MIDATL": 210, "UGI/MIDATL": 170, "AEP": 17600, "AP": 7400, "ATSI": 9320, "COMED": 13500, "DAYTON": 2500,
    "DEOK": 3800, "DOMINION": 15500, "DUQUESNE": 2000, "EKPC": 2100, "OVEC": 60,
}  # fmt: skip
_HISTORICAL = {"RTO": 109000, "MIDATL": 38200, "WEST": 55400, "DOM": 15500}
_HORIZON = timedelta(days=7)


def _metered(scope: Scope) -> Table:
    """Hourly load by area and its sum; values change in place when they are verified."""
    hours = shaped(clock.starts(scope.spans["datetime_beginning"], 60), "datetime_beginning_ept", load_shape)
    areas = sizes("load_area", {name: each[3] for name, each in _METERED.items()}).with_columns(
        pl.Series(name, [each[position] for each in _METERED.values()])
        for position, name in enumerate(("nerc_region", "mkt_region", "zone"))
    )
    number = clock.epoch("datetime_beginning_utc", 3600)
    age = pl.lit(clock.wall(scope.now)) - pl.col("datetime_beginning_ept").dt.truncate("1d")
    days = pl.when(pl.col("load_area").is_in(_LATE)).then(_LATE_DAYS).otherwise(_VERIFIED_DAYS)
    rows = (
        hours.join(areas, how="cross", maintain_order="left_right")
        .with_columns(is_verified=age.dt.total_days() >= days)
        .with_columns(
            mw=(pl.col("size") * pl.col("shape") * 1000).cast(pl.Int64)
            * (1000 + noise(scope.seed, number, 20))
            // 1000
            * pl.when("is_verified").then(1000).otherwise(1000 + noise(scope.seed + 1, number, 4))
            // 1000
        )
    )
    total = (
        rows.group_by("datetime_beginning_utc", "datetime_beginning_ept", maintain_order=True)
        .agg(pl.col("mw").sum())
        .with_columns(
            *(pl.lit("RTO").alias(name) for name in ("nerc_region", "mkt_region", "zone", "load_area")),
            is_verified=pl.lit(value=False),
            place=pl.lit(len(_METERED), pl.UInt32),
        )
    )
    both = pl.concat([rows, total], how="diagonal").sort("datetime_beginning_utc", "place")
    return Whole(scope.wanted(both))


def _instantaneous(scope: Scope) -> Table:
    """A sample about every five minutes: now and then a second or two late, and one of the day is missing."""
    first, last = scope.spans["datetime_beginning"]
    samples = shaped(clock.starts((first - timedelta(seconds=2), last), 5), "datetime_beginning_ept", load_shape)
    number = clock.epoch("datetime_beginning_utc", 300)
    late = (mixed(number, scope.seed) % 60).cast(pl.Int64)
    seconds = pl.when(late == 0).then(2).when(late <= 8).then(1).otherwise(0)
    lost = (mixed(number // 288, scope.seed) % 288).cast(pl.Int64)
    samples = samples.filter(number % 288 != lost).with_columns(
        (pl.col(each) + pl.duration(seconds=seconds)).alias(each)
        for each in ("datetime_beginning_utc", "datetime_beginning_ept")
    )
    samples = samples.filter(pl.col("datetime_beginning_utc").is_between(first, last))
    megawatts: dict[str, float] = {}
    for _, _, zone, size in _METERED.values():
        megawatts[_SPELLED.get(zone, zone)] = megawatts.get(_SPELLED.get(zone, zone), 0) + size
    megawatts.pop("OVEC")
    zones = samples.join(sizes("area", megawatts), how="cross", maintain_order="left_right").with_columns(
        instantaneous_load=(pl.col("size") * pl.col("shape") * 10_000).cast(pl.Int64)
        * (1000 + noise(scope.seed + 2, number, 15))
        // 10
    )
    regions = {zone: region for region, found in _REGIONS.items() for zone in found}
    parts = [zones]
    for name in (pl.col("area").replace_strict(regions), pl.lit("PJM RTO")):
        keys = [pl.col("datetime_beginning_utc"), pl.col("datetime_beginning_ept"), name.alias("area")]
        parts.append(zones.group_by(*keys).agg(pl.col("instantaneous_load").sum()))
    return Whole(scope.wanted(pl.concat(parts, how="diagonal").sort("datetime_beginning_utc", "area")))


def _forecast(rows: pl.DataFrame, seed: int, start: str, issued: str) -> pl.DataFrame:
    """With `forecast_load_mw`: the load that will be, and an error by forecast and hour."""
    number = clock.epoch(f"{start}_utc", 3600) + clock.epoch(f"{issued}_utc", 60) * 2**10 % 2**39
    courses = shaped(rows, f"{start}_ept", load_shape)
    megawatts = (pl.col("size") * pl.col("shape")).cast(pl.Int64)
    return courses.with_columns(forecast_load_mw=megawatts * (1000 + noise(seed, number, 25)) // 1000)


def _seven_days(scope: Scope) -> Table:
    """The latest forecast alone, which is made every half hour and has odd seconds."""
    slot = clock.starts((scope.now - timedelta(minutes=50), scope.now), 15, "evaluated_at_datetime")
    minute = pl.col("evaluated_at_datetime_utc").dt.minute()
    odd = pl.duration(seconds=(mixed(clock.epoch("evaluated_at_datetime_utc", 60), scope.seed) % 240).cast(pl.Int64))
    slot = (
        slot.filter(minute % 30 == 15)
        .with_columns(pl.col("evaluated_at_datetime_utc") + odd, pl.col("evaluated_at_datetime_ept") + odd)
        .filter(pl.col("evaluated_at_datetime_utc") <= scope.now)
        .tail(1)
    )
    today = clock.wall(scope.now).date()
    span = clock.midnight(today), clock.midnight(today + _HORIZON) - timedelta(hours=1)
    rows = (
        slot.join(clock.starts(span, 60, "forecast_datetime_beginning"), how="cross", maintain_order="left_right")
        .with_columns(forecast_datetime_ending_utc=pl.col("forecast_datetime_beginning_utc") + timedelta(hours=1))
        .with_columns(forecast_datetime_ending_ept=clock.eastern(pl.col("forecast_datetime_ending_utc")))
        .join(sizes("forecast_area", _COMBINED), how="cross", maintain_order="left_right")
    )
    forecast = _forecast(rows, scope.seed + 3, "forecast_datetime_beginning", "evaluated_at_datetime")
    return Whole(scope.wanted(forecast))


def _past_forecasts(scope: Scope) -> Table:
    """Four forecasts a day, each of the seven days that follow."""
    hours = scope.spans["forecast_hour_beginning"]
    issued = scope.spans["evaluated_at"]
    if hours[0] > clock.EARLIEST + _HORIZON:
        issued = max(issued[0], hours[0] - _HORIZON), min(issued[1], hours[1])
    # They are made at a quarter to, so the first one may belong to the hour before.
    times = clock.starts((issued[0] - timedelta(hours=1), issued[1]), 60, "evaluated_at")
    times = times.filter(pl.col("evaluated_at_ept").dt.hour() % 6 == 5).with_columns(
        pl.col("evaluated_at_utc") + timedelta(minutes=45), pl.col("evaluated_at_ept") + timedelta(minutes=45)
    )
    leads = pl.DataFrame({"lead": range(1, 169)})
    rows = (
        times.filter(pl.col("evaluated_at_utc") <= scope.now)
        .join(leads, how="cross")
        .with_columns(
            forecast_hour_beginning_utc=pl.col("evaluated_at_utc").dt.truncate("1h") + pl.duration(hours=pl.col("lead"))
        )
        .with_columns(forecast_hour_beginning_ept=clock.eastern(pl.col("forecast_hour_beginning_utc")))
    )
    cells = scope.wanted(rows).join(sizes("forecast_area", _HISTORICAL), how="cross", maintain_order="left_right")
    found = _forecast(scope.wanted(cells), scope.seed + 4, "forecast_hour_beginning", "evaluated_at")
    return Whole(found.sort("forecast_hour_beginning_utc", "evaluated_at_utc", "place"))


_AT_ONCE = clock.after(timedelta())

FEEDS = (
    Feed(
        "hrl_load_metered",
        (
            *stamps("datetime_beginning"),
            Column("nerc_region", "text"),
            Column("mkt_region", "text"),
            Column("zone", "text"),
            Column("load_area", "text"),
            Column("mw", "decimal", 3),
            Column("is_verified", "flag"),
        ),
        _metered,
        clock.two_days_later,
        measure="mw",
        word="load_area",
    ),
    Feed(
        "inst_load",
        (*stamps("datetime_beginning"), Column("area", "text"), Column("instantaneous_load", "decimal", 6)),
        _instantaneous,
        _AT_ONCE,
        measure="instantaneous_load",
        word="area",
        kept_days=30,
    ),
    Feed(
        "load_frcstd_7_day",
        (
            *stamps("evaluated_at_datetime", "forecast_datetime_beginning", "forecast_datetime_ending"),
            Column("forecast_area", "text"),
            Column("forecast_load_mw", "whole"),
        ),
        _seven_days,
        _AT_ONCE,
        measure="forecast_load_mw",
        word="forecast_area",
        dates=("evaluated_at_datetime", "forecast_datetime_beginning"),
        needs_date=False,
    ),
    Feed(
        "load_frcstd_hist",
        (
            *stamps("evaluated_at", "forecast_hour_beginning"),
            Column("forecast_area", "text"),
            Column("forecast_load_mw", "whole"),
        ),
        _past_forecasts,
        _AT_ONCE,
        measure="forecast_load_mw",
        word="forecast_area",
        dates=("evaluated_at", "forecast_hour_beginning"),
    ),
)
