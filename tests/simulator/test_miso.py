"""The simulated MISO: its files and its Data Exchange."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.simulator import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 7, 14, 16, 33, tzinfo=UTC)
"""A Tuesday, 11:33 by MISO's clock: tomorrow's prices are not out."""
PRICING, LOAD = "simulated-miso-pricing-key", "simulated-miso-load-key"
DAY_AHEAD, LATER = "2026-07-14", "2026-07-10"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def miso() -> Iterator[Simulator]:
    """A simulator whose clock stands, for the rules move with the day."""
    with Simulator(nodes=90, now=lambda: NOW) as simulator:
        yield simulator


def file(simulator: Simulator, name: str) -> httpx.Response:
    return httpx.get(f"{simulator.bases['MISO']}/{name}", timeout=60)


def table(text: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows, found as clients find them: below four lines."""
    header, *rows = csv.reader(io.StringIO("".join(text.splitlines(keepends=True)[4:])))
    return header, rows


def cells(simulator: Simulator, name: str) -> dict[tuple[str, str], list[str]]:
    return {(row[0], row[2]): row[3:] for row in table(file(simulator, name).text)[1]}


def get(simulator: Simulator, path: str, key: str | None = None, **query: str) -> httpx.Response:
    key = (PRICING if path.startswith("pricing") else LOAD) if key is None else key
    headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
    return httpx.get(f"{simulator.bases['MISO_API']}/{path}", params=query, headers=headers, timeout=60)


def rows(simulator: Simulator, path: str, **query: str) -> Rows:
    """All pages."""
    found: Rows = []
    for number in range(1, 100):
        response = get(simulator, path, pageNumber=str(number), **query)
        assert response.status_code == 200, response.text
        body = response.json()
        assert list(body) == ["data", "page"]
        assert list(body["page"]) == ["pageNumber", "pageSize", "totalElements", "totalPages", "lastPage"]
        found += body["data"]
        if body["page"]["lastPage"]:
            assert (body["page"]["totalPages"], body["page"]["totalElements"]) == (number, len(found))
            return found
        assert len(body["data"]) == body["page"]["pageSize"]
    raise AssertionError("there is no last page")


def cents(text: str) -> int | None:
    return round(float(text) * 100) if text else None


@pytest.mark.parametrize(
    ("name", "title", "day"),
    [
        ("20260714_da_expost_lmp.csv", "Day Ahead Market ExPost LMPs", "07/14/2026"),
        ("20260714_da_exante_lmp.csv", "Day Ahead Market ExAnte LMPs", "07/14/2026"),
        ("20260713_rt_lmp_prelim.csv", "Realtime Market LMPs", "07/13/2026"),
        ("20260710_rt_lmp_final.csv", "Realtime Market LMPs", "07/10/2026"),
        # Change days of other clocks.
        ("20260308_da_expost_lmp.csv", "Day Ahead Market ExPost LMPs", "03/08/2026"),
        ("20251102_rt_lmp_final.csv", "Realtime Market LMPs", "11/02/2025"),
    ],
)
def test_prices_have_always_24_hours_across(miso: Simulator, name: str, title: str, day: str) -> None:
    response = file(miso, name)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    lines = response.text.splitlines()
    assert lines[:4] == [title, day, "", ",,,All Hours-Ending are Eastern Standard Time (EST)"]
    header, found = table(response.text)
    assert header == ["Node", "Type", "Value", *(f"HE {hour}" for hour in range(1, 25))]
    assert {len(row) for row in found} == {27}
    assert {row[1] for row in found} == {"Interface", "Loadzone", "Hub", "Gennode"}
    values = [row[2] for row in found]
    size = len(values) // 3
    assert values == ["LMP"] * size + ["MCC"] * size + ["MLC"] * size
    nodes = [row[0] for row in found]
    assert nodes[:size] == nodes[size : 2 * size] == nodes[2 * size :] == sorted(set(nodes))
    assert {"ILLINOIS.HUB", "MINN.HUB"} <= set(nodes)


