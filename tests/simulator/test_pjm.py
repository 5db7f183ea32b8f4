"""The simulated Data Miner: how it is asked and how it answers."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.simulator import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)
"""A Tuesday, half past twelve in the East: tomorrow's prices are not out."""
PAGE = {"startRow": "1", "rowCount": "50000"}
DAY = {"datetime_beginning_ept": "07/08/2026 00:00to07/08/2026 23:59"}
FIELDS = [
    "datetime_beginning_utc", "datetime_beginning_ept", "pnode_id", "pnode_name", "voltage", "equipment", "type", "zone",
    "system_energy_price_da", "total_lmp_da", "congestion_price_da", "marginal_loss_price_da", "row_is_current", "version_nbr",
]  # fmt: skip
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def pjm() -> Iterator[Simulator]:
    """A simulator whose clock stands, for the rules move with the day."""
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def get(
    simulator: Simulator, feed: str, *parts: dict[str, str], key: str | None = "simulated-pjm-key"
) -> httpx.Response:
    query = {name: value for part in parts for name, value in part.items()}
    headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
    return httpx.get(f"{simulator.bases['PJM']}/{feed}", params=query, headers=headers, timeout=60)


def answered(simulator: Simulator, feed: str, *parts: dict[str, str]) -> dict[str, Any]:
    response = get(simulator, feed, PAGE, *parts)
    assert response.status_code == 200, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


def rows(simulator: Simulator, feed: str, *parts: dict[str, str]) -> Rows:
    found: Rows = answered(simulator, feed, *parts)["items"]
    return found


def refusal(response: httpx.Response) -> tuple[int, str | None]:
    found = response.json()
    assert list(found) == ["errors", "feedMetadata", "code", "message", "activityId", "timestamp", "detailedMessage"]
    return response.status_code, found["errors"][0]["field"]


def test_the_envelope_is_as_recorded(pjm: Simulator) -> None:
    response = get(pjm, "da_hrl_lmps", PAGE, DAY)
    found = response.json()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, must-revalidate, max-age=20"
    assert response.headers["content-encoding"] == "gzip"
    assert response.text.startswith('{"links":[{"rel":"self","href":"')
    assert list(found) == ["links", "items", "searchSpecification", "totalRows"]
    assert [each["rel"] for each in found["links"]] == ["self", "metadata"]
    assert found["searchSpecification"] == {
        "rowCount": 50000,
        "order": "Asc",
        "startRow": 1,
        "isActiveMetadata": True,
        "fields": sorted(FIELDS),
        "filters": [DAY],
    }
    assert found["links"][0]["href"].endswith(
        "/pjm/api/v1/da_hrl_lmps?RowCount=50000&Order=Asc&StartRow=1&IsActiveMetadata=True"
        f"&Fields={'%2C'.join(sorted(FIELDS))}"
        "&datetime_beginning_ept=07%2F08%2F2026%2000%3A00to07%2F08%2F2026%2023%3A59"
    )
    assert found["totalRows"] == len(found["items"]) == 90 * 24
    assert {tuple(each) for each in found["items"]} == {tuple(FIELDS)}
    first = found["items"][0]
    assert (first["datetime_beginning_utc"], first["pnode_id"]) == ("2026-07-08T04:00:00", 1)
    assert (first["voltage"], first["zone"], first["row_is_current"], first["version_nbr"]) == (None, None, True, 1)


def test_zeros_behind_the_point_stay(pjm: Simulator) -> None:
    hub = {"pnode_id": "51288"}
    da, rt = (get(pjm, f"{market}_hrl_lmps", PAGE, DAY, hub).text for market in ("da", "rt"))
    places = {
        each.split(":")[1].partition(".")[2]
        for each in da.split(",")
        if '"system_energy_price_da"' in each and ":" in each
    }
    assert {len(each) for each in places if each} == {2}
    assert '0000,"total_lmp_rt":' in rt


