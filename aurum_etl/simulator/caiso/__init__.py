"""CAISO: the prices, load, forecasts and ancillary services of OASIS, and two files of Today's Outlook.

Source: CAISO, Interface Specification for OASIS: parameters, versions, error codes, limits, columns and file names.
Unsure: names of real-time members and labels of real-time renewable forecasts; how long each run is out ahead of time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aurum_etl.simulator.base import Answer, damaged, payload_too_large
from aurum_etl.simulator.caiso import load, power, prices, reserves, wire
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.base import Asked

_OLDEST = datetime(2016, 1, 1, 8, tzinfo=UTC)
_MOST_DAYS = 31
_CACHED_BODIES = 8
_NODES = 16_000
_TOO_FAST_WORDS = b"CAISO Acceptable Use Policy Violation. Please retry your request after 5 seconds."
_TOO_FAST = b"<html><body><p>" + _TOO_FAST_WORDS + b"</p></body></html>"
_VERSIONS = {
    **{name: each.versions for name, each in prices.REPORTS.items()},
    **reserves.VERSIONS,
    "SLD_FCST": ("1",),
    "SLD_REN_FCST": ("1",),
}


class CaisoSimulator:
    """OASIS and the Outlook, with invented numbers."""

    name = "CAISO"
    prefixes: Mapping[str, str] = {"": "/caiso/oasisapi", "OUTLOOK": "/caiso/outlook"}
    credentials: Mapping[str, str] = {}

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._nodes = prices.nodes(nodes or _NODES)
        self._cache: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429 with the html that names five seconds, and no Retry-After."""
        return Answer(429, {"Content-Type": "text/html"}, _TOO_FAST)

    def too_large(self, asked: Asked) -> Answer:
        """An error about days, nodes or hours, whichever there are several of; of files, a status."""
        if asked.path != "/SingleZip":
            return payload_too_large()
        start, end = (wire.instant(asked.query.get(name, "")) for name in ("startdatetime", "enddatetime"))
        several_nodes = "," in asked.query.get("node", "")
        code = 1004 if end - start > timedelta(hours=25) else 1017 if several_nodes else 1018
        return wire.refusal(wire.Refused(code), self._now())

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """OASIS answers with a zip, whatever happens: errors are documents inside one. The Outlook has plain files."""
        now = self._now()
        if fault == "html":
            return Answer(200, {"Content-Type": "text/html"}, b"<html><body>CAISO is under maintenance</body></html>")
        if asked.host == "OUTLOOK":
            return power.outlook(asked.path, fault, now, self._seed)
        try:
            if fault is not None and fault.startswith("error:"):
                raise wire.Refused(int(fault[6:]))
            if asked.path == "/SingleZip":
                question = self._single(asked.query, now)
            elif asked.path == "/GroupZip":
                question = self._group(asked.query, now)
            else:
                return Answer(404, {"Content-Type": "text/html"}, b"<html><body>Not found</body></html>")
            body = self._body(question, fault, now)
        except wire.Refused as refused:
            return wire.refusal(refused, now)
        return Answer(200, wire.headers(f"{question.name}.zip"), damaged(body, fault))

    def _body(self, question: wire.Question, fault: str | None, now: datetime) -> bytes:
        """The zip, from the cache where it was made before; with one thread making it at a time."""
        content_fault = fault if fault in wire.CONTENT_FAULTS else None
        with self._lock:
            if content_fault is None and question.identity in self._cache:
                self._cache.move_to_end(question.identity)
                return self._cache[question.identity]
            body = zipped(question.report(content_fault), now.astimezone(wire.PACIFIC))
            if content_fault is None:
                self._cache[question.identity] = body
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return body

    def _single(self, query: Mapping[str, str], now: datetime) -> wire.Question:
        report = query.get("queryname", "")
        if report not in _VERSIONS or query.get("resultformat") != "6":
            raise wire.Refused(1001)
        if query.get("version") not in _VERSIONS[report]:
            raise wire.Refused(1020)
        window = wire.instant(query.get("startdatetime", "")), wire.instant(query.get("enddatetime", ""))
        start, end = window
        if end <= start:
            raise wire.Refused(1002)
        if end - start > timedelta(days=_MOST_DAYS, hours=1):
            raise wire.Refused(1004)
        if start < _OLDEST:
            raise wire.Refused(1014)
        if report in prices.REPORTS:
            return prices.single(prices.REPORTS[report], query, window, now, self._nodes, self._seed)
        if report in reserves.VERSIONS:
            return reserves.single(report, query, window, now, self._seed)
        part = load.single if report == "SLD_FCST" else power.renewables
        return part(query, window, now, self._seed)

    def _group(self, query: Mapping[str, str], now: datetime) -> wire.Question:
        group = query.get("groupid", "")
        if group not in prices.GROUPS:
            raise wire.Refused(1016)
        return prices.grouped(prices.GROUPS[group], query, _OLDEST, now, self._nodes, self._seed)