def test_numbers_have_no_needless_zeros(miso: Simulator) -> None:
    found = [cell for each in cells(miso, "20260714_da_expost_lmp.csv").values() for cell in each]
    assert all(re.fullmatch(r"0|-?([1-9]\d*)?(\.\d?[1-9])?", each) for each in found)
    assert any(each.startswith(".") for each in found)
    assert any(each.startswith("-.") for each in found)
    assert any("." not in each for each in found)


@pytest.mark.parametrize("name", ["20260714_da_expost_lmp.csv", "20260710_rt_lmp_final.csv"])
def test_what_the_components_leave_is_the_same_everywhere_but_for_cents(miso: Simulator, name: str) -> None:
    found = cells(miso, name)
    differences = set()
    for hour in range(24):
        left = set()
        for node in {node for node, _ in found}:
            lmp, mcc, mlc = (cents(found[node, value][hour]) for value in ("LMP", "MCC", "MLC"))
            if lmp is not None and mcc is not None and mlc is not None:
                left.add(lmp - mcc - mlc)
        differences.add(max(left) - min(left))
    assert differences <= {0, 1, 2}
    assert differences != {0}


def test_there_are_prices_below_zero_and_of_zero(miso: Simulator) -> None:
    found = {cell for each in cells(miso, "20260420_da_expost_lmp.csv").values() for cell in each}
    assert "0" in found
    assert any(cell.startswith("-") for cell in found)


def test_a_few_real_time_prices_are_missing_wherever_they_are_asked_for(miso: Simulator) -> None:
    for day in (date(2026, 6, 1) + timedelta(number) for number in range(30)):
        found = cells(miso, f"{day:%Y%m%d}_rt_lmp_final.csv")
        holes = [(node, hour) for (node, value), each in found.items() for hour in range(24) if each[hour] == ""]
        if holes:
            break
    node, hour = holes[0]
    assert [found[node, value][hour] for value in ("LMP", "MCC", "MLC")] == ["", "", ""]
    path = f"pricing/v1/real-time/{day}/lmp-expost"
    (row,) = rows(miso, path, node=node, interval=str(hour + 1), preliminaryFinal="Final")
    assert [row[name] for name in ("lmp", "mcc", "mec", "mlc")] == [None] * 4


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("20260715_da_expost_lmp.csv", False),
        ("20260714_rt_lmp_prelim.csv", False),
        ("20260711_rt_lmp_prelim.csv", True),
        ("20260710_rt_lmp_prelim.csv", True),
        ("20260709_rt_lmp_prelim.csv", False),
        ("20260711_rt_lmp_final.csv", False),
        ("20260710_rt_lmp_final.csv", True),
        ("20260709_asm_rtmcp_prelim.csv", False),
        ("20260711_asm_rtmcp_final.csv", False),
        ("20230101_da_expost_lmp.csv", True),
        ("20221231_da_expost_lmp.csv", False),
        ("20260230_da_expost_lmp.csv", False),
        ("20260714_da_lmp.csv", False),
        ("20260713_5MIN_LMP.zip", True),
        ("20260714_5MIN_LMP.zip", False),
        ("20260720_5MIN_LMP.zip", False),
    ],
)
def test_a_file_that_is_not_there_is_no_blob(miso: Simulator, name: str, there: bool) -> None:
    response = file(miso, name)
    assert response.status_code == (200 if there else 404)
    assert ("<Code>BlobNotFound</Code>" in response.text) == (not there)


def test_day_ahead_files_come_in_the_afternoon() -> None:
    for minute, status in ((29, 404), (30, 200)):
        with Simulator(nodes=9, now=lambda minute=minute: NOW.replace(hour=18, minute=minute)) as simulator:  # type: ignore[misc]
            assert file(simulator, "20260715_da_expost_lmp.csv").status_code == status
            assert get(simulator, "pricing/v1/day-ahead/2026-07-15/lmp-expost").status_code == 404


def test_nodes_come_and_go_when_lists_change(miso: Simulator) -> None:
    before, after = ({node for node, _ in cells(miso, f"{day}_da_expost_lmp.csv")} for day in ("20241130", "20241201"))
    assert before - after
    assert after - before
    assert after == {row["node"] for row in rows(miso, "pricing/v1/aggregated-pnode", date="2024-12-01")}


