"""Generation on the public displays: by fuel every five minutes, and the forecasts of wind and sun."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.miso import forms
from aurum_etl.adapters.miso.prices import LABELS
from aurum_etl.clock import ByWallClock, WallClock
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import FuelType, Iso

_SOURCE_URL = "https://www.misoenergy.org/markets-and-operations/real-time--market-data/real-time-displays/"

FUELS = {
    "Battery Storage": FuelType.STORAGE,
    "Coal": FuelType.COAL,
    "Imports": FuelType.IMPORTS,
    "Natural Gas": FuelType.NATURAL_GAS,
    "Nuclear": FuelType.NUCLEAR,
    "Other": FuelType.OTHER,
    "Solar": FuelType.SOLAR,
    "Wind": FuelType.WIND,
}

GENERATION = Dataset(
    key="miso_genmix",
    iso=Iso.MISO,
    contract=GENMIX,
    title="generation by fuel every five minutes, of yesterday and today",
    feeds=(
        Feed(
            "display",
            (
                Report(
                    name="FuelMix",
                    parameters={"form": "fuel_mix", "host": forms.PUBLIC, "path": "FuelMix/{display}"},
                    clock=WallClock("INTERVALEST", 5, forms.EST),
                    published={
                        "INTERVALEST": Published.WALL_CLOCK,
                        "CATEGORY": Published.WORD,
                        "ACT": Published.NUMBER,
                    },
                    values={"ACT": "generation_mw"},
                    words={"fuel_native": Word("CATEGORY"), "fuel_type": Word("CATEGORY", FUELS)},
                    settable=LABELS,
                ),
            ),
            kept_days=1,
        ),
    ),
    intervals=(5,),
    first_day=date(2026, 7, 27),
    lag=timedelta(hours=1),
    patience=timedelta(hours=12),
    rows_per_location_day=288 * len(FUELS),
    locations=1,
    source_url=_SOURCE_URL,
)


def _forecast(fuel: str, kind: FuelType) -> Report:
    name = f"get{fuel.lower()}forecast"
    return Report(
        name=name,
        parameters={
            "form": "forecast",
            "host": forms.PUBLIC,
            "path": f"WindSolar/{name}",
            "named": f"{fuel.lower()}_?forecast",
        },
        clock=forms.hourly("DateTimeEST"),
        published={
            "RefId": Published.WALL_CLOCK,
            "DateTimeEST": Published.WALL_CLOCK,
            "Value": Published.NUMBER,
        },
        values={"Value": "generation_mw"},
        words={"fuel_native": fuel, "fuel_type": kind, "forecast_model": name},
        published_at=ByWallClock("RefId", forms.EST),
    )


RENEWABLES = Dataset(
    key="miso_renewable_forecast",
    iso=Iso.MISO,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and solar generation for today and tomorrow, as they stand when asked for",
    feeds=(
        Feed(
            "display",
            (_forecast("Wind", FuelType.WIND), _forecast("Solar", FuelType.SOLAR)),
            kept_days=0,
            latest_only=True,
        ),
    ),
    intervals=(60,),
    first_day=date(2026, 7, 27),
    lag=timedelta(0),
    patience=timedelta(hours=12),
    rows_per_location_day=2 * 48,
    locations=1,
    source_url=_SOURCE_URL,
    horizon=(timedelta(days=1), timedelta(days=2)),
)

DATASETS = (GENERATION, RENEWABLES)
