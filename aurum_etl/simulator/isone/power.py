"""Load, forecasts and the fuel mix of ISO-NE."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from aurum_etl.simulator.invented import decimal_text, load_shape, mixed
from aurum_etl.simulator.isone import places, wire

_SIZE = 15_000
_BEHIND_THE_METER = 3_000
_LOCATION = '"Location":{"@LocId":"{}","$":"{}"}'
# Days before the target, and the local time: each vintage of a forecast covers the whole day.
_VINTAGES = (
    (2, 3, 55, 29),
    (2, 9, 17, 25),
    (1, 4, 15, 22),
    (1, 9, 12, 11),
    (1, 11, 41, 33),
    (0, 4, 10, 7),
    (0, 9, 15, 48),
)
_REGION_DELAY = timedelta(seconds=7)
_FUELS = {
    "Hydro": ("Hydro", 900),
    "Natural Gas": ("Natural Gas", 7_800),
    "Nuclear": ("Nuclear", 3_350),
    "Landfill Gas": ("Renewables", 25),
    "Refuse": ("Renewables", 310),
    "Solar": ("Renewables", 600),
    "Wind": ("Renewables", 800),
    "Wood": ("Renewables", 280),
    "Oil": ("Oil", 40),
    "Other": ("Other", 3),
    "Coal": ("Coal", 20),
    "Batteries": ("Batteries", 60),
}
_BATTERIES_SINCE = date(2026, 1, 1)
_RENEWABLES = {"sphf": ("Solar", "solar", 6_000), "wphf": ("Wind", "wind", 2_000)}


def _load(times: pl.DataFrame, seed: int, salt: int) -> pl.DataFrame:
    """The system's load at each interval, in 0.001 MW."""
    shape = [
        load_shape(day, weekday, hour) for day, weekday, hour in times.select("day", "weekday", "hour").iter_rows()
    ]
    noise = (mixed(pl.col("start").dt.epoch("s"), seed + salt) % 401_000).cast(pl.Int64) - 200_000
    return times.with_columns(load=(pl.Series(shape, dtype=pl.Float64) * _SIZE * 1_000).cast(pl.Int64) + noise)


def system_load(start: datetime, end: datetime, seed: int) -> wire.Told:
    """`hourlysysload`: native load, storage that charges, and their sum."""
    rows = _load(wire.intervals(start, end, 60), seed, 0).with_columns(
        ard=(mixed(pl.col("start").dt.epoch("s"), seed + 9) % 600_000).cast(pl.Int64)
    )
    rows = rows.with_columns(
        LocId=pl.lit(str(places.SYSTEM[0])),
        name=pl.lit(places.SYSTEM[1]),
        total=decimal_text(pl.col("load") + pl.col("ard"), 3),
        native=decimal_text(pl.col("load"), 3),
        ard=decimal_text(pl.col("ard"), 3),
    )
    template = '{"BeginDate":"{}",' + _LOCATION + ',"Load":{},"NativeLoad":{},"ArdDemand":{}}'
    columns = ("BeginDate", "LocId", "name", "total", "native", "ard")
    return wire.Told("HourlySystemLoads", "HourlySystemLoad", template, columns, rows, "Load")


def five_minute_load(start: datetime, end: datetime, seed: int) -> wire.Told:
    """`fiveminutesystemload`: the same every five minutes, also with the sun behind the meter added back."""
    stamp, hour = pl.col("start").dt.epoch("s"), pl.col("hour")
    height = (-(((hour - 12.5) / 6.5) ** 2) + 1).clip(lower_bound=0)
    rows = (
        _load(wire.intervals(start, end, 5), seed, 5)
        .with_columns(
            ard=(mixed(stamp, seed + 10) % 600_000).cast(pl.Int64),
            sun=(height * _BEHIND_THE_METER * 1_000).cast(pl.Int64),
        )
        .with_columns(total=pl.col("load") + pl.col("ard"))
        .with_columns(
            decimal_text(pl.col("total"), 3).alias("LoadMw"),
            decimal_text(pl.col("load"), 3).alias("NativeLoad"),
            decimal_text(pl.col("ard"), 3).alias("ArdDemand"),
            decimal_text(pl.col("total") + pl.col("sun"), 3).alias("SystemLoadBtmPv"),
            decimal_text(pl.col("load") + pl.col("sun"), 3).alias("NativeLoadBtmPv"),
        )
    )
    columns = ("BeginDate", "LoadMw", "NativeLoad", "ArdDemand", "SystemLoadBtmPv", "NativeLoadBtmPv")
    template = '{"BeginDate":"{}",' + ",".join(f'"{name}":{{}}' for name in columns[1:]) + "}"
    return wire.Told("FiveMinSystemLoads", "FiveMinSystemLoad", template, columns, rows, "LoadMw")


