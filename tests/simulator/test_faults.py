"""Faults of how answers come: what a client sees of each, and what the log says."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = {
    "CAISO": "SingleZip?resultformat=6&queryname=PRC_LMP&version=12&market_run_id=DAM&node=TH_NP15_GEN-APND"
    "&startdatetime=20260714T07:00-0000&enddatetime=20260715T07:00-0000",
    "ERCOT_MIS": "misapp/servlets/IceDocListJsonWS?reportTypeId=12331",
    "ISONE_WWW": "static-transform/csv/histRpts/da-lmp/WW_DALMP_ISO_20260714.csv",
    "MISO": "20260714_da_expost_lmp.csv",
    "PJM": "pnode?rowCount=1&startRow=1",
    "SPP": "file-browser-api/?fsName=da-lmp-by-location&type=folder&path=/2026/03",
}


def get(simulator: Simulator, host: str = "CAISO", **more: float) -> httpx.Response:
    base = simulator.bases[host]
    return httpx.get(f"{base}/{PATHS[host]}", timeout=httpx.Timeout(more.get("timeout", 10.0)))


@pytest.fixture
def apart() -> Iterator[Simulator]:
    with Simulator(nodes=90, apart=True) as simulator:
        yield simulator


@pytest.mark.parametrize("host", PATHS)
def test_both_forms_of_retry_after_come_with_the_isos_own_refusal(simulator: Simulator, host: str) -> None:
    simulator.inject(Fault("429"), Fault("retry_after", seconds=7), Fault("retry_date", seconds=90))
    plain, seconds, dated = (get(simulator, host) for _ in range(3))
    assert {plain.content} == {seconds.content, dated.content}
    assert {each.status_code for each in (plain, seconds, dated)} == {429}
    assert ("retry-after" in plain.headers, seconds.headers["retry-after"]) == (False, "7")
    wait = parsedate_to_datetime(dated.headers["retry-after"]) - datetime.now(UTC)
    assert timedelta(seconds=85) < wait <= timedelta(seconds=91)


def test_who_is_overloaded_may_say_for_how_long(simulator: Simulator) -> None:
    simulator.inject(Fault.parse("503"), Fault.parse("503@1.5"))
    plain, told = get(simulator), get(simulator)
    assert (plain.status_code, plain.headers.get("retry-after")) == (503, None)
    assert (told.status_code, told.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize("host", ["CAISO", "ISONE_WWW", "MISO", "ERCOT_MIS"])
def test_a_wrong_type_has_the_label_of_the_right_one(simulator: Simulator, host: str) -> None:
    good = get(simulator, host)
    simulator.inject(Fault("wrong_type"))
    bad = get(simulator, host)
    assert (bad.status_code, bad.headers["content-type"]) == (200, good.headers["content-type"])
    asked_for_json = "json" in good.headers["content-type"]
    assert bad.content.startswith(b"<!DOCTYPE html>" if asked_for_json else b"{")


def test_a_trickle_is_never_silent_and_has_no_end_of_its_own(simulator: Simulator) -> None:
    """A limit on silence is not enough to get out of it."""
    simulator.inject(Fault("trickle"))
    pieces, started = [], time.monotonic()
    with httpx.stream("GET", f"{simulator.bases['CAISO']}/{PATHS['CAISO']}", timeout=10) as response:
        for piece in response.iter_raw():
            pieces.append((time.monotonic() - started, len(piece)))
            if pieces[-1][0] > 3:
                break
    assert max(after[0] - before[0] for before, after in pairwise(pieces)) < 8
    assert sum(size for _, size in pieces) < int(response.headers["content-length"]) / 10


def test_a_trickle_of_seconds_is_whole_in_the_end(simulator: Simulator) -> None:
    good = get(simulator)
    simulator.inject(Fault.parse("trickle@0.5"))
    started = time.monotonic()
    assert get(simulator).content == good.content
    assert time.monotonic() - started > 0.4


def test_a_hang_says_nothing_and_ends_with_the_client(simulator: Simulator) -> None:
    simulator.inject(Fault("hang"))
    with pytest.raises(httpx.ReadTimeout):
        get(simulator, timeout=0.5)
    deadline = time.monotonic() + 30
    while (hung := simulator.log[-1]).seconds is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (hung.fault, hung.status, hung.sent) == ("hang", 0, 0)
    assert hung.seconds < 20


def test_a_hang_of_seconds_ends_with_a_closed_connection(simulator: Simulator) -> None:
    simulator.inject(Fault.parse("hang@0.3"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        get(simulator)
    assert (simulator.log[-1].seconds or 0) >= 0.3


def test_a_restart_breaks_connections_refuses_new_ones_and_ends_on_the_same_port(apart: Simulator) -> None:
    address = urlsplit(apart.bases["CAISO"])
    with httpx.Client() as client, ThreadPoolExecutor() as threads:
        url = f"{apart.bases['CAISO']}/{PATHS['CAISO']}"
        good = client.get(url).content
        apart.inject(Fault("slow", seconds=20), Fault("refuse_connection", seconds=1))
        slow = threads.submit(get, apart)
        while len(apart.log) < 2:
            time.sleep(0.02)
        with pytest.raises(httpx.HTTPError):
            client.get(url)
        with pytest.raises(httpx.RemoteProtocolError):
            slow.result(15)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.hostname or "", address.port or 0))
        # The other hosts are other machines.
        assert get(apart, "MISO").status_code == 200
        time.sleep(1.2)
        assert client.get(url).content == good


def test_who_restarts_can_be_ended(simulator: Simulator) -> None:
    """Neither a host that is down nor one that holds its clients keeps the simulator from ending."""
    with Simulator(nodes=9, apart=True) as other, ThreadPoolExecutor() as threads:
        other.inject(Fault("hang"), Fault("refuse_connection", seconds=60))
        asking = [threads.submit(get, other, host) for host in ("CAISO", "MISO")]
        while len(other.log) < 2:
            time.sleep(0.02)
        time.sleep(0.2)
        started = time.monotonic()
        other.__exit__()
        assert time.monotonic() - started < 20
        assert all(isinstance(each.exception(30), httpx.HTTPError) for each in asking)
    assert not [each for each in threading.enumerate() if each.name == "simulator" and not each.daemon]


def test_the_log_tells_whose_what_how_long_and_how_many_at_once(apart: Simulator) -> None:
    apart.inject(Fault("slow", seconds=0.6))
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(get, apart)
        while not apart.log:
            time.sleep(0.02)
        quick, other = get(apart), get(apart, "ISONE_WWW")
    root = urlsplit(apart.bases["PJM"])
    log = httpx.get(f"http://{root.netloc}/_simulator/log").json()
    assert [(each["iso"], each["host"], each["at_once"]) for each in log] == [
        ("CAISO", "", 1),
        ("CAISO", "", 2),
        ("ISONE", "WWW", 1),
    ]
    assert [each["sent"] for each in log] == [len(each.content) for each in (slow.result(), quick, other)]
    assert log[0]["seconds"] > 0.5 > log[1]["seconds"]


def test_faults_by_http_have_seconds_too(simulator: Simulator) -> None:
    root = urlsplit(simulator.bases["CAISO"])
    url = f"http://{root.netloc}/_simulator/faults"
    assert httpx.post(url, json=[{"kind": "retry_after", "seconds": 9}]).status_code == 204
    assert get(simulator).headers["retry-after"] == "9"
    refused = httpx.post(url, json=[{"kind": "html", "seconds": 9}])
    assert (refused.status_code, "has no seconds" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang@1.5", Fault("hang", seconds=1.5)),
        ("503@2:3", Fault("503", 3, seconds=2.0)),
        ("refuse_connection", Fault("refuse_connection", seconds=2.0)),
    ],
)
def test_faults_are_written_with_seconds(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize("text", ["hang@", "hang@x", "hang@0", "html@2", "@2", "error:1000@2"])
def test_seconds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"KIND|seconds"):
        Fault.parse(text)
