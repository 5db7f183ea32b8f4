"""Generation: the fuel mix of the dashboard, and forecasts of wind and sun in the version of every hour."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import MOST, PATH
from aurum_etl.adapters.ercot.prices import DOCUMENTS_SINCE, SOURCE_URL, feeds_of
from aurum_etl.clock import HourEnding, Instants
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

_LOAD_ZONES = ("LZ_SOUTH_HOUSTON", "LZ_WEST", "LZ_NORTH")
_WIND_REGIONS = ("Panhandle", "Coastal", "South", "West", "North")
_SOLAR_REGIONS = ("CenterWest", "NorthWest", "FarWest", "FarEast", "SouthEast", "CenterEast")
_PLACES = (
    LocationRule(r"^ERCOT$", LocationType.SYSTEM),
    LocationRule(r"^LZ_", LocationType.ZONE),
    LocationRule(r"", LocationType.REGION),
)
_WHOLE = {Iso.ERCOT.value: "SYSTEM_WIDE"}
_WIND, _SOLAR = ("Wind", FuelType.WIND, "STWPF", "WGRPP"), ("Solar", FuelType.SOLAR, "STPPF", "PVGRPP")
"""What the dashboard calls them, and what they are; their forecasts, which the names of columns begin with."""


def _forecasts(
    name: str, product: str, type_id: int, of: tuple[str, FuelType, str, str], places: Mapping[str, str]
) -> Report:
    """Each model of each place is a column: rows of their own. Actual values and limits beside them are not read.

    The place is what follows the name of the model.
    """
    native, fuel, *models = of
    columns = {f"{model}_{written}": (model, place) for model in models for place, written in places.items()}
    return Report(
        **forms.documents_of(
            name,
            product,
            type_id,
            {
                "DELIVERY_DATE": Published.WALL_CLOCK,
                "HOUR_ENDING": Published.WORD,
                **dict.fromkeys(columns, Published.NUMBER),
                "DSTFlag": Published.WORD,
            },
            **{forms.DATED: "yes", MOST: "1000"},
        ),
        clock=HourEnding("DELIVERY_DATE", "HOUR_ENDING", forms.ZONE, flag="DSTFlag", flagged=forms.FLAGGED),
        spread=Spread(
            "column",
            {column: {"mw": column} for column in columns},
            words={
                "model": {column: model for column, (model, _) in columns.items()},
                "place": {column: place for column, (_, place) in columns.items()},
            },
        ),
        location="place",
        location_types=_PLACES,
        values={"mw": "generation_mw"},
        words={"fuel_native": native, "fuel_type": fuel, "forecast_model": Word("model")},
        settable=forms.FLAG_MEANS,
    )


def _themselves(places: tuple[str, ...]) -> dict[str, str]:
    return {place: place for place in places}


# The whole stands beside the regions, too: it is read where the load zones are. Files by region have all columns of a file
# of the whole, and are tried first.
_REPORTS = (
    _forecasts("WPPHRLYACTFCSTGEONP4742", "NP4-742-CD", 14787, _WIND, _themselves(_WIND_REGIONS)),
    _forecasts("WPPHRLYAVGACTNP4732", "NP4-732-CD", 13028, _WIND, {**_WHOLE, **_themselves(_LOAD_ZONES)}),
    _forecasts("PVGRHRLYACTFCSTGEONP4745", "NP4-745-CD", 21809, _SOLAR, _themselves(_SOLAR_REGIONS)),
    _forecasts("PVGRHRLYAVGACTNP4737", "NP4-737-CD", 13483, _SOLAR, _WHOLE),
)

RENEWABLES = Dataset(
    key="ercot_renewable_forecast",
    iso=Iso.ERCOT,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and sun by zone and region, in the version of every hour",
    feeds=feeds_of(_REPORTS, kept_days=7),
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
