"""Ancillary services of the Data Exchange: clearing prices by reserve zone."""

from __future__ import annotations

from datetime import timedelta

from aurum_etl.adapters.miso import forms
from aurum_etl.adapters.miso.prices import (
    DATA_EXCHANGE_URL,
    FINAL_LAG,
    LABELS,
    NEXT_MORNING,
    OLDEST_EXAMPLE,
    PRICING,
    marked,
    of_resolution,
)
from aurum_etl.clock import WallClock
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LocationType, Market, Service

SERVICES = {
    "Regulation": Service.REGULATION,
    "Mileage": Service.MILEAGE,
    "SER": Service.REGULATION,
    "Spin": Service.SPINNING,
    "Supplemental": Service.NON_SPINNING,
    "STR": Service.SHORT_TERM,
    "Ramp-up": Service.RAMP_UP,
    "Ramp-down": Service.RAMP_DOWN,
}


def _page(path: str, resolution: str, minutes: int, unlike: str, **query: str) -> Report:
    return Report(
        name=path.rpartition("/")[2],
        parameters={
            "form": "page",
            "host": forms.API,
            "path": f"pricing/v1/{path}",
            "unlike": unlike,
            **{f"?{name}": value for name, value in query.items()},
        },
        clock=WallClock(forms.START, minutes, forms.EST),
        published={
            **forms.DATA_EXCHANGE_TIMES,
            "product": Published.WORD,
            "zone": Published.WORD,
            "mcp": Published.NUMBER,
        },
        belonging=(of_resolution(resolution),),
        values={"mcp": "price_mcp"},
        location="zone",
        location_types=(LocationRule(r"", LocationType.ZONE),),
        words={"service_native": Word("product"), "service": Word("product", SERVICES)},
        settable=LABELS if resolution == "5min" else {},
    )


def _dataset(
    key: str, market: Market, run: str, title: str, minutes: int, lag: timedelta, patience: timedelta, *feeds: Feed
) -> Dataset:
    return Dataset(
        key=key,
        iso=Iso.MISO,
        contract=ASM,
        title=title,
        market=market,
        run=run,
        feeds=feeds,
        intervals=(minutes,),
        first_day=OLDEST_EXAMPLE,
        lag=lag,
        patience=patience,
        rows_per_location_day=6 * 1440 / minutes,
        locations=8,
        source_url=DATA_EXCHANGE_URL,
    )


def _real_time(key: str, title: str, resolution: str, minutes: int) -> Dataset:
    report = _page(
        "real-time/{day}/asm-expost", resolution, minutes, "exante|day.ahead|summary", timeResolution=resolution
    )
    return _dataset(
        key,
        Market.REAL_TIME,
        "RT",
        title,
        minutes,
        FINAL_LAG,
        timedelta(days=5),
        Feed("api", (marked(report, "FINAL"),), credentials=PRICING, span_days_all=31),
        Feed("api_prelim", (marked(report, "PRELIM"),), credentials=PRICING, span_days_all=31, lag=NEXT_MORNING),
    )


DATASETS = (
    _dataset(
        "miso_asm",
        Market.DAY_AHEAD,
        "EXPOST",
        "day-ahead prices of ancillary services that settle (ex-post), by reserve zone",
        60,
        -timedelta(hours=34),
        timedelta(hours=12),
        Feed(
            "api",
            (_page("day-ahead/{day}/asm-expost", "hourly", 60, "exante|real.time|summary"),),
            credentials=PRICING,
            span_days_all=31,
        ),
    ),
    _real_time("miso_asm_rt60", "real-time hourly prices of ancillary services, by reserve zone", "hourly", 60),
    _real_time("miso_asm_rt5", "real-time five-minute prices of ancillary services, by reserve zone", "5min", 5),
)
