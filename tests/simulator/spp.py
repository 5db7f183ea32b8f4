"""What tests of the simulated SPP share."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from aurum_etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

CENTRAL = ZoneInfo("America/Chicago")
NOW = datetime(2026, 7, 14, 16, 33, tzinfo=UTC)
"""A Tuesday, 11:33 by SPP's clock: tomorrow's prices are not out."""
SPRING = (
    "da-lmp-by-bus:/2026/05/By_Day/DA-LMP-B-202605050100.csv",
    "da-mcp:/2026/05/DA-MCP-202605050100.csv",
    "rtbm-mcp:/2026/05/By_Day/RTBM-MCP-DAILY-20260505.csv",
    "operating-reserves:/2026/05/05/RTBM-OR-202605051205.csv",
    "market-clearing:/2026/05/DA-MC-202605050100.csv",
    "hourly-load:/2026/DAILY_HOURLY_LOAD-20260505.csv",
    "hourly-load:/2025/HOURLY_LOAD-202505.csv",
    "mtlf-vs-actual:/2026/05/05/OP-MTLF-202605051000.csv",
    "stlf-vs-actual:/2026/05/05/11/OP-STLF-202605051000.csv",
    "midterm-resource-forecast:/2025/05/05/OP-MTRF-202505051000.csv",
    "shortterm-resource-forecast:/2026/05/05/11/OP-STRF-202605051000.csv",
    "resource-forecast-by-reserve-zone:/2026/05/05/RF_RESERVE_ZONE-202605051000.csv",
    "generation-mix-historical:/SWPW/GenMix2Hour_SWPW.csv",
)
"""A file of most kinds, behind its file system."""


@pytest.fixture(scope="module")
def spp() -> Iterator[Simulator]:
    """A simulator whose clock stands, for what is there moves with it."""
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def file(simulator: Simulator, system: str, path: str) -> httpx.Response:
    """What is downloaded, or refused."""
    return httpx.get(f"{simulator.bases['SPP']}/file-browser-api/download/{system}", params={"path": path}, timeout=60)


def table(response: httpx.Response) -> list[dict[str, str]]:
    """The rows of a file by the stripped names of their columns."""
    assert response.status_code == 200
    header, *rows = csv.reader(io.StringIO(response.text))
    return [dict(zip((name.strip() for name in header), row, strict=True)) for row in rows]


def listing(simulator: Simulator, system: str, folder: str) -> dict[str, dict[str, Any]]:
    """What a folder holds, by name."""
    query = {"fsName": system, "path": folder, "type": "folder"}
    response = httpx.get(f"{simulator.bases['SPP']}/file-browser-api/", params=query, timeout=60)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    found = {each["name"]: each for each in response.json()}
    assert len(found) == len(response.json())
    return found


def ends(day: date, minutes: int) -> list[datetime]:
    """What tiles a market day: the ends of its intervals in UTC."""
    start, end = (datetime.combine(each, datetime.min.time(), CENTRAL) for each in (day, day + timedelta(1)))
    first, step = start.astimezone(UTC), timedelta(minutes=minutes)
    return [first + step * (number + 1) for number in range((end.astimezone(UTC) - first) // step)]


def gmt(row: dict[str, str]) -> datetime:
    """When the interval of a row ends."""
    (text,) = (row[each] for each in ("GMTIntervalEnd", "GMT Interval", "GMTInterval") if each in row)
    return datetime.strptime(text, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
