"""What hosts let themselves be asked, counted by themselves."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from aurum_etl.simulator import Fault, Limit, Simulator
from aurum_etl.simulator.limits import Turnstile
from tests.simulator.test_faults import get


def test_a_window_that_rolls() -> None:
    turnstile = Turnstile(Limit(3, 10))
    told = [turnstile.enter(now) for now in (0, 1, 2, 9.9, 12.5, 12.6, 19)]
    assert [each is not None for each in told] == [False, False, False, True, False, False, True]


def test_who_left_is_not_inside() -> None:
    turnstile = Turnstile(Limit(100, 1, at_once=2))
    assert [turnstile.enter(0) for _ in range(3)] == [None, None, "more than 2 at once"]
    turnstile.leave()
    turnstile.leave()
    assert (turnstile.enter(0), turnstile.inside) == (None, 2)


def test_each_host_counts_for_itself_and_refuses_in_its_own_words() -> None:
    limits = {"CAISO": Limit(2, 60), "MISO": Limit(1, 60)}
    with Simulator(nodes=90, limits=limits) as simulator:
        hosts = ["CAISO", "CAISO", "CAISO", "MISO", "MISO", "SPP", "SPP"]
        answers = [get(simulator, host) for host in hosts]
        assert [each.status_code for each in answers] == [200, 200, 429, 200, 429, 200, 200]
        assert answers[2].headers["content-type"] == "text/html"
        assert answers[4].json()["statusCode"] == 429
        found = [(each.iso, each.violation) for each in simulator.violations]
        assert found == [("CAISO", "more than 2 in 60 s"), ("MISO", "more than 1 in 60 s")]
        root = urlsplit(simulator.bases["SPP"])
        log = httpx.get(f"http://{root.netloc}/_simulator/log").json()
        assert [each["violation"] is not None for each in log] == [each.status_code == 429 for each in answers]


def test_hosts_of_one_iso_are_counted_apart() -> None:
    with Simulator(nodes=90, rate_limit_seconds=60) as simulator:
        asked = [simulator.bases[host] for host in ("ERCOT_MIS", "ERCOT_DASHBOARDS", "ERCOT_MIS")]
        assert [httpx.get(f"{each}/fuel-mix.json").status_code == 429 for each in asked] == [False, False, True]


def test_at_once_is_until_the_last_byte() -> None:
    with Simulator(nodes=90, limits={"CAISO": Limit(1000, 1, at_once=1)}) as simulator, ThreadPoolExecutor() as threads:
        simulator.inject(Fault("slow", seconds=0.5))
        slow = threads.submit(get, simulator)
        while not simulator.log:
            time.sleep(0.02)
        assert get(simulator).status_code == 429
        assert slow.result().status_code == 200
        # Whoever asks as soon as it has an answer is never two at once.
        assert {get(simulator).status_code for _ in range(50)} == {200}
        assert len(simulator.violations) == 1


@pytest.mark.parametrize(
    ("text", "limit"),
    [("CAISO=1/5", ("CAISO", Limit(1, 5))), ("ERCOT_LOGIN=30/0.5/4", ("ERCOT_LOGIN", Limit(30, 0.5, 4)))],
)
def test_limits_are_written_host_requests_seconds(text: str, limit: tuple[str, Limit]) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["CAISO", "CAISO=5", "CAISO=1/x", "CAISO=0/5", "CAISO=1/0", "CAISO=1/5/0", "=1/5"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limit.parse(text)


def test_a_host_that_nobody_has_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match='"CAISO_LOGIN" is not one of CAISO, CAISO_OUTLOOK, ERCOT'):
        Simulator(limits={"CAISO_LOGIN": Limit(1, 5)})
