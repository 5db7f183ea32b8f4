"""Answers over HTTP that never end, or are more than they look like, and headers that say what they should not."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import zlib
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl import equipment
from aurum_etl.download import QUICK
from tests.frames import lmp_csv, zip_of
from tests.hostile import JULY, ONCE, answering
from tests.hostile.test_zips import zeros

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from tests.hostile import Victim

CSV = lmp_csv(*((f"2026-07-14T{hour:02}:00", "A", "LMP", "1") for hour in range(7, 24)))
GOOD = zip_of(a_csv=CSV)
ZIP = {"Content-Type": "application/zip"}


def twice(body: bytes) -> bytes:
    """A gzip in a gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body", "words"),
    [
        ("gzip", zeros(3_000, 31), "longer than 52,428,800 bytes (AURUM_RESPONSE_MAX_MB)"),
        ("deflate", zeros(3_000, 15), "longer than 52,428,800 bytes (AURUM_RESPONSE_MAX_MB)"),
        ("gzip, gzip", twice(zeros(10_000, 31)), 'packed as "gzip, gzip", not once by gzip or deflate'),
        ("zstd", b"\x28\xb5\x2f\xfd", 'packed as "zstd"'),
        ("br", b"", 'packed as "br"'),
    ],
    ids=["gzip", "deflate", "layers", "zstd", "br"],
)
def test_a_body_that_inflates_on_its_way_is_counted_as_it_is_then(
    victim: Victim, coding: str, body: bytes, words: str
) -> None:
    victim.environment["AURUM_RESPONSE_MAX_MB"] = "50"
    headers = {**ZIP, "Content-Encoding": coding, "Content-Length": str(len(body))}
    with answering(lambda file: file.write(body), headers) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        ask = victim.attacked if "packed as" in words else victim.bombed
        assert words in ask("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]")
    kept = sum(each.stat().st_size for each in victim.home.rglob("*") if each.is_file())
    # It is asked for in parts before it is given up, and each time the limit is kept.
    assert kept < 1_000_000_000


def endless(piece: bytes) -> Callable[[BufferedIOBase], object]:
    """Pieces without an end."""

    def send(file: BufferedIOBase) -> None:
        while True:
            file.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    return send


@pytest.mark.parametrize("first", [b"PK", b"INTERVALSTARTTIME_GMT,"])
def test_a_body_without_an_end_is_cut_off(victim: Victim, first: bytes) -> None:
    victim.environment["AURUM_RESPONSE_MAX_MB"] = "20"
    with answering(endless(first + b"0" * 1_000_000), {**ZIP, "Transfer-Encoding": "chunked"}) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        error = victim.bombed("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]")
    assert "the answer is longer than 20,971,520 bytes (AURUM_RESPONSE_MAX_MB)" in error


@pytest.mark.parametrize(
    ("length", "code", "words"),
    [
        (len(GOOD) * 1000, 5, "RemoteProtocolError: peer closed connection without sending complete message body"),
        (len(GOOD) // 2, 5, "the zip is damaged or cut short"),
        (-1, 5, "RemoteProtocolError"),
        ("1, 2", 5, "RemoteProtocolError"),
    ],
)
def test_a_length_that_lies_is_found_out(victim: Victim, length: object, code: int, words: str) -> None:
    with answering(lambda file: file.write(GOOD), {**ZIP, "Content-Length": str(length)}) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        assert words in victim.attacked("run", victim.spec, *JULY, *ONCE, code=code)


def test_headers_that_are_too_long_are_not_read(victim: Victim) -> None:
    headers = {f"X-{number}": "x" * 10_000 for number in range(1000)}
    with answering(lambda file: file.write(GOOD), {**headers, **ZIP, "Content-Length": str(len(GOOD))}) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        assert "RemoteProtocolError" in victim.attacked("run", victim.spec, *JULY, *ONCE, code=5)


def test_what_headers_say_stays_text(victim: Victim) -> None:
    """In the archive's record of an exchange they are values, and no file is named by them."""
    nasty = '"},"status":200,"sha256":"x"} ../../../etc/passwd \x7f \xff $(id)'
    headers = {
        "Content-Type": "application/zip; x=" + nasty,
        "Content-Disposition": f"attachment; filename=../../../{nasty}",
        "ETag": nasty,
        "Last-Modified": nasty,
        "Set-Cookie": "a=b; Domain=.com",
        "Location": "file:///etc/passwd",
        "Content-Length": str(len(GOOD)),
    }
    with answering(lambda file: file.write(GOOD), headers) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        victim.json("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]")
    (path,) = victim.home.glob("archive/exchanges/*/*/*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    assert (record["status"], record["bytes"], len(record["sha256"])) == (200, len(GOOD), 64)
    assert record["headers"]["etag"] == nasty
    assert "location" not in record["headers"]
    assert victim.json("archive", "ls")["listed"][0]["status"] == 200


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/", "file:///etc/passwd", "//169.254.169.254/"])
def test_nobody_is_followed_elsewhere(victim: Victim, status: int, place: str) -> None:
    with answering(lambda _: None, {"Location": place, "Content-Length": "0"}, status) as (base, log):
        victim.environment["AURUM_CAISO_BASE"] = base
        assert f"status {status}" in victim.attacked("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]")
    assert len(log) == 1


@pytest.mark.parametrize("asked", ["9" * 400, "1e400", "-5", "٣", "Fri, 31 Dec 9999 23:59:59 GMT", "Wed, 99 Foo 9999"])
def test_a_host_is_not_left_alone_for_ever(victim: Victim, asked: str) -> None:
    """However long it asks to be: a wait has an end, and so has the rest of the host."""
    headers = {"Retry-After": asked.encode().decode("latin-1"), "Content-Length": "0"}
    started = time.monotonic()
    with answering(lambda _: None, headers, 429) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        victim.attacked("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]", code=5)
    assert time.monotonic() - started < 60
    with closing(sqlite3.connect(victim.home / "quota" / "requests.sqlite")) as record:
        quiet = [until for (until,) in record.execute("select quiet_until from hosts")]
    assert all(until < time.time() + 7200 for until in quiet)


def test_one_byte_at_a_time_is_not_waited_for(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may be slow, and not without end: each byte would begin the wait for the next."""
    stop = threading.Event()

    def drip(file: BufferedIOBase) -> None:
        while not stop.wait(0.05):
            file.write(b"1\r\nP\r\n")
            file.flush()

    monkeypatch.setattr(equipment, "QUICK", replace(QUICK, total_seconds=1.0))
    with answering(drip, {**ZIP, "Transfer-Encoding": "chunked"}) as (base, _):
        victim.environment["AURUM_CAISO_BASE"] = base
        error = victim.attacked("run", victim.spec, *JULY, *ONCE, "--set", "source.nodes=[A]", code=5)
    stop.set()
    assert "was not there after 1 s" in error
