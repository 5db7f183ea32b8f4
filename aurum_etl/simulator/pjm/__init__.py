"""PJM Data Miner 2: one address per feed, answered in JSON or csv.

Source: PJM, Data Miner 2 API guide; answers recorded from the public API.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from isal import isal_zlib

from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.pjm import generation, load, nodes, prices, reserves, wire
from aurum_etl.simulator.pjm.feed import Grid, Scope, Table, Whole
from aurum_etl.simulator.pjm.nodes import nodes as all_nodes
from aurum_etl.simulator.pjm.query import Question, Refused, question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.base import Asked

_NODES = 13_549
_CACHED_BODIES = 8
_GZIP = 31
_PREFIX = "/pjm/api/v1"
_KEY = "simulated-pjm-key"
_PARTS = (prices, load, generation, reserves, nodes)
_FEEDS = {feed.name: feed for part in _PARTS for feed in part.FEEDS}


class PjmSimulator:
    """Data Miner 2, with invented numbers.

    Unsure: the words of the refusals (400, 401, 429), for none was recorded; that csv lines end in CR LF, and the header
    fields of downloads; the order of `links`; that real-time prices of buses are whole cents and those of aggregates are
    not; the names in `ancillary_services`, and the order, places and nulls of all reserve columns; when each feed is
    published (unverified five minutes: two minutes after their start), and that unverified prices are kept for 30 days;
    that a single stamp stands for its whole day even if it is no midnight; that a request without parameters gets the
    first 50,000 rows; that the archive begins at a midnight in UTC, and refuses `order`, `sort` and `fields` even if they
    ask for what is the default.
    Deviates: no catalog of feeds, no metadata, no search by POST; price columns cannot be filtered on; the fifth of
    every month is the day that real-time hourly prices are corrected for, from the ninth on; a fault of content hits the
    page that is asked for, and `totalRows` counts its rows.
    """

    name = "PJM"
    prefixes: Mapping[str, str] = {"": _PREFIX}
    credentials: Mapping[str, str] = {"PJM_API_KEY": _KEY}

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._nodes = all_nodes(nodes or _NODES)
        self._cache: OrderedDict[tuple[object, ...], tuple[bytes, int]] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429 from the gateway, without Retry-After."""
        return wire.gateway_refusal(429)

    def too_large(self, asked: Asked) -> Answer:
        """The error object of every bad request."""
        now = self._now().astimezone(UTC).replace(tzinfo=None)
        return wire.bad_request("rowCount", "The result is too large.", asked.path, asked.query, now)

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """A page of a feed."""
        now = self._now().astimezone(UTC).replace(tzinfo=None)
        code = int(fault[6:]) if fault is not None and fault.startswith("error:") else None
        if code is not None and 400 < code < 600:
            return wire.gateway_refusal(code)
        if fault == "html":
            return Answer(200, {"Content-Type": "text/html"}, b"<html><body>The request is blocked</body></html>")
        options = {name.lower(): text for name, text in asked.query.items()}
        key = asked.headers.get("ocp-apim-subscription-key", options.get("subscription-key"))
        if key != self.credentials["PJM_API_KEY"]:
            return wire.gateway_refusal(401, bad_key=bool(key))
        feed = _FEEDS.get(asked.path.removeprefix("/"))
        if feed is None or asked.method != "GET":
            return wire.gateway_refusal(404)
        try:
            if code is not None:
                raise Refused(None, f"The request is not valid: {code}.")
            found = question(feed, asked.query, now)
            body, total = self._body(found, f"http://{asked.headers.get('host', 'localhost')}{_PREFIX}", fault, now)
        except Refused as refused:
            return wire.bad_request(refused.field, refused.message, asked.path, asked.query, now)
        return _sent(found, body, total, fault, packed="gzip" in asked.headers.get("accept-encoding", ""))

    def _body(self, asked: Question, base: str, fault: str | None, now: datetime) -> tuple[bytes, int]:
        """The body, packed, and how many rows there are; with one thread making it at a time."""
        content_fault = fault if fault in wire.CONTENT_FAULTS else None
        identity = (
            base,
            asked.feed.name,
            asked.start_row,
            asked.row_count,
            (asked.fields, asked.sort, asked.descending, asked.download, asked.csv),
            asked.filters,
            # What is verified changes with the hour; how far it reaches stands in the spans.
            str((asked.spans, [each.bounds for each in asked.conditions], asked.archived)),
            f"{now:%Y-%m-%dT%H}",
        )
        with self._lock:
            if content_fault is None and asked.feed.needs_date and identity in self._cache:
                self._cache.move_to_end(identity)
                return self._cache[identity]
            text, total = self._text(asked, base, content_fault, now)
            packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP)
            made = packer.compress(text.encode()) + packer.flush(), total
            if content_fault is None:
                self._cache[identity] = made
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return made

    def _text(self, asked: Question, base: str, fault: str | None, now: datetime) -> tuple[str, int]:
        feed = asked.feed
        table = _sorted(feed.made(Scope(self._seed, now, asked.spans, asked.conditions, self._nodes)), asked)
        if fault == "missing_hour":
            table = table.without_first()
        page = table.page(asked.start_row - 1, asked.row_count)
        rows = wire.broken(page, fault, feed.columns, feed.word)
        total = table.total + rows.height - page.height
        if asked.csv:
            return wire.csv_text(rows, asked.columns, feed.measure, fault), total
        items = wire.json_items(rows, asked.columns, feed.measure, fault)
        if asked.download:
            return f"[{items}]", total
        links, specification = _compact(_links(asked, base, total)), _compact(_specification(asked))
        return f'{{"links":{links},"items":[{items}],"searchSpecification":{specification},"totalRows":{total}}}', total


