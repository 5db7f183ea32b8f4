"""SPP: the file browser of the portal, and the files that its charts are drawn from.

Source: SPP Integrated Marketplace portal; files recorded from it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aurum_etl.simulator.base import Answer, damaged, payload_too_large
from aurum_etl.simulator.spp import places, wire
from aurum_etl.simulator.spp.files import CHARTS, FILE_SYSTEMS
from aurum_etl.simulator.spp.making import Making

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aurum_etl.simulator.base import Asked
    from aurum_etl.simulator.spp.clock import Span
    from aurum_etl.simulator.spp.files import Kind, Standing

_LOCATIONS = 1_542
_CACHED_BYTES = 256_000_000
_BROWSER, _CHARTS = "/file-browser-api/", "/chart-api"
_DOWNLOAD = f"{_BROWSER}download/"
_HTML = b"<html><body>The portal is under maintenance</body></html>"


class SppSimulator:
    """The portal's files, with invented numbers.

    Unsure: when files come (day-ahead 13:30 the day before, five minutes and forecasts at once, daily files of five
    minutes at 8:00 on the fifth day after, load at 8:00 the next day); that the second full hour of two has a `d` like its
    five minutes; that files of five-minute reserves and both forecasts follow the same rule; that the last hour's
    short-term forecasts are in the folder `00` of the day in their name; how far short-term forecasts reach (a day back,
    four hours ahead, as the chart does) and that those of the mid term repeat a day; the columns of the short-term
    forecast of wind and sun; that prices by bus have no column for the balancing area; which reserve zones the west
    has; words and stamps of hourly load since it goes down instead of across; that a month is written as its last
    day is; that year files of the generation mix are of the east alone, come when the year is over, and have storage
    since 2026; that a folder that is not there is an empty list; what a list calls folders (`type`).
    Deviates: sizes in lists are what is usual, not what comes; nothing is repriced and no file is missing
    for good; no months, years or daily files of prices by bus, no year of reserve prices, no western market before it
    joined, no constraints, margins, virtual bids, tie flows, `asChart`, HEAD or ranges.
    """

    name = "SPP"
    prefixes: Mapping[str, str] = {"": "/spp"}
    credentials: Mapping[str, str] = {}

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._locations = places.locations(nodes or _LOCATIONS)
        self._buses = places.buses(self._locations)
        self._cache: OrderedDict[tuple[str, Span], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429; no limit is published."""
        return Answer(429, {"Content-Type": "text/html"}, b"<html><body>Too Many Requests</body></html>")

    def too_large(self, asked: Asked) -> Answer:  # noqa: ARG002 - the promise has it
        """Status 413; no such refusal is documented."""
        return payload_too_large()

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """A file, or what a folder holds."""
        if fault == "html":
            return Answer(200, {"Content-Type": "text/html"}, _HTML)
        if fault is not None and fault.startswith("error:"):
            return Answer(int(fault[6:]), {}, b"")
        now = self._now()
        try:
            if asked.method != "GET":
                raise wire.NoSuchFile
            if asked.path.startswith(_DOWNLOAD):
                kinds = FILE_SYSTEMS.get(asked.path.removeprefix(_DOWNLOAD), ())
                return self._file(asked.path, kinds, asked.query.get("path", ""), now, fault)
            if asked.path.startswith(_CHARTS):
                return self._file(_CHARTS, tuple(CHARTS.values()), asked.path.removeprefix(_CHARTS), now, fault)
            if asked.path in (_BROWSER, _BROWSER.rstrip("/")):
                return self._list(asked.query, now, fault)
        except wire.NoSuchFile:
            pass
        return Answer(404, {}, b"")

    def _file(
        self, host: str, kinds: tuple[Kind | Standing, ...], path: str, now: datetime, fault: str | None
    ) -> Answer:
        for kind in kinds:
            if (span := kind.found(path, now)) is not None:
                break
        else:
            raise wire.NoSuchFile
        body = self._made(f"{host}{path}", kind, span, now, fault if fault in wire.CONTENT_FAULTS else None)
        if fault == "missing_hour" and wire.has_no_rows(body):
            # An interval that is nowhere has no file.
            raise wire.NoSuchFile
        headers = {
            "Content-Type": "application/zip" if path.endswith(".zip") else "text/csv",
            "Last-Modified": format_datetime(kind.published(span), usegmt=True),
        }
        return Answer(200, headers, damaged(body, fault))

    def _made(self, name: str, kind: Kind | Standing, span: Span, now: datetime, fault: str | None) -> bytes:
        """The file, from the cache where it was made before; with one thread making it at a time."""
        identity = name, span
        with self._lock:
            if fault is None and identity in self._cache:
                self._cache.move_to_end(identity)
                return self._cache[identity]
            body = kind.made(Making(self._seed, span, now, self._locations, self._buses, fault))
            if fault is None:
                self._cache[identity] = body
                while sum(map(len, self._cache.values())) > _CACHED_BYTES:
                    self._cache.popitem(last=False)
            return body

    def _list(self, query: Mapping[str, str], now: datetime, fault: str | None) -> Answer:
        """A folder's list; of one that is not there, or of none, it is empty."""
        system, folder = query.get("fsName", ""), query.get("path", "")
        if system not in FILE_SYSTEMS:
            raise wire.NoSuchFile
        found = (
            [each for kind in FILE_SYSTEMS[system] for each in kind.listed(folder.rstrip("/"), now)] if folder else []
        )
        once = {each.path: each for each in found}
        rows: list[dict[str, str | int]] = [
            {
                "name": path.rpartition("/")[2],
                "path": path,
                "type": "folder" if each.is_folder else "file",
                "size": each.size,
                "modified": each.modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for path, each in sorted(once.items())
        ]
        listed = [] if fault == "empty" else rows
        document = rows[0] if fault == "one_object" and rows else listed
        return Answer(200, {"Content-Type": "application/json"}, damaged(json.dumps(document).encode(), fault))
