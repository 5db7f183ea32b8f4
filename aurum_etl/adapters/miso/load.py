"""Load of the Data Exchange: actual by region and by local resource zone, and its forecast in every version."""

from __future__ import annotations

from datetime import timedelta

from aurum_etl.adapters.miso import forms
from aurum_etl.adapters.miso.prices import DATA_EXCHANGE_URL, NEXT_MORNING, OLDEST_EXAMPLE, of_resolution
from aurum_etl.clock import ByWallClock
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report
from aurum_etl.market import Iso, LoadType, LocationType

LOAD_GENERATION_INTERCHANGE = ("MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY",)
AHEAD_DAYS = 6
"""Days that one version of the load forecast is about: its own, and five more."""

_REGIONS = (
    LocationRule(r"^MISO$", LocationType.SYSTEM),
    LocationRule(r"", LocationType.REGION),
)
_ZONES = (LocationRule(r"", LocationType.ZONE),)


def _actual(column: str, types: tuple[LocationRule, ...]) -> Report:
    return Report(
        name=f"demand_actual_{column}",
        parameters={
            "form": "page",
            "host": forms.API,
            "path": "lgi/v1/real-time/{day}/demand/actual",
            "?geoResolution": column,
            "?timeResolution": "hourly",
        },
        clock=forms.hourly(),
        published={**forms.DATA_EXCHANGE_TIMES, column: Published.WORD, "load": Published.NUMBER},
        belonging=(of_resolution("hourly"),),
        values={"load": "load_mw"},
        location=column,
        location_types=types,
        words={"load_type": LoadType.SYSTEM, "load_native": "load"},
    )


LOAD_ACTUAL = Dataset(
    key="miso_load",
    iso=Iso.MISO,
    contract=LOAD,
    title="actual hourly load, by region and by local resource zone",
    feeds=(
        Feed(
            "api",
            (_actual("region", _REGIONS), _actual("localResourceZone", _ZONES)),
            credentials=LOAD_GENERATION_INTERCHANGE,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=OLDEST_EXAMPLE,
    lag=timedelta(hours=2),
    patience=timedelta(hours=24),
    rows_per_location_day=24,
    locations=13,
    source_url=DATA_EXCHANGE_URL,
)

FORECAST = Dataset(
    key="miso_load_forecast",
    iso=Iso.MISO,
    contract=LOAD_FORECAST,
    title="hourly load forecast by local resource zone, in the version of each day",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="forecast_load",
                    parameters={
                        "form": "page",
                        "host": forms.API,
                        "path": "lgi/v1/forecast/{target}/load",
                        "?init": "{day}",
                        "?timeResolution": "hourly",
                    },
                    clock=forms.hourly(),
                    published={
                        **forms.DATA_EXCHANGE_TIMES,
                        "localResourceZone": Published.WORD,
                        "loadForecast": Published.NUMBER,
                        "init": Published.WALL_CLOCK,
                    },
                    belonging=(of_resolution("hourly"),),
                    values={"loadForecast": "load_mw"},
                    location="localResourceZone",
                    location_types=_ZONES,
                    words={"forecast_model": "loadForecast"},
                    published_at=ByWallClock("init", forms.EST),
                ),
            ),
            credentials=LOAD_GENERATION_INTERCHANGE,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=OLDEST_EXAMPLE,
    lag=NEXT_MORNING,
    patience=timedelta(hours=24),
    rows_per_location_day=24 * AHEAD_DAYS,
    locations=10,
    source_url=DATA_EXCHANGE_URL,
    horizon=(timedelta(0), timedelta(days=AHEAD_DAYS)),
)

DATASETS = (LOAD_ACTUAL, FORECAST)
