"""CAISO: OASIS, and Today's Outlook.

Base      https://oasis.caiso.com/oasisapi, `SingleZip?queryname=…` for one report, `GroupZip?groupid=…` for all nodes in
          files made beforehand; https://www.caiso.com/outlook for the fuel mix. Anonymous, every argument in the query.
Limits    one request per five seconds and address, counted from start to start; faster ones get 429 and an html body.
          At most 31 days per request; for all nodes or all aggregates one trade date, in real time one hour; at most
          ten named nodes.
Answers   a zip, one csv per price component (or one for all), rows in no order. Errors are xml inside a zip with
          status 200: a member that ends in .xml where csv was asked for is one.
Nothing   is error 1000, and in the Outlook a 404 for a day's file. A csv without rows, and a 404 of OASIS, say nothing.
Too much  is told by the errors 1004 (days), 1017 (nodes) and 1018 (hours), and asked for in halves: of days, of nodes, then of
          hours, but not of a trade date that answers snap to. Where `oasis` fails for all nodes, `group` takes its place.
Time      `*_GMT` are UTC instants. Requests name Pacific midnights in GMT, so a change day is 23 or 25 hours long;
          a window that is off by an hour silently shifts the content, and answers for all nodes snap to the trade
          date: rows outside the chunk are passed over afterwards. The Outlook has the clock on the wall without a date:
          empty rows for the hour that spring leaves out, and autumn's repeated hour once, read as the first.
Appears   day-ahead prices about 13:00 Pacific the day before, late markets after 15:00; actual load about an hour after
          the hour. Corrected prices replace the old ones in place for two weeks, without a mark.
Kept      about 39 months online for `PRC_LMP`, longer for `SLD_FCST`, about five years as groups; older dates answer
          1000 or 1014.
Left out  procured quantities (`AS_RESULTS`) and the lists of locations (`ATL_…`): their columns are not documented.

Source: CAISO, Interface Specification for OASIS, version 5.1.2 (error codes, limits, columns),
        https://www.caiso.com/documents/oasis-interfacespecification.pdf; location patterns as published in its node lists.
Unsure: whether a location id without the suffix `-APND` can be an aggregate; such ids are read as nodes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from aurum_etl.adapters.base import Adapter, Ask, Trial
from aurum_etl.adapters.caiso import load, oasis, power, prices, reserves
from aurum_etl.archive import Request
from aurum_etl.chunk import Chunk
from aurum_etl.errors import SourceChanged
from aurum_etl.manners import Manners
from aurum_etl.market import Iso
from aurum_etl.quota.limits import allowance
from aurum_etl.window import days_of, split_hours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.dataset import Dataset, Report

_OUTLOOK = "OUTLOOK"
_DAY = re.compile(r"(?<!\d)(20\d{6})(?!\d)")


class Caiso(Adapter):
    """OASIS, one report at a time, and the Outlook's files of a day."""

    iso = Iso.CAISO
    bases: Mapping[str, str] = {"": "https://oasis.caiso.com/oasisapi", _OUTLOOK: "https://www.caiso.com/outlook"}
    allowance = allowance(500_000, 500, concurrent=3, pace=12, priority=1)
    manners = Manners(
        busy_seconds=oasis.busy_seconds,
        nothing_there=frozenset({404}),
        says_nothing=lambda answer: answer.request.host == _OUTLOOK,
    )
    datasets = (*prices.DATASETS, *load.DATASETS, *power.DATASETS, *reserves.DATASETS)
    # An hour of load is 35 lines.
    trials = (
        Trial(
            load.LOAD_ACTUAL,
            Request(
                iso,
                "SingleZip",
                (
                    ("resultformat", "6"),
                    ("queryname", "SLD_FCST"),
                    ("version", "1"),
                    ("market_run_id", "ACTUAL"),
                    ("startdatetime", "20260714T19:00-0000"),
                    ("enddatetime", "20260714T20:00-0000"),
                ),
            ),
        ),
        Trial(power.GENERATION, Request(iso, "history/20260714/fuelsource.csv", host=_OUTLOOK), "outlook"),
    )

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """One request; per ten named nodes; or per hour, where all nodes are had by the hour."""
        (report,) = dataset.feed.reports
        if report is power.GENERATION.feed.reports[0]:
            days = days_of(chunk.window, dataset.timezone)
            return [
                Ask(report, Request(self.iso, f"history/{day:%Y%m%d}/fuelsource.csv", host=_OUTLOOK)) for day in days
            ]
        windows = [chunk.window]
        if report.name in prices.HOURLY and not chunk.selection.names:
            windows = split_hours(chunk.window)
        group = report.name.endswith("_GRP")
        names = {"groupid": report.name} if group else {"queryname": report.name}
        return [
            Ask(
                report,
                Request(
                    iso=self.iso,
                    path="GroupZip" if group else "SingleZip",
                    query=tuple(
                        {
                            "resultformat": "6",
                            **names,
                            **report.parameters,
                            **oasis.locations(dataset.feed, selection),
                            **oasis.gmt(window),
                        }.items()
                    ),
                ),
                part=Chunk(chunk.dataset, selection, window),
                # Answers for a group of nodes snap to the trade date.
                by_hour=bool(selection.names) or not (group or dataset.feed.named_limit),
            )
            for window in windows
            for selection in oasis.selections(dataset.feed, chunk.selection)
        ]

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """One batch per member of a zip, or the Outlook's csv."""
        return (
            _outlook(report, path, where)
            if report.name == "fuelsource"
            else oasis.read_zip(report, path, where, max_bytes)
        )


CAISO = Caiso()


def _outlook(report: Report, path: Path, where: str) -> Iterator[pa.RecordBatch]:
    """A day of the Outlook, whose times get the day that the request or the file's name says.

    The last row is the midnight that begins the next day.
    """
    import polars as pl

    from aurum_etl import decode

    content = path.read_bytes()
    decode.demand_no_html(content, where)
    days = _DAY.findall(where)
    if not days:
        raise SourceChanged(f"{where}: the file has no date in it, and its path names none, such as 20260714")
    day = f"{days[-1][:4]}-{days[-1][4:6]}-{days[-1][6:]}"
    # A time of day is no instant yet.
    times = replace(report, published={**report.published, "Time": report.published["Time"].WORD})
    rows = pl.DataFrame(decode.csv(content, times, where))
    row = pl.int_range(pl.len())
    is_next = (row > 0) & (row == pl.len() - 1) & pl.col("Time").cast(pl.String).is_in(["00:00", "0:00", "24:00"])
    date = pl.when(is_next).then(pl.lit(day).str.to_date() + pl.duration(days=1)).otherwise(pl.lit(day).str.to_date())
    stamped = rows.with_columns(
        Time=date.cast(pl.String) + " " + pl.col("Time").cast(pl.String).str.replace("24:00", "00:00")
    )
    yield decode.records(stamped, report, where)