def test_preliminary_prices_are_not_quite_the_final_ones(miso: Simulator) -> None:
    preliminary, final = (cells(miso, f"20260710_rt_lmp_{which}.csv") for which in ("prelim", "final"))
    assert preliminary.keys() == final.keys()
    others = sum(preliminary[key] != final[key] for key in final)
    assert 0 < others < len(final)


def test_ex_ante_prices_are_not_quite_those_ex_post(miso: Simulator) -> None:
    before, after = (cells(miso, f"20260714_da_{which}_lmp.csv") for which in ("exante", "expost"))
    pairs = [pair for key in after for pair in zip(before[key], after[key], strict=True)]
    assert 0 < sum(one != other for one, other in pairs) < len(pairs)


def test_the_week_s_zip(miso: Simulator) -> None:
    with zipfile.ZipFile(io.BytesIO(file(miso, "20260713_5MIN_LMP.zip").content)) as archive:
        assert archive.namelist() == ["20260713_5MIN_LMP.csv"]
        lines = archive.read("20260713_5MIN_LMP.csv").decode().splitlines()
    assert lines[4] == "MKTHOUR_EST,PNODENAME,LMP,CON_LMP,LOSS_LMP"
    found = [line.split(",") for line in lines[5:-1]]
    assert {len(row) for row in found} == {5}
    stamps = sorted({datetime.strptime(row[0], "%m/%d/%Y %H:%M") for row in found})  # noqa: DTZ007
    # The file of Monday the 13th has the week from Monday, June 29.
    first = datetime.fromisoformat("2026-06-29")
    assert stamps == [first + timedelta(minutes=5 * number) for number in range(7 * 288)]
    wanted = {(row[1], row[0]): row[2:] for row in found if row[1] == "ILLINOIS.HUB"}
    query = {"node": "ILLINOIS.HUB", "timeResolution": "5min", "preliminaryFinal": "Final"}
    for row in rows(miso, "pricing/v1/real-time/2026-06-30/lmp-expost", **query):
        stamp = datetime.strptime(row["timeInterval"]["start"], "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007
        assert [float(cell) for cell in wanted["ILLINOIS.HUB", f"{stamp:%m/%d/%Y %H:%M}"]] == [
            row["lmp"],
            row["mcc"],
            row["mlc"],
        ]


@pytest.mark.parametrize(
    ("name", "title", "whole"),
    [
        ("20260714_asm_expost_damcp.csv", "Dayahead Market MCPs.", "MISO Wide"),
        ("20260714_asm_exante_damcp.csv", "Dayahead Market MCPs.", "MISO Wide"),
        ("20260713_asm_rtmcp_prelim.csv", "Real Time Market MCPs.,Not settlement quality data.", "Miso-Wide"),
        ("20260308_asm_rtmcp_final.csv", "Real Time Market MCPs.,Not settlement quality data.", "Miso-Wide"),
    ],
)
def test_prices_of_reserves(miso: Simulator, name: str, title: str, whole: str) -> None:
    text = file(miso, name).text
    day = f"{name[4:6]}/{name[6:8]}/{name[:4]}"
    assert text.splitlines()[:4] == [title, "", f"{day},,All Hours-Ending are Eastern Standard Time (EST)", ""]
    header, found = table(text)
    assert header == ["", "", "MCP Type", *(f" HE {hour}" for hour in range(1, 25))]
    assert {len(row) for row in found} == {27}
    assert [row[:3] for row in found[:7]] == [
        [whole, "-", kind]
        for kind in ("DEMREGMCP", "DEMSPINMCP", "DEMSUPPMCP", "GENREGMCP", "GENSPINMCP", "GENSUPPMCP", "SERREGMCP")
    ]
    resources = found[7:]
    assert {row[1] for row in resources} == {f"Zone {number}" for number in range(1, 9)}
    assert {row[2] for row in resources} == {row[2] for row in found[:6]}


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("20260714_asm_expost_damcp.csv", "day-ahead/2026-07-14/asm-expost", {}),
        ("20260714_asm_exante_damcp.csv", "day-ahead/2026-07-14/asm-exante", {}),
        ("20260710_asm_rtmcp_prelim.csv", "real-time/2026-07-10/asm-expost", {"preliminaryFinal": "Preliminary"}),
        ("20260710_asm_rtmcp_final.csv", "real-time/2026-07-10/asm-expost", {"preliminaryFinal": "Final"}),
    ],
)
def test_a_zone_s_price_is_its_resources_price(miso: Simulator, name: str, path: str, query: dict[str, str]) -> None:
    kinds = {"REG": "Regulation", "SPIN": "Spin", "SUPP": "Supplemental"}
    zonal = {
        (row["zone"], row["product"], int(row["timeInterval"]["value"])): row["mcp"]
        for row in rows(miso, f"pricing/v1/{path}", **query)
    }
    found = table(file(miso, name).text)[1][7:]
    for row in found:
        product = kinds[row[2].removeprefix("GEN").removeprefix("DEM").removesuffix("MCP")]
        assert [float(cell) for cell in row[3:]] == [zonal[row[1], product, hour] for hour in range(1, 25)]


