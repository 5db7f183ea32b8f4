"""The simulated OASIS, held against its documents."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.frames import LMP_HEADER
from tests.simulator import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = {"startdatetime": "20260714T07:00-0000", "enddatetime": "20260715T07:00-0000"}
LMP = {"resultformat": "6", "queryname": "PRC_LMP", "version": "12", "market_run_id": "DAM"}
HUB = {**LMP, "node": "TH_NP15_GEN-APND"}
LOAD = {"resultformat": "6", "queryname": "SLD_FCST", "version": "1", "market_run_id": "ACTUAL"}
Rows = list[dict[str, str]]


def get(simulator: Simulator, *parts: dict[str, str], path: str = "SingleZip") -> httpx.Response:
    query = {name: value for part in parts for name, value in part.items()}
    return httpx.get(f"{simulator.bases['CAISO']}/{path}", params=query, timeout=60)


def members(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def rows(response: httpx.Response) -> Rows:
    return [row for text in members(response).values() for row in csv.DictReader(io.StringIO(text))]


def test_a_price_answer_is_a_zip_of_one_csv_per_component(simulator: Simulator) -> None:
    response = get(simulator, HUB, DAY)
    found = members(response)
    assert response.headers["content-type"] == "application/x-zip-compressed"
    assert response.headers["content-disposition"].startswith("inline; filename=20260714_20260715_PRC_LMP_DAM_")
    assert [name.split("_")[-2] for name in found] == ["LMP", "MCE", "MCC", "MCL", "MGHG"]
    assert {text.split("\n")[0] for text in found.values()} == {LMP_HEADER}
    assert all(text.endswith("\n") and "\r" not in text and '"' not in text for text in found.values())


def test_greenhouse_gas_appears_with_the_extended_day_ahead_market(simulator: Simulator) -> None:
    before = {"startdatetime": "20260330T07:00-0000", "enddatetime": "20260331T07:00-0000"}
    assert len(members(get(simulator, HUB, before))) == 4


def test_prices_add_up_as_printed(simulator: Simulator) -> None:
    cells: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for row in rows(get(simulator, LMP, {"grp_type": "ALL"}, DAY)):
        cells[row["NODE"], row["INTERVALSTARTTIME_GMT"]][row["LMP_TYPE"]] = Decimal(row["MW"])
    assert len(cells) == 90 * 24
    for parts in cells.values():
        assert parts["LMP"] == parts["MCE"] + parts["MCC"] + parts["MCL"] + parts["MGHG"]
    energies = defaultdict(set)
    for (_, start), parts in cells.items():
        energies[start].add(parts["MCE"])
    assert {len(each) for each in energies.values()} == {1}


def test_rows_are_in_no_order_and_zeros_are_not_padded(simulator: Simulator) -> None:
    found = rows(get(simulator, LMP, {"grp_type": "ALL"}, DAY))
    starts = [row["INTERVALSTARTTIME_GMT"] for row in found]
    assert starts != sorted(starts)
    values = {row["MW"] for row in found}
    assert "0" in values
    assert not [value for value in values if "." in value and value.endswith("0")]


def test_the_same_cell_has_the_same_value_however_it_is_asked_for(simulator: Simulator) -> None:
    def of_hub(found: Rows) -> set[tuple[str, str, str]]:
        hub = (row for row in found if row["NODE"] == HUB["node"])
        return {(row["INTERVALSTARTTIME_GMT"], row["LMP_TYPE"], row["MW"]) for row in hub}

    week = {"startdatetime": "20260712T07:00-0000", "enddatetime": "20260719T07:00-0000"}
    alone = of_hub(rows(get(simulator, HUB, DAY)))
    assert alone == of_hub(rows(get(simulator, LMP, {"grp_type": "ALL"}, DAY)))
    assert alone < of_hub(rows(get(simulator, HUB, week)))
    with Simulator(nodes=90, seed=7) as other:
        assert alone != of_hub(rows(get(other, HUB, DAY)))


@pytest.mark.parametrize(
    ("start", "end", "labels"),
    [
        ("20251102T07:00-0000", "20251103T08:00-0000", [1, 2, 25, *range(3, 25)]),
        ("20260308T08:00-0000", "20260309T07:00-0000", [1, 2, *range(4, 25)]),
    ],
)
@pytest.mark.parametrize("report", [HUB, LOAD], ids=["PRC_LMP", "SLD_FCST"])
def test_change_days_are_labelled_as_oasis_does(
    simulator: Simulator, report: dict[str, str], start: str, end: str, labels: list[int]
) -> None:
    found = rows(get(simulator, report, {"startdatetime": start, "enddatetime": end}))
    hours = {row["INTERVALSTARTTIME_GMT"]: int(row["OPR_HR"]) for row in found}
    assert [hours[each] for each in sorted(hours)] == labels
    assert len({row["OPR_DT"] for row in found}) == 1


def test_all_nodes_snap_to_the_trade_date_of_the_start(simulator: Simulator) -> None:
    window = {"startdatetime": "20260714T15:00-0000", "enddatetime": "20260719T07:00-0000"}
    found = rows(get(simulator, LMP, {"grp_type": "ALL_APNODES"}, window))
    assert {row["OPR_DT"] for row in found} == {"2026-07-14"}
    assert {row["GRP_TYPE"] for row in found} == {"ALL_APNODES"}


def test_the_total_of_load_is_the_sum_of_its_five_parts(simulator: Simulator) -> None:
    sums: dict[str, int] = defaultdict(int)
    totals = {}
    for row in rows(get(simulator, LOAD, DAY)):
        if row["TAC_AREA_NAME"] in {"PGE-TAC", "SCE-TAC", "SDGE-TAC", "VEA-TAC", "MWD-TAC"}:
            sums[row["INTERVALSTARTTIME_GMT"]] += int(row["MW"])
        elif row["TAC_AREA_NAME"] == "CA ISO-TAC":
            totals[row["INTERVALSTARTTIME_GMT"]] = int(row["MW"])
    assert sums == totals
    assert len(totals) == 24


def test_load_without_a_run_is_all_runs_in_one_file(simulator: Simulator) -> None:
    response = get(simulator, {**LOAD, "market_run_id": ""}, DAY)
    (name,) = members(response)
    assert "_SLD_FCST_N_" in name
    counted: dict[str, int] = defaultdict(int)
    for row in rows(response):
        counted[row["EXECUTION_TYPE"]] += 1
    assert counted == {"2DA": 840, "7DA": 840, "DAM": 840, "ACTUAL": 840, "RTPD": 3360, "RTD": 10080}


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ({**HUB, "version": ""}, 1020, "INVALID_REQUEST.xml"),
        ({**HUB, "version": "3"}, 1020, "INVALID_REQUEST.xml"),
        ({**HUB, "queryname": "NOPE"}, 1001, "INVALID_REQUEST.xml"),
        ({**HUB, "market_run_id": "XYZ"}, 1001, "INVALID_REQUEST.xml"),
        ({**HUB, "grp_type": "ALL"}, 1001, "INVALID_REQUEST.xml"),
        ({**HUB, "startdatetime": "2026-07-14"}, 1002, "INVALID_REQUEST.xml"),
        ({**HUB, "enddatetime": "20260901T07:00-0000"}, 1004, "INVALID_REQUEST.xml"),
        (
            {**HUB, "startdatetime": "20101231T08:00-0000", "enddatetime": "20110101T08:00-0000"},
            1014,
            "INVALID_REQUEST.xml",
        ),
        ({**HUB, "node": ",".join(map(str, range(11)))}, 1017, "INVALID_REQUEST.xml"),
        ({**HUB, "node": "NOSUCH"}, 1000, "20260714_20260715_PRC_LMP_DAM_"),
        ({**HUB, "startdatetime": "20990101T08:00-0000", "enddatetime": "20990102T08:00-0000"}, 1000, "20990101_"),
    ],
)
def test_errors_are_documents_in_a_200_zip(simulator: Simulator, query: dict[str, str], code: int, name: str) -> None:
    ((found, text),) = members(get(simulator, DAY, query)).items()
    assert found.startswith(name)
    assert found.endswith(".xml")
    assert f"<m:ERR_CODE>{code}</m:ERR_CODE>" in text


def test_a_group_is_a_day_of_all_nodes(simulator: Simulator) -> None:
    group = {"groupid": "DAM_LMP_GRP", "version": "12", "resultformat": "6", "startdatetime": DAY["startdatetime"]}
    assert len(rows(get(simulator, group, path="GroupZip"))) == 90 * 24 * 5
    assert "1016" in next(iter(members(get(simulator, {**group, "groupid": "X"}, path="GroupZip")).values()))


REAL_TIME = {
    "PRC_HASP_LMP": ("HASP", "HASP_LMP_GRP", 4, "MW"),
    "PRC_RTPD_LMP": ("RTPD", "RTPD_LMP_GRP", 4, "PRC"),
    "PRC_INTVL_LMP": ("RTM", "RTM_LMP_GRP", 12, "VALUE"),
}
each_real_time = pytest.mark.parametrize("name", REAL_TIME)


def real_time(name: str, **more: str) -> dict[str, str]:
    query = {"resultformat": "6", "queryname": name, "version": "3", "market_run_id": REAL_TIME[name][0]}
    return {**query, "startdatetime": "20251102T08:00-0000", "enddatetime": "20251102T09:00-0000", **more}


@each_real_time
def test_real_time_prices_have_their_own_names_and_labels(simulator: Simulator, name: str) -> None:
    """The hour with two digits, the intervals counted from one, the price in a column of another name."""
    _, _, intervals, price = REAL_TIME[name]
    day = {"startdatetime": "20251102T07:00-0000", "enddatetime": "20251103T08:00-0000"}
    found = rows(get(simulator, real_time(name, node=HUB["node"], **day)))
    assert list(found[0]) == (
        "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,NODE_ID_XML,NODE_ID,NODE,MARKET_RUN_ID,LMP_TYPE,"
        f"XML_DATA_ITEM,PNODE_RESMRID,GRP_TYPE,POS,{price},OPR_INTERVAL,GROUP"
    ).split(",")
    totals = [row for row in found if row["LMP_TYPE"] == "LMP"]
    assert len(totals) == 25 * intervals
    labels = {row["INTERVALSTARTTIME_GMT"]: (row["OPR_HR"], int(row["OPR_INTERVAL"])) for row in totals}
    hours = ["01", "02", "25", *(f"{hour:02d}" for hour in range(3, 25))]
    wanted = [(hour, number) for hour in hours for number in range(1, intervals + 1)]
    assert [labels[each] for each in sorted(labels)] == wanted
    assert {row["LMP_TYPE"] for row in found} == {"LMP", "MCE", "MCC", "MCL", "MGHG"}


@each_real_time
def test_all_nodes_of_real_time_come_by_the_hour(simulator: Simulator, name: str) -> None:
    _, group, intervals, price = REAL_TIME[name]
    two_hours = real_time(name, grp_type="ALL", enddatetime="20251102T10:00-0000")
    assert "1018" in next(iter(members(get(simulator, two_hours)).values()))
    single = rows(get(simulator, real_time(name, grp_type="ALL")))
    assert len(single) == 90 * intervals * 5
    query = {"groupid": group, "version": "3", "resultformat": "6", "startdatetime": "20251102T08:00-0000"}
    response = get(simulator, query, path="GroupZip")
    assert f"filename=20251102_20251102_{group}_N_02_N_v3_csv.zip" in response.headers["content-disposition"]

    def cells(found: Rows) -> set[tuple[str, ...]]:
        return {(row["NODE"], row["INTERVALSTARTTIME_GMT"], row["LMP_TYPE"], row[price]) for row in found}

    assert cells(rows(response)) == cells(single)


def test_the_first_version_of_real_time_is_one_member_without_greenhouse_gas(simulator: Simulator) -> None:
    query = real_time("PRC_RTPD_LMP", version="1", node=HUB["node"])
    assert len(members(get(simulator, query))) == 1
    found = rows(get(simulator, query))
    assert {row["LMP_TYPE"] for row in found} == {"LMP", "MCE", "MCC", "MCL"}
    assert "MW" in found[0]


@pytest.mark.parametrize(
    ("name", "run", "version", "minutes", "header"),
    [
        (
            "PRC_AS",
            "DAM",
            "12",
            60,
            (
                "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_INTERVAL,OPR_TYPE,ANC_TYPE,ANC_REGION,"
                "MARKET_RUN_ID,XML_DATA_ITEM,MW,GROUP"
            ),
        ),
        (
            "PRC_INTVL_AS",
            "RTM",
            "1",
            15,
            (
                "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_TYPE,ANC_TYPE,XML_DATA_ITEM,MARKET_RUN_ID,MW,"
                "ANC_REGION,OPR_INTERVAL,GROUP"
            ),
        ),
    ],
)
def test_reserves_are_six_services_in_six_regions(
    simulator: Simulator, name: str, run: str, version: str, minutes: int, header: str
) -> None:
    query = {"resultformat": "6", "queryname": name, "version": version, "market_run_id": run, "anc_region": "ALL"}
    found = rows(get(simulator, query, {"anc_type": "ALL"}, DAY))
    assert ",".join(found[0]) == header
    assert len(found) == 36 * 24 * 60 // minutes
    assert {row["ANC_TYPE"]: row["XML_DATA_ITEM"][:2] for row in found} == {
        "NR": "NS", "SR": "SP", "RU": "RU", "RD": "RD", "RMU": "RM", "RMD": "RM",
    }  # fmt: skip
    one = rows(get(simulator, query, {"anc_type": "NR"}, DAY))
    assert {tuple(row.items()) for row in one} == {tuple(row.items()) for row in found if row["ANC_TYPE"] == "NR"}
    assert "1001" in next(iter(members(get(simulator, query, {"anc_type": "XX"}, DAY)).values()))


def test_renewables_are_wind_and_sun_at_three_hubs(simulator: Simulator) -> None:
    query = {"resultformat": "6", "queryname": "SLD_REN_FCST", "version": "1", "market_run_id": "DAM"}
    found = rows(get(simulator, query, DAY))
    assert ",".join(found[0]) == (
        "OPR_DT,OPR_HR,OPR_INTERVAL,INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,TRADING_HUB,RENEWABLE_TYPE,LABEL,"
        "XML_DATA_ITEM,MARKET_RUN_ID_POS,RENEW_POS,MW,MARKET_RUN_ID,GROUP"
    )
    assert len(found) == 144
    night = [row for row in found if row["RENEWABLE_TYPE"] == "Solar" and row["OPR_HR"] in ("1", "24")]
    assert {row["MW"] for row in night} == {"0"}


def outlook(simulator: Simulator, day: str, file: str = "fuelsource") -> httpx.Response:
    base = simulator.env["AURUM_CAISO_OUTLOOK_BASE"]
    return httpx.get(f"{base}/history/{day}/{file}.csv", timeout=60)


def test_the_outlook_has_the_clock_on_the_wall(simulator: Simulator) -> None:
    """Empty cells for the hour that spring leaves out, autumn's repeated hour once, and the next midnight at the end."""
    fuels = (
        "Solar,Wind,Geothermal,Biomass,Biogas,Small hydro,Coal,Nuclear,Natural Gas,Large Hydro,Batteries,Imports,Other"
    )
    for day in ("20260714", "20260308", "20251102"):
        response = outlook(simulator, day)
        assert response.headers["content-type"] == "text/csv"
        assert response.text.splitlines()[0] == f"Time,{fuels}"
        found = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["Time"] for row in found] == [f"{n // 12 % 24:02d}:{n % 12 * 5:02d}" for n in range(289)]
        empty = {row["Time"][:2] for row in found if row["Solar"] == ""}
        assert empty == ({"02"} if day == "20260308" else set())
    assert outlook(simulator, "20260714", "demand").text.startswith("Time,Day ahead forecast,Hour ahead forecast,")


