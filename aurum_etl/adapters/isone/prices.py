"""Prices: day-ahead, real time by the hour, and every five minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from aurum_etl.adapters.isone import forms, places
from aurum_etl.clock import HourEnding, Instants
from aurum_etl.contracts import LMP
from aurum_etl.dataset import Dataset, Feed, Published, Report, Revision, Word
from aurum_etl.market import Iso, Market

RANKS = {"PRELIM": 1, "FINAL": 2}
AFTER_A_BUSINESS_DAY = timedelta(hours=14)
"""Final results come about 12:40 Eastern on the next business day."""
PRELIMINARY = timedelta(hours=2)

# A report is whole, whoever asks: the pipeline takes the named locations out of it.
_ANY_NUMBER = 1000
_LOCATIONS = 1_210
_TOLERANCE_USD = 0.011
_TOTAL, _ENERGY = "Locational Marginal Price", "Energy Component"
_CONGESTION, _LOSS = "Congestion Component", "Marginal Loss Component"


def _table(name: str, title: str, folder: str, mark: str = "") -> Report:
    return Report(
        name=name,
        parameters={
            "form": "table",
            "host": forms.WWW,
            "path": f"static-transform/csv/histRpts/{folder}/{name}_{{day:%Y%m%d}}.csv",
            "title": title,
            "named": name if mark else "",
        },
        clock=HourEnding("Date", "Hour Ending", Iso.ISONE.timezone, repeated="X"),
        published={
            "Date": Published.WALL_CLOCK,
            "Hour Ending": Published.WORD,
            "Location ID": Published.WORD,
            "Location Name": Published.TEXT,
            "Location Type": Published.WORD,
            **dict.fromkeys((_TOTAL, _ENERGY, _CONGESTION, _LOSS), Published.NUMBER),
        },
        location="Location ID",
        location_name="Location Name",
        location_types=Word("Location Type", places.TYPES),
        values={_TOTAL: "price_total", _ENERGY: "price_energy", _CONGESTION: "price_congestion", _LOSS: "price_loss"},
        revision=Revision(RANKS, mark=mark) if mark else None,
    )


def _service(path: str, rows: str, minutes: int, mark: str = "", **parameters: str) -> Report:
    return Report(
        name=path.partition("/day/")[0],
        parameters={"form": "service", "path": path, "rows": rows, **parameters},
        clock=Instants(forms.BEGIN, minutes),
        published={
            **forms.TIME,
            forms.PLACE_ID: Published.WORD,
            forms.PLACE_NAME: Published.TEXT,
            forms.PLACE_TYPE: Published.WORD,
            "LmpTotal": Published.NUMBER,
            "EnergyComponent": Published.NUMBER,
            "CongestionComponent": Published.NUMBER,
            "LossComponent": Published.NUMBER,
        },
        location=forms.PLACE_ID,
        location_name=forms.PLACE_NAME,
        location_types=Word(forms.PLACE_TYPE, places.TYPES),
        values={
            "LmpTotal": "price_total",
            "EnergyComponent": "price_energy",
            "CongestionComponent": "price_congestion",
            "LossComponent": "price_loss",
        },
        revision=Revision(RANKS, mark=mark) if mark else None,
    )


def _hourly(market: str, named: str, mark: str = "") -> Report:
    """By day, and by day and location: no more than one of them can be asked for at once."""
    path = f"hourlylmp/{market}/day/{{day:%Y%m%d}}"
    return _service(
        f"{path}.json", "HourlyLmps.HourlyLmp", 60, mark, named=named, located=f"{path}/location/{{location}}.json"
    )


def _of_services(name: str, report: Report, lag: timedelta | None = None, bulk: str = "") -> Feed:
    return Feed(
        name,
        (report,),
        credentials=forms.CREDENTIALS,
        named_limit=1,
        span_days=31,
        span_days_all=7,
        lag=lag,
        bulk=bulk,
    )


def _of_website(name: str, report: Report, lag: timedelta | None = None) -> Feed:
    return Feed(name, (report,), named_limit=_ANY_NUMBER, span_days=31, span_days_all=7, lag=lag)


DAY_AHEAD = Dataset(
    key="isone_lmp",
    iso=Iso.ISONE,
    contract=LMP,
    title="day-ahead hourly locational marginal prices",
    market=Market.DAY_AHEAD,
    run=Market.DAY_AHEAD,
    feeds=(
        _of_website("csv", _table("WW_DALMP_ISO", "Day-Ahead Energy Market Hourly LMP", "da-lmp")),
        _of_services("api", _hourly("da/final", r"(?<![a-z])da(?![a-z])"), bulk="csv"),
    ),
    intervals=(60,),
    first_day=date(2016, 1, 1),
    # About 12:57 Eastern the day before.
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=_LOCATIONS,
    tolerance_usd=_TOLERANCE_USD,
    source_url=forms.REPORTS_URL,
)

_REAL_TIME = "Real-Time Energy Market Hourly LMP"
REAL_TIME = Dataset(
    key="isone_lmp_rt60",
    iso=Iso.ISONE,
    contract=LMP,
    title="real-time hourly prices, final or preliminary",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        _of_website("final", _table("lmp_rt_final", _REAL_TIME, "rt-lmp", "FINAL")),
        _of_website("prelim", _table("lmp_rt_prelim", _REAL_TIME, "rt-lmp", "PRELIM"), PRELIMINARY),
        _of_services("api", _hourly("rt/final", r"(?<![a-z])rt(?![a-z]).*final", "FINAL"), bulk="final"),
        _of_services("api_prelim", _hourly("rt/prelim", "prelim", "PRELIM"), PRELIMINARY, bulk="prelim"),
    ),
    intervals=(60,),
    first_day=date(2016, 1, 1),
    lag=AFTER_A_BUSINESS_DAY,
    patience=timedelta(days=5),
    rows_per_location_day=24,
    locations=_LOCATIONS,
    tolerance_usd=_TOLERANCE_USD,
    source_url=forms.REPORTS_URL,
)


def _five_minutes(state: str, mark: str, **names: str) -> Report:
    path = f"fiveminutelmp/{state}/day/{{day:%Y%m%d}}/starthour/{{hour:02d}}.json"
    return _service(path, "FiveMinLmps.FiveMinLmp", 5, mark, **names)


def _by_the_hour(name: str, report: Report, lag: timedelta | None = None) -> Feed:
    """An hour of all locations at a time: named ones are taken out."""
    return replace(_of_services(name, report, lag), named_limit=_ANY_NUMBER, span_days=7, span_days_all=1)


FIVE_MINUTES = Dataset(
    key="isone_lmp_rt5",
    iso=Iso.ISONE,
    contract=LMP,
    title="real-time five-minute prices, final or preliminary",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        _by_the_hour("api", _five_minutes("final", "FINAL", named="final")),
        # The newest prices, `fiveminutelmp/current`, do not say that they are preliminary.
        _by_the_hour("api_prelim", _five_minutes("prelim", "PRELIM", unlike="final"), PRELIMINARY),
    ),
    intervals=(5,),
    first_day=date(2026, 7, 27),
    lag=AFTER_A_BUSINESS_DAY,
    patience=timedelta(days=5),
    rows_per_location_day=288,
    locations=_LOCATIONS,
    tolerance_usd=_TOLERANCE_USD,
    source_url=forms.SERVICES_URL,
)

DATASETS = (DAY_AHEAD, REAL_TIME, FIVE_MINUTES)
