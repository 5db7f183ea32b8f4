"""CAISO OASIS: `SingleZip` with `PRC_LMP` and `SLD_FCST`, `GroupZip` with `DAM_LMP_GRP`.

Source: CAISO, Interface Specification for OASIS: parameters, versions, error codes, limits, columns and file names.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.simulator import caiso_reports as reports
from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.base import Asked

PACIFIC = ZoneInfo("America/Los_Angeles")
_OLDEST = datetime(2016, 1, 1, 8, tzinfo=UTC)
_MOST_DAYS = 31
_MOST_NODES = 10
_CACHED_BODIES = 8
_NODES = 16_000
_STAMP = re.compile(r"(\d{8})T(\d{2}):(\d{2})-0000")
_TOO_FAST_WORDS = b"CAISO Acceptable Use Policy Violation. Please retry your request after 5 seconds."
_TOO_FAST = b"<html><body><p>" + _TOO_FAST_WORDS + b"</p></body></html>"
_WORDS = {
    1000: "No data returned for the specified selection",
    1001: "Invalid request parameter",
    1002: "Invalid date or time format",
    1003: "Timed out",
    1004: "Time span is longer than 31 days",
    1014: "Start date is out of range",
    1015: "GroupZip file is being prepared",
    1016: "Unknown group id",
    1017: "More than 10 nodes",
    1020: "Version is missing or invalid",
}


class _Refused(Exception):
    """OASIS answers with an error document."""

    def __init__(self, code: int, report_name: str = "INVALID_REQUEST") -> None:
        super().__init__(code)
        self.code = code
        self.report_name = report_name


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, understood."""

    name: str
    """What the answer's file is called, without its ending."""
    report: Callable[[str | None], list[tuple[str, bytes]]]
    """Makes the members, with a content fault or without."""
    identity: tuple[object, ...]
    """Equal for questions that have the same answer."""


