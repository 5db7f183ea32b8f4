"""Ancillary services: clearing prices for capacity, day-ahead and real time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import BY_DAY, MOST, POSTED_TO
from aurum_etl.adapters.ercot.prices import DAY_BEFORE, DOCUMENTS_SINCE, SOURCE_URL, rows_of, three_feeds
from aurum_etl.clock import DeliveryInterval, HourEnding
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Published, Report, Word
from aurum_etl.market import Iso, Market, Service

SERVICES = {
    "REGUP": Service.REGULATION_UP,
    "REGDN": Service.REGULATION_DOWN,
    "RRS": Service.RESPONSIVE,
    "NSPIN": Service.NON_SPINNING,
    "ECRS": Service.CONTINGENCY,
}


def _priced(service: str) -> dict[str, Any]:
    return {
        "values": {"MCPC": "price_mcp"},
        "words": {"service_native": Word(service), "service": Word(service, SERVICES)},
        "settable": forms.FLAG_MEANS,
    }


def _hours(hour: str, flag: str) -> HourEnding:
    return HourEnding("deliveryDate", hour, forms.ZONE, flag=flag, flagged=forms.FLAGGED)


_HOURLY = {
    "deliveryDate": Published.WALL_CLOCK,
    "hourEnding": Published.WORD,
    "ancillaryType": Published.WORD,
    "MCPC": Published.NUMBER,
    "DSTFlag": Published.WORD,
}
DAY_AHEAD = Dataset(
    key="ercot_asm",
    iso=Iso.ERCOT,
    contract=ASM,
    title="day-ahead hourly clearing prices of ancillary services",
    market=Market.DAY_AHEAD,
    run="DAM",
    feeds=three_feeds(
        (
            Report(
                **rows_of("NP4-188-CD", "dam_clear_price_for_cap", **{BY_DAY: "deliveryDate"}),
                clock=_hours("hourEnding", "DSTFlag"),
                published=_HOURLY,
                **_priced("ancillaryType"),
            ),
        ),
        (
            Report(
                **forms.documents_of("DAMCPCNP4188", "NP4-188-CD", 12329, _HOURLY, **DAY_BEFORE, **{MOST: "1000"}),
                clock=_hours("hourEnding", "DSTFlag"),
                **_priced("ancillaryType"),
            ),
        ),
        kept_days=30,
        span_days=31,
        span_days_all=31,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24 * len(SERVICES),
    locations=1,
    source_url=SOURCE_URL.format("NP4-188-CD"),
)


def _quarter_hourly(interval: str, flag: str) -> dict[str, Published]:
    return {
        "deliveryDate": Published.WALL_CLOCK,
        "deliveryHour": Published.WORD,
        interval: Published.WORD,
        flag: Published.WORD,
        "ASType": Published.WORD,
        "MCPC": Published.NUMBER,
    }


REAL_TIME = Dataset(
    key="ercot_asm_rt15",
    iso=Iso.ERCOT,
    contract=ASM,
    title="real-time clearing prices of ancillary services, every fifteen minutes since December 2025",
    market=Market.REAL_TIME,
    run="RTM",
    feeds=three_feeds(
        (
            Report(
                **rows_of("NP6-331-CD", "rt_clear_price_cap", **{BY_DAY: "deliveryDate"}),
                clock=DeliveryInterval(_hours("deliveryHour", "repeatHourFlag"), "deliveryInt", 15),
                published=_quarter_hourly("deliveryInt", "repeatHourFlag"),
                **_priced("ASType"),
            ),
        ),
        (
            Report(
                **forms.documents_of(
                    "RTCPCNP6331",
                    "NP6-331-CD",
                    24898,
                    _quarter_hourly("DeliveryInterval", "RepeatedHourFlag"),
                    **{POSTED_TO: "24", MOST: "365"},
                ),
                clock=DeliveryInterval(_hours("deliveryHour", "RepeatedHourFlag"), "DeliveryInterval", 15),
                **_priced("ASType"),
            ),
        ),
        kept_days=7,
        span_days=1,
        span_days_all=1,
        rows_per_document=len(SERVICES),
    ),
    intervals=(15,),
    first_day=date(2025, 12, 5),
    lag=timedelta(minutes=30),
    patience=timedelta(hours=6),
    rows_per_location_day=96 * len(SERVICES),
    locations=1,
    source_url=SOURCE_URL.format("NP6-331-CD"),
)

DATASETS = (DAY_AHEAD, REAL_TIME)
