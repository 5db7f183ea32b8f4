"""Every answer, kept as received."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from aurum_etl.archive import Answer, Archive, Exchange, Request
from aurum_etl.errors import ArchiveError
from aurum_etl.market import Iso
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 7, 20, 12, tzinfo=UTC)
REQUEST = Request(Iso.CAISO, "SingleZip", (("queryname", "PRC_LMP"), ("version", "12")))
EXCHANGE = Exchange("https://iso", Origin.LIVE, 200, {"content-type": "a/zip", "set-cookie": "s"}, NOW, 0.5, 1, "k")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def keep(archive: Archive, content: bytes, request: Request = REQUEST, **changes: object) -> Answer:
    with archive.receiving() as incoming:
        incoming.write(content)
        return archive.keep(incoming, request, replace(EXCHANGE, **changes))  # type: ignore[arg-type]


def files(archive: Archive) -> list[Path]:
    return [path for path in archive.folder.rglob("*") if path.is_file()]


def test_bytes_come_back_as_they_were_received(archive: Archive) -> None:
    kept = keep(archive, b"\0\1\2" * 1000)
    found = archive.latest(REQUEST, simulated=False)
    assert (found, found.body.read_bytes()) == (kept, b"\0\1\2" * 1000)
    assert (found.size, found.received_at, found.origin) == (3000, NOW, Origin.LIVE)


def test_the_newest_good_answer_is_replayed(archive: Archive) -> None:
    keep(archive, b"old")
    keep(archive, b"new", received_at=NOW + timedelta(seconds=1))
    keep(archive, b"busy", received_at=NOW + timedelta(seconds=2), status=503)
    assert archive.latest(REQUEST, simulated=False).body.read_bytes() == b"new"


def test_order_of_arguments_and_address_are_no_part_of_the_question(archive: Archive) -> None:
    keep(archive, b"x", base="http://127.0.0.1:1")
    assert archive.latest(Request(Iso.CAISO, "SingleZip", REQUEST.query[::-1]), simulated=False).size == 1


def test_invented_answers_never_shadow_published_ones(archive: Archive) -> None:
    keep(archive, b"published")
    keep(archive, b"invented", received_at=NOW + timedelta(days=1), origin=Origin.SIMULATOR)
    assert archive.latest(REQUEST, simulated=False).body.read_bytes() == b"published"
    assert archive.latest(REQUEST, simulated=True).body.read_bytes() == b"invented"


def test_invented_answers_are_replayed_where_there_is_nothing_else(archive: Archive) -> None:
    keep(archive, b"invented", origin=Origin.SIMULATOR)
    assert archive.latest(REQUEST, simulated=False).origin is Origin.SIMULATOR


def test_a_question_that_was_never_asked_is_told(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match=r"CAISO SingleZip\?queryname=PRC_LMP&version=12: no answer"):
        archive.latest(REQUEST, simulated=False)


def test_a_body_that_is_no_longer_what_was_received_is_not_used(archive: Archive) -> None:
    kept = keep(archive, b"right")
    kept.body.write_bytes(b"wrong")
    with pytest.raises(ArchiveError, match="no longer what was received"):
        archive.latest(REQUEST, simulated=False)
    assert archive.damaged() == [kept.sha256]


def test_the_same_body_is_stored_once_even_by_many_at_once(archive: Archive) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: keep(archive, b"same" * 10_000), range(24)))
    assert len({each.body for each in kept}) == 1
    assert len(list(archive.exchanges())) == 24
    assert archive.damaged() == []


def test_what_is_not_kept_leaves_no_trace(archive: Archive) -> None:
    with pytest.raises(RuntimeError), archive.receiving() as incoming:
        incoming.write(b"half")
        raise RuntimeError
    assert files(archive) == []


def test_files_are_private_and_hold_no_cookies(archive: Archive) -> None:
    keep(archive, b"x")
    assert [path for path in files(archive) if path.stat().st_mode & 0o077] == []
    assert b"set-cookie" not in b"".join(path.read_bytes() for path in files(archive))


def other(number: int) -> Request:
    return Request(Iso.CAISO, "SingleZip", (("n", str(number)),))


def test_retention_drops_the_oldest_first_and_shared_bodies_last(archive: Archive) -> None:
    for number in range(5):
        content = b"shared" if number in (0, 4) else str(number).encode() * 6
        keep(archive, content, other(number), received_at=NOW + timedelta(days=number))
    pruned = archive.prune(max_bytes=12, keep_days=None, now=NOW)
    assert (pruned.exchanges, pruned.objects, pruned.size) == (3, 2, 12)
    assert archive.latest(other(4), simulated=False).body.read_bytes() == b"shared"
    assert archive.damaged() == []


def test_retention_by_age_keeps_what_is_young(archive: Archive) -> None:
    keep(archive, b"old", other(1), received_at=NOW - timedelta(days=31))
    keep(archive, b"young", other(2), received_at=NOW - timedelta(days=29))
    assert archive.prune(max_bytes=None, keep_days=30, now=NOW).exchanges == 1
    assert archive.latest(other(2), simulated=False).size == 5
    assert archive.prune(max_bytes=None, keep_days=30, now=NOW).exchanges == 0


def test_without_limits_nothing_is_dropped(archive: Archive) -> None:
    keep(archive, b"x", received_at=NOW - timedelta(days=9999))
    assert archive.prune(max_bytes=None, keep_days=None, now=NOW).exchanges == 0
    assert archive.latest(REQUEST, simulated=False).size == 1
