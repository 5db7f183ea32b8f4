"""Load: actual by weather zone and by forecast zone, and forecast eight days ahead in the version of every hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import BY_DAY, MOST, POSTED_FROM, POSTED_TO
from aurum_etl.adapters.ercot.prices import DOCUMENTS_SINCE, SOURCE_URL, feeds_of, rows_of
from aurum_etl.clock import HourEnding
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Dataset, LocationRule, Published, Report, Spread, Word
from aurum_etl.market import Iso, LoadType, LocationType

if TYPE_CHECKING:
    from collections.abc import Mapping

ZONES = (LocationRule(r"^ERCOT$", LocationType.SYSTEM), LocationRule(r"", LocationType.ZONE))
# As the csv files have them; in json they have no underscore.
_WEATHER_ZONES = ("COAST", "EAST", "FAR_WEST", "NORTH", "NORTH_C", "SOUTHERN", "SOUTH_C", "WEST")
_FORECAST_ZONES = ("NORTH", "SOUTH", "WEST", "HOUSTON")


def _side_by_side(zones: tuple[str, ...], total: str) -> Spread:
    """Zones, and the whole, which no column names as a place."""
    return Spread("zone", {**{zone: {"mw": zone} for zone in zones}, Iso.ERCOT.value: {"mw": total}})


def _spread(zones: tuple[str, ...], total: str, day: str, hour: str = "HourEnding") -> dict[str, Any]:
    return {
        "clock": HourEnding(day, hour, forms.ZONE, flag="DSTFlag", flagged=forms.FLAGGED),
        "spread": _side_by_side(zones, total),
        "location": "zone",
        "location_types": ZONES,
        "values": {"mw": "load_mw"},
        "settable": forms.FLAG_MEANS,
    }


def _columns(zones: tuple[str, ...], total: str, day: str) -> dict[str, Published]:
    return {
        day: Published.WALL_CLOCK,
        "HourEnding": Published.WORD,
        **dict.fromkeys((*zones, total), Published.NUMBER),
        "DSTFlag": Published.WORD,
    }


def _actual(product: str, path: str, name: str, type_id: int, zones: tuple[str, ...]) -> tuple[Report, Report]:
    """By the public API, and as a document."""
    words: Mapping[str, str | Word] = {"load_type": LoadType.SYSTEM, "load_native": path}
    return (
        Report(
            **rows_of(product, path, **{BY_DAY: "operatingDay"}),
            published=_columns(zones, "TOTAL", "operatingDay"),
            **_spread(zones, "TOTAL", "operatingDay"),
            words=words,
        ),
        Report(
            **forms.documents_of(
                name,
                product,
                type_id,
                _columns(zones, "TOTAL", "OperDay"),
                # A day is posted at 05:50 of the next.
                **{POSTED_FROM: "24", POSTED_TO: "48", MOST: "1000"},
            ),
            **_spread(zones, "TOTAL", "OperDay"),
            words=words,
        ),
    )


_BY_WEATHER_ZONE = _actual("NP6-345-CD", "act_sys_load_by_wzn", "ACTUALSYSLOADWZNP6345", 13101, _WEATHER_ZONES)
_BY_FORECAST_ZONE = _actual("NP6-346-CD", "act_sys_load_by_fzn", "ACTUALSYSLOADFZNP6346", 14836, _FORECAST_ZONES)

ACTUAL = Dataset(
    key="ercot_load",
    iso=Iso.ERCOT,
    contract=LOAD,
    title="actual hourly load, by weather zone and by forecast zone",
    feeds=feeds_of(
        (_BY_WEATHER_ZONE[1], _BY_FORECAST_ZONE[1]),
        (_BY_WEATHER_ZONE[0], _BY_FORECAST_ZONE[0]),
        kept_days=31,
        span_days=31,
        span_days_all=31,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=timedelta(hours=7),
    patience=timedelta(hours=48),
    rows_per_location_day=24,
    locations=14,
    source_url=SOURCE_URL.format("NP6-345-CD"),
)

_FORECAST_WEATHER_ZONES = (
    "Coast",
    "East",
    "FarWest",
    "North",
    "NorthCentral",
    "SouthCentral",
    "Southern",
    "West",
)
_FORECAST_FORECAST_ZONES = ("North", "South", "West", "Houston")


def _forecast(name: str, product: str, type_id: int, zones: tuple[str, ...], model: str | Word, **how: str) -> Report:
    columns = _columns(zones, "SystemTotal", "DeliveryDate")
    if isinstance(model, Word):
        columns[model.column] = Published.WORD
    return Report(
        **forms.documents_of(name, product, type_id, columns, **{forms.DATED: "yes", MOST: "1000"}, **how),
        **_spread(zones, "SystemTotal", "DeliveryDate"),
        words={"forecast_model": model},
    )


FORECAST = Dataset(
    key="ercot_load_forecast",
    iso=Iso.ERCOT,
    contract=LOAD_FORECAST,
    title="hourly load forecasts of eight days, by zone and by model, in the version of every hour",
    feeds=feeds_of(
        (
            # A file of many models has all columns of one without: it is tried first.
            _forecast("LFCMODWEATHERNP3565", "NP3-565-CD", 14837, _FORECAST_WEATHER_ZONES, Word("Model")),
            _forecast("LFCWEATHERNP3561", "NP3-561-CD", 12312, _FORECAST_WEATHER_ZONES, "NP3-561-CD"),
            # Since 2025 the repeated hour has the label of the hour after it.
            _forecast(
                "LFCCONGESTNP3560",
                "NP3-560-CD",
                12311,
                _FORECAST_FORECAST_ZONES,
                "NP3-560-CD",
                **{forms.MISLABELED: "yes"},
            ),
        ),
        kept_days=7,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=timedelta(minutes=30),
    patience=timedelta(hours=6),
    # Twenty-four versions of eight days; of the weather zones in each of about eight models.
    rows_per_location_day=24 * 192 * 6,
    locations=14,
    horizon=(timedelta(days=1), timedelta(days=8)),
    source_url=SOURCE_URL.format("NP3-565-CD"),
)

DATASETS = (ACTUAL, FORECAST)
