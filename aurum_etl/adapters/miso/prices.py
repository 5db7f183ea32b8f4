"""Prices: day-ahead after and before the fact, real time by the hour and every five minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aurum_etl.adapters.miso import forms
from aurum_etl.clock import HourEnding, WallClock
from aurum_etl.contracts import LMP
from aurum_etl.dataset import Belonging, Components, Dataset, Feed, LocationRule, Published, Report, Revision, Word
from aurum_etl.market import Iso, LocationType, Market

if TYPE_CHECKING:
    from collections.abc import Mapping

PRICING = ("MISO_API_PRICING_SUBSCRIPTION_KEY",)
SOURCE_URL = "https://www.misoenergy.org/markets-and-operations/real-time--market-data/market-reports/"
DATA_EXCHANGE_URL = "https://data-exchange.misoenergy.org/"
OLDEST_EXAMPLE = date(2023, 6, 28)
"""The oldest day that MISO's examples of the Data Exchange ask for."""
RANKS = {"PRELIM": 1, "FINAL": 2}
MARKS = {"PRELIM": "Preliminary", "FINAL": "Final"}
"""The Data Exchange's words for the marks."""
LABELS: Mapping[str, tuple[str, ...]] = {"labels": ("start", "end")}

_TYPES = {
    "Interface": LocationType.INTERFACE,
    "Loadzone": LocationType.ZONE,
    "Hub": LocationType.HUB,
    "Gennode": LocationType.NODE,
}
# Neither the weekly zip nor the Data Exchange says what kind of place a node is.
_NAMES = (LocationRule(r"\.HUB$", LocationType.HUB), LocationRule(r"", LocationType.NODE))
# A file is whole, whoever asks: the pipeline takes the named nodes out of it.
_ANY_NUMBER = 1000
_NODES = 2_500


def of_resolution(resolution: str) -> Belonging:
    """Rows of that resolution, where an answer should hold no others."""
    return Belonging(forms.RESOLUTION, frozenset({resolution}), forms.RESOLUTIONS - {resolution})


def marked(report: Report, mark: str) -> Report:
    """The report of the Data Exchange that serves rows of that mark alone, and says so in each."""
    word = MARKS[mark]
    return replace(
        report,
        name=f"{report.name}_{mark.lower()}",
        parameters={**report.parameters, f"?{forms.MARK}": word},
        published={**report.published, forms.MARK: Published.WORD},
        belonging=(
            *report.belonging,
            Belonging(forms.MARK, frozenset({word}), frozenset(MARKS.values()) - {word}),
        ),
        revision=Revision(RANKS, mark=mark),
    )


def _wide(name: str, title: str, mark: str = "", named: str = "") -> Report:
    return Report(
        name=name,
        parameters={"form": "wide", "path": "{day:%Y%m%d}_" + name + ".csv", "title": title}
        | ({"named": named} if named else {}),
        clock=HourEnding("Market Day", "hour", forms.EST),
        published={
            "Market Day": Published.WALL_CLOCK,
            "Node": Published.WORD,
            "Type": Published.WORD,
            "Value": Published.WORD,
            **{f"HE {hour}": Published.NUMBER for hour in range(1, 25)},
        },
        spread=forms.HOURS,
        components=Components("Value", "price", {"LMP": "price_total", "MCC": "price_congestion", "MLC": "price_loss"}),
        location="Node",
        location_types=Word("Type", _TYPES),
        revision=Revision(RANKS, mark=mark) if mark else None,
    )


def _page(path: str, resolution: str, clock: WallClock, unlike: str, **query: str) -> Report:
    return Report(
        name=path.rpartition("/")[2],
        parameters={
            "form": "page",
            "host": forms.API,
            "path": f"pricing/v1/{path}",
            "unlike": unlike,
            **{f"?{name}": value for name, value in query.items()},
        },
        clock=clock,
        published={
            **forms.DATA_EXCHANGE_TIMES,
            "node": Published.WORD,
            "lmp": Published.NUMBER,
            "mec": Published.NUMBER,
            "mcc": Published.NUMBER,
            "mlc": Published.NUMBER,
        },
        belonging=(of_resolution(resolution),),
        values={"lmp": "price_total", "mec": "price_energy", "mcc": "price_congestion", "mlc": "price_loss"},
        location="node",
        location_types=_NAMES,
    )


def _by_key(name: str, report: Report, lag: timedelta | None = None) -> Feed:
    return Feed(name, (report,), credentials=PRICING, named_limit=1, span_days=31, lag=lag)


