"""PJM: Data Miner 2, one feed per product.

Base      https://api.pjm.com/api/v1/{feed}, with a free subscription key (https://apiportal.pjm.com, product Data Miner).
Limits    6 requests a minute, 600 for members: 429 without a Retry-After. 50,000 rows per page, `startRow` from 1. A filter
          spans at most 366 days, and both of its ends count.
Answers   json with `items` and `totalRows`, or a bare list (`download=true`), or csv.
Nothing   is `totalRows: 0` beside `items: []`, with status 200, whether it is too early, a gap, or a filter that meets nothing.
          A bare list without rows, or a csv without them, does not say so: notices of the throttle have come as csv.
Too much  is a 400 whose message says so, or a 413, and asked for in halves: of days, of nodes, of hours, then of a page's rows.
Archive   hourly prices older than 731 days and five-minute ones older than 186, counted in UTC, can be filtered by their
          date, by `type` (hourly) and by version alone, inside one calendar year, and not across the edge: requests are cut
          there, and named nodes are then taken out of all of them.
Time      `*_utc` is the start of the interval; `*_ept` stands beside it, and is never read where both are.
Appears   day-ahead prices about 13:30 Eastern the day before; verified real-time ones days later; unverified ones within
          minutes; metered load a day or more late.
Kept      prices since about 2000; instantaneous load, hourly forecasts of wind and sun, and unverified prices about 30 days.
Revised   corrected rows stand beside the old ones with `version_nbr` + 1: the highest counts. Metered load is replaced in
          place for about 90 days. Unverified five-minute prices have the mark `UNVERIFIED`, and verified ones replace them.
Left out  `rt_unverified_hrl_lmps` (names without ids, so not the same places); `hrl_load_prelim` and `hrl_load_estimated`
          (other areas than the metered ones); `ancillary_services` and its siblings (whose words no document lists);
          hourly `reserve_market_results` of before 2022-09; five-minute wind and solar forecasts; day-ahead and real-time
          prices of `rt_da_monthly_lmps` (the same once more).

Source: PJM, Data Miner 2 API Guide, https://dataminer2.pjm.com; feed definitions at /feed/{feed}/definition.
Unsure: whether the archive's edge lies at a UTC midnight; whether the areas of `load_frcstd_hist` are those of
        `load_frcstd_7_day` under other names (they are kept as published); the columns of reserve results, of which no
        answer has been seen; how long unverified prices are kept; that energy labeled MWh of forecasts is the
        mean power of the hour.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl.adapters.base import Adapter, After, Ask, Trial, in_halves
from aurum_etl.adapters.pjm import dataminer, load, nodes, power, prices, reserves
from aurum_etl.archive import Request
from aurum_etl.manners import Manners
from aurum_etl.market import Iso
from aurum_etl.quota.limits import allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import httpx
    import pyarrow as pa

    from aurum_etl.archive import Answer
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset, Report
    from aurum_etl.errors import TooLarge


class Pjm(Adapter):
    """Feeds of Data Miner, page by page."""

    iso = Iso.PJM
    bases: Mapping[str, str] = {"": "https://api.pjm.com/api/v1"}
    allowance = allowance(400_000, 400, concurrent=4, pace=6, priority=1, burst=2)
    manners = Manners(
        access="PJM_API_KEY holds a subscription key: register at https://apiportal.pjm.com and subscribe to Data Miner",
        too_much=re.compile(rb"(?i)too (?:large|long|many|much)|exceed|(?:longer|more) than"),
    )
    datasets = (*prices.DATASETS, *load.DATASETS, *power.DATASETS, *reserves.DATASETS, *nodes.DATASETS)
    # One row of the list of nodes.
    trials = (Trial(nodes.NODES, Request(iso, "pnode", (("startRow", "1"), ("rowCount", "1")))),)

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """The first page of each report, piece of the window, and fifty named nodes."""
        return [
            Ask(
                report,
                Request(self.iso, report.name, tuple(query.items())),
                part=part,
                by_hour=True,
            )
            for report in dataset.feed.reports
            for query, part in dataminer.queries(report, chunk, self._now())
        ]

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:  # noqa: ARG002 - the promise has them
        """All further pages, once the first one has said how many rows there are."""
        query = dict(ask.request.query)
        if query["startRow"] != "1":
            return After()
        total = dataminer.total_rows(answer.body)
        rows = int(query["rowCount"])
        further = range(1 + rows, (total or 0) + 1, rows)
        return After(tuple(_page(ask, start, rows, total or 0) for start in further), total)

    def less(self, dataset: Dataset, ask: Ask, refusal: TooLarge) -> tuple[Ask, ...]:
        """Halves of what was asked for, or of a page."""
        query = dict(ask.request.query)
        start, rows = int(query["startRow"]), int(query["rowCount"])
        if start == 1 and (halves := in_halves(self, dataset, ask, refusal)):
            return halves
        if rows < 2 * dataminer.LEAST_PAGE_ROWS:
            return ()
        half = rows // 2
        if start == 1:
            # It leads to the others.
            return (_page(ask, 1, half, 0),)
        last = start - 1 + (ask.rows or rows)
        edges = ((start, half), (start + half, rows - half))
        return tuple(_page(ask, first, most, last) for first, most in edges if first <= last)

    def auth(
        self,
        dataset: Dataset,
        credentials: Mapping[str, str],
        bases: Mapping[str, str],  # noqa: ARG002
    ) -> httpx.Auth | None:
        """The subscription key."""
        from aurum_etl.adapters.access import SubscriptionKey

        return SubscriptionKey(credentials, dataset.feed.credentials) if dataset.feed.credentials else None

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """One batch per page, or per file."""
        return dataminer.read(report, path, where, max_bytes)


PJM = Pjm()


def _page(ask: Ask, start: int, rows: int, last: int) -> Ask:
    """The same from that row on, of which there are so many until the `last`."""
    query = {**dict(ask.request.query), "startRow": str(start), "rowCount": str(rows)}
    left = min(rows, last - start + 1) if last else None
    return replace(ask, request=replace(ask.request, query=tuple(query.items())), rows=left)