TIME = ["resolution", "start", "end", "value"]
ONCE = ["interval", "timeInterval"]
LMP = ["node", "lmp", "mcc", "mec", "mlc"]
MCP = ["product", "zone", "mcp"]
FUELS = ["timeInterval", "region", "fuelTypes", "totalMw", "interval"]
FINAL, FIVE_MINUTES = {"preliminaryFinal": "Final"}, {"timeResolution": "5min"}
BY_DAY_AND_ZONE = {"geoResolution": "localResourceZone", "timeResolution": "daily"}
FORECAST = ["timeInterval", "region", "localResourceZone", "loadForecast", "init"]


@pytest.mark.parametrize(
    ("path", "query", "names", "places", "minutes"),
    [
        ("pricing/v1/day-ahead/2026-07-14/lmp-exante", {}, [*ONCE, *LMP], 88, 60),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {}, [*ONCE, *LMP], 88, 60),
        ("pricing/v1/real-time/2026-07-13/lmp-exante", {}, [*ONCE, *LMP], 88, 5),
        ("pricing/v1/real-time/2026-07-10/lmp-expost", FINAL, ["timeInterval", "preliminaryFinal", *LMP], 88, 60),
        (
            "pricing/v1/real-time/2026-07-10/lmp-expost",
            FINAL | FIVE_MINUTES,
            ["timeInterval", "preliminaryFinal", *LMP],
            88,
            5,
        ),
        ("pricing/v1/day-ahead/2026-07-14/asm-expost", {}, [*ONCE, *MCP], 48, 60),
        ("pricing/v1/real-time/2026-07-13/asm-exante", {}, [*ONCE, *MCP], 48, 5),
        (
            "pricing/v1/real-time/2026-07-10/asm-expost",
            FINAL | FIVE_MINUTES,
            ["preliminaryFinal", *MCP, "timeInterval"],
            48,
            5,
        ),
        ("pricing/v1/real-time/2026-07-10/asm-summary", FINAL, ["preliminaryFinal", *MCP, "timeInterval"], 5, 60),
        ("lgi/v1/real-time/2026-07-13/demand/actual", {}, ["timeInterval", "region", "load"], 3, 60),
        (
            "lgi/v1/real-time/2026-07-13/demand/actual",
            BY_DAY_AND_ZONE,
            ["timeInterval", "localResourceZone", "load"],
            10,
            1440,
        ),
        ("lgi/v1/real-time/2026-07-13/demand/load-state-estimator", {}, ["timeInterval", "zone", "demand"], 10, 60),
        ("lgi/v1/forecast/2026-07-14/load", {"init": "2026-07-13"}, FORECAST, 10, 60),
        ("lgi/v1/day-ahead/2026-07-14/generation/fuel-type", {}, FUELS, 3, 60),
        ("lgi/v1/real-time/2026-03-08/generation/fuel-type", {}, FUELS, 3, 60),
        ("lgi/v1/real-time/2025-11-02/demand/actual", {}, ["timeInterval", "region", "load"], 3, 60),
    ],
)
def test_rows_of_the_data_exchange(
    miso: Simulator, path: str, query: dict[str, str], names: list[str], places: int, minutes: int
) -> None:
    found = rows(miso, path, **query)
    step = timedelta(minutes=minutes)
    assert len(found) == places * (timedelta(days=1) // step)
    assert {tuple(row) for row in found} == {tuple(names)}
    assert {tuple(row["timeInterval"]) for row in found} == {tuple(TIME)}
    assert {row["timeInterval"]["resolution"] for row in found} == {{60: "hourly", 5: "5min", 1440: "daily"}[minutes]}
    form = "%Y-%m-%d %H:%M:%S.000"
    first = datetime.fromisoformat(path.split("/")[3])
    starts = [first + number * step for number in range(timedelta(days=1) // step)]
    spans = dict.fromkeys((row["timeInterval"]["start"], row["timeInterval"]["end"]) for row in found)
    assert list(spans) == [(f"{start:{form}}", f"{start + step:{form}}") for start in starts]
    labels = [f"{start:%H:%M}" if minutes == 5 else str(start.hour + 1) for start in starts]
    if "interval" in names:
        assert list(dict.fromkeys(row["interval"] for row in found)) == labels


def test_the_medium_term_forecast_has_labels_alone(miso: Simulator) -> None:
    found = rows(miso, "lgi/v1/real-time/2026-07-13/demand/forecast")
    assert [tuple(row) for row in found] == [("interval", "demand")] * 24
    assert [row["interval"] for row in found] == [str(hour) for hour in range(1, 25)]


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("20260714_da_expost_lmp.csv", "day-ahead/2026-07-14/lmp-expost", {}),
        ("20260714_da_exante_lmp.csv", "day-ahead/2026-07-14/lmp-exante", {}),
        ("20260710_rt_lmp_prelim.csv", "real-time/2026-07-10/lmp-expost", {"preliminaryFinal": "Preliminary"}),
        ("20260710_rt_lmp_final.csv", "real-time/2026-07-10/lmp-expost", {"preliminaryFinal": "Final"}),
    ],
)
def test_the_data_exchange_has_the_prices_of_the_files(
    miso: Simulator, name: str, path: str, query: dict[str, str]
) -> None:
    listed = rows(miso, f"pricing/v1/{path}", **query)
    found = {
        (row["node"], value, int(row["timeInterval"]["value"])): row[value.lower()]
        for row in listed
        for value in ("LMP", "MCC", "MLC")
    }
    expected = {
        (*key, hour): float(cell) if cell else None
        for key, each in cells(miso, name).items()
        for hour, cell in enumerate(each, 1)
    }
    assert found == expected
    sums = {
        round(row["lmp"] * 100) - sum(round(row[part] * 100) for part in ("mcc", "mec", "mlc"))
        for row in listed
        if row["lmp"] is not None
    }
    assert {0} < sums <= {-2, -1, 0, 1, 2}
    assert len({(row["mec"], row["timeInterval"]["value"]) for row in listed if row["mec"] is not None}) == 24


def test_hours_are_the_means_of_their_five_minutes(miso: Simulator) -> None:
    path, query = f"pricing/v1/real-time/{LATER}/lmp-expost", {"node": "MINN.HUB", "preliminaryFinal": "Final"}
    parts = [row["lmp"] for row in rows(miso, path, timeResolution="5min", **query)]
    hours = [row["lmp"] for row in rows(miso, path, **query)]
    means = [sum(parts[12 * hour : 12 * hour + 12]) / 12 for hour in range(24)]
    assert hours == pytest.approx(means, abs=0.011)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"interval": "9"}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"node": "TEXAS.HUB"}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"node": "TEXAS.HUB", "interval": "24"}),
        ("pricing/v1/real-time/2026-07-13/lmp-exante", {"interval": "08:15"}),
        ("pricing/v1/day-ahead/2026-07-14/asm-expost", {"product": "Ramp-up", "zone": "Zone 3"}),
        ("lgi/v1/forecast/2026-07-14/load", {"localResourceZone": "Z9"}),
        ("lgi/v1/forecast/2026-07-14/load", {"region": "SOUTH"}),
        ("lgi/v1/real-time/2026-07-13/demand/actual", {"region": "NORTH", "interval": "3"}),
    ],
)
def test_what_is_asked_for_is_a_part_of_the_whole(miso: Simulator, path: str, query: dict[str, str]) -> None:
    whole = rows(miso, path)
    part = [row for row in whole if all(row.get(name, row["timeInterval"]["value"]) == query[name] for name in query)]
    assert 0 < len(part) < len(whole)
    assert rows(miso, path, **query) == part


