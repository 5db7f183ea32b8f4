"""Ancillary services of OASIS: `PRC_AS` and `PRC_INTVL_AS`, regional shadow prices."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.caiso import wire
from aurum_etl.simulator.invented import decimal_text, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICES = {
    "NR": "NS_CLR_PRC",
    "SR": "SP_CLR_PRC",
    "RU": "RU_CLR_PRC",
    "RD": "RD_CLR_PRC",
    "RMU": "RMU_CLR_PRC",
    "RMD": "RMD_CLR_PRC",
}
_REGIONS = ("AS_CAISO", "AS_CAISO_EXP", "AS_NP26", "AS_NP26_EXP", "AS_SP26", "AS_SP26_EXP")
_COLUMNS = {
    "PRC_AS": (
        "INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "OPR_DT", "OPR_HR", "OPR_INTERVAL", "OPR_TYPE", "ANC_TYPE",
        "ANC_REGION", "MARKET_RUN_ID", "XML_DATA_ITEM", "MW", "GROUP",
    ),
    "PRC_INTVL_AS": (
        "INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "OPR_DT", "OPR_HR", "OPR_TYPE", "ANC_TYPE", "XML_DATA_ITEM",
        "MARKET_RUN_ID", "MW", "ANC_REGION", "OPR_INTERVAL", "GROUP",
    ),
}  # fmt: skip
_RUNS = {"PRC_AS": ("DAM", "HASP"), "PRC_INTVL_AS": ("RTM",)}
VERSIONS = {"PRC_AS": ("1", "12"), "PRC_INTVL_AS": ("1",)}
_PER_USD = 100_000


def single(
    report: str, query: Mapping[str, str], window: tuple[datetime, datetime], now: datetime, seed: int
) -> wire.Question:
    """`SingleZip` with one of the two reports: services and regions by name, or `ALL`."""
    start, end = window
    run, service, region = (query.get(name, "") for name in ("market_run_id", "anc_type", "anc_region"))
    if run not in _RUNS[report] or service not in ("ALL", *_SERVICES) or region not in ("ALL", *_REGIONS):
        raise wire.Refused(1001)
    name = wire.file_name(start, end, report, run, now, query["version"])
    minutes = 60 if report == "PRC_AS" else 15
    end = min(end, wire.day_ahead_end(now) if run == "DAM" else now)
    if start + timedelta(minutes=minutes) > end:
        raise wire.Refused(1000, name)

    def members(fault: str | None) -> wire.Members:
        cells = pl.DataFrame({"ANC_TYPE": list(_SERVICES), "XML_DATA_ITEM": list(_SERVICES.values())}).join(
            pl.DataFrame({"ANC_REGION": _REGIONS}), how="cross"
        )
        table = cells.with_row_index("number").join(wire.intervals(start, end, minutes), how="cross")
        epoch = pl.col("start").dt.epoch("s").cast(pl.UInt64)
        chance = mixed(pl.col("number").cast(pl.UInt64) * 2**40 + epoch + minutes, seed)
        # Few regions bind: most shadow prices are zero, save those of the whole.
        binds = (chance % 7 == 0) | pl.col("ANC_REGION").is_in(["AS_CAISO_EXP", "AS_CAISO"])
        rows = table.filter(
            ((pl.col("ANC_TYPE") == service) | (service == "ALL"))
            & ((pl.col("ANC_REGION") == region) | (region == "ALL"))
        ).select(
            "INTERVALSTARTTIME_GMT",
            "INTERVALENDTIME_GMT",
            "OPR_DT",
            "OPR_HR",
            "OPR_INTERVAL",
            "ANC_TYPE",
            "ANC_REGION",
            "XML_DATA_ITEM",
            OPR_TYPE=pl.lit("Hourly" if minutes == 60 else "Interval"),
            MARKET_RUN_ID=pl.lit(run),
            MW=decimal_text(pl.when(binds).then((chance // 16 % (12 * _PER_USD)).cast(pl.Int64)).otherwise(0), 5),
            GROUP=pl.col("number") + 1,
        )
        shuffled = wire.unordered(rows.select(_COLUMNS[report]), seed)
        return [(f"{name}.csv", wire.csv(wire.with_fault(shuffled, fault, "MW", "ANC_TYPE", "XY")))]

    return wire.Question(name, members, (report, run, service, region, start, end, query["version"]))
