"""What ERCOT's simulated rows, documents and dashboard say: sums, forecasts, and what is not known yet."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from aurum_etl.simulator import Simulator
from tests.simulator.test_ercot import (
    AS,
    AUTUMN,
    DAM,
    FORECAST,
    NOW,
    PLAIN,
    SOLAR,
    SPRING,
    WEATHER,
    WIND,
    ZONES,
    day,
    rows,
    stamps,
)
from tests.simulator.test_ercot_documents import archived, document, downloaded, listed, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE_NAMES = ("coast", "east", "farWest", "north", "northC", "southern", "southC", "west")


@pytest.fixture(scope="module")
def ercot() -> Iterator[Simulator]:
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def test_load_adds_up_by_both_kinds_of_zones(ercot: Simulator) -> None:
    for text in (SPRING, AUTUMN, PLAIN):
        weather, zones = (rows(ercot, path, day(text, "operatingDay")) for path in (WEATHER, ZONES))
        for one, other in zip(weather, zones, strict=True):
            assert round(sum(one[name] for name in ZONE_NAMES), 2) == one["total"] == other["total"]
            assert round(sum(other[name] for name in ("north", "south", "west", "houston")), 2) == other["total"]
            assert 20_000 < one["total"] < 90_000


def test_one_model_is_in_use_and_is_the_forecast_by_zone(ercot: Simulator) -> None:
    found = rows(ercot, FORECAST, stamps(PLAIN, "postedDatetime"), {"inUseFlag": "true"})
    assert len(found) == 24 * 192
    assert len({each["model"] for each in rows(ercot, FORECAST, stamps(PLAIN, "postedDatetime"))}) == 8
    newest = [each for each in found if each["postedDatetime"] == f"{PLAIN}T23:30:00"]
    weather, zones = (
        table(document(ercot, emil, archived(ercot, emil, PLAIN, "2026-07-09")[0]["docId"])[1])
        for emil in ("np3-561-cd", "np3-560-cd")
    )
    totals = [each["systemTotal"] for each in newest]
    assert [float(each["SystemTotal"]) for each in weather] == totals
    assert [round(float(each["SystemTotal"]), 2) for each in zones] == pytest.approx(totals, abs=0.02)
    assert max(len(each["North"].partition(".")[2]) for each in zones) == 12
    assert newest[0]["deliveryDate"] == PLAIN
    assert newest[-1]["deliveryDate"] == "2026-07-15"


def test_the_forecast_by_zone_mislabels_the_repeated_hour(ercot: Simulator) -> None:
    newest = archived(ercot, "np3-560-cd", "2025-11-01", AUTUMN)[0]
    hours = [
        (each["HourEnding"], each["DSTFlag    "])
        for each in table(document(ercot, "np3-560-cd", newest["docId"])[1])
        if each["DeliveryDate"] == "11/02/2025"
    ]
    assert hours[:4] == [("1:00", "N"), ("2:00", "N"), ("3:00", "Y"), ("3:00", "N")]
    assert len(hours) == 25


@pytest.mark.parametrize(("path", "word"), [(WIND, "STWPF"), (SOLAR, "STPPF")])
def test_wind_and_sun_know_two_days_and_expect_seven(ercot: Simulator, path: str, word: str) -> None:
    found = rows(ercot, path, stamps("2026-07-14", "postedDatetime"))
    newest = [each for each in found if each["postedDatetime"].startswith("2026-07-14T10:55:")]
    assert len(newest) == 216
    known = [each for each in newest if each["genSystemWide"] is not None]
    assert len(known) == 48
    assert (known[-1]["deliveryDate"], known[-1]["hourEnding"]) == ("2026-07-14", 10)
    assert all((each["HSLSystemWide"] is None) == (each["genSystemWide"] is None) for each in newest)
    assert all(each[f"{word}SystemWide"] is not None for each in newest)
    if path == WIND:
        for each in newest:
            zones = [each[f"{word}LoadZone{zone}"] for zone in ("SouthHouston", "West", "North")]
            assert round(sum(zones), 1) == each[f"{word}SystemWide"]


@pytest.mark.parametrize(
    ("path", "word", "regions"),
    [
        ("np4-742-cd/wpp_hrly_actual_fcast_geo", "STWPF", ("Panhandle", "Coastal", "South", "West", "North")),
        (
            "np4-745-cd/spp_hrly_actual_fcast_geo",
            "STPPF",
            ("CenterWest", "NorthWest", "FarWest", "FarEast", "SouthEast", "CenterEast"),
        ),
    ],
)
def test_wind_and_sun_are_made_of_regions(ercot: Simulator, path: str, word: str, regions: tuple[str, ...]) -> None:
    newest = archived(ercot, path.partition("/")[0], "2026-07-14", "2026-07-15")[0]
    text = document(ercot, path.partition("/")[0], newest["docId"])[1]
    assert [name for name in text.splitlines()[0].split(",") if name.startswith(word)] == [
        f"{word}_SYSTEM_WIDE",
        *(f"{word}_{each if word == 'STPPF' else each.upper()}" for each in regions),
    ]
    found = rows(ercot, path, stamps("2026-07-14", "postedDatetime"))
    assert len(found) == 216 * len({each["postedDatetime"] for each in found})
    for each in found:
        assert round(sum(each[f"{word}{region}"] for region in regions), 1) == each[f"{word}SystemWide"]


def test_capacity_prices_have_five_services_since_one_was_added(ercot: Simulator) -> None:
    found = rows(ercot, AS, day(PLAIN))
    assert Counter(each["ancillaryType"] for each in found) == dict.fromkeys(
        ("ECRS", "NSPIN", "REGDN", "REGUP", "RRS"), 24
    )
    assert min(each["MCPC"] for each in found) >= 0
    before = archived(ercot, "np4-188-cd", "2023-05-01", "2023-05-02")[0]
    assert len(table(document(ercot, "np4-188-cd", before["docId"])[1])) == 96


def test_the_list_of_settlement_points_has_a_row_per_bus(ercot: Simulator) -> None:
    found = listed(ercot, 10008)
    assert {each["FriendlyName"] for each in found} == {"SP_List_EB_Mapping"}
    members = downloaded(ercot, found[0]["DocID"])
    assert len(members) == 5
    name, content = next(iter(members.items()))
    assert name == "Settlement_Points_07132026_174625.csv"
    assert content.startswith(
        b"ELECTRICAL_BUS,NODE_NAME,PSSE_BUS_NAME,VOLTAGE_LEVEL,SUBSTATION,SETTLEMENT_LOAD_ZONE,RESOURCE_NODE,HUB_BUS_NAME,"
        b"HUB,PSSE_BUS_NUMBER\r\n"
    )
    buses = table(content.decode())
    nodes = {each["RESOURCE_NODE"] for each in buses} - {""}
    points = {each["settlementPoint"] for each in rows(ercot, DAM, day(PLAIN))}
    assert nodes == {each for each in points if not each.startswith(("HB_", "LZ_", "DC_"))}
    assert len(buses) > 10 * len(nodes)
    assert {each["HUB"] for each in buses} == {"", "HB_NORTH", "HB_SOUTH", "HB_WEST", "HB_HOUSTON", "HB_PAN"}


def test_the_fuel_mix_is_stamped_before_the_end_of_five_minutes(ercot: Simulator) -> None:
    found = httpx.get(f"{ercot.bases['ERCOT_DASHBOARDS']}/fuel-mix.json").json()
    assert list(found) == ["lastUpdated", "monthlyCapacity", "types", "data"]
    assert found["lastUpdated"] == "2026-07-14 11:30:00-0500"
    assert list(found["data"]) == ["2026-07-13", "2026-07-14"]
    for text, mix in found["data"].items():
        ends = set()
        for stamp, fuels in mix.items():
            moment = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S%z")
            end = moment + timedelta(seconds=4)
            assert moment.date().isoformat() == text
            assert (end.minute % 5, end.second < 4) == (0, True)
            ends.add(end.replace(second=0))
            assert set(fuels) <= set(found["types"])
            assert all(list(each) == ["gen"] and each["gen"] >= 0 for each in fuels.values())
        assert len(ends) == (288 if text == "2026-07-13" else 11 * 12 + 6)
    orders = Counter(tuple(each) for each in found["data"]["2026-07-13"].values())
    assert len(orders) > 1
