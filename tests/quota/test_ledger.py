"""Who may send the next request: never more than the limits allow, the more urgent first, and everybody in the end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aurum_etl.cli import base
from aurum_etl.errors import QuotaSpent, Stopped, WatermarkError
from aurum_etl.quota import BACKFILL, LIVE, Call, Ledger, Limits, Reply, Terms
from aurum_etl.quota.ledger import Later, Reserved, Ticket
from aurum_etl.quota.limits import FREE_RETRIES, PROFILES
from aurum_etl.quota.record import tables_of
from tests.quota.days import HOST, NEVER, Client, Counted, FakeClock, Request, play

CALL = Call(HOST, "GET", "https://iso/report")
HOUR = 3600.0
FREE = Terms("caiso_lmp")


def most_within(instants: list[float], seconds: float) -> int:
    """The most instants in any stretch of that length."""
    ordered, first, most = sorted(instants), 0, 0
    for place, instant in enumerate(ordered):
        while instant - ordered[first] >= seconds:
            first += 1
        most = max(most, place - first + 1)
    return most


requests = st.builds(
    Request,
    records=st.integers(0, 60),
    bytes=st.integers(0, 500),
    seconds=st.sampled_from([0.0, 0.03, 0.2, 4.0, 20.0]),
    arrives=st.floats(0, 1),
)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Limits, Limits, list[Client]]:
    """Some clients of two datasets of one host, and the limits of both."""
    pace = draw(st.sampled_from([6.0, 30.0, 90.0]))
    host = Limits(pace, burst=draw(st.integers(1, 5)), requests_per_day=draw(st.sampled_from([None, 40])))
    dataset = replace(
        host,
        requests_per_hour=draw(st.sampled_from([None, 10])),
        records_per_hour=draw(st.sampled_from([None, 100])),
        bytes_per_hour=draw(st.sampled_from([None, 2000])),
        concurrent_requests=draw(st.sampled_from([None, 1, 2])),
    )
    clients = [
        Client(
            Terms(
                draw(st.sampled_from(["caiso_lmp", "caiso_load"])),
                limits=dataset,
                host_limits=host,
                urgency=draw(st.sampled_from([LIVE, BACKFILL, 9])),
                priority=draw(st.integers(0, 3)),
                records=draw(st.sampled_from([0, 20, 300])),
                bytes=draw(st.sampled_from([0, 300])),
            ),
            draw(st.lists(requests, min_size=1, max_size=5)),
            begins=draw(st.sampled_from([0.0, 0.5, 100.0])),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    return host, dataset, clients


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(crowds())
def test_no_limit_is_ever_exceeded_and_everybody_is_served(crowd: tuple[Limits, Limits, list[Client]]) -> None:
    """As counted by somebody who knows when each request arrived, and what came of it, and not by the ledger."""
    host, dataset, clients = crowd
    with tempfile.TemporaryDirectory() as folder:
        counted = play(Path(folder), clients)
    assert len(counted) == sum(len(client.requests) for client in clients)
    # What takes longer to arrive than a tenth of the pace, or a quarter of a second, is beyond what is promised.
    slack = min(0.25, 0.1 * 60.0 * host.burst / (host.requests_per_minute or 1), 6.0)
    arrived = [min(each.arrived, each.granted + slack) for each in counted]
    for rule in host.rules:
        assert most_within(arrived, rule.seconds) <= rule.limit
    for key in {client.terms.dataset for client in clients}:
        of_it = [each for each in counted if each.client.terms.dataset == key]
        of_it_arrived = [min(each.arrived, each.granted + slack) for each in of_it]
        if dataset.requests_per_hour is not None:
            assert most_within(of_it_arrived, HOUR) <= dataset.requests_per_hour
        if dataset.records_per_hour is not None:
            assert_within(of_it, dataset.records_per_hour)
        if dataset.concurrent_requests is not None:
            for each in of_it:
                open_then = [other for other in of_it if other.begun <= each.begun < (other.over or 0)]
                assert len(open_then) <= dataset.concurrent_requests


def assert_within(counted: list[Counted], limit: int) -> None:
    """No request was granted that, by what was known then, made more than the limit in an hour; what is more than that by
    itself goes alone.
    """
    for place, each in enumerate(counted):
        earlier = [
            other.request.records if (other.over or 0) < each.begun else other.expected_records
            for other in counted[:place]
            if other.granted > each.granted - HOUR + 0.3
        ]
        assert sum(earlier) + min(each.expected_records, limit) <= limit or not any(earlier)


def test_live_goes_before_backfill_and_that_by_priority(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=12)
    terms = Terms("caiso_lmp", limits=limits, host_limits=limits)
    many = [Request()] * 6
    first = Client(replace(terms, urgency=BACKFILL, priority=2), many)
    second = Client(replace(terms, urgency=BACKFILL, priority=1, dataset="caiso_load"), many)
    live = Client(replace(terms, urgency=LIVE, dataset="caiso_asm"), many, begins=1.0)
    play(tmp_path, [first, second, live])
    # The backfills each had at most one turn before the live run came.
    assert max(live.granted) < sorted([*first.granted, *second.granted])[1] + 6 * 5.1
    assert sorted(second.granted)[1] < sorted(first.granted)[1]


def test_who_waits_long_enough_goes_before_the_more_urgent(tmp_path: Path) -> None:
    """A live run that never ends would otherwise hold a backfill up for ever."""
    limits = Limits(requests_per_minute=12)
    terms = Terms("caiso_lmp", limits=limits, host_limits=limits)
    crowd = [Client(replace(terms, dataset=f"live_{number}"), [Request()] * 60) for number in range(3)]
    patient = Client(replace(terms, urgency=9, priority=9), [Request()], begins=20.0)
    play(tmp_path, [*crowd, patient])
    assert patient.granted[0] - crowd[0].granted[0] < 20 + 11 * 60
    assert patient.granted[0] < max(each.granted[-1] for each in crowd)


def test_a_spent_budget_of_one_dataset_holds_no_other_up(tmp_path: Path) -> None:
    host = Limits(requests_per_minute=60)
    spent = Terms("caiso_lmp", limits=replace(host, records_per_hour=100), host_limits=host)
    other = Terms("caiso_load", limits=host, host_limits=host, urgency=9)
    large = Client(spent, [Request(records=100), Request(records=100)])
    small = Client(other, [Request()] * 5, begins=2.0)
    play(tmp_path, [large, small])
    assert large.granted[1] - large.granted[0] >= HOUR
    assert small.granted[-1] - small.granted[0] < 10


def test_small_requests_do_not_pass_a_large_one_for_ever(tmp_path: Path) -> None:
    limits = Limits(records_per_hour=100)
    terms = Terms("caiso_lmp", limits=limits, records=1)
    small = [Client(terms, [Request(records=1, seconds=120.0)] * 60) for _ in range(2)]
    large = Client(replace(terms, selection="ALL", records=90), [Request(records=90)], begins=1200.0)
    play(tmp_path, [*small, large])
    assert large.granted[0] - small[0].granted[0] < 3 * HOUR


def reserved(ledger: Ledger, terms: Terms = FREE, call: Call = CALL, ticket: str = "t") -> Reserved:
    found = ledger.attempt(call, terms, Ticket(ticket, ledger.clock.now()))
    assert isinstance(found, Reserved)
    return found


def good(size: int = 0, seconds: float = 0.01) -> Reply:
    return Reply(200, size, "", seconds, seconds, healthy=True)


def test_true_numbers_take_the_place_of_expected_ones(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        terms = Terms("caiso_lmp", limits=Limits(records_per_hour=100), records=100)
        first = reserved(ledger, terms)
        later = ledger.attempt(CALL, terms, Ticket("u", clock.now()))
        assert isinstance(later, Later)
        assert not later.known, "what is on its way may turn out to be less"
        first.received(good())
        first.settle(20)
        assert isinstance(ledger.attempt(CALL, terms, Ticket("u", clock.now())), Reserved), "20 came, 20 are expected"


def test_what_was_reserved_counts_whatever_became_of_who_reserved_it(tmp_path: Path) -> None:
    """A process that is killed between reserving and settling has asked, as far as anybody knows."""
    code = f"""
