"""The csv members of OASIS reports, built column by column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from aurum_etl.simulator.invented import decimal_text, energy_prices, load_shape, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

PACIFIC = ZoneInfo("America/Los_Angeles")
CONTENT_FAULTS = frozenset(
    {"wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"}
)

_HUBS = ("TH_NP15_GEN-APND", "TH_SP15_GEN-APND", "TH_ZP26_GEN-APND")
_DLAPS = ("DLAP_PGAE-APND", "DLAP_SCE-APND", "DLAP_SDGE-APND", "DLAP_VEA-APND")
_SLAPS = tuple(f"SLAP_PG{letter}{number}-APND" for letter in "CEFKN" for number in range(1, 5))
_ELAPS = tuple(f"ELAP_{area}-APND" for area in ("AZPS", "BPAT", "IPCO", "NEVP", "PACE", "PACW", "PGE", "PSEI", "SCL"))
_AGGREGATE_SHARE = 6
"""Every sixth location is an aggregate."""
_GHG_SINCE = datetime(2026, 5, 1, 7, tzinfo=ZoneInfo("UTC"))
_LMP_TYPES = {
    "LMP": "LMP_PRC",
    "MCE": "LMP_ENE_PRC",
    "MCC": "LMP_CONG_PRC",
    "MCL": "LMP_LOSS_PRC",
    "MGHG": "LMP_GHG_PRC",
}
_GMT = "%Y-%m-%dT%H:%M:%S-00:00"


@dataclass(frozen=True, slots=True)
class LoadRun:
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


LOAD_RUNS = (
    LoadRun("2DA", "2DA", 2, "Demand Forecast 2-Day Ahead", "SYS_FCST_2DA_MW", 60, 1, timedelta(days=2)),
    LoadRun("7DA", "7DA", 0, "Demand Forecast 7-Day Ahead", "SYS_FCST_7DA_MW", 60, 0, timedelta(days=7)),
    LoadRun("DAM", "DAM", 1, "Demand Forecast Day Ahead", "SYS_FCST_DA_MW", 60, 3, timedelta(days=1)),
    LoadRun("RTM", "RTPD", 0, "RTM 15Min Load Forecast", "SYS_FCST_15MIN_MW", 15, 5, timedelta(hours=2)),
    LoadRun("RTM", "RTD", 0, "RTM 5Min Load Forecast", "SYS_FCST_5MIN_MW", 5, 6, timedelta(hours=1)),
    LoadRun(
        "ACTUAL", "ACTUAL", 0, "Total Actual Hourly Integrated Load", "SYS_FCST_ACT_MW", 60, 7, timedelta(hours=-1)
    ),
)

_PARTS = {"PGE-TAC": 14000, "SCE-TAC": 15500, "SDGE-TAC": 3100, "VEA-TAC": 90, "MWD-TAC": 240}
_NEIGHBOURS = {
    "AVA": 1500, "AVRN": 300, "AZPS": 6000, "BANC": 3200, "BANCMID": 500, "BANCRDNG": 150, "BANCRSVL": 250,
    "BANCSMUD": 2200, "BANCWASN": 60, "BCHA": 7400, "BPAT": 6500, "EPE": 1700, "IPCO": 2600, "LADWP": 4800, "NEVP": 6200,
    "NWMT": 1500, "PACE": 7000, "PACW": 2900, "PGE": 3000, "PNM": 2000, "PSEI": 3400, "SCL": 1200, "SRP": 6200, "TEPC": 2400,
    "TIDC": 500, "TPWR": 600, "WALC": 1100, "WALCAEPCO": 500, "WALCDSW": 600,
}  # fmt: skip
_TOTAL = "CA ISO-TAC"


def nodes(count: int) -> pl.DataFrame:
    """The locations there are: number, name, and whether it is an aggregate."""
    named = [*_HUBS, *_DLAPS, *_SLAPS, *_ELAPS]
    aggregates = [f"AGG{number:05d}_{number % 9}_GEN-APND" for number in range(count // _AGGREGATE_SHARE)]
    plain = [f"N{number:05d}_{number % 7}_B{number % 3 + 1}" for number in range(count)]
    names = (named + aggregates + plain)[: max(count, len(_HUBS))]
    return (
        pl.DataFrame({"NODE": names})
        .with_row_index("number")
        .with_columns(
            GRP_TYPE=pl.when(pl.col("NODE").str.ends_with("-APND")).then(pl.lit("ALL_APNODES")).otherwise(pl.lit("ALL"))
        )
    )


def chosen(universe: pl.DataFrame, names: tuple[str, ...], group: str) -> pl.DataFrame:
    """The locations of a request; names that nobody has are passed over."""
    if names:
        return universe.filter(pl.col("NODE").is_in(names))
    return universe.filter(pl.col("GRP_TYPE") == "ALL_APNODES") if group == "ALL_APNODES" else universe


def prices(
    locations: pl.DataFrame, start: datetime, end: datetime, seed: int, name: str, fault: str | None
) -> list[tuple[str, bytes]]:
    """The members of `PRC_LMP`: one per component, in no order of rows."""
    hours = _intervals(start, end, 60)
    local = [instant.astimezone(PACIFIC) for instant in hours.get_column("start").to_list()]
    energy = energy_prices(
        [(each.timetuple().tm_yday, each.hour) for each in local],
        [int(each.timestamp()) // 3600 for each in local],
        seed,
    )
    hours = hours.with_columns(MCE=pl.Series(energy, dtype=pl.Int64))
    cell = pl.col("number").cast(pl.UInt64) * 2**32 + pl.col("start").dt.epoch("s").cast(pl.UInt64) // 3600
    chance = mixed(cell, seed)
    loss_share = (mixed(pl.col("number"), seed) % 901).cast(pl.Int64) - 400
    table = (
        locations.join(hours, how="cross")
        .with_columns(
            MCL=pl.col("MCE") * loss_share // 10_000,
            # Two hours of three are free of congestion.
            MCC=pl.when(chance % 3 == 0).then((chance // 8 % 2_500_000).cast(pl.Int64) - 900_000).otherwise(0),
            MGHG=pl.when((pl.col("number") % 5 == 0) & (pl.col("start") >= _GHG_SINCE))
            .then((chance // 2**20 % 60_000).cast(pl.Int64))
            .otherwise(0),
        )
        .with_columns(LMP=pl.col("MCE") + pl.col("MCC") + pl.col("MCL") + pl.col("MGHG"))
    )
    present = [each for each in _LMP_TYPES if each != "MGHG" or end > _GHG_SINCE]
    stem, _, version = name.rpartition("_v")
    members = []
    for number, lmp_type in enumerate(present):
        rows = table.select(
            INTERVALSTARTTIME_GMT="start_text",
            INTERVALENDTIME_GMT="end_text",
            OPR_DT="operating_date",
            OPR_HR="operating_hour",
            OPR_INTERVAL=pl.lit(0),
            NODE_ID_XML="NODE",
            NODE_ID="NODE",
            NODE="NODE",
            MARKET_RUN_ID=pl.lit("DAM"),
            LMP_TYPE=pl.lit(lmp_type),
            XML_DATA_ITEM=pl.lit(_LMP_TYPES[lmp_type]),
            PNODE_RESMRID="NODE",
            GRP_TYPE="GRP_TYPE",
            POS=pl.lit(number),
            MW=decimal_text(pl.col(lmp_type), 5),
            GROUP=pl.lit(number + 1),
        ).sort(mixed(pl.int_range(pl.len()), seed + number))
        broken = _with_fault(rows, fault if number == 0 else _for_all(fault), "LMP_TYPE", "MXYZ")
        members.append((f"{stem}_{lmp_type}_v{version}.csv", broken.write_csv().encode()))
    return members


def load(
    published: Mapping[LoadRun, datetime], start: datetime, seed: int, name: str, fault: str | None
) -> list[tuple[str, bytes]]:
    """The member of `SLD_FCST`: every run up to the instant until which it is published."""
    parts = [
        _load_of(run, start, until, seed)
        for run, until in published.items()
        if start + timedelta(minutes=run.minutes) <= until
    ]
    rows = pl.concat(parts).sort(mixed(pl.int_range(pl.len()), seed))
    return [(f"{name}.csv", _with_fault(rows, fault, "XML_DATA_ITEM", "SYS_FCST_XYZ_MW").write_csv().encode())]


def _load_of(run: LoadRun, start: datetime, until: datetime, seed: int) -> pl.DataFrame:
    intervals = _intervals(start, until, run.minutes)
    local = [instant.astimezone(PACIFIC) for instant in intervals.get_column("start").to_list()]
    shape = [load_shape(each.timetuple().tm_yday, each.weekday(), each.hour + each.minute / 60) for each in local]
    intervals = intervals.with_columns(shape=pl.Series(shape))
    sizes = {**_PARTS, **_NEIGHBOURS}
    areas = pl.DataFrame({"TAC_AREA_NAME": list(sizes), "size": list(sizes.values())}).with_row_index("number")
    cell = pl.col("number").cast(pl.UInt64) * 2**40 + pl.col("start").dt.epoch("s").cast(pl.UInt64) + run.position
    noise = (mixed(cell, seed) % 401).cast(pl.Int64) - 200
    step = 100 if run.item == "SYS_FCST_ACT_MW" else 1
    cells = areas.join(intervals, how="cross").with_columns(
        units=((pl.col("size") * pl.col("shape") * 100).cast(pl.Int64) * (10_000 + noise) // 10_000) // step * step
    )
    total = (
        cells.filter(pl.col("TAC_AREA_NAME").is_in(list(_PARTS)))
        .group_by(intervals.columns, maintain_order=True)
        .agg(pl.col("units").sum())
        .with_columns(TAC_AREA_NAME=pl.lit(_TOTAL), number=pl.lit(len(sizes), pl.UInt32), size=pl.lit(0, pl.Int64))
    )
    return pl.concat([cells, total.select(cells.columns)]).select(
        INTERVALSTARTTIME_GMT="start_text",
        INTERVALENDTIME_GMT="end_text",
        LOAD_TYPE=pl.lit(run.load_type),
        OPR_DT="operating_date",
        OPR_HR="operating_hour",
        OPR_INTERVAL=pl.lit(0, pl.Int64) if run.minutes == 60 else pl.col("operating_interval"),
        MARKET_RUN_ID=pl.lit(run.market_run),
        TAC_AREA_NAME="TAC_AREA_NAME",
        LABEL=pl.lit(run.label),
        XML_DATA_ITEM=pl.lit(run.item),
        POS=pl.format("{}.{}", pl.lit(run.position), pl.col("number") % 10),
        MW=decimal_text(pl.col("units"), 2),
        EXECUTION_TYPE=pl.lit(run.execution_type),
        GROUP=pl.col("number") + 1,
    )


def _intervals(start: datetime, end: datetime, minutes: int) -> pl.DataFrame:
    """The whole intervals of the window, with the labels that OASIS gives them.

    Hours count from 1 by the clock on the wall: the repeated hour in autumn is 25, and spring has no 3.
    """
    rows = []
    instant, step = start, timedelta(minutes=minutes)
    while instant + step <= end:
        local = instant.astimezone(PACIFIC)
        hour = 25 if local.fold else local.hour + 1
        rows.append(
            (
                instant,
                f"{instant:{_GMT}}",
                f"{instant + step:{_GMT}}",
                f"{local:%Y-%m-%d}",
                hour,
                local.minute // minutes + 1,
            )
        )
        instant += step
    return pl.DataFrame(
        rows,
        schema={
            "start": pl.Datetime("us", "UTC"),
            "start_text": pl.String,
            "end_text": pl.String,
            "operating_date": pl.String,
            "operating_hour": pl.Int64,
            "operating_interval": pl.Int64,
        },
        orient="row",
    )


def _for_all(fault: str | None) -> str | None:
    """Faults that hold for every member; the others hit the first alone."""
    return fault if fault in ("wrong_header", "missing_hour", "off_grid") else None


def _with_fault(rows: pl.DataFrame, fault: str | None, word_column: str, word: str) -> pl.DataFrame:  # noqa: PLR0911
    first = pl.int_range(pl.len()) == 0
    match fault:
        case "wrong_header":
            return rows.rename({"MW": "MW_NEW"})
        case "text_in_number":
            return rows.with_columns(MW=pl.when(first).then(pl.lit("n/a")).otherwise("MW"))
        case "off_grid":
            late = (
                pl.col(each).str.replace(":00:00-", ":07:00-")
                for each in ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")
            )
            return rows.with_columns(late)
        case "duplicate_rows":
            return pl.concat([rows, rows.head(3)])
        case "missing_hour":
            return rows.filter(pl.col("INTERVALSTARTTIME_GMT") != pl.col("INTERVALSTARTTIME_GMT").min())
        case "unknown_word":
            return pl.concat([rows, rows.head(1).with_columns(pl.lit(word).alias(word_column))])
        case _:
            return rows
