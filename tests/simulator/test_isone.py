"""The simulated ISO-NE, held against its documents."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

HOURS = {"20251102": 25, "20260308": 23, "20260714": 24}
each_day = pytest.mark.parametrize("day", HOURS)


def get(simulator: Simulator, path: str, *, user: str | None = None) -> httpx.Response:
    env = simulator.env
    auth = (user or env["ISONE_API_USERNAME"], env["ISONE_API_PASSWORD"])
    return httpx.get(f"{env['AURUM_ISONE_BASE']}/{path}.json", auth=auth, timeout=60)


def items(simulator: Simulator, path: str) -> list[dict[str, Any]]:
    """The rows of a resource, which lie in a list two levels down."""
    response = get(simulator, path)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    ((_, container),) = response.json().items()
    ((_, found),) = container.items()
    assert isinstance(found, list)
    return found


def website(simulator: Simulator, path: str, cookies: httpx.Cookies | None = None) -> httpx.Response:
    return httpx.get(f"{simulator.env['AURUM_ISONE_WWW_BASE']}/{path}", cookies=cookies, timeout=60)


def lines(response: httpx.Response, kind: str) -> list[list[str]]:
    return [line[1:] for line in csv.reader(io.StringIO(response.text)) if line[0] == kind]


def begins(found: list[dict[str, Any]]) -> list[datetime]:
    return sorted({datetime.fromisoformat(each["BeginDate"]) for each in found})


@each_day
@pytest.mark.parametrize("path", ["hourlylmp/da/final", "hourlylmp/rt/prelim", "hourlylmp/rt/final"])
def test_hourly_prices_are_of_every_location_at_every_hour(simulator: Simulator, path: str, day: str) -> None:
    found = items(simulator, f"{path}/day/{day}")
    assert len(found) == 90 * HOURS[day]
    assert {one - other for one, other in zip(begins(found)[1:], begins(found), strict=False)} == {timedelta(hours=1)}
    assert set(found[0]) == {
        "BeginDate",
        "Location",
        "LmpTotal",
        "EnergyComponent",
        "CongestionComponent",
        "LossComponent",
    }
    assert {each["Location"]["@LocType"] for each in found} == {
        "HUB",
        "LOAD ZONE",
        "EXT. NODE",
        "HUB NODE",
        "DRRAZ",
        "NETWORK NODE",
    }
    energies = defaultdict(set)
    for each in found:
        total, *parts = (
            Decimal(str(each[name])) for name in ("LmpTotal", "EnergyComponent", "CongestionComponent", "LossComponent")
        )
        assert total == sum(parts)
        energies[each["BeginDate"]].add(parts[0])
    assert {len(each) for each in energies.values()} == {1}


def test_the_repeated_hour_has_two_offsets_and_spring_jumps(simulator: Simulator) -> None:
    autumn, spring = (
        sorted({each["BeginDate"] for each in items(simulator, f"hourlysysload/day/{day}")})
        for day in ("20251102", "20260308")
    )
    assert [each for each in autumn if "T01:" in each] == [
        "2025-11-02T01:00:00.000-04:00",
        "2025-11-02T01:00:00.000-05:00",
    ]
    assert spring[1:3] == ["2026-03-08T01:00:00.000-05:00", "2026-03-08T03:00:00.000-04:00"]


@each_day
def test_five_minutes_come_by_the_hour_of_the_clock(simulator: Simulator, day: str) -> None:
    counts = [
        len(begins(_rows(get(simulator, f"fiveminutelmp/prelim/day/{day}/starthour/{hour:02d}")))) for hour in range(24)
    ]
    assert sum(counts) == 12 * HOURS[day]
    assert counts[1 if day == "20251102" else 2] == {"20251102": 24, "20260308": 0, "20260714": 12}[day]


def _rows(response: httpx.Response) -> list[dict[str, Any]]:
    ((_, container),) = response.json().items()
    return container.get("FiveMinLmp", []) if isinstance(container, dict) else []


def test_preliminary_and_final_differ_here_and_there(simulator: Simulator) -> None:
    prelim, final = (items(simulator, f"hourlylmp/rt/{state}/day/20260714") for state in ("prelim", "final"))
    differing = [one for one, other in zip(prelim, final, strict=True) if one != other]
    assert 0 < len(differing) < len(prelim) / 4
    assert items(simulator, "hourlylmp/rt/final/day/20260714/location/4000") == [
        each for each in final if each["Location"]["@LocId"] == "4000"
    ]


@each_day
def test_the_website_says_the_same_prices(simulator: Simulator, day: str) -> None:
    for path, service in (
        (f"da-lmp/WW_DALMP_ISO_{day}.csv", f"hourlylmp/da/final/day/{day}"),
        (f"rt-lmp/lmp_rt_final_{day}.csv", f"hourlylmp/rt/final/day/{day}"),
    ):
        response = website(simulator, f"static-transform/csv/histRpts/{path}")
        assert response.headers["content-type"] == "text/csv"
        names, types = lines(response, "H")
        assert (names[0], names[5], types[1]) == ("Date", "Locational Marginal Price", "HE")
        found = lines(response, "D")
        assert response.text.endswith(f'"T","{len(found)} lines"')
        labels = {"20251102": ["01", "02", "02X", "03"], "20260308": ["01", "03", "04", "05"]}.get(
            day, ["01", "02", "03", "04"]
        )
        assert list(dict.fromkeys(each[1] for each in found))[:4] == labels
        assert (f'",{labels[0]},"' in response.text) == ("rt-lmp" in path), "bare in the one, quoted in the other"
        assert [Decimal(each[5]) for each in found] == [
            Decimal(str(each["LmpTotal"])) for each in items(simulator, service)
        ]


def test_load_is_native_load_and_charging(simulator: Simulator) -> None:
    for each in items(simulator, "hourlysysload/day/20260714"):
        assert Decimal(str(each["Load"])) == Decimal(str(each["NativeLoad"])) + Decimal(str(each["ArdDemand"]))
        assert each["Location"] == {"@LocId": "32", "$": "NEPOOL AREA"}


@each_day
def test_five_minute_load_has_the_sun_behind_the_meter_added_back(simulator: Simulator, day: str) -> None:
    found = items(simulator, f"fiveminutesystemload/day/{day}")
    assert (len(found), len(begins(found))) == (12 * HOURS[day], 12 * HOURS[day])
    suns = defaultdict(set)
    for each in found:
        load, native, ard, system, reconstituted = (
            Decimal(str(each[name]))
            for name in ("LoadMw", "NativeLoad", "ArdDemand", "SystemLoadBtmPv", "NativeLoadBtmPv")
        )
        assert load == native + ard
        assert system - load == reconstituted - native >= 0
        suns[each["BeginDate"][11:13]].add(system - load)
    assert suns["01"] == {0}
    assert min(suns["12"]) > 2_000


@pytest.mark.parametrize("market", ["realtimehourlydemand", "dayaheadhourlydemand"])
def test_demand_is_of_zones_and_of_the_whole(simulator: Simulator, market: str) -> None:
    found = items(simulator, f"{market}/day/20260714")
    assert len(found) == 9 * 24
    one = items(simulator, f"{market}/day/20260714/location/4001")
    assert one == [each for each in found if each["Location"]["@LocId"] == "4001"]
    assert get(simulator, f"{market}/day/20260714/location/99").status_code == 404


@each_day
def test_a_forecast_has_vintages_that_cover_the_day(simulator: Simulator, day: str) -> None:
    found = items(simulator, f"hourlyloadforecast/all/day/{day}")
    hours = defaultdict(list)
    for each in found:
        hours[each["CreationDate"]].append(each["BeginDate"])
    assert {len(each) for each in hours.values()} == {HOURS[day]}
    assert len(hours) == 7
    newest = items(simulator, f"hourlyloadforecast/day/{day}")
    assert {each["CreationDate"] for each in newest} == {max(hours)}
    assert newest == [each for each in found if each["CreationDate"] == max(hours)]


def test_regions_have_vintages_of_the_day_for_its_remaining_hours(simulator: Simulator) -> None:
    counts: dict[str, int] = defaultdict(int)
    for each in items(simulator, "reliabilityregionloadforecast/day/20260714/all"):
        counts[each["CreationDate"]] += 1
    of_the_day = {made: count for made, count in counts.items() if made.startswith("2026-07-14")}
    assert set(of_the_day.values()) == {8 * 19, 8 * 14}
    assert {count for made, count in counts.items() if made not in of_the_day} == {8 * 24}


def test_the_fuel_mix_is_at_no_fixed_times(simulator: Simulator) -> None:
    found = items(simulator, "genfuelmix/day/20260714")
    times = begins(found)
    gaps = [one - other for one, other in zip(times[1:], times, strict=False)]
    assert min(gaps) < timedelta(minutes=1)
    assert max(gaps) > timedelta(minutes=10)
    assert 100 < len(times) < 300
    noon = {each["FuelCategory"] for each in found if each["BeginDate"].startswith("2026-07-14T12:")}
    night = {each["FuelCategory"] for each in found if each["BeginDate"].startswith("2026-07-14T01:")}
    assert noon - night == {"Solar"}
    before = items(simulator, "genfuelmix/day/20250714")
    assert "Batteries" not in {each["FuelCategory"] for each in before}


def test_regulation_is_some_seconds_late(simulator: Simulator) -> None:
    found = items(simulator, "fiveminutercp/day/20251102")
    assert len(found) == 300
    assert {datetime.fromisoformat(each["BeginDate"]).second for each in found} > {0, 1, 2}
    assert [each["HourEnd"] for each in found][12 * 2] == "02X"


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("hourlyprelimreserveprice/day/20260714", 96),
        ("hourlyfinalreserveprice/day/20260714/reserveZone/7000", 24),
        ("fiveminutereserveprice/day/20260714", 4 * 288),
    ],
)
def test_reserves_are_priced_by_zone(simulator: Simulator, path: str, rows: int) -> None:
    found = items(simulator, path)
    assert len(found) == rows
    for each in found:
        assert each["TmsrClearingPrice"] >= each["TmnsrClearingPrice"] >= each["TmorClearingPrice"] >= 0
    assert any(each["TmsrClearingPrice"] == 0 for each in found)


@each_day
def test_day_ahead_reserves_carry_the_midnight_in_the_field_named_after_the_hour(
    simulator: Simulator, day: str
) -> None:
    document = get(simulator, f"daasreservedata/day/{day}").json()["isone_web_services"]["day_ahead_reserves"]
    hours = [each["market_hour"] for each in document["day_ahead_reserve"]]
    assert {each["gmt_begin_date"] for each in hours} == {document["market_day"]}
    assert len({each["local_day"] for each in hours}) == len(hours) == HOURS[day]


def test_locations_come_short_and_in_full(simulator: Simulator) -> None:
    short, full = items(simulator, "locations"), items(simulator, "locations/all")
    assert {each["LocationType"] for each in short} == {"HUB", "LOAD ZONE", "EXT. NODE", "RESERVE ZONE", "SYSTEM"}
    assert isinstance(short[0]["LocationID"], int)
    assert len(full) > len(short)
    assert any("    " in each["LocationName"] for each in full), "runs of blanks are kept"


def test_the_wind_and_solar_reports_begin_after_they_were_made(simulator: Simulator) -> None:
    assert "text/html" in website(simulator, "transform/csv/sphf?start=20260714").headers["content-type"], (
        "no cookie yet"
    )
    cookies = website(simulator, "isoexpress/").cookies
    for kind in ("sphf", "wphf"):
        response = website(simulator, f"transform/csv/{kind}?start=20260714", cookies)
        days, dates, *hours = lines(response, "D")
        assert (days[0], dates[:3]) == ("Day", ["Date", "Hour Ending", "07/14/2026"])
        assert [each[1] for each in hours] == [f"{hour:02d}" for hour in range(1, 25)]
        assert [each[2] == "" for each in hours] == [True] * 10 + [False] * 14
        assert [each[9] == "" for each in hours] == [False] * 10 + [True] * 14
        assert response.text.endswith('"T","24 lines"')


def test_what_is_not_there_yet_is_empty(simulator: Simulator) -> None:
    tomorrow = f"{datetime.now().astimezone() + timedelta(3):%Y%m%d}"
    assert get(simulator, f"hourlylmp/rt/final/day/{tomorrow}").json() == {"HourlyLmps": {}}
    absent = website(simulator, f"static-transform/csv/histRpts/rt-lmp/lmp_rt_final_{tomorrow}.csv")
    assert (absent.status_code, absent.content) == (200, b"No data exists for this period.")
    assert get(simulator, "hourlylmp/da/final/day/19990101").status_code == 404
    assert get(simulator, "nope/day/20260714").status_code == 404


def test_who_is_unknown_gets_a_page(simulator: Simulator) -> None:
    refused = get(simulator, "locations", user="somebody")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "text/html")


@pytest.fixture
def limited() -> Iterator[Simulator]:
    with Simulator(nodes=9, rate_limit_seconds=5) as simulator:
        yield simulator


def test_who_asks_too_fast_is_refused(limited: Simulator) -> None:
    assert [get(limited, "locations").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "kind",
    [
        "html",
        "error:404",
        "cut_zip",
        "wrong_header",
        "text_in_number",
        "off_grid",
        "duplicate_rows",
        "missing_hour",
        "unknown_word",
        "empty",
        "one_object",
    ],
)
def test_every_fault_makes_a_difference_once(simulator: Simulator, kind: str) -> None:
    path = "hourlylmp/da/final/day/20260714"
    good = get(simulator, path).content
    simulator.inject(Fault(kind))
    bad = get(simulator, path).content
    assert bad != good
    if kind == "one_object":
        assert isinstance(json.loads(bad)["HourlyLmps"]["HourlyLmp"], dict)
    assert get(simulator, path).content == good


@pytest.mark.parametrize(
    "kind", ["wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word", "empty"]
)
def test_faults_reach_the_website(simulator: Simulator, kind: str) -> None:
    path = "static-transform/csv/histRpts/da-lmp/WW_DALMP_ISO_20260714.csv"
    good = website(simulator, path).content
    simulator.inject(Fault(kind))
    assert website(simulator, path).content != good
