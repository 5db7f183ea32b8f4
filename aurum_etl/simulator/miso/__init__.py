"""MISO: market reports by file name, the Data Exchange by key, and the public displays of what is now.

Source: MISO, market report archive; Data Exchange API descriptions; answers recorded from the public displays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import date
from typing import TYPE_CHECKING

from aurum_etl.simulator.base import Answer, damaged
from aurum_etl.simulator.miso import clock, displays, exchange, pricing, quantities, reports, wire
from aurum_etl.simulator.miso.places import nodes as all_nodes
from aurum_etl.simulator.miso.showing import Showing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aurum_etl.simulator.base import Asked
    from aurum_etl.simulator.miso.exchange import Resource

_NODES = 2_400
_CACHED_BODIES = 8
_EXCHANGE = "API"
_DISPLAYS = "PUBLIC"
_PRODUCTS: Mapping[str, tuple[str, Mapping[str, Resource]]] = {
    "pricing": ("MISO_API_PRICING_SUBSCRIPTION_KEY", pricing.RESOURCES),
    "lgi": ("MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY", quantities.RESOURCES),
}
_EMPTY = "Empty data returned for date"


class MisoSimulator:
    """Three of MISO's services, with invented numbers.

    Unsure, market reports: the hours at which files come (day-ahead 13:30 the day before, preliminary prices 7:00 the
    next day, final ones 10:00 on the fourth day after, the week 6:00 on its Monday); which
    resources the files of reserves list and with which prices; of the weekly file, the words above and below, its order,
    the form of its stamps (`07/06/2026 00:00`) and numbers, and that a missing price is an empty cell.
    Unsure, Data Exchange: pages of 1,000 rows; the words of refusals; `value` of an hour or of five minutes repeats its
    label; a row without prices has nulls; both preliminary and final rows come where neither is asked for, and
    preliminary ones stay; hours are what comes where no resolution is asked for; a page after the last one is no data;
    `nodeType` of what is not a hub; the summary's zone is `MISO`; the region `MISO` is answered for load alone, with
    the sum; forecasts reach six days ahead, and the newest one comes where none is asked for; days since 2016.
    Unsure, displays: labels are the start of their five minutes; prices are shown five minutes and quantities ten after
    that; a missing price is `NaN`; rows of `GetRealTimeFiveMinExPost` hold text; hours whose actual wind and sun are
    not known are null; `TotalMW` counts imports; paths are read without regard to case.
    Deviates: no workbooks (`xls`, `xlsx`), no archives by quarter or year, of the displays only prices, load, fuels, wind
    and sun; any client's name is accepted; labels of five minutes are their start also before 2026-05-06; the limits
    per minute and day are not counted.
    """

    name = "MISO"
    prefixes: Mapping[str, str] = {"": "/miso/marketreports", _EXCHANGE: "/miso/apim", _DISPLAYS: "/miso/public"}
    credentials: Mapping[str, str] = {
        "MISO_API_PRICING_SUBSCRIPTION_KEY": "simulated-miso-pricing-key",
        "MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY": "simulated-miso-load-key",
    }

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._nodes = all_nodes(nodes or _NODES)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429 from the gateway, without Retry-After."""
        return wire.gateway_refusal(429)

    def too_large(self, asked: Asked) -> Answer:
        """Status 413, from the gateway where there is one."""
        return wire.gateway_refusal(413) if asked.host == _EXCHANGE else wire.no_page(413)

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """A file, a page of rows, or a display."""
        now = clock.standard(self._now())
        code = int(fault[6:]) if fault is not None and fault.startswith("error:") else None
        if fault == "html":
            return wire.html_page()
        if asked.method != "GET":
            return wire.no_page()
        if asked.host == _EXCHANGE:
            return self._exchange(asked, fault, code, now)
        if asked.host == _DISPLAYS:
            return self._display(asked, fault, code, now)
        return self._file(asked, fault, code, now)

    def _file(self, asked: Asked, fault: str | None, code: int | None, now: datetime) -> Answer:
        if code not in (None, 404):
            return wire.no_page(code)
        name = asked.path.removeprefix("/")
        try:
            if code == 404:
                raise wire.NoSuchFile
            made = reports.report(name, self._seed, self._nodes, now)
        except wire.NoSuchFile:
            return wire.no_such_file(self._now())
        body = self._made(name, made, fault if fault in wire.CONTENT_FAULTS else None)
        return Answer(200, {"Content-Type": "application/octet-stream"}, damaged(body, fault))

    def _made(self, name: str, made: Callable[[str | None], bytes], fault: str | None) -> bytes:
        """The file, from the cache where it was made before; with one thread making it at a time."""
        with self._lock:
            if fault is None and name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            body = made(fault)
            if fault is None:
                self._cache[name] = body
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return body

    def _exchange(self, asked: Asked, fault: str | None, code: int | None, now: datetime) -> Answer:
        options = {name.lower(): text for name, text in asked.query.items()}
        product, _, path = asked.path.removeprefix("/").partition("/v1/")
        name, resources = _PRODUCTS.get(product, (None, {}))
        key = asked.headers.get("ocp-apim-subscription-key", options.get("subscription-key"))
        if name is not None and key != self.credentials[name]:
            return wire.gateway_refusal(401, bad_key=bool(key))
        try:
            if code == 404:
                raise wire.NoData
            if code == 400:
                raise wire.BadArgument("Bad request")
            market, day, rest = _parts(path)
            resource = resources.get(f"{market}/{rest}" if rest else market)
            if code is not None or resource is None:
                return wire.gateway_refusal(code or 404)
            content_fault = fault if fault in wire.CONTENT_FAULTS else None
            scope = exchange.Scope(self._seed, _day(day, now), now, options, self._nodes, content_fault)
            body = exchange.page_text(resource, scope).encode()
        except wire.NoData:
            return wire.exchange_refusal(404, _EMPTY)
        except wire.BadArgument as refused:
            return wire.exchange_refusal(400, str(refused))
        return Answer(200, {"Content-Type": "application/json"}, damaged(body, fault))

    def _display(self, asked: Asked, fault: str | None, code: int | None, now: datetime) -> Answer:
        made = displays.PAGES.get(asked.path.removeprefix("/").lower())
        if code is not None or made is None:
            return wire.no_page(code or 404)
        body = made(Showing(self._seed, now, self._nodes, fault)).encode()
        return Answer(200, {"Content-Type": "application/json; charset=utf-8"}, damaged(body, fault))


def _parts(path: str) -> tuple[str, str | None, str]:
    """Market, day and what is asked for; some addresses are a single word."""
    market, _, rest = path.partition("/")
    day, _, asked = rest.partition("/")
    return market, day or None, asked


def _day(text: str | None, now: datetime) -> date:
    try:
        day = date.fromisoformat(text) if text is not None and len(text) == 10 else now.date()
    except ValueError:
        raise wire.BadArgument("date must be of the form yyyy-mm-dd") from None
    if text is not None and len(text) != 10:
        raise wire.BadArgument("date must be of the form yyyy-mm-dd")
    if not clock.known(day):
        raise wire.NoData
    return day
