"""Reserve and regulation prices of ISO-NE: day-ahead ancillary services, hourly and five-minute real time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from aurum_etl.simulator.invented import decimal_text, mixed
from aurum_etl.simulator.isone import places, wire

_DAY_AHEAD_SINCE = date(2025, 3, 1)
_PRICES = ("TmsrClearingPrice", "TmnsrClearingPrice", "TmorClearingPrice")
_AMOUNTS = {
    "TenMinSpinRequirement": 370,
    "Total10MinRequirement": 1_490,
    "Total30MinRequirement": 2_260,
    "TmsrDesignatedMw": 700,
    "TmnsrDesignatedMw": 1_100,
    "TmorDesignatedMw": 1_730,
}
_DAY_AHEAD = {
    "ten_min_spin_req_mw": 373,
    "total_ten_min_req_mw": 1_494,
    "total_thirty_min_req_mw": 2_264,
    "forecasted_energy_req_mw": 10_320,
    "tmsr_clearing_price": 0,
    "tmnsr_clearing_price": 0,
    "tmor_clearing_price": 0,
    "fer_clearing_price": 0,
    "tmsr_designation_mw": 640,
    "tmnsr_designation_mw": 1_020,
    "tmor_designation_mw": 780,
    "eir_designation_mw": 210,
}


def _amount(number: int, size: int, seed: int) -> pl.Expr:
    """An amount of about that size, in 0.001 MW."""
    chance = mixed(pl.col("start").dt.epoch("s").cast(pl.UInt64) + number * 2**40, seed)
    return size * 900 + (chance % (size * 200 + 1)).cast(pl.Int64)


def _price(number: int, seed: int) -> pl.Expr:
    """A price in cents; most are zero."""
    chance = mixed(pl.col("start").dt.epoch("s").cast(pl.UInt64) + number * 2**41, seed)
    return pl.when(chance % 4 == 0).then((chance // 8 % 2_500).cast(pl.Int64)).otherwise(0)


def zonal(prefix: str, zone: int | None, start: datetime, end: datetime, minutes: int, seed: int) -> wire.Told:
    """Reserve prices by zone; a zone's price is at least the system's, and a better reserve's at least a lesser one's."""
    if zone is not None and zone not in places.RESERVE_ZONES:
        raise wire.NotFound(str(zone))
    zones = pl.DataFrame({"number": list(places.RESERVE_ZONES), "name": list(places.RESERVE_ZONES.values())})
    zones = zones.filter(pl.lit(zone is None) | (pl.col("number") == (zone or 0)))
    thirty = _price(0, seed + minutes) + pl.when(pl.col("number") > 7000).then(
        _price(1, seed + minutes) // 3
    ).otherwise(0)
    ten = thirty + _price(2, seed + minutes) // 2
    spinning = ten + _price(3, seed + minutes) // 2
    final = 5 if prefix == "Final" else 0
    rows = wire.intervals(start, end, minutes).join(zones, how="cross", maintain_order="left_right")
    rows = rows.with_columns(
        zone=pl.col("number").cast(pl.String),
        **{
            name: decimal_text(pl.when(pl.col("number") == 7000).then(_amount(number, size, seed)).otherwise(0), 3)
            for number, (name, size) in enumerate(_AMOUNTS.items())
        },
        **{
            name: decimal_text(pl.when(price > 0).then(price + final).otherwise(0), 2)
            for name, price in zip(_PRICES, (spinning, ten, thirty), strict=True)
        },
    )
    numbers = (*_AMOUNTS, *_PRICES)
    keys = ",".join(f'"{name}":{{}}' for name in numbers)
    template = '{"BeginDate":"{}","ReserveZoneId":{},"ReserveZoneName":"{}",' + keys + "}"
    singular = f"{prefix}HourlyReservePrice" if minutes == 60 else "FiveMinReservePrice"
    columns = ("BeginDate", "zone", "name", *numbers)
    return wire.Told(f"{singular}s", singular, template, columns, rows, "TmsrClearingPrice")


def regulation(start: datetime, end: datetime, seed: int) -> wire.Told:
    """`fiveminutercp`: stamps are some seconds late."""
    rows = wire.intervals(start, end, 5)
    late = (mixed(pl.col("start").dt.epoch("s"), seed) % 19).cast(pl.Int64)
    late = pl.when(late < 6).then(late).when(late > 16).then(late - 1).otherwise(0)
    rows = rows.with_columns(
        BeginDate=pl.col("BeginDate").str.replace(r":00\.000", pl.format(":{}.000", late.cast(pl.String).str.zfill(2))),
        service=decimal_text(_price(5, seed) // 40, 2),
        capacity=decimal_text(_price(6, seed), 2),
    )
    template = '{"BeginDate":"{}","RegServiceClearingPrice":{},"RegCapacityClearingPrice":{},"HourEnd":"{}"}'
    columns = ("BeginDate", "service", "capacity", "HourEnd")
    return wire.Told("FiveMinRcps", "FiveMinRcp", template, columns, rows, "RegCapacityClearingPrice")


def day_ahead(day: date, now: datetime, seed: int, fault: str | None) -> bytes:
    """`daasreservedata`: one system-wide row per hour; `gmt_begin_date` is the day's midnight in all of them."""
    start, end = wire.market_day(day)
    published = (start - timedelta(days=1)).astimezone(wire.EASTERN).replace(hour=12, minute=57).astimezone(UTC)
    if day < _DAY_AHEAD_SINCE or now < published:
        return b'{"isone_web_services":{"day_ahead_reserves":{}}}'
    midnight = wire.stamp(start)
    rows = wire.intervals(start, end, 60).with_columns(
        **{
            name: _with_decimal(
                decimal_text(_price(10, seed) + 100 * (number % 3), 2)
                if name.endswith("price")
                else decimal_text(_amount(number, size, seed) // 100, 1)
            )
            for number, (name, size) in enumerate(_DAY_AHEAD.items())
        },
        midnight=pl.lit(midnight),
    )
    keys = ",".join(f'"{name}":{{}}' for name in _DAY_AHEAD)
    template = '{"market_hour":{"gmt_begin_date":"{}","local_day":"{}","local_hour_end":"{}"},' + keys + "}"
    columns = ("midnight", "BeginDate", "HourEnd", *_DAY_AHEAD)
    told = wire.Told("", "day_ahead_reserve", template, columns, rows, "tmsr_clearing_price")
    inner = wire.json_of(told, fault).decode()[1:-1]
    inner = f",{inner}" if inner else ""
    return f'{{"isone_web_services":{{"day_ahead_reserves":{{"market_day":"{midnight}"{inner}}}}}}}'.encode()


def _with_decimal(text: pl.Expr) -> pl.Expr:
    """These numbers have a decimal always: `373.0`."""
    return pl.when(text.str.contains(".", literal=True)).then(text).otherwise(text + ".0")