def test_both_stages_come_where_none_is_asked_for(miso: Simulator) -> None:
    path = f"pricing/v1/real-time/{LATER}/lmp-expost"
    one, two = (rows(miso, path, preliminaryFinal=stage) for stage in ("Preliminary", "Final"))
    assert rows(miso, path) == one + two
    assert get(miso, "pricing/v1/real-time/2026-07-11/lmp-expost", preliminaryFinal="Final").status_code == 404
    assert {row["preliminaryFinal"] for row in rows(miso, "pricing/v1/real-time/2026-07-11/lmp-expost")} == {
        "Preliminary"
    }


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("pricing/v1/day-ahead/2026-07-15/lmp-expost", {}),
        ("pricing/v1/real-time/2026-07-14/lmp-exante", {}),
        ("pricing/v1/real-time/2026-07-14/asm-expost", {}),
        ("pricing/v1/day-ahead/2015-12-31/lmp-expost", {}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"interval": "01"}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"node": "NO.HUB"}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"pageNumber": "4"}),
        ("pricing/v1/day-ahead/2026-07-14/asm-expost", {"product": "SER"}),
        ("lgi/v1/real-time/2026-07-14/demand/actual", {}),
        ("lgi/v1/real-time/2026-07-13/demand/actual", {"region": "NO_REGION"}),
        ("lgi/v1/real-time/2026-07-13/generation/fuel-type", {"region": "MISO"}),
        ("lgi/v1/forecast/2026-07-14/load", {"init": "2026-07-14"}),
        ("lgi/v1/forecast/2026-07-21/load", {}),
    ],
)
def test_no_data_is_a_404_that_says_so(miso: Simulator, path: str, query: dict[str, str]) -> None:
    response = get(miso, path, **query)
    assert response.status_code == 404
    assert response.json() == {"status": 404, "reason": "Empty data returned for date"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("pricing/v1/day-ahead/20260714/lmp-expost", {}),
        ("pricing/v1/day-ahead/2026-02-30/lmp-expost", {}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"pageNumber": "0"}),
        ("pricing/v1/day-ahead/2026-07-14/lmp-expost", {"pageNumber": "one"}),
        ("pricing/v1/real-time/2026-07-10/lmp-expost", {"preliminaryFinal": "final"}),
        ("pricing/v1/real-time/2026-07-10/lmp-expost", {"timeResolution": "5 minutes"}),
        ("pricing/v1/aggregated-pnode", {"date": "today"}),
        ("lgi/v1/forecast/2026-07-14/load", {"init": "yesterday"}),
        ("lgi/v1/real-time/2026-07-13/demand/actual", {"geoResolution": "state"}),
        ("lgi/v1/real-time/2026-07-13/demand/actual", {"region": "WEST"}),
    ],
)
def test_bad_arguments_are_refused(miso: Simulator, path: str, query: dict[str, str]) -> None:
    response = get(miso, path, **query)
    assert (response.status_code, response.json()["status"]) == (400, 400)