import os, sys
from pathlib import Path
from aurum_etl.quota import Ledger, Limits, Terms, Call
import threading
ledger = Ledger(Path(sys.argv[1]))
terms = Terms("caiso_lmp", limits=Limits(records_per_hour=100, concurrent_requests=1), records=60)
ledger.reserve(Call({HOST!r}, "GET", "url"), terms, threading.Event())
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with closing(Ledger(tmp_path)) as ledger:
        terms = Terms("caiso_lmp", limits=Limits(records_per_hour=100, concurrent_requests=1), records=60)
        found = ledger.attempt(CALL, terms, Ticket("t", time.time()))
        assert isinstance(found, Later)
        assert (found.known, round(found.at - time.time(), -2)) == (True, 3600), "its records count"
        small = replace(terms, records=40)
        assert isinstance(ledger.attempt(CALL, small, Ticket("t", time.time())), Reserved), "its place is free"
        (use,) = [each for each in ledger.uses() if each.rule == "records_per_hour"]
        assert use.used == 100


def test_what_will_be_free_too_late_is_refused_with_the_time(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        terms = Terms("caiso_lmp", limits=Limits(requests_per_hour=1), longest_wait_seconds=900)
        budget = ledger.budget(terms)
        budget.reserve(CALL, NEVER)
        with pytest.raises(
            QuotaSpent, match="caiso_lmp has used its 1 requests_per_hour; the next turn is at "
        ) as caught:
            budget.reserve(CALL, NEVER)
        assert caught.value.until is not None
        assert round(caught.value.until.timestamp() - clock.now()) == HOUR
        clock.seconds += HOUR - 600
        assert budget.reserve(CALL, NEVER).waited_seconds == pytest.approx(600, abs=1), "so long somebody waits"


def test_who_is_stopped_waits_no_longer_and_holds_nobody_up(tmp_path: Path) -> None:
    stop = threading.Event()
    limits = Limits(requests_per_minute=1)
    terms = Terms("caiso_lmp", limits=limits, host_limits=limits, longest_wait_seconds=900)
    with closing(Ledger(tmp_path)) as ledger:
        ledger.reserve(CALL, terms, NEVER)
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Stopped):
            ledger.reserve(CALL, terms, stop)
        with ledger.transaction() as connection:
            assert connection.execute("select count(*) from waiting").fetchone() == (0,)


