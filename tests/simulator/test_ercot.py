"""The simulated public API of ERCOT: how it is asked for rows, and how it answers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.simulator import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)
"""Half past eleven in Texas: tomorrow's prices come at half past twelve."""
TOKEN_PATH = "/ercotb2c.onmicrosoft.com/B2C_1_PUBAPI-ROPC-FLOW/oauth2/v2.0/token"
CLIENT = "fec253ea-0d06-4272-a5e6-b478baeecd70"
FORM = {
    "grant_type": "password",
    "username": "simulated-ercot-user",
    "password": "simulated-ercot-password",
    "response_type": "id_token",
    "scope": f"openid {CLIENT} offline_access",
    "client_id": CLIENT,
}
KEY = {"Ocp-Apim-Subscription-Key": "simulated-ercot-key"}
DAM, RT = "np4-190-cd/dam_stlmnt_pnt_prices", "np6-905-cd/spp_node_zone_hub"
SCED, AS = "np6-788-cd/lmp_node_zone_hub", "np4-188-cd/dam_clear_price_for_cap"
WEATHER, ZONES = "np6-345-cd/act_sys_load_by_wzn", "np6-346-cd/act_sys_load_by_fzn"
FORECAST, WIND = "np3-565-cd/lf_by_model_weather_zone", "np4-732-cd/wpp_hrly_avrg_actl_fcast"
SOLAR = "np4-737-cd/spp_hrly_avrg_actl_fcast"
ALL = {"size": "1000000"}
HUB = {"settlementPoint": "HB_NORTH"}
SPRING, AUTUMN, PLAIN = "2026-03-08", "2025-11-02", "2026-07-08"


@pytest.fixture(scope="module")
def ercot() -> Iterator[Simulator]:
    """A simulator whose clock stands, for what is posted moves with it."""
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def login(simulator: Simulator, **changed: str) -> httpx.Response:
    return httpx.post(simulator.bases["ERCOT_LOGIN"] + TOKEN_PATH, data={**FORM, **changed})


def authorized(simulator: Simulator) -> dict[str, str]:
    return {**KEY, "Authorization": f"Bearer {login(simulator).json()['id_token']}"}


def get(simulator: Simulator, path: str, *parts: dict[str, str]) -> httpx.Response:
    query = {name: value for part in parts for name, value in part.items()}
    address = f"{simulator.bases['ERCOT']}/{path}"
    return httpx.get(address, params=query, headers=authorized(simulator), timeout=60)


def answered(simulator: Simulator, path: str, *parts: dict[str, str]) -> dict[str, Any]:
    response = get(simulator, path, ALL, *parts)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def rows(simulator: Simulator, path: str, *parts: dict[str, str]) -> list[dict[str, Any]]:
    """The rows under the names of their fields."""
    found = answered(simulator, path, *parts)
    names = [each["name"] for each in found["fields"]]
    assert [each["cardinality"] for each in found["fields"]] == list(range(1, len(names) + 1))
    assert found["_meta"]["totalRecords"] == len(found["data"])
    return [dict(zip(names, each, strict=True)) for each in found["data"]]


def day(text: str, name: str = "deliveryDate") -> dict[str, str]:
    return {f"{name}From": text, f"{name}To": text}


def stamps(text: str, name: str = "SCEDTimestamp") -> dict[str, str]:
    return {f"{name}From": f"{text}T00:00:00", f"{name}To": f"{text}T23:59:59"}


def test_the_envelope_is_as_recorded(ercot: Simulator) -> None:
    found = get(ercot, DAM, day(PLAIN), HUB).json()
    assert list(found) == ["_meta", "report", "fields", "data", "_links"]
    assert found["_meta"] == {
        "totalRecords": 24,
        "pageSize": 100,
        "totalPages": 1,
        "currentPage": 1,
        "query": {
            "parameterCount": 3,
            "parameters": {**day(PLAIN), **HUB},
            "sortedBy": "deliveryDate: DESC,hourEnding: ASC,settlementPoint: ASC",
        },
    }
    assert found["report"] == {
        "reportName": "dam_stlmnt_pnt_prices",
        "reportDisplayName": "DAM Settlement Point Prices",
        "reportId": "12331",
        "reportEMIL": "NP4-190-CD",
        "downloadLimit": 2000000,
    }
    assert found["fields"][0] == {
        "name": "deliveryDate", "label": "Delivery Date", "cardinality": 1, "dataType": "DATE", "searchable": True,
        "sortable": True, "hasRange": True,
    }  # fmt: skip
    kinds = [(each["name"], each["dataType"], each["hasRange"]) for each in found["fields"]]
    assert kinds[1:] == [
        ("hourEnding", "VARCHAR", False),
        ("settlementPoint", "VARCHAR", False),
        ("settlementPointPrice", "DOUBLE", True),
        ("DSTFlag", "BOOLEAN", False),
    ]
    assert found["data"][0][:3] == [PLAIN, "01:00", "HB_NORTH"]
    assert found["_links"]["self"]["href"].endswith("/ercot/api/public-reports/np4-190-cd/dam_stlmnt_pnt_prices")