def test_pages_follow_each_other_to_the_end(pjm: Simulator) -> None:
    whole = rows(pjm, "da_hrl_lmps", DAY)
    found: Rows = []
    response = get(pjm, "da_hrl_lmps", {"startRow": "1", "rowCount": "700"}, DAY)
    for number in range(4):
        page = response.json()
        links = {each["rel"]: each["href"] for each in page["links"]}
        assert list(links) == [
            "self", "first", *(["prev"] if number else []), *(["next"] if number < 3 else []), "last", "metadata",
        ]  # fmt: skip
        assert page["totalRows"] == len(whole)
        found += page["items"]
        if "next" in links:
            response = httpx.get(links["next"], headers={"Ocp-Apim-Subscription-Key": "simulated-pjm-key"})
    assert found == whole
    assert get(pjm, "da_hrl_lmps", {"startRow": "2161", "rowCount": "9"}, DAY).json()["items"] == []


def test_a_download_is_a_bare_array(pjm: Simulator) -> None:
    response = get(pjm, "da_hrl_lmps", PAGE, DAY, {"download": "true", "rowCount": "100"})
    assert response.json() == rows(pjm, "da_hrl_lmps", DAY)[:100]
    assert response.headers["x-totalrows"] == "2160"
    assert response.headers["content-disposition"] == "attachment; filename=da_hrl_lmps.json"
    assert isinstance(get(pjm, "load_frcstd_7_day", {"download": "true"}).json(), list)
    assert refusal(get(pjm, "da_hrl_lmps", DAY, {"download": "true"})) == (400, "startRow")


def test_csv_has_american_stamps_and_the_same_values(pjm: Simulator) -> None:
    response = get(pjm, "da_hrl_lmps", PAGE, DAY, {"format": "csv"})
    assert response.headers["content-type"] == "text/csv"
    lines = response.text.split("\r\n")
    assert lines[0] == ",".join(FIELDS)
    assert (lines[-1], "\n" in "".join(lines), '"' in response.text) == ("", False, False)
    found = list(csv.DictReader(io.StringIO(response.text)))
    assert found[0]["datetime_beginning_utc"] == "7/8/2026 4:00:00 AM"
    assert found[0]["datetime_beginning_ept"] == "7/8/2026 12:00:00 AM"
    assert (found[0]["voltage"], found[0]["row_is_current"]) == ("", "True")
    assert [float(each["total_lmp_da"]) for each in found] == [
        each["total_lmp_da"] for each in rows(pjm, "da_hrl_lmps", DAY)
    ]


def test_fields_keep_the_feed_s_order_and_unknown_ones_are_refused(pjm: Simulator) -> None:
    found = answered(pjm, "da_hrl_lmps", DAY, {"fields": "total_lmp_da, pnode_id"})
    assert {tuple(each) for each in found["items"]} == {("pnode_id", "total_lmp_da")}
    assert found["searchSpecification"]["fields"] == ["total_lmp_da", "pnode_id"]
    assert refusal(get(pjm, "rt_unverified_hrl_lmps", PAGE, DAY, {"fields": "pnode_id"})) == (400, "fields")


def test_sorting(pjm: Simulator) -> None:
    prices = [each["total_lmp_da"] for each in rows(pjm, "da_hrl_lmps", DAY, {"sort": "total_lmp_da", "order": "Desc"})]
    assert prices == sorted(prices, reverse=True)
    starts = [
        each["datetime_beginning_utc"]
        for each in rows(pjm, "gen_by_fuel", DAY, {"sort": "datetime_beginning_utc", "order": "Desc"})
    ]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (DAY, "startRow"),
        ({**DAY, "startRow": "1"}, "rowCount"),
        ({**PAGE, **DAY, "rowCount": "50001"}, "rowCount"),
        ({**PAGE, **DAY, "startRow": "0"}, "startRow"),
        (PAGE, None),
        ({**PAGE, "type": "HUB"}, None),
        ({**PAGE, **DAY, "nope": "1"}, "nope"),
        ({**PAGE, **DAY, "sort": "nope"}, "sort"),
        ({**PAGE, **DAY, "order": "up"}, "order"),
        ({**PAGE, **DAY, "format": "xml"}, "format"),
        ({**PAGE, **DAY, "pnode_id": "one"}, "pnode_id"),
        ({**PAGE, **DAY, "row_is_current": "maybe"}, "row_is_current"),
        ({**PAGE, "datetime_beginning_ept": "some day"}, "datetime_beginning_ept"),
        ({**PAGE, "datetime_beginning_ept": "07/08/2026 00:00to07/07/2026 00:00"}, "datetime_beginning_ept"),
        ({**PAGE, "datetime_beginning_ept": "07/08/2025 00:00to07/10/2026 00:00"}, "datetime_beginning_ept"),
    ],
)
def test_bad_queries_are_refused_with_the_error_object(
    pjm: Simulator, query: dict[str, str], field: str | None
) -> None:
    assert refusal(get(pjm, "da_hrl_lmps", query)) == (400, field)


