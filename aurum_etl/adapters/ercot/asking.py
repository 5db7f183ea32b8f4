"""How each form is asked for: queries of the public API, and lists of documents with what they lead to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.adapters.base import After, Ask
from aurum_etl.adapters.ercot import forms
from aurum_etl.archive import Request
from aurum_etl.chunk import Selection
from aurum_etl.errors import SourceChanged
from aurum_etl.market import Iso
from aurum_etl.window import Window, days_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from aurum_etl.archive import Answer
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset, Report

LOGIN, MIS, DASHBOARDS = "LOGIN", "MIS", "DASHBOARDS"
PATH, BY_DAY, BY_STAMP, NAMED = "path", "by day", "by stamp", "named"
"""Parameters of a report: its path; the column that windows are filtered by, where it is a date or an instant; the one that
places are filtered by."""
POSTED_FROM, POSTED_TO, LABELED, MOST = "posted from", "posted to", "labeled", "most"
"""The same of documents: how many hours after the window's start and end they are posted; whether their names have the stamp
of their interval; how many of them the product lets one have at once."""
PAGE_ROWS = 100_000
"""In everyday use, where two million is the limit of an answer."""
_LEAST_PAGE_ROWS = 100
_LIST_PAGE = 1000
_LIST_PATH = "misapp/servlets/IceDocListJsonWS"
_DOCUMENT_PATH = "misdownload/servlets/mirDownload"


def first(report: Report, dataset: Dataset, chunk: Chunk) -> Iterator[Ask]:
    """The requests that a report begins with."""
    form = report.parameters[forms.FORM]
    if form == forms.ROWS:
        for name in chunk.selection.names or ("",):
            query = {**_between(report, chunk), **({report.parameters[NAMED]: name} if name else {})}
            yield Ask(
                report,
                _api(report.parameters[PATH], **query, size=str(PAGE_ROWS), page="1"),
                part=replace(chunk, selection=Selection.named([name])) if name else chunk,
                by_hour=BY_STAMP in report.parameters,
            )
    elif form == forms.FUEL_MIX:
        yield Ask(report, Request(Iso.ERCOT, report.parameters[PATH], host=DASHBOARDS))
    else:
        yield _list(report, dataset, chunk)


def after(ask: Ask, answer: Answer) -> After:
    """The next page, and the documents of a list."""
    request, query = ask.request, dict(ask.request.query)
    where = request.describe()
    if request.path == _LIST_PATH:
        found = forms.wanted(forms.listed(answer.body.read_bytes(), where), ask.report)
        return After(tuple(_of_mis(ask.report, each) for each in found))
    if "page" not in query:
        return After()
    content = answer.body.read_bytes()
    further = _next_page(ask, content, int(query["page"]))
    if ask.report.parameters[forms.FORM] == forms.ROWS:
        return After(further, forms.said(content, b"totalRecords"))
    found = forms.wanted(forms.listed(content, where), ask.report)
    most = int(ask.report.parameters[MOST])
    bulks = (found[number : number + most] for number in range(0, len(found), most))
    return After((*(_of_the_archive(ask.report, bulk) for bulk in bulks), *further))


def is_first(ask: Ask) -> bool:
    """Whether nothing of what it belongs to has come before it."""
    return dict(ask.request.query).get("page") == "1"


def less(ask: Ask) -> tuple[Ask, ...]:
    """A page with half of the rows, which leads to the others; or the documents in two answers."""
    ids = ask.report.parameters.get(forms.IDS, "").split(",")
    if len(ids) > 1:
        middle = len(ids) // 2
        return tuple(_with_ids(ask.report, half) for half in (ids[:middle], ids[middle:]))
    query = dict(ask.request.query)
    rows, page = int(query.get("size", "0")), int(query.get("page", "0"))
    if ask.report.parameters[forms.FORM] != forms.ROWS or rows % 2 or rows < 2 * _LEAST_PAGE_ROWS:
        return ()
    return (
        replace(ask, request=_api(ask.request.path, **{**query, "size": str(rows // 2), "page": str(2 * page - 1)})),
    )


def _next_page(ask: Ask, content: bytes, asked: int) -> tuple[Ask, ...]:
    """The page that follows, if the answer says that there is one.

    Raises: SourceChanged if another page came than was asked for: following would never end.
    """
    current, pages = forms.said(content, b"currentPage"), forms.said(content, b"totalPages")
    if current is None or pages is None or asked >= pages:
        return ()
    if current != asked:
        raise SourceChanged(f"{ask.request.describe()}: page {asked} was asked for, and page {current} came")
    query = {**dict(ask.request.query), "page": str(asked + 1)}
    return (Ask(ask.report, _api(ask.request.path, **query)),)


def _between(report: Report, chunk: Chunk) -> dict[str, str]:
    """The window; both ends of a filter count."""
    column = report.parameters.get(BY_DAY)
    if column is not None:
        days = list(days_of(chunk.window, forms.ZONE))
        return {f"{column}From": str(days[0]), f"{column}To": str(days[-1])}
    column = report.parameters[BY_STAMP]
    # The last second, and not the end less one: the clock on the wall goes back where an hour comes twice.
    start, last = _wall(replace(chunk, window=Window(chunk.window.start, chunk.window.end - timedelta(seconds=1))))
    return {f"{column}From": _stamp(start), f"{column}To": _stamp(last)}


def _list(report: Report, dataset: Dataset, chunk: Chunk) -> Ask:
    """The list of what was posted when the documents of the window are."""
    start, end = _wall(chunk)
    span = {
        forms.FIRST: _stamp(start + timedelta(hours=int(report.parameters.get(POSTED_FROM, "0")))),
        forms.LAST: _stamp(end + timedelta(hours=int(report.parameters.get(POSTED_TO, "0")))),
    }
    if dataset.contract.is_registry:
        # Its newest document is asked for, whenever that was posted.
        span = {}
    if LABELED in report.parameters:
        # Stamps in the repeated hour are those of the hour before, hence an hour more.
        hour = timedelta(hours=1)
        span |= {forms.LABEL_FIRST: _stamp(start - hour), forms.LABEL_LAST: _stamp(end + hour)}
    report = replace(report, parameters={**report.parameters, forms.LISTED: "yes", **span})
    if dataset.feed.name == MIS.lower():
        query = (("reportTypeId", report.parameters[forms.TYPE_ID]),)
        return Ask(report, Request(Iso.ERCOT, _LIST_PATH, query, host=MIS))
    return Ask(
        report,
        _api(
            f"archive/{report.parameters[forms.PRODUCT].lower()}",
            postDatetimeFrom=span[forms.FIRST],
            postDatetimeTo=span[forms.LAST],
            size=str(_LIST_PAGE),
            page="1",
        ),
    )


def _of_mis(report: Report, document: forms.Document) -> Ask:
    named = replace(report, parameters={**report.parameters, forms.CONTAINER: document.name})
    return Ask(named, Request(Iso.ERCOT, _DOCUMENT_PATH, (("doclookupId", document.id),), host=MIS))


def _of_the_archive(report: Report, bulk: list[forms.Document]) -> Ask:
    """Many documents in one answer: it counts once against the limit of requests."""
    return _with_ids(report, [each.id for each in bulk])


def _with_ids(report: Report, ids: list[str]) -> Ask:
    path = f"archive/{report.parameters[forms.PRODUCT].lower()}/download"
    named = replace(report, parameters={**report.parameters, forms.IDS: ",".join(ids)})
    return Ask(named, Request(Iso.ERCOT, path, body=json.dumps({"docIds": ids})))


def _api(path: str, **query: str) -> Request:
    return Request(Iso.ERCOT, path, tuple(query.items()))


def _wall(chunk: Chunk) -> tuple[datetime, datetime]:
    """Both ends of the window by the clock on the wall."""
    zone = ZoneInfo(forms.ZONE)
    start, end = (each.astimezone(zone).replace(tzinfo=None) for each in (chunk.window.start, chunk.window.end))
    return start, end


def _stamp(wall: datetime) -> str:
    return f"{wall:%Y-%m-%dT%H:%M:%S}"
