"""Wind and solar forecasts of OASIS (`SLD_REN_FCST`), and the files of Today's Outlook."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.caiso import wire
from aurum_etl.simulator.invented import decimal_text, load_shape, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

_RUNS = {
    "DAM": ("RENEW_FCST_DA_MW", "Renewable Forecast Day Ahead", 60),
    "HASP": ("RENEW_FCST_HASP_MW", "Renewable Forecast Hour Ahead", 60),
    "RTPD": ("RENEW_FCST_15MIN_MW", "Renewable Forecast 15Min", 15),
    "RTD": ("RENEW_FCST_5MIN_MW", "Renewable Forecast 5Min", 5),
    "ACTUAL": ("RENEW_FCST_ACT_MW", "Renewable Actual", 60),
}
_AHEAD = {
    "HASP": timedelta(minutes=90),
    "RTPD": timedelta(minutes=23),
    "RTD": timedelta(minutes=3),
    "ACTUAL": timedelta(days=-1),
}
_SERIES = {
    ("NP15", "Solar"): 5200,
    ("NP15", "Wind"): 1600,
    ("SP15", "Solar"): 12600,
    ("SP15", "Wind"): 3900,
    ("ZP26", "Solar"): 3100,
    ("ZP26", "Wind"): 40,
}
_FORECAST_FROM = 7
"""The hour of the day, Pacific, at which the next day's forecast appears."""

