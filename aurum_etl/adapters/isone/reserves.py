"""Reserves and regulation: day-ahead ancillary services, and real-time prices by reserve zone."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.isone import forms, places
from aurum_etl.adapters.isone.prices import AFTER_A_BUSINESS_DAY, PRELIMINARY, RANKS
from aurum_etl.clock import Instants
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Feed, Published, Report, Revision, Spread, Word
from aurum_etl.market import Iso, Market, Service

SERVICES = {
    "TMSR": Service.SPINNING,
    "TMNSR": Service.NON_SPINNING,
    "TMOR": Service.THIRTY_MINUTE,
    # The requirement has the price, and the imbalance reserve that covers it the amount.
    "FER": Service.ENERGY_FORECAST,
    "EIR": Service.ENERGY_FORECAST,
    "RegCapacity": Service.REGULATION,
    # What is paid for movement.
    "RegService": Service.MILEAGE,
}
_SERVICE = "service"
_WORDS = {"service_native": Word(_SERVICE), "service": Word(_SERVICE, SERVICES)}
_VALUES = {"price": "price_mcp", "quantity": "quantity_mw"}


def _numbers(spread: Spread) -> dict[str, Published]:
    return {name: Published.NUMBER for group in spread.columns.values() for name in group.values()}


_DAY_AHEAD_SERVICES = Spread(
    _SERVICE,
    {
        **{
            name: {"price": f"{name.lower()}_clearing_price", "quantity": f"{name.lower()}_designation_mw"}
            for name in ("TMSR", "TMNSR", "TMOR")
        },
        "FER": {"price": "fer_clearing_price"},
        "EIR": {"quantity": "eir_designation_mw"},
    },
)
# Of the two times beside it, one is the day's midnight in every row.
_HOUR = "market_hour.local_day"

DAY_AHEAD = Dataset(
    key="isone_asm",
    iso=Iso.ISONE,
    contract=ASM,
    title="day-ahead ancillary services: hourly prices and designations of the system",
    market=Market.DAY_AHEAD,
    run=Market.DAY_AHEAD,
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="daasreservedata",
                    parameters={
                        "form": "service",
                        "path": "daasreservedata/day/{day:%Y%m%d}.json",
                        "rows": "isone_web_services.day_ahead_reserves.day_ahead_reserve",
                    },
                    clock=Instants(_HOUR, 60),
                    published={_HOUR: Published.INSTANT, **_numbers(_DAY_AHEAD_SERVICES)},
                    spread=_DAY_AHEAD_SERVICES,
                    values=_VALUES,
                    words=_WORDS,
                ),
            ),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2025, 3, 1),
    # About 12:57 Eastern the day before.
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=5 * 24,
    locations=1,
    source_url=forms.SERVICES_URL,
)

_BY_ZONE = Spread(
    _SERVICE,
    {
        name: {"price": f"{name.capitalize()}ClearingPrice", "quantity": f"{name.capitalize()}DesignatedMw"}
        for name in ("TMSR", "TMNSR", "TMOR")
    },
)


def _zonal(resource: str, word: str, minutes: int, mark: str = "") -> Report:
    return Report(
        name=resource,
        parameters={"form": "service", "path": f"{resource}/day/{{day:%Y%m%d}}.json", "rows": f"{word}s.{word}"},
        clock=Instants(forms.BEGIN, minutes),
        published={
            **forms.TIME,
            "ReserveZoneId": Published.WORD,
            "ReserveZoneName": Published.TEXT,
            **_numbers(_BY_ZONE),
        },
        spread=_BY_ZONE,
        location="ReserveZoneId",
        location_name="ReserveZoneName",
        location_types=Word("ReserveZoneId", places.RESERVE_ZONES),
        values=_VALUES,
        words=_WORDS,
        revision=Revision(RANKS, mark=mark) if mark else None,
    )


HOURLY = Dataset(
    key="isone_asm_rt60",
    iso=Iso.ISONE,
    contract=ASM,
    title="real-time hourly prices and designations of reserves by reserve zone, final or preliminary",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        Feed(
            "api",
            (_zonal("hourlyfinalreserveprice", "FinalHourlyReservePrice", 60, "FINAL"),),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
        Feed(
            "api_prelim",
            (_zonal("hourlyprelimreserveprice", "PrelimHourlyReservePrice", 60, "PRELIM"),),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
            lag=PRELIMINARY,
        ),
    ),
    intervals=(60,),
    first_day=date(2025, 10, 1),
    lag=AFTER_A_BUSINESS_DAY,
    patience=timedelta(days=5),
    rows_per_location_day=3 * 24,
    locations=4,
    source_url=forms.SERVICES_URL,
)

_REGULATION = Spread(
    _SERVICE,
    {
        "RegCapacity": {"price": "RegCapacityClearingPrice"},
        "RegService": {"price": "RegServiceClearingPrice"},
    },
)

FIVE_MINUTES = Dataset(
    key="isone_asm_rt5",
    iso=Iso.ISONE,
    contract=ASM,
    title="real-time five-minute prices of reserves by reserve zone, and of regulation",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        Feed(
            "api",
            (
                _zonal("fiveminutereserveprice", "FiveMinReservePrice", 5),
                Report(
                    name="fiveminutercp",
                    parameters={
                        "form": "service",
                        "path": "fiveminutercp/day/{day:%Y%m%d}.json",
                        "rows": "FiveMinRcps.FiveMinRcp",
                    },
                    # Up to 18 seconds late.
                    clock=Instants(forms.BEGIN, 5, marks="floored"),
                    published={**forms.TIME, **_numbers(_REGULATION)},
                    spread=_REGULATION,
                    values={"price": "price_mcp"},
                    words=_WORDS,
                ),
            ),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
    ),
    intervals=(5,),
    first_day=date(2025, 10, 3),
    lag=timedelta(hours=1),
    patience=timedelta(days=2),
    rows_per_location_day=3 * 288,
    locations=5,
    source_url=forms.SERVICES_URL,
)

DATASETS = (DAY_AHEAD, HOURLY, FIVE_MINUTES)
