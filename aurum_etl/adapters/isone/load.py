"""Load: of the system and of its zones, and what was forecast, in every vintage."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.isone import forms, places
from aurum_etl.clock import ByInstant, Instants
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Dataset, Feed, Published, Report, Spread, Word
from aurum_etl.market import Iso, LoadType

if TYPE_CHECKING:
    from collections.abc import Mapping

# An answer is whole, whoever asks: the pipeline takes the named locations out of it.
_ANY_NUMBER = 10
_MEASURE = "measure"
_LOCATED = {forms.PLACE_ID: Published.WORD, forms.PLACE_NAME: Published.TEXT}


def _system(resource: str, rows: str, minutes: int, measures: Mapping[str, LoadType], *, located: bool) -> Report:
    """Several measures side by side, which are rows of their own under their published names."""
    return Report(
        name=resource,
        parameters={"form": "service", "path": f"{resource}/day/{{day:%Y%m%d}}.json", "rows": rows},
        clock=Instants(forms.BEGIN, minutes),
        published={
            **forms.TIME,
            **(_LOCATED if located else {}),
            **dict.fromkeys(measures, Published.NUMBER),
        },
        spread=Spread(_MEASURE, {name: {"mw": name} for name in measures}),
        location=forms.PLACE_ID if located else "",
        location_name=forms.PLACE_NAME if located else "",
        location_types=Word(forms.PLACE_ID, places.LOADS) if located else (),
        values={"mw": "load_mw"},
        words={"load_native": Word(_MEASURE), "load_type": Word(_MEASURE, measures)},
    )


def _demand(resource: str, word: str, kind: LoadType) -> Report:
    return Report(
        name=resource,
        parameters={"form": "service", "path": f"{resource}/day/{{day:%Y%m%d}}.json", "rows": f"{word}s.{word}"},
        clock=Instants(forms.BEGIN, 60),
        published={**forms.TIME, **_LOCATED, "Load": Published.NUMBER},
        location=forms.PLACE_ID,
        location_name=forms.PLACE_NAME,
        location_types=Word(forms.PLACE_ID, places.LOADS),
        values={"Load": "load_mw"},
        # Load of the system has a column of the same name.
        words={"load_native": word, "load_type": kind},
    )


HOURLY = Dataset(
    key="isone_load",
    iso=Iso.ISONE,
    contract=LOAD,
    title="hourly load of the system, and demand by load zone, day-ahead and real time",
    feeds=(
        Feed(
            "api",
            (
                _system(
                    "hourlysysload",
                    "HourlySystemLoads.HourlySystemLoad",
                    60,
                    {"Load": LoadType.SYSTEM, "NativeLoad": LoadType.NATIVE, "ArdDemand": LoadType.STORAGE},
                    located=True,
                ),
                _demand("realtimehourlydemand", "HourlyRtDemand", LoadType.REAL_TIME_DEMAND),
                _demand("dayaheadhourlydemand", "HourlyDaDemand", LoadType.DAY_AHEAD_DEMAND),
            ),
            credentials=forms.CREDENTIALS,
            named_limit=_ANY_NUMBER,
            span_days=31,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2024, 3, 9),
    # Real-time demand has been seen five days late.
    lag=timedelta(days=5),
    patience=timedelta(days=5),
    # Demand of both markets, and three measures of the system alone.
    rows_per_location_day=56,
    locations=9,
    source_url=forms.SERVICES_URL,
)

FIVE_MINUTES = Dataset(
    key="isone_load_rt5",
    iso=Iso.ISONE,
    contract=LOAD,
    title="five-minute load of the system, also as it would be without generation behind the meter",
    feeds=(
        Feed(
            "api",
            (
                _system(
                    "fiveminutesystemload",
                    "FiveMinSystemLoads.FiveMinSystemLoad",
                    5,
                    {
                        "LoadMw": LoadType.SYSTEM,
                        "NativeLoad": LoadType.NATIVE,
                        "ArdDemand": LoadType.STORAGE,
                        "SystemLoadBtmPv": LoadType.SYSTEM_BTM,
                        "NativeLoadBtmPv": LoadType.NATIVE_BTM,
                    },
                    located=False,
                ),
            ),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
    ),
    intervals=(5,),
    first_day=date(2026, 7, 27),
    lag=timedelta(minutes=30),
    patience=timedelta(hours=12),
    rows_per_location_day=5 * 288,
    locations=1,
    source_url=forms.SERVICES_URL,
)

_VINTAGE = {"CreationDate": Published.INSTANT, "LoadMw": Published.NUMBER}

FORECAST = Dataset(
    key="isone_load_forecast",
    iso=Iso.ISONE,
    contract=LOAD_FORECAST,
    title="hourly load forecasts of the system and of its load zones, in every vintage",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="hourlyloadforecast",
                    parameters={
                        "form": "service",
                        "path": "hourlyloadforecast/all/day/{day:%Y%m%d}.json",
                        "rows": "HourlyLoadForecasts.HourlyLoadForecast",
                    },
                    clock=Instants(forms.BEGIN, 60),
                    published={**forms.TIME, **_VINTAGE},
                    values={"LoadMw": "load_mw"},
                    words={"forecast_model": "hourlyloadforecast"},
                    published_at=ByInstant("CreationDate"),
                ),
                Report(
                    name="reliabilityregionloadforecast",
                    parameters={
                        "form": "service",
                        "path": "reliabilityregionloadforecast/day/{day:%Y%m%d}/all.json",
                        "rows": "ReliabilityRegionLoadForecasts.ReliabilityRegionLoadForecast",
                    },
                    clock=Instants(forms.BEGIN, 60),
                    published={**forms.TIME, **_VINTAGE, "ReliabilityRegion": Published.WORD},
                    location="ReliabilityRegion",
                    location_types=Word("ReliabilityRegion", places.ZONE_NAMES),
                    values={"LoadMw": "load_mw"},
                    words={"forecast_model": "reliabilityregionloadforecast"},
                    published_at=ByInstant("CreationDate"),
                ),
            ),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2023, 5, 1),
    # A day can be asked for once its eve's vintages are there, about 10:00 Eastern; later ones come until its end.
    lag=-timedelta(hours=38),
    patience=timedelta(hours=36),
    rows_per_location_day=7 * 24,
    locations=9,
    source_url=forms.SERVICES_URL,
)

DATASETS = (HOURLY, FIVE_MINUTES, FORECAST)