def test_without_parameters_there_are_columns_and_no_rows(ercot: Simulator) -> None:
    found = get(ercot, RT).json()
    assert list(found) == ["report", "fields", "_links"]
    assert [each["name"] for each in found["fields"]] == [
        "deliveryDate", "deliveryHour", "deliveryInterval", "settlementPoint", "settlementPointType",
        "settlementPointPrice", "DSTFlag",
    ]  # fmt: skip


def test_spring_skips_the_third_hour_and_autumn_flags_the_second(ercot: Simulator) -> None:
    hours = [f"{hour:02}:00" for hour in range(1, 25)]
    for path, name in ((DAM, "deliveryDate"), (WEATHER, "operatingDay"), (ZONES, "operatingDay")):
        extra = HUB if path == DAM else {}
        spring, autumn = (rows(ercot, path, day(text, name), extra) for text in (SPRING, AUTUMN))
        assert [each["hourEnding"] for each in spring] == [each for each in hours if each != "03:00"]
        assert not any(each["DSTFlag"] for each in spring)
        assert [each["hourEnding"] for each in autumn] == sorted([*hours, "02:00"])
        assert [each["DSTFlag"] for each in autumn] == [False, True, *[False] * 23]


def test_quarters_of_change_days_have_hours_and_flags(ercot: Simulator) -> None:
    spring, autumn = (rows(ercot, RT, day(text), HUB) for text in (SPRING, AUTUMN))
    assert {each["deliveryHour"] for each in spring} == {*range(1, 25)} - {3}
    assert {each["deliveryInterval"] for each in spring} == {1, 2, 3, 4}
    assert (len(spring), len(autumn)) == (92, 100)
    flagged = [(each["deliveryHour"], each["deliveryInterval"]) for each in autumn if each["DSTFlag"]]
    assert flagged == [(2, 1), (2, 2), (2, 3), (2, 4)]


def test_runs_have_odd_seconds_and_no_grid(ercot: Simulator) -> None:
    found = rows(ercot, SCED, stamps(AUTUMN), HUB)
    times = [datetime.fromisoformat(each["SCEDTimestamp"]) for each in found]
    assert times == sorted(times, reverse=True)
    assert 295 <= len(times) <= 320
    assert len({each.second for each in times}) > 10
    repeated = [each for each, row in zip(times, found, strict=True) if row["repeatHourFlag"]]
    assert {each.hour for each in repeated} == {1}
    assert 10 <= len(repeated) <= 15
    assert any((before - after).total_seconds() > 400 for before, after in pairwise(times))


def test_zones_have_two_types_in_real_time_and_none_elsewhere(ercot: Simulator) -> None:
    found = rows(ercot, RT, day(PLAIN), {"deliveryHourFrom": "5", "deliveryHourTo": "5", "deliveryIntervalTo": "1"})
    types = Counter(each["settlementPointType"] for each in found)
    assert set(types) == {"RN", "LZ", "LZ_DC", "LZ_DCEW", "LZEW", "HU", "SH", "AH", "PCCRN", "LCCRN", "PUN"}
    assert (types["LZ"], types["LZEW"], len(found)) == (8, 8, 103)
    names = {each["settlementPoint"] for each in found}
    assert len(names) == 90
    assert {each["settlementPoint"] for each in rows(ercot, DAM, day(PLAIN))} == names
    houston = {each["settlementPointType"]: each["settlementPointPrice"] for each in found
               if each["settlementPoint"] == "LZ_HOUSTON"}  # fmt: skip
    assert houston["LZ"] != houston["LZEW"]


def test_prices_are_cents_below_at_and_above_zero(ercot: Simulator) -> None:
    window = {"deliveryDateFrom": "2026-04-10", "deliveryDateTo": "2026-04-14"}
    for path in (DAM, RT):
        prices = [each["settlementPointPrice"] for each in rows(ercot, path, window)]
        assert min(prices) < 0 < max(prices)
        assert 0 in prices
        assert all(round(each, 2) == each for each in prices)


