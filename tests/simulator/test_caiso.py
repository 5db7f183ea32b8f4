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

from aurum_etl.simulator import FAULTS, Fault, Simulator
from tests.frames import LMP_HEADER

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


@pytest.mark.parametrize("kind", [*(each for each in FAULTS if each != "error:CODE"), "error:1003"])
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
