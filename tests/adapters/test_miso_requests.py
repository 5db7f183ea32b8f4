"""MISO's Data Exchange over HTTP: keys, pages, and refusals, against a server of the test's own."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aurum_etl.adapters.base import Fetched, demand_credentials, fetch
from aurum_etl.adapters.miso import MISO
from aurum_etl.archive import Archive
from aurum_etl.download import Replay
from aurum_etl.errors import AccessDenied, SourceChanged, SourceUnavailable, SpecError
from aurum_etl.pipeline import normalized_of
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, run
from aurum_etl.settings import read_settings
from tests.adapters import loopback
from tests.frames import chunk, spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aurum_etl.dataset import Dataset
    from tests.adapters.loopback import Said

KEYS = {
    "MISO_API_PRICING_SUBSCRIPTION_KEY": "first, second",
    "MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY": "third",
}
DAY = date(2026, 7, 14)
PRICES = {each.key: each for each in MISO.datasets}["miso_lmp"].of("api")


def exchange(
    say: Callable[[str, dict[str, str], int], Said],
) -> AbstractContextManager[tuple[str, list[tuple[str, str | None, str]]]]:
    """Answers with what `say` returns for a path, a query and the number of the request."""
    return loopback.server(
        lambda heard: say(heard.path, heard.query, heard.number),
        lambda heard: (heard.target, heard.headers["Ocp-Apim-Subscription-Key"], heard.headers["User-Agent"]),
    )


def fetched(of: Dataset, base: str, folder: Path, *names: str) -> Fetched:
    return loopback.fetched(MISO, of, chunk(of, DAY, *names), dict.fromkeys(MISO.bases, base), folder, KEYS)


def prices(page: int, pages: int, rows: int = 2, **told: Any) -> dict[str, Any]:
    row = {
        "timeInterval": {"resolution": "hourly", "start": f"2026-07-14 {page:02}:00:00.000", "end": "x", "value": "x"},
        "lmp": 21.6,
        "mcc": 0.02,
        "mec": 20.94,
        "mlc": 0.64,
    }
    return {
        "data": [row | {"node": f"N{number}"} for number in range(rows)],
        "page": {
            "pageNumber": page,
            "pageSize": rows,
            "totalElements": pages * rows,
            "totalPages": pages,
            "lastPage": page >= pages,
        }
        | told,
    }


def test_pages_are_followed_to_the_last_and_keys_take_turns(tmp_path: Path) -> None:
    with exchange(lambda _, query, __: (200, prices(int(query["pageNumber"]), 3))) as (base, log):
        found = fetched(PRICES, base, tmp_path)
        replayed = fetch(
            MISO,
            PRICES,
            chunk(PRICES, DAY),
            Replay(Archive(tmp_path), simulated=False, manners=MISO.manners, max_bytes=10**8),
            10**8,
        )
    path = "/pricing/v1/day-ahead/2026-07-14/lmp-expost?pageNumber="
    assert [each[:2] for each in log] == [(f"{path}1", "first"), (f"{path}2", "second"), (f"{path}3", "first")]
    assert {each[2] for each in log} == {"Mozilla/5.0 (compatible; aurum-etl)"}
    assert len(normalized_of(found, PRICES).frame) == 6
    assert normalized_of(replayed, PRICES).frame.equals(normalized_of(found, PRICES).frame)
    assert all(b"first" not in each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())


def test_every_named_node_has_pages_of_its_own(tmp_path: Path) -> None:
    with exchange(lambda _, query, __: (200, prices(int(query["pageNumber"]), 2))) as (base, log):
        fetched(PRICES, base, tmp_path, "A.HUB", "B.HUB")
    asked = [parse_qs(urlsplit(path).query) for path, *_ in log]
    assert [(each["node"][0], each["pageNumber"][0]) for each in asked] == [
        (node, page) for node in ("A.HUB", "B.HUB") for page in ("1", "2")
    ]


@pytest.mark.parametrize(
    ("say", "kind", "message"),
    [
        (lambda *_: (200, prices(1, 2)), SourceChanged, "page 2 was asked for, and page 1 came"),
        (
            lambda _, query, __: (200, prices(int(query["pageNumber"]), 9, rows=0)),
            SourceChanged,
            "page 1 holds no rows, and is said not to be the last",
        ),
        (
            lambda _, query, __: (200, prices(int(query["pageNumber"]), 2, totalElements=5)),
            SourceUnavailable,
            "4 rows came, and 5 were promised",
        ),
        (
            lambda _, query, __: (200, prices(1, 2)) if query["pageNumber"] == "1" else (404, "gone"),
            SourceChanged,
            'status 404: "gone"',
        ),
        (lambda *_: (401, {"statusCode": 401, "message": "Access denied"}), AccessDenied, "MISO_API_PRICING"),
        (
            lambda *_: (403, {"statusCode": 403, "message": "Out of call volume quota"}),
            AccessDenied,
            "calls of the day",
        ),
        (lambda *_: (400, {"message": "bad date"}), SourceChanged, "status 400.*bad date"),
        (lambda *_: (503, "down"), SourceUnavailable, "status 503"),
    ],
)
def test_pages_that_do_not_make_a_whole_are_refused(
    say: Callable[[str, dict[str, str], int], Said],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    with exchange(say) as (base, _), pytest.raises(kind, match=f"^MISO api:pricing/v1/.*{message}"):
        fetched(PRICES, base, tmp_path)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_asked_again(status: int, tmp_path: Path) -> None:
    with exchange(lambda _, __, number: (status, "busy") if number == 1 else (200, prices(1, 1))) as (base, log):
        assert fetched(PRICES, base, tmp_path).attempts == len(log) == 2


def test_nothing_there_is_told_in_the_sources_words(tmp_path: Path) -> None:
    empty = {"status": 404, "reason": "Empty data returned for date"}
    with exchange(lambda *_: (404, empty)) as (base, _):
        assert "Empty data returned for date" in fetched(PRICES, base, tmp_path / "api").nothing[0]
    blob = "<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>"
    with exchange(lambda *_: (404, blob)) as (base, log):
        found = fetched(PRICES.of("csv"), base, tmp_path / "csv")
    assert (found.batches, len(found.nothing), log[0][0]) == ((), 1, "/20260714_da_expost_lmp.csv")
    assert "BlobNotFound" in found.nothing[0]


def test_a_key_is_sent_for_its_product_and_to_nobody_else(tmp_path: Path) -> None:
    load = {each.key: each for each in MISO.datasets}["miso_load"]
    with exchange(lambda *_: (404, "no data")) as (base, log):
        fetched(load, base, tmp_path)
        fetched(PRICES.of("csv"), base, tmp_path)
    assert [key for _, key, _ in log] == ["third", "third", None]


@pytest.mark.parametrize("of", MISO.datasets, ids=lambda each: each.key)
def test_what_needs_a_key_says_which_before_it_asks(of: Dataset) -> None:
    for feed in of.feeds:
        chosen = of.of(feed.name)
        if not feed.credentials:
            demand_credentials(chosen, {}, MISO.manners.access)
            continue
        with pytest.raises(SpecError, match=f"^{feed.credentials[0]}: not set.*data-exchange.misoenergy.org"):
            demand_credentials(chosen, {}, MISO.manners.access)
        demand_credentials(chosen, KEYS, MISO.manners.access)


def times(day: str, hour: int, minutes: int = 60) -> dict[str, str]:
    start = datetime.fromisoformat(day) + timedelta(minutes=minutes * hour)
    end = start + timedelta(minutes=minutes)
    return {
        "resolution": "hourly" if minutes == 60 else f"{minutes}min",
        "start": f"{start:%Y-%m-%d %H:%M:%S}.000",
        "end": f"{end:%Y-%m-%d %H:%M:%S}.000",
        "value": "",
    }


def whole(path: str, query: dict[str, str], _: int) -> Said:
    """A whole day of whatever is asked for, at two places, in two pages."""
    file = re.search(r"/(\d{4})(\d\d)(\d\d)_(.*)_lmp", path)
    if file is not None:
        year, month, day, report = file.groups()
        title = {"da_expost": "Day Ahead Market ExPost LMPs"}.get(report, "Realtime Market LMPs")
        lines = [title, f"{month}/{day}/{year}", "", ",,,All Hours-Ending are Eastern Standard Time (EST)"]
        lines.append("Node,Type,Value," + ",".join(f"HE {hour}" for hour in range(1, 25)))
        lines += [
            f"{node},Hub,{value}," + ",".join([".92"] * 24)
            for value in ("LMP", "MCC", "MLC")
            for node in ("A.HUB", "B.HUB")
        ]
        return 200, "\n".join(lines) + "\n"
    day = re.findall(r"\d{4}-\d\d-\d\d", path)[0]
    minutes = 5 if query.get("timeResolution") == "5min" else 60
    zones = {"localResourceZone": ("Z1", "Z2")}.get(query.get("geoResolution", ""), ("NORTH", "SOUTH"))
    rows: list[dict[str, Any]] = [
        {
            "timeInterval": times(day, number, minutes),
            **{name: query[name] for name in ("preliminaryFinal",) if name in query},
            "node": query.get("node", f"{zone}.HUB"),
            "zone": zone,
            "product": "Spin",
            query.get("geoResolution", "localResourceZone"): zone,
            **dict.fromkeys(("mcc", "mlc"), 0.5),
            **dict.fromkeys(("lmp", "mcp", "load", "loadForecast"), 21.0),
            "mec": 20.0,
            "init": query.get("init", ""),
        }
        for number in range(1440 // minutes)
        for zone in zones[: 1 if "node" in query else 2]
    ]
    half, page = len(rows) // 2, int(query["pageNumber"])
    return 200, {
        "data": rows[(page - 1) * half : page * half],
        "page": {
            "pageNumber": page,
            "pageSize": half,
            "totalElements": len(rows),
            "totalPages": 2,
            "lastPage": page == 2,
        },
    }


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2025, 11, 2), date(2026, 7, 14)])
@pytest.mark.parametrize(
    ("key", "source", "rows"),
    [
        ("miso_lmp", "{feed: csv}", 2 * 24),
        ("miso_lmp", "{feed: csv, nodes: [A.HUB]}", 24),
        ("miso_lmp", "{feed: api, nodes: [A.HUB, B.HUB]}", 2 * 24),
        ("miso_lmp_rt60", "{feed: final}", 2 * 24),
        ("miso_lmp_rt60", "{feed: api_prelim}", 2 * 24),
        ("miso_lmp_rt5", "{feed: api}", 2 * 288),
        ("miso_asm", "{}", 2 * 24),
        ("miso_asm_rt60", "{feed: api_prelim}", 2 * 24),
        ("miso_asm_rt5", "{}", 2 * 288),
        ("miso_load", "{}", 4 * 24),
        ("miso_load_forecast", "{}", 6 * 2 * 24),
    ],
)
def test_a_day_arrives_whole(key: str, source: str, rows: int, day: date, tmp_path: Path) -> None:
    with exchange(whole) as (base, _):
        settings = read_settings(
            {"AURUM_HOME": str(tmp_path / "home"), **KEYS}
            | {f"AURUM_MISO{host}_BASE": base for host in ("", "_API", "_PUBLIC")}
        )
        path = spec(tmp_path, f"dataset: {key}\nsource: {source}\nsinks: [{{kind: memory}}]\n")
        (receipt,) = run(path, Flags(start=day, end=day + timedelta(1)), settings).receipts
    assert (receipt.outcome, receipt.rows_accepted, receipt.error) == (Outcome.DONE, rows, None)
    assert {each.check for each in receipt.findings} <= {"rows_are_asked_for"}
