"""Prices of ISO-NE, hourly and every five minutes, in cents: the web service and the reports of the website say the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from aurum_etl.simulator.invented import decimal_text, energy_prices, mixed
from aurum_etl.simulator.isone import wire

_SALTS = {"da": 0, "rt": 1, "five": 2}
_CENT = 1_000
"""Price units of the invented prices per cent."""
_TEMPLATE = (
    '{"BeginDate":"{}","Location":{"@LocId":"{}","@LocType":"{}","$":"{}"},'
    '"LmpTotal":{},"EnergyComponent":{},"CongestionComponent":{},"LossComponent":{}}'
)
_COLUMNS = ("BeginDate", "LocId", "LocType", "name", "total", "energy", "congestion", "loss")
_HEADS = (
    (
        '"H","Date","Hour Ending","Location ID","Location Name","Location Type","Locational Marginal Price",'
        '"Energy Component","Congestion Component","Marginal Loss Component"'
    ),
    '"H","Date","HE","String","String","String","Number","Number","Number","Number"',
)


def published_until(market: str, state: str, day: date, now: datetime) -> datetime:
    """The instant up to which that day's prices are out.

    Day-ahead: at 12:57 the day before. Preliminary: as time goes on. Final: at 12:36 the day after.
    """
    start, end = wire.market_day(day)
    if market == "da":
        return end if now >= _at(day - timedelta(1), 12, 57) else start
    if state == "final":
        return end if now >= _at(day + timedelta(1), 12, 36) else start
    return min(end, max(start, now))


def cells(market: str, state: str, locations: pl.DataFrame, start: datetime, end: datetime, seed: int) -> pl.DataFrame:
    """Every location at every interval; components in cents."""
    minutes = 5 if market == "five" else 60
    times = wire.intervals(start, end, minutes)
    epochs = [int(each.timestamp()) // (60 * minutes) for each in times.get_column("start").to_list()]
    hours = list(zip(times.get_column("day").to_list(), times.get_column("hour").to_list(), strict=True))
    salt = seed + _SALTS[market]
    energy = [each // _CENT for each in energy_prices(hours, epochs, salt)]
    times = times.with_columns(energy=pl.Series(energy, dtype=pl.Int64), epoch=pl.Series(epochs, dtype=pl.UInt64))
    cell = pl.col("LocId").cast(pl.UInt64) * 2**32 + pl.col("epoch")
    chance = mixed(cell, salt)
    share = (mixed(pl.col("LocId"), salt) % 801).cast(pl.Int64) - 400
    congestion = pl.when(chance % 5 == 0).then((chance // 8 % 2_400).cast(pl.Int64) - 900).otherwise(0)
    if state == "final":
        # What was preliminary is corrected here and there.
        congestion += pl.when(chance // 64 % 40 == 0).then(25).otherwise(0)
    return (
        times.join(locations, how="cross", maintain_order="left_right")
        .with_columns(loss=pl.col("energy") * share // 10_000, congestion=congestion)
        .with_columns(total=pl.col("energy") + pl.col("congestion") + pl.col("loss"))
    )


def service(table: pl.DataFrame, plural: str, singular: str) -> wire.Told:
    """Prices as the web service has them."""
    numbers = ("total", "energy", "congestion", "loss")
    rows = table.with_columns(
        pl.col("LocId").cast(pl.String), *(decimal_text(pl.col(name), 2).alias(name) for name in numbers)
    )
    return wire.Told(plural, singular, _TEMPLATE, _COLUMNS, rows, "LmpTotal", ("LocType", "MOON NODE"))


def report(market: str, state: str, day: date, table: pl.DataFrame, fault: str | None) -> bytes:
    """The day's report of the website. Hours are quoted in the day-ahead one, and bare in the others."""
    is_day_ahead = market == "da"
    if fault == "missing_hour":
        table = table.filter(pl.col("start") != pl.col("start").min())
    if fault == "off_grid":
        table = table.with_columns(HourEnd=pl.lit("25"))
    if fault == "unknown_word":
        table = pl.concat([table, table.head(1).with_columns(LocType=pl.lit("MOON NODE"))])
    quote = '"' if is_day_ahead else ""
    line = f'"D","{{}}",{quote}{{}}{quote},"{{}}","{{}}","{{}}",{{}},{{}},{{}},{{}}'
    numbers = ("total", "energy", "congestion", "loss")
    texts = table.with_columns(pl.col("LocId").cast(pl.String), *(_one_decimal(name).alias(name) for name in numbers))
    columns = ("Date", "HourEnd", "LocId", "name", "LocType", *numbers)
    lines = texts.select(wire.filled(line, columns).alias("line"))
    generated = _at(day - timedelta(1), 12, 57) if is_day_ahead else _at(day + timedelta(1), 12, 36)
    file = f"WW_DALMP_ISO_{day:%Y%m%d}.csv" if is_day_ahead else f"lmp_rt_{state}_{day:%Y%m%d}.csv"
    title = f"{'Day-Ahead' if is_day_ahead else 'Real-Time'} Energy Market Hourly LMP Report"
    covers = f": {day:%m/%d/%Y} - {day:%m/%d/%Y}"
    return wire.csv_of(title, file, covers, generated, _HEADS, lines.get_column("line").to_list(), fault)


def _one_decimal(name: str) -> pl.Expr:
    """One decimal at least: `0.0`, `47.19`."""
    text = decimal_text(pl.col(name), 2)
    return pl.when(text.str.contains(".", literal=True)).then(text).otherwise(text + ".0")


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime.combine(day, time(hour, minute), wire.EASTERN).astimezone(UTC)
