"""Prices: day-ahead by the hour, real time by the quarter of an hour, and of every run of the dispatch."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import (
    BY_DAY,
    BY_STAMP,
    LABELED,
    MOST,
    NAMED,
    PAGE_ROWS,
    PATH,
    POSTED_FROM,
    POSTED_TO,
)
from aurum_etl.adapters.ercot.login import CREDENTIALS
from aurum_etl.clock import DeliveryInterval, HourEnding, WallClock
from aurum_etl.contracts import LMP
from aurum_etl.dataset import Belonging, Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LocationType, Market

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SOURCE_URL = "https://www.ercot.com/mp/data-products/data-product-details?id={}"
API_SINCE = date(2023, 12, 11)
"""About when the rows of the public API begin; documents reach further back."""
DOCUMENTS_SINCE = date(2020, 1, 1)
"""Documents are kept for seven years."""
ANY_NUMBER = 1000
"""A document is whole, whoever asks: the pipeline takes the named places out of it."""
DAY_BEFORE: Mapping[str, str] = {POSTED_FROM: "-24", POSTED_TO: "-12"}
"""Day-ahead results are posted at midday of the day before, or late."""

# Where nothing but the name tells what a settlement point is.
_NAMES = (
    LocationRule(r"^HB_", LocationType.HUB),
    LocationRule(r"^LZ_", LocationType.ZONE),
    LocationRule(r"^DC_", LocationType.INTERFACE),
    LocationRule(r"", LocationType.NODE),
)
TYPES = {
    "AH": LocationType.HUB,
    "HU": LocationType.HUB,
    "SH": LocationType.HUB,
    "LZ": LocationType.ZONE,
    "LZ_DC": LocationType.INTERFACE,
    "RN": LocationType.NODE,
    "PCCRN": LocationType.NODE,
    "LCCRN": LocationType.NODE,
    "PUN": LocationType.NODE,
}
_ENERGY_WEIGHTED = frozenset({"LZEW", "LZ_DCEW"})
_POINTS = 1_118


def _hours(day: str, hour: str) -> HourEnding:
    return HourEnding(day, hour, forms.ZONE, flag="DSTFlag", flagged=forms.FLAGGED)


def _shared(point: str, price: str) -> dict[str, Any]:
    return {
        "values": {price: "price_total"},
        "location": point,
        "location_types": _NAMES,
        "settable": forms.FLAG_MEANS,
    }


def rows_of(product: str, path: str, **how: str) -> dict[str, Any]:
    """What the reports of the public API's rows have in common."""
    path = f"{product.lower()}/{path}"
    return {"name": path, "parameters": {forms.FORM: forms.ROWS, forms.PRODUCT: product, PATH: path, **how}}


def feeds_of(
    documents: tuple[Report, ...],
    rows: tuple[Report, ...] = (),
    *,
    kept_days: int,
    span_days: int = 1,
    span_days_all: int = 1,
    named_limit: int = 0,
    rows_per_document: int | None = None,
) -> tuple[Feed, ...]:
    """MIS, which asks for no credentials and keeps little; rows of the public API, if they can be had; its archive."""
    any_number = ANY_NUMBER if named_limit else 0
    archive = Feed(
        "archive",
        documents,
        credentials=CREDENTIALS,
        named_limit=any_number,
        span_days=span_days,
        span_days_all=span_days_all,
    )
    mis = replace(archive, name="mis", credentials=(), kept_days=kept_days, rows_per_request=rows_per_document)
    api = replace(
        archive,
        name="api",
        reports=rows,
        named_limit=named_limit,
        since=API_SINCE,
        rows_per_request=PAGE_ROWS,
        bulk="archive",
    )
    return (mis, api, archive) if rows else (mis, archive)