def test_pages_follow_each_other_to_the_end(ercot: Simulator) -> None:
    window = {"deliveryDateFrom": SPRING, "deliveryDateTo": "2026-03-09"}
    whole = answered(ercot, DAM, window)["data"]
    assert [each[0] for each in whole] == sorted((each[0] for each in whole), reverse=True)
    pages = [get(ercot, DAM, window, {"size": "1000", "page": str(number)}).json() for number in range(1, 7)]
    assert {each["_meta"]["totalPages"] for each in pages} == {5}
    assert [len(each["data"]) for each in pages] == [1000] * 4 + [90 * 47 - 4000, 0]
    assert [row for page in pages for row in page["data"]] == whole
    assert len(get(ercot, DAM, window).json()["data"]) == 100


def test_rows_can_be_sorted(ercot: Simulator) -> None:
    window = {"deliveryDateFrom": SPRING, "deliveryDateTo": "2026-03-09"}
    dates = [each["deliveryDate"] for each in rows(ercot, DAM, window, HUB, {"sort": "deliveryDate"})]
    assert dates == sorted(dates)
    by_price = {"sort": "settlementPointPrice", "dir": "desc"}
    prices = [each["settlementPointPrice"] for each in rows(ercot, DAM, window, by_price)]
    assert prices == sorted(prices, reverse=True)


def test_a_cell_has_one_value_however_it_is_asked_for(ercot: Simulator) -> None:
    for path, window in ((DAM, day(AUTUMN)), (RT, day(AUTUMN)), (SCED, stamps(AUTUMN))):
        of_all = [each for each in rows(ercot, path, window) if each["settlementPoint"] == "HB_NORTH"]
        assert rows(ercot, path, window, HUB) == of_all
    expensive = rows(ercot, DAM, day(PLAIN), {"settlementPointPriceFrom": "60"})
    assert expensive == [each for each in rows(ercot, DAM, day(PLAIN)) if each["settlementPointPrice"] >= 60]
    assert expensive


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (DAM, day("2026-07-15")),
        (DAM, day("2023-11-30")),
        (DAM, {**day(PLAIN), "settlementPoint": "HB_NOWHERE"}),
        (RT, day("2026-07-15")),
        (SCED, stamps("2026-07-15")),
        (WEATHER, day("2026-07-14", "operatingDay")),
        (WIND, stamps("2026-07-15", "postedDatetime")),
    ],
)
def test_what_is_not_there_is_empty_with_status_200(ercot: Simulator, path: str, query: dict[str, str]) -> None:
    found = answered(ercot, path, query)
    assert (found["data"], found["_meta"]["totalRecords"], found["_meta"]["totalPages"]) == ([], 0, 0)


def test_today_ends_with_what_was_posted_last(ercot: Simulator) -> None:
    last = rows(ercot, RT, day("2026-07-14"), HUB)[-1]
    # Ends at a quarter past eleven, and came out two minutes later.
    assert (last["deliveryHour"], last["deliveryInterval"]) == (12, 1)
    assert len(rows(ercot, DAM, day("2026-07-14"), HUB)) == 24


@pytest.mark.parametrize(
    "query",
    [
        {**day(PLAIN), "nope": "1"},
        {**day(PLAIN), "page": "0"},
        {**day(PLAIN), "size": "many"},
        {**day(PLAIN), "sort": "nope"},
        {**day(PLAIN), "dir": "up"},
        {**day(PLAIN), "DSTFlag": "maybe"},
        {"deliveryDateFrom": "07/08/2026"},
        {"deliveryDate": PLAIN},
        {"hourEndingFrom": "01:00"},
    ],
)
def test_bad_queries_are_refused_with_the_error_object(ercot: Simulator, query: dict[str, str]) -> None:
    response = get(ercot, DAM, query)
    assert (response.status_code, list(response.json())) == (
        400, ["timestamp", "code", "status", "message", "data"],
    )  # fmt: skip


def test_what_is_no_product_is_not_found_by_the_gateway(ercot: Simulator) -> None:
    for path in ("np4-190-cd/nope", "nope", "archive/nope"):
        assert get(ercot, path).json() == {"statusCode": 404, "message": "Resource not found"}


def test_both_key_and_token_are_needed(ercot: Simulator) -> None:
    address, token = f"{ercot.bases['ERCOT']}/", authorized(ercot)["Authorization"]
    access = f"Bearer {login(ercot).json()['access_token']}"
    refused = [
        {},
        {"Authorization": token},
        {"Authorization": token, "Ocp-Apim-Subscription-Key": "wrong"},
        KEY,
        {**KEY, "Authorization": "Bearer nonsense"},
        # The id token counts, and not the other one.
        {**KEY, "Authorization": access},
        {**KEY, "Authorization": f"{token}x"},
    ]
    for headers in refused:
        response = httpx.get(address, headers=headers)
        assert (response.status_code, list(response.json())) == (401, ["statusCode", "message"])
    in_query = {"subscription-key": "simulated-ercot-key"}
    assert httpx.get(address, headers={"Authorization": token}, params=in_query).status_code == 200


