"""The simulated SPP: its folders, what is in them when, and locational prices."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from aurum_etl.simulator import FAULTS, Fault, Simulator
from tests.simulator import OF_ANSWERS
from tests.simulator.spp import NOW, SPRING, ends, file, gmt, listing, spp, table

__all__ = ["spp"]

DAY_AHEAD, REAL_TIME = "da-lmp-by-settlement-location", "rtbm-lmp-by-location"
BEFORE = "Interval,GMTIntervalEnd,Settlement Location,Pnode,LMP,MLC,MCC,MEC"
COMPONENTS = ("MEC", "MCC", "MLC")
Row = dict[str, str]


def units(row: Row, name: str) -> int:
    whole, _, rest = row[name].partition(".")
    assert len(rest) == 4
    return int(whole + rest)


@pytest.mark.parametrize(
    ("system", "path", "header", "minutes"),
    [
        (DAY_AHEAD, "/2025/03/By_Day/DA-LMP-SL-202503190100.csv", BEFORE, 60),
        ("da-lmp-by-location", "/2026/03/By_Day/DA-LMP-SL-202603310100.csv", BEFORE, 60),
        (DAY_AHEAD, "/2026/03/By_Day/DA-LMP-SL-202603080100.csv", BEFORE, 60),
        (DAY_AHEAD, "/2025/11/By_Day/DA-LMP-SL-202511020100.csv", BEFORE, 60),
        (
            DAY_AHEAD,
            "/2026/04/By_Day/DA-LMP-SL-202604010100.csv",
            "Interval,GMTIntervalEnd,BAA,Settlement Location,Pnode,LMP,MLC,MCC,MEC",
            60,
        ),
        (
            REAL_TIME,
            "/2026/03/By_Day/RTBM-LMP-DAILY-SL-20260308.csv",
            "Interval,GMT Interval,Settlement Location Name,PNODE Name,LMP,MLC,MCC,MEC",
            5,
        ),
        (
            REAL_TIME,
            "/2026/06/By_Day/RTBM-LMP-DAILY-SL-20260601.csv",
            "Interval,GMT Interval,Settlement Location Name,PNODE Name,LMP,MLC,MCC,MEC,BAA",
            5,
        ),
        (
            "da-lmp-by-bus",
            "/2025/11/By_Day/DA-LMP-B-202511020100.csv",
            "Interval,GMTIntervalEnd,Pnode,LMP,MLC,MCC,MEC",
            60,
        ),
    ],
)
def test_a_day_is_tiled_and_adds_up(spp: Simulator, system: str, path: str, header: str, minutes: int) -> None:
    response = file(spp, system, path)
    lines = response.content.split(b"\n")
    assert (lines[0].decode(), lines[-1]) == (header, b"")
    assert b"\r" not in response.content
    day = datetime.strptime(path.rpartition("-")[2][:8], "%Y%m%d").replace(tzinfo=UTC).date()
    rows = table(response)
    place = next(name for name in ("Settlement Location", "Settlement Location Name", "Pnode") if name in rows[0])
    count = len({row[place] for row in rows})
    assert Counter(map(gmt, rows)) == dict.fromkeys(ends(day, minutes), count)
    assert [gmt(row) for row in rows[::count]] == ends(day, minutes)
    assert [row[place] for row in rows[:count]] == sorted({row[place] for row in rows})
    assert all(units(row, "LMP") == sum(units(row, name) for name in COMPONENTS) for row in rows)


def test_one_interval_says_what_its_day_says(spp: Simulator) -> None:
    whole = table(file(spp, REAL_TIME, "/2026/06/By_Day/RTBM-LMP-DAILY-SL-20260602.csv"))
    for stamp in ("202606020005", "202606021205", "202606030000"):
        response = file(spp, REAL_TIME, f"/2026/06/By_Interval/02/RTBM-LMP-SL-{stamp}.csv")
        rows = [list(row.values()) for row in table(response)]
        assert response.text.startswith(f"{BEFORE},BAA\n")
        assert rows == [list(row.values()) for row in whole if row["Interval"] == rows[0][0]]


def test_a_bus_has_the_price_of_its_location(spp: Simulator) -> None:
    stamp = "/2026/03/By_Interval/31/RTBM-LMP-{}-202603311205.csv"
    prices = {row["Pnode"]: row["LMP"] for row in table(file(spp, "rtbm-lmp-by-bus", stamp.format("B")))}
    locations = table(file(spp, REAL_TIME, stamp.format("SL")))
    assert all(prices[row["Pnode"]] == row["LMP"] for row in locations)
    assert len(prices) > 5 * len(locations)
    assert len({row["Pnode"] for row in locations}) < len(locations)


def test_the_latest_interval(spp: Simulator) -> None:
    latest = file(spp, REAL_TIME, "/RTBM-LMP-SL-latestInterval.csv")
    assert latest.content == file(spp, REAL_TIME, "/2026/07/By_Interval/14/RTBM-LMP-SL-202607141130.csv").content
    assert latest.headers["last-modified"] == "Tue, 14 Jul 2026 16:30:00 GMT"


@pytest.mark.parametrize(
    ("day", "labels"),
    [
        ("20251102", ["01:00 06:00", "02:00 07:00", "02:00 08:00", "03:00 09:00"]),
        ("20260308", ["01:00 07:00", "03:00 08:00", "04:00 09:00", "05:00 10:00"]),
    ],
)
def test_labels_of_days_on_which_clocks_change(spp: Simulator, day: str, labels: list[str]) -> None:
    rows = table(file(spp, DAY_AHEAD, f"/{day[:4]}/{day[4:6]}/By_Day/DA-LMP-SL-{day}0100.csv"))
    found = list(dict.fromkeys((row["Interval"], row["GMTIntervalEnd"]) for row in rows))
    assert [f"{local[11:16]} {end[11:16]}" for local, end in found[:4]] == labels
    following = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) + timedelta(1)
    assert found[-1][0] == f"{following:%m/%d/%Y} 00:00:00"


def test_the_second_of_two_hours_has_a_d_in_names_of_files(spp: Simulator) -> None:
    names = listing(spp, REAL_TIME, "/2025/11/By_Interval/02")
    assert len(names) == 300
    stamps = {name.removeprefix("RTBM-LMP-SL-").removesuffix(".csv") for name in names}
    assert {each for each in stamps if each.endswith("d")} == {
        *(f"2025110201{minute:02d}d" for minute in range(5, 60, 5)),
        "202511020200d",
    }
    around = [name for name in names if "2025110200" < name[12:22] < "2025110203"]
    found = {gmt(table(file(spp, REAL_TIME, f"/2025/11/By_Interval/02/{name}"))[0]) for name in around}
    assert found == set(ends(date(2025, 11, 2), 5)[11:47])


def test_spring_has_no_files_of_the_hour_that_is_left_out(spp: Simulator) -> None:
    names = listing(spp, REAL_TIME, "/2026/03/By_Interval/08")
    assert len(names) == 276
    assert "RTBM-LMP-SL-202603080300.csv" in names
    assert not [name for name in names if name[20:22] == "02"]
    gone = file(spp, REAL_TIME, "/2026/03/By_Interval/08/RTBM-LMP-SL-202603080205.csv")
    assert (gone.status_code, gone.content) == (404, b"")


def test_the_folder_is_of_the_start_and_the_name_of_the_end(spp: Simulator) -> None:
    path = "/2026/06/By_Interval/30/RTBM-LMP-SL-202607010000.csv"
    assert {row["Interval"] for row in table(file(spp, REAL_TIME, path))} == {"07/01/2026 00:00:00"}
    assert file(spp, REAL_TIME, path.replace("06/By_Interval/30", "07/By_Interval/01")).status_code == 404


def test_the_west_joins_with_an_energy_price_of_its_own(spp: Simulator) -> None:
    before, after = (
        table(file(spp, DAY_AHEAD, f"/2026/{day[:2]}/By_Day/DA-LMP-SL-2026{day}0100.csv")) for day in ("0331", "0401")
    )
    assert not [row for row in before if row["Settlement Location"] == "SWPW_HUB"]
    assert {row["BAA"] for row in after} == {"SPP", "SWPW"}
    for hour in {row["Interval"] for row in after}:
        energy = {
            baa: {units(row, "MEC") for row in after if (row["Interval"], row["BAA"]) == (hour, baa)} - {0}
            for baa in ("SPP", "SWPW")
        }
        # It differs by one unit between rows of an interval.
        assert all(max(each, default=0) - min(each, default=0) <= 1 for each in energy.values())
        assert not energy["SPP"] & energy["SWPW"]


def test_there_are_prices_below_zero_and_of_zero_and_rows_of_zeros(spp: Simulator) -> None:
    rows = table(file(spp, REAL_TIME, "/2026/05/By_Day/RTBM-LMP-DAILY-SL-20260503.csv"))
    zeros = [row for row in rows if {row[name] for name in ("LMP", *COMPONENTS)} == {"0.0000"}]
    assert {row["BAA"] for row in zeros} == {"SPP", "SWPW"}
    assert min(units(row, "LMP") for row in rows) < -100_000
    assert not [row for row in rows if "-0.0000" in row.values()]
    assert max(units(row, "LMP") for row in rows) > 2_000_000


@pytest.mark.parametrize(
    ("day", "header", "stamps"),
    [
        ("20260601", "Interval,GMTIntervalEnd,BAA", ("6/1/2026 01:00,6/1/2026 06:00", "6/2/2026 00:00,6/2/2026 05:00")),
        ("20260604", "INTERVAL,GMTINTERVALEND,BAA", ("6/4/2026 1:00,6/4/2026 6:00", "6/5/2026 0:00,6/5/2026 5:00")),
    ],
)
def test_files_that_a_spreadsheet_has_saved(spp: Simulator, day: str, header: str, stamps: tuple[str, str]) -> None:
    lines = file(spp, DAY_AHEAD, f"/2026/06/By_Day/DA-LMP-SL-{day}0100.csv").text.splitlines()
    assert lines[0].startswith(header)
    assert ("SETTLEMENT_LOCATION,PNODE" in lines[0]) == (day == "20260604")
    assert (lines[1].startswith(stamps[0]), lines[-1].startswith(stamps[1])) == (True, True)
    cells = [cell for line in lines[1:] for cell in line.split(",")[5:]]
    assert not [cell for cell in cells if "." in cell and cell.endswith("0")]
    assert all(float(cell) == float(f"{float(cell):.4f}") for cell in cells)


@pytest.mark.parametrize(
    ("system", "path", "there"),
    [
        (DAY_AHEAD, "/2026/07/By_Day/DA-LMP-SL-202607140100.csv", True),
        (DAY_AHEAD, "/2026/07/By_Day/DA-LMP-SL-202607150100.csv", False),
        (DAY_AHEAD, "/2014/03/By_Day/DA-LMP-SL-201403010100.csv", True),
        (DAY_AHEAD, "/2014/02/By_Day/DA-LMP-SL-201402280100.csv", False),
        (DAY_AHEAD, "/2026/06/By_Day/DA-LMP-SL-202607140100.csv", False),
        (DAY_AHEAD, "/2026/02/By_Day/DA-LMP-SL-202602300100.csv", False),
        (REAL_TIME, "/2026/07/By_Interval/14/RTBM-LMP-SL-202607141130.csv", True),
        (REAL_TIME, "/2026/07/By_Interval/14/RTBM-LMP-SL-202607141135.csv", False),
        (REAL_TIME, "/2026/07/By_Interval/14/RTBM-LMP-SL-202607141107.csv", False),
        (REAL_TIME, "/2026/07/By_Interval/14/RTBM-LMP-SL-202607141105d.csv", False),
        (REAL_TIME, "/2026/07/By_Day/RTBM-LMP-DAILY-SL-20260709.csv", True),
        (REAL_TIME, "/2026/07/By_Day/RTBM-LMP-DAILY-SL-20260710.csv", False),
        ("hourly-load", "/2026/DAILY_HOURLY_LOAD-20260713.csv", True),
        ("hourly-load", "/2026/DAILY_HOURLY_LOAD-20260714.csv", False),
        ("hourly-load", "/2026/HOURLY_LOAD-202607.csv", False),
        ("mtlf-vs-actual", "/2026/07/14/OP-MTLF-202607141100.csv", True),
        ("mtlf-vs-actual", "/2026/07/14/OP-MTLF-202607141200.csv", False),
        ("stlf-vs-actual", "/2026/07/14/12/OP-STLF-202607141130.csv", True),
        ("stlf-vs-actual", "/2026/07/14/11/OP-STLF-202607141130.csv", False),
        ("stlf-vs-actual", "/2026/07/13/00/OP-STLF-202607132355.csv", True),
        ("generation-mix-historical", "/GenMix_2026.csv", False),
        ("generation-mix-historical", "/GenMix_9999.csv", False),
        ("hourly-load", "/9999/HOURLY_LOAD-999912.csv", False),
        ("hourly-load", "/9999/DAILY_HOURLY_LOAD-99991231.csv", False),
        (REAL_TIME, "/9999/12/By_Interval/31/RTBM-LMP-SL-999912312355.csv", False),
        (REAL_TIME, "/0001/01/By_Interval/01/RTBM-LMP-SL-000101010000.csv", False),
        (REAL_TIME, "", False),
        ("no-such-system", "/2026/07/By_Day/DA-LMP-SL-202607140100.csv", False),
    ],
)
def test_a_file_that_is_not_there_is_404_and_empty(spp: Simulator, system: str, path: str, there: bool) -> None:
    response = file(spp, system, path)
    assert response.status_code == (200 if there else 404)
    assert bool(response.content) == there


def test_day_ahead_files_come_in_the_afternoon() -> None:
    path = "/2026/07/By_Day/DA-LMP-SL-202607150100.csv"
    for minute, status in ((29, 404), (30, 200)):
        at = NOW.replace(hour=18, minute=minute)
        with Simulator(nodes=9, now=lambda at=at: at) as simulator:  # type: ignore[misc]
            assert file(simulator, DAY_AHEAD, path).status_code == status


@pytest.mark.parametrize(
    ("system", "folder", "some", "count"),
    [
        (REAL_TIME, "/", ("2014", "2026", "RTBM-LMP-SL-latestInterval.csv"), 14),
        (REAL_TIME, "/2014", ("03", "12"), 10),
        (REAL_TIME, "/2026", ("01", "07"), 7),
        (REAL_TIME, "/2026/07", ("By_Day", "By_Interval"), 2),
        (REAL_TIME, "/2026/07/By_Interval", ("01", "14"), 14),
        (REAL_TIME, "/2026/07/By_Interval/14", ("RTBM-LMP-SL-202607140005.csv", "RTBM-LMP-SL-202607141130.csv"), 138),
        (REAL_TIME, "/2026/07/By_Day", ("RTBM-LMP-DAILY-SL-20260701.csv", "RTBM-LMP-DAILY-SL-20260709.csv"), 9),
        (DAY_AHEAD, "/2026/07/By_Day", ("DA-LMP-SL-202607010100.csv", "DA-LMP-SL-202607140100.csv"), 14),
        ("da-mcp", "/2026/06", ("DA-MCP-202606010100.csv", "DA-MCP-202606300100.csv"), 30),
        ("mtlf-vs-actual", "/2025/11/02", ("OP-MTLF-202511020000.csv", "OP-MTLF-202511020200d.csv"), 25),
        ("mtlf-vs-actual", "/2026/07/01", ("OP-MTLF-202607010000.csv", "OP-MTLF-202607012300.csv"), 24),
        ("stlf-vs-actual", "/2026/07/04", ("00", "01", "23"), 24),
        ("stlf-vs-actual", "/2026/07/04/00", ("OP-STLF-202607042300.csv", "OP-STLF-202607042355.csv"), 12),
        ("stlf-vs-actual", "/2026/07/04/01", ("OP-STLF-202607040000.csv", "OP-STLF-202607040055.csv"), 12),
        ("hourly-load", "/2025", ("2025.zip", "HOURLY_LOAD-202512.csv", "DAILY_HOURLY_LOAD-20251231.csv"), 365 + 13),
        ("generation-mix-historical", "/", ("GenMix_2025.csv", "GenMixYTD.csv", "SPP", "SWPW"), 14),
        ("generation-mix-historical", "/SWPW", ("GenMix365_SWPW.csv", "GenMix2Hour_SWPW.csv"), 2),
    ],
)
def test_what_folders_hold(spp: Simulator, system: str, folder: str, some: tuple[str, ...], count: int) -> None:
    found = listing(spp, system, folder)
    assert set(some) <= set(found)
    assert len(found) == count
    for name, entry in found.items():
        assert entry["path"] == f"{folder.rstrip('/')}/{name}"
        assert (entry["type"] == "file") == ("." in name) == (entry["size"] > 0)
    name = max(found)
    if "." in name:
        response = file(spp, system, found[name]["path"])
        modified = datetime.strptime(response.headers["last-modified"], "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007
        assert found[name]["modified"] == f"{modified:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    "folder", ["", "/2013", "/2026/13", "/2026/08", "/2026/07/By_Year", "/x", "/9999/12", "/0001/01/01", "/0"]
)
def test_a_folder_that_is_not_there_is_empty(spp: Simulator, folder: str) -> None:
    assert listing(spp, REAL_TIME, folder) == {}


def test_lists_of_what_is_unknown_are_not_there(spp: Simulator) -> None:
    base = f"{spp.bases['SPP']}/file-browser-api"
    assert httpx.get(f"{base}/", params={"fsName": "no-such-system", "path": "/"}).status_code == 404
    assert httpx.get(f"{base}/other").status_code == 404
    assert httpx.post(f"{base}/", params={"fsName": REAL_TIME, "path": "/"}).status_code == 404


def test_the_same_seed_gives_the_same_prices_with_more_locations_too(spp: Simulator) -> None:
    path = "/2026/06/By_Interval/02/RTBM-LMP-SL-202606021205.csv"
    few = table(file(spp, REAL_TIME, path))
    with Simulator(nodes=400, now=lambda: NOW) as same, Simulator(nodes=90, seed=7, now=lambda: NOW) as other:
        many = {row["Settlement Location"]: row for row in table(file(same, REAL_TIME, path))}
        assert table(file(other, REAL_TIME, path)) != few
    assert len(many) == 400
    assert all(many[row["Settlement Location"]] == row for row in few)


def test_as_many_locations_as_spp_has() -> None:
    with Simulator(now=lambda: NOW) as simulator:
        for month, count in (("03", 1_234), ("04", 1_542)):
            path = f"/2026/{month}/By_Interval/02/RTBM-LMP-SL-2026{month}021205.csv"
            assert len(table(file(simulator, REAL_TIME, path))) == count


def faulty(simulator: Simulator, kind: str, path: str = "/2026/05/By_Day/DA-LMP-SL-202605050100.csv") -> httpx.Response:
    simulator.inject(Fault(kind, match={"path": path}))
    return file(simulator, DAY_AHEAD if "DA-LMP" in path else REAL_TIME, path)


def test_faults_of_content(spp: Simulator) -> None:
    right = file(spp, DAY_AHEAD, "/2026/05/By_Day/DA-LMP-SL-202605050100.csv").text.splitlines()
    assert faulty(spp, "wrong_header").text.splitlines() == [right[0].replace("LMP", "LMP_new"), *right[1:]]
    assert list(csv.reader(io.StringIO(faulty(spp, "text_in_number").text)))[1][5] == "n/a"
    assert faulty(spp, "duplicate_rows").text.splitlines() == [*right, *right[1:4]]
    assert faulty(spp, "unknown_word").text.splitlines()[-1].split(",")[2] == "XYZ"
    assert faulty(spp, "missing_hour").text.splitlines() == [
        right[0],
        *(each for each in right[1:] if not each.startswith("05/05/2026 01:00:00")),
    ]
    late = [each for each in faulty(spp, "off_grid").text.splitlines() if each not in right]
    assert len(late) == 90
    assert all(each.startswith("05/05/2026 01:07:00,05/05/2026 06:07:00,") for each in late)
    assert faulty(spp, "empty").text.splitlines() == right[:1]


def test_an_interval_that_is_nowhere_has_no_file(spp: Simulator) -> None:
    path = "/2026/05/By_Interval/05/RTBM-LMP-SL-202605051205.csv"
    gone = faulty(spp, "missing_hour", path)
    assert (gone.status_code, gone.content) == (404, b"")
    assert len(table(faulty(spp, "one_object", path))) == 90


def test_faults_of_the_answer(spp: Simulator) -> None:
    right = file(spp, DAY_AHEAD, "/2026/05/By_Day/DA-LMP-SL-202605050100.csv").content
    assert faulty(spp, "cut_zip").content == right[: len(right) * 2 // 3]
    corrupt = faulty(spp, "corrupt_member").content
    assert (len(corrupt), sum(one != other for one, other in zip(corrupt, right, strict=True))) == (len(right), 8)
    page = faulty(spp, "html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    refused = faulty(spp, "error:404")
    assert (refused.status_code, refused.content) == (404, b"")
    assert [faulty(spp, kind).status_code for kind in ("429", "503", "error:500")] == [429, 503, 500]
    with pytest.raises(httpx.RemoteProtocolError):
        faulty(spp, "reset")
    assert faulty(spp, "slow").content == right
    assert file(spp, DAY_AHEAD, "/2026/05/By_Day/DA-LMP-SL-202605050100.csv").content == right


def test_faults_of_lists(spp: Simulator) -> None:
    def asked(kind: str) -> httpx.Response:
        spp.inject(Fault(kind))
        query = {"fsName": REAL_TIME, "path": "/2026/07", "type": "folder"}
        return httpx.get(f"{spp.bases['SPP']}/file-browser-api/", params=query)

    assert asked("empty").json() == []
    assert asked("one_object").json()["name"] == "By_Day"
    assert asked("error:404").status_code == 404
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        asked("cut_zip").json()


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"error:CODE", *OF_ANSWERS}))
@pytest.mark.parametrize("path", SPRING)
def test_every_fault_of_content_makes_another_file(spp: Simulator, kind: str, path: str) -> None:
    system, _, rest = path.partition(":")
    right = file(spp, system, rest).content
    spp.inject(Fault(kind, match={"path": rest}))
    response = file(spp, system, rest)
    assert (response.status_code == 404) if kind == "missing_hour" and "-OR-" in rest else (response.content != right)