_HISTORY = re.compile(r"/history/(\d{8})/(fuelsource|demand)\.csv")
_CURRENT = re.compile(r"/current/(fuelsource|demand)\.csv")
_OLDEST = date(2018, 4, 10)
_NOT_FOUND = Answer(404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><body>Page not found</body></html>")
_FUELS = {
    "Geothermal": 850,
    "Biomass": 260,
    "Biogas": 190,
    "Small hydro": 310,
    "Coal": 12,
    "Nuclear": 2260,
    "Natural Gas": 8200,
    "Large Hydro": 2400,
    "Batteries": 2500,
    "Imports": 3600,
    "Other": 0,
}


def renewables(query: Mapping[str, str], window: tuple[datetime, datetime], now: datetime, seed: int) -> wire.Question:
    """`SingleZip` with `SLD_REN_FCST`, by trading hub."""
    start, end = window
    run = query.get("market_run_id", "")
    if run not in _RUNS:
        raise wire.Refused(1001)
    name = wire.file_name(start, end, "SLD_REN_FCST", run, now, "1")
    item, label, minutes = _RUNS[run]
    local = now.astimezone(wire.PACIFIC)
    next_day = wire.trade_date(local.date() + timedelta(1 if local.hour >= _FORECAST_FROM else 0))[1]
    end = min(end, next_day if run == "DAM" else now + _AHEAD[run])
    if start + timedelta(minutes=minutes) > end:
        raise wire.Refused(1000, name)

    def members(fault: str | None) -> wire.Members:
        times = wire.intervals(start, end, minutes)
        hours = [each.hour + each.minute / 60 for each in wire.locals_of(times)]
        times = times.with_columns(hour=pl.Series(hours))
        series = pl.DataFrame(
            [(hub, kind, size) for (hub, kind), size in _SERIES.items()],
            schema=("TRADING_HUB", "RENEWABLE_TYPE", "size"),
            orient="row",
        ).with_row_index("number")
        share = pl.when(pl.col("RENEWABLE_TYPE") == "Solar").then(_sun(pl.col("hour"))).otherwise(_wind(minutes, seed))
        rows = (
            series.join(times, how="cross")
            .with_columns(units=(pl.col("size") * share * 100).cast(pl.Int64))
            .select(
                "OPR_DT",
                "OPR_HR",
                "OPR_INTERVAL",
                "INTERVALSTARTTIME_GMT",
                "INTERVALENDTIME_GMT",
                "TRADING_HUB",
                "RENEWABLE_TYPE",
                LABEL=pl.lit(label),
                XML_DATA_ITEM=pl.lit(item),
                MARKET_RUN_ID_POS=pl.lit(list(_RUNS).index(run) + 1),
                RENEW_POS=pl.when(pl.col("RENEWABLE_TYPE") == "Solar").then(2).otherwise(1),
                MW=decimal_text(pl.col("units"), 2),
                MARKET_RUN_ID=pl.lit(run),
                GROUP=pl.col("number") + 1,
            )
        )
        found = wire.with_fault(wire.unordered(rows, seed), fault, "MW", "RENEWABLE_TYPE", "Tidal")
        return [(f"{name}.csv", wire.csv(found))]

    return wire.Question(name, members, ("SLD_REN_FCST", run, start, end))


def outlook(path: str, fault: str | None, now: datetime, seed: int) -> Answer:
    """A file of Today's Outlook: a day's, or what there is of today's.

    Times are by the clock on the wall: the hour that spring leaves out has empty cells, autumn's repeated hour stands
    once. The last row is the next day's midnight.
    """
    history, current = _HISTORY.fullmatch(path), _CURRENT.fullmatch(path)
    today = now.astimezone(wire.PACIFIC).date()
    if current is not None:
        day, file = today, current.group(1)
    elif history is not None:
        try:
            day = datetime.strptime(history.group(1), "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            return _NOT_FOUND
        file = history.group(2)
    else:
        return _NOT_FOUND
    if not _OLDEST <= day <= today:
        return _NOT_FOUND
    rows = _outlook_rows(day, file, now, seed)
    value = rows.columns[1]
    first = pl.int_range(pl.len()) == 0
    match fault:
        case "wrong_header":
            rows = rows.rename({"Time": "Clock"})
        case "text_in_number":
            rows = rows.with_columns(pl.when(first).then(pl.lit("n/a")).otherwise(value).alias(value))
        case "off_grid":
            rows = rows.with_columns(Time=pl.col("Time").str.replace("^00:05$", "00:07"))
        case "duplicate_rows":
            rows = pl.concat([rows.head(3), rows])
        case "missing_hour":
            rows = rows.filter(~pl.col("Time").str.starts_with("01:"))
        case "unknown_word":
            rows = rows.with_columns(Fusion=pl.lit("7"))
        case _:
            pass
    return Answer(200, {"Content-Type": "text/csv"}, wire.csv(rows))


def _outlook_rows(day: date, file: str, now: datetime, seed: int) -> pl.DataFrame:
    """The day's five-minute rows as text; empty where it is not yet known."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=wire.PACIFIC)
    # By the clock on the wall: 288 of them on every day, and the next midnight.
    walls = [midnight + timedelta(minutes=5 * number) for number in range(289)]
    instants = [each.astimezone(UTC) for each in walls]
    exists = [each.astimezone(wire.PACIFIC).replace(tzinfo=None) == wall.replace(tzinfo=None)
              for each, wall in zip(instants, walls, strict=True)]  # fmt: skip
    times = pl.DataFrame(
        {
            "Time": [f"{each:%H:%M}" for each in walls],
            "start": instants,
            "hour": [each.hour + each.minute / 60 for each in walls],
            "shape": [load_shape(each.timetuple().tm_yday, each.weekday(), each.hour + each.minute / 60)
                      for each in walls],
            "is_known": [there and each <= now for there, each in zip(exists, instants, strict=True)],
        }
    )  # fmt: skip
    noise = (mixed(pl.col("start").dt.epoch("s"), seed) % 41).cast(pl.Int64) - 20
    demand = (24_000 * pl.col("shape")).cast(pl.Int64) + noise
    solar = (_sun(pl.col("hour")) * 19_000).cast(pl.Int64) - 20
    columns: dict[str, pl.Expr] = {
        "Day ahead forecast": demand + 300,
        "Hour ahead forecast": demand + 80,
        "Current demand": demand,
        "Demand response": pl.lit(0),
    }
    if file == "fuelsource":
        columns = {"Solar": solar, "Wind": (_wind(5, seed) * 6_000).cast(pl.Int64)}
        columns |= {
            fuel: (size * (1.6 - pl.col("shape")) if fuel == "Batteries" else size * pl.col("shape")).cast(pl.Int64)
            + (noise if size else 0)
            for fuel, size in _FUELS.items()
        }
        # Batteries charge under the sun.
        columns["Batteries"] = columns["Batteries"] - solar // 3
    return times.select(
        "Time",
        **{
            name: pl.when("is_known").then(value.cast(pl.String)).otherwise(pl.lit(None, pl.String))
            for name, value in columns.items()
        },
    )


def _sun(hour: pl.Expr) -> pl.Expr:
    """Share of full sun at that hour of the day."""
    return (-(((hour - 12.8) / 3.4) ** 4)).exp() * ((hour > 5.5) & (hour < 20.5)).cast(pl.Float64)


def _wind(minutes: int, seed: int) -> pl.Expr:
    """Share of full wind."""
    epoch = pl.col("start").dt.epoch("s").cast(pl.UInt64) // (60 * minutes)
    return 0.2 + (mixed(epoch, seed) % 500).cast(pl.Float64) / 1000
