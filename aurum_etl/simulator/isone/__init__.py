"""ISO-NE: the web services (JSON), and reports of the website (csv).

Source: ISO New England, Web Services API v1.1 documentation, and its ISO Express reports.
Unsure: what is answered for a day that is not published yet (an empty object here), what a five-minute hour that autumn
        repeats holds (both hours, under the one label), and how the wind and solar reports look on change days.
Not simulated: XML, `current` and `info`, and the five-minute csv, whose columns no document shows.
"""

from __future__ import annotations

import base64
import re
import threading
from collections import OrderedDict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.base import Answer, payload_too_large
from aurum_etl.simulator.isone import places, power, prices, reserves, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.base import Asked

_OLDEST = date(2014, 1, 1)
_DEMAND_DELAY = timedelta(days=5)
_LOCATIONS = 1_210
_CACHED_BODIES = 16
_UNAUTHORIZED = b"<html><head><title>401 Unauthorized</title></head><body><h1>Unauthorized</h1></body></html>"
_LMP = re.compile(r"/hourlylmp/(da|rt)/(prelim|final)/day/(\d{8})(?:/hour/(\d\d)|/location/(\d+))?")
_FIVE = re.compile(r"/fiveminutelmp/(prelim|final)/day/(\d{8})/starthour/(\d\d)")
_DAY = re.compile(r"/([a-z]+(?:/all)?)/day/(\d{8})(/all)?(?:/(location|reserveZone)/(\d+))?")
_HISTORY = re.compile(
    r"/static-transform/csv/histRpts/(?:da-lmp/WW_DALMP_ISO|rt-lmp/lmp_rt_(prelim|final))_(\d{8})\.csv"
)
_TRANSFORM = re.compile(r"/transform/csv/(sphf|wphf)")
_COOKIE = "isox_token=simulated"


