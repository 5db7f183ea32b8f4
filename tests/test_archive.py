"""Every answer, kept as received."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl.archive import Answer, Archive, Exchange, Request, upkeep
from aurum_etl.archive.listing import listing
from aurum_etl.errors import ArchiveError
from aurum_etl.market import Iso
from aurum_etl.receipt import Origin
from aurum_etl.redaction import know

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


def test_what_holds_no_rows_is_kept_without_secrets(archive: Archive) -> None:
    """A refusal may repeat the key that it refuses; what may hold rows is evidence, to the byte."""
    know("a-canary-of-the-archive")
    said = b'\xff{"message": "a-canary-of-the-archive is no key"}'
    refused = keep(archive, said, status=401)
    assert refused.body.read_bytes() == b'\xff{"message": "\xe2\x80\xa6 is no key"}'
    assert refused.size == refused.body.stat().st_size
    assert upkeep.verify(archive).damaged == ()
    assert keep(archive, said).body.read_bytes() == said
    assert keep(archive, b"\0\1\xff", status=500).body.read_bytes() == b"\0\1\xff"
    assert keep(archive, b"x" * 5_000_000, status=500).size == 4 * 1024 * 1024, "no words of refusal are so long"


def test_what_is_known_of_an_exchange_holds_no_secret_and_two_questions_stay_two(archive: Archive) -> None:
    know("a-canary-of-the-archive")
    for key in ("a-canary-of-the-archive", "another"):
        request = Request(Iso.PJM, "feed/a-canary-of-the-archive", (("api_key", key), ("page", "1")))
        headers = {"content-type": "a-canary-of-the-archive", "set-cookie": "s"}
        keep(archive, key.encode(), request, base="http://user:abc@iso/v1?key=def", headers=headers)
        assert archive.latest(request, simulated=False).body.read_bytes() == key.encode()
    first, second = (record for _, record in archive.exchanges())
    assert first["path"] == second["path"] == "feed/…"
    assert first["query"] == [["api_key", "…"], ["page", "1"]]
    assert first["base"] == "http://iso/v1?key=…"
    assert first["headers"] == {"content-type": "…"}
    assert [each.request for each in listing(archive).entries] == ["PJM feed/…?api_key=…&page=1"] * 2


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
    (damaged,) = upkeep.verify(archive).damaged
    assert damaged.digest == kept.sha256


def test_the_same_body_is_stored_once_even_by_many_at_once(archive: Archive) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: keep(archive, b"same" * 10_000), range(24)))
    assert len({each.body for each in kept}) == 1
    assert len(list(archive.exchanges())) == 24
    assert upkeep.verify(archive).is_whole


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
    pruned = upkeep.prune(archive, max_bytes=12, keep_days=None, now=NOW)
    assert (pruned.exchanges, pruned.objects, pruned.size) == (3, 2, 12)
    assert archive.latest(other(4), simulated=False).body.read_bytes() == b"shared"
    assert upkeep.verify(archive).is_whole


def test_retention_by_age_keeps_what_is_young(archive: Archive) -> None:
    keep(archive, b"old", other(1), received_at=NOW - timedelta(days=31))
    keep(archive, b"young", other(2), received_at=NOW - timedelta(days=29))
    assert upkeep.prune(archive, max_bytes=None, keep_days=30, now=NOW).exchanges == 1
    assert archive.latest(other(2), simulated=False).size == 5
    assert upkeep.prune(archive, max_bytes=None, keep_days=30, now=NOW).exchanges == 0


def test_without_limits_nothing_is_dropped(archive: Archive) -> None:
    keep(archive, b"x", received_at=NOW - timedelta(days=9999))
    assert upkeep.prune(archive, max_bytes=None, keep_days=None, now=NOW).exchanges == 0
    assert archive.latest(REQUEST, simulated=False).size == 1


def test_what_would_go_is_told_and_stays(archive: Archive) -> None:
    for number in range(4):
        keep(archive, str(number).encode() * 6, other(number), received_at=NOW + timedelta(days=number))
    before = files(archive)
    told = upkeep.prune(archive, max_bytes=12, keep_days=None, now=NOW, apply=False)
    assert (told.exchanges, told.objects, told.size) == (2, 2, 12)
    assert files(archive) == before
    assert upkeep.prune(archive, max_bytes=12, keep_days=None, now=NOW) == told
    assert upkeep.prune(archive, max_bytes=12, keep_days=None, now=NOW).exchanges == 0


def test_whether_retention_is_due_is_known_without_reading(archive: Archive) -> None:
    keep(archive, b"x" * 10, received_at=NOW - timedelta(days=31))
    for path in archive.paths():
        path.write_text("nothing to be read")
    assert upkeep.is_due(archive, max_bytes=None, keep_days=30, now=NOW)
    assert upkeep.is_due(archive, max_bytes=9, keep_days=None, now=NOW)
    assert not upkeep.is_due(archive, max_bytes=10, keep_days=32, now=NOW)
    assert not upkeep.is_due(archive, max_bytes=None, keep_days=None, now=NOW)


def test_what_was_received_by_who_is_still_at_work_stays(archive: Archive) -> None:
    keep(archive, b"long ago", other(1))
    with archive.in_use():
        keep(archive, b"just now", other(2), received_at=datetime.now(UTC))
        found = upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW)
        assert (found.exchanges, found.objects, found.left) == (1, 1, 1)
        assert archive.latest(other(2), simulated=False).size == 8
    assert upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW).exchanges == 1
    assert upkeep.verify(archive).bodies == 0


def test_nothing_goes_while_somebody_replays(archive: Archive) -> None:
    keep(archive, b"long ago")
    with archive.in_use(), archive.in_use(whole=True):
        assert upkeep.prune(archive, max_bytes=0, keep_days=0, now=datetime.now(UTC)).left == 1
    assert archive.latest(REQUEST, simulated=False).size == 8


def test_who_died_at_work_holds_nothing_back(archive: Archive) -> None:
    code = (
        "import os, sys; from pathlib import Path; from aurum_etl.archive import Archive\n"
        "archive = Archive(Path(sys.argv[1]))\n"
        "with archive.in_use(whole=True), archive.receiving() as incoming:\n"
        "    incoming.write(b'half'); incoming._file.flush(); print('there', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(archive.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        keep(archive, b"long ago")
        alive = upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW)
        assert (alive.left, alive.abandoned, len(archive.incoming())) == (1, 0, 1)
        process.kill()
        process.communicate()
    dead = upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW)
    assert (dead.exchanges, dead.left, dead.abandoned, dead.size) == (1, 0, 1, 4 + 8)
    assert archive.incoming() == []
    assert archive.used_since() is None


def test_a_body_that_comes_again_while_its_last_exchange_goes_is_kept(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(archive, b"same", other(1))
    real = upkeep._goes

    def meanwhile(*arguments: Any, **options: Any) -> bool:
        keep(archive, b"same", other(2), received_at=datetime.now(UTC))
        return real(*arguments, **options)

    monkeypatch.setattr(upkeep, "_goes", meanwhile)
    found = upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW)
    assert (found.exchanges, found.objects) == (1, 0)
    assert archive.latest(other(2), simulated=False).body.read_bytes() == b"same"


def test_many_keep_while_one_prunes_and_no_body_is_lost(archive: Archive) -> None:
    """Twelve bodies come again and again, while whatever is there goes again and again."""
    over = threading.Event()

    def come(number: int) -> None:
        for turn in range(40):
            with archive.in_use():
                keep(archive, bytes([turn % 12]) * 500, other(number), received_at=datetime.now(UTC))

    def go() -> int:
        gone = 0
        while not over.is_set():
            gone += upkeep.prune(archive, max_bytes=0, keep_days=None, now=NOW).exchanges
        return gone

    with ThreadPoolExecutor(5) as pool:
        pruning = pool.submit(go)
        try:
            for each in [pool.submit(come, number) for number in range(4)]:
                each.result()
        finally:
            over.set()
        assert pruning.result() > 0
    assert upkeep.verify(archive).missing == ()


def test_everything_that_is_wrong_is_told_apart(archive: Archive) -> None:
    right, wrong, gone, lost = (keep(archive, str(number).encode(), other(number)) for number in range(4))
    wrong.body.write_bytes(b"x")
    gone.body.unlink()
    next(path for path in archive.paths() if lost.sha256 in path.read_text()).write_text("{")
    told: list[tuple[int, int]] = []
    found = upkeep.verify(archive, lambda *so_far: told.append(so_far))
    assert [each.request for each in found.damaged] == ["CAISO SingleZip?n=1"]
    assert [each.digest for each in found.missing] == [gone.sha256]
    assert (len(found.unreadable), found.orphans, found.is_whole) == (1, (lost.sha256,), False)
    assert (found.exchanges, found.bodies, told[-1]) == (3, 3, (3, 3))
    assert right.body.exists()


def test_an_orphan_goes_unless_an_exchange_that_nobody_can_read_may_name_it(archive: Archive) -> None:
    kept = keep(archive, b"orphan", other(1))
    keep(archive, b"other", other(2))
    (path,) = [path for path in archive.paths() if kept.sha256 in path.read_text()]
    path.write_text("{")
    os.utime(kept.body, (0, 0))
    assert upkeep.prune(archive, max_bytes=None, keep_days=None, now=NOW).objects == 0
    path.unlink()
    assert upkeep.verify(archive).is_whole
    found = upkeep.prune(archive, max_bytes=None, keep_days=None, now=NOW)
    assert (found.exchanges, found.objects, found.size) == (0, 1, 6)
    assert upkeep.verify(archive).orphans == ()


def test_exchanges_are_listed_newest_first_and_by_what_they_are_of(archive: Archive) -> None:
    for number in range(6):
        key = f"{'caiso_load' if number % 2 else 'caiso_lmp'}[ALL]@x"
        keep(archive, b"same", other(number), received_at=NOW + timedelta(days=number), chunk_key=key)
    keep(archive, b"else", Request(Iso.PJM, "da_hrl_lmps"), received_at=NOW, chunk_key="pjm_lmp[ALL]@x")

    def numbers(**options: Any) -> list[str]:
        return [each.request.rpartition("n=")[2] for each in listing(archive, **options).entries]

    assert numbers(iso=Iso.CAISO) == ["5", "4", "3", "2", "1", "0"]
    assert numbers(dataset="caiso_lmp", limit=2) == ["4", "2"]
    assert numbers(start=NOW + timedelta(days=2), end=NOW + timedelta(days=4)) == ["3", "2"]
    found = listing(archive, limit=3)
    assert (found.entries[0].request, found.is_cut) == ("CAISO SingleZip?n=5", True)
    assert (found.exchanges, found.bodies, found.size) == (7, 2, 8)
    assert [each.dataset for each in listing(archive, iso=Iso.PJM).entries] == ["pjm_lmp"]
    assert not listing(archive, limit=7).is_cut


def test_only_what_is_shown_is_read(archive: Archive) -> None:
    for number in range(5):
        keep(archive, b"x", other(number), received_at=NOW + timedelta(days=number))
    for path in archive.paths()[:3]:
        path.write_text("nothing to be read")
    assert len(listing(archive, limit=1).entries) == 1
    assert len(listing(archive).entries) == 2, "what cannot be read is a matter for verify"
