"""ISO-NE: the web services, and the reports of ISO Express.

Base      https://webservices.iso-ne.com/api/v1.1 with the name and password of an ISO Express account (free), by HTTP
          Basic; https://www.iso-ne.com for reports that anybody may have. Those under `transform/csv` are served to who has
          been to a page of ISO Express before: a cookie is all that they want.
Limits    none is published; who asks fast is answered 429, or cut off. One request a second.
Answers   of the services json, a list under a plural, with `@` before attributes and `$` for text: one call is one day, or
          one hour of five-minute prices, without pages. A list of one is an object, and some paths leave out the plural.
          Reports are csv of which each line begins with its kind: C comments, H names and types, D rows, T their number.
Nothing   is a plural with nothing in it, or a 404 of the services; of reports the sentence "No data exists" with status 200,
          or the count of 0 rows. A 404 of the website says that the address is wrong.
Too much  is a 413, and cannot be asked for in less: a request is a day, or an hour. Where `api` fails for all locations, the
          report of the same market and mark takes its place.
Time      Eastern. The services give the start with its offset; regulation prices are some seconds late. Reports label the
          hour by the clock when it ends: 02X is the hour that autumn repeats, and spring has no 02.
Appears   day-ahead results about 13:00 Eastern the day before; final real-time ones about 12:40 on the next business day;
          real-time demand up to five days late; load forecasts about 04:00 and 09:20 and whenever they are revised;
          forecasts of wind and sun about 10:00.
Kept      for as long as there is history; reports of prices since January 2016.
Revised   preliminary and final results are different answers: one dataset, `final` by default, and a feed of the preliminary
          ones under the mark `PRELIM`, which final ones replace. A load forecast has as many vintages as `CreationDate`s.
Left out  five-minute prices and loads, the fuel mix and five-minute reserve prices as csv (no document shows their columns,
          their times on the wall have no offset, and those prices have neither names nor kinds of places); `current`, which
          is the newest row of what a day has; 15-minute prices and hourly operating reserves (empty whenever they were
          asked for); requirements of reserves (neither a price nor what was procured); `NetLoadMw` of forecasts (has always
          been seen equal) and the shares of regions; estimated zonal load; strike prices, interchange, constraints, the
          morning report and the seven-day capacity forecast (no kind of the contract); the dashboard's own feed (the same
          again, under other names); energy offers.

Source: ISO New England, Web Services Data, https://www.iso-ne.com/participate/support/web-services-data; ISO Express,
        https://www.iso-ne.com/isoexpress/.
Unsure: the labels of reports on change days, of which none has been seen; whether demand of a day, when no location is
        named, always comes with all of them; the columns of five-minute reserve prices, taken to be those of the hourly
        ones; when preliminary results of a day are complete; which pages hand out the cookie, and how far back forecasts of
        wind and sun can be had; that regulation service is movement, paid by MWh, while its rows say USD/MW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.adapters.base import Adapter, After, Ask, Trial
from aurum_etl.adapters.isone import forms, load, places, power, prices, reserves
from aurum_etl.archive import Request
from aurum_etl.manners import Manners
from aurum_etl.market import Iso
from aurum_etl.quota.limits import allowance
from aurum_etl.window import days_of, intersect, market_day, split_hours

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
    "service": forms.service,
    "table": forms.table,
    "week_ahead": forms.week_ahead,
}
_DOOR, _BEHIND_THE_DOOR = "isoexpress/web/reports/operations/-/tree/gen-fuel-mix", "transform/"
"""A page that hands out a cookie, and what nobody gets without one."""


class Isone(Adapter):
    """Days of the web services and reports of the website."""

    iso = Iso.ISONE
    bases: Mapping[str, str] = {
        "": "https://webservices.iso-ne.com/api/v1.1",
        forms.WWW: "https://www.iso-ne.com",
    }
    allowance = allowance(300_000, 300, concurrent=3, pace=60, priority=2)
    manners = Manners(
        nothing_there=frozenset({404}),
        says_nothing=lambda answer: not answer.request.host,
        open_hosts=frozenset({forms.WWW}),
        access=(
            "ISONE_API_USERNAME and ISONE_API_PASSWORD hold the name and password of an ISO Express account: "
            "register at https://www.iso-ne.com/isoexpress/"
        ),
    )
    datasets = (
        *prices.DATASETS,
        *load.DATASETS,
        *power.DATASETS,
        *reserves.DATASETS,
        *places.DATASETS,
    )
    # A day of the system is 24 rows. Of the website, where reports have megabytes, the page in front of the forecasts.
    trials = (
        Trial(load.HOURLY, Request(iso, "hourlysysload/day/20260714.json")),
        Trial(power.RENEWABLES, Request(iso, _DOOR, host=forms.WWW), "www", reads=False),
    )

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """One request per report and day, and of some also per hour or named location; or the page in front of them."""
        reports = dataset.feed.reports
        if any(report.parameters["path"].startswith(_BEHIND_THE_DOOR) for report in reports):
            return [Ask(reports[0], Request(self.iso, _DOOR, host=forms.WWW), reads=False)]
        return _asks(dataset, chunk)

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:  # noqa: ARG002 - the promise has them
        """The reports behind a page."""
        return After() if ask.reads else After(tuple(_asks(dataset, chunk)))

    def auth(
        self,
        dataset: Dataset,
        credentials: Mapping[str, str],
        bases: Mapping[str, str],  # noqa: ARG002 - the promise has them
    ) -> httpx.Auth | None:
        """Name and password, for the web services alone."""
        if not dataset.feed.credentials:
            return None
        from aurum_etl.adapters.access import NameAndPassword

        return NameAndPassword(credentials, dataset.feed.credentials)

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns, by the report's form."""
        return _READERS[report.parameters["form"]](report, path, where, max_bytes)


ISONE = Isone()


def _asks(dataset: Dataset, chunk: Chunk) -> list[Ask]:
    return [Ask(report, request) for report in dataset.feed.reports for request in _requests(report, chunk)]


def _requests(report: Report, chunk: Chunk) -> Iterator[Request]:
    parameters = report.parameters
    located = parameters.get("located") if chunk.selection.names else None
    days = list(days_of(chunk.window, Iso.ISONE.timezone))
    if "{day" not in "".join(parameters.values()):
        # A registry, which is as it is now.
        days = days[-1:]
    for day in days:
        for hour in _hours(day, chunk) if "{hour" in parameters["path"] else (0,):
            for location in chunk.selection.names if located else ("",):
                words = {"day": day, "hour": hour, "location": location}
                query = {name[1:]: value.format(**words) for name, value in parameters.items() if name[0] == "?"}
                path = (located or parameters["path"]).format(**words)
                yield Request(Iso.ISONE, path, tuple(query.items()), host=parameters.get("host", ""))


def _hours(day: date, chunk: Chunk) -> list[int]:
    """The hours that the clock shows on the day: autumn's twice-shown one counts once, and spring's is not there."""
    zone = ZoneInfo(Iso.ISONE.timezone)
    window = intersect(market_day(day, Iso.ISONE.timezone), chunk.window)
    pieces = split_hours(window) if window else []
    return list(dict.fromkeys(each.start.astimezone(zone).hour for each in pieces))