_DAY_AHEAD = {
    "deliveryDate": Published.WALL_CLOCK,
    "hourEnding": Published.WORD,
    "settlementPoint": Published.WORD,
    "settlementPointPrice": Published.NUMBER,
    "DSTFlag": Published.WORD,
}
DAY_AHEAD = Dataset(
    key="ercot_lmp",
    iso=Iso.ERCOT,
    contract=LMP,
    title="day-ahead hourly settlement point prices",
    market=Market.DAY_AHEAD,
    run="DAM",
    feeds=feeds_of(
        (
            Report(
                **forms.documents_of("DAMSPNP4190", "NP4-190-CD", 12331, _DAY_AHEAD, **DAY_BEFORE, **{MOST: "500"}),
                clock=_hours("deliveryDate", "hourEnding"),
                **_shared("settlementPoint", "settlementPointPrice"),
            ),
        ),
        (
            Report(
                **rows_of("NP4-190-CD", "dam_stlmnt_pnt_prices", **{BY_DAY: "deliveryDate", NAMED: "settlementPoint"}),
                clock=_hours("deliveryDate", "hourEnding"),
                published=_DAY_AHEAD,
                **_shared("settlementPoint", "settlementPointPrice"),
            ),
        ),
        kept_days=30,
        span_days=31,
        span_days_all=7,
        named_limit=1,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=1_030,
    source_url=SOURCE_URL.format("NP4-190-CD"),
)


def _quarters(day: str, hour: str, interval: str) -> DeliveryInterval:
    return DeliveryInterval(_hours(day, hour), interval, 15)


def _quarter_hourly(point: str, kind: str, price: str) -> dict[str, Any]:
    return {
        "clock": _quarters("deliveryDate", "deliveryHour", "deliveryInterval"),
        "belonging": (Belonging(kind, frozenset(TYPES), _ENERGY_WEIGHTED),),
        **_shared(point, price),
        "location_types": Word(kind, TYPES),
    }


def _quarter_hourly_columns(point: str, kind: str, price: str) -> dict[str, Published]:
    return {
        "deliveryDate": Published.WALL_CLOCK,
        "deliveryHour": Published.WORD,
        "deliveryInterval": Published.WORD,
        point: Published.WORD,
        kind: Published.WORD,
        price: Published.NUMBER,
        "DSTFlag": Published.WORD,
    }


_OF_API = ("settlementPoint", "settlementPointType", "settlementPointPrice")
_OF_CSV = ("SettlementPointName", "SettlementPointType", "SettlementPointPrice")
REAL_TIME = Dataset(
    key="ercot_lmp_rt15",
    iso=Iso.ERCOT,
    contract=LMP,
    title="real-time settlement point prices, every fifteen minutes",
    market=Market.REAL_TIME,
    run="RTM",
    feeds=feeds_of(
        (
            Report(
                **forms.documents_of(
                    "SPPHLZNP6905",
                    "NP6-905-CD",
                    12301,
                    _quarter_hourly_columns(*_OF_CSV),
                    # A quarter of an hour may be posted again hours later.
                    **{POSTED_TO: "24", LABELED: "yes", MOST: "1000"},
                ),
                **_quarter_hourly(*_OF_CSV),
            ),
        ),
        (
            Report(
                **rows_of("NP6-905-CD", "spp_node_zone_hub", **{BY_DAY: "deliveryDate", NAMED: "settlementPoint"}),
                published=_quarter_hourly_columns(*_OF_API),
                **_quarter_hourly(*_OF_API),
            ),
        ),
        kept_days=7,
        span_days=7,
        span_days_all=1,
        named_limit=1,
        rows_per_document=_POINTS,
    ),
    intervals=(15,),
    first_day=DOCUMENTS_SINCE,
    lag=timedelta(minutes=30),
    patience=timedelta(hours=6),
    rows_per_location_day=96,
    locations=_POINTS,
    source_url=SOURCE_URL.format("NP6-905-CD"),
)


def _run(flag: str) -> dict[str, Any]:
    # Runs are some five minutes apart, to the second: they are instants.
    return {
        "clock": WallClock("SCEDTimestamp", 0, forms.ZONE, flag=flag, flagged=forms.FLAGGED),
        **_shared("settlementPoint", "LMP"),
    }


def _run_columns(flag: str) -> dict[str, Published]:
    return {
        "SCEDTimestamp": Published.WALL_CLOCK,
        flag: Published.WORD,
        "settlementPoint": Published.WORD,
        "LMP": Published.NUMBER,
    }


DISPATCH = Dataset(
    key="ercot_lmp_rt5",
    iso=Iso.ERCOT,
    contract=LMP,
    title="locational marginal prices of every run of the real-time dispatch (SCED), about every five minutes",
    market=Market.REAL_TIME,
    run="SCED",
    feeds=feeds_of(
        (
            Report(
                **forms.documents_of(
                    "LMPSROSNODENP6788",
                    "NP6-788-CD",
                    12300,
                    _run_columns("RepeatedHourFlag"),
                    **{POSTED_TO: "6", LABELED: "yes", MOST: "1000"},
                ),
                **_run("RepeatedHourFlag"),
            ),
        ),
        (
            Report(
                **rows_of("NP6-788-CD", "lmp_node_zone_hub", **{BY_STAMP: "SCEDTimestamp", NAMED: "settlementPoint"}),
                published=_run_columns("repeatHourFlag"),
                **_run("repeatHourFlag"),
            ),
        ),
        kept_days=5,
        span_days=7,
        span_days_all=1,
        named_limit=1,
        rows_per_document=_POINTS,
    ),
    intervals=(0,),
    first_day=DOCUMENTS_SINCE,
    lag=timedelta(minutes=30),
    patience=timedelta(hours=6),
    rows_per_location_day=288,
    locations=_POINTS,
    source_url=SOURCE_URL.format("NP6-788-CD"),
)

DATASETS = (DAY_AHEAD, REAL_TIME, DISPATCH)
