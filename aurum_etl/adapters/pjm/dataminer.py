"""What all feeds of Data Miner share: how they are asked for, and how their pages are read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.chunk import Selection
from aurum_etl.clock import Instants
from aurum_etl.dataset import Published
from aurum_etl.errors import NoData, SourceChanged, SourceUnavailable
from aurum_etl.window import Window, intersect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Report

SOURCE_URL = "https://dataminer2.pjm.com/feed/{}/definition"
CREDENTIALS = ("PJM_API_KEY",)
PAGE_ROWS = 50_000
LEAST_PAGE_ROWS = 100
"""So few rows cannot be too many."""
NAMED_LIMIT = 50
"""Named nodes per request: no limit is documented, but an address must not grow for ever."""

BEGINNING = "datetime_beginning_utc"
TIME = {BEGINNING: Published.UTC}
HOURLY = Instants(BEGINNING, 60)
FILTER, ZONE, ARCHIVE_DAYS, AHEAD_DAYS = "filter", "zone", "archive_days", "ahead_days"
"""Parameters of a report: the column that windows are filtered by, the zone of its times, after how many days it is in the
archive, and how far the hours that it tells of reach beyond the day on which it was made, where it is filtered by these."""
BY_HOUR: Mapping[str, str] = {FILTER: BEGINNING}

_TOTAL = re.compile(rb'"totalRows"\s*:\s*(\d+)')
_EDGE_BYTES = 65_536
_STAMP = "%Y-%m-%d %H:%M:%S"


def queries(report: Report, chunk: Chunk, now: datetime) -> Iterator[tuple[dict[str, str], Chunk | None]]:
    """The query of the first page of each request that the report needs, and what of the chunk it asks for."""
    names, word = chunk.selection.names, chunk.selection.word
    of_type = {"type": word} if word not in ("", "ALL") else {}
    if not report.parameters.get(FILTER):
        yield _query({}), None
        return
    ahead = timedelta(days=int(report.parameters.get(AHEAD_DAYS, "0")))
    archived, standard = _tiers(report, Window(chunk.window.start, chunk.window.end + ahead), now)
    # What reaches days ahead hardly shrinks with the days of its making.
    parts = {piece: None if ahead else replace(chunk, window=piece) for piece in (*archived, *standard)}
    for piece in archived:
        # Nothing but dates and types can be asked for there.
        yield _query({**_between(report, piece), **of_type}), parts[piece]
    for piece in standard:
        if not names:
            yield _query({**_between(report, piece), **of_type}), parts[piece]
        for first in range(0, len(names), NAMED_LIMIT):
            some = Selection.named(names[first : first + NAMED_LIMIT])
            part = parts[piece]
            yield (
                _query({**_between(report, piece), "pnode_id": ";".join(some.names)}),
                part and replace(part, selection=some),
            )


def _query(filters: Mapping[str, str]) -> dict[str, str]:
    return {"startRow": "1", "rowCount": str(PAGE_ROWS), **filters}


def _between(report: Report, piece: Window) -> dict[str, str]:
    """Both ends count, hence the last second instead of the end."""
    zone = ZoneInfo(report.parameters.get(ZONE, "UTC"))
    first, last = (each.astimezone(zone) for each in (piece.start, piece.end - timedelta(seconds=1)))
    return {report.parameters[FILTER]: f"{first:{_STAMP}}to{last:{_STAMP}}"}


def _tiers(report: Report, window: Window, now: datetime) -> tuple[list[Window], list[Window]]:
    """What lies in the archive, by calendar years of UTC, and what does not."""
    days = report.parameters.get(ARCHIVE_DAYS)
    if days is None:
        return [], [window]
    edge = datetime.combine(now.date() - timedelta(int(days)), time(), UTC)
    standard = intersect(window, Window(edge, max(edge, window.end) + timedelta(1)))
    archived = []
    start = window.start
    while start < min(edge, window.end):
        end = min(edge, window.end, datetime(start.year + 1, 1, 1, tzinfo=UTC))
        archived.append(Window(start, end))
        start = end
    return archived, [] if standard is None else [standard]


def total_rows(body: Path) -> int | None:
    """How many rows there are over all pages, as the envelope says; None where there is no envelope."""
    with body.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        file.seek(max(0, body.stat().st_size - _EDGE_BYTES))
        tail = file.read()
    found = _TOTAL.findall(tail) or _TOTAL.findall(head)
    return int(found[-1]) if found else None


def read(report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """A page of json, a bare list of rows, or a csv, as they are or packed."""
    from aurum_etl import decode

    for member in decode.file_members(path, where, max_bytes):
        content = member.content
        decode.demand_no_html(content, where)
        if content.lstrip()[:1] not in (b"{", b"["):
            yield decode.csv(content, report, where)
            continue
        _demand_no_error(content, where)
        rows = decode.json_records(content, ("items",), where, report)
        if rows.is_empty():
            _demand_said(content, where)
            raise NoData(f"{where}: PJM has no rows for it")
        yield decode.records(rows, report, where)


def _demand_said(content: bytes, where: str) -> None:
    """Take an answer without rows for one about nothing only where it says that there are none.

    Raises: SourceUnavailable.
    """
    total = _TOTAL.findall(content)
    if not total or int(total[-1]):
        said = f"{int(total[-1]):,} rows are promised" if total else "no totalRows says that there are none"
        raise SourceUnavailable(f"{where}: the answer holds no rows, and {said}")


def _demand_no_error(content: bytes, where: str) -> None:
    """Refuse an error object that comes in the place of rows.

    Raises: SourceChanged with its message.
    """
    from aurum_etl import decode

    if b'"items"' in content or content.lstrip()[:1] == b"[":
        return
    document = decode.json(content, where)
    said = [str(each.get("message")) for each in document.get("errors") or [] if isinstance(each, dict)]
    message = "; ".join(said) or str(document.get("message") or "no items, no errors, no message")
    raise SourceChanged(f"{where}: Data Miner answers: {message}")
