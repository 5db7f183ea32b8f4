"""ISO-NE over HTTP: names, cookies and refusals, against a server of the test's own; and whole runs, against the simulator."""

from __future__ import annotations

import base64
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from aurum_etl.adapters.base import Fetched, demand_credentials, fetch
from aurum_etl.adapters.isone import ISONE
from aurum_etl.archive import Archive
from aurum_etl.download import Replay
from aurum_etl.errors import AccessDenied, SourceChanged, SourceUnavailable, SpecError, UsageError
from aurum_etl.pipeline import normalized_of
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, Report, run
from aurum_etl.simulator import Fault, Simulator
from tests.adapters import loopback
from tests.adapters.test_isone import dataset, hourly, price, table, week
from tests.frames import chunk, spec, with_variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from tests.adapters.loopback import Said

KEYS = {"ISONE_API_USERNAME": "somebody@example.com", "ISONE_API_PASSWORD": "secret word"}
BASIC = "Basic " + base64.b64encode(b"somebody@example.com:secret word").decode()
DAY = date(2026, 7, 14)
PAGE = "<html><body>ISO Express</body></html>"
Asked = tuple[str, str | None, str | None]


def server(say: Callable[[str, str | None, int], Said]) -> AbstractContextManager[tuple[str, list[Asked]]]:
    """Answers with what `say` returns for a path, a cookie and the number of the request; its pages set one."""
    return loopback.server(
        lambda heard: say(heard.target, heard.headers["Cookie"], heard.number),
        lambda heard: (heard.target, heard.headers["Authorization"], heard.headers["Cookie"]),
        cookie_with=PAGE,
    )


def fetched(of: Dataset, base: str, folder: Path, *names: str, day: date = DAY) -> Fetched:
    bases = dict.fromkeys(ISONE.bases, base)
    return loopback.fetched(ISONE, of, chunk(of, day, *names), bases, folder, KEYS)


def test_name_and_password_are_for_the_services_alone(tmp_path: Path) -> None:
    with server(lambda path, *_: (200, table() if path.endswith("csv") else hourly(price()))) as (base, log):
        found = fetched(dataset("isone_lmp", "api"), base, tmp_path)
        fetched(dataset("isone_lmp"), base, tmp_path)
    assert [each[:2] for each in log] == [
        ("/hourlylmp/da/final/day/20260714.json", BASIC),
        ("/static-transform/csv/histRpts/da-lmp/WW_DALMP_ISO_20260714.csv", None),
    ]
    assert len(normalized_of(found, dataset("isone_lmp", "api")).frame) == 1
    kept = [each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()]
    assert kept
    assert not any(word in each for each in kept for word in (b"secret word", BASIC[6:].encode())), "nor in the archive"


def test_a_named_location_is_a_request_of_its_own(tmp_path: Path) -> None:
    def say(path: str, *_: object) -> Said:
        return 200, {"HourlyLmp": price(place=path.rpartition("/")[2].removesuffix(".json"))}

    of = dataset("isone_lmp_rt60", "api_prelim")
    with server(say) as (base, log):
        found = fetched(of, base, tmp_path, "4001", "4000")
    assert [each[0] for each in log] == [
        f"/hourlylmp/rt/prelim/day/20260714/location/{each}.json" for each in ("4000", "4001")
    ]
    assert normalized_of(found, of).frame["iso_location_id"].to_list() == ["4000", "4001"]


def forecasts(path: str, cookie: str | None, _: int) -> Said:
    if path.startswith("/isoexpress/") or cookie != "isox_token=abc":
        return 200, PAGE
    text = week('"D",,11,234,750', made="07/14/2026 10:08:14 EDT")
    return 200, text.replace("Wind", "Solar") if "sphf" in path else text


def test_a_page_is_seen_before_the_reports_behind_it(tmp_path: Path) -> None:
    of = dataset("isone_renewable_forecast")
    with server(forecasts) as (base, log):
        found = fetched(of, base, tmp_path)
    assert [(path.partition("?")[0], cookie) for path, _, cookie in log] == [
        ("/isoexpress/web/reports/operations/-/tree/gen-fuel-mix", None),
        ("/transform/csv/wphf", "isox_token=abc"),
        ("/transform/csv/sphf", "isox_token=abc"),
    ]
    frame = normalized_of(found, of).frame
    assert sorted(frame["fuel_native"].unique()) == ["Solar", "Wind"]
    replay = Replay(Archive(tmp_path), simulated=False, manners=ISONE.manners, max_bytes=10**8)
    assert normalized_of(fetch(ISONE, of, chunk(of, DAY), replay, 10**8), of).frame.equals(frame)


