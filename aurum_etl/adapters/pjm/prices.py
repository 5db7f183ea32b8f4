"""Prices of Data Miner: day-ahead, hourly real time, and every five minutes, verified or not yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from aurum_etl.adapters.pjm import dataminer
from aurum_etl.adapters.pjm.dataminer import ARCHIVE_DAYS, BEGINNING, BY_HOUR, CREDENTIALS, HOURLY, SOURCE_URL, TIME
from aurum_etl.clock import Instants
from aurum_etl.contracts import LMP
from aurum_etl.dataset import Class, Dataset, Feed, Published, Report, Revision, Word
from aurum_etl.market import Iso, LocationType, Market

TYPES = {
    "ZONE": LocationType.ZONE,
    "HUB": LocationType.HUB,
    "INTERFACE": LocationType.INTERFACE,
    "TIE": LocationType.INTERFACE,
    "AGGREGATE": LocationType.AGGREGATE,
    "RESIDUAL_METERED_EDC": LocationType.AGGREGATE,
    "LOAD": LocationType.NODE,
    "GEN": LocationType.NODE,
    "EHV": LocationType.NODE,
    "EXT": LocationType.NODE,
}
_CLASSES = (
    Class("HUB", frozenset({LocationType.HUB})),
    Class("ZONE", frozenset({LocationType.ZONE})),
)
_VERSIONS = Revision(ranks={}, column="version_nbr")
# Real-time energy is published in cents, the total in millionths.
_REAL_TIME_ROUNDING_USD = 0.011


def _report(name: str, side: str, archive_days: int) -> Report:
    total, energy = f"total_lmp_{side}", f"system_energy_price_{side}"
    congestion, loss = f"congestion_price_{side}", f"marginal_loss_price_{side}"
    return Report(
        name=name,
        parameters={**BY_HOUR, ARCHIVE_DAYS: str(archive_days)},
        clock=HOURLY,
        published={
            **TIME,
            "pnode_id": Published.WORD,
            "pnode_name": Published.TEXT,
            "type": Published.WORD,
            energy: Published.NUMBER,
            total: Published.NUMBER,
            congestion: Published.NUMBER,
            loss: Published.NUMBER,
            "version_nbr": Published.WORD,
        },
        location="pnode_id",
        location_name="pnode_name",
        location_types=Word("type", TYPES),
        values={total: "price_total", energy: "price_energy", congestion: "price_congestion", loss: "price_loss"},
        revision=_VERSIONS,
    )


def _unverified() -> Report:
    """Without energy, which is not made up from the others, and without versions."""
    verified = _report("rt_unverified_fivemin_lmps", "rt", 186)
    lacking = {"system_energy_price_rt", "version_nbr"}
    return replace(
        verified,
        parameters=BY_HOUR,
        clock=Instants(BEGINNING, 5),
        published={name: kind for name, kind in verified.published.items() if name not in lacking},
        values={name: into for name, into in verified.values.items() if name not in lacking},
        revision=Revision(ranks={"UNVERIFIED": -1}, mark="UNVERIFIED"),
    )


DAY_AHEAD = Dataset(
    key="pjm_lmp",
    iso=Iso.PJM,
    contract=LMP,
    title="day-ahead hourly locational marginal prices",
    market=Market.DAY_AHEAD,
    run=Market.DAY_AHEAD,
    feeds=(
        Feed(
            "api",
            (_report("da_hrl_lmps", "da", 731),),
            credentials=CREDENTIALS,
            named_limit=dataminer.NAMED_LIMIT,
            span_days=31,
            rows_per_request=dataminer.PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    classes=_CLASSES,
    first_day=date(2000, 6, 1),
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24,
    locations=13_500,
    source_url=SOURCE_URL.format("da_hrl_lmps"),
)

REAL_TIME = Dataset(
    key="pjm_lmp_rt60",
    iso=Iso.PJM,
    contract=LMP,
    title="verified real-time hourly prices",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        Feed(
            "api",
            (_report("rt_hrl_lmps", "rt", 731),),
            credentials=CREDENTIALS,
            named_limit=dataminer.NAMED_LIMIT,
            span_days=31,
            rows_per_request=dataminer.PAGE_ROWS,
        ),
    ),
    intervals=(60,),
    classes=_CLASSES,
    first_day=date(2000, 1, 1),
    lag=timedelta(hours=40),
    patience=timedelta(days=7),
    rows_per_location_day=24,
    locations=13_500,
    tolerance_usd=_REAL_TIME_ROUNDING_USD,
    source_url=SOURCE_URL.format("rt_hrl_lmps"),
)

FIVE_MINUTES = Dataset(
    key="pjm_lmp_rt5",
    iso=Iso.PJM,
    contract=LMP,
    title="real-time five-minute prices",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(
        Feed(
            "verified",
            (replace(_report("rt_fivemin_hrl_lmps", "rt", 186), clock=Instants(BEGINNING, 5)),),
            credentials=CREDENTIALS,
            named_limit=dataminer.NAMED_LIMIT,
            span_days=7,
            rows_per_request=dataminer.PAGE_ROWS,
        ),
        Feed(
            "unverified",
            (_unverified(),),
            credentials=CREDENTIALS,
            named_limit=dataminer.NAMED_LIMIT,
            span_days=7,
            kept_days=30,
            lag=timedelta(minutes=30),
            rows_per_request=dataminer.PAGE_ROWS,
        ),
    ),
    intervals=(5,),
    first_day=date(2018, 4, 1),
    lag=timedelta(hours=40),
    patience=timedelta(days=7),
    rows_per_location_day=288,
    locations=13_500,
    tolerance_usd=_REAL_TIME_ROUNDING_USD,
    source_url=SOURCE_URL.format("rt_fivemin_hrl_lmps"),
)

DATASETS = (DAY_AHEAD, REAL_TIME, FIVE_MINUTES)