@pytest.mark.parametrize(("key", "word"), [(None, "missing"), ("wrong", "invalid")])
def test_without_the_key_nothing_is_answered(pjm: Simulator, key: str | None, word: str) -> None:
    response = get(pjm, "pnode", key=key)
    assert (response.status_code, list(response.json())) == (401, ["statusCode", "message"])
    assert word in response.json()["message"]


def test_the_key_may_stand_in_the_query(pjm: Simulator) -> None:
    assert pjm.env["PJM_API_KEY"] == "simulated-pjm-key"
    assert get(pjm, "pnode", {"subscription-key": "simulated-pjm-key"}, key=None).status_code == 200


def test_what_is_no_feed_is_not_found(pjm: Simulator) -> None:
    response = get(pjm, "nope", PAGE)
    assert (response.status_code, response.json()["statusCode"]) == (404, 404)


@pytest.mark.parametrize(
    ("feed", "window"),
    [
        ("da_hrl_lmps", "2026-07-15 00:00to2026-07-15 23:59"),
        ("rt_hrl_lmps", "1999-07-13 00:00to1999-07-13 23:59"),
        ("rt_hrl_lmps", "2026-07-14 00:00to2026-07-14 23:59"),
        ("gen_by_fuel", "2015-07-14 00:00to2015-07-14 23:59"),
        ("inst_load", "2026-06-01 00:00to2026-06-01 23:59"),
        ("da_ancillary_services", "2022-09-30 00:00to2022-09-30 23:59"),
    ],
)
def test_what_is_not_there_is_empty_with_status_200(pjm: Simulator, feed: str, window: str) -> None:
    found = answered(pjm, feed, {"datetime_beginning_ept": window})
    assert (found["items"], found["totalRows"]) == ([], 0)
    text = get(pjm, feed, PAGE, {"datetime_beginning_ept": window, "format": "csv"}).text
    assert text.count("\r\n") == 1


def test_a_typing_error_in_a_filter_is_an_empty_answer(pjm: Simulator) -> None:
    assert answered(pjm, "da_hrl_lmps", DAY, {"type": "HUBS"})["totalRows"] == 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"zone": "PEN"}, {"PENELEC"}),
        ({"zone": "pepco;duq"}, {"PEPCO", "DUQ"}),
        ({"zone": "PEexact"}, set()),
        ({"zone": "P*O"}, {"PECO", "PEPCO"}),
    ],
)
def test_words_match_in_part_unless_they_are_exact(pjm: Simulator, query: dict[str, str], expected: set[str]) -> None:
    known = {each["zone"] for each in rows(pjm, "da_hrl_lmps", DAY)}
    found = {each["zone"] for each in rows(pjm, "da_hrl_lmps", DAY, query)}
    assert found == expected & known
    assert bool(found) == bool(expected)


def test_several_nodes_in_one_request(pjm: Simulator) -> None:
    found = rows(pjm, "da_hrl_lmps", DAY, {"pnode_id": "51217;51288"})
    assert {each["pnode_name"] for each in found} == {"EASTERN HUB", "WESTERN HUB"}
    assert found == [each for each in rows(pjm, "da_hrl_lmps", DAY) if each["pnode_id"] in (51217, 51288)]


def test_both_ends_of_a_range_count(pjm: Simulator) -> None:
    hub = {"pnode_id": "51288", "datetime_beginning_ept": "11/02/2025 00:00 to 11/04/2025 00:00"}
    assert answered(pjm, "da_hrl_lmps", hub)["totalRows"] == 25 + 24 + 1