class CaisoSimulator:
    """OASIS, with invented numbers."""

    name = "CAISO"
    prefixes: Mapping[str, str] = {"": "/caiso/oasisapi"}
    credentials: Mapping[str, str] = {}

    def __init__(self, *, seed: int, nodes: int | None, now: Callable[[], datetime]) -> None:
        self._seed = seed
        self._now = now
        self._nodes = reports.nodes(nodes or _NODES)
        self._cache: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def too_fast(self) -> Answer:
        """Status 429 with the html that names five seconds, and no Retry-After."""
        return Answer(429, {"Content-Type": "text/html"}, _TOO_FAST)

    def answer(self, asked: Asked, fault: str | None) -> Answer:
        """A zip, whatever happens: errors are documents inside one."""
        path, query = asked.path, asked.query
        now = self._now()
        try:
            if fault is not None and fault.startswith("error:"):
                raise _Refused(int(fault[6:]))
            if fault == "html":
                return Answer(
                    200, {"Content-Type": "text/html"}, b"<html><body>OASIS is under maintenance</body></html>"
                )
            if path == "/SingleZip":
                question = self._single(query, now)
            elif path == "/GroupZip":
                question = self._group(query, now)
            else:
                return Answer(404, {"Content-Type": "text/html"}, b"<html><body>Not found</body></html>")
            body = self._body(question, fault, now)
        except _Refused as refused:
            return self._refusal(refused, now)
        return Answer(200, _headers(f"{question.name}.zip", ""), _damaged(body, fault))

    def _body(self, question: _Question, fault: str | None, now: datetime) -> bytes:
        """The zip, from the cache where it was made before; with one thread making it at a time."""
        content_fault = fault if fault in reports.CONTENT_FAULTS else None
        with self._lock:
            if content_fault is None and question.identity in self._cache:
                self._cache.move_to_end(question.identity)
                return self._cache[question.identity]
            body = zipped(question.report(content_fault), now.astimezone(PACIFIC))
            if content_fault is None:
                self._cache[question.identity] = body
                while len(self._cache) > _CACHED_BODIES:
                    self._cache.popitem(last=False)
            return body

    def _single(self, query: Mapping[str, str], now: datetime) -> _Question:
        report = query.get("queryname", "")
        if report not in ("PRC_LMP", "SLD_FCST") or query.get("resultformat") != "6":
            raise _Refused(1001)
        if query.get("version") not in {"PRC_LMP": ("1", "12"), "SLD_FCST": ("1",)}[report]:
            raise _Refused(1020)
        start, end = _instant(query.get("startdatetime", "")), _instant(query.get("enddatetime", ""))
        if end <= start:
            raise _Refused(1002)
        if end - start > timedelta(days=_MOST_DAYS, hours=1):
            raise _Refused(1004)
        if start < _OLDEST:
            raise _Refused(1014)
        return self._prices(query, start, end, now) if report == "PRC_LMP" else self._load(query, start, end, now)

    def _prices(self, query: Mapping[str, str], start: datetime, end: datetime, now: datetime) -> _Question:
        asked, group = query.get("node", ""), query.get("grp_type", "")
        if query.get("market_run_id") != "DAM" or bool(asked) == bool(group) or group not in ("", "ALL", "ALL_APNODES"):
            raise _Refused(1001)
        names = tuple(sorted(asked.split(","))) if asked else ()
        if len(names) > _MOST_NODES:
            raise _Refused(1017)
        if group:
            # For all nodes the end is ignored, and the start snaps to its trade date.
            start, end = trade_date(start.astimezone(PACIFIC).date())
        version = query["version"]
        name = _file_name(start, end, "PRC_LMP", "DAM", now, version)
        end = min(end, self._prices_end(now))
        nodes = reports.chosen(self._nodes, names, group)
        if end <= start or nodes.is_empty():
            raise _Refused(1000, name)

        def members(fault: str | None) -> list[tuple[str, bytes]]:
            return reports.prices(nodes, start, end, self._seed, name, fault)

        return _Question(name, members, ("PRC_LMP", names, group, start, end, version))

    def _load(self, query: Mapping[str, str], start: datetime, end: datetime, now: datetime) -> _Question:
        run, execution = query.get("market_run_id", ""), query.get("execution_type", "")
        if run and run not in {each.market_run for each in reports.LOAD_RUNS}:
            raise _Refused(1001)
        runs = tuple(
            each
            for each in reports.LOAD_RUNS
            if run in ("", each.market_run) and execution in ("", each.execution_type)
        )
        name = _file_name(start, end, "SLD_FCST", run or "N", now, "1")
        published = {each: min(end, now + each.ahead) for each in runs}
        if not any(start + timedelta(minutes=each.minutes) <= until for each, until in published.items()):
            raise _Refused(1000, name)

        def members(fault: str | None) -> list[tuple[str, bytes]]:
            return reports.load(published, start, self._seed, name, fault)

        known = tuple(sorted((each.item, until) for each, until in published.items()))
        return _Question(name, members, ("SLD_FCST", start, tuple((item, _hour(until)) for item, until in known)))

    def _group(self, query: Mapping[str, str], now: datetime) -> _Question:
        if query.get("groupid") != "DAM_LMP_GRP":
            raise _Refused(1016)
        if query.get("version") != "12":
            raise _Refused(1020)
        start, end = trade_date(_instant(query.get("startdatetime", "")).astimezone(PACIFIC).date())
        day = f"{start.astimezone(PACIFIC):%Y%m%d}"
        name = f"{day}_{day}_DAM_LMP_GRP_N_N_v12_csv"
        if start < _OLDEST:
            raise _Refused(1014)
        if self._prices_end(now) < end:
            raise _Refused(1000, name)

        def members(fault: str | None) -> list[tuple[str, bytes]]:
            return reports.prices(self._nodes, start, end, self._seed, name, fault)

        return _Question(name, members, ("DAM_LMP_GRP", start))

    @staticmethod
    def _prices_end(now: datetime) -> datetime:
        """End of the last trade date whose day-ahead results are out: they are at 13:00 the day before."""
        local = now.astimezone(PACIFIC)
        return trade_date(local.date() + timedelta(1 if local.hour >= 13 else 0))[1]

    @staticmethod
    def _refusal(refused: _Refused, now: datetime) -> Answer:
        words = _WORDS.get(refused.code, "System error")
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<m:OASISReport xmlns:m="http://www.caiso.com/soa/OASISReport_v1.xsd">\n<m:MessageHeader>\n'
            f"\t<m:TimeDate>{now:%Y-%m-%dT%H:%M:%S}.000Z</m:TimeDate>\n\t<m:Source>OASIS</m:Source>\n"
            "\t<m:Version>v20131201</m:Version>\n</m:MessageHeader>\n<m:MessagePayload>\n<m:RTO>\n<m:name>CAISO</m:name>\n"
            "<m:DISCLAIMER_ITEM>\n<m:DISCLAIMER>Simulated.</m:DISCLAIMER>\n</m:DISCLAIMER_ITEM>\n<m:ERROR>\n"
            f"<m:ERR_CODE>{refused.code}</m:ERR_CODE>\n<m:ERR_DESC>{words}</m:ERR_DESC>\n</m:ERROR>\n\n</m:RTO>\n"
            "</m:MessagePayload>\n</m:OASISReport>\n"
        )
        body = zipped([(f"{refused.report_name}.xml", document.encode())], now.astimezone(PACIFIC))
        invalid = refused.report_name == "INVALID_REQUEST"
        return Answer(
            200, _headers(f"{refused.report_name}{'.xml' if invalid else ''}.zip", ";" if invalid else ""), body
        )


def trade_date(day: date) -> tuple[datetime, datetime]:
    """Pacific midnight to Pacific midnight, in UTC."""
    start, end = (datetime.combine(each, time(), PACIFIC).astimezone(UTC) for each in (day, day + timedelta(1)))
    return start, end


def _instant(text: str) -> datetime:
    parts = _STAMP.fullmatch(text)
    try:
        if parts is None:
            raise ValueError(text)
        return datetime.strptime("".join(parts.groups()), "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise _Refused(1002) from None


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _file_name(start: datetime, end: datetime, report: str, run: str, now: datetime, version: str) -> str:
    days = f"{start.astimezone(PACIFIC):%Y%m%d}_{end.astimezone(PACIFIC):%Y%m%d}"
    return f"{days}_{report}_{run}_{now.astimezone(PACIFIC):%Y%m%d_%H_%M_%S}_v{version}"


def _headers(file_name: str, behind: str) -> dict[str, str]:
    return {
        "Content-Type": "application/x-zip-compressed",
        "Content-Disposition": f"inline; filename={file_name}{behind}",
    }


def _damaged(body: bytes, fault: str | None) -> bytes:
    if fault == "cut_zip":
        return body[: len(body) * 2 // 3]
    if fault == "corrupt_member":
        middle = len(body) // 3
        return body[:middle] + bytes(255 - each for each in body[middle : middle + 8]) + body[middle + 8 :]
    return body