def test_each_product_has_its_own_key(miso: Simulator) -> None:
    assert {name: key for name, key in miso.env.items() if name.startswith("MISO_API")} == {
        "MISO_API_PRICING_SUBSCRIPTION_KEY": PRICING,
        "MISO_API_LOAD_GENERATION_AND_INTERCHANGE_SUBSCRIPTION_KEY": LOAD,
    }
    paths = {f"pricing/v1/day-ahead/{DAY_AHEAD}/asm-expost": PRICING, f"lgi/v1/forecast/{DAY_AHEAD}/load": LOAD}
    for path, right in paths.items():
        for key in (PRICING, LOAD, "", "wrong"):
            response = get(miso, path, key=key)
            assert response.status_code == (200 if key == right else 401)
            if key != right:
                body = response.json()
                assert (list(body), body["statusCode"]) == (["statusCode", "message"], 401)
                words = "missing subscription key" if key == "" else "invalid subscription key"
                assert body["message"].startswith(f"Access denied due to {words}")
        assert get(miso, path, key="", **{"subscription-key": right}).status_code == 200


@pytest.mark.parametrize("path", ["nope", "pricing/v1/nope", "lgi/v1/day-ahead/2026-07-14/lmp-expost", "pricing/v2/x"])
def test_what_is_no_address_is_not_found(miso: Simulator, path: str) -> None:
    assert get(miso, path).status_code == 404