class IsoneSimulator:
    """The web services and the website, with invented numbers."""

    name = "ISONE"
    prefixes: Mapping[str, str] = {"": "/isone/api/v1.1", "WWW": "/isone/www"}
    credentials: Mapping[str, str] = {
        "ISONE_API_USERNAME": "simulated-isone-user",
        "ISONE_API_PASSWORD": "simulated-isone-password",
    }

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._locations = places.priced(nodes or _LOCATIONS)
        self._cache: OrderedDict[tuple[str, datetime], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429; no limit is published."""
        return Answer(429, {"Content-Type": "text/html"}, b"<html><body>Too Many Requests</body></html>")

    def too_large(self, asked: Asked) -> Answer:  # noqa: ARG002 - the promise has it
        """Status 413; no such refusal is documented."""
        return payload_too_large()

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """JSON of the web services, or csv of the website."""
        if fault == "html":
            return Answer(
                200, {"Content-Type": "text/html"}, b"<html><body>ISO Express is under maintenance</body></html>"
            )
        if fault is not None and fault.startswith("error:"):
            return Answer(int(fault[6:]), {"Content-Type": "text/html"}, b"<html><body>Error</body></html>")
        content_fault = fault if fault in wire.CONTENT_FAULTS else None
        try:
            found = self._website(asked, content_fault) if asked.host == "WWW" else self._service(asked, content_fault)
        except wire.NotFound:
            return Answer(404, {"Content-Type": "text/html"}, b"<html><body>404 Not Found</body></html>")
        if fault == "cut_zip":
            return Answer(found.status, found.headers, found.body[: len(found.body) * 2 // 3])
        return found

    def _service(self, asked: Asked, fault: str | None) -> Answer:
        if not self._is_known(asked.headers.get("authorization", "")):
            return Answer(401, {"Content-Type": "text/html", "WWW-Authenticate": 'Basic realm="iso-ne"'}, _UNAUTHORIZED)
        path = asked.path
        if not path.endswith(".json") and "application/json" not in asked.headers.get("accept", ""):
            return Answer(501, {"Content-Type": "text/plain"}, b"XML is not simulated; ask for JSON")
        body = self._cached(path.removesuffix(".json"), fault)
        return Answer(200, {"Content-Type": "application/json"}, body)

    def _cached(self, path: str, fault: str | None) -> bytes:
        """The document, from the cache where the same minute has seen it; with one thread making it at a time."""
        identity = path, self._now().replace(second=0, microsecond=0)
        with self._lock:
            if fault is None and identity in self._cache:
                self._cache.move_to_end(identity)
                return self._cache[identity]
            body = self._document(path, fault)
            if fault is None:
                self._cache[identity] = body
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return body

    def _is_known(self, authorization: str) -> bool:
        user, password = self.credentials["ISONE_API_USERNAME"], self.credentials["ISONE_API_PASSWORD"]
        return authorization == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _document(self, path: str, fault: str | None) -> bytes:
        if path in ("/locations", "/locations/all"):
            return wire.json_of(_registry(self._locations, everything=path.endswith("all")), fault)
        if found := _LMP.fullmatch(path):
            market, state, day, hour, location = found.groups()
            if market == "da" and state == "prelim":
                raise wire.NotFound(path)
            return wire.json_of(self._hourly(market, state, self._day(day), hour, location), fault)
        if found := _FIVE.fullmatch(path):
            state, day, hour = found.groups()
            return wire.json_of(self._five_minutes(state, self._day(day), int(hour)), fault)
        if found := _DAY.fullmatch(path):
            return self._of_day(found, fault)
        raise wire.NotFound(path)

    def _hourly(self, market: str, state: str, day: date, hour: str | None, location: str | None) -> wire.Told:
        locations = self._locations
        if location is not None:
            locations = locations.filter(pl.col("LocId") == int(location))
            if locations.is_empty():
                raise wire.NotFound(location)
        start, _ = wire.market_day(day)
        end = prices.published_until(market, state, day, self._now())
        table = prices.cells(market, state, locations, start, end, self._seed)
        if hour is not None:
            table = table.filter(pl.col("HourEnd").str.starts_with(hour))
        return prices.service(table, "HourlyLmps", "HourlyLmp")

    def _five_minutes(self, state: str, day: date, hour: int) -> wire.Told:
        start, _ = wire.market_day(day)
        end = prices.published_until("five", state, day, self._now())
        inside = [
            each
            for each in (start + timedelta(hours=number) for number in range(25))
            if each.astimezone(wire.EASTERN).hour == hour and each < end
        ]
        parts = [
            prices.cells("five", state, self._locations, each, min(end, each + timedelta(hours=1)), self._seed)
            for each in inside
        ]
        empty = prices.cells("five", state, self._locations, start, start, self._seed)
        return prices.service(pl.concat([empty, *parts]), "FiveMinLmps", "FiveMinLmp")

    def _of_day(self, found: re.Match[str], fault: str | None) -> bytes:
        resource, text, everything, by, number = found.groups()
        day, now, seed = self._day(text), self._now(), self._seed
        start, end = wire.market_day(day)
        so_far = min(end, max(start, now))
        place = None if number is None else int(number)
        if by is not None and resource not in _PARTS[by]:
            raise wire.NotFound(resource)
        if bool(everything) != (resource == "reliabilityregionloadforecast"):
            raise wire.NotFound(resource)
        if resource == "daasreservedata":
            return reserves.day_ahead(day, now, seed, fault)
        if resource in _ZONAL:
            prefix, minutes = _ZONAL[resource]
            until = prices.published_until("rt", "final", day, now) if prefix == "Final" else so_far
            return wire.json_of(reserves.zonal(prefix, place, start, until, minutes, seed), fault)
        match resource:
            case "hourlysysload" | "fiveminutesystemload" | "fiveminutercp":
                told = _SO_FAR[resource](start, so_far, seed)
            case "realtimehourlydemand":
                told = power.demand("Rt", place, start, end if now >= end + _DEMAND_DELAY else start, seed)
            case "dayaheadhourlydemand":
                told = power.demand("Da", place, start, prices.published_until("da", "final", day, now), seed)
            case "hourlyloadforecast" | "hourlyloadforecast/all":
                told = power.forecast(day, now, seed, every_vintage=resource.endswith("all"))
            case "reliabilityregionloadforecast":
                told = power.region_forecast(day, now, seed)
            case "genfuelmix":
                told = power.fuel_mix(day, now, seed)
            case _:
                raise wire.NotFound(resource)
        return wire.json_of(told, fault)

    def _website(self, asked: Asked, fault: str | None) -> Answer:
        csv = {"Content-Type": "text/csv"}
        if found := _HISTORY.fullmatch(asked.path):
            state, text = found.groups()
            market = "rt" if state else "da"
            day = self._day(text)
            end = prices.published_until(market, state or "final", day, self._now())
            start, whole = wire.market_day(day)
            if end < whole:
                return Answer(200, csv, wire.NO_DATA)
            table = prices.cells(market, state or "final", self._locations, start, end, self._seed)
            return Answer(200, csv, prices.report(market, state or "final", day, table, fault))
        if found := _TRANSFORM.fullmatch(asked.path):
            if "isox_token" not in asked.headers.get("cookie", ""):
                return Answer(200, {"Content-Type": "text/html"}, b"<html><body>ISO Express</body></html>")
            day = self._day(asked.query.get("start", ""))
            return Answer(200, csv, power.renewables(found.group(1), day, self._now(), self._seed, fault))
        if asked.path.startswith("/isoexpress"):
            page = {"Content-Type": "text/html", "Set-Cookie": f"{_COOKIE}; Path=/"}
            return Answer(200, page, b"<html><body>ISO Express</body></html>")
        raise wire.NotFound(asked.path)

    def _day(self, text: str) -> date:
        day = wire.day_of(text)
        if not _OLDEST <= day <= self._now().astimezone(wire.EASTERN).date() + timedelta(8):
            raise wire.NotFound(text)
        return day


_ZONAL = {
    "hourlyprelimreserveprice": ("Prelim", 60),
    "hourlyfinalreserveprice": ("Final", 60),
    "fiveminutereserveprice": ("", 5),
}
# What appears as the day goes on.
_SO_FAR: Mapping[str, Callable[[datetime, datetime, int], wire.Told]] = {
    "hourlysysload": power.system_load,
    "fiveminutesystemload": power.five_minute_load,
    "fiveminutercp": reserves.regulation,
}
_PARTS = {"location": ("realtimehourlydemand", "dayaheadhourlydemand"), "reserveZone": tuple(_ZONAL)}


def _registry(locations: pl.DataFrame, *, everything: bool) -> wire.Told:
    names = ("LocationID", "LocationType", "LocationName", "AreaType", "kind")
    found = places.registry(locations, everything=everything)
    rows = pl.DataFrame(found, schema=names, orient="row", infer_schema_length=None).with_columns(
        pl.col("LocationID").cast(pl.String),
        kind=pl.when(pl.col("kind").is_null()).then(pl.lit("")).otherwise(pl.format(',"NetworkNodeType":"{}"', "kind")),
        start=pl.lit(0),
        BeginDate=pl.lit(""),
    )
    template = '{"LocationID":{},"LocationType":"{}","LocationName":"{}","AreaType":"{}"{}}'
    return wire.Told("Locations", "Location", template, names, rows, "LocationID", ("LocationType", "MOON NODE"))