def test_a_host_that_asks_to_be_left_alone_is_left_alone_by_all(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        first = reserved(ledger)
        first.received(Reply(429, 100, "", 0.1, 0.1, "too fast", quiet_seconds=30.0))
        first.settle(0)
        found = ledger.attempt(CALL, Terms("caiso_load"), Ticket("u", clock.now()))
        assert isinstance(found, Later)
        assert found.at == clock.now() + 30
        other = Call("CAISO outlook", "GET", "url")
        assert isinstance(ledger.attempt(other, Terms("caiso_genmix"), Ticket("v", clock.now())), Reserved)
        clock.seconds += 30
        assert isinstance(ledger.attempt(CALL, Terms("caiso_load"), Ticket("u", clock.now())), Reserved)


def test_retries_are_a_budget_too(tmp_path: Path) -> None:
    """Where everything fails, trying again only makes it worse."""
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        terms = Terms("caiso_lmp", host_limits=Limits(requests_per_minute=6000, burst=100))
        again = replace(CALL, attempt=2)
        for _ in range(FREE_RETRIES):
            reserved(ledger, terms, again)
            clock.seconds += 0.1
        found = ledger.attempt(again, terms, Ticket("t", clock.now()))
        assert isinstance(found, Later)
        assert 590 < found.at - clock.now() < 601
        assert isinstance(ledger.attempt(CALL, terms, Ticket("t", clock.now())), Reserved), "first tries are free"


def test_little_that_is_left_is_an_alert_once(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        terms = Terms("caiso_lmp", limits=Limits(requests_per_minute=6000, records_per_hour=100, bytes_per_hour=10**9))
        for _ in range(5):
            found = reserved(ledger, terms)
            clock.seconds += 1
            found.received(good(10))
            found.settle(19)
        (alert,) = tables_of(ledger.path.parent)["alerts"].to_pylist()
        assert (alert["kind"], alert["subject"]) == ("quota", "caiso_lmp records_per_hour")
        assert alert["detail"] == "95 of 100 are used"


def test_the_audit_log_has_every_request(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        terms = Terms("caiso_lmp", origin="live")
        found = reserved(ledger, terms, Call(HOST, "GET", "https://iso/a?b=c", 2, "caiso_lmp[ALL]@x"))
        found.received(Reply(503, 7, "ab", 1.5, 1.0, "SourceUnavailable: busy", healthy=False))
        found.settle(0)
        reserved(ledger, terms)
        one, two = tables_of(ledger.path.parent)["requests"].to_pylist()
    assert one.pop("requested_at").timestamp() == clock.now()
    assert one == {
        "host": HOST,
        "dataset": "caiso_lmp",
        "chunk_key": "caiso_lmp[ALL]@x",
        "origin": "live",
        "method": "GET",
        "url": "https://iso/a?b=c",
        "attempt": 2,
        "status": 503,
        "bytes": 7,
        "records": 0,
        "sha256": "ab",
        "seconds": 1.5,
        "waited_seconds": 0.0,
        "is_settled": True,
        "error": "SourceUnavailable: busy",
    }
    assert (two["status"], two["is_settled"], two["error"]) == (None, False, None)


def test_old_requests_are_forgotten_and_what_budgets_need_is_not(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        for _ in range(3):
            reserved(ledger).received(good())
            clock.seconds += 86400
        assert ledger.prune(30) == 0
        assert ledger.prune(0) == 1
        assert len(tables_of(ledger.path.parent)["requests"]) == 2


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "requests.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(WatermarkError, match=r"requests\.sqlite: file is not a database; move it away"):
        Ledger(tmp_path)


ANOTHER = """
import sys, threading, time
from pathlib import Path
from aurum_etl.quota import Call, Ledger, Limits, Reply, Terms
limits = Limits(requests_per_minute=300)
ledger = Ledger(Path(sys.argv[1]))
budget = ledger.budget(Terms("caiso_lmp", limits=limits, host_limits=limits, urgency=int(sys.argv[2])))
for _ in range(int(sys.argv[3])):
    reserved = budget.reserve(Call("iso", "GET", "url"), threading.Event())
    print(time.time(), flush=True)
    reserved.received(Reply(200, 0, "", 0.0, 0.0))
    reserved.settle(0)
"""


def test_processes_and_threads_share_the_turns_of_a_host(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER, str(tmp_path), str(BACKFILL), "5"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    limits, mine = Limits(requests_per_minute=300), []
    with closing(Ledger(tmp_path)) as ledger:
        budget = ledger.budget(Terms("caiso_load", limits=limits, host_limits=limits, urgency=BACKFILL))

        def ask() -> None:
            for _ in range(3):
                budget.reserve(Call("iso", "GET", "url"), NEVER).received(good())
                mine.append(time.time())

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    turns = sorted([*mine, *(float(turn) for turns in told for turn in turns)])
    assert len(turns) == 16
    # The instants are taken after the turn was given, so two of them may lie a little closer than the turns did.
    assert turns[-1] - turns[0] >= 15 * 0.2 - 0.1


def test_the_command_line_knows_every_profile() -> None:
    assert set(base.PROFILES) == set(PROFILES)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_no_profile_asks_more_often_than_the_iso_allows(name: str) -> None:
    limits = Limits(requests_per_minute=12, requests_per_hour=300, requests_per_day=24_000, records_per_hour=100)
    scaled = limits.scaled(PROFILES[name])
    assert scaled.requests_per_minute is not None
    assert scaled.requests_per_minute <= 12
    assert (scaled.requests_per_hour or 0) <= 300
    assert (scaled.requests_per_day or 0) <= 24_000
    assert scaled.records_per_hour == {"development": 10, "production": 100, "high_volume": 5000}[name]