def test_types_of_nodes_are_plural(miso: Simulator) -> None:
    words = {row["node"]: row["nodeType"] for row in rows(miso, "pricing/v1/aggregated-pnode")}
    listed = table(file(miso, "20260714_da_expost_lmp.csv").text)[1]
    assert words == {row[0]: f"{row[1]}s" for row in listed}


def test_zones_sum_up_to_regions_and_hours_to_days(miso: Simulator) -> None:
    path = "lgi/v1/real-time/2026-07-13/demand/actual"
    zones = rows(miso, path, geoResolution="localResourceZone")
    regions, whole = rows(miso, path), rows(miso, path, region="MISO")
    assert {row["region"] for row in whole} == {"MISO"}
    totals = [[row["load"] for row in each if row["timeInterval"]["value"] == "7"] for each in (zones, regions, whole)]
    assert [len(each) for each in totals] == [10, 3, 1]
    assert sum(totals[0]) == pytest.approx(totals[2][0]) == pytest.approx(sum(totals[1]))
    (day,) = rows(miso, path, region="SOUTH", timeResolution="daily")
    assert day["load"] == pytest.approx(sum(row["load"] for row in regions if row["region"] == "SOUTH"))


def test_each_forecast_is_another_and_the_newest_comes_unasked(miso: Simulator) -> None:
    path = f"lgi/v1/forecast/{DAY_AHEAD}/load"
    made = {init: rows(miso, path, init=init) for init in ("2026-07-08", "2026-07-12", "2026-07-13")}
    assert all({row["init"] for row in each} == {init} for init, each in made.items())
    assert len({tuple(row["loadForecast"] for row in each) for each in made.values()}) == 3
    assert rows(miso, path) == made["2026-07-13"]
    assert get(miso, path, init="2026-07-07").status_code == 404


def test_fuels_sum_up_but_for_rounding(miso: Simulator) -> None:
    found = rows(miso, "lgi/v1/real-time/2026-07-13/generation/fuel-type")
    assert {tuple(row["fuelTypes"]) for row in found} == {
        ("coal", "gas", "nuclear", "water", "wind", "solar", "other", "storage")
    }
    assert {row["region"] for row in found} == {"NORTH", "CENTRAL", "SOUTH"}
    differences = {round(row["totalMw"] - sum(row["fuelTypes"].values()), 2) for row in found}
    assert 0 in differences
    assert 0 < max(abs(each) for each in differences) <= 0.04
    assert any(row["fuelTypes"]["storage"] < 0 for row in found)
    assert any(row["fuelTypes"]["solar"] < 0 for row in found)


def test_who_asks_too_fast_gets_429_without_a_time_to_wait() -> None:
    with Simulator(nodes=9, rate_limit_seconds=5, now=lambda: NOW) as limited:
        assert get(limited, "pricing/v1/aggregated-pnode").status_code == 200
        refused = get(limited, "pricing/v1/aggregated-pnode")
        assert (refused.status_code, refused.json()["statusCode"]) == (429, 429)
        assert "retry-after" not in refused.headers


