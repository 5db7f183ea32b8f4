"""ERCOT: the public API, the documents behind it, MIS, and a dashboard.

Base      https://api.ercot.com/api/public-reports for rows (`/{product}/{name}`) and for documents (`/archive/{product}`);
          https://www.ercot.com for the lists of MIS and their documents, and for the dashboards; a login of its own.
Access    of the public API: an account and a subscription key, free, https://apiexplorer.ercot.com. Name and password are
          exchanged for an id token that lives an hour; every request carries it and the key. MIS and the dashboards ask for
          nothing. Visitors from outside of the United States are refused by all of them, with 403 or a page of html.
Limits    30 requests a minute: 429, or the gateway's notice. A page has as many rows as one asks for, 100,000 here; a
          download as many documents as the product says, and counts once.
Answers   json with arrays whose places `fields` names; a zip with a csv per document, and one of such zips where many are
          asked for at once, in any order, each with its id in its name.
Nothing   is a 200 with `totalRecords` 0; a list of documents in which none of the window stands, unless MIS lists none at all;
          and a document with a header and no rows, if it came in a zip, whose checksum says that it is whole.
Too much  is a 400 whose message says so, or a 413, and asked for in halves: of days, of the dispatch also of hours; then of a
          page's rows, or of the documents. Where `api` fails for all places, the documents of `archive` take its place.
Time      the clock on the wall in Texas: the hour that ends, `01:00` to `24:00`, `1:00`, or `1`; a quarter of an hour as a
          number inside it; runs of the dispatch to the second. A flag marks one of the two equal hours in autumn; spring
          has no hour ending 03:00. The dashboard stamps the ends of its intervals, some seconds early.
Appears   day-ahead results about 13:00 the day before; real-time prices minutes after their interval; load at 05:50 of the
          next day; load forecasts at half past every hour, those of wind and sun at five to.
Kept      by MIS 31 days (day-ahead, load), 7 (real time, forecasts) or 5 (dispatch); rows since December 2023; documents for
          seven years. The dashboard has yesterday and today.
Revised   no version marks: what is corrected is posted again, and of two documents about the same fact the later counts.
Feeds     `mis`, the default, needs no account and takes one request per document: a day of the dispatch is 289, ten minutes.
          `api` brings the same as rows, and `archive` as documents, many at once. Documents are listed by when they were
          posted, not by what they are about: the lists of some hours around a window are read, and what is of other days is
          passed over. Forecasts are had as documents alone: in the hour that comes twice the rows' `postedDatetime` does not
          say which it means, and the names of documents do.
Prices    are one number: ERCOT publishes no components, and none is made up. A settlement point price has the adders of
          scarcity in it, a price of the dispatch has not.
Zones     NP6-905 has every load zone twice under one name: as `LZ`, and energy-weighted as `LZEW` (the ties `LZ_DC` and
          `LZ_DCEW`). Two prices of one name and interval are one too many for a key that has no kind of place, and names
          are not altered: `LZ` is the row, since it is what the same name means day-ahead and in the dispatch, and `LZEW` is
          passed over.
Load      NP6-345 and NP6-346 are told apart by `load_native`. The total of all zones is no place with a name: it is ERCOT.
Models    `forecast_model` is what NP3-565 calls its models, of which all are kept, whichever is in use; NP3-560 and NP3-561,
          which have the one in use and do not name it, are models under their own names. Wind has STWPF (as likely as not to
          be exceeded) and WGRPP (exceeded four times of five), sun STPPF and PVGRPP. The whole is read from NP4-732 and
          NP4-737, and not once more from the files by region.
Left out  energy-weighted zones (above); prices of electrical buses (NP6-787, NP4-183: other places, a twentyfold amount);
          indicative prices (NP6-970); lambdas, adders and shadow prices, which are no prices of places; real-time prices of
          ancillary services (NP6-331, NP6-332: no answer was seen, and rows of whole weeks are missing without a word),
          their requirements (NP4-33: no amounts bought) and offers (NP3-911); planned limits (COP_HSL) and actual values of
          NP4-732 and its siblings; wind and sun of five minutes (NP4-733, NP4-738); forecasts by study area (NP3-566);
          `Native_Load`, a workbook of a year; bundles, whose form was not seen; the other dashboards, which have no whole
          days or what documents have too, and the pages of html; settlement points that are not in the first list of
          NP4-160 (averages of hubs, ties, and zones of single utilities).

Source: ERCOT, Public API, https://developer.ercot.com; data product catalog, https://www.ercot.com/mp/data-products.
Unsure: which of two equal hours the flag marks: `source.clock: {flag_means: …}`, by default the second. The csv of NP3-565,
        NP4-742, NP4-745 and NP6-346, which was not seen: columns are those of the API in the spelling of their siblings. The
        names of documents of which no list was seen; nothing depends on them. Whether the archive has NP3-560 and NP3-561,
        which the list of its products in January 2026 does not name. Since 2025 the second hour of NP3-560 is said to be
        labeled 03:00 with the flag, and is read so; files of 2024 are said to repeat an hour outright, which goes to
        quarantine. How the dashboard stamps the repeated hour. The day on which rows begin, and which of them have holes: a
        hole is answered like a day without anything, so that `archive` is the better source of what matters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aurum_etl.adapters.base import Adapter, After, Ask, Trial, in_halves
from aurum_etl.adapters.ercot import asking, forms, load, places, power, prices, reserves
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

_READERS: Mapping[str, Callable[[Report, Path, str, int], Iterator[pa.RecordBatch]]] = {
    forms.ROWS: forms.rows,
    forms.DOCUMENTS: forms.documents,
    forms.POINTS: forms.points,
    forms.FUEL_MIX: forms.fuel_mix,
}


class Ercot(Adapter):
    """Rows of queries, documents of lists, and a dashboard."""

    iso = Iso.ERCOT
    bases: Mapping[str, str] = {
        "": "https://api.ercot.com/api/public-reports",
        asking.LOGIN: "https://ercotb2c.b2clogin.com/ercotb2c.onmicrosoft.com/B2C_1_PUBAPI-ROPC-FLOW",
        asking.MIS: "https://www.ercot.com",
        asking.DASHBOARDS: "https://www.ercot.com/api/1/services/read/dashboards",
    }
    allowance = allowance(600_000, 600, concurrent=6, pace=30, priority=1, burst=5)
    manners = Manners(
        access=(
            "register at https://apiexplorer.ercot.com (ERCOT_API_USERNAME, ERCOT_API_PASSWORD) and subscribe to the Public "
            "API there (ERCOT_PUBLIC_API_SUBSCRIPTION_KEY); 403 is also the answer to who is not in the United States"
        ),
        too_much=re.compile(forms.TOO_MUCH.pattern.encode()),
    )
    datasets = (*prices.DATASETS, *load.DATASETS, *power.DATASETS, *reserves.DATASETS, *places.DATASETS)
    # One row of the public API, for which the login must give a token; the list of a few documents; the one dashboard.
    trials = (
        Trial(
            reserves.DAY_AHEAD.of("api"),
            Request(
                iso,
                "np4-188-cd/dam_clear_price_for_cap",
                (("deliveryDateFrom", "2026-07-14"), ("deliveryDateTo", "2026-07-14"), ("size", "1"), ("page", "1")),
            ),
        ),
        Trial(
            places.POINTS,
            Request(iso, "misapp/servlets/IceDocListJsonWS", (("reportTypeId", "10008"),), host=asking.MIS),
            "mis",
            parameters={forms.LISTED: "yes"},
        ),
        Trial(power.GENERATION, Request(iso, "fuel-mix.json", host=asking.DASHBOARDS), "dashboards"),
    )

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """The first page of a query, or a list of documents, for each report."""
        return [ask for report in dataset.feed.reports for ask in asking.first(report, dataset, chunk)]

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:  # noqa: ARG002 - the promise has them
        """The next page, and the documents that a list leads to."""
        return asking.after(ask, answer)

    def less(self, dataset: Dataset, ask: Ask, refusal: TooLarge) -> tuple[Ask, ...]:
        """Halves of what was asked for, of a page, or of the documents."""
        return (in_halves(self, dataset, ask, refusal) if asking.is_first(ask) else ()) or asking.less(ask)

    def auth(self, dataset: Dataset, credentials: Mapping[str, str], bases: Mapping[str, str]) -> httpx.Auth | None:
        """Token and key, for the public API alone."""
        from aurum_etl.adapters.ercot.login import Login

        if not dataset.feed.credentials:
            return None
        return Login(bases[asking.LOGIN], asking.LOGIN, self.iso.base_variable(asking.LOGIN), credentials)

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns, by the report's form."""
        return _READERS[report.parameters[forms.FORM]](report, path, where, max_bytes)


ERCOT = Ercot()
