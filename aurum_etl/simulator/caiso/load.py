"""Load of OASIS, `SLD_FCST`: every run of it, actual and forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.caiso import wire
from aurum_etl.simulator.invented import decimal_text, load_shape, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = {"PGE-TAC": 14000, "SCE-TAC": 15500, "SDGE-TAC": 3100, "VEA-TAC": 90, "MWD-TAC": 240}
_NEIGHBOURS = {
    "AVA": 1500, "AVRN": 300, "AZPS": 6000, "BANC": 3200, "BANCMID": 500, "BANCRDNG": 150, "BANCRSVL": 250,
    "BANCSMUD": 2200, "BANCWASN": 60, "BCHA": 7400, "BPAT": 6500, "EPE": 1700, "IPCO": 2600, "LADWP": 4800, "NEVP": 6200,
    "NWMT": 1500, "PACE": 7000, "PACW": 2900, "PGE": 3000, "PNM": 2000, "PSEI": 3400, "SCL": 1200, "SRP": 6200, "TEPC": 2400,
    "TIDC": 500, "TPWR": 600, "WALC": 1100, "WALCAEPCO": 500, "WALCDSW": 600,
}  # fmt: skip
_TOTAL = "CA ISO-TAC"


@dataclass(frozen=True, slots=True)
class _Run:
    """One of the runs that `SLD_FCST` holds."""

    market_run: str
    execution_type: str
    load_type: int
    label: str
    item: str
    minutes: int
    position: int
    ahead: timedelta
    """How far beyond now it is published; negative for what is known only afterwards."""


_RUNS = (
    _Run("2DA", "2DA", 2, "Demand Forecast 2-Day Ahead", "SYS_FCST_2DA_MW", 60, 1, timedelta(days=2)),
    _Run("7DA", "7DA", 0, "Demand Forecast 7-Day Ahead", "SYS_FCST_7DA_MW", 60, 0, timedelta(days=7)),
    _Run("DAM", "DAM", 1, "Demand Forecast Day Ahead", "SYS_FCST_DA_MW", 60, 3, timedelta(days=1)),
    _Run("RTM", "RTPD", 0, "RTM 15Min Load Forecast", "SYS_FCST_15MIN_MW", 15, 5, timedelta(hours=2)),
    _Run("RTM", "RTD", 0, "RTM 5Min Load Forecast", "SYS_FCST_5MIN_MW", 5, 6, timedelta(hours=1)),
    _Run("ACTUAL", "ACTUAL", 0, "Total Actual Hourly Integrated Load", "SYS_FCST_ACT_MW", 60, 7, timedelta(hours=-1)),
)


def single(query: Mapping[str, str], window: tuple[datetime, datetime], now: datetime, seed: int) -> wire.Question:
    """`SingleZip` with `SLD_FCST`: one run, or all in one file where none is named."""
    start, end = window
    run, execution = query.get("market_run_id", ""), query.get("execution_type", "")
    if run and run not in {each.market_run for each in _RUNS}:
        raise wire.Refused(1001)
    runs = tuple(each for each in _RUNS if run in ("", each.market_run) and execution in ("", each.execution_type))
    name = wire.file_name(start, end, "SLD_FCST", run or "N", now, "1")
    published = {each: min(end, now + each.ahead) for each in runs}
    if not any(start + timedelta(minutes=each.minutes) <= until for each, until in published.items()):
        raise wire.Refused(1000, name)

    def members(fault: str | None) -> wire.Members:
        parts = [
            _rows(run, start, until, seed)
            for run, until in published.items()
            if start + timedelta(minutes=run.minutes) <= until
        ]
        rows = wire.unordered(pl.concat(parts), seed)
        return [(f"{name}.csv", wire.csv(wire.with_fault(rows, fault, "MW", "XML_DATA_ITEM", "SYS_FCST_XYZ_MW")))]

    known = tuple(sorted((each.item, _hour(until)) for each, until in published.items()))
    return wire.Question(name, members, ("SLD_FCST", start, known))


def _rows(run: _Run, start: datetime, until: datetime, seed: int) -> pl.DataFrame:
    """One run's rows up to the instant until which it is published."""
    times = wire.intervals(start, until, run.minutes)
    shape = [
        load_shape(each.timetuple().tm_yday, each.weekday(), each.hour + each.minute / 60)
        for each in wire.locals_of(times)
    ]
    times = times.with_columns(shape=pl.Series(shape))
    sizes = {**_PARTS, **_NEIGHBOURS}
    areas = pl.DataFrame({"TAC_AREA_NAME": list(sizes), "size": list(sizes.values())}).with_row_index("number")
    cell = pl.col("number").cast(pl.UInt64) * 2**40 + pl.col("start").dt.epoch("s").cast(pl.UInt64) + run.position
    noise = (mixed(cell, seed) % 401).cast(pl.Int64) - 200
    step = 100 if run.item == "SYS_FCST_ACT_MW" else 1
    cells = areas.join(times, how="cross").with_columns(
        units=((pl.col("size") * pl.col("shape") * 100).cast(pl.Int64) * (10_000 + noise) // 10_000) // step * step
    )
    total = (
        cells.filter(pl.col("TAC_AREA_NAME").is_in(list(_PARTS)))
        .group_by(times.columns, maintain_order=True)
        .agg(pl.col("units").sum())
        .with_columns(TAC_AREA_NAME=pl.lit(_TOTAL), number=pl.lit(len(sizes), pl.UInt32), size=pl.lit(0, pl.Int64))
    )
    return (
        pl.concat([cells, total.select(cells.columns)])
        .select(
            "INTERVALSTARTTIME_GMT",
            "INTERVALENDTIME_GMT",
            "OPR_DT",
            "OPR_HR",
            "OPR_INTERVAL",
            "TAC_AREA_NAME",
            LOAD_TYPE=pl.lit(run.load_type),
            MARKET_RUN_ID=pl.lit(run.market_run),
            LABEL=pl.lit(run.label),
            XML_DATA_ITEM=pl.lit(run.item),
            POS=pl.format("{}.{}", pl.lit(run.position), pl.col("number") % 10),
            MW=decimal_text(pl.col("units"), 2),
            EXECUTION_TYPE=pl.lit(run.execution_type),
            GROUP=pl.col("number") + 1,
        )
        .select(_COLUMNS)
    )


_COLUMNS = (
    "INTERVALSTARTTIME_GMT",
    "INTERVALENDTIME_GMT",
    "LOAD_TYPE",
    "OPR_DT",
    "OPR_HR",
    "OPR_INTERVAL",
    "MARKET_RUN_ID",
    "TAC_AREA_NAME",
    "LABEL",
    "XML_DATA_ITEM",
    "POS",
    "MW",
    "EXECUTION_TYPE",
    "GROUP",
)


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)
