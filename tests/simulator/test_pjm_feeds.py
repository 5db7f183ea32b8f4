"""The simulated Data Miner: what stands in its feeds."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl.simulator import Simulator
from tests.simulator.test_pjm import DAY, NOW, PAGE, answered, get, pjm, rows

if TYPE_CHECKING:
    import httpx

__all__ = ["pjm"]
SPRING, AUTUMN = "2026-03-08", "2025-11-02"
HUB = {"pnode_id": "51288"}
BUSES = {"LOAD", "GEN", "EXT", "TIE"}


def day(date: str, column: str = "datetime_beginning_ept") -> dict[str, str]:
    return {column: f"{date} 00:00to{date} 23:59"}


def at(simulator_time: str) -> Simulator:
    return Simulator(nodes=90, now=lambda: datetime.fromisoformat(simulator_time).replace(tzinfo=UTC))


def exact(response: httpx.Response) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response.json(parse_float=Decimal)["items"]
    return found


def residuals(found: list[dict[str, Any]], market: str) -> list[Decimal]:
    parts = ("system_energy_price", "congestion_price", "marginal_loss_price")
    return [each[f"total_lmp_{market}"] - sum(each[f"{part}_{market}"] for part in parts) for each in found]


def hours(found: list[dict[str, Any]]) -> list[int]:
    return [int(each["datetime_beginning_ept"][11:13]) for each in found]


def test_day_ahead_prices_add_up_as_printed(pjm: Simulator) -> None:
    found = exact(get(pjm, "da_hrl_lmps", PAGE, DAY))
    assert set(residuals(found, "da")) == {Decimal(0)}
    energies = defaultdict(set)
    for each in found:
        energies[each["datetime_beginning_utc"]].add(each["system_energy_price_da"])
    assert {len(each) for each in energies.values()} == {1}


def test_real_time_hours_add_up_but_for_half_a_cent_of_energy(pjm: Simulator) -> None:
    found = exact(get(pjm, "rt_hrl_lmps", PAGE, DAY))
    aggregates = residuals([each for each in found if each["type"] not in BUSES], "rt")
    assert Decimal("-0.005003") <= min(aggregates) < Decimal("-0.003")
    assert Decimal("0.003") < max(aggregates) <= Decimal("0.004169")
    buses = [each for each in found if each["type"] in BUSES]
    assert set(residuals(buses, "rt")) == {Decimal("-0.01"), Decimal(0), Decimal("0.01")}
    assert {each["total_lmp_rt"] % Decimal("0.01") for each in buses} == {Decimal(0)}


def test_prices_fall_to_zero_and_below_in_spring(pjm: Simulator) -> None:
    month = {"datetime_beginning_ept": "04/01/2026 00:00to04/30/2026 23:59"}
    for market in ("da", "rt"):
        prices = [each[f"total_lmp_{market}"] for each in rows(pjm, f"{market}_hrl_lmps", HUB, month)]
        assert min(prices) < -5
        assert max(prices) > 40
    five = rows(pjm, "rt_fivemin_hrl_lmps", HUB, month)
    assert any(each["total_lmp_rt"] == 0 for each in five)
    free = [each["congestion_price_rt"] == 0 for each in five]
    assert 0.03 < sum(free) / len(free) < 0.2


def test_a_real_time_hour_is_the_mean_of_its_five_minutes(pjm: Simulator) -> None:
    sums: dict[str, float] = defaultdict(float)
    for each in rows(pjm, "rt_fivemin_hrl_lmps", HUB, DAY):
        sums[each["datetime_beginning_utc"][:13]] += each["total_lmp_rt"]
    found = {each["datetime_beginning_utc"][:13]: each["total_lmp_rt"] for each in rows(pjm, "rt_hrl_lmps", HUB, DAY)}
    assert found == pytest.approx({hour: total / 12 for hour, total in sums.items()}, abs=2e-6)


def test_the_same_cell_has_the_same_value_however_it_is_asked_for(pjm: Simulator) -> None:
    for feed in ("da_hrl_lmps", "rt_hrl_lmps", "rt_fivemin_hrl_lmps"):
        alone = rows(pjm, feed, HUB, DAY)
        assert alone == [each for each in rows(pjm, feed, DAY) if each["pnode_id"] == 51288]
        utc = {"datetime_beginning_utc": "2026-07-08T04:00:00to2026-07-09T03:59:00"}
        assert alone == rows(pjm, feed, HUB, utc)
        with Simulator(nodes=9, now=lambda: NOW) as smaller, Simulator(nodes=90, seed=7, now=lambda: NOW) as other:
            few = {each["pnode_id"] for each in rows(smaller, feed, DAY)}
            assert len(few) == 9
            assert rows(smaller, feed, DAY) == [each for each in rows(pjm, feed, DAY) if each["pnode_id"] in few]
            assert rows(other, feed, HUB, DAY) != alone


@pytest.mark.parametrize(
    ("date", "labels"), [(SPRING, [0, 1, *range(3, 24)]), (AUTUMN, [0, 1, 1, *range(2, 24)])], ids=["spring", "autumn"]
)
@pytest.mark.parametrize(
    ("feed", "one"),
    [
        ("da_hrl_lmps", HUB),
        ("rt_hrl_lmps", HUB),
        ("hrl_load_metered", {"load_area": "RTOexact"}),
        ("gen_by_fuel", {"fuel_type": "Coal"}),
        ("solar_gen", {"area": "RTO"}),
        ("da_reserve_market_results", {"locale": "MAD", "service": "SR"}),
        ("ancillary_services", {"unit": "Ratio"}),
    ],
)
def test_change_days_have_23_and_25_hours(
    pjm: Simulator, feed: str, one: dict[str, str], date: str, labels: list[int]
) -> None:
    found = rows(pjm, feed, one, day(date))
    assert hours(found) == labels
    starts = [datetime.fromisoformat(each["datetime_beginning_utc"]) for each in found]
    assert starts == [starts[0] + timedelta(hours=number) for number in range(len(labels))]


def test_the_repeated_hour_is_in_ranges_that_touch_it(pjm: Simulator) -> None:
    repeated = {"datetime_beginning_ept": f"{AUTUMN} 01:00to{AUTUMN} 01:00"}
    assert len(rows(pjm, "da_hrl_lmps", HUB, repeated)) == 2
    lost = {"datetime_beginning_ept": f"{SPRING} 02:00to{SPRING} 03:00"}
    assert hours(rows(pjm, "da_hrl_lmps", HUB, lost)) == [3]


def test_a_corrected_day_holds_both_versions(pjm: Simulator) -> None:
    found = rows(pjm, "rt_hrl_lmps", HUB, day("2026-07-05"))
    assert [(each["version_nbr"], each["row_is_current"]) for each in found] == [(1, False), (2, True)] * 24
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert all(old["datetime_beginning_utc"] == new["datetime_beginning_utc"] for old, new in pairs)
    assert [old["total_lmp_rt"] == new["total_lmp_rt"] for old, new in pairs] == [True] * 20 + [False] * 4
    assert [new for _, new in pairs] == rows(pjm, "rt_hrl_lmps", HUB, day("2026-07-05"), {"row_is_current": "TRUE"})
    assert [old for old, _ in pairs] == rows(pjm, "rt_hrl_lmps", HUB, day("2026-07-05"), {"version_nbr": "1"})
    assert {each["version_nbr"] for each in rows(pjm, "rt_hrl_lmps", HUB, DAY)} == {1}
    with at("2026-07-08T16:30") as before:
        early = rows(before, "rt_hrl_lmps", HUB, day("2026-07-05"))
        assert {each["row_is_current"] for each in early} == {True}
        assert [each["total_lmp_rt"] for each in early] == [old["total_lmp_rt"] for old, _ in pairs]


@pytest.mark.parametrize(
    ("now", "feed", "last"),
    [
        ("2026-07-14T17:29", "da_hrl_lmps", "2026-07-14T23:00:00"),
        ("2026-07-14T17:30", "da_hrl_lmps", "2026-07-15T23:00:00"),
        # Friday, Saturday and Sunday come on Monday.
        ("2026-07-13T15:59", "rt_hrl_lmps", "2026-07-09T23:00:00"),
        ("2026-07-13T16:00", "rt_hrl_lmps", "2026-07-12T23:00:00"),
        ("2026-07-14T16:30", "rt_fivemin_hrl_lmps", "2026-07-14T12:00:00"),
        ("2026-07-14T16:30", "rt_unverified_fivemin_lmps", "2026-07-14T12:25:00"),
        ("2026-07-14T16:30", "rt_unverified_hrl_lmps", "2026-07-14T11:00:00"),
        ("2026-07-14T16:30", "hrl_load_metered", "2026-07-12T23:00:00"),
        ("2026-07-14T16:30", "gen_by_fuel", "2026-07-14T11:00:00"),
        ("2026-07-14T16:30", "reserve_market_results", "2026-07-14T11:30:00"),
        ("2026-07-14T17:30", "da_ancillary_services", "2026-07-15T23:00:00"),
    ],
)
def test_what_is_published_when(now: str, feed: str, last: str) -> None:
    with at(now) as simulator:
        since = {"datetime_beginning_ept": "2026-07-09 00:00to2026-07-20 00:00"}
        newest = rows(simulator, feed, since, {"sort": "datetime_beginning_utc", "order": "Desc"})
        assert max(each["datetime_beginning_ept"] for each in newest) == last


def test_unverified_prices_lack_columns_and_are_corrected_here_and_there(pjm: Simulator) -> None:
    unverified = rows(pjm, "rt_unverified_fivemin_lmps", DAY)
    assert list(unverified[0]) == [
        "datetime_beginning_utc", "datetime_beginning_ept", "pnode_id", "pnode_name", "type", "total_lmp_rt",
        "congestion_price_rt", "marginal_loss_price_rt", "occ_check", "ref_caseid_used_multi_interval",
    ]  # fmt: skip
    verified = rows(pjm, "rt_fivemin_hrl_lmps", DAY)
    same = [old["total_lmp_rt"] == new["total_lmp_rt"] for old, new in zip(unverified, verified, strict=True)]
    assert 0.85 < sum(same) / len(same) < 0.95
    assert get(pjm, "rt_unverified_fivemin_lmps", PAGE, DAY, {"row_is_current": "TRUE"}).status_code == 400
    assert list(rows(pjm, "rt_unverified_hrl_lmps", DAY)[0]) == [
        "datetime_beginning_utc", "datetime_beginning_ept", "pnode_name", "type", "total_lmp_rt", "congestion_price_rt",
        "marginal_loss_price_rt",
    ]  # fmt: skip


def test_the_list_of_nodes_has_every_type_and_its_history(pjm: Simulator) -> None:
    listed = rows(pjm, "pnode")
    assert set(Counter(each["pnode_subtype"] for each in listed)) == {
        "ZONE", "HUB", "AGGREGATE", "EHV", "INTERFACE", "RESIDUAL_METERED_EDC", "LOAD", "GEN", "EXT", "TIE",
    }  # fmt: skip
    active = rows(pjm, "pnode", {"termination_date": "12/31/9999exact"})
    assert {each["termination_date"] for each in active} == {"9999-12-31T00:00:00"}
    assert len(active) < len(listed)
    found = [each for each in rows(pjm, "da_hrl_lmps", DAY) if each["datetime_beginning_ept"].endswith("T00:00:00")]
    assert [each["pnode_id"] for each in active] == [each["pnode_id"] for each in found]
    assert [each["pnode_subtype"] for each in active] == [each["type"] for each in found]
    assert [each["zone"] for each in active] == [each["zone"] for each in found]
    assert max(each["pnode_id"] for each in active) > 2**31
    buses = [(short, full) for short, full in zip(found, active, strict=True) if full["pnode_type"] == "BUS"]
    assert all(full["pnode_name"].startswith(short["pnode_name"]) for short, full in buses)
    assert all(full["pnode_name"].endswith(f"{short['voltage']}  {short['equipment']}") for short, full in buses)


def test_a_full_day_is_as_long_as_the_document_says() -> None:
    with Simulator(now=lambda: NOW) as full:
        page = answered(full, "da_hrl_lmps", DAY)
        assert (page["totalRows"], len(page["items"])) == (325_176, 50_000)
        last = get(full, "rt_fivemin_hrl_lmps", DAY, {"startRow": "3900001", "rowCount": "50000"}).json()
        assert (last["totalRows"], len(last["items"])) == (13_549 * 288, 2112)
        kinds = Counter(each["pnode_subtype"] for each in rows(full, "pnode", {"termination_date": "12/31/9999exact"}))
        assert kinds["LOAD"] > kinds["GEN"] > kinds["AGGREGATE"] > kinds["ZONE"] == 23
        names = Counter(each["pnode_name"] for each in page["items"])
        assert max(names.values()) == 4


def test_the_total_of_metered_load_is_the_sum_of_all_areas(pjm: Simulator) -> None:
    response = get(pjm, "hrl_load_metered", PAGE, day("2026-07-11"))
    sums: dict[str, Decimal] = defaultdict(Decimal)
    totals = {}
    for each in exact(response):
        if each["load_area"] == "RTO":
            totals[each["datetime_beginning_utc"]] = each["mw"]
            assert (each["nerc_region"], each["mkt_region"], each["zone"], each["is_verified"]) == (*["RTO"] * 3, False)
        else:
            sums[each["datetime_beginning_utc"]] += each["mw"]
    assert sums == totals
    assert Counter(each["load_area"] for each in response.json()["items"]) == dict.fromkeys(
        {each["load_area"] for each in response.json()["items"]}, 24
    )
    assert response.json()["totalRows"] == 24 * 30


def test_metered_load_changes_in_place_when_it_is_verified(pjm: Simulator) -> None:
    def of(simulator: Simulator, area: str) -> tuple[bool, list[float]]:
        found = rows(simulator, "hrl_load_metered", day("2026-07-05"), {"load_area": f"{area}exact"})
        assert len({each["is_verified"] for each in found}) == 1
        return found[0]["is_verified"], [each["mw"] for each in found]

    with at("2026-07-20T16:00") as later, at("2026-11-20T16:00") as much_later:
        assert [of(each, "AECO")[0] for each in (pjm, later)] == [False, True]
        assert of(pjm, "AECO")[1] != of(later, "AECO")[1] == of(much_later, "AECO")[1]
        assert [of(each, "PS")[0] for each in (pjm, later, much_later)] == [False, False, True]


def test_samples_of_load_have_odd_seconds_and_a_gap(pjm: Simulator) -> None:
    found = rows(pjm, "inst_load", DAY, {"area": "PJM RTOexact"})
    starts = [datetime.fromisoformat(each["datetime_beginning_utc"]) for each in found]
    steps = Counter(round((after - before).total_seconds() / 300) for before, after in pairwise(starts))
    assert (steps[2], set(steps)) == (1, {1, 2})
    assert {start.second for start in starts} == {0, 1, 2}
    parts = exact(get(pjm, "inst_load", PAGE, DAY))
    by_area = {
        each["area"]: each["instantaneous_load"]
        for each in parts
        if each["datetime_beginning_utc"] == found[0]["datetime_beginning_utc"]
    }
    regions = [value for area, value in by_area.items() if area.endswith("REGION")]
    assert (len(by_area), len(regions), sum(regions)) == (24, 3, by_area["PJM RTO"])


def test_the_seven_day_forecast_is_the_latest_alone(pjm: Simulator) -> None:
    found = rows(pjm, "load_frcstd_7_day", {"forecast_area": "RTO_COMBINED"})
    assert len(found) == 168
    (made,) = {each["evaluated_at_datetime_utc"] for each in found}
    assert re.fullmatch(r"2026-07-14T16:1[5-8]:\d\d", made)
    assert found[0]["forecast_datetime_beginning_ept"] == "2026-07-14T00:00:00"
    assert found[-1]["forecast_datetime_ending_ept"] == "2026-07-21T00:00:00"
    assert {type(each["forecast_load_mw"]) for each in found} == {int}
    areas = {each["forecast_area"] for each in rows(pjm, "load_frcstd_7_day")}
    assert {"AE/MIDATL", "BG&E/MIDATL", "DOMINION"} < areas
    with at("2026-10-30T12:00") as autumn:
        assert len(rows(autumn, "load_frcstd_7_day", {"forecast_area": "RTO_COMBINED"})) == 169


def test_past_forecasts_come_four_times_a_day(pjm: Simulator) -> None:
    window = {"forecast_hour_beginning_ept": "07/08/2026 12:00to07/08/2026 12:00", "forecast_area": "RTO"}
    found = rows(pjm, "load_frcstd_hist", window)
    assert list(found[0]) == [
        "evaluated_at_utc", "evaluated_at_ept", "forecast_hour_beginning_utc", "forecast_hour_beginning_ept",
        "forecast_area", "forecast_load_mw",
    ]  # fmt: skip
    assert len(found) == 28
    assert len({each["forecast_load_mw"] for each in found}) > 14
    assert {each["evaluated_at_ept"][11:] for each in found} == {"05:45:00", "11:45:00", "17:45:00", "23:45:00"}
    made = {"evaluated_at_ept": found[0]["evaluated_at_ept"] + "exact", "forecast_area": "RTO"}
    whole = rows(pjm, "load_frcstd_hist", made)
    assert len(whole) == 168
    assert found[0] in whole
    assert not rows(pjm, "load_frcstd_hist", day("2026-07-15", "evaluated_at_ept"))


def test_the_list_of_fuels_is_not_constant(pjm: Simulator) -> None:
    assert answered(pjm, "gen_by_fuel", day("2021-09-05"))["totalRows"] == 24 * 11
    found = rows(pjm, "gen_by_fuel", DAY)
    assert len(found) == 24 * 10
    assert {each["fuel_type"] for each in found if each["is_renewable"]} == {
        "Hydro", "Other Renewables", "Solar", "Wind",
    }  # fmt: skip
    assert min(each["mw"] for each in found if each["fuel_type"] == "Storage") < 0
    shares: dict[str, float] = defaultdict(float)
    for each in found:
        shares[each["datetime_beginning_utc"]] += each["fuel_percentage_of_total"]
    assert all(0.95 < share < 1.05 for share in shares.values())


@pytest.mark.parametrize(("feed", "column"), [("solar_gen", "solar_generation_mw"), ("wind_gen", "wind_generation_mw")])
def test_areas_of_generation_overlap(pjm: Simulator, feed: str, column: str) -> None:
    hourly: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for each in exact(get(pjm, feed, PAGE, DAY)):
        hourly[each["datetime_beginning_utc"]][each["area"]] = each[column]
    for areas in hourly.values():
        assert list(areas) == ["MIDATL", "OTHER", "RFC", "RTO", "SOUTH", "WEST"]
        assert areas["RTO"] == areas["RFC"] + areas["SOUTH"] + areas["OTHER"]
        assert areas["RFC"] == areas["MIDATL"] + areas["WEST"]
    nights = [areas["RTO"] for hour, areas in hourly.items() if hour.endswith("T06:00:00")]
    assert (nights[0] < 0) == (feed == "solar_gen")


@pytest.mark.parametrize(
    ("feed", "total", "counts"),
    [("hourly_solar_power_forecast", 24 * 48, {48}), ("hourly_wind_power_forecast", 24 * (43 + 5 * 42), {42, 43})],
)
def test_forecasts_of_a_day_are_many(pjm: Simulator, feed: str, total: int, counts: set[int]) -> None:
    found = rows(pjm, feed, day("2026-07-08", "evaluated_at_ept"))
    assert len(found) == total
    assert set(Counter(each["evaluated_at_utc"] for each in found).values()) == counts
    beginning = day("2026-07-10", "datetime_beginning_utc")
    crossed = rows(pjm, feed, beginning)
    assert [each for each in found if each["datetime_beginning_utc"].startswith("2026-07-10")] == [
        each for each in crossed if each["evaluated_at_ept"].startswith("2026-07-08")
    ]
    assert answered(pjm, feed, day("2026-06-01", "evaluated_at_ept"))["totalRows"] == 0
    newest = rows(pjm, feed, {"evaluated_at_utc": "Today"})
    assert max(each["evaluated_at_utc"] for each in newest) <= "2026-07-14T16:30:00"


def test_reserves_became_five_minutes_and_got_a_product_more(pjm: Simulator) -> None:
    def counted(date: str) -> dict[str, int]:
        return Counter(f"{each['locale']} {each['service']}" for each in rows(pjm, "reserve_market_results", day(date)))

    before = {"PJM_RTO SR": 24, "PJM_RTO PR": 24, "PJM_RTO REG": 24, "MAD SR": 24, "MAD PR": 24}
    assert counted("2022-08-31") == before
    assert counted("2022-09-01") == dict.fromkeys(before, 288)
    assert counted("2022-10-01") == dict.fromkeys(before, 288) | {"PJM_RTO 30MIN": 288}


def test_reserve_results_have_nulls_where_a_service_has_nothing(pjm: Simulator) -> None:
    found = rows(pjm, "reserve_market_results", DAY)
    filled: dict[str, set[str]] = defaultdict(set)
    for each in found:
        filled[each["service"]] |= {name for name, value in each.items() if value is None}
        assert each["mcp_capped"] == min(each["mcp"], 850)
        assert each["total_mw"] == pytest.approx(each["as_mw"] + each["ss_mw"])
        if each["service"] == "REG":
            assert each["mcp"] == pytest.approx(each["reg_ccp"] + each["reg_pcp"])
    assert filled["REG"] == {"ircmwt2", "dsr_as_mw", "nsr_mw", "tier1_mw"}
    assert {"reg_ccp", "reg_pcp", "regd_mw"} <= filled["SR"] & filled["PR"] & filled["30MIN"]
    assert 0 in {each["mcp"] for each in found}
    missing = set(found[0]) - set(rows(pjm, "da_reserve_market_results", DAY)[0])
    assert missing == {"reg_ccp", "reg_pcp", "tier1_mw", "regd_mw"}


def test_prices_of_services_agree_between_feeds(pjm: Simulator) -> None:
    services = {"locale": "PJM_RTO", "service": "SR"}
    day_ahead = [each["mcp"] for each in rows(pjm, "da_reserve_market_results", DAY, services)]
    named = {"ancillary_service": "PJM RTO Synchronized Reserve"}
    assert [each["value"] for each in rows(pjm, "da_ancillary_services", DAY, named)] == day_ahead
    sums: dict[str, float] = defaultdict(float)
    for each in rows(pjm, "reserve_market_results", DAY, services):
        sums[each["datetime_beginning_utc"][:13]] += each["mcp"]
    found = rows(pjm, "ancillary_services", DAY, {"ancillary_service": "RTO Synchronized Reserveexact"})
    assert [each["value"] for each in found] == pytest.approx([each / 12 for each in sums.values()], abs=0.0051)
    every = rows(pjm, "ancillary_services", DAY)
    assert {each["unit"] for each in every} == {"Price", "Ratio"}
    assert {(each["row_is_current"], each["version_nbr"]) for each in every} == {(True, 1)}
