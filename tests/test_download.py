"""Bytes from an ISO: what is tried again, what is not, and what is kept of it."""

from __future__ import annotations

import email.utils
import re
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from aurum_etl.archive import Answer, Archive, Request, upkeep
from aurum_etl.download import QUICK, Download, Patience, Replay
from aurum_etl.errors import (
    AccessDenied,
    SourceChanged,
    SourceResting,
    SourceUnavailable,
    SourceUnreachable,
    Stopped,
    TooLarge,
)
from aurum_etl.manners import Manners, NothingThere
from aurum_etl.market import Iso
from aurum_etl.quota import BreakerRule, BreakerState, Ledger, LedgerBudget, Limits, Terms
from aurum_etl.quota.record import tables_of
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

REQUEST = Request(Iso.CAISO, "SingleZip", (("queryname", "PRC_LMP"),))
FREE = Terms("caiso_lmp", breaker=BreakerRule(failures=1000))
HASTY = replace(QUICK, first_wait_seconds=0.01, longest_wait_seconds=0.02)
Scripted = tuple[int, dict[str, str], bytes]


class Server:
    """Answers with the script, one line per request, and the last line for ever."""

    def __init__(self, *script: Scripted) -> None:
        self.starts: list[float] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.starts.append(time.monotonic())
                status, headers, body = script[min(len(server.starts), len(script)) - 1]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def serving(*script: Scripted) -> Iterator[Server]:
    server = Server(*script)
    thread = threading.Thread(target=server.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def budget_of(archive: Archive, terms: Terms = FREE) -> LedgerBudget:
    """Under the record beside the archive."""
    folder = archive.folder.with_name("quota")
    folder.mkdir(exist_ok=True)
    return Ledger(folder).budget(terms)


def source(base: str, archive: Archive, patience: Patience = HASTY, **changes: object) -> Download:
    options = {"budget": budget_of(archive), "max_bytes": 1_000_000, "manners": Manners(), **changes}
    return Download({"": base}, Origin.CUSTOM, archive, patience=patience, **options)  # type: ignore[arg-type]


def text(answer: Answer) -> str:
    return answer.body.read_text()


GOOD: Scripted = (200, {}, b"good")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_heal_is_asked_again(archive: Archive, status: int) -> None:
    with serving((status, {}, b"busy"), GOOD) as server, source(server.base, archive) as download:
        fetched = download.get(REQUEST, text, chunk_key="k")
    assert (fetched.value, fetched.attempts) == ("good", 2)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_with_what_to_do(archive: Archive, status: int) -> None:
    manners = Manners(access="ask for a key at https://iso")
    with serving((status, {}, b"no key"), GOOD) as server, source(server.base, archive, manners=manners) as download:
        with pytest.raises(AccessDenied, match=rf'status {status}: "no key": ask for a key at https://iso$'):
            download.get(REQUEST, text, chunk_key="k")
    assert len(server.starts) == 1


def test_a_status_may_say_that_there_is_nothing_and_a_replay_says_so_too(archive: Archive) -> None:
    manners = Manners(nothing_there=frozenset({404}))
    with serving((404, {}, b""), GOOD) as server, source(server.base, archive, manners=manners) as download:
        with pytest.raises(NothingThere, match=r"status 404$") as caught:
            download.get(REQUEST, text, chunk_key="k")
    assert caught.value.answer.status == 404
    with pytest.raises(NothingThere, match=r"status 404$"):
        Replay(archive, simulated=False, manners=manners, max_bytes=10**8).get(REQUEST, text, chunk_key="k")


@pytest.mark.parametrize("status", [400, 404, 410, 422, 302])
def test_what_cannot_heal_is_not_asked_again(archive: Archive, status: int) -> None:
    with serving((status, {}, b"<p>no such report</p>"), GOOD) as server, source(server.base, archive) as download:
        with pytest.raises(SourceChanged, match=rf'SingleZip\?queryname=PRC_LMP: status {status}: "<p>no such report'):
            download.get(REQUEST, text, chunk_key="k")
        assert len(server.starts) == 1


def test_every_answer_is_archived_whatever_its_status(archive: Archive) -> None:
    with serving((503, {}, b"busy"), (404, {}, b"gone")) as server, source(server.base, archive) as download:
        with pytest.raises(SourceChanged):
            download.get(REQUEST, text, chunk_key="k")
    assert [record["status"] for _, record in archive.exchanges()] == [503, 404]
    assert upkeep.verify(archive).is_whole


def test_an_answer_that_is_not_accepted_is_asked_for_again(archive: Archive) -> None:
    """A cut zip, or an ISO's own "try later" inside a 200."""

    def whole(answer: Answer) -> str:
        if text(answer) != "good":
            raise SourceUnavailable("cut short")
        return "good"

    with serving((200, {}, b"goo"), GOOD) as server, source(server.base, archive) as download:
        assert download.get(REQUEST, whole, chunk_key="k").attempts == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-zip-compressed", b'{"error": "session expired"}'),
        ("text/csv; charset=utf-8", b"\xef\xbb\xbf <html>Sign in</html>"),
        ("text/csv", b'{"message": "later"}'),
        ("application/json", b"<!DOCTYPE html>"),
    ],
)
def test_what_a_proxy_puts_in_the_place_of_an_answer_is_asked_for_again(
    archive: Archive, kind: str, body: bytes
) -> None:
    with serving((200, {"content-type": kind}, body), GOOD) as server, source(server.base, archive) as download:
        assert download.get(REQUEST, text, chunk_key="k").attempts == 2


