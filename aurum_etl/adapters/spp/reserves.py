"""Ancillary services: clearing prices by reserve zone, day-ahead by the hour and real time every five minutes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.spp.files import END, SYSTEMS
from aurum_etl.adapters.spp.prices import DAILY_LAG, DAY_AHEAD_LAG, INTERVAL_LAG
from aurum_etl.clock import Instants
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Spread, Word
from aurum_etl.market import Iso, LocationType, Market, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_DAY = date(2025, 11, 2)
_PORTAL = "https://portal.spp.org/pages"
_COMMON = {
    "Spin": Service.SPINNING,
    "Supp": Service.NON_SPINNING,
    "RampUP": Service.RAMP_UP,
    "RampDN": Service.RAMP_DOWN,
    "UncUP": Service.UNCERTAINTY_UP,
}
_DAY_AHEAD = {"RegUP": Service.REGULATION_UP, "RegDN": Service.REGULATION_DOWN, **_COMMON}
_REAL_TIME = {
    "RegUPService": Service.REGULATION_UP,
    "RegDNService": Service.REGULATION_DOWN,
    "RegUpMile": Service.MILEAGE_UP,
    "RegDNMile": Service.MILEAGE_DOWN,
    **_COMMON,
}
_YOUNGER = frozenset({"RampUP", "RampDN", "UncUP"})
"""Services that came in 2022 and 2023: older files have no column for them."""


def _report(name: str, fs: str, path: str, every: str, minutes: int, services: Mapping[str, Service]) -> Report:
    return Report(
        name=name,
        parameters={"fs": fs, "path": path, "every": every, "named": f"{name}-"},
        clock=Instants(END, minutes, "end"),
        published={
            END: Published.UTC,
            "Reserve Zone": Published.WORD,
            **dict.fromkeys(services, Published.NUMBER),
        },
        optional=_YOUNGER,
        ignored=frozenset({"Interval", "BAA"}),
        spread=Spread("service", {word: {"price": word} for word in services}, others="price"),
        values={"price": "price_mcp"},
        location="Reserve Zone",
        location_types=(SYSTEMS, LocationRule(r"", LocationType.ZONE)),
        words={"service_native": Word("service"), "service": Word("service", services)},
    )


def _real_time(name: str, path: str, every: str) -> Report:
    return _report(name, "rtbm-mcp", path, every, 5, _REAL_TIME)


DATASETS = (
    Dataset(
        key="spp_asm",
        iso=Iso.SPP,
        contract=ASM,
        title="day-ahead hourly clearing prices of ancillary services, by reserve zone",
        market=Market.DAY_AHEAD,
        run="DA",
        feeds=(
            Feed(
                "csv",
                (_report("DA-MCP", "da-mcp", "/{day:%Y/%m}/DA-MCP-{day:%Y%m%d}0100.csv", "day", 60, _DAY_AHEAD),),
                span_days_all=31,
            ),
        ),
        intervals=(60,),
        first_day=_FIRST_DAY,
        lag=DAY_AHEAD_LAG,
        patience=timedelta(hours=12),
        rows_per_location_day=24 * len(_DAY_AHEAD),
        locations=8,
        source_url=f"{_PORTAL}/da-mcp",
    ),
    Dataset(
        key="spp_asm_rt5",
        iso=Iso.SPP,
        contract=ASM,
        title="real-time five-minute clearing prices of ancillary services, by reserve zone",
        market=Market.REAL_TIME,
        run="RTBM",
        feeds=(
            Feed(
                "daily",
                (_real_time("RTBM-MCP-DAILY", "/{day:%Y/%m}/By_Day/RTBM-MCP-DAILY-{day:%Y%m%d}.csv", "day"),),
                span_days_all=31,
            ),
            Feed(
                "interval",
                (_real_time("RTBM-MCP", "/{start:%Y/%m}/By_Interval/{start:%d}/RTBM-MCP-{name}.csv", "intervals"),),
                lag=INTERVAL_LAG,
                bulk="daily",
            ),
            Feed(
                "latest",
                (_real_time("RTBM-MCP", "/RTBM-MCP-latestInterval.csv", "latest"),),
                kept_days=0,
                latest_only=True,
            ),
        ),
        intervals=(5,),
        first_day=_FIRST_DAY,
        lag=DAILY_LAG,
        patience=timedelta(days=5),
        rows_per_location_day=288 * len(_REAL_TIME),
        locations=8,
        source_url=f"{_PORTAL}/rtbm-mcp",
    ),
)