def test_a_single_stamp_is_its_day_on_the_column_s_clock(pjm: Simulator) -> None:
    hub = {"pnode_id": "51288", "datetime_beginning_utc": "2026-07-08T00:00:00.0000000"}
    starts = [each["datetime_beginning_utc"] for each in rows(pjm, "da_hrl_lmps", hub)]
    assert (starts[0], starts[-1], len(starts)) == ("2026-07-08T00:00:00", "2026-07-08T23:00:00", 24)


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("Today", "2026-07-14T00:00:00", "2026-07-14T23:00:00", 24),
        ("Yesterday", "2026-07-13T00:00:00", "2026-07-13T23:00:00", 24),
        ("LastMonth", "2026-06-01T00:00:00", "2026-06-30T23:00:00", 720),
        ("07/14/2026 20:00to", "2026-07-14T20:00:00", "2026-07-14T23:00:00", 4),
    ],
)
def test_ranges_may_have_names_or_be_open(pjm: Simulator, name: str, first: str, last: str, count: int) -> None:
    found = rows(pjm, "da_hrl_lmps", {"pnode_id": "51288", "datetime_beginning_ept": name})
    starts = [each["datetime_beginning_ept"] for each in found]
    assert (starts[0], starts[-1], len(starts)) == (first, last, count)


def test_the_newest_five_minutes_can_be_asked_for_by_name(pjm: Simulator) -> None:
    found = rows(pjm, "rt_unverified_fivemin_lmps", {"datetime_beginning_utc": "5MinutesAgo"})
    assert {each["datetime_beginning_utc"] for each in found} == {"2026-07-14T16:25:00"}


@pytest.mark.parametrize(
    ("feed", "query", "field"),
    [
        # 731 days before 2026-07-14 is 2024-07-13.
        ("da_hrl_lmps", {"datetime_beginning_utc": "2024-07-12 00:00to2024-07-13 00:00"}, "datetime_beginning"),
        ("rt_hrl_lmps", {"datetime_beginning_ept": "2024-07-12 00:00to2024-07-12 23:59"}, "datetime_beginning"),
        ("da_hrl_lmps", {"datetime_beginning_ept": "2022-12-31 00:00to2022-12-31 23:59"}, "datetime_beginning"),
        ("da_hrl_lmps", {"datetime_beginning_utc": "2022-05-01", "pnode_id": "51288"}, "pnode_id"),
        ("da_hrl_lmps", {"datetime_beginning_utc": "2022-05-01", "zone": "PECO"}, "zone"),
        ("da_hrl_lmps", {"datetime_beginning_utc": "2022-05-01", "fields": "pnode_id"}, "fields"),
        ("da_hrl_lmps", {"datetime_beginning_utc": "2022-05-01", "sort": "pnode_id"}, "sort"),
        # 186 days before 2026-07-14 is 2026-01-09.
        ("rt_fivemin_hrl_lmps", {"datetime_beginning_utc": "2026-01-08", "type": "HUB"}, "type"),
        ("rt_fivemin_hrl_lmps", {"datetime_beginning_utc": "2026-01-08 to 2026-01-09"}, "datetime_beginning"),
    ],
)
def test_archived_data_have_rules_of_their_own(pjm: Simulator, feed: str, query: dict[str, str], field: str) -> None:
    assert refusal(get(pjm, feed, PAGE, query)) == (400, field)


def test_what_archived_data_allow(pjm: Simulator) -> None:
    hubs = {"type": "HUB", "row_is_current": "TRUE", "version_nbr": "1", "rowCount": "100"}
    response = get(pjm, "rt_hrl_lmps", PAGE, {"datetime_beginning_utc": "2022-01-01 00:00to2022-12-31 23:00"}, hubs)
    found = response.json()
    # The fifths of twelve months are current in version 2 alone.
    assert found["totalRows"] == 12 * (8760 - 12 * 24)
    following = next(each["href"] for each in found["links"] if each["rel"] == "next")
    second = httpx.get(following, headers={"Ocp-Apim-Subscription-Key": "simulated-pjm-key"})
    assert (second.status_code, second.json()["searchSpecification"]["startRow"]) == (200, 101)
    boundary = {"datetime_beginning_utc": "2024-07-12 00:00to2024-07-12 23:59"}
    assert answered(pjm, "da_hrl_lmps", boundary)["totalRows"] == 2160
    fresh = {"datetime_beginning_utc": "2024-07-13 00:00to2024-07-13 23:59", "pnode_id": "51288"}
    assert answered(pjm, "da_hrl_lmps", fresh)["totalRows"] == 24
    assert answered(pjm, "rt_fivemin_hrl_lmps", {"datetime_beginning_utc": "2026-01-08"})["totalRows"] == 90 * 288


