"""Documents: the archive of the API, and the lists of MIS.

The id of a document says when it was posted, of which product it is, and which of its forms it has; so nothing is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock, points, wire
from aurum_etl.simulator.ercot.query import meta
from aurum_etl.simulator.ercot.wire import Refused
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aurum_etl.simulator.ercot.product import Product, Scope

_EPOCH, _LATEST = datetime.fromisoformat("2010-01-01"), datetime.fromisoformat("9000-01-01")
_FIRST_ID = 1_000_000_000
_PER_MINUTE = 64
_MOST_LISTED = 1000
_AT_ONCE = 40
"""Documents whose rows are made together: enough to be quick, and not too many for the memory."""
_DUNS = "0" * 16
_MINUTE = timedelta(minutes=1)
_MONTH = 30 * 24 * 60
"""Minutes."""
_FIELDS = ("posted", "first", "last", "revision")


@dataclass(frozen=True, slots=True)
class Document:
    """One posting in one of its formats."""

    product: Product
    number: int
    """Of the product."""
    posted: datetime
    first: datetime
    last: datetime
    revision: int
    is_xml: bool = False

    @property
    def identity(self) -> int:
        """Its id; higher ones are newer."""
        minutes = (self.posted - _EPOCH) // _MINUTE
        return _FIRST_ID + minutes * _PER_MINUTE + self.number * 4 + self.revision * 2 + self.is_xml

    @property
    def friendly_name(self) -> str:
        """What lists call it."""
        title = self.product.title(self.first, self.posted, self.revision)
        if not self.product.twins:
            return title
        return f"{title}_{'xml' if self.is_xml else 'csv'}"

    @property
    def milliseconds(self) -> int:
        """The part of the time of posting that only names show."""
        return self.identity * 2_654_435_761 // 2**17 % 1000

    def constructed_name(self) -> str:
        """The name of the file."""
        stamp = f"{clock.wall(self.posted):%Y%m%d.%H%M%S}{self.milliseconds:03}"
        return f"cdr.{self.product.report_type:08}.{_DUNS}.{stamp}.{self.friendly_name}.zip"

    def member_name(self) -> str:
        """The name of what is in it."""
        title = self.product.title(self.first, self.posted, self.revision)
        name = f"cdr.{self.product.report_type:08}.{_DUNS}.{clock.wall(self.posted):%Y%m%d.%H%M%S}.{title}"
        return f"{name}.{'xml' if self.is_xml else 'csv'}"

    def zip(self, scope: Scope, fault: str | None) -> bytes:
        """The file."""
        stamp = clock.wall(self.posted)
        if self.product is points.SETTLEMENT_POINTS:
            return zipped(points.list_members(scope, f"{stamp:%m%d%Y_%H%M%S}", fault), stamp)
        rows = self.product.document_rows(scope, (self.first, self.last), self.revision, [self.posted])
        rows = wire.broken(rows, fault, self.product)
        text = wire.xml_text(rows, self.product) if self.is_xml else wire.csv_text(rows, self.product, fault)
        return zipped([(self.member_name(), text.encode())], stamp)


def posted(products: Sequence[Product], number: int, scope: Scope, span: clock.Span) -> Iterator[Document]:
    """The csv documents of a product, newest first."""
    for row in products[number].documents(scope, span).select(_FIELDS).iter_rows():
        yield Document(products[number], number, *row)


def found(products: Sequence[Product], scope: Scope, identity: int) -> Document | None:
    """The document with an id."""
    minutes, rest = divmod(identity - _FIRST_ID, _PER_MINUTE)
    number, form = divmod(rest, 4)
    if not 0 <= minutes <= (_LATEST - _EPOCH) // _MINUTE or number >= len(products):
        return None
    start = _EPOCH + minutes * _MINUTE
    for each in posted(products, number, scope, (start, start + _MINUTE)):
        if each.revision == form // 2 and (each.product.twins or form % 2 == 0):
            return replace(each, is_xml=bool(form % 2))
    return None


def archive_list(
    products: Sequence[Product], number: int, scope: Scope, query: Mapping[str, str], base: str
) -> dict[str, object]:
    """A page of what the archive has of a product: csv documents alone."""
    product = products[number]
    filters = {name: text for name, text in query.items() if name not in ("page", "size", "subscription-key")}
    bounds = {"postDatetimeFrom": _EPOCH, "postDatetimeTo": _LATEST}
    for name, text in filters.items():
        if name not in bounds:
            raise Refused(400, f"{name} is no parameter of the archive.")
        try:
            bounds[name] = datetime.fromisoformat(text)
        except ValueError:
            raise Refused(400, f"{text} is no value of {name}.") from None
        if bounds[name].tzinfo is not None:
            raise Refused(400, f"{text} has an offset.")
    page, size = query.get("page", "1"), query.get("size", str(_MOST_LISTED))
    if not page.isdecimal() or int(page) < 1 or not size.isdecimal() or not 1 <= int(size) <= _MOST_LISTED:
        raise Refused(400, f"page and size are numbers; size is not more than {_MOST_LISTED}.")
    first, last = bounds.values()
    # The calendar ends somewhere; what lies beyond now is not posted anyway.
    span = clock.around(max(first, _EPOCH), min(last, _LATEST))
    within = clock.central(pl.col("posted")).is_between(first, last)
    table = product.documents(scope, span).filter(within)
    rows = table.slice((int(page) - 1) * int(size), int(size)).select(_FIELDS).iter_rows()
    listed = [Document(product, number, *row) for row in rows]
    return {
        "_meta": meta(int(page), int(size), table.height, filters, "postDatetime: DESC"),
        "product": {"emilId": product.emil, "name": product.name, "reportTypeId": product.report_type},
        "archives": [
            {
                "docId": each.identity,
                "friendlyName": each.friendly_name,
                "postDatetime": f"{clock.wall(each.posted):%Y-%m-%dT%H:%M:%S}.{each.milliseconds:03}",
                "_links": {"endpoint": {"href": f"{base}/archive/{product.path}?download={each.identity}"}},
            }
            for each in listed
        ],
        "_links": {"self": {"href": f"{base}/archive/{product.path}"}, "parent": {"href": base}},
    }


def several(products: Sequence[Product], number: int, scope: Scope, identities: Sequence[int]) -> dict[int, Document]:
    """The csv documents of a product with those ids, as far as there are such; looked up month by month."""
    months: dict[int, list[int]] = {}
    for each in identities:
        months.setdefault((each - _FIRST_ID) // (_PER_MINUTE * _MONTH), []).append(each)
    listed: dict[int, Document] = {}
    for month, wanted in months.items():
        if not 0 <= month <= (_LATEST - _EPOCH) // _MINUTE // _MONTH:
            continue
        start = _EPOCH + month * _MONTH * _MINUTE
        there = {each.identity: each for each in posted(products, number, scope, (start, start + _MONTH * _MINUTE))}
        listed |= {each: there[each] for each in wanted if each in there}
    return listed


def bulk(documents: Sequence[Document], scope: Scope, fault: str | None) -> bytes:
    """A zip of the zips, in an order of its own; a fault hits the first one."""
    ordered = sorted(documents, key=lambda each: each.identity % 997)
    zips: dict[int, bytes] = {}
    if fault is not None or ordered[0].product is points.SETTLEMENT_POINTS:
        zips = {each.identity: each.zip(scope, None if number else fault) for number, each in enumerate(ordered)}
    else:
        by_time = sorted(documents, key=lambda each: (each.revision, each.posted))
        for start in range(0, len(by_time), _AT_ONCE):
            zips |= _zips(by_time[start : start + _AT_ONCE], scope)
    members = [(f"{each.identity}.{each.constructed_name()}", zips[each.identity]) for each in ordered]
    return zipped(members, clock.wall(scope.now))


def _zips(documents: Sequence[Document], scope: Scope) -> dict[int, bytes]:
    """Many files, with their rows made together."""
    product, found = documents[0].product, {}
    header = wire.csv_header(product, None)
    for revision in (0, 1):
        chosen = {each.posted: each for each in documents if each.revision == revision}
        if not chosen:
            continue
        span = min(each.first for each in chosen.values()), max(each.last for each in chosen.values())
        rows = product.document_rows(scope, span, revision, list(chosen))
        texts = rows.group_by("document", maintain_order=True).agg(wire.csv_line(product, None).str.join("\n"))
        for when, text in texts.iter_rows():
            document = chosen[when]
            content = f"{header}{text}\n".encode()
            found[document.identity] = zipped([(document.member_name(), content)], clock.wall(when))
    return found


def mis_list(products: Sequence[Product], scope: Scope, report_type: str) -> list[dict[str, dict[str, str]]]:
    """What MIS shows of a report type: some days, newest first, every posting as csv and as xml."""
    number = next((i for i, each in enumerate(products) if str(each.report_type) == report_type), None)
    if number is None:
        return []
    product = products[number]
    today = clock.wall(scope.now).date()
    span = clock.midnight(today - timedelta(product.mis_days)), scope.now + timedelta(microseconds=1)
    # All stamps have the offset of today, even if they are from before the clock was changed.
    offset = f"{scope.now.replace(tzinfo=UTC).astimezone(clock.CENTRAL):%z}"
    offset = f"{offset[:3]}:{offset[3:]}"
    return [
        {"Document": _listed(each, offset)}
        for csv in posted(products, number, scope, span)
        for each in ((csv, replace(csv, is_xml=True)) if product.twins else (csv,))
    ]


def _listed(document: Document, offset: str) -> dict[str, str]:
    product, local = document.product, clock.wall(document.posted)
    return {
        "ExpiredDate": f"{local.date() + timedelta(product.mis_days)}T23:59:59{offset}",
        "ILMStatus": "EXT",
        "SecurityStatus": "P",
        "ContentSize": str(8000 + document.identity % 5003),
        "Extension": "zip",
        "ReportTypeID": str(product.report_type),
        "Prefix": "cdr",
        "FriendlyName": document.friendly_name,
        "ConstructedName": document.constructed_name(),
        "DocID": str(document.identity),
        "PublishDate": f"{local:%Y-%m-%dT%H:%M:%S}{offset}",
        "ReportName": product.name,
        "DUNS": _DUNS,
        "DocCount": "0",
    }
