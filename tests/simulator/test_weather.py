"""Storms: the same for the same seed, and never in what an answer says."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from io import BytesIO
from itertools import islice

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator, Weather
from aurum_etl.simulator.base import Answer
from aurum_etl.simulator.weather import STORMY, weathered
from tests.simulator.test_faults import get


def met(weather: Weather, host: str, requests: int) -> list[str | None]:
    return [each.kind if each else None for each in islice(weather.over(host), requests)]


def test_the_same_seed_is_the_same_weather_and_each_host_has_its_own() -> None:
    caiso = met(Weather(7), "CAISO", 500)
    assert caiso == met(Weather(7), "CAISO", 500)
    assert caiso != met(Weather(7), "PJM", 500)
    assert caiso != met(Weather(8), "CAISO", 500)


def test_a_weather_is_known_by_its_first_storms() -> None:
    """Written down, since a schedule that changes with a version of Python would make no run like another."""
    storms = [("503", 9, 2), ("hang", 2, 1), ("429", 6, 3), ("wrong_type", 8, 2), ("slow", 4, 2)]
    wanted = [each for kind, calm, length in storms for each in [None] * calm + [kind] * length]
    assert met(Weather(7), "CAISO", len(wanted)) == wanted


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1.0])
def test_storms_have_about_their_share_and_every_kind_comes(share: float) -> None:
    found = met(Weather(3, share), "SPP", 5000)
    stormy = [each for each in found if each]
    assert abs(len(stormy) / len(found) - share) < 0.05
    assert set(stormy) == STORMY


def test_a_simulator_has_the_weather_whoever_asks() -> None:
    """By counting requests, not time; what is asked for on top comes first and moves nothing."""
    weather = Weather(5, 0.6)
    with Simulator(nodes=90, weather=weather, apart=True) as simulator:
        simulator.inject(Fault("html"))
        while len(simulator.log) < 14:
            with suppress(httpx.HTTPError):
                get(simulator)
        found = [each.fault for each in simulator.log]
    assert found[0] == "html"
    wanted = [each.kind if each else None for each in islice(weather.over("CAISO"), len(found) - 1)]
    assert found[1:] == wanted


def test_what_has_no_checksum_is_broken_off_rather_than_changed() -> None:
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("a.csv", "a,b\n" * 100)
    damaged, fault = weathered(Answer(200, {}, body.getvalue()), Fault("cut_zip"))
    assert (len(damaged.body) < len(body.getvalue()), fault.kind) == (True, "cut_zip")
    plain = Answer(200, {}, b"a,b\n1,2\n")
    assert weathered(plain, Fault("corrupt_member")) == (plain, Fault("reset"))


@pytest.mark.parametrize(("text", "weather"), [("7", Weather(7)), ("7:0.4", Weather(7, 0.4)), ("0:1", Weather(0, 1.0))])
def test_a_weather_is_written_seed_and_share(text: str, weather: Weather) -> None:
    assert Weather.parse(text) == weather


@pytest.mark.parametrize("text", ["", "x", "7:", "7:0", "7:1.5", "7:x"])
def test_a_weather_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="weather"):
        Weather.parse(text)
