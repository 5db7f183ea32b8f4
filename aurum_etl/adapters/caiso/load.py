"""Load of OASIS, actual and forecast: one report, `SLD_FCST`, that holds every run."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.caiso.oasis import GMT, SOURCE_URL
from aurum_etl.contracts import LOAD, LOAD_FORECAST
from aurum_etl.dataset import Belonging, Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LoadType, LocationType

_ITEMS = frozenset(
    {
        "SYS_FCST_ACT_MW",
        "SYS_FCST_DA_MW",
        "SYS_FCST_2DA_MW",
        "SYS_FCST_7DA_MW",
        "SYS_FCST_15MIN_MW",
        "SYS_FCST_5MIN_MW",
    }
)
_AREAS = (
    LocationRule(r"^CA ISO-TAC$", LocationType.SYSTEM),
    # The parts of the total. "PGE" without the suffix is Portland General, a neighbor; in 2016 neighbors had it too.
    LocationRule(r"^(PGE|SCE|SDGE|VEA|MWD)-TAC$", LocationType.ZONE),
    LocationRule(r"", LocationType.REGION),
)


def _report(run: str, words: dict[str, str | Word], *items: str) -> Report:
    return Report(
        name="SLD_FCST",
        parameters={"version": "1", "market_run_id": run},
        clock=GMT,
        published={
            GMT.start: Published.INSTANT,
            GMT.end: Published.INSTANT,
            "TAC_AREA_NAME": Published.WORD,
            "XML_DATA_ITEM": Published.WORD,
            "MW": Published.NUMBER,
        },
        # A file that was asked for without a run holds them all.
        belonging=(Belonging("XML_DATA_ITEM", frozenset(items), _ITEMS - set(items)),),
        location="TAC_AREA_NAME",
        location_types=_AREAS,
        values={"MW": "load_mw"},
        words=words,
    )


LOAD_ACTUAL = Dataset(
    key="caiso_load",
    iso=Iso.CAISO,
    contract=LOAD,
    title="actual hourly integrated load of the CAISO and the Western imbalance areas",
    feeds=(
        Feed(
            "oasis",
            (_report("ACTUAL", {"load_type": LoadType.SYSTEM, "load_native": "SYS_FCST_ACT_MW"}, "SYS_FCST_ACT_MW"),),
            span_days_all=31,
        ),
    ),
    intervals=(60,),
    first_day=date(2016, 1, 1),
    lag=timedelta(hours=2),
    patience=timedelta(hours=24),
    rows_per_location_day=24,
    locations=35,
    source_url=SOURCE_URL,
)


def _forecast(
    key: str, run: str, title: str, lag: timedelta, *items: str, intervals: tuple[int, ...] = (60,)
) -> Dataset:
    model: str | Word = items[0] if len(items) == 1 else Word("XML_DATA_ITEM")
    return Dataset(
        key=key,
        iso=Iso.CAISO,
        contract=LOAD_FORECAST,
        title=title,
        feeds=(Feed("oasis", (_report(run, {"forecast_model": model}, *items),), span_days_all=31),),
        intervals=intervals,
        first_day=date(2016, 1, 1),
        lag=lag,
        patience=timedelta(hours=24),
        rows_per_location_day=sum(1440 / minutes for minutes in intervals),
        locations=34,
        source_url=SOURCE_URL,
    )


# Of each of them only the newest value of an hour is served, and never with the time at which it was made.
DATASETS = (
    LOAD_ACTUAL,
    _forecast("caiso_load_forecast", "DAM", "day-ahead load forecast", -timedelta(hours=38), "SYS_FCST_DA_MW"),
    _forecast(
        "caiso_load_forecast_2da", "2DA", "load forecast two days ahead", -timedelta(hours=62), "SYS_FCST_2DA_MW"
    ),
    _forecast(
        "caiso_load_forecast_7da", "7DA", "load forecast seven days ahead", -timedelta(days=6), "SYS_FCST_7DA_MW"
    ),
    _forecast(
        "caiso_load_forecast_rt",
        "RTM",
        "real-time load forecasts, in 15-minute and in 5-minute intervals",
        timedelta(hours=1),
        "SYS_FCST_15MIN_MW",
        "SYS_FCST_5MIN_MW",
        intervals=(15, 5),
    ),
)
