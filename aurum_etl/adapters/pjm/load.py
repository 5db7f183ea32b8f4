"""Load of Data Miner: metered, instantaneous, and forecast seven days ahead."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.pjm.dataminer import (
    AHEAD_DAYS,
    BEGINNING,
    BY_HOUR,
    CREDENTIALS,
    FILTER,
    HOURLY,
    PAGE_ROWS,
    SOURCE_URL,
    TIME,
    ZONE,
)
from aurum_etl.clock import ByInstant, Instants
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report
from aurum_etl.market import Iso, LoadType, LocationType

METERED = Dataset(
    key="pjm_load",
    iso=Iso.PJM,
    contract=LOAD,
    title="metered hourly load by area, and of the whole",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="hrl_load_metered",
                    parameters=BY_HOUR,
                    clock=HOURLY,
                    published={**TIME, "load_area": Published.WORD, "mw": Published.NUMBER},
                    location="load_area",
                    # The whole stands among its parts; areas are finer than zones.
                    location_types=(LocationRule(r"^RTO$", LocationType.SYSTEM), LocationRule(r"", LocationType.ZONE)),
                    values={"mw": "load_mw"},
                    words={"load_type": LoadType.METERED, "load_native": "hrl_load_metered"},
                ),
            ),
            credentials=CREDENTIALS,
            span_days_all=31,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    first_day=date(2019, 1, 1),
    lag=timedelta(hours=40),
    patience=timedelta(days=7),
    rows_per_location_day=24,
    locations=30,
    source_url=SOURCE_URL.format("hrl_load_metered"),
)

INSTANTANEOUS = Dataset(
    key="pjm_load_rt5",
    iso=Iso.PJM,
    contract=LOAD,
    title="instantaneous load by area, about every five minutes",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="inst_load",
                    parameters=BY_HOUR,
                    # Samples are some seconds off the mark, and sometimes ten minutes apart: they are instants.
                    clock=Instants(BEGINNING, 0),
                    published={**TIME, "area": Published.WORD, "instantaneous_load": Published.NUMBER},
                    location="area",
                    location_types=(
                        LocationRule(r"^PJM RTO$", LocationType.SYSTEM),
                        LocationRule(r" REGION$", LocationType.REGION),
                        LocationRule(r"", LocationType.ZONE),
                    ),
                    values={"instantaneous_load": "load_mw"},
                    words={"load_type": LoadType.INSTANTANEOUS, "load_native": "instantaneous_load"},
                ),
            ),
            credentials=CREDENTIALS,
            kept_days=30,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(0,),
    first_day=date(2019, 1, 1),
    lag=timedelta(minutes=15),
    patience=timedelta(hours=6),
    rows_per_location_day=288,
    locations=24,
    source_url=SOURCE_URL.format("inst_load"),
)

_AREAS = (
    LocationRule(r"^RTO(_COMBINED)?$", LocationType.SYSTEM),
    LocationRule(r"_REGION$", LocationType.REGION),
    LocationRule(r"", LocationType.ZONE),
)

FORECAST = Dataset(
    key="pjm_load_forecast",
    iso=Iso.PJM,
    contract=LOAD_FORECAST,
    title="load forecasts of the next seven days, with the times at which they were made",
    feeds=(
        Feed(
            "newest",
            (
                Report(
                    name="load_frcstd_7_day",
                    clock=Instants("forecast_datetime_beginning_utc", 60),
                    published={
                        "evaluated_at_datetime_utc": Published.UTC,
                        "forecast_datetime_beginning_utc": Published.UTC,
                        "forecast_area": Published.WORD,
                        "forecast_load_mw": Published.NUMBER,
                    },
                    location="forecast_area",
                    location_types=_AREAS,
                    values={"forecast_load_mw": "load_mw"},
                    words={"forecast_model": "load_frcstd_7_day"},
                    published_at=ByInstant("evaluated_at_datetime_utc"),
                ),
            ),
            credentials=CREDENTIALS,
            latest_only=True,
            rows_per_request=PAGE_ROWS,
        ),
        Feed(
            "history",
            (
                Report(
                    name="load_frcstd_hist",
                    parameters={FILTER: "forecast_hour_beginning_ept", ZONE: Iso.PJM.timezone, AHEAD_DAYS: "8"},
                    clock=Instants("forecast_hour_beginning_utc", 60),
                    published={
                        "evaluated_at_utc": Published.UTC,
                        "forecast_hour_beginning_utc": Published.UTC,
                        "forecast_area": Published.WORD,
                        "forecast_load_mw": Published.NUMBER,
                    },
                    location="forecast_area",
                    location_types=_AREAS,
                    values={"forecast_load_mw": "load_mw"},
                    # The same forecasts, fewer of them.
                    words={"forecast_model": "load_frcstd_7_day"},
                    published_at=ByInstant("evaluated_at_utc"),
                ),
            ),
            credentials=CREDENTIALS,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    first_day=date(2019, 1, 1),
    lag=timedelta(hours=1),
    patience=timedelta(hours=12),
    rows_per_location_day=4 * 168,
    locations=30,
    horizon=(timedelta(days=1), timedelta(days=8)),
    source_url=SOURCE_URL.format("load_frcstd_7_day"),
)

DATASETS = (METERED, INSTANTANEOUS, FORECAST)
