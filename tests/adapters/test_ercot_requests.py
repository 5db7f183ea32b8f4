"""ERCOT over HTTP: what is asked, the login, pages, lists and documents, against a server of the test's own."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
import pytest

from aurum_etl.adapters.base import Fetched, demand_credentials, fetch
from aurum_etl.adapters.ercot import ERCOT
from aurum_etl.adapters.ercot.login import Login
from aurum_etl.archive import Archive
from aurum_etl.download import QUICK, Replay
from aurum_etl.errors import (
    AccessDenied,
    SourceChanged,
    SourceUnavailable,
    SourceUnreachable,
    SpecError,
    UsageError,
)
from aurum_etl.pipeline import normalized_of
from aurum_etl.quota.record import tables_of
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, run
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Simulator
from tests.adapters import loopback
from tests.frames import chunk, spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aurum_etl.dataset import Dataset
    from tests.adapters.loopback import Said

NAME, WORD, KEY = "somebody@example.org", "p&ss word/1", "the-subscription-key"
CREDENTIALS = {
    "ERCOT_API_USERNAME": NAME,
    "ERCOT_API_PASSWORD": WORD,
    "ERCOT_PUBLIC_API_SUBSCRIPTION_KEY": KEY,
}
DAY, SPRING, AUTUMN = date(2026, 7, 14), date(2026, 3, 8), date(2025, 11, 2)
DATASETS = {each.key: each for each in ERCOT.datasets}
PRICES = DATASETS["ercot_lmp"].of("api")
ARCHIVED = DATASETS["ercot_lmp"].of("archive")
TOKEN_PATH = "/login/oauth2/v2.0/token"


@dataclass
class Log:
    """What came to the server."""

    requests: list[tuple[str, dict[str, str], dict[str, str], str]] = field(default_factory=list)
    """Path, query, headers and body."""

    def paths(self) -> list[str]:
        return [path for path, *_ in self.requests]

    def of(self, path: str) -> list[tuple[dict[str, str], dict[str, str], str]]:
        return [rest for each, *rest in self.requests if each == path]  # type: ignore[misc]


@contextmanager
def server(say: Callable[[str, dict[str, str], str, int], Said]) -> Iterator[tuple[str, Log]]:
    """Answers with what `say` returns for a path, a query, a body and the number of the request."""
    with loopback.server(
        lambda heard: say(heard.path, heard.query, heard.body, heard.number),
        lambda heard: (heard.path, heard.query, {k.lower(): v for k, v in heard.headers.items()}, heard.body),
    ) as (base, requests):
        yield base, Log(requests)


def with_login(say: Callable[[str, dict[str, str], str, int], Said]) -> Callable[[str, dict[str, str], str, int], Said]:
    """The same behind a login that gives out a token of its number."""
    given = iter(range(1, 100))

    def answer(path: str, query: dict[str, str], body: str, number: int) -> Said:
        if path == TOKEN_PATH:
            return 200, {"id_token": f"token-{next(given)}", "access_token": "another", "expires_in": "3600"}
        return say(path, query, body, number)

    return answer


def fetched(of: Dataset, base: str, folder: Path, *names: str, day: date = DAY) -> Fetched:
    bases = {"": base, "LOGIN": f"{base}/login", "MIS": f"{base}/mis", "DASHBOARDS": f"{base}/dashboards"}
    return loopback.fetched(ERCOT, of, chunk(of, day, *names), bases, folder, CREDENTIALS, replace(QUICK, attempts=2))


FIELDS = ("deliveryDate", "hourEnding", "settlementPoint", "settlementPointPrice", "DSTFlag")


def page(number: int, pages: int, **said: Any) -> dict[str, Any]:
    """One page of two hours."""
    hours = (f"{2 * number - 1:02}:00", f"{2 * number:02}:00")
    rows = [["2026-07-14", hour, "HB_WEST", 20.5, False] for hour in hours]
    meta = {"totalRecords": 2 * pages, "pageSize": 2, "totalPages": pages, "currentPage": number}
    return {
        "_meta": meta | said,
        "report": {"reportEMIL": "NP4-190-CD"},
        "fields": [{"name": name} for name in FIELDS],
        "data": rows,
        "_links": None,
    }


# What is asked


def asked(key: str, feed: str, day: date = DAY, *names: str) -> list[tuple[str, str, dict[str, str]]]:
    dataset = DATASETS[key].of(feed)
    return [
        (each.request.host, each.request.path, dict(each.request.query))
        for each in ERCOT.asks(dataset, chunk(dataset, day, *names))
    ]


PAGE_ONE = {"size": "100000", "page": "1"}


def test_days_are_asked_for_with_both_of_their_ends() -> None:
    between = {"deliveryDateFrom": "2026-07-14", "deliveryDateTo": "2026-07-14"}
    assert asked("ercot_lmp", "api") == [("", "np4-190-cd/dam_stlmnt_pnt_prices", between | PAGE_ONE)]
    assert asked("ercot_lmp_rt15", "api", DAY, "A_RN", "HB_WEST") == [
        ("", "np6-905-cd/spp_node_zone_hub", between | {"settlementPoint": name} | PAGE_ONE)
        for name in ("A_RN", "HB_WEST")
    ]
    between = {"operatingDayFrom": "2026-07-14", "operatingDayTo": "2026-07-14"}
    assert asked("ercot_load", "api") == [
        ("", "np6-345-cd/act_sys_load_by_wzn", between | PAGE_ONE),
        ("", "np6-346-cd/act_sys_load_by_fzn", between | PAGE_ONE),
    ]


@pytest.mark.parametrize("day", [DAY, SPRING, AUTUMN])
def test_instants_are_asked_for_by_the_clock_on_the_wall(day: date) -> None:
    ((_, path, query),) = asked("ercot_lmp_rt5", "api", day)
    assert path == "np6-788-cd/lmp_node_zone_hub"
    assert query == {"SCEDTimestampFrom": f"{day}T00:00:00", "SCEDTimestampTo": f"{day}T23:59:59"} | PAGE_ONE


@pytest.mark.parametrize(
    ("key", "path", "first", "last"),
    [
        ("ercot_lmp", "archive/np4-190-cd", "2026-07-13T00:00:00", "2026-07-14T12:00:00"),
        ("ercot_asm", "archive/np4-188-cd", "2026-07-13T00:00:00", "2026-07-14T12:00:00"),
        ("ercot_lmp_rt15", "archive/np6-905-cd", "2026-07-14T00:00:00", "2026-07-16T00:00:00"),
        ("ercot_lmp_rt5", "archive/np6-788-cd", "2026-07-14T00:00:00", "2026-07-15T06:00:00"),
        ("ercot_load", "archive/np6-345-cd", "2026-07-15T00:00:00", "2026-07-17T00:00:00"),
        ("ercot_load_forecast", "archive/np3-565-cd", "2026-07-14T00:00:00", "2026-07-15T00:00:00"),
        ("ercot_renewable_forecast", "archive/np4-742-cd", "2026-07-14T00:00:00", "2026-07-15T00:00:00"),
    ],
)
def test_documents_are_listed_by_when_they_are_posted(key: str, path: str, first: str, last: str) -> None:
    assert asked(key, "archive")[0] == (
        "",
        path,
        {"postDatetimeFrom": first, "postDatetimeTo": last, "size": "1000", "page": "1"},
    )


def test_mis_is_asked_by_the_number_of_the_report() -> None:
    numbers = {
        key: [query["reportTypeId"] for _, _, query in asked(key, "mis")]
        for key, dataset in DATASETS.items()
        if dataset.feeds[0].name == "mis"
    }
    assert numbers == {
        "ercot_lmp": ["12331"],
        "ercot_lmp_rt15": ["12301"],
        "ercot_lmp_rt5": ["12300"],
        "ercot_load": ["13101", "14836"],
        "ercot_load_forecast": ["14837", "12312", "12311"],
        "ercot_renewable_forecast": ["14787", "13028", "21809", "13483"],
        "ercot_asm": ["12329"],
        "ercot_pnode": ["10008"],
    }
    assert asked("ercot_lmp", "mis")[0][:2] == ("MIS", "misapp/servlets/IceDocListJsonWS")
    assert asked("ercot_genmix", "dashboard") == [("DASHBOARDS", "fuel-mix.json", {})]


# The login


def test_every_request_has_the_id_token_and_the_key(tmp_path: Path) -> None:
    with server(with_login(lambda _, query, *__: (200, page(int(query["page"]), 2)))) as (base, log):
        found = fetched(PRICES, base, tmp_path)
    assert log.paths() == [TOKEN_PATH, *["/np4-190-cd/dam_stlmnt_pnt_prices"] * 2]
    (form,) = [dict(parse_qsl(body)) for _, _, body in log.of(TOKEN_PATH)]
    assert form == {
        "grant_type": "password",
        "username": NAME,
        "password": WORD,
        "response_type": "id_token",
        "scope": "openid fec253ea-0d06-4272-a5e6-b478baeecd70 offline_access",
        "client_id": "fec253ea-0d06-4272-a5e6-b478baeecd70",
    }
    proofs = [
        (headers["authorization"], headers["ocp-apim-subscription-key"])
        for _, headers, _ in log.of("/np4-190-cd/dam_stlmnt_pnt_prices")
    ]
    assert proofs == [("Bearer token-1", KEY)] * 2
    assert len(normalized_of(found, PRICES).frame) == 4


def test_secrets_do_not_enter_the_archive_or_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(with_login(lambda _, query, *__: (200, page(int(query["page"]), 2)))) as (base, _):
        fetched(PRICES, base, tmp_path)
        replayed = fetch(
            ERCOT,
            PRICES,
            chunk(PRICES, DAY),
            Replay(Archive(tmp_path), simulated=False, manners=ERCOT.manners, max_bytes=10**8),
            10**8,
        )
    assert len(normalized_of(replayed, PRICES).frame) == 4
    kept = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(kept) >= 4
    told = "".join(capsys.readouterr())
    assert "request.sent" in told
    audit = tables_of(tmp_path)["requests"].to_pylist()
    assert (audit[1]["dataset"], audit[1]["method"], audit[1]["status"]) == ("login", "POST", 200)
    told += str(audit)
    for secret in (NAME, WORD, KEY, "token-1"):
        assert all(secret.encode() not in each.read_bytes() for each in kept)
        assert secret not in told


def test_a_token_is_renewed_before_its_hour_is_over() -> None:
    clock = [0.0]
    with server(with_login(lambda *_: (200, "{}"))) as (base, log):
        login = Login(f"{base}/login", "LOGIN", "AURUM_ERCOT_LOGIN_BASE", CREDENTIALS, lambda: clock[0])
        with httpx.Client(auth=login) as client:
            for clock[0] in (0.0, 3299.0, 3301.0, 3400.0, 6602.0):
                client.get(f"{base}/rows")
    assert [headers["authorization"] for _, headers, _ in log.of("/rows")] == [
        f"Bearer token-{number}" for number in (1, 1, 2, 2, 3)
    ]


@pytest.mark.parametrize(
    ("life", "renewed_after"), [(3600, 3300.0), ("600", 300.0), (None, 3300.0), ("soon", 3300.0), (-1, 3300.0)]
)
def test_the_life_of_a_token_is_what_the_login_says(life: object, renewed_after: float) -> None:
    clock = [0.0]

    def say(path: str, *_: object) -> Said:
        return (200, {"id_token": "t", "expires_in": life}) if path == TOKEN_PATH else (200, "{}")

    with server(say) as (base, log):
        login = Login(f"{base}/login", "LOGIN", "AURUM_ERCOT_LOGIN_BASE", CREDENTIALS, lambda: clock[0])
        with httpx.Client(auth=login) as client:
            for clock[0] in (0.0, renewed_after - 1, renewed_after + 1):
                client.get(f"{base}/rows")
    assert log.paths() == [TOKEN_PATH, "/rows", "/rows", TOKEN_PATH, "/rows"]


def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    def say(_: str, query: dict[str, str], __: str, number: int) -> Said:
        return (401, {"statusCode": 401, "message": "expired"}) if number == 2 else (200, page(int(query["page"]), 1))

    with server(with_login(say)) as (base, log):
        assert fetched(PRICES, base, tmp_path / "again").attempts == 1
    assert [headers["authorization"] for _, headers, _ in log.of("/np4-190-cd/dam_stlmnt_pnt_prices")] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    refused = {"statusCode": 401, "message": "Access denied due to invalid subscription key."}
    with (
        server(with_login(lambda *_: (401, refused))) as (base, log),
        pytest.raises(AccessDenied, match=r"invalid subscription key.*ERCOT_PUBLIC_API_SUBSCRIPTION_KEY"),
    ):
        fetched(PRICES, base, tmp_path / "never")
    assert len(log.paths()) == 4, "what is refused with a new token is not asked again"


@pytest.mark.parametrize(
    ("status", "said", "kind", "message"),
    [
        (
            400,
            {"error": "access_denied", "error_description": f"AADB2C90225: {NAME} or {WORD} are invalid.\r\n"},
            AccessDenied,
            "status 400: access_denied AADB2C90225: … or … are invalid.: ERCOT_API_USERNAME and ERCOT_API_PASSWORD hold",
        ),
        (403, "<html>blocked</html>", AccessDenied, "status 403: ERCOT_API_USERNAME and"),
        (500, "down", SourceUnavailable, "status 500"),
        (429, {"error": "throttled"}, SourceUnavailable, "status 429: throttled"),
        (404, "gone", SourceChanged, "status 404: expected id_token; found no json object"),
        (200, {"access_token": "t"}, SourceChanged, "expected id_token; found access_token"),
        (200, ["t"], SourceChanged, "expected id_token"),
        (200, "<html>sign in</html>", SourceChanged, "expected id_token"),
    ],
)
def test_a_refused_login_is_told_without_its_secrets(
    status: int, said: object, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with server(lambda *_: (status, said)) as (base, log), pytest.raises(kind, match=message) as caught:
        fetched(PRICES, base, tmp_path)
    assert str(caught.value).startswith("ERCOT's login: ")
    assert all(secret not in str(caught.value) for secret in (NAME, WORD, KEY))
    assert set(log.paths()) == {TOKEN_PATH}
    assert (len(log.paths()) == 1) == (kind is not SourceUnavailable)


def test_a_login_that_is_not_there_names_its_own_variable() -> None:
    login = Login("http://127.0.0.1:9", "LOGIN", "AURUM_ERCOT_LOGIN_BASE", CREDENTIALS)
    with httpx.Client(auth=login) as client, pytest.raises(SourceUnreachable, match="point AURUM_ERCOT_LOGIN_BASE at"):
        client.get("http://127.0.0.1:9/rows")


def test_nothing_is_proven_to_those_who_do_not_ask(tmp_path: Path) -> None:
    with server(lambda *_: (200, mis(("21", NAMED.format("csv"), "2026-07-10T12:45:00-05:00")))) as (base, log):
        fetched(DATASETS["ercot_lmp"].of("mis"), base, tmp_path)
    ((_, _, headers, _),) = log.requests
    assert not {"authorization", "ocp-apim-subscription-key"} & set(headers)


@pytest.mark.parametrize("of", ERCOT.datasets, ids=lambda each: each.key)
def test_what_needs_an_account_says_so_before_it_asks(of: Dataset) -> None:
    assert not of.feeds[0].credentials, "the first feed is for everybody"
    demand_credentials(of, {}, ERCOT.manners.access)
    for feed in of.feeds[1:]:
        chosen = of.of(feed.name)
        some = {name: word for name, word in CREDENTIALS.items() if "PASSWORD" not in name}
        with pytest.raises(
            SpecError, match=r"^ERCOT_API_PASSWORD: not set.*apiexplorer.*feed: mis needs none"
        ) as caught:
            demand_credentials(chosen, some, ERCOT.manners.access)
        assert KEY not in str(caught.value)
        demand_credentials(chosen, CREDENTIALS, ERCOT.manners.access)
        assert ERCOT.auth(chosen, some, {"LOGIN": "x"}) is None


def test_the_login_can_be_pointed_elsewhere() -> None:
    settings = read_settings({"AURUM_ERCOT_LOGIN_BASE": "https://example.org/login/"})
    assert settings.addresses(ERCOT.iso, ERCOT.bases)["LOGIN"] == "https://example.org/login"


# Pages


@pytest.mark.parametrize(
    ("say", "kind", "message"),
    [
        (lambda _: page(1, 3), SourceChanged, "page 2 was asked for, and page 1 came"),
        (lambda number: page(number, 2, totalRecords=5), SourceUnavailable, "4 rows came, and 5 were promised"),
        (
            lambda number: page(number, 2) | {"data": []},
            SourceUnavailable,
            "4 rows are promised, and the page has none",
        ),
        (lambda _: page(1, 1, totalRecords=3), SourceUnavailable, "2 rows came, and 3 were promised"),
        (lambda _: {"statusCode": 429, "message": "Rate limit is exceeded."}, SourceUnavailable, "429: Rate limit"),
        (lambda _: "<html><body>Request blocked</body></html>", SourceUnavailable, "html page.*Request blocked"),
    ],
)
def test_pages_that_do_not_make_a_whole_are_refused(
    say: Callable[[int], object], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with (
        server(with_login(lambda _, query, *__: (200, say(int(query["page"]))))) as (base, _),
        pytest.raises(kind, match=f"^ERCOT np4-190-cd/.*{message}"),
    ):
        fetched(PRICES, base, tmp_path)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_asked_again(status: int, tmp_path: Path) -> None:
    say = with_login(lambda *asked: (status, "busy") if asked[3] == 2 else (200, page(1, 1)))
    with server(say) as (base, log):
        assert fetched(PRICES, base, tmp_path).attempts == 2
    assert len(log.of(TOKEN_PATH)) == 1


@pytest.mark.parametrize(
    "said",
    [
        page(1, 0) | {"data": []},
        {name: what for name, what in page(1, 0).items() if name != "data"},
        {"_meta": {"totalRecords": 0}, "fields": []},
    ],
    ids=["no row", "no rows", "no columns"],
)
def test_nothing_is_told_in_words(said: object, tmp_path: Path) -> None:
    with server(with_login(lambda *_: (200, said))) as (base, _):
        found = fetched(PRICES, base, tmp_path)
    assert found.batches == ()
    assert ["ERCOT has no rows for it" in each for each in found.nothing] == [True]


# Documents


def zipped(*members: tuple[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return body.getvalue()


def inner(
    number: int, stamp: str = "20260713.124500", price: float = 20.5, day: str = "07/14/2026"
) -> tuple[str, bytes]:
    """A document in a bulk: one hour."""
    name = f"cdr.00012331.0000000000000000.{stamp}.DAMSPNP4190"
    text = f"DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n{day},01:00,HB_WEST,{price},N\n"
    return f"{number}.{name.replace('.DAM', '123.DAM')}_csv.zip", zipped((f"{name}.csv", text.encode()))


def archives(*entries: tuple[int, str, str], page: int = 1, pages: int = 1) -> dict[str, Any]:
    return {
        "_meta": {"totalRecords": 9, "pageSize": 1000, "totalPages": pages, "currentPage": page},
        "product": {"emilId": "NP4-190-CD"},
        "archives": [
            {"docId": number, "friendlyName": name, "postDatetime": posted} for number, name, posted in entries
        ],
    }


TWO = archives(
    (12, "DAMSPNP4190_csv", "2026-07-13T18:01:00.000"),
    (11, "DAMSPNP4190_csv", "2026-07-13T12:45:00.123"),
    (10, "DAMSPNP4190_xml", "2026-07-13T12:45:00.100"),
    (9, "DAMSPNP4190_csv", "2026-07-12T12:45:00.100"),
)


def test_documents_are_had_many_at_once_and_the_later_one_counts(tmp_path: Path) -> None:
    """Neither the xml twin nor what was posted outside of the span is asked for; their order does not matter."""
    bulk = zipped(inner(12, "20260713.180100", 21.5), inner(11))
    with server(with_login(lambda path, *_: (200, bulk if path.endswith("/download") else TWO))) as (base, log):
        found = fetched(ARCHIVED, base, tmp_path)
    assert log.paths() == [TOKEN_PATH, "/archive/np4-190-cd", "/archive/np4-190-cd/download"]
    ((_, headers, body),) = log.of("/archive/np4-190-cd/download")
    assert json.loads(body) == {"docIds": ["11", "12"]}
    assert headers["content-type"] == "application/json"
    normalized = normalized_of(found, ARCHIVED)
    assert normalized.frame.get_column("price_total").to_list() == [21.5]
    assert normalized.frame.get_column("published_at").to_list() == [datetime(2026, 7, 13, 23, 1, tzinfo=UTC)]
    assert normalized.superseded == 1


def test_lists_have_pages_and_downloads_a_most(tmp_path: Path) -> None:
    def say(path: str, query: dict[str, str], body: str, _: int) -> Said:
        if path.endswith("/download"):
            return 200, zipped(*(inner(int(each)) for each in json.loads(body)["docIds"]))
        number = int(query["page"])
        first = 1000 * number
        return 200, archives(
            *((first + each, "DAMSPNP4190_csv", f"2026-07-13T12:{each % 60:02}:00.000") for each in range(600)),
            page=number,
            pages=2,
        )

    with server(with_login(say)) as (base, log):
        fetched(ARCHIVED, base, tmp_path)
    counts = sorted(len(json.loads(body)["docIds"]) for _, _, body in log.of("/archive/np4-190-cd/download"))
    assert counts == [100, 100, 500, 500]
    assert [query["page"] for query, _, _ in log.of("/archive/np4-190-cd")] == ["1", "2"]


@pytest.mark.parametrize(
    ("bulk", "kind", "message"),
    [
        (zipped(inner(11)), SourceUnavailable, "documents 12 were asked for, and did not come"),
        (zipped(inner(11), ("12.cdr.zip", b"PK\x03\x04cut")), SourceUnavailable, "12.cdr.zip: the zip is damaged"),
        (zipped(inner(11), inner(12))[:-30], SourceUnavailable, "did not come|damaged or cut short"),
        (b"<html><body>Forbidden</body></html>", SourceUnavailable, "html page.*Forbidden"),
        (b'{"statusCode": 429, "message": "Rate limit is exceeded."}', SourceUnavailable, "429: Rate limit"),
        (b'{"statusCode": 404, "message": "Resource not found"}', SourceChanged, "404: Resource not found"),
    ],
)
def test_a_download_that_is_not_whole_is_refused(
    bulk: bytes, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with (
        server(with_login(lambda path, *_: (200, bulk if path.endswith("/download") else TWO))) as (base, _),
        pytest.raises(kind, match=f"^ERCOT archive/np4-190-cd/download.*{message}"),
    ):
        fetched(ARCHIVED, base, tmp_path)


def mis(*entries: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "ListDocsByRptTypeRes": {
            "DocumentList": [
                {"Document": {"DocID": number, "ConstructedName": name, "PublishDate": posted}}
                for number, name, posted in entries
            ]
        }
    }


NAMED = "cdr.00012331.0000000000000000.20260713.124500123.DAMSPNP4190_{}.zip"
LISTED = mis(
    ("22", NAMED.format("xml"), "2026-07-13T12:45:00-05:00"), ("21", NAMED.format("csv"), "2026-07-13T12:45:00-05:00")
)


def one_of(listed: dict[str, Any]) -> dict[str, Any]:
    """The same list with an object where there is one entry."""
    entry = listed["ListDocsByRptTypeRes"]["DocumentList"][-1]
    return {"ListDocsByRptTypeRes": {"DocumentList": entry}}


@pytest.mark.parametrize("listed", [LISTED, one_of(LISTED)], ids=["a list", "one object"])
def test_documents_of_mis_are_had_one_by_one(listed: dict[str, Any], tmp_path: Path) -> None:
    def say(path: str, *_: object) -> Said:
        return 200, inner(21)[1] if path.endswith("mirDownload") else listed

    dataset = DATASETS["ercot_lmp"].of("mis")
    with server(say) as (base, log):
        found = fetched(dataset, base, tmp_path)
    assert [query for query, _, _ in log.of("/mis/misdownload/servlets/mirDownload")] == [{"doclookupId": "21"}]
    assert len(normalized_of(found, dataset).frame) == 1


@pytest.mark.parametrize(
    "said",
    [mis(), {"ListDocsByRptTypeRes": {}}, {"ListDocsByRptTypeRes": None}],
    ids=["no entry", "no list", "nothing"],
)
def test_a_list_of_no_document_at_all_says_nothing_of_the_day(said: dict[str, Any], tmp_path: Path) -> None:
    with (
        server(lambda *_: (200, said)) as (base, _),
        pytest.raises(SourceUnavailable, match="lists no document at all"),
    ):
        fetched(DATASETS["ercot_lmp"].of("mis"), base, tmp_path)


def test_a_list_without_the_document_is_nothing_yet(tmp_path: Path) -> None:
    said = mis(("21", NAMED.format("csv"), "2026-07-10T12:45:00-05:00"))
    with server(lambda *_: (200, said)) as (base, log):
        found = fetched(DATASETS["ercot_lmp"].of("mis"), base, tmp_path)
    assert ["no such document is listed" in each for each in found.nothing] == [True]
    assert len(log.paths()) == 1


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ({"Other": []}, SourceChanged, "expected archives or ListDocsByRptTypeRes; found Other"),
        (mis(("21", NAMED.format("csv"), "yesterday")), SourceChanged, "an entry of the list of documents"),
        ({"ListDocsByRptTypeRes": {"DocumentList": [{"Doc": 1}]}}, SourceChanged, "an entry of the list of documents"),
        ("<html>Access Denied</html>", SourceUnavailable, "html page"),
        ("", SourceUnavailable, "an empty body"),
        ('{"ListDocsByRptTypeRes": {"Docum', SourceUnavailable, "cut short"),
        ({"statusCode": 503, "message": "busy"}, SourceUnavailable, "503: busy"),
    ],
)
def test_what_is_no_list_is_refused(said: object, kind: type[Exception], message: str, tmp_path: Path) -> None:
    with server(lambda *_: (200, said)) as (base, _), pytest.raises(kind, match=message):
        fetched(DATASETS["ercot_lmp"].of("mis"), base, tmp_path)


def test_only_documents_of_the_intervals_are_asked_for(tmp_path: Path) -> None:
    """What was posted again later has the stamp of its interval; in the hour that comes twice it is an hour off."""
    name = "cdr.00012301.0000000000000000.{}.SPPHLZNP6905{}_csv.zip"
    entries = (
        ("1", "20260714.001501000", "_20260714_0015"),
        ("2", "20260714.231501000", "_20260714_2315"),
        ("3", "20260715.091501000", "_20260715_0915"),
        ("4", "20260715.101501000", "_retry_20260714_1200"),
        ("5", "20260714.151501000", ""),
        ("6", "20260714.161501000", "_20260714_2499"),
    )
    listed = mis(
        *((number, name.format(stamp, label), "2026-07-14T12:00:00-05:00") for number, stamp, label in entries)
    )
    csv = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,SettlementPointPrice,DSTFlag\n"
    document = zipped(("a.csv", f"{csv}07/14/2026,1,1,HB_WEST,HU,1,N\n".encode()))
    with server(lambda path, *_: (200, document if path.endswith("mirDownload") else listed)) as (base, log):
        fetched(DATASETS["ercot_lmp_rt15"].of("mis"), base, tmp_path)
    had = [query["doclookupId"] for query, _, _ in log.of("/mis/misdownload/servlets/mirDownload")]
    assert sorted(had) == ["1", "2", "4", "5", "6"]


def test_of_a_registry_the_newest_document_counts(tmp_path: Path) -> None:
    name = "cdr.00010008.0000000000000000.{}.SP_List_EB_Mapping.zip"
    listed = mis(
        ("1", name.format("20260701.174625000"), "2026-07-01T17:46:25-05:00"),
        ("2", name.format("20260706.174625000"), "2026-07-06T17:46:25-05:00"),
    )
    header = "ELECTRICAL_BUS,SETTLEMENT_LOAD_ZONE,RESOURCE_NODE,HUB\n"
    document = zipped(("Settlement_Points_07062026_174625.csv", f"{header}A,LZ_WEST,A_RN,\n".encode()))
    dataset = DATASETS["ercot_pnode"]
    with server(lambda path, *_: (200, document if path.endswith("mirDownload") else listed)) as (base, log):
        found = fetched(dataset, base, tmp_path)
    assert [query for query, _, _ in log.of("/mis/misdownload/servlets/mirDownload")] == [{"doclookupId": "2"}]
    assert normalized_of(found, dataset).frame.get_column("iso_location_id").to_list() == ["A_RN", "LZ_WEST"]


# As a run


def test_a_wrong_password_fails_the_chunk_in_its_own_words(tmp_path: Path) -> None:
    with Simulator(nodes=90) as simulator:
        settings = read_settings(
            {"AURUM_HOME": str(tmp_path / "home"), **simulator.env, "ERCOT_API_PASSWORD": "not-that-one"}
        )
        path = spec(tmp_path, "dataset: ercot_lmp\nsource: {feed: api}\nsinks: [{kind: memory}]\n")
        (receipt,) = run(path, Flags(start=DAY, end=DAY + timedelta(1)), settings).receipts
        assert receipt.outcome is Outcome.FAILED
        assert str(receipt.error).startswith("AccessDenied: ERCOT's login: status 400: ")
        assert "ERCOT_API_PASSWORD" in str(receipt.error)
        assert "not-that-one" not in str(receipt.error)
        assert len(simulator.log) == 1
    assert all(b"not-that-one" not in each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())


def test_rows_from_before_the_api_are_asked_of_the_archive(tmp_path: Path) -> None:
    settings = read_settings({"AURUM_HOME": str(tmp_path / "home"), **CREDENTIALS})
    path = spec(tmp_path, "dataset: ercot_lmp\nsource: {feed: api}\n")
    with pytest.raises(UsageError, match=r"serves 2023-12-11 and later; source\.feed: archive serves older ones$"):
        run(path, Flags(start=date(2022, 7, 14), end=date(2022, 7, 15)), settings)


def test_pages_of_the_api_and_documents_of_the_archive_are_the_same_rows(tmp_path: Path) -> None:
    with Simulator(nodes=90) as simulator:
        settings = read_settings({"AURUM_HOME": str(tmp_path / "home"), **simulator.env})
        found = {}
        for feed in ("api", "archive"):
            text = f"dataset: ercot_lmp\nsource: {{feed: {feed}, nodes: [HB_WEST, LZ_WEST], chunk_days: 2}}\n"
            flags = Flags(start=DAY, end=DAY + timedelta(2), sink_kinds=("memory",))
            report = run(spec(tmp_path, text), flags, settings)
            found[feed] = (report.outcome, report.rows)
    assert found == dict.fromkeys(("api", "archive"), (Outcome.DONE, 2 * 48))
