"""Load: what it was by control zone and balancing area, and its forecasts in every version."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.spp.files import AREA, END, KIND, MADE, SYSTEMS, VERSION, WHOLE, ZONE, ZONE_LOAD
from aurum_etl.clock import ByInstant, Instants
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Revision, Spread, Word
from aurum_etl.market import Iso, LoadType, LocationType

FIRST_FORECAST = date(2026, 7, 4)
FORECAST_LAG = timedelta(hours=1)
MID_TERM_HORIZON = (timedelta(days=2), timedelta(days=8))
"""A version tells the past 24 hours again, and reaches seven days ahead."""
SHORT_TERM_HORIZON = (timedelta(days=2), timedelta(days=1))

_PORTAL = "https://portal.spp.org/pages"
AREAS = (SYSTEMS, LocationRule(r"", LocationType.REGION))
_KINDS = {WHOLE: LoadType.SYSTEM, "CF": LoadType.CONFORMING, "NC": LoadType.NON_CONFORMING}
"""Conforming and non-conforming load are rows of their own since 2026-03-24; before, the two were one number."""


def _hourly(path: str, every: str) -> Report:
    return Report(
        name="HOURLY_LOAD",
        parameters={"fs": "hourly-load", "path": path, "every": every, "named": "(DAILY_)?HOURLY_LOAD-"},
        clock=Instants(END, 60, "end"),
        published={
            END: Published.UTC,
            ZONE: Published.WORD,
            KIND: Published.WORD,
            ZONE_LOAD: Published.NUMBER,
        },
        spread=Spread("measure", {ZONE_LOAD: {"load": ZONE_LOAD}}),
        values={"load": "load_mw"},
        location=ZONE,
        location_types=(LocationRule(r"", LocationType.ZONE),),
        words={"load_type": Word(KIND, _KINDS), "load_native": Word(KIND)},
    )


def _actual(name: str, fs: str, path: str, every: str, minutes: int, column: str) -> Report:
    """What the load of a balancing area was, which each file of its forecasts tells anew for some time."""
    return Report(
        name=name,
        parameters={"fs": fs, "path": path, "every": every, "named": f"{name}-"},
        clock=Instants(END, minutes, "end"),
        published={END: Published.UTC, column: Published.NUMBER, AREA: Published.TEXT, VERSION: Published.WORD},
        spread=Spread("measure", {column: {"load": column}}),
        values={"load": "load_mw"},
        location=AREA,
        location_types=AREAS,
        words={"load_type": LoadType.SYSTEM, "load_native": column},
        revision=Revision({}, column=VERSION),
    )


def _forecast(name: str, fs: str, path: str, every: str, minutes: int, column: str) -> Report:
    return Report(
        name=name,
        parameters={"fs": fs, "path": path, "every": every, "named": f"{name}-"},
        clock=Instants(END, minutes, "end"),
        published={END: Published.UTC, column: Published.NUMBER, AREA: Published.TEXT, MADE: Published.UTC},
        spread=Spread("measure", {column: {"load": column}}),
        values={"load": "load_mw"},
        location=AREA,
        location_types=AREAS,
        words={"forecast_model": column},
        published_at=ByInstant(MADE),
    )


_MID_TERM = ("OP-MTLF", "mtlf-vs-actual", "/{label:%Y/%m/%d}/OP-MTLF-{name}.csv")
_SHORT_TERM = ("OP-STLF", "stlf-vs-actual", "/{label:%Y/%m/%d}/{after:%H}/OP-STLF-{name}.csv")
_AVERAGED = _actual(*_MID_TERM, "past hours", 60, "Averaged Actual")

HOURLY = Dataset(
    key="spp_load",
    iso=Iso.SPP,
    contract=LOAD,
    title="actual hourly load, by control zone and by balancing area",
    feeds=(
        Feed(
            "daily",
            (_hourly("/{day:%Y}/DAILY_HOURLY_LOAD-{day:%Y%m%d}.csv", "day"), _AVERAGED),
            span_days_all=31,
        ),
        Feed(
            "monthly",
            (_hourly("/{day:%Y}/HOURLY_LOAD-{day:%Y%m}.csv", "month"), _AVERAGED),
            span_days_all=31,
            lag=timedelta(days=35),
        ),
    ),
    intervals=(60,),
    first_day=date(2011, 1, 1),
    lag=timedelta(days=1),
    patience=timedelta(days=2),
    rows_per_location_day=24,
    locations=22,
    source_url=f"{_PORTAL}/hourly-load",
)

FIVE_MINUTES = Dataset(
    key="spp_load_rt5",
    iso=Iso.SPP,
    contract=LOAD,
    title="actual five-minute load, by balancing area",
    feeds=(Feed("csv", (_actual(*_SHORT_TERM, "past intervals", 5, "Actual"),)),),
    intervals=(5,),
    first_day=FIRST_FORECAST,
    lag=FORECAST_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=288,
    locations=2,
    source_url=f"{_PORTAL}/stlf-vs-actual",
)

MID_TERM = Dataset(
    key="spp_load_forecast",
    iso=Iso.SPP,
    contract=LOAD_FORECAST,
    title="hourly load forecast for seven days by balancing area, in the version of each hour",
    feeds=(Feed("csv", (_forecast(*_MID_TERM, "hours", 60, "MTLF"),)),),
    intervals=(60,),
    first_day=FIRST_FORECAST,
    lag=FORECAST_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=24 * 24 * 8,
    locations=2,
    source_url=f"{_PORTAL}/mtlf-vs-actual",
    horizon=MID_TERM_HORIZON,
)

SHORT_TERM = Dataset(
    key="spp_load_forecast_rt5",
    iso=Iso.SPP,
    contract=LOAD_FORECAST,
    title="five-minute load forecast for the minutes ahead by balancing area, in the version of every five minutes",
    feeds=(Feed("csv", (_forecast(*_SHORT_TERM, "five minutes", 5, "STLF"),)),),
    intervals=(5,),
    first_day=FIRST_FORECAST,
    lag=FORECAST_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=288 * 5,
    locations=2,
    source_url=f"{_PORTAL}/stlf-vs-actual",
    horizon=SHORT_TERM_HORIZON,
)

DATASETS = (HOURLY, FIVE_MINUTES, MID_TERM, SHORT_TERM)
