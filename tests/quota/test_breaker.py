"""The circuit breaker: when a host is left alone, who finds out whether it is well, and when it is trusted again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl.errors import SourceResting
from aurum_etl.quota import BreakerRule, BreakerState, Call, Ledger, Reply, Terms
from aurum_etl.quota.breaker import Breaker
from aurum_etl.quota.ledger import Reserved, Ticket
from aurum_etl.quota.record import tables_of
from tests.quota.days import HOST, FakeClock

if TYPE_CHECKING:
    from pathlib import Path

RULE = BreakerRule(failures=3, window_seconds=60, rest_seconds=30, longest_rest_seconds=100, successes=2)
TERMS = Terms("caiso_lmp", breaker=RULE)
CALL = Call(HOST, "GET", "url")
OUTCOMES = {True: Reply(200, 0, "", 0.1, 0.1, healthy=True), False: Reply(503, 0, "", 0.1, 0.1, "busy", healthy=False)}
NEUTRAL = Reply(429, 0, "", 0.1, 0.1, "too fast")


def failed(times: int, breaker: Breaker = Breaker(), every: float = 1.0) -> Breaker:  # noqa: B008 - a value
    for number in range(times):
        breaker = breaker.after(number, healthy=False, now=100 + number * every, rule=RULE)
    return breaker


def test_it_opens_after_exactly_so_many_failures() -> None:
    assert failed(2).state is BreakerState.CLOSED
    assert failed(3).state is BreakerState.OPEN
    assert failed(3).until == 102 + 30


def test_failures_that_lie_further_apart_than_the_window_open_nothing() -> None:
    assert failed(20, every=30.0).state is BreakerState.CLOSED
    assert failed(3, every=29.9).state is BreakerState.OPEN


@given(st.lists(st.sampled_from([True, None]), max_size=5))
def test_a_success_in_between_makes_good_and_what_tells_nothing_changes_nothing(others: list[bool | None]) -> None:
    """A host whose other answers are good is not in trouble, whatever one address does."""
    breaker = failed(2)
    for number, healthy in enumerate(others):
        breaker = breaker.after(10 + number, healthy=healthy, now=103, rule=RULE)
    state = breaker.after(99, healthy=False, now=104, rule=RULE).state
    assert state is (BreakerState.CLOSED if True in others else BreakerState.OPEN)


@given(st.lists(st.booleans(), max_size=40))
def test_it_closes_after_so_many_probes_in_a_row_and_rests_longer_each_time(outcomes: list[bool]) -> None:
    """Against a model that only counts."""
    breaker, now, rest, row = failed(3), 102.0, 30.0, 0
    for number, healthy in enumerate(outcomes, start=10):
        if breaker.state is BreakerState.CLOSED:
            break
        now = max(now, breaker.until)
        assert breaker.lets_pass(now)
        breaker = breaker.probing(number)
        assert not breaker.lets_pass(now), "one probe at a time"
        breaker = breaker.after(number, healthy=healthy, now=now, rule=RULE)
        row = row + 1 if healthy else 0
        if not healthy:
            rest = min(rest * 2, 100.0)
            assert (breaker.state, breaker.until) == (BreakerState.OPEN, now + rest)
        assert (breaker.state is BreakerState.CLOSED) == (row == 2)


def test_after_it_has_closed_old_failures_count_no_more() -> None:
    breaker = failed(3)
    for number in (10, 11):
        breaker = breaker.probing(number).after(number, healthy=True, now=140, rule=RULE)
    assert breaker == Breaker()


def send(ledger: Ledger, outcome: Reply | None, call: Call = CALL) -> Reserved:
    found = ledger.attempt(call, TERMS, Ticket("t", ledger.clock.now()))
    assert isinstance(found, Reserved)
    if outcome is not None:
        found.received(outcome)
        found.settle(0)
    return found


def test_its_state_survives_the_process_and_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as ledger:
        for _ in range(3):
            send(ledger, OUTCOMES[False])
    with closing(Ledger(tmp_path, clock)) as ledger:
        with pytest.raises(SourceResting, match=r"CAISO oasis: is left alone until .*: too many failed") as caught:
            send(ledger, None)
        assert caught.value.until is not None
        assert caught.value.until.timestamp() == clock.now() + 30
        (told,) = ledger.breakers()
        assert (told.host, told.state, told.until) == (HOST, BreakerState.OPEN, caught.value.until)
        send(ledger, OUTCOMES[True], Call("CAISO outlook", "GET", "url"))
        (alert,) = tables_of(ledger.path.parent)["alerts"].to_pylist()
        assert (alert["kind"], alert["subject"]) == ("breaker", HOST)


def test_one_process_probes_and_the_others_look_again(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path, clock)) as one, closing(Ledger(tmp_path, clock)) as other:
        for _ in range(3):
            send(one, OUTCOMES[False])
        clock.seconds += 30
        probe = send(one, None)
        with pytest.raises(SourceResting, match="a first request is finding out") as caught:
            send(other, None)
        assert caught.value.until is not None
        assert caught.value.until.timestamp() == clock.now() + RULE.probe_seconds
        probe.received(OUTCOMES[True])
        assert [each.state for each in other.breakers()] == [BreakerState.HALF_OPEN]
        send(other, OUTCOMES[True])
        assert [each.state for each in one.breakers()] == [BreakerState.CLOSED]
        send(one, None)
        send(other, None)


def test_a_probe_whose_process_has_ended_holds_nobody_up(tmp_path: Path) -> None:
    clock = FakeClock()
    one = Ledger(tmp_path, clock)
    for _ in range(3):
        send(one, OUTCOMES[False])
    clock.seconds += 30
    send(one, None)
    one.close()
    with closing(Ledger(tmp_path, clock)) as other:
        send(other, OUTCOMES[True])
        assert [each.state for each in other.breakers()] == [BreakerState.HALF_OPEN]


def test_being_too_fast_is_no_sign_of_illness(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path, FakeClock())) as ledger:
        for _ in range(10):
            send(ledger, NEUTRAL)
        assert [each.state for each in ledger.breakers()] in ([], [BreakerState.CLOSED])
