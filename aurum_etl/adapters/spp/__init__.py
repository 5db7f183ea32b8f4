"""SPP: the files of the Marketplace Portal.

Base      https://portal.spp.org/file-browser-api/download/<file system>?path=/<folders>/<file>, one csv after the other;
          there is nothing to query, no key and no page.
Limits    none are published: two a second are polite, and 30 a minute the default. Some addresses outside the United
          States are refused.
Answers   csv with a header line, with blanks in front of its names, which differ from file to file and from year to year
          (`GMTIntervalEnd`, `GMT Interval`, `MarketHour`): one table says which are the same. Rows of commas alone are no
          rows.
Nothing   is a missing file: a 404 without a body. One with a body is the word of something in between.
Too much  is a 413, and cannot be asked for in less: files are whole. Where the files of `interval` cannot all be had, that of
          the day takes their place once it is there.
Time      every row has its interval's end in UTC, and that is read; the local label beside it stands twice in autumn. Names
          of files tell the local end of their interval, or when a forecast was made; in the hour that comes twice the second
          has a `d`, which at the full hour differs by product: both names are tried.
Appears   day-ahead prices 13:00 to 14:00 Central the day before; five-minute files at once, the day of them as one file about
          five days later; hourly load a day later.
Kept      prices since March 2014 and load since 2011, it is said; recordings are of 2025 and later, and of load since 2015.
          The fuel mix by area for 365 days.
Revised   files are replaced without a mark: `schedule.lookback_days` asks again. What load was is told by each forecast file
          that follows: the file's time, in UTC, is the version, and the latest counts.
Areas     since 2026-04-01 the market has two balancing areas, SPP and SWPW, each with energy prices of its own. Files name
          them in `BAA`, anywhere in the line; before, every file is of SPP, and says nothing. Totals of the market are not
          published, and are the sum of the two. Control zones and reserve zones lie within them.
Load      of control zones is one number until 2026-03-23, and in rows of conforming (`CF`) and non-conforming load (`NC`)
          since then, whose sum continues it.
Left out  prices by bus: a settlement location's price is its Pnode's (no Pnode of a recorded day has two), some Pnodes have
          the name of a location, and the two have one key and one scope, so that loading the one would take away the other;
          repriced intervals in `RePrice`, whose names are not known (the file of the day comes later); monthly and yearly
          files of prices and yearly zips of load, whose folders or members are not documented; the WEIS market, which ended;
          megawatts cleared (`DA-MC`, `RTBM-OR`), system-wide, whose rows would be those of the prices of zone SPP; the charts,
          which know no area and not when their forecasts were made; constraints, marginal fuels, virtual bids and tie flows,
          for which the contract has no kind.

Source: SPP, Marketplace Portal, https://portal.spp.org/groups/integrated-marketplace.
Unsure: whether the fuel mix labels ends or starts: `source.clock: {labels: …}`, by default ends, as the year's first row is
        00:05. What kind a settlement location is, since no file says: three hubs and a list of interfaces are known, all
        else is a node. Whether a location can stand under both areas: its rows would have one key, and be rejected. Long
        form of hourly load (since 2026-03-24), prices of reserves in real time and short-term forecasts: known from those
        who read them, not from recordings. How far forecasts reach back, and how long hourly files of old years are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurum_etl.adapters.base import Adapter, Ask, Trial
from aurum_etl.adapters.spp import files, load, power, prices, reserves
from aurum_etl.archive import Request
from aurum_etl.manners import Manners
from aurum_etl.market import Iso
from aurum_etl.quota.limits import allowance
from aurum_etl.window import days_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset, Report


class Spp(Adapter):
    """Files of a year, month, day, hour or interval, each whole."""

    iso = Iso.SPP
    bases: Mapping[str, str] = {"": "https://portal.spp.org"}
    allowance = allowance(200_000, 200, concurrent=3, pace=30, priority=3)
    manners = Manners(
        nothing_there=frozenset({404}),
        says_nothing=lambda answer: answer.size == 0,
        access="the portal needs no key, and refuses some addresses outside the United States",
    )
    datasets = (*prices.DATASETS, *load.DATASETS, *power.DATASETS, *reserves.DATASETS)
    # A day of five reserve zones.
    trials = (
        Trial(
            reserves.DATASETS[0],
            Request(iso, "file-browser-api/download/da-mcp", (("path", "/2026/07/DA-MCP-202607140100.csv"),)),
        ),
    )

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """A file per report and whatever it is a file of."""
        days = list(days_of(chunk.window, dataset.timezone))
        return [ask for report in dataset.feed.reports for ask in files.asks(report, days)]

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns; every file is read alike."""
        return files.read(report, path, where, max_bytes)


SPP = Spp()
