"""Generation: forecasts of wind and sun out of OASIS, and the fuel mix out of Today's Outlook."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.caiso.oasis import GMT, SOURCE_URL
from aurum_etl.clock import WallClock
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Belonging, Dataset, Feed, LocationRule, Published, Report, Spread, Word
from aurum_etl.market import FuelType, Iso, LocationType

_ITEMS = frozenset(
    {"RENEW_FCST_DA_MW", "RENEW_FCST_HASP_MW", "RENEW_FCST_15MIN_MW", "RENEW_FCST_5MIN_MW", "RENEW_FCST_ACT_MW"}
)

RENEWABLES_DAY_AHEAD = Dataset(
    key="caiso_renewable_forecast",
    iso=Iso.CAISO,
    contract=RENEWABLE_FORECAST,
    title="day-ahead forecast of wind and solar generation, by trading hub",
    feeds=(
        Feed(
            "oasis",
            (
                Report(
                    name="SLD_REN_FCST",
                    parameters={"version": "1", "market_run_id": "DAM"},
                    clock=GMT,
                    published={
                        GMT.start: Published.INSTANT,
                        GMT.end: Published.INSTANT,
                        "TRADING_HUB": Published.WORD,
                        "RENEWABLE_TYPE": Published.WORD,
                        "XML_DATA_ITEM": Published.WORD,
                        "MW": Published.NUMBER,
                    },
                    belonging=(
                        Belonging("XML_DATA_ITEM", frozenset({"RENEW_FCST_DA_MW"}), _ITEMS - {"RENEW_FCST_DA_MW"}),
                    ),
                    location="TRADING_HUB",
                    # Since 2026 balancing areas stand beside the hubs.
                    location_types=(
                        LocationRule(r"^(NP15|SP15|ZP26)$", LocationType.HUB),
                        LocationRule(r"", LocationType.REGION),
                    ),
                    values={"MW": "generation_mw"},
                    words={
                        "fuel_native": Word("RENEWABLE_TYPE"),
                        "fuel_type": Word("RENEWABLE_TYPE", {"Solar": FuelType.SOLAR, "Wind": FuelType.WIND}),
                        "forecast_model": "RENEW_FCST_DA_MW",
                    },
                ),
            ),
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2016, 1, 1),
    lag=-timedelta(hours=40),
    patience=timedelta(hours=24),
    rows_per_location_day=48,
    locations=3,
    source_url=SOURCE_URL,
)

# The spelling of the header has changed over the years; case and blanks do not matter.
FUELS = {
    "Solar": FuelType.SOLAR,
    "Wind": FuelType.WIND,
    "Geothermal": FuelType.GEOTHERMAL,
    "Biomass": FuelType.BIOMASS,
    "Biogas": FuelType.BIOGAS,
    "Small hydro": FuelType.HYDRO,
    "Coal": FuelType.COAL,
    "Nuclear": FuelType.NUCLEAR,
    "Natural Gas": FuelType.NATURAL_GAS,
    "Large Hydro": FuelType.HYDRO,
    "Batteries": FuelType.STORAGE,
    "Imports": FuelType.IMPORTS,
    "Other": FuelType.OTHER,
}

GENERATION = Dataset(
    key="caiso_genmix",
    iso=Iso.CAISO,
    contract=GENMIX,
    title="generation by fuel every five minutes, from Today's Outlook",
    feeds=(
        Feed(
            "outlook",
            (
                Report(
                    name="fuelsource",
                    clock=WallClock("Time", 5, Iso.CAISO.timezone),
                    published={"Time": Published.WALL_CLOCK, **dict.fromkeys(FUELS, Published.NUMBER)},
                    optional=frozenset(FUELS),
                    spread=Spread("fuel", {fuel: {"mw": fuel} for fuel in FUELS}, others="mw"),
                    values={"mw": "generation_mw"},
                    words={"fuel_native": Word("fuel"), "fuel_type": Word("fuel", FUELS)},
                ),
            ),
        ),
    ),
    intervals=(5,),
    first_day=date(2018, 4, 10),
    lag=timedelta(hours=1),
    patience=timedelta(hours=24),
    rows_per_location_day=288 * len(FUELS),
    locations=1,
    source_url="https://www.caiso.com/todays-outlook/supply",
)

DATASETS = (RENEWABLES_DAY_AHEAD, GENERATION)
