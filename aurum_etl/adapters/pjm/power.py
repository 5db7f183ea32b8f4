"""Generation of Data Miner: the fuel mix, and forecasts of wind and sun with their versions."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.pjm.dataminer import BY_HOUR, CREDENTIALS, FILTER, HOURLY, PAGE_ROWS, SOURCE_URL, TIME, ZONE
from aurum_etl.clock import ByInstant
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Dataset, Feed, Published, Report, Spread, Word
from aurum_etl.market import FuelType, Iso

FUELS = {
    "Coal": FuelType.COAL,
    "Gas": FuelType.NATURAL_GAS,
    "Hydro": FuelType.HYDRO,
    "Multiple Fuels": FuelType.MULTIPLE,
    "Nuclear": FuelType.NUCLEAR,
    "Oil": FuelType.OIL,
    "Other": FuelType.OTHER,
    "Other Renewables": FuelType.OTHER_RENEWABLES,
    "Solar": FuelType.SOLAR,
    "Storage": FuelType.STORAGE,
    "Wind": FuelType.WIND,
}

GENERATION = Dataset(
    key="pjm_genmix",
    iso=Iso.PJM,
    contract=GENMIX,
    title="hourly generation by fuel",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="gen_by_fuel",
                    parameters=BY_HOUR,
                    clock=HOURLY,
                    published={**TIME, "fuel_type": Published.WORD, "mw": Published.NUMBER},
                    values={"mw": "generation_mw"},
                    words={"fuel_native": Word("fuel_type"), "fuel_type": Word("fuel_type", FUELS)},
                ),
            ),
            credentials=CREDENTIALS,
            span_days_all=31,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    first_day=date(2016, 1, 1),
    lag=timedelta(hours=2),
    patience=timedelta(hours=24),
    rows_per_location_day=24 * len(FUELS),
    locations=1,
    source_url=SOURCE_URL.format("gen_by_fuel"),
)


def _forecast(name: str, fuel: FuelType, *columns: str) -> Report:
    """Behind the meter stands beside what is metered: rows of their own, under the names of their columns."""
    return Report(
        name=name,
        parameters={FILTER: "evaluated_at_ept", ZONE: Iso.PJM.timezone},
        clock=HOURLY,
        published={**TIME, "evaluated_at_utc": Published.UTC, **dict.fromkeys(columns, Published.NUMBER)},
        spread=Spread("measure", {column: {"mw": column} for column in columns}),
        values={"mw": "generation_mw"},
        words={
            "fuel_type": Word("measure", dict.fromkeys(columns, fuel)),
            "fuel_native": Word("measure"),
            "forecast_model": name,
        },
        published_at=ByInstant("evaluated_at_utc"),
    )


RENEWABLES = Dataset(
    key="pjm_renewable_forecast",
    iso=Iso.PJM,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and sun for two days, with the times at which they were made",
    feeds=(
        Feed(
            "api",
            (
                _forecast(
                    "hourly_solar_power_forecast", FuelType.SOLAR, "solar_forecast_mwh", "solar_forecast_btm_mwh"
                ),
                _forecast("hourly_wind_power_forecast", FuelType.WIND, "wind_forecast_mwh"),
            ),
            credentials=CREDENTIALS,
            kept_days=30,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    first_day=date(2024, 1, 1),
    lag=timedelta(minutes=15),
    patience=timedelta(hours=6),
    rows_per_location_day=24 * 96 + 144 * 43,
    locations=1,
    horizon=(timedelta(hours=1), timedelta(days=3)),
    source_url=SOURCE_URL.format("hourly_wind_power_forecast"),
)

DATASETS = (GENERATION, RENEWABLES)