ASKED = [
    "marketreports/20260714_da_expost_lmp.csv",
    "marketreports/20260710_rt_lmp_final.csv",
    "marketreports/20260713_asm_rtmcp_prelim.csv",
    "marketreports/20260713_5MIN_LMP.zip",
    "apim/pricing/v1/day-ahead/2026-07-14/lmp-expost",
    "apim/pricing/v1/real-time/2026-07-13/asm-exante",
    "apim/lgi/v1/real-time/2026-07-13/demand/actual",
    "apim/lgi/v1/real-time/2026-07-13/demand/forecast",
    "apim/lgi/v1/forecast/2026-07-14/load",
    "apim/lgi/v1/day-ahead/2026-07-14/generation/fuel-type",
    "public/FuelMix/Today",
    "public/RealTimeTotalLoad",
    "public/MarketPricing/GetLmpConsolidatedTable",
    "public/MarketPricing/GetExAnteLmp",
    "public/MarketPricing/GetAncillaryServicesMcp",
    "public/MarketPricing/GetRealTimeFiveMinExPost/Rolling",
    "public/WindSolar/GetCombined",
    "public/WindSolar/getsolarforecast",
]


CONTENT = ("wrong_header", "text_in_number", "off_grid", "duplicate_rows", "missing_hour", "unknown_word")
OTHERS = [
    *(each for each in AT_ONCE if each not in (*CONTENT, "slow")),
    "error:400",
    "error:404",
    "error:500",
]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *((kind, path) for kind in CONTENT for path in ASKED),
        *((kind, path) for kind in OTHERS for path in (ASKED[0], ASKED[3], ASKED[8], ASKED[10])),
    ],
)
def test_every_fault_makes_a_difference_once(miso: Simulator, kind: str, path: str) -> None:
    key = PRICING if "pricing" in path else LOAD

    def ask() -> tuple[int, bytes] | str:
        address = f"{miso.bases['MISO'].removesuffix('/marketreports')}/{path}"
        try:
            response = httpx.get(address, headers={"Ocp-Apim-Subscription-Key": key}, timeout=60)
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code, response.content

    good = ask()
    assert good[0] == 200
    miso.inject(Fault(kind))
    bad = ask()
    assert bad != good
    if kind.startswith("error:"):
        assert bad[0] == int(kind[6:])
    assert ask() == good


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("wrong_header", "Node,Type,Value_new,HE 1,"),
        ("off_grid", "Value,HE 1:07,HE 2,"),
        ("missing_hour", "Value,HE 2,HE 3,"),
        ("unknown_word", ",XYZ,"),
        ("text_in_number", ",n/a\n"),
    ],
)
def test_faults_of_content_are_in_the_file(miso: Simulator, kind: str, expected: str) -> None:
    name = "20260714_da_expost_lmp.csv"
    assert expected not in file(miso, name).text
    miso.inject(Fault(kind))
    text = file(miso, name).text
    assert expected in text
    header, found = table(text)
    assert {len(row) for row in found} == {len(header)}


@pytest.mark.parametrize("path", [f"pricing/v1/day-ahead/{DAY_AHEAD}/lmp-expost", f"lgi/v1/forecast/{DAY_AHEAD}/load"])
@pytest.mark.parametrize(
    ("kind", "more"),
    [("wrong_header", 0), ("text_in_number", 0), ("off_grid", 0), ("duplicate_rows", 3), ("unknown_word", 1)],
)
def test_faults_of_content_are_in_the_rows(miso: Simulator, path: str, kind: str, more: int) -> None:
    good = get(miso, path).json()["data"]
    miso.inject(Fault(kind))
    bad = get(miso, path).json()["data"]
    starts = [{row["timeInterval"]["start"] for row in each} for each in (good, bad)]
    assert len(bad) == len(good) + more
    assert (starts[0] == starts[1]) == (kind != "off_grid")
    assert (list(bad[0]) == list(good[0])) == (kind != "wrong_header")
    assert ("n/a" in bad[0].values()) == (kind == "text_in_number")
    assert any("XYZ" in row.values() for row in bad) == (kind == "unknown_word")
    miso.inject(Fault("missing_hour"))
    rest = get(miso, path).json()["data"]
    assert min(starts[0]) not in {row["timeInterval"]["start"] for row in rest}