@pytest.mark.parametrize(("day", "file"), [("20990101", "fuelsource"), ("20100101", "fuelsource"), ("20260714", "co3")])
def test_a_day_that_the_outlook_does_not_have_is_a_page_with_404(simulator: Simulator, day: str, file: str) -> None:
    response = outlook(simulator, day, file)
    assert (response.status_code, response.headers["content-type"]) == (404, "text/html")


@pytest.mark.parametrize(
    "kind", ["html", "wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word"]
)
def test_faults_reach_the_outlook(simulator: Simulator, kind: str) -> None:
    good = outlook(simulator, "20260714").content
    simulator.inject(Fault(kind))
    assert outlook(simulator, "20260714").content != good
    assert outlook(simulator, "20260714").content == good


@pytest.fixture
def limited() -> Iterator[Simulator]:
    with Simulator(nodes=9, rate_limit_seconds=5) as simulator:
        yield simulator


def test_who_asks_too_fast_gets_429_in_html(limited: Simulator) -> None:
    assert get(limited, HUB, DAY).status_code == 200
    refused = get(limited, HUB, DAY)
    assert (refused.status_code, len(refused.content), "retry-after" in refused.headers) == (429, 114, False)
    assert [each.status for each in limited.log] == [200, 429]


def test_faults_come_by_http_too_and_only_to_what_matches(simulator: Simulator) -> None:
    root = simulator.bases["CAISO"].partition("/caiso")[0]
    fault = {"kind": "503", "times": 2, "match": {"queryname": "SLD_FCST"}}
    assert httpx.post(f"{root}/_simulator/faults", json=[fault]).status_code == 204
    statuses = [get(simulator, report, DAY).status_code for report in (HUB, LOAD, HUB, LOAD, LOAD)]
    assert statuses == [200, 503, 200, 503, 200]
    assert [each["fault"] for each in httpx.get(f"{root}/_simulator/log").json()] == [None, "503", None, "503", None]
    assert httpx.post(f"{root}/_simulator/faults", json=[{"kind": "nope"}]).status_code == 400
    httpx.post(f"{root}/_simulator/faults", json=[fault])
    assert httpx.delete(f"{root}/_simulator/faults").status_code == 204
    assert get(simulator, LOAD, DAY).status_code == 200


@pytest.mark.parametrize("kind", [*AT_ONCE, "error:1003"])
def test_every_fault_makes_a_difference_once(simulator: Simulator, kind: str) -> None:
    def ask() -> tuple[int, bytes] | str:
        try:
            response = get(simulator, HUB, DAY)
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code, b"".join(sorted(_texts(response)))

    good = ask()
    simulator.inject(Fault(kind))
    assert (ask() == good) == (kind == "slow")
    assert ask() == good


def _texts(response: httpx.Response) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            return [archive.read(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, zlib.error):
        return [response.content]


@pytest.mark.parametrize(
    ("text", "fault"), [("503", Fault("503")), ("503:2", Fault("503", 2)), ("error:1000:3", Fault("error:1000", 3))]
)
def test_faults_are_written_kind_and_times(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize("text", ["", "nope", "503:x", "503:0", "error", "error:x", "503:1:1"])
def test_a_fault_that_is_none_lists_the_kinds(text: str) -> None:
    with pytest.raises(ValueError, match=r"429|times"):
        Fault.parse(text)