def test_a_body_that_breaks_off_is_asked_for_again(archive: Archive) -> None:
    with serving((200, {"Content-Length": "9"}, b"goo"), GOOD) as server, source(server.base, archive) as download:
        assert download.get(REQUEST, text, chunk_key="k").value == "good"


class Hurried(threading.Event):
    """Lets no time go by, and remembers how much would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


def test_waits_are_anywhere_below_what_doubles_up_to_a_limit(archive: Archive) -> None:
    """Full jitter: who failed together does not come again together."""
    patience = Patience(attempts=8, first_wait_seconds=2.0, longest_wait_seconds=20.0)
    most = [min(2.0 * 2**number, 20.0) for number in range(7)]
    firsts: set[float] = set()
    for _ in range(5):
        stop = Hurried()
        with serving((500, {}, b"busy")) as server, source(server.base, archive, patience, stop=stop) as download:
            with pytest.raises(SourceUnavailable, match="tried 8 times"):
                download.get(REQUEST, text, chunk_key="k")
        assert all(0 <= wait <= limit for wait, limit in zip(stop.waits, most, strict=True))
        firsts.add(stop.waits[0])
    assert len(firsts) == 5


def test_giving_up_tells_how_often_and_why(archive: Archive) -> None:
    patience = replace(HASTY, attempts=3)
    with serving((503, {}, b"night shift")) as server, source(server.base, archive, patience) as download:
        with pytest.raises(SourceUnavailable, match=r'status 503: "night shift" \(tried 3 times in \d+ s\)'):
            download.get(REQUEST, text, chunk_key="k")
        assert len(server.starts) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_in_both_forms(archive: Archive, form: str) -> None:
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    header = {"Retry-After": "1" if form == "seconds" else soon}
    with serving((503, header, b""), GOOD) as server, source(server.base, archive) as download:
        download.get(REQUEST, text, chunk_key="k")
    assert server.starts[1] - server.starts[0] >= 0.9


def test_the_wait_that_a_refusals_body_names_is_waited_for(archive: Archive) -> None:
    with (
        serving((429, {}, b"after 1 s"), GOOD) as server,
        source(
            server.base, archive, manners=Manners(busy_seconds=lambda answer: float(text(answer).split()[1]))
        ) as download,
    ):
        download.get(REQUEST, text, chunk_key="k")
    assert server.starts[1] - server.starts[0] >= 1


def test_no_try_is_begun_after_the_deadline(archive: Archive) -> None:
    patience = replace(HASTY, deadline_seconds=0.5)
    with serving((503, {"Retry-After": "60"}, b"")) as server, source(server.base, archive, patience) as download:
        with pytest.raises(SourceUnavailable):
            download.get(REQUEST, text, chunk_key="k")
        assert len(server.starts) == 1


def test_a_silent_source_is_given_up(archive: Archive) -> None:
    patience = replace(HASTY, attempts=2, read_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with source(base, archive, patience) as download, pytest.raises(SourceUnavailable, match="ReadTimeout"):
            download.get(REQUEST, text, chunk_key="k")


def test_nobody_there_is_told_with_what_to_do(archive: Archive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with source(f"http://127.0.0.1:{port}", archive) as download:
        with pytest.raises(SourceUnreachable, match=r"check the network .* AURUM_CAISO_BASE .* --sim"):
            download.get(REQUEST, text, chunk_key="k")


def test_an_answer_beyond_the_limit_is_refused(archive: Archive) -> None:
    with serving((200, {}, b"x" * 2000)) as server, source(server.base, archive, max_bytes=1000) as download:
        with pytest.raises(TooLarge, match="longer than 1,000 bytes"):
            download.get(REQUEST, text, chunk_key="k")
    assert len(server.starts) == 1
    with pytest.raises(TooLarge, match="longer than 1,000 bytes"):
        Replay(archive, simulated=False, manners=Manners(), max_bytes=1000).get(REQUEST, text, chunk_key="k")


@pytest.mark.parametrize(("status", "about"), [(413, None), (414, "places"), (400, None)])
def test_what_is_too_much_is_not_asked_again_and_a_replay_refuses_it_too(
    archive: Archive, status: int, about: str | None
) -> None:
    manners = Manners(too_much=re.compile(b"too much"))
    refusal: Scripted = (status, {}, b"that is too much")
    with serving(refusal, GOOD) as server, source(server.base, archive, manners=manners) as download:
        with pytest.raises(TooLarge, match=rf"status {status}") as caught:
            download.get(REQUEST, text, chunk_key="k")
    assert (caught.value.about, caught.value.attempts, len(server.starts)) == (about, 1, 1)
    with pytest.raises(TooLarge, match=rf"status {status}"):
        Replay(archive, simulated=False, manners=manners, max_bytes=1000).get(REQUEST, text, chunk_key="k")


def test_a_400_that_does_not_speak_of_too_much_is_no_such_refusal(archive: Archive) -> None:
    manners = Manners(too_much=re.compile(b"too much"))
    with serving((400, {}, b"wrong"), GOOD) as server, source(server.base, archive, manners=manners) as download:
        with pytest.raises(SourceChanged, match="status 400"):
            download.get(REQUEST, text, chunk_key="k")


def test_a_status_for_nothing_may_also_say_something_else(archive: Archive) -> None:
    manners = Manners(nothing_there=frozenset({404}), says_nothing=lambda answer: not answer.size)
    with (
        serving((404, {}, b"wrong address"), GOOD) as server,
        source(server.base, archive, manners=manners) as download,
    ):
        with pytest.raises(SourceChanged, match="wrong address"):
            download.get(REQUEST, text, chunk_key="k")


def test_who_asks_is_not_told_to_hosts_that_do_not_want_to_know(archive: Archive) -> None:
    told: list[str] = []

    class Proof(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
            told.append(request.url.path)
            yield request

    manners = Manners(open_hosts=frozenset({"OPEN"}))
    with serving(GOOD) as server:
        bases = {"": server.base, "OPEN": server.base}
        options = {
            "budget": budget_of(archive),
            "patience": HASTY,
            "max_bytes": 1000,
            "manners": manners,
            "auth": Proof(),
        }
        with Download(bases, Origin.CUSTOM, archive, **options) as download:  # type: ignore[arg-type]
            download.get(replace(REQUEST, path="open", host="OPEN"), text, chunk_key="k")
            download.get(replace(REQUEST, path="closed"), text, chunk_key="k")
    assert told == ["/closed"]


def test_requests_start_no_faster_than_the_pace(archive: Archive) -> None:
    limits = Limits(requests_per_minute=300)
    budget = budget_of(archive, Terms("caiso_lmp", limits=limits, host_limits=limits))
    with serving(GOOD) as server, source(server.base, archive, budget=budget) as download:
        for _ in range(4):
            download.get(REQUEST, text, chunk_key="k")
    gaps = [later - earlier for earlier, later in zip(server.starts, server.starts[1:], strict=False)]
    assert min(gaps) >= 0.15
    assert sum(gaps) >= 0.55
    budget.close()


def test_who_is_stopped_waits_for_no_better_answer(archive: Archive) -> None:
    stop = threading.Event()
    patience = replace(HASTY, attempts=9, first_wait_seconds=30.0, longest_wait_seconds=30.0)
    with serving((503, {"retry-after": "30"}, b"busy")) as server:
        with source(server.base, archive, patience, stop=stop) as download:
            threading.Timer(0.2, stop.set).start()
            started = time.monotonic()
            with pytest.raises(Stopped):
                download.get(REQUEST, text, chunk_key="k")
    assert time.monotonic() - started < 10


def test_a_replay_sends_no_request(archive: Archive) -> None:
    with serving(GOOD) as server, source(server.base, archive) as download:
        download.get(REQUEST, text, chunk_key="k")
    replayed = Replay(archive, simulated=False, manners=Manners(), max_bytes=10**8).get(REQUEST, text, chunk_key="k")
    assert (replayed.value, replayed.attempts, replayed.answer.origin) == ("good", 0, Origin.CUSTOM)


def logged(archive: Archive) -> list[dict[str, object]]:
    with closing(budget_of(archive)) as budget:
        rows: list[dict[str, object]] = tables_of(budget.ledger.path.parent)["requests"].to_pylist()
    return rows


def test_every_try_is_on_record_with_what_came_of_it(archive: Archive) -> None:
    with serving((503, {}, b"busy"), (200, {}, b"bad"), GOOD) as server:

        def whole(answer: Answer) -> str:
            if text(answer) == "bad":
                raise SourceUnavailable("cut short")
            return text(answer)

        base = server.base.replace("http://", "http://me:sesame@")
        with source(base, archive) as download:
            request = replace(REQUEST, query=(*REQUEST.query, ("api_key", "sesame")))
            download.get(request, whole, chunk_key="k", records=len)
    rows = logged(archive)
    assert [(each["attempt"], each["status"], each["bytes"], each["records"]) for each in rows] == [
        (1, 503, 4, 0),
        (2, 200, 3, 0),
        (3, 200, 4, 4),
    ]
    assert str(rows[0]["error"]).startswith("SourceUnavailable: CAISO SingleZip")
    assert [each["error"] for each in rows[1:]] == ["SourceUnavailable: cut short", None]
    host = server.base.removeprefix("http://")
    assert {each["host"] for each in rows} == {host}
    assert {each["url"] for each in rows} == {f"{server.base}/SingleZip?queryname=PRC_LMP&api_key=***"}
    assert "sesame" not in str(rows)
    assert rows[2]["sha256"] == [record["sha256"] for _, record in archive.exchanges()][2]


def test_a_host_in_trouble_is_left_alone_and_the_chunk_can_come_again(archive: Archive) -> None:
    budget = budget_of(archive, Terms("caiso_lmp", breaker=BreakerRule(failures=3)))
    with serving((503, {}, b"busy")) as server, source(server.base, archive, budget=budget) as download:
        with pytest.raises(SourceResting, match="is left alone until") as caught:
            download.get(REQUEST, text, chunk_key="k")
        assert len(server.starts) == 3
        assert caught.value.until is not None
        assert [each.state for each in budget.ledger.breakers()] == [BreakerState.OPEN]


@pytest.mark.parametrize("answer", [(429, {}, b"too fast"), (404, {}, b"gone"), (200, {}, b"<html>"), (401, {}, b"")])
def test_a_host_that_answers_is_not_in_trouble(archive: Archive, answer: Scripted) -> None:
    def never(_: Answer) -> str:
        raise SourceUnavailable("not what was asked for")

    budget = budget_of(archive, Terms("caiso_lmp", breaker=BreakerRule(failures=2)))
    with serving(answer) as server, source(server.base, archive, budget=budget) as download:
        for _ in range(2):
            with pytest.raises((SourceUnavailable, SourceChanged, AccessDenied)):
                download.get(REQUEST, never, chunk_key="k")
    assert all(each.state is BreakerState.CLOSED for each in budget_of(archive).ledger.breakers())


def test_what_one_was_told_to_wait_all_wait(archive: Archive) -> None:
    with serving((429, {"retry-after": "1"}, b"too fast"), GOOD) as server:
        with source(server.base, archive, replace(HASTY, attempts=1)) as first:
            with pytest.raises(SourceUnavailable):
                first.get(REQUEST, text, chunk_key="k")
        with source(server.base, archive) as second:
            assert second.get(REQUEST, text, chunk_key="l").value == "good"
    assert server.starts[1] - server.starts[0] >= 1.0


def test_a_body_that_never_ends_is_given_up(archive: Archive) -> None:
    patience = replace(HASTY, attempts=1, total_seconds=0.3)
    with trickling() as base, source(base, archive, patience) as download:
        with pytest.raises(SourceUnavailable, match=r"the answer was not there after 0 s"):
            download.get(REQUEST, text, chunk_key="k")


@contextmanager
def trickling() -> Iterator[str]:
    """A server whose body comes in drops, for ever."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            with suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b".")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()
