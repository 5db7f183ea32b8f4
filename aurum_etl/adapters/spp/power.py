"""Generation: what it was made from, and the forecasts of wind and sun in every version."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.spp.files import AREA, END, MADE, WEST_JOINED
from aurum_etl.adapters.spp.load import AREAS, FIRST_FORECAST, FORECAST_LAG, MID_TERM_HORIZON, SHORT_TERM_HORIZON
from aurum_etl.clock import ByInstant, Instants
from aurum_etl.contracts import GENMIX, RENEWABLE_FORECAST
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Spread, Word
from aurum_etl.market import FuelType, Iso, LocationType

_PORTAL = "https://portal.spp.org/pages"
_MAIN = {
    "Coal": FuelType.COAL,
    "Hydro": FuelType.HYDRO,
    "Nuclear": FuelType.NUCLEAR,
    "Wind": FuelType.WIND,
}
_MINOR = {
    "Diesel Fuel Oil": FuelType.OIL,
    "Energy Storage": FuelType.STORAGE,
    "Other": FuelType.OTHER,
    "Solar": FuelType.SOLAR,
    "Waste Disposal Services": FuelType.WASTE,
    "Waste Heat": FuelType.WASTE_HEAT,
}


def _columns(fuels: dict[str, FuelType]) -> dict[str, FuelType]:
    """What the market dispatched, and what its owners ran by themselves."""
    return {f"{fuel} {how}": kind for fuel, kind in fuels.items() for how in ("Market", "Self")}


# The two of gas don't go by one name.
FUELS = {
    **_columns(_MAIN),
    "Natural Gas Market": FuelType.NATURAL_GAS,
    "Gas Self": FuelType.NATURAL_GAS,
    **_columns(_MINOR),
}
_LOADS = frozenset({"Load", "Short Term Load Forecast", "Average Actual Load"})


def _mix(name: str, path: str, every: str, area: str, **parameters: str) -> Report:
    return Report(
        name=f"{name}_{area}",
        parameters={"fs": "generation-mix-historical", "path": path, "every": every, "area": area, **parameters},
        clock=Instants(END, 5, "end"),
        published={END: Published.UTC, AREA: Published.WORD, **dict.fromkeys(FUELS, Published.NUMBER)},
        optional=frozenset(_columns(_MINOR)),
        ignored=_LOADS,
        spread=Spread("fuel", {word: {"power": word} for word in FUELS}, others="power"),
        values={"power": "generation_mw"},
        location=AREA,
        location_types=AREAS,
        words={"fuel_native": Word("fuel"), "fuel_type": Word("fuel", FUELS)},
        settable={"labels": ("end", "start")},
    )


def _of_area(name: str, area: str, every: str, **parameters: str) -> Report:
    return _mix(name, f"/{area}/{name}_{area}.csv", every, area, named=f"{name}_{area}", **parameters)


GENERATION = Dataset(
    key="spp_genmix",
    iso=Iso.SPP,
    contract=GENMIX,
    title="generation by fuel every five minutes, by balancing area, dispatched and self-scheduled",
    feeds=(
        Feed(
            "history",
            (
                _mix(
                    "GenMix",
                    "/GenMix_{day:%Y}.csv",
                    "year",
                    "SPP",
                    until=f"{WEST_JOINED}",
                    named=r"GenMix(_\d{4}|YTD)",
                    **{f"otherwise in {WEST_JOINED.year}": "/GenMixYTD.csv"},
                ),
                _of_area("GenMix365", "SPP", "year", since=f"{WEST_JOINED}"),
                _of_area("GenMix365", "SWPW", "year", since=f"{WEST_JOINED}"),
            ),
            # One file holds them all.
            span_days_all=31,
        ),
        Feed(
            "latest",
            (_of_area("GenMix2Hour", "SPP", "latest"), _of_area("GenMix2Hour", "SWPW", "latest")),
            kept_days=0,
            latest_only=True,
        ),
    ),
    intervals=(5,),
    first_day=date(2025, 1, 1),
    lag=timedelta(days=1),
    patience=timedelta(days=2),
    rows_per_location_day=288 * len(FUELS),
    locations=2,
    source_url=f"{_PORTAL}/generation-mix-historical",
)

_WIND_AND_SUN = {"Wind": FuelType.WIND, "Solar": FuelType.SOLAR}


def _forecast(model: str, fs: str, path: str, every: str, minutes: int, columns: str, zone: str = "") -> Report:
    published = {fuel: columns.format(fuel) for fuel in _WIND_AND_SUN}
    return Report(
        name=path.rpartition("/")[2].partition("-{")[0],
        parameters={"fs": fs, "path": path, "every": every, "named": path.rpartition("/")[2].partition("{")[0]},
        clock=Instants(END, minutes, "end"),
        published={
            END: Published.UTC,
            **({zone: Published.WORD} if zone else {AREA: Published.TEXT}),
            **dict.fromkeys(published.values(), Published.NUMBER),
            MADE: Published.UTC,
        },
        spread=Spread("fuel", {fuel: {"power": column} for fuel, column in published.items()}),
        values={"power": "generation_mw"},
        location=zone or AREA,
        location_types=(LocationRule(r"", LocationType.ZONE),) if zone else AREAS,
        words={"fuel_native": Word("fuel"), "fuel_type": Word("fuel", _WIND_AND_SUN), "forecast_model": model},
        published_at=ByInstant(MADE),
    )


MID_TERM = Dataset(
    key="spp_renewable_forecast",
    iso=Iso.SPP,
    contract=RENEWABLE_FORECAST,
    title="hourly forecasts of wind and solar generation for seven days, by balancing area and reserve zone",
    feeds=(
        Feed(
            "csv",
            (
                _forecast(
                    "MTRF",
                    "midterm-resource-forecast",
                    "/{label:%Y/%m/%d}/OP-MTRF-{name}.csv",
                    "hours",
                    60,
                    "{} Forecast MW",
                ),
                _forecast(
                    "RF_RESERVE_ZONE",
                    "resource-forecast-by-reserve-zone",
                    "/{label:%Y/%m/%d}/RF_RESERVE_ZONE-{name}.csv",
                    "hours",
                    60,
                    "{}ForecastMW",
                    "ReserveZone",
                ),
            ),
        ),
    ),
    intervals=(60,),
    first_day=FIRST_FORECAST,
    lag=FORECAST_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=24 * 2 * 24 * 8,
    locations=8,
    source_url=f"{_PORTAL}/midterm-resource-forecast",
    horizon=MID_TERM_HORIZON,
)

SHORT_TERM = Dataset(
    key="spp_renewable_forecast_rt5",
    iso=Iso.SPP,
    contract=RENEWABLE_FORECAST,
    title="five-minute forecasts of wind and solar generation for the hours ahead, by balancing area",
    feeds=(
        Feed(
            "csv",
            (
                _forecast(
                    "STRF",
                    "shortterm-resource-forecast",
                    "/{label:%Y/%m/%d}/{after:%H}/OP-STRF-{name}.csv",
                    "five minutes",
                    5,
                    "{} Forecast MW",
                ),
            ),
        ),
    ),
    intervals=(5,),
    first_day=FIRST_FORECAST,
    lag=FORECAST_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=288 * 2 * 48,
    locations=2,
    source_url=f"{_PORTAL}/shortterm-resource-forecast",
    horizon=SHORT_TERM_HORIZON,
)

DATASETS = (GENERATION, MID_TERM, SHORT_TERM)