def test_who_asks_too_fast_gets_429_without_a_time_to_wait() -> None:
    with Simulator(nodes=9, rate_limit_seconds=5) as limited:
        assert get(limited, "pnode").status_code == 200
        refused = get(limited, "pnode")
        assert (refused.status_code, refused.json()["statusCode"]) == (429, 429)
        assert "retry-after" not in refused.headers


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("kind", [*AT_ONCE, "error:400", "error:500"])
def test_every_fault_makes_a_difference_once(simulator: Simulator, kind: str, form: str) -> None:
    def ask() -> tuple[int, bytes] | str:
        window = {"datetime_beginning_utc": "2026-07-08 00:00to2026-07-08 23:00"}
        try:
            response = get(simulator, "gen_by_fuel", PAGE, window, {"format": form})
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code, response.content

    good = ask()
    simulator.inject(Fault(kind))
    assert (ask() == good) == (kind == "slow")
    assert ask() == good


@pytest.mark.parametrize(
    "feed",
    ["da_hrl_lmps", "rt_hrl_lmps", "rt_fivemin_hrl_lmps", "rt_unverified_hrl_lmps", "hrl_load_metered", "gen_by_fuel",
     "inst_load", "reserve_market_results", "da_ancillary_services", "wind_gen"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "more"),
    [("wrong_header", 0), ("text_in_number", 0), ("off_grid", 0), ("duplicate_rows", 3), ("missing_hour", None),
     ("unknown_word", 1)],
)  # fmt: skip
def test_faults_of_content_are_in_the_rows(pjm: Simulator, feed: str, kind: str, more: int | None) -> None:
    good = answered(pjm, feed, DAY)
    pjm.inject(Fault(kind))
    bad = answered(pjm, feed, DAY)
    starts = [{each["datetime_beginning_utc"] for each in found["items"]} for found in (good, bad)]
    assert bad["items"] != good["items"]
    assert bad["totalRows"] == len(bad["items"])
    if more is None:
        assert starts[1] == starts[0] - {min(starts[0])}
    else:
        assert len(bad["items"]) == len(good["items"]) + more
    assert (starts[1] == starts[0]) == (kind not in ("off_grid", "missing_hour"))
    assert (list(bad["items"][0]) == list(good["items"][0])) == (kind != "wrong_header")
    assert ("n/a" in bad["items"][0].values()) == (kind == "text_in_number")
    assert any("XYZ" in each.values() for each in bad["items"]) == (kind == "unknown_word")


def test_a_body_that_is_cut_is_no_json(pjm: Simulator) -> None:
    pjm.inject(Fault("cut_zip"), Fault("html"))
    with pytest.raises(json.JSONDecodeError):
        get(pjm, "da_hrl_lmps", PAGE, DAY).json()
    assert get(pjm, "da_hrl_lmps", PAGE, DAY).headers["content-type"] == "text/html"


def test_bodies_are_packed_for_those_who_take_it(pjm: Simulator) -> None:
    address = f"{pjm.bases['PJM']}/gen_by_fuel"
    plain, packed = (
        httpx.Client(headers={"Ocp-Apim-Subscription-Key": "simulated-pjm-key", "Accept-Encoding": coding})
        for coding in ("identity", "gzip")
    )
    with plain, packed, packed.stream("GET", address, params={**PAGE, **DAY}) as response:
        raw = b"".join(response.iter_raw())
        assert gzip.decompress(raw) == plain.get(address, params={**PAGE, **DAY}).content