def test_a_token_lives_for_an_hour() -> None:
    clock = [NOW]
    with Simulator(nodes=20, now=lambda: clock[0]) as simulator:
        answer = login(simulator).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", "3600")
        headers = {**KEY, "Authorization": f"Bearer {answer['id_token']}"}
        address = f"{simulator.bases['ERCOT']}/{DAM}"
        statuses = []
        for minutes in (0, 59, 61):
            clock[0] = NOW + timedelta(minutes=minutes)
            statuses.append(httpx.get(address, headers=headers).status_code)
        assert statuses == [200, 200, 401]
        assert get(simulator, DAM).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"password": "wrong"}, "access_denied"),
        ({"username": "nobody"}, "access_denied"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"client_id": "another"}, "invalid_request"),
    ],
)
def test_a_bad_login_is_refused_in_the_words_of_oauth(ercot: Simulator, changed: dict[str, str], error: str) -> None:
    response = login(ercot, **changed)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.json()["error_description"]


def test_the_login_may_stand_in_the_query(ercot: Simulator) -> None:
    response = httpx.post(ercot.bases["ERCOT_LOGIN"] + TOKEN_PATH, params=FORM)
    assert "id_token" in response.json()


def test_the_variables_hold_what_is_accepted(ercot: Simulator) -> None:
    assert ercot.env["ERCOT_API_USERNAME"] == FORM["username"]
    assert ercot.env["ERCOT_API_PASSWORD"] == FORM["password"]
    assert ercot.env["ERCOT_PUBLIC_API_SUBSCRIPTION_KEY"] == "simulated-ercot-key"
    assert ercot.env["AURUM_ERCOT_MIS_BASE"].endswith("/ercot/mis")


def test_who_asks_too_fast_gets_the_gateway_s_429() -> None:
    with Simulator(nodes=9, rate_limit_seconds=5) as limited:
        assert login(limited).status_code == 200
        assert login(limited).json()["statusCode"] == 429


@pytest.mark.parametrize("kind", [*AT_ONCE, "error:200", "error:401", "error:500"])
@pytest.mark.parametrize(("path", "query"), [(RT, {**day(PLAIN), **HUB}), (WEATHER, day(PLAIN, "operatingDay"))])
def test_every_fault_makes_a_difference_once(ercot: Simulator, path: str, query: dict[str, str], kind: str) -> None:
    headers = authorized(ercot)

    def ask() -> tuple[int, bytes] | str:
        try:
            response = httpx.get(f"{ercot.bases['ERCOT']}/{path}", params=query, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code, response.content

    good = ask()
    ercot.inject(Fault(kind, match=query))
    assert (ask() == good) == (kind == "slow")
    assert ask() == good


@pytest.mark.parametrize("path", [DAM, RT, SCED, AS, WEATHER, ZONES, FORECAST, WIND, SOLAR])
@pytest.mark.parametrize(
    ("kind", "more"),
    [("wrong_header", 0), ("text_in_number", 0), ("off_grid", 0), ("duplicate_rows", 3), ("missing_hour", None),
     ("unknown_word", None)],
)  # fmt: skip
def test_faults_of_content_are_in_the_rows(ercot: Simulator, path: str, kind: str, more: int | None) -> None:
    name = {SCED: "SCEDTimestamp", FORECAST: "postedDatetime", WIND: "postedDatetime", SOLAR: "postedDatetime"}.get(
        path
    )
    date_name = "operatingDay" if path in (WEATHER, ZONES) else "deliveryDate"
    query = stamps(PLAIN, name) if name else day(PLAIN, date_name)
    good = rows(ercot, path, query)
    ercot.inject(Fault(kind, match=query))
    bad = rows(ercot, path, query)
    assert bad != good
    if more is not None:
        assert len(bad) == len(good) + more
    assert (list(bad[0]) == list(good[0])) == (
        kind != "wrong_header" and (kind != "unknown_word" or path not in (WEATHER, ZONES, WIND, SOLAR))
    )
    assert any("n/a" in each.values() for each in bad[:1]) == (kind == "text_in_number")
    assert any("XYZ" in each.values() or "XYZ" in each for each in bad) == (kind == "unknown_word")
    assert (len(bad) < len(good)) == (kind == "missing_hour")


def test_a_hole_is_an_answer_without_rows(ercot: Simulator) -> None:
    query = {**day(PLAIN), **HUB}
    ercot.inject(Fault("error:200", match=query))
    assert answered(ercot, DAM, query)["data"] == []
    assert len(answered(ercot, DAM, query)["data"]) == 24
