"""Generation: what it is made from, and what wind and sun are expected to bring."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.isone import forms
from aurum_etl.clock import ByInstant, HourEnding, Instants
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import FuelType, Iso

FUELS = {
    "Batteries": FuelType.STORAGE,
    "Coal": FuelType.COAL,
    "Hydro": FuelType.HYDRO,
    "Landfill Gas": FuelType.BIOGAS,
    "Natural Gas": FuelType.NATURAL_GAS,
    "Nuclear": FuelType.NUCLEAR,
    "Oil": FuelType.OIL,
    "Other": FuelType.OTHER,
    "Refuse": FuelType.WASTE,
    "Solar": FuelType.SOLAR,
    "Wind": FuelType.WIND,
    "Wood": FuelType.BIOMASS,
}

GENERATION = Dataset(
    key="isone_genmix",
    iso=Iso.ISONE,
    contract=GENMIX,
    title="generation by fuel, in snapshots some minutes apart",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="genfuelmix",
                    parameters={
                        "form": "service",
                        "path": "genfuelmix/day/{day:%Y%m%d}.json",
                        "rows": "GenFuelMixes.GenFuelMix",
                    },
                    # From 3 seconds to 17 minutes apart: an instant and no interval.
                    clock=Instants(forms.BEGIN, 0),
                    published={**forms.TIME, "FuelCategory": Published.WORD, "GenMw": Published.NUMBER},
                    values={"GenMw": "generation_mw"},
                    words={"fuel_native": Word("FuelCategory"), "fuel_type": Word("FuelCategory", FUELS)},
                ),
            ),
            credentials=forms.CREDENTIALS,
            span_days_all=31,
        ),
    ),
    intervals=(0,),
    first_day=date(2024, 1, 1),
    lag=timedelta(minutes=30),
    patience=timedelta(hours=12),
    rows_per_location_day=2_100,
    locations=1,
    source_url=forms.SERVICES_URL,
)


def _week_ahead(name: str, fuel: str, kind: FuelType) -> Report:
    """The dates stand above their columns, and the instant above the whole: here both are columns."""
    return Report(
        name=name,
        parameters={
            "form": "week_ahead",
            "host": forms.WWW,
            "path": f"transform/csv/{name}",
            "?start": "{day:%Y%m%d}",
            "title": f"Seven Day {fuel} Power Forecast",
        },
        clock=HourEnding("Date", "Hour Ending", Iso.ISONE.timezone, repeated="X"),
        published={
            "Date": Published.WALL_CLOCK,
            "Hour Ending": Published.WORD,
            "MW": Published.NUMBER,
            forms.GENERATED: Published.INSTANT,
        },
        values={"MW": "generation_mw"},
        words={"fuel_type": kind, "fuel_native": fuel, "forecast_model": name},
        published_at=ByInstant(forms.GENERATED),
    )


RENEWABLES = Dataset(
    key="isone_renewable_forecast",
    iso=Iso.ISONE,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and solar generation for the next seven days, made every morning",
    feeds=(
        Feed(
            "csv",
            (_week_ahead("wphf", "Wind", FuelType.WIND), _week_ahead("sphf", "Solar", FuelType.SOLAR)),
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2025, 2, 25),
    # About 10:00 Eastern.
    lag=-timedelta(hours=13),
    patience=timedelta(hours=24),
    rows_per_location_day=2 * 168,
    locations=1,
    # The first hour is the one in which it is made.
    horizon=(timedelta(hours=1), timedelta(days=8)),
    source_url=forms.REPORTS_URL,
)

DATASETS = (GENERATION, RENEWABLES)
