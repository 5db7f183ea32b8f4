"""ERCOT: the public API with its login, the document lists of MIS, and a dashboard.

Source: ERCOT, Public API, OpenAPI description and product list; answers recorded from the API, from MIS and from the
dashboards.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aurum_etl.simulator.base import Answer, damaged, payload_too_large
from aurum_etl.simulator.ercot import clock, dashboards, documents, load, login, points, power, prices, query, wire
from aurum_etl.simulator.ercot.product import Scope
from aurum_etl.simulator.ercot.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.base import Asked
    from aurum_etl.simulator.ercot.product import Product

_POINTS = 1118
_CACHED_BODIES = 8
_PREFIX = "/ercot/api/public-reports"
_ZIP = "application/zip"
_BEFORE = datetime.fromisoformat("2000-01-01")
# The number of a product is part of its documents' ids.
_PRODUCTS: tuple[Product, ...] = (
    *load.FORECASTS,
    points.SETTLEMENT_POINTS,
    *prices.PRODUCTS,
    *load.ACTUAL,
    *power.PRODUCTS,
)
_NUMBERS = {each.path: number for number, each in enumerate(_PRODUCTS)}


class ErcotSimulator:
    """The public API, MIS and the dashboard of generation by fuel, with invented numbers.

    Unsure: the words of all refusals (400, 401, 404, 429), for none was recorded; that `expires_in` is text, that a wrong
    password is `access_denied`, and that unknown parameters are refused; how many rows a page has if nobody says (100, as
    recorded once); the order of rows but for day-ahead prices; that `DSTFlag` true is the second of the two hours (the
    recorded answer has it first in the array, and so is it here); that stamps in JSON have no fraction; how names in the
    repeated hour spell `xhr`; which price file has a blank before its numbers (here NP6-905); the names of load models; the
    csv of NP3-565, NP4-742, NP4-745 and NP6-346, and the name of the list of settlement points; how often that list is
    posted (every Monday), and its members beside the first; the form of xml documents; that documents inside a bulk
    download have milliseconds in their names; how many seconds apart split stamps of the fuel mix are.
    Deviates: no bundles, and no products but those in `_PRODUCTS`; those that have no rows to query are in the product list
    here, without artifacts; the archive reaches back to May 2014, as real lists do, although the product list says seven
    years; `ContentSize` at MIS is invented; sorting by anything but the day is possible up to two million rows; NP3-560
    mislabels the repeated hour from 2025 on, but never repeats rows as in 2024; averages of hubs are prices of their own;
    wind and sun of all regions are not what they are of all load zones; the fault `error:200` is an answer with nothing in
    it.
    """

    name = "ERCOT"
    prefixes: Mapping[str, str] = {
        "": _PREFIX,
        "LOGIN": "/ercot/login",
        "MIS": "/ercot/mis",
        "DASHBOARDS": "/ercot/dashboards",
    }
    credentials: Mapping[str, str] = {
        login.USERNAME: "simulated-ercot-user",
        login.PASSWORD: "simulated-ercot-password",
        login.KEY: "simulated-ercot-key",
    }

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._points = points.points(nodes or _POINTS)
        self._cache: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429 from the gateway, without Retry-After."""
        return wire.gateway_refusal(429)

    def too_large(self, asked: Asked) -> Answer:
        """The error object of every bad request to the public API; elsewhere a status."""
        now = self._now().astimezone(UTC).replace(tzinfo=None)
        if asked.host == "LOGIN":
            # A token is never too much.
            return login.token_answer(asked, now, self.credentials)
        if asked.host:
            return payload_too_large()
        return wire.error_object(Refused(400, "The result exceeds what is given at once."), now)

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """What one of the four hosts says."""
        now = self._now().astimezone(UTC).replace(tzinfo=None)
        if fault == "html":
            return wire.BLOCKED
        code = int(fault[6:]) if fault is not None and fault.startswith("error:") else None
        if code in (401, 403, 429):
            return wire.gateway_refusal(code)
        # With code 200 nothing was ever posted: ERCOT has holes that look like that.
        scope = Scope(self._seed, _BEFORE if code == 200 else now, self._points)
        try:
            if code is not None and code != 200:
                raise Refused(code if 400 <= code < 600 else 400, f"The request failed: {code}.")
            return self._hosted(asked, scope, now, fault)
        except Refused as refused:
            return wire.error_object(refused, now)

    def _hosted(self, asked: Asked, scope: Scope, now: datetime, fault: str | None) -> Answer:
        match asked.host:
            case "LOGIN":
                return login.token_answer(asked, now, self.credentials)
            case "MIS":
                return self._mis(asked, scope, fault)
            case "DASHBOARDS":
                if not asked.path.endswith("/fuel-mix.json"):
                    return wire.gateway_refusal(404)
                return dashboards.fuel_mix(self._seed, scope.now, fault)
            case _:
                refusal = login.refusal(asked.headers, asked.query, now, self.credentials)
                return refusal or self._api(asked, scope, fault)

    def _api(self, asked: Asked, scope: Scope, fault: str | None) -> Answer:
        base = f"http://{asked.headers.get('host', 'localhost')}{_PREFIX}"
        parts = [each for each in asked.path.split("/") if each]
        head, rest = (parts[0].lower(), parts[1:]) if parts else ("", [])
        if asked.method == "GET" and not parts:
            products = [_described(each, scope, base) for each in _PRODUCTS]
            return wire.as_json({"_embedded": {"products": products}, "_links": {"self": {"href": f"{base}/"}}})
        if head == "archive" and rest and rest[0].lower() in _NUMBERS:
            number = _NUMBERS[rest[0].lower()]
            if asked.method == "GET" and len(rest) == 1:
                return self._archive(asked, number, scope, base, fault)
            if asked.method == "POST" and rest[1:] == ["download"]:
                return self._bulk(asked, number, scope, fault)
        if head in _NUMBERS and asked.method == "GET":
            product = _PRODUCTS[_NUMBERS[head]]
            if not rest:
                return wire.as_json(_described(product, scope, base))
            if product.artifact and rest == [product.artifact]:
                return self._rows(asked, product, scope, base, fault)
        return wire.gateway_refusal(404)

    def _rows(self, asked: Asked, product: Product, scope: Scope, base: str, fault: str | None) -> Answer:
        wanted = query.question(product, asked.query)
        # What is young may change with every minute.
        last = max((each.last for each in wanted.conditions if each.last is not None), default=scope.now)
        until = None if last < scope.now - timedelta(5) else scope.now.replace(second=0, microsecond=0)
        scope = scope if until is None else replace(scope, now=until)
        filters = tuple(sorted(wanted.filters.items()))
        identity = (base, product.emil, wanted.page, wanted.size, wanted.sort, wanted.descending, filters, until)
        body = self._body(identity, fault, lambda content: query.answer(wanted, scope, base, content))
        return Answer(200, {"Content-Type": "application/json"}, damaged(body, fault))

    def _archive(self, asked: Asked, number: int, scope: Scope, base: str, fault: str | None) -> Answer:
        identity = asked.query.get("download")
        if identity is None:
            listed = documents.archive_list(_PRODUCTS, number, scope, asked.query, base)
            body = wire.as_json(listed)
            return replace(body, body=damaged(body.body, fault))
        return self._zip([self._document(identity, number, scope)], scope, fault)

    def _bulk(self, asked: Asked, number: int, scope: Scope, fault: str | None) -> Answer:
        try:
            wanted = json.loads(asked.body)["docIds"]
        except (ValueError, TypeError, KeyError):
            raise Refused(400, "The body is an object with docIds.") from None
        if not isinstance(wanted, list) or not wanted:
            raise Refused(400, "docIds is a list of ids.")
        limit = _PRODUCTS[number].download_limit
        if len(wanted) > limit:
            raise Refused(400, f"Not more than {limit} documents of {_PRODUCTS[number].emil} at once.")
        identities = [int(each) if each.isdecimal() else -1 for each in dict.fromkeys(map(str, wanted))]
        found = documents.several(_PRODUCTS, number, scope, identities)
        missing = [each for each in identities if each not in found]
        if missing:
            raise Refused(404, f"There is no document {missing[0]}.")
        return self._zip([found[each] for each in identities], scope, fault, bulk=True)

    def _document(self, identity: str, number: int | None, scope: Scope) -> documents.Document:
        found = documents.found(_PRODUCTS, scope, int(identity)) if identity.isdecimal() else None
        if found is None or number not in (None, found.number):
            raise Refused(404, f"There is no document {identity}.")
        return found

    def _zip(self, wanted: list[documents.Document], scope: Scope, fault: str | None, *, bulk: bool = False) -> Answer:
        def made(content_fault: str | None) -> bytes:
            return documents.bulk(wanted, scope, content_fault) if bulk else wanted[0].zip(scope, content_fault)

        name = wanted[0].constructed_name() if not bulk else f"{wanted[0].product.path}.zip"
        headers = {"Content-Type": _ZIP, "Content-Disposition": f'attachment; filename="{name}"'}
        identity = (bulk, *(each.identity for each in wanted))
        return Answer(200, headers, damaged(self._body(identity, fault, made), fault))

    def _mis(self, asked: Asked, scope: Scope, fault: str | None) -> Answer:
        """Lists for everybody; old documents are still there, only no longer listed."""
        if asked.path == "/misapp/servlets/IceDocListJsonWS":
            listed = documents.mis_list(_PRODUCTS, scope, asked.query.get("reportTypeId", ""))
            body = wire.as_json({"ListDocsByRptTypeRes": {"DocumentList": listed}})
            return replace(body, body=damaged(body.body, fault))
        if asked.path == "/misdownload/servlets/mirDownload":
            return self._zip([self._document(asked.query.get("doclookupId", ""), None, scope)], scope, fault)
        return Answer(404, {"Content-Type": "text/html"}, b"<html><body>Not found</body></html>")

    def _body(self, identity: tuple[object, ...], fault: str | None, made: Callable[[str | None], bytes]) -> bytes:
        """The body, from the cache where it was made before; with one thread making it at a time."""
        content_fault = fault if fault in wire.CONTENT_FAULTS else None
        with self._lock:
            if content_fault is None and identity in self._cache:
                self._cache.move_to_end(identity)
                return self._cache[identity]
            body = made(content_fault)
            if content_fault is None:
                self._cache[identity] = body
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return body