def test_a_page_in_place_of_a_report_is_asked_past(tmp_path: Path) -> None:
    """It brings a new cookie, if the old one was no longer good."""
    of = dataset("isone_renewable_forecast")
    with server(lambda path, cookie, number: (200, PAGE) if number == 2 else forecasts(path, cookie, number)) as (
        base,
        log,
    ):
        assert fetched(of, base, tmp_path).attempts == 2
    assert [each[0].rpartition("/")[2][:4] for each in log] == ["gen-", "wphf", "wphf", "sphf"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_asked_again(status: int, tmp_path: Path) -> None:
    of = dataset("isone_lmp", "api")
    with server(lambda *asked: (status, PAGE) if asked[2] == 1 else (200, hourly(price()))) as (base, log):
        assert fetched(of, base, tmp_path).attempts == len(log) == 2


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ((401, PAGE), AccessDenied, "status 401.*ISONE_API_USERNAME and ISONE_API_PASSWORD hold"),
        ((403, "no"), AccessDenied, "ISONE_API_USERNAME"),
        ((400, "bad day"), SourceChanged, "status 400.*bad day"),
        ((302, ""), SourceChanged, "status 302"),
        ((200, PAGE), SourceUnavailable, "html page instead of data: ISO Express"),
        ((200, "slow down"), SourceChanged, "expected json, got 'slow down'"),
        ((503, "down"), SourceUnavailable, "status 503"),
    ],
)
def test_what_is_refused_is_told_with_what_was_asked(
    said: Said, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with (
        server(lambda *_: said) as (base, _),
        pytest.raises(kind, match=f"^ISO-NE hourlylmp/da/final/day/20260714.json: .*{message}") as caught,
    ):
        fetched(dataset("isone_lmp", "api"), base, tmp_path)
    assert "secret word" not in str(caught.value)


@pytest.mark.parametrize("said", [(404, "Not Found"), (200, {"HourlyLmps": {}})])
def test_nothing_there_is_told_in_the_sources_words(said: Said, tmp_path: Path) -> None:
    of = dataset("isone_lmp", "api")
    with server(lambda *_: said) as (base, _):
        found = fetched(of, base, tmp_path)
    assert (found.batches, len(found.nothing)) == ((), 1)
    assert ("404" if said[0] == 404 else "empty HourlyLmps") in found.nothing[0]


@pytest.mark.parametrize("of", ISONE.datasets, ids=lambda each: each.key)
def test_what_needs_a_name_says_so_before_it_asks(of: Dataset) -> None:
    for feed in of.feeds:
        chosen = of.of(feed.name)
        if not feed.credentials:
            demand_credentials(chosen, {}, ISONE.manners.access)
            assert ISONE.auth(chosen, KEYS, ISONE.bases) is None
            continue
        with pytest.raises(SpecError, match=r"^ISONE_API_PASSWORD: not set.*register at https://www\.iso-ne\.com"):
            demand_credentials(chosen, {"ISONE_API_USERNAME": "x"}, ISONE.manners.access)
        demand_credentials(chosen, KEYS, ISONE.manners.access)


# Whole runs


@pytest.fixture
def go(tmp_path: Path, settings: Settings) -> Callable[..., Report]:
    def go(text: str, day: date | None = DAY, where: Settings = settings) -> Report:
        flags = Flags(sink_kinds=("memory",)) if day is None else Flags(start=day, end=day + timedelta(1))
        return run(spec(tmp_path, f"dataset: {text}\n"), flags, where)

    return go


def test_a_wrong_name_is_refused_and_not_told(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    report = go("isone_genmix", where=with_variables(settings, **KEYS))
    error = str(report.receipts[0].error)
    assert error.startswith("AccessDenied: ")
    assert "secret word" not in error
    assert len(simulator.log) == 1, "what is refused is not asked again"


@pytest.mark.parametrize("day", [date(2026, 3, 8), DAY, date(2025, 11, 2)], ids=["spring", "summer", "autumn"])
@pytest.mark.parametrize("key", ["isone_lmp", "isone_lmp_rt60"])
def test_the_website_and_the_services_bring_the_same_rows(
    key: str, day: date, settings: Settings, tmp_path: Path
) -> None:
    frames = []
    for feed in {"isone_lmp": ("csv", "api"), "isone_lmp_rt60": ("final", "api")}[key]:
        of = dataset(key, feed)
        bases = settings.addresses(of.iso, ISONE.bases)
        found = loopback.fetched(ISONE, of, chunk(of, day), bases, tmp_path / feed, settings.secrets)
        frames.append(normalized_of(found, of).frame)
    assert len(frames[0]) == 90 * {3: 23, 7: 24, 11: 25}[day.month]
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize("nodes", ["['4000', '4001']", "ALL"])
def test_final_rows_take_the_place_of_preliminary_ones_and_not_the_reverse(
    nodes: str, go: Callable[..., Report]
) -> None:
    of = f"isone_lmp_rt60\nsource: {{feed: %s, nodes: {nodes}}}"
    assert [each.revision for each in go(of % "prelim").receipts] == ["PRELIM"]
    assert [each.revision for each in go(of % "api").receipts] == ["FINAL"]
    with pytest.raises(UsageError, match="rows of a higher revision than PRELIM are there"):
        go(of % "api_prelim")


def test_named_locations_are_taken_out_of_whole_hours(go: Callable[..., Report], simulator: Simulator) -> None:
    report = go("isone_lmp_rt5\nsource: {feed: api, nodes: ['4000', '4008']}")
    assert (report.outcome, report.rows, len(simulator.log)) == (Outcome.DONE, 2 * 288, 24)


def test_the_load_of_a_zone_is_demand(go: Callable[..., Report]) -> None:
    report = go("isone_load\nsource: {nodes: ['4001']}")
    assert (report.outcome, report.rows) == (Outcome.DONE, 2 * 24)


@pytest.mark.parametrize(
    ("kind", "feed", "message"),
    [
        ("wrong_header", "csv", "column Locational Marginal Price is missing"),
        ("wrong_header", "api", "column LmpTotal is missing"),
        ("text_in_number", "csv", 'holds "n/a", which is no number'),
        ("text_in_number", "api", 'column LmpTotal holds "n/a"'),
        ("off_grid", "api", "not on the grid of 60 minutes"),
    ],
)
def test_a_changed_answer_fails_the_chunk_and_says_where(
    kind: str, feed: str, message: str, go: Callable[..., Report], simulator: Simulator
) -> None:
    simulator.inject(Fault(kind))
    (receipt,) = go(f"isone_lmp\nsource: {{feed: {feed}, nodes: ALL}}").receipts
    assert receipt.outcome is Outcome.FAILED
    assert message in str(receipt.error)
    assert len(simulator.log) == 1


@pytest.mark.parametrize("kind", ["html", "cut_zip", "error:503"])
@pytest.mark.parametrize("feed", ["csv", "api"])
def test_a_passing_fault_is_asked_again(kind: str, feed: str, go: Callable[..., Report], simulator: Simulator) -> None:
    simulator.inject(Fault(kind))
    (receipt,) = go(f"isone_lmp\nsource: {{feed: {feed}, nodes: ALL}}").receipts
    assert (receipt.outcome, receipt.rows_accepted, receipt.attempts) == (Outcome.DONE, 90 * 24, 2)


def test_an_unknown_word_is_kept_aside(go: Callable[..., Report], simulator: Simulator) -> None:
    simulator.inject(Fault("unknown_word"))
    (receipt,) = go("isone_lmp\nsource: {feed: api, nodes: ALL}").receipts
    assert (receipt.outcome, receipt.rows_accepted) == (Outcome.QUARANTINED, 90 * 24)
    assert {each.check for each in receipt.findings} == {"word_is_known"}


def test_the_registry_is_replaced_as_a_whole(go: Callable[..., Report]) -> None:
    first, second = go("isone_pnode", None), go("isone_pnode", None)
    assert first.outcome is second.outcome is Outcome.DONE
    assert first.rows == second.rows > 90
