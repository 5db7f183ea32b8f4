"""Prices by settlement location: day-ahead by the hour, real time every five minutes; and the locations."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.spp.files import ANY_NUMBER, AREA, END
from aurum_etl.clock import Instants, Validity
from aurum_etl.contracts import LMP, PNODE
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LocationType, Market

FIRST_DAY = date(2025, 3, 19)
DAY_AHEAD_LAG = -timedelta(hours=33)
"""Prices of a day appear between 13:00 and 14:00 of the day before."""
DAILY_LAG = timedelta(days=5)
INTERVAL_LAG = timedelta(minutes=30)

_PORTAL = "https://portal.spp.org/pages"
_LOCATIONS = 1_300
_LOCATION = "Settlement Location"
# Files say nothing of the kind of a location. Dozens of others have HUB in their names, which participants gave them.
_HUBS = ("SPPNORTH_HUB", "SPPSOUTH_HUB", "SWPW_HUB")
_INTERFACES = (
    *("AECI", "AESO", "ALTW", "AMRN", "AVA", "AVRN", "BLKW", "CISO", "CLEC", "DPC", "EDDY", "EES", "ERCOTE", "ERCOTN"),
    *("GRE", "LAM345", "MCWEST", "MDU", "MEC", "MISO", "NSP", "OTP", "PSCO", "RCEAST", "SCSE", "SGE", "SPA", "SPC"),
)
TYPES = (
    LocationRule(f"^({'|'.join(_HUBS)})$", LocationType.HUB),
    LocationRule(f"^({'|'.join(_INTERFACES)})$", LocationType.INTERFACE),
    LocationRule(r"", LocationType.NODE),
)


def _report(name: str, fs: str, path: str, every: str, minutes: int) -> Report:
    return Report(
        name=name,
        parameters={"fs": fs, "path": path, "every": every, "named": f"{name}-"},
        clock=Instants(END, minutes, "end"),
        published={
            END: Published.UTC,
            _LOCATION: Published.WORD,
            "LMP": Published.NUMBER,
            "MLC": Published.NUMBER,
            "MCC": Published.NUMBER,
            "MEC": Published.NUMBER,
        },
        values={"LMP": "price_total", "MLC": "price_loss", "MCC": "price_congestion", "MEC": "price_energy"},
        location=_LOCATION,
        location_types=TYPES,
    )


_DAY_AHEAD = ("da-lmp-by-settlement-location", "/{day:%Y/%m}/By_Day/DA-LMP-SL-{day:%Y%m%d}0100.csv")

DAY_AHEAD = Dataset(
    key="spp_lmp",
    iso=Iso.SPP,
    contract=LMP,
    title="day-ahead hourly prices by settlement location",
    market=Market.DAY_AHEAD,
    run="DA",
    feeds=(
        Feed(
            "csv",
            (_report("DA-LMP-SL", *_DAY_AHEAD, "day", 60),),
            named_limit=ANY_NUMBER,
            span_days=31,
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=FIRST_DAY,
    lag=DAY_AHEAD_LAG,
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=_LOCATIONS,
    tolerance_usd=1.1e-4,
    source_url=f"{_PORTAL}/da-lmp-by-location",
)

_REAL_TIME = "rtbm-lmp-by-location"

REAL_TIME = Dataset(
    key="spp_lmp_rt5",
    iso=Iso.SPP,
    contract=LMP,
    title="real-time five-minute prices by settlement location",
    market=Market.REAL_TIME,
    run="RTBM",
    feeds=(
        Feed(
            "daily",
            (
                _report(
                    "RTBM-LMP-DAILY-SL",
                    _REAL_TIME,
                    "/{day:%Y/%m}/By_Day/RTBM-LMP-DAILY-SL-{day:%Y%m%d}.csv",
                    "day",
                    5,
                ),
            ),
            named_limit=ANY_NUMBER,
            span_days=7,
            span_days_all=7,
        ),
        Feed(
            "interval",
            (
                _report(
                    "RTBM-LMP-SL",
                    _REAL_TIME,
                    "/{start:%Y/%m}/By_Interval/{start:%d}/RTBM-LMP-SL-{name}.csv",
                    "intervals",
                    5,
                ),
            ),
            named_limit=ANY_NUMBER,
            lag=INTERVAL_LAG,
            bulk="daily",
        ),
        Feed(
            "latest",
            (_report("RTBM-LMP-SL", _REAL_TIME, "/RTBM-LMP-SL-latestInterval.csv", "latest", 5),),
            named_limit=ANY_NUMBER,
            kept_days=0,
            latest_only=True,
        ),
    ),
    intervals=(5,),
    first_day=FIRST_DAY,
    lag=DAILY_LAG,
    patience=timedelta(days=5),
    rows_per_location_day=288,
    locations=_LOCATIONS,
    tolerance_usd=1.1e-4,
    source_url=f"{_PORTAL}/{_REAL_TIME}",
)

LOCATIONS = Dataset(
    key="spp_pnode",
    iso=Iso.SPP,
    contract=PNODE,
    title="settlement locations that have a day-ahead price, with the Pnode that it is the price of",
    feeds=(
        Feed(
            "csv",
            (
                Report(
                    name="DA-LMP-SL",
                    parameters={
                        "fs": _DAY_AHEAD[0],
                        "path": _DAY_AHEAD[1],
                        "every": "registry",
                        "named": "DA-LMP-SL-",
                    },
                    clock=Validity(Iso.SPP.timezone),
                    published={_LOCATION: Published.WORD, "Pnode": Published.WORD, AREA: Published.TEXT},
                    location=_LOCATION,
                    location_name="Pnode",
                    location_types=TYPES,
                    words={"location_type_native": _LOCATION, "zone": Word(AREA)},
                ),
            ),
        ),
    ),
    intervals=(),
    first_day=FIRST_DAY,
    lag=DAY_AHEAD_LAG,
    patience=timedelta(hours=24),
    rows_per_location_day=1,
    locations=_LOCATIONS,
    source_url=f"{_PORTAL}/da-lmp-by-location",
)

DATASETS = (DAY_AHEAD, REAL_TIME, LOCATIONS)