def _sorted(table: Table, asked: Question) -> Table:
    """In the order that is asked for; a grid is in the order of its intervals anyway."""
    if not asked.sort:
        return table
    stamps = {"datetime_beginning_utc", "datetime_beginning_ept"}
    if isinstance(table, Grid) and not asked.descending and stamps.issuperset(asked.sort):
        return table
    return Whole(table.page(0, table.total).sort(*asked.sort, descending=asked.descending, maintain_order=True))


def _sent(asked: Question, body: bytes, total: int, fault: str | None, *, packed: bool) -> Answer:
    kind = "text/csv" if asked.csv else "application/json"
    headers = {"Content-Type": kind, "Cache-Control": "public, must-revalidate, max-age=20"}
    if asked.download or asked.csv:
        headers["X-TotalRows"] = str(total)
        headers["Content-Disposition"] = f"attachment; filename={asked.feed.name}.{'csv' if asked.csv else 'json'}"
    if fault in ("cut_zip", "corrupt_member"):
        plain = isal_zlib.decompress(body, _GZIP)
        middle = len(plain) // 2
        rest = (
            b""
            if fault == "cut_zip"
            else bytes(255 - each for each in plain[middle : middle + 8]) + plain[middle + 8 :]
        )
        return Answer(200, headers, plain[:middle] + rest)
    if not packed:
        return Answer(200, headers, isal_zlib.decompress(body, _GZIP))
    return Answer(200, {**headers, "Content-Encoding": "gzip"}, body)


def _links(asked: Question, base: str, total: int) -> list[dict[str, str]]:
    """Addresses of this page and its neighbors; those of archived data repeat nothing that is refused there."""

    def link(rel: str, start: int) -> dict[str, str]:
        parts = {"RowCount": str(asked.row_count), "Order": "Desc" if asked.descending else "Asc"}
        parts |= {"StartRow": str(start), "IsActiveMetadata": "True", "Fields": ",".join(asked.fields)}
        if asked.sort:
            parts["Sort"] = ",".join(asked.sort)
        if asked.archived:
            del parts["Order"], parts["Fields"]
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in (*parts.items(), *asked.filters))
        return {"rel": rel, "href": f"{base}/{asked.feed.name}?{query}"}

    count, start = asked.row_count, asked.start_row
    found = [link("self", start)]
    if total > count:
        found.append(link("first", 1))
        if start > 1:
            found.append(link("prev", max(start - count, 1)))
        if start + count <= total:
            found.append(link("next", start + count))
        found.append(link("last", (total - 1) // count * count + 1))
    return [*found, {"rel": "metadata", "href": f"{base}/{asked.feed.name}/metadata"}]


def _specification(asked: Question) -> dict[str, object]:
    return {
        "rowCount": asked.row_count,
        **({"sort": ",".join(asked.sort)} if asked.sort else {}),
        "order": "Desc" if asked.descending else "Asc",
        "startRow": asked.start_row,
        "isActiveMetadata": True,
        "fields": list(asked.fields),
        "filters": [{name: text} for name, text in asked.filters],
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