def _described(product: Product, scope: Scope, base: str) -> dict[str, object]:
    """One entry of the product list."""
    links = {"self": f"{base}/{product.path}", "parent": base, "archive": f"{base}/archive/{product.path}"}
    artifacts = [
        {
            "reportTypeId": product.report_type,
            "displayName": product.name,
            "_links": {"endpoint": {"href": f"{base}/{product.path}/{product.artifact}"}},
        }
    ]
    rules = {each: f"https://www.ercot.com/mp/data-products?protocolRules={each}" for each in product.rules}
    return {
        "emilId": product.emil,
        "name": product.name,
        "description": product.description,
        "status": "Active",
        "reportTypeId": product.report_type,
        "audience": "Public",
        "generationFrequency": product.frequency,
        "securityClassification": "Public",
        "lastUpdated": "2024-07-10",
        "firstRun": product.first_run,
        "eceii": "",
        "channel": "Public,EWS,Data Portal",
        "userGuide": None,
        "postingType": "Report",
        "market": "Nodal",
        "extractSubscriber": "",
        "xsdName": "Current Day Reports XSD",
        "misPostingLocation": "",
        "certificateRole": "",
        "fileType": "zip,csv,xml" if product.twins else "zip,csv",
        "ddlName": "",
        "misDisplayDuration": product.mis_days,
        "archiveDuration": 2555,
        "notificationType": "",
        "contentType": "DATA" if product.artifact else "BINARY",
        "downloadLimit": product.download_limit,
        "lastPostDatetime": _last_posted(product, scope),
        "bundle": 0,
        "protocolRules": rules,
        "artifacts": artifacts if product.artifact else [],
        "_links": {name: {"href": address} for name, address in links.items()},
    }


def _last_posted(product: Product, scope: Scope) -> str:
    newest = product.documents(scope, (scope.now - timedelta(8), scope.now))
    if newest.is_empty():
        return ""
    return f"{clock.wall(newest.item(0, 'posted')):%Y-%m-%dT%H:%M:%S}"