def demand(market: str, location: int | None, start: datetime, end: datetime, seed: int) -> wire.Told:
    """`dayaheadhourlydemand` and `realtimehourlydemand`: zones, and the whole, which is not quite their sum."""
    names = {places.SYSTEM[0]: places.SYSTEM[1], **places.ZONES}
    if location is not None and location not in names:
        raise wire.NotFound(str(location))
    zones = pl.DataFrame(
        {
            "number": list(names),
            "name": list(names.values()),
            "share": [1_010, *(10 * each for each in places.ZONE_SHARES)],
        }
    ).filter(pl.lit(location is None) | (pl.col("number") == (location or 0)))
    step = 100 if market == "Da" else 1
    rows = (
        _load(wire.intervals(start, end, 60), seed, 3 if market == "Da" else 4)
        .join(zones, how="cross", maintain_order="left_right")
        .with_columns(load=pl.col("load") * pl.col("share") // 1_000 // step * step)
        .with_columns(load=decimal_text(pl.col("load"), 3), LocId=pl.col("number").cast(pl.String))
    )
    template = '{"BeginDate":"{}",' + _LOCATION + ',"Load":{}}'
    singular = f"Hourly{market}Demand"
    return wire.Told(f"{singular}s", singular, template, ("BeginDate", "LocId", "name", "load"), rows, "Load")


def forecast(day: date, now: datetime, seed: int, *, every_vintage: bool) -> wire.Told:
    """`hourlyloadforecast`: the newest vintage, or all of them, by hour and then by vintage."""
    made = vintages(day, now)
    rows = _of_vintages(day, made if every_vintage else made[-1:], seed)
    # Forecasts are round.
    rows = rows.with_columns(load=decimal_text(pl.col("load") // 10_000 * 10, 0)).sort("start", "CreationDate")
    template = '{"BeginDate":"{}","CreationDate":"{}","LoadMw":{},"NetLoadMw":{}}'
    columns = ("BeginDate", "CreationDate", "load", "load")
    return wire.Told("HourlyLoadForecasts", "HourlyLoadForecast", template, columns, rows, "LoadMw")


def region_forecast(day: date, now: datetime, seed: int) -> wire.Told:
    """`reliabilityregionloadforecast`: vintages of the day itself have the rest of its hours alone."""
    made = [each + _REGION_DELAY for each in vintages(day, now)]
    regions = pl.DataFrame({"region": list(places.ZONES.values()), "share": list(places.ZONE_SHARES)})
    rows = (
        _of_vintages(day, made, seed)
        .filter((pl.col("start") > pl.col("created")) | (pl.col("created") < wire.market_day(day)[0]))
        .join(regions, how="cross", maintain_order="left_right")
        .with_columns(
            load=decimal_text(pl.col("load") // 10_000 * 10 * pl.col("share") * 10, 3),
            percent=pl.col("share").cast(pl.String),
        )
    )
    name = "ReliabilityRegionLoadForecast"
    template = (
        '{"BeginDate":"{}","CreationDate":"{}","ReliabilityRegion":"{}","LoadMw":{},'
        '"ReliabilityRegionLoadPercentage":{}}'
    )
    columns = ("BeginDate", "CreationDate", "region", "load", "percent")
    return wire.Told(f"{name}s", name, template, columns, rows, "LoadMw", ("region", ".Z.ATLANTIS"))


def vintages(day: date, now: datetime) -> list[datetime]:
    """The instants at which forecasts of that day were made, up to now."""
    found = (
        datetime.combine(day - timedelta(ahead), time(hour, minute, second), wire.EASTERN).astimezone(UTC)
        for ahead, hour, minute, second in _VINTAGES
    )
    return [each for each in found if each <= now]


def _of_vintages(day: date, made: list[datetime], seed: int) -> pl.DataFrame:
    times = wire.intervals(*wire.market_day(day), 60)
    parts = [
        _load(times, seed, int(created.timestamp()) % 7_919).with_columns(
            CreationDate=pl.lit(wire.stamp(created)), created=pl.lit(created, pl.Datetime("us", "UTC"))
        )
        for created in made
    ]
    empty = _load(times.clear(), seed, 0).with_columns(
        CreationDate=pl.lit("").cast(pl.String), created=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    return pl.concat(parts) if parts else empty


def fuel_mix(day: date, now: datetime, seed: int) -> wire.Told:
    """`genfuelmix`: snapshots at no fixed times, 3 seconds to 17 minutes apart; a fuel that gives nothing is not there."""
    start, end = wire.market_day(day)
    stamps, at = [], start + timedelta(seconds=int(start.timestamp() // 86_400 * 7_919 % 600))
    while at < min(end, now):
        stamps.append(at)
        gap = (len(stamps) * 7_919 + day.toordinal() * 1_231 + seed) % 1_009
        at += timedelta(seconds=3 + gap % 40 if gap % 23 == 0 else 120 + gap % 900)
    local = [each.astimezone(wire.EASTERN) for each in stamps]
    times = pl.DataFrame(
        {
            "start": pl.Series(stamps, dtype=pl.Datetime("us", "UTC")),
            "BeginDate": pl.Series([wire.stamp(each) for each in stamps], dtype=pl.String),
            "hour": pl.Series([each.hour + each.minute / 60 for each in local], dtype=pl.Float64),
        }
    )
    fuels = pl.DataFrame(
        [
            (fuel, rollup, size)
            for fuel, (rollup, size) in _FUELS.items()
            if fuel != "Batteries" or day >= _BATTERIES_SINCE
        ],
        schema={"FuelCategory": pl.String, "FuelCategoryRollup": pl.String, "size": pl.Int64},
        orient="row",
    ).with_row_index("number")
    chance = mixed(pl.col("number").cast(pl.UInt64) * 2**40 + pl.col("start").dt.epoch("s").cast(pl.UInt64), seed)
    is_solar, is_battery = pl.col("FuelCategory") == "Solar", pl.col("FuelCategory") == "Batteries"
    sun = (-(((pl.col("hour") - 12.5) / 3.2) ** 4)).exp()
    usual = (pl.col("size") * (0.75 + (chance % 500).cast(pl.Float64) / 1_000)).cast(pl.Int64)
    # Batteries charge at times.
    mw = (
        pl.when(is_solar).then((pl.col("size") * sun).cast(pl.Int64)).when(is_battery).then(usual - 60).otherwise(usual)
    )
    rows = (
        times.join(fuels, how="cross", maintain_order="left_right")
        .with_columns(mw=mw, marginal=pl.when(pl.col("number") == 1).then(pl.lit("Y")).otherwise(pl.lit("N")))
        .filter((pl.col("mw") != 0) | is_battery)
        .with_columns(mw=pl.col("mw").cast(pl.String))
    )
    template = '{"BeginDate":"{}","GenMw":{},"FuelCategoryRollup":"{}","FuelCategory":"{}","MarginalFlag":"{}"}'
    columns = ("BeginDate", "mw", "FuelCategoryRollup", "FuelCategory", "marginal")
    return wire.Told("GenFuelMixes", "GenFuelMix", template, columns, rows, "GenMw", ("FuelCategory", "Fusion"))


def renewables(kind: str, day: date, now: datetime, seed: int, fault: str | None) -> bytes:
    """`sphf` and `wphf`: hours down, eight days across, from the hour after publication to the same hour a week on.

    Unsure: how change days look; the table has 24 lines on every day.
    """
    title, word, size = _RENEWABLES[kind]
    generated = datetime.combine(day, time(10, 2, 35), wire.EASTERN).astimezone(UTC)
    if generated > now:
        return wire.NO_DATA
    days = [day + timedelta(number) for number in range(8)]
    lines = [
        '"D","Day",,' + ",".join(f'"{each:%a}"' for each in days),
        '"D","Date","Hour Ending",' + ",".join(f'"{each:%m/%d/%Y}"' for each in days),
    ]
    for hour in range(1, 25):
        values = []
        for number, each in enumerate(days):
            inside = hour > 10 if number == 0 else hour <= 10 if number == 7 else True
            chance = (each.toordinal() * 37 + hour * 101 + seed) % 1_000 / 1_000
            share = chance if kind == "wphf" else max(0.0, 1 - abs(hour - 13) / 6) * (0.4 + chance / 2)
            values.append(str(round(size * share)) if inside else "")
        if not (fault == "missing_hour" and hour == 12):
            lines.append(f'"D",,{25 if fault == "off_grid" else hour:02d},' + ",".join(values))
    file = f"seven_day_{word}_power_forecast_{day:%Y%m%d}.csv"
    head = '"H","",,' + ",".join(f'"Day {number}"' for number in range(1, 9))
    report = f"ISO New England Inc. Seven Day {title} Power Forecast Report"
    # The two lines above the hours are not counted, though they begin like data.
    body = wire.csv_of(report, file, f" {day:%m/%d/%Y}", generated, (head,), lines, fault)
    return body.replace(f'"T","{len(lines)} lines"'.encode(), f'"T","{len(lines) - 2} lines"'.encode())
