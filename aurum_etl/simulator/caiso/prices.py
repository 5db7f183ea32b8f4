"""Prices of OASIS: `PRC_LMP`, `PRC_HASP_LMP`, `PRC_RTPD_LMP`, `PRC_INTVL_LMP`, and their groups of all nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from aurum_etl.simulator.caiso import wire
from aurum_etl.simulator.invented import decimal_text, energy_prices, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_MOST_NODES = 10
_GROUP_WORDS = ("", "ALL", "ALL_APNODES")


@dataclass(frozen=True, slots=True)
class Prices:
    """One of the reports of prices."""

    name: str
    run: str
    minutes: int
    value: str
    """How the newest version calls the price."""
    versions: tuple[str, ...]
    """From old to new."""
    group: str
    """The group that has the same for all nodes, a day of it or an hour."""
    ahead: timedelta
    """How far beyond now it is published; day-ahead prices are by trade dates instead."""

    @property
    def is_hourly(self) -> bool:
        """Whether it is of the day-ahead market, and all nodes come by the day."""
        return self.minutes == 60


REPORTS = {
    each.name: each
    for each in (
        Prices("PRC_LMP", "DAM", 60, "MW", ("1", "12"), "DAM_LMP_GRP", timedelta()),
        Prices("PRC_HASP_LMP", "HASP", 15, "MW", ("1", "3"), "HASP_LMP_GRP", timedelta(minutes=60)),
        Prices("PRC_RTPD_LMP", "RTPD", 15, "PRC", ("1", "3"), "RTPD_LMP_GRP", timedelta(minutes=15)),
        Prices("PRC_INTVL_LMP", "RTM", 5, "VALUE", ("1", "3"), "RTM_LMP_GRP", timedelta(minutes=-5)),
    )
}
GROUPS = {each.group: each for each in REPORTS.values()}


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


def single(
    report: Prices,
    query: Mapping[str, str],
    window: tuple[datetime, datetime],
    now: datetime,
    universe: pl.DataFrame,
    seed: int,
) -> wire.Question:
    """`SingleZip` with one of the reports: up to ten named nodes, or all of them for a day or an hour."""
    start, end = window
    asked, group = query.get("node", ""), query.get("grp_type", "")
    if query.get("market_run_id") != report.run or bool(asked) == bool(group) or group not in _GROUP_WORDS:
        raise wire.Refused(1001)
    names = tuple(sorted(asked.split(","))) if asked else ()
    if len(names) > _MOST_NODES:
        raise wire.Refused(1017)
    if group and report.is_hourly:
        # For all nodes the end is ignored, and the start snaps to its trade date.
        start, end = wire.trade_date(start.astimezone(wire.PACIFIC).date())
    elif group and end - start > timedelta(hours=1):
        raise wire.Refused(1018)
    version = query["version"]
    name = wire.file_name(start, end, report.name, report.run, now, version)
    end = min(end, _published_until(report, now))
    chosen = _chosen(universe, names, group)
    if end <= start or chosen.is_empty():
        raise wire.Refused(1000, name)

    def members(fault: str | None) -> wire.Members:
        return prices(report, chosen, start, end, seed, name, fault)

    return wire.Question(name, members, (report.name, names, group, start, end, version))


def grouped(
    report: Prices, query: Mapping[str, str], oldest: datetime, now: datetime, universe: pl.DataFrame, seed: int
) -> wire.Question:
    """`GroupZip`: all nodes, made beforehand, for a trade date or for one of its hours."""
    if query.get("version") != report.versions[-1]:
        raise wire.Refused(1020)
    start = wire.instant(query.get("startdatetime", ""))
    local = start.astimezone(wire.PACIFIC)
    end, hour = start + timedelta(hours=1), f"_{25 if local.fold else local.hour + 1:02d}"
    if report.is_hourly:
        (start, end), hour = wire.trade_date(local.date()), ""
    day = f"{local:%Y%m%d}"
    name = f"{day}_{day}_{report.group}_N{hour}_N_v{report.versions[-1]}_csv"
    if start < oldest:
        raise wire.Refused(1014)
    if _published_until(report, now) < end:
        raise wire.Refused(1000, name)

    def members(fault: str | None) -> wire.Members:
        return prices(report, universe, start, end, seed, name, fault)

    return wire.Question(name, members, (report.group, start))


def prices(
    report: Prices, locations: pl.DataFrame, start: datetime, end: datetime, seed: int, name: str, fault: str | None
) -> wire.Members:
    """The members: one per component, in no order of rows; the first version of a real-time report has one for all."""
    salt = seed + list(REPORTS).index(report.name)
    table = _cells(report, locations, start, end, salt)
    is_old = not report.is_hourly and name.endswith("_v1")
    has_ghg = end > _GHG_SINCE if report.is_hourly else not is_old
    stem, _, version = name.rpartition("_v")
    tables = [
        _component(report, table, lmp_type, number, salt, is_old=is_old)
        for number, lmp_type in enumerate(_LMP_TYPES)
        if lmp_type != "MGHG" or has_ghg
    ]
    if is_old:
        tables = [pl.concat(tables)]
    value = "MW" if is_old else report.value
    return [
        (
            f"{name}.csv" if is_old else f"{stem}_{lmp_type}_v{version}.csv",
            wire.csv(wire.with_fault(rows, fault if number == 0 else _for_all(fault), value, "LMP_TYPE", "MXYZ")),
        )
        for number, (lmp_type, rows) in enumerate(zip(_LMP_TYPES, tables, strict=False))
    ]


def _cells(report: Prices, locations: pl.DataFrame, start: datetime, end: datetime, salt: int) -> pl.DataFrame:
    """Every location's price and its components at every interval, in price units."""
    times = wire.intervals(start, end, report.minutes)
    local = wire.locals_of(times)
    energy = energy_prices(
        [(each.timetuple().tm_yday, each.hour + each.minute / 60) for each in local],
        [int(each.timestamp()) // (60 * report.minutes) for each in local],
        salt,
    )
    times = times.with_columns(MCE=pl.Series(energy, dtype=pl.Int64))
    number = pl.col("number").cast(pl.UInt64)
    cell = number * 2**32 + pl.col("start").dt.epoch("s").cast(pl.UInt64) // (60 * report.minutes)
    chance = mixed(cell, salt)
    loss_share = (mixed(pl.col("number"), salt) % 901).cast(pl.Int64) - 400
    has_ghg = pl.lit(True) if not report.is_hourly else pl.col("start") >= _GHG_SINCE
    return (
        locations.join(times, how="cross")
        .with_columns(
            MCL=pl.col("MCE") * loss_share // 10_000,
            # Two hours of three are free of congestion.
            MCC=pl.when(chance % 3 == 0).then((chance // 8 % 2_500_000).cast(pl.Int64) - 900_000).otherwise(0),
            MGHG=pl.when((pl.col("number") % 5 == 0) & has_ghg)
            .then((chance // 2**20 % 60_000).cast(pl.Int64))
            .otherwise(0),
        )
        .with_columns(LMP=pl.col("MCE") + pl.col("MCC") + pl.col("MCL") + pl.col("MGHG"))
    )


def _component(
    report: Prices, table: pl.DataFrame, lmp_type: str, number: int, salt: int, *, is_old: bool
) -> pl.DataFrame:
    """The rows of one component, their columns in the report's order."""
    price = {("MW" if is_old else report.value): decimal_text(pl.col(lmp_type), 5)}
    head: dict[str, str | pl.Expr] = {
        "INTERVALSTARTTIME_GMT": "INTERVALSTARTTIME_GMT",
        "INTERVALENDTIME_GMT": "INTERVALENDTIME_GMT",
    }
    # Real-time files write the hour with two digits.
    day = {"OPR_DT": pl.col("OPR_DT"), "OPR_HR": pl.col("OPR_HR")}
    interval = {"OPR_INTERVAL": pl.col("OPR_INTERVAL")}
    names = {
        "NODE_ID_XML": pl.col("NODE"),
        "NODE_ID": pl.col("NODE"),
        "NODE": pl.col("NODE"),
        "MARKET_RUN_ID": pl.lit(report.run),
        "LMP_TYPE": pl.lit(lmp_type),
        "XML_DATA_ITEM": pl.lit(_LMP_TYPES[lmp_type]),
        "PNODE_RESMRID": pl.col("NODE"),
        "GRP_TYPE": pl.col("GRP_TYPE"),
        "POS": pl.lit(number),
    }
    group = {"GROUP": pl.lit(number + 1)}
    if report.is_hourly:
        columns = {**head, **day, **interval, **names, **price, **group}
    else:
        day["OPR_HR"] = pl.col("OPR_HR").cast(pl.String).str.zfill(2)
        columns = {**head, **day, **names, **price, **interval, **group}
    return wire.unordered(table.select(**columns), salt + number)


def _published_until(report: Prices, now: datetime) -> datetime:
    if report.is_hourly:
        return wire.day_ahead_end(now)
    step = 60 * report.minutes
    seconds = int((now + report.ahead).timestamp()) // step * step
    return datetime.fromtimestamp(seconds, now.tzinfo)


def _chosen(universe: pl.DataFrame, names: tuple[str, ...], group: str) -> pl.DataFrame:
    """The locations of a request; names that nobody has are passed over."""
    if names:
        return universe.filter(pl.col("NODE").is_in(names))
    return universe.filter(pl.col("GRP_TYPE") == "ALL_APNODES") if group == "ALL_APNODES" else universe


def _for_all(fault: str | None) -> str | None:
    """Faults that hold for every member; the others hit the first alone."""
    return fault if fault in ("wrong_header", "missing_hour", "off_grid") else None