def _day_ahead(key: str, run: str, word: str, other: str, title: str) -> Dataset:
    return Dataset(
        key=key,
        iso=Iso.MISO,
        contract=LMP,
        title=title,
        market=Market.DAY_AHEAD,
        run=run,
        feeds=(
            Feed(
                "csv",
                (_wide(f"da_{word.lower()}_lmp", f"Day Ahead Market {word} LMPs"),),
                named_limit=_ANY_NUMBER,
                span_days=31,
                span_days_all=7,
            ),
            _by_key("api", _page(f"day-ahead/{{day}}/lmp-{word.lower()}", "hourly", forms.hourly(), other.lower())),
        ),
        intervals=(60,),
        first_day=date(2023, 1, 1),
        lag=-timedelta(hours=33),
        patience=timedelta(hours=12),
        rows_per_location_day=24,
        locations=_NODES,
        # Four numbers, each rounded to cents.
        tolerance_usd=0.021,
        source_url=SOURCE_URL,
    )


LMP_DAY_AHEAD = _day_ahead("miso_lmp", "EXPOST", "ExPost", "ExAnte", "day-ahead hourly prices that settle (ex-post)")
LMP_DAY_AHEAD_EXANTE = _day_ahead("miso_lmp_exante", "EXANTE", "ExAnte", "ExPost", "day-ahead hourly ex-ante prices")

# Averages: final prices come three to five days later.
FINAL_LAG = timedelta(days=5)
NEXT_MORNING = timedelta(hours=7)

_HOURLY_PAGE = _page(
    "real-time/{day}/lmp-expost", "hourly", forms.hourly(), unlike="exante|day.ahead", timeResolution="hourly"
)
LMP_HOURLY = Dataset(
    key="miso_lmp_rt60",
    iso=Iso.MISO,
    contract=LMP,
    title="real-time hourly prices, final or preliminary",
    market=Market.REAL_TIME,
    run="RT",
    feeds=(
        Feed(
            "final",
            (_wide("rt_lmp_final", "Realtime Market LMPs", "FINAL", "final"),),
            named_limit=_ANY_NUMBER,
            span_days=31,
            span_days_all=7,
        ),
        Feed(
            "prelim",
            (_wide("rt_lmp_prelim", "Realtime Market LMPs", "PRELIM", "prelim"),),
            named_limit=_ANY_NUMBER,
            span_days=4,
            span_days_all=4,
            kept_days=4,
            lag=timedelta(hours=12),
        ),
        _by_key("api", marked(_HOURLY_PAGE, "FINAL")),
        _by_key("api_prelim", marked(_HOURLY_PAGE, "PRELIM"), NEXT_MORNING),
    ),
    intervals=(60,),
    first_day=date(2023, 1, 1),
    lag=FINAL_LAG,
    patience=timedelta(days=5),
    rows_per_location_day=24,
    locations=_NODES,
    tolerance_usd=0.021,
    source_url=SOURCE_URL,
)

_FIVE_MINUTES = WallClock("MKTHOUR_EST", 5, forms.EST)
_FIVE_MINUTE_PAGE = replace(
    _page(
        "real-time/{day}/lmp-expost",
        "5min",
        WallClock(forms.START, 5, forms.EST),
        unlike="exante|day.ahead",
        timeResolution="5min",
    ),
    settable=LABELS,
)
LMP_FIVE_MINUTES = Dataset(
    key="miso_lmp_rt5",
    iso=Iso.MISO,
    contract=LMP,
    title="real-time five-minute prices, final or preliminary",
    market=Market.REAL_TIME,
    run="RT",
    feeds=(
        Feed(
            "final",
            (
                Report(
                    name="5MIN_LMP",
                    parameters={"form": "weekly", "path": "{week:%Y%m%d}_5MIN_LMP.zip"},
                    clock=_FIVE_MINUTES,
                    published={
                        "MKTHOUR_EST": Published.WALL_CLOCK,
                        "PNODENAME": Published.WORD,
                        "LMP": Published.NUMBER,
                        "CON_LMP": Published.NUMBER,
                        "LOSS_LMP": Published.NUMBER,
                    },
                    values={"LMP": "price_total", "CON_LMP": "price_congestion", "LOSS_LMP": "price_loss"},
                    location="PNODENAME",
                    location_types=_NAMES,
                    revision=Revision(RANKS, mark="FINAL"),
                    settable=LABELS,
                ),
            ),
            named_limit=_ANY_NUMBER,
            span_days=7,
            span_days_all=7,
            # A Monday is in the file that is named for the Monday two weeks later.
            lag=timedelta(days=14),
        ),
        _by_key("api", marked(_FIVE_MINUTE_PAGE, "FINAL")),
        _by_key("api_prelim", marked(_FIVE_MINUTE_PAGE, "PRELIM"), NEXT_MORNING),
    ),
    intervals=(5,),
    first_day=date(2023, 1, 1),
    lag=FINAL_LAG,
    patience=timedelta(days=5),
    rows_per_location_day=288,
    locations=_NODES,
    tolerance_usd=0.021,
    source_url=SOURCE_URL,
)

DATASETS = (LMP_DAY_AHEAD, LMP_DAY_AHEAD_EXANTE, LMP_HOURLY, LMP_FIVE_MINUTES)
