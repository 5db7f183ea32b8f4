"""MISO: market reports, the Data Exchange, and the public displays.

Base      https://docs.misoenergy.org/marketreports for files named by their day; https://apim.misoenergy.org, `pricing/v1`
          and `lgi/v1`, for the Data Exchange, with a free subscription key for each of its two products;
          https://public-api.misoenergy.org/api for the displays, which know today and yesterday.
Limits    of the Data Exchange 100 calls a minute and 24,000 a day for each key: 429, and 403. Several keys, with commas
          between them, take turns. Of the displays one call a minute; of the files a few a second.
Answers   prices as csv with a title, the day and a header wherever it stands, 24 hours side by side and a row per node and
          component; a week of five minutes as a zip with lines above and below its rows; json pages until one says that it
          is the last.
Nothing   is a 404 with xml that says `BlobNotFound` for a file, and a 404 with json that says "Empty data" for a day, or a page
          without rows that says that there are none in all (`totalElements`). Other 404s are the gateway's; a display without
          rows says nothing.
Too much  is a 413, and cannot be asked for in less: files are whole, and pages as long as MISO makes them. No file takes the
          place of the Data Exchange, since it has neither energy components nor the same kinds of places.
Time      Eastern Standard Time all year: every day has 24 hours. Csv files label the hour that ends, all else the start.
Appears   day-ahead prices about 14:00 EST the day before; preliminary real-time prices the next morning, final ones three
          to five days later, five minutes as files after one to two weeks; actual load at 02:00.
Kept      files for three to four years, preliminary ones for four days; the displays, not at all.
Revised   preliminary and final prices are different files, and different answers: one dataset, `final` by default. The
          feed `prelim` has the same rows under the mark `PRELIM`, which final ones replace.
Feeds     csv and zip files have no energy component: it is null there, and the difference is never computed. They are the
          default because they need no key; the Data Exchange has it, and who wants it asks for a day by `api` alone.
Left out  ancillary prices as csv (by resource and by other services than the Data Exchange's zones and products: not the
          same facts); `df_al` and the load display (other zones, five minutes: not the same facts, and the display has no
          whole day); the generation of the Data Exchange (by region and hour); real-time ex-ante prices; the display of
          five-minute prices, which does not say whether they are preliminary, and those of the current interval;
          `GetCombined`, which has the forecasts of wind and sun once more; `mom` and `sr_la_rg`, whose layout is not
          documented.

Source: MISO, Market Reports, https://www.misoenergy.org/markets-and-operations/real-time--market-data/market-reports/;
        Data Exchange, https://data-exchange.misoenergy.org/ (labels of five minutes are starts since 2026-05-06).
Unsure: whether labels of five minutes (`MKTHOUR_EST`, the fuel mix, older answers of the Data Exchange) are starts or ends:
        `source.clock: {labels: …}`, by default starts. Which kind a node is where only its name is published: `….HUB` is a
        hub, all else a node. The words of `nodeType` beside `Hubs`. How far ahead a load forecast reaches: its day and
        five more are asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.adapters.base import Adapter, After, Ask, Trial
from aurum_etl.adapters.miso import forms, load, places, power, prices, reserves
from aurum_etl.archive import Request
from aurum_etl.manners import Manners
from aurum_etl.market import Iso
from aurum_etl.quota.limits import allowance
from aurum_etl.window import days_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    import httpx
    import pyarrow as pa

    from aurum_etl.archive import Answer
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset, Report

_READERS: Mapping[str, Callable[[Report, Path, str, int], Iterator[pa.RecordBatch]]] = {
    "wide": forms.wide,
    "weekly": forms.weekly,
    "page": forms.page,
    "fuel_mix": forms.fuel_mix,
    "forecast": forms.forecast,
}
_PAGE = "pageNumber"


class Miso(Adapter):
    """Files of a day or a week, pages of the Data Exchange, and displays."""

    iso = Iso.MISO
    bases: Mapping[str, str] = {
        "": "https://docs.misoenergy.org/marketreports",
        forms.API: "https://apim.misoenergy.org",
        forms.PUBLIC: "https://public-api.misoenergy.org/api",
    }
    allowance = allowance(300_000, 300, concurrent=5, pace=50, priority=2, burst=5, per_day=24_000)
    manners = Manners(
        nothing_there=frozenset({404}),
        says_nothing=forms.says_nothing,
        open_hosts=frozenset({"", forms.PUBLIC}),
        access=(
            "register at https://data-exchange.misoenergy.org and subscribe to Pricing "
            "(MISO_API_PRICING_SUBSCRIPTION_KEY) and to Load, Generation and Interchange "
            "(MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY); 403 is also the answer to a key that has used up "
            "its calls of the day"
        ),
        # Some agents that do not look like a browser are refused.
        user_agent="Mozilla/5.0 (compatible; aurum-etl)",
    )
    datasets = (
        *prices.DATASETS,
        *load.DATASETS,
        *power.DATASETS,
        *reserves.DATASETS,
        *places.DATASETS,
    )
    trials = (
        # Files have a megabyte; one that never was is refused at once, by who would have had it.
        Trial(prices.LMP_DAY_AHEAD, Request(iso, "20000101_da_expost_lmp.csv")),
        Trial(power.RENEWABLES, Request(iso, "WindSolar/getwindforecast", host=forms.PUBLIC), "public"),
        # Each product has a key of its own: a day of one node, and a day of four regions.
        Trial(
            prices.LMP_DAY_AHEAD.of("api"),
            Request(
                iso,
                "pricing/v1/day-ahead/2026-07-14/lmp-expost",
                (("node", "MINN.HUB"), (_PAGE, "1")),
                host=forms.API,
            ),
            "pricing",
        ),
        Trial(
            load.LOAD_ACTUAL,
            Request(
                iso,
                "lgi/v1/real-time/2026-07-14/demand/actual",
                (("geoResolution", "region"), ("timeResolution", "hourly"), (_PAGE, "1")),
                host=forms.API,
            ),
            "load",
        ),
    )

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """One request per report and day, or week, or version and day; of the Data Exchange also per named node."""
        days = list(days_of(chunk.window, dataset.timezone))
        return [
            Ask(report, request)
            for report in dataset.feed.reports
            for words in _words(report, days, dataset.timezone)
            for node in (chunk.selection.names if report.parameters.get("host") == forms.API else ()) or ("",)
            for request in [_request(report, words, node)]
        ]

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:  # noqa: ARG002 - the promise has them
        """The next page of the Data Exchange, until one says that it is the last."""
        query = dict(ask.request.query)
        if _PAGE not in query:
            return After()
        following, promised = forms.next_page(answer, int(query[_PAGE]), ask.request.describe())
        if following is None:
            return After(promised=promised)
        request = Request(
            self.iso, ask.request.path, (*({**query, _PAGE: str(following)}).items(),), host=ask.request.host
        )
        return After((Ask(ask.report, request),), promised)

    def auth(
        self,
        dataset: Dataset,
        credentials: Mapping[str, str],
        bases: Mapping[str, str],  # noqa: ARG002 - the promise has them
    ) -> httpx.Auth | None:
        """The key of the product, for the Data Exchange alone."""
        if not dataset.feed.credentials:
            return None
        from aurum_etl.adapters.access import SubscriptionKey

        return SubscriptionKey(credentials, dataset.feed.credentials)

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns, by the report's form."""
        return _READERS[report.parameters["form"]](report, path, where, max_bytes)


