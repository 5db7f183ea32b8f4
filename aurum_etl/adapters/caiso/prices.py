"""Prices of OASIS: day-ahead, hour-ahead, and the two of real time.

The column with the price is named differently by each report, and holds dollars per megawatt-hour whatever its name.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.caiso.oasis import GMT, SOURCE_URL
from aurum_etl.contracts import LMP
from aurum_etl.dataset import Belonging, Class, Components, Dataset, Feed, LocationRule, Published, Report
from aurum_etl.market import Iso, LocationType, Market

if TYPE_CHECKING:
    from collections.abc import Mapping

_RUNS = frozenset({"DAM", "RTPD", "RTM", "HASP", "RUC"})
_PRICE_NAMES = frozenset({"MW", "PRC", "VALUE"})
_AGGREGATES = Class("ALL_APNODES", frozenset({LocationType.HUB, LocationType.ZONE, LocationType.AGGREGATE}))
_LOCATIONS = (
    LocationRule(r"^TH_.*-APND$", LocationType.HUB),
    LocationRule(r"^(DLAP|SLAP|ELAP)_", LocationType.ZONE),
    LocationRule(r"-APND$", LocationType.AGGREGATE),
    LocationRule(r"", LocationType.NODE),
)


def _prices(name: str, run: str, price: str, parameters: Mapping[str, str]) -> Report:
    return Report(
        name=name,
        parameters=parameters,
        clock=GMT,
        published={
            GMT.start: Published.INSTANT,
            GMT.end: Published.INSTANT,
            "NODE": Published.WORD,
            "MARKET_RUN_ID": Published.WORD,
            "LMP_TYPE": Published.WORD,
            price: Published.NUMBER,
        },
        # Editions differ in how they call the price.
        aliases=dict.fromkeys(sorted(_PRICE_NAMES - {price}), price),
        belonging=(Belonging("MARKET_RUN_ID", frozenset({run}), _RUNS - {run}),),
        location="NODE",
        location_types=_LOCATIONS,
        components=Components(
            column="LMP_TYPE",
            value=price,
            into={
                "LMP": "price_total",
                "MCE": "price_energy",
                "MCC": "price_congestion",
                "MCL": "price_loss",
                # In day-ahead answers since the extended day-ahead market of May 2026; null before, never zero.
                "MGHG": "price_ghg",
            },
        ),
    )


LMP_DAY_AHEAD = Dataset(
    key="caiso_lmp",
    iso=Iso.CAISO,
    contract=LMP,
    title="day-ahead hourly locational marginal prices",
    market=Market.DAY_AHEAD,
    run="DAM",
    feeds=(
        Feed(
            "oasis",
            (_prices("PRC_LMP", "DAM", "MW", {"version": "12", "market_run_id": "DAM"}),),
            named_limit=10,
            span_days=31,
            bulk="group",
        ),
        # Made beforehand, so that a whole day comes sooner, and kept for years longer.
        Feed("group", (_prices("DAM_LMP_GRP", "DAM", "MW", {"version": "12"}),)),
    ),
    intervals=(60,),
    classes=(_AGGREGATES,),
    first_day=date(2023, 4, 1),
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=16_600,
    source_url=SOURCE_URL,
)


def _real_time(key: str, run: str, title: str, intervals: tuple[int, ...], report: Report, group: str) -> Dataset:
    (minutes,) = intervals
    bulk = _prices(group, report.parameters["market_run_id"], report.components.value, {"version": "3"})  # type: ignore[union-attr]
    return Dataset(
        key=key,
        iso=Iso.CAISO,
        contract=LMP,
        title=title,
        market=Market.REAL_TIME,
        run=run,
        feeds=(
            Feed("oasis", (report,), named_limit=10, span_days=31, bulk="group"),
            Feed("group", (bulk,)),
        ),
        intervals=intervals,
        classes=(_AGGREGATES,),
        first_day=date(2023, 4, 1),
        lag=timedelta(hours=1),
        patience=timedelta(hours=24),
        rows_per_location_day=1440 / minutes,
        locations=16_600,
        source_url=SOURCE_URL,
    )


LMP_HOUR_AHEAD = _real_time(
    "caiso_lmp_hasp",
    "HASP",
    "hour-ahead advisory prices in 15-minute intervals",
    (15,),
    _prices("PRC_HASP_LMP", "HASP", "MW", {"version": "3", "market_run_id": "HASP"}),
    "HASP_LMP_GRP",
)
LMP_FIFTEEN_MINUTES = _real_time(
    "caiso_lmp_rt15",
    "RTPD",
    "prices of the fifteen-minute market",
    (15,),
    _prices("PRC_RTPD_LMP", "RTPD", "PRC", {"version": "3", "market_run_id": "RTPD"}),
    "RTPD_LMP_GRP",
)
LMP_FIVE_MINUTES = _real_time(
    "caiso_lmp_rt5",
    "RTD",
    "prices of the five-minute dispatch",
    (5,),
    _prices("PRC_INTVL_LMP", "RTM", "VALUE", {"version": "3", "market_run_id": "RTM"}),
    "RTM_LMP_GRP",
)

DATASETS = (LMP_DAY_AHEAD, LMP_HOUR_AHEAD, LMP_FIFTEEN_MINUTES, LMP_FIVE_MINUTES)
HOURLY = frozenset(report.name for each in DATASETS[1:] for feed in each.feeds for report in feed.reports)
"""Reports that give all nodes one hour at a time."""
