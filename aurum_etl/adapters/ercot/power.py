"""Generation: the fuel mix of the dashboard, and forecasts of wind and sun in the version of every hour."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import BY_STAMP, MOST, PATH
from aurum_etl.adapters.ercot.prices import DOCUMENTS_SINCE, SOURCE_URL, rows_of, three_feeds
from aurum_etl.clock import ByWallClock, HourEnding, Instants
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Spread, Word
from aurum_etl.market import FuelType, Iso, LocationType

if TYPE_CHECKING:
    from collections.abc import Mapping

FUELS = {
    "Coal and Lignite": FuelType.COAL,
    "Hydro": FuelType.HYDRO,
    "Natural Gas": FuelType.NATURAL_GAS,
    "Nuclear": FuelType.NUCLEAR,
    "Other": FuelType.OTHER,
    "Power Storage": FuelType.STORAGE,
    "Solar": FuelType.SOLAR,
    "Wind": FuelType.WIND,
}

GENERATION = Dataset(
    key="ercot_genmix",
    iso=Iso.ERCOT,
    contract=GENMIX,
    title="generation by fuel every five minutes, of yesterday and today",
    feeds=(
        Feed(
            "dashboard",
            (
                Report(
                    name="fuel-mix",
                    parameters={forms.FORM: forms.FUEL_MIX, PATH: "fuel-mix.json"},
                    clock=Instants("timestamp", 5, labels="end", marks="ceiled"),
                    published={"timestamp": Published.INSTANT, "fuel": Published.WORD, "gen": Published.NUMBER},
                    values={"gen": "generation_mw"},
                    words={"fuel_native": Word("fuel"), "fuel_type": Word("fuel", FUELS)},
                ),
            ),
            kept_days=1,
        ),
    ),
    intervals=(5,),
    first_day=date(2025, 10, 8),
    lag=timedelta(minutes=30),
    patience=timedelta(hours=12),
    rows_per_location_day=288 * len(FUELS),
    locations=1,
    source_url="https://www.ercot.com/gridmktinfo/dashboards/fuelmix",
)

# Load zones and regions, by what follows the name of the model: in json, and in csv.
_LOAD_ZONES = {
    "LZ_SOUTH_HOUSTON": ("LoadZoneSouthHouston", "_LZ_SOUTH_HOUSTON"),
    "LZ_WEST": ("LoadZoneWest", "_LZ_WEST"),
    "LZ_NORTH": ("LoadZoneNorth", "_LZ_NORTH"),
}
_SYSTEM = {Iso.ERCOT.value: ("SystemWide", "_SYSTEM_WIDE")}
_WIND_REGIONS = ("Panhandle", "Coastal", "South", "West", "North")
_SOLAR_REGIONS = ("CenterWest", "NorthWest", "FarWest", "FarEast", "SouthEast", "CenterEast")
_PLACES = (
    LocationRule(r"^ERCOT$", LocationType.SYSTEM),
    LocationRule(r"^LZ_", LocationType.ZONE),
    LocationRule(r"", LocationType.REGION),
)


def _both(
    product: str,
    path: str,
    name: str,
    type_id: int,
    fuel: tuple[str, FuelType],
    models: tuple[str, str],
    places: Mapping[str, tuple[str, str]],
) -> tuple[Report, Report]:
    """By the public API, and as a document."""
    return (
        Report(
            **rows_of(product, path, **{BY_STAMP: "postedDatetime"}),
            **_forecasts(
                fuel, models, {place: names[0] for place, names in places.items()}, "deliveryDate", "hourEnding"
            ),
            published={
                "postedDatetime": Published.WALL_CLOCK,
                **_columns(models, [names[0] for names in places.values()], "deliveryDate", "hourEnding"),
            },
            published_at=ByWallClock("postedDatetime", forms.ZONE),
        ),
        Report(
            **forms.documents_of(
                name,
                product,
                type_id,
                _columns(models, [names[1] for names in places.values()], "DELIVERY_DATE", "HOUR_ENDING"),
                **{forms.DATED: "yes", MOST: "1000"},
            ),
            **_forecasts(
                fuel, models, {place: names[1] for place, names in places.items()}, "DELIVERY_DATE", "HOUR_ENDING"
            ),
        ),
    )


def _columns(models: tuple[str, str], places: list[str], day: str, hour: str) -> dict[str, Published]:
    return {
        day: Published.WALL_CLOCK,
        hour: Published.WORD,
        **{f"{model}{place}": Published.NUMBER for model in models for place in places},
        "DSTFlag": Published.WORD,
    }


def _forecasts(
    fuel: tuple[str, FuelType], models: tuple[str, str], places: Mapping[str, str], day: str, hour: str
) -> dict[str, Any]:
    """Each model of each place is a column: rows of their own. Actual values and limits beside them are not read."""
    columns = {f"{model}{written}": (model, place) for model in models for place, written in places.items()}
    return {
        "clock": HourEnding(day, hour, forms.ZONE, flag="DSTFlag", flagged=forms.FLAGGED),
        "spread": Spread(
            "column",
            {column: {"mw": column} for column in columns},
            words={
                "model": {column: model for column, (model, _) in columns.items()},
                "place": {column: place for column, (_, place) in columns.items()},
            },
        ),
        "location": "place",
        "location_types": _PLACES,
        "values": {"mw": "generation_mw"},
        "words": {"fuel_native": fuel[0], "fuel_type": fuel[1], "forecast_model": Word("model")},
        "settable": forms.FLAG_MEANS,
    }


def _regions(names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """The whole stands beside them, as it does beside the load zones: it is read there."""
    return {name: (name, f"_{name}") for name in names}


_WIND, _SOLAR = ("Wind", FuelType.WIND), ("Solar", FuelType.SOLAR)
_OF_WIND, _OF_SOLAR = ("STWPF", "WGRPP"), ("STPPF", "PVGRPP")
# Files by region have all columns of those of the whole: they are tried first.
_REPORTS = (
    _both(
        "NP4-742-CD",
        "wpp_hrly_actual_fcast_geo",
        "WPPHRLYACTFCSTGEONP4742",
        14787,
        _WIND,
        _OF_WIND,
        _regions(_WIND_REGIONS),
    ),
    _both(
        "NP4-732-CD",
        "wpp_hrly_avrg_actl_fcast",
        "WPPHRLYAVGACTNP4732",
        13028,
        _WIND,
        _OF_WIND,
        {**_SYSTEM, **_LOAD_ZONES},
    ),
    _both(
        "NP4-745-CD",
        "spp_hrly_actual_fcast_geo",
        "SPPHRLYACTFCSTGEONP4745",
        21809,
        _SOLAR,
        _OF_SOLAR,
        _regions(_SOLAR_REGIONS),
    ),
    _both("NP4-737-CD", "spp_hrly_avrg_actl_fcast", "PVGRHRLYAVGACTNP4737", 13483, _SOLAR, _OF_SOLAR, _SYSTEM),
)

RENEWABLES = Dataset(
    key="ercot_renewable_forecast",
    iso=Iso.ERCOT,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and sun by zone and region, in the version of every hour",
    feeds=three_feeds(
        tuple(rows for rows, _ in _REPORTS),
        tuple(documents for _, documents in _REPORTS),
        kept_days=7,
        span_days=1,
        span_days_all=1,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=timedelta(minutes=30),
    patience=timedelta(hours=6),
    rows_per_location_day=24 * 216 * 2,
    locations=16,
    horizon=(timedelta(days=3), timedelta(days=8)),
    source_url=SOURCE_URL.format("NP4-732-CD"),
)

DATASETS = (GENERATION, RENEWABLES)