MISO = Miso()


def _words(report: Report, days: list[date], zone: str) -> list[dict[str, date | str]]:
    """What stands for the words of the report's path and query, once per request."""
    path = report.parameters["path"]
    if "{week" in path:
        mondays = dict.fromkeys(day - timedelta(day.weekday()) for day in days)
        return [{"week": monday + timedelta(14)} for monday in mondays]
    if "{display" in path:
        today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
        return [{"display": each} for each in dict.fromkeys("Today" if day >= today else "Yesterday" for day in days)]
    if "{target" in path:
        return [{"day": day, "target": day + timedelta(ahead)} for day in days for ahead in range(load.AHEAD_DAYS)]
    if report.parameters.get("?date"):
        # Of a registry only how it stands at the end.
        return [{"day": days[-1]}]
    return [{"day": day} for day in days] if "{day" in path else [{}]


def _request(report: Report, words: dict[str, date | str], node: str) -> Request:
    query = {name[1:]: value.format(**words) for name, value in report.parameters.items() if name.startswith("?")}
    if report.parameters["form"] == "page":
        query |= ({"node": node} if node else {}) | {_PAGE: "1"}
    return Request(
        Iso.MISO,
        report.parameters["path"].format(**words),
        tuple(query.items()),
        host=report.parameters.get("host", ""),
    )
