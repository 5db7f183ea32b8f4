"""The simulated SPP: load, wind, sun, the generation mix and reserves."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from aurum_etl.simulator import Fault, Simulator
from tests.simulator.spp import ends, file, gmt, spp, table

__all__ = ["spp"]

HOUR, FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)
AREAS = "CSWS, EDE, GRDA, INDN, KACY, KCPL, LES, MPS, NPPD, OKGE, OPPD, SECI, SPRM, SPS, WAUE, WFEC, WR"
LOAD, MID_LOAD, SHORT_LOAD = "hourly-load", "mtlf-vs-actual", "stlf-vs-actual"
MID_POWER, SHORT_POWER = "midterm-resource-forecast", "shortterm-resource-forecast"
ZONES, MIX = "resource-forecast-by-reserve-zone", "generation-mix-historical"


def market_hour(text: str) -> datetime:
    """`3/1/2015 7:00`, and the day alone at midnight."""
    form = "%m/%d/%Y %H:%M" if " " in text else "%m/%d/%Y"
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def of_month(day: date) -> list[datetime]:
    following = (day + timedelta(31)).replace(day=1)
    return [end for n in range((following - day).days) for end in ends(day + timedelta(n), 60)]


@pytest.mark.parametrize(
    ("path", "areas", "blank"),
    [
        ("/2015/HOURLY_LOAD-201501.csv", AREAS.replace(" WAUE,", ""), 0),
        ("/2015/HOURLY_LOAD-201510.csv", AREAS, 0),
        ("/2015/HOURLY_LOAD-201511.csv", AREAS, 23),
        ("/2016/HOURLY_LOAD-201603.csv", AREAS, 0),
        ("/2026/HOURLY_LOAD-202602.csv", AREAS, 0),
        ("/2026/DAILY_HOURLY_LOAD-20260308.csv", AREAS, 0),
        ("/2026/DAILY_HOURLY_LOAD-20260323.csv", AREAS, 0),
    ],
)
def test_hourly_load_goes_across_up_to_2026(spp: Simulator, path: str, areas: str, blank: int) -> None:
    content = file(spp, LOAD, path).content
    assert content.count(b"\n") == content.count(b"\r\n")
    header, *rows = content.decode().splitlines()
    assert header == f"MarketHour, {areas}"
    assert rows[len(rows) - blank :] == ["," * header.count(",")] * blank
    cells = [row.split(",") for row in rows[: len(rows) - blank]]
    stamp = path.rpartition("-")[2].removesuffix(".csv")
    first = date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:] or 1))
    wanted = ends(first, 60) if len(stamp) == 8 else of_month(first)
    assert [market_hour(row[0]) for row in cells] == wanted
    assert [row[0] for row in cells if market_hour(row[0]).hour == 0] == [
        f"{each.month}/{each.day}/{each.year}" for each in wanted if each.hour == 0
    ]
    digits = {len(cell.partition(".")[2]) for row in cells for cell in row[1:]}
    assert max(digits) == (6 if stamp < "2016" else 3)
    assert all(20 < float(cell) < 10_000 for row in cells for cell in row[1:])


@pytest.mark.parametrize(
    ("day", "zones"), [(date(2026, 3, 24), {"SPP": 17}), (date(2026, 4, 1), {"SPP": 17, "SWPW": 4})]
)
def test_hourly_load_goes_down_since_then(spp: Simulator, day: date, zones: dict[str, int]) -> None:
    response = file(spp, LOAD, f"/2026/DAILY_HOURLY_LOAD-{day:%Y%m%d}.csv")
    names = "Market Hour, Balancing Area Name, Control Zone Name, Forecast Area Type, Load MW"
    assert response.text.startswith(f"{names}\r\n")
    rows = table(response)
    for kind, some in {"CF": sum(zones.values()), "NC": 5 + len(zones)}.items():
        of_kind = [row["Market Hour"] for row in rows if row["Forecast Area Type"] == kind]
        stamps = [datetime.strptime(each, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC) for each in of_kind]
        assert Counter(stamps) == dict.fromkeys(ends(day, 60), some)
    assert {row["Forecast Area Type"] for row in rows} == {"CF", "NC"}
    pairs = {(row["Balancing Area Name"], row["Control Zone Name"]) for row in rows}
    assert Counter(area for area, _ in pairs) == zones


def test_a_day_says_of_load_what_its_month_and_its_year_say(spp: Simulator) -> None:
    day = table(file(spp, LOAD, "/2025/DAILY_HOURLY_LOAD-20251102.csv"))
    assert len(day) == 25
    month = file(spp, LOAD, "/2025/HOURLY_LOAD-202511.csv")
    assert all(row in table(month) for row in day)
    year = file(spp, LOAD, "/2025/2025.zip")
    assert year.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(year.content)) as archive:
        assert archive.namelist() == [f"HOURLY_LOAD-2025{number:02d}.csv" for number in range(1, 13)]
        assert archive.read("HOURLY_LOAD-202511.csv") == month.content


@pytest.mark.parametrize(
    ("path", "header", "posted"),
    [
        ("/2026/07/04/OP-MTLF-202607041000.csv", "MTLF,Averaged Actual,BAA", datetime(2026, 7, 4, 15, tzinfo=UTC)),
        ("/2025/07/04/OP-MTLF-202507041000.csv", "MTLF,Averaged Actual", datetime(2025, 7, 4, 15, tzinfo=UTC)),
        ("/2025/11/02/OP-MTLF-202511020200.csv", "MTLF,Averaged Actual", datetime(2025, 11, 2, 7, tzinfo=UTC)),
        ("/2025/11/02/OP-MTLF-202511020200d.csv", "MTLF,Averaged Actual", datetime(2025, 11, 2, 8, tzinfo=UTC)),
        ("/2026/03/08/OP-MTLF-202603080300.csv", "MTLF,Averaged Actual", datetime(2026, 3, 8, 8, tzinfo=UTC)),
        ("/2026/03/09/OP-MTLF-202603090000.csv", "MTLF,Averaged Actual", datetime(2026, 3, 9, 5, tzinfo=UTC)),
    ],
)
def test_the_mid_term_forecast_of_load(spp: Simulator, path: str, header: str, posted: datetime) -> None:
    response = file(spp, MID_LOAD, path)
    assert response.text.startswith(f"Interval,GMTIntervalEnd,{header}\n")
    areas = ("SPP", "SWPW") if "BAA" in header else (None,)
    rows = table(response)
    wanted = [posted + number * HOUR for number in range(168, -24, -1)]
    assert [(gmt(row), row.get("BAA")) for row in rows] == [(end, area) for end in wanted for area in areas]
    assert all(row["MTLF"].isdecimal() for row in rows)
    assert all((row["Averaged Actual"] == "") == (gmt(row) > posted) for row in rows)
    assert all(row["Averaged Actual"].isdecimal() for row in rows if gmt(row) <= posted)


def test_the_short_term_forecast_of_load(spp: Simulator) -> None:
    response = file(spp, SHORT_LOAD, "/2026/07/04/11/OP-STLF-202607041005.csv")
    assert response.text.startswith("Interval,GMTInterval,STLF,Actual,BAA\n")
    posted = datetime(2026, 7, 4, 15, 5, tzinfo=UTC)
    rows = table(response)
    wanted = [posted + number * FIVE_MINUTES for number in range(48, -288, -1)]
    assert [(gmt(row), row["BAA"]) for row in rows] == [(end, area) for end in wanted for area in ("SPP", "SWPW")]
    assert all((row["Actual"] == "") == (gmt(row) > posted) for row in rows)
    earlier = table(file(spp, SHORT_LOAD, "/2026/03/04/11/OP-STLF-202603041005.csv"))
    assert list(earlier[0]) == ["Interval", "GMTInterval", "STLF", "Actual"]


def test_an_hour_s_load_is_the_mean_of_its_five_minutes(spp: Simulator) -> None:
    short = table(file(spp, SHORT_LOAD, "/2026/07/04/11/OP-STLF-202607041000.csv"))
    parts: defaultdict[tuple[datetime, str], list[float]] = defaultdict(list)
    for row in short:
        if row["Actual"]:
            hour = gmt(row) + -(gmt(row) - datetime(2026, 1, 1, tzinfo=UTC)) % HOUR
            parts[hour, row["BAA"]].append(float(row["Actual"]))
    rows = [row for row in table(file(spp, MID_LOAD, "/2026/07/04/OP-MTLF-202607041000.csv")) if row["Averaged Actual"]]
    assert len(rows) == 48
    for row in rows:
        values = parts[gmt(row), row["BAA"]]
        assert len(values) == 12
        assert int(row["Averaged Actual"]) == pytest.approx(sum(values) / 12, abs=0.51)


def test_forecasts_are_better_the_later_they_are_made(spp: Simulator) -> None:
    days = {
        number: table(file(spp, MID_LOAD, f"/2026/06/{number:02d}/OP-MTLF-202606{number:02d}0000.csv"))
        for number in (6, 11, 13)
    }
    actual = {(gmt(row), row["BAA"]): int(row["Averaged Actual"]) for row in days[13] if row["Averaged Actual"]}
    missed = {
        number: [abs(int(row["MTLF"]) / actual[key] - 1) for row in rows if (key := (gmt(row), row["BAA"])) in actual]
        for number, rows in days.items()
    }
    assert 0 < sum(missed[13]) / len(missed[13]) < sum(missed[11]) / len(missed[11]) < sum(missed[6]) / len(missed[6])
    assert max(missed[6]) < 0.1


def test_the_mid_term_forecast_of_wind_and_sun(spp: Simulator) -> None:
    response = file(spp, MID_POWER, "/2026/07/04/OP-MTRF-202607041000.csv")
    lines = response.text.splitlines()
    assert lines[:2] == [
        "Interval,GMTIntervalEnd,Wind Forecast MW,Solar Forecast MW,BAA",
        "07/11/2026 12:00:00,07/11/2026 17:00:00,,,",
    ]
    posted = datetime(2026, 7, 4, 15, tzinfo=UTC)
    rows = table(response)[1:]
    wanted = [posted + number * HOUR for number in range(169, -24, -1)]
    assert [(gmt(row), row["BAA"]) for row in rows] == [(end, area) for end in wanted for area in ("SPP", "SWPW")]
    values = [row[name] for row in rows for name in ("Wind Forecast MW", "Solar Forecast MW")]
    assert all(len(value.partition(".")[2]) == 3 for value in values)
    assert "0.000" in values
    assert min(map(float, values)) == 0


def test_forecasts_by_reserve_zone_add_up(spp: Simulator) -> None:
    response = file(spp, ZONES, "/2026/07/04/RF_RESERVE_ZONE-202607041000.csv")
    lines = response.text.splitlines()
    assert lines[0] == (
        "IntervalEnd, GMTIntervalEnd, BAA, ReserveZone, WindForecastMW, WindActualMW, SolarForecastMW, SolarActualMW"
    )
    void = "07/11/2026 11:00:00,07/11/2026 16:00:00"
    assert lines[1:7] == [f"{void},,{zone},,,," for zone in ("1", "2", "21", "3", "4", "5")]
    rows = table(response)[6:]
    assert [row["ReserveZone"] for row in rows[:6]] == ["1", "2", "3", "4", "5", "21"]
    sums: defaultdict[tuple[datetime, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        assert row["BAA"] == ("SWPW" if row["ReserveZone"] == "21" else "SPP")
        assert (row["WindActualMW"] == "") == (gmt(row) > datetime(2026, 7, 4, 15, tzinfo=UTC))
        for number, name in enumerate(("WindForecastMW", "SolarForecastMW")):
            sums[gmt(row), row["BAA"]][number] += round(float(row[name]) * 1000)
    totals = {
        (gmt(row), row["BAA"]): [round(float(row[f"{name} Forecast MW"]) * 1000) for name in ("Wind", "Solar")]
        for row in table(file(spp, MID_POWER, "/2026/07/04/OP-MTRF-202607041000.csv"))[1:]
    }
    assert {key: totals[key] for key in sums} == dict(sums)
    assert len(sums) == 2 * 192
    earlier = table(file(spp, ZONES, "/2025/07/04/RF_RESERVE_ZONE-202507041000.csv"))
    assert "BAA" not in earlier[0]
    assert {row["ReserveZone"] for row in earlier} == {"1", "2", "3", "4", "5"}


def test_the_short_term_forecast_of_wind_and_sun(spp: Simulator) -> None:
    response = file(spp, SHORT_POWER, "/2026/07/04/11/OP-STRF-202607041005.csv")
    names = "Wind Forecast MW,Wind Actual MW,Solar Forecast MW,Solar Actual MW"
    assert response.text.startswith(f"Interval,GMTIntervalEnd,{names},BAA\n")
    posted = datetime(2026, 7, 4, 15, 5, tzinfo=UTC)
    rows = table(response)
    wanted = [posted + number * FIVE_MINUTES for number in range(48, -288, -1)]
    assert [(gmt(row), row["BAA"]) for row in rows] == [(end, area) for end in wanted for area in ("SPP", "SWPW")]
    assert all((row["Wind Actual MW"] == "") == (gmt(row) > posted) for row in rows)


def test_the_chart_of_forecasts(spp: Simulator) -> None:
    response = httpx.get(f"{spp.bases['SPP']}/chart-api/load-forecast/asFile")
    names = "STLF,MTLF,Actual Load,STWF,MTWF,Actual Wind, STSF, MTSF, Actual Solar"
    assert response.text.startswith(f"Interval,GMTIntervalEnd,{names}\n")
    rows = table(response)
    now = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)
    assert [gmt(row) for row in rows] == [now + number * FIVE_MINUTES for number in range(2016, -288, -1)]
    filled = {name: [gmt(row) for row in rows if row[name]] for name in list(rows[0])[2:]}
    assert {name: len(each) for name, each in filled.items()} == {
        "STLF": 336, "MTLF": 192, "Actual Load": 288, "STWF": 288, "MTWF": 192, "Actual Wind": 288, "STSF": 288,
        "MTSF": 192, "Actual Solar": 288,
    }  # fmt: skip
    assert {each.minute for each in filled["MTLF"]} == {0}
    assert filled["STLF"][0] == now + 4 * HOUR
    posted = table(file(spp, SHORT_LOAD, "/2026/07/14/12/OP-STLF-202607141130.csv"))
    east = {gmt(row): row["Actual"] for row in posted if row["BAA"] == "SPP" and row["Actual"]}
    assert {gmt(row): row["Actual Load"] for row in rows if row["Actual Load"]} == east


MIX_COLUMNS = (
    " Coal Market, Coal Self, Diesel Fuel Oil Market, Diesel Fuel Oil Self, Hydro Market, Hydro Self,"
    " Natural Gas Market, Gas Self, Nuclear Market, Nuclear Self, Solar Market, Solar Self,"
    " Waste Disposal Services Market, Waste Disposal Services Self, Wind Market, Wind Self, Waste Heat Market,"
    " Waste Heat Self, Other Market, Other Self,"
)
NEW = " Energy Storage Market, Energy Storage Self, Load, Short Term Load Forecast, Average Actual Load"


@pytest.mark.parametrize(
    ("path", "header", "first", "last"),
    [
        ("/GenMix_2017.csv", f"GMTTime,{MIX_COLUMNS} Load", "2017-01-01T06:05:00Z", "2018-01-01T06:00:00Z"),
        ("/GenMix_2025.csv", f"GMT MKT Interval,{MIX_COLUMNS} Load", "2025-01-01T06:05:00Z", "2026-01-01T06:00:00Z"),
        ("/GenMixYTD.csv", f"GMT MKT Interval,{MIX_COLUMNS}{NEW}", "2026-01-01T06:05:00Z", "2026-07-14T16:30:00Z"),
        ("/SPP/GenMix365_SPP.csv", f"GMT MKT Interval,{MIX_COLUMNS}{NEW}", "2025-07-14T16:35:00Z", "2026-07-14T16:30:00Z"),
        ("/SWPW/GenMix365_SWPW.csv", f"GMT MKT Interval,{MIX_COLUMNS}{NEW}", "2026-04-01T05:05:00Z", "2026-07-14T16:30:00Z"),
        ("/SWPW/GenMix2Hour_SWPW.csv", f"GMT MKT Interval,{MIX_COLUMNS}{NEW}", "2026-07-14T14:35:00Z", "2026-07-14T16:30:00Z"),
    ],
)  # fmt: skip
def test_the_generation_mix_has_every_five_minutes(
    spp: Simulator, path: str, header: str, first: str, last: str
) -> None:
    lines = file(spp, MIX, path).text.splitlines()
    assert lines[0] == header
    start, end = (datetime.fromisoformat(each) for each in (first, last))
    count = (end - start) // FIVE_MINUTES + 1
    assert [line[:20] for line in lines[1:]] == [
        f"{start + number * FIVE_MINUTES:%Y-%m-%dT%H:%M:%SZ}" for number in range(count)
    ]
    totals = 3 if NEW in header else 1
    cells = lines[-1].split(",")[1:]
    assert [len(cell.partition(".")[2]) for cell in cells] == [2] * (len(cells) - totals) + [3] * totals


def test_the_mix_is_the_same_in_every_file(spp: Simulator) -> None:
    hours = table(file(spp, MIX, "/SPP/GenMix2Hour_SPP.csv"))
    assert table(httpx.get(f"{spp.bases['SPP']}/chart-api/gen-mix/asFile")) == hours
    for path in ("/GenMixYTD.csv", "/SPP/GenMix365_SPP.csv"):
        assert (
            file(spp, MIX, path).text.splitlines()[-24:]
            == file(spp, MIX, "/SPP/GenMix2Hour_SPP.csv").text.splitlines()[1:]
        )
    posted = table(file(spp, SHORT_POWER, "/2026/07/14/12/OP-STRF-202607141130.csv"))
    wind = {gmt(row): float(row["Wind Actual MW"]) for row in posted if row["BAA"] == "SPP" and row["Wind Actual MW"]}
    for row in hours:
        whole = float(row["Wind Market"]) + float(row["Wind Self"])
        assert whole == pytest.approx(wind[datetime.fromisoformat(row["GMT MKT Interval"])], abs=0.11)


DAY_AHEAD = "Interval,GMTIntervalEnd,Reserve Zone,RegUP,RegDN,Spin,Supp,RampUP,RampDN,UncUP"
REAL_TIME = (
    "Interval,GMTIntervalEnd,Reserve Zone,RegUPService,RegDNService,RegUpMile, RegDNMile,RampUP,RampDN,Spin,Supp,UncUP"
)


@pytest.mark.parametrize(
    ("system", "path", "header", "day", "minutes", "zones"),
    [
        ("da-mcp", "/2025/11/DA-MCP-202511020100.csv", DAY_AHEAD, date(2025, 11, 2), 60, 6),
        ("da-mcp", "/2025/03/DA-MCP-202503090100.csv", DAY_AHEAD, date(2025, 3, 9), 60, 6),
        ("da-mcp", "/2022/03/DA-MCP-202203010100.csv", DAY_AHEAD.removesuffix(",UncUP"), date(2022, 3, 1), 60, 6),
        (
            "da-mcp",
            "/2021/03/DA-MCP-202103010100.csv",
            DAY_AHEAD.removesuffix(",RampUP,RampDN,UncUP"),
            date(2021, 3, 1),
            60,
            6,
        ),
        ("da-mcp", "/2026/04/DA-MCP-202604010100.csv", DAY_AHEAD, date(2026, 4, 1), 60, 8),
        ("rtbm-mcp", "/2026/03/By_Day/RTBM-MCP-DAILY-20260308.csv", REAL_TIME, date(2026, 3, 8), 5, 6),
        ("rtbm-mcp", "/2025/11/By_Day/RTBM-MCP-DAILY-20251102.csv", REAL_TIME, date(2025, 11, 2), 5, 6),
        ("rtbm-mcp", "/2026/06/By_Day/RTBM-MCP-DAILY-20260601.csv", f"{REAL_TIME},BAA", date(2026, 6, 1), 5, 8),
    ],
)
def test_prices_of_reserves(
    spp: Simulator, system: str, path: str, header: str, day: date, minutes: int, zones: int
) -> None:
    response = file(spp, system, path)
    assert response.text.splitlines()[0] == header
    rows = table(response)
    assert [gmt(row) for row in rows] == [end for end in ends(day, minutes) for _ in range(zones)]
    assert [row["Reserve Zone"] for row in rows[:6]] == ["1", "2", "3", "4", "5", "SPP"]
    assert [row["Reserve Zone"] for row in rows[6:zones]] == ["21", "SWPW"][: zones - 6]
    names = [name for name in rows[0] if name not in ("Interval", "GMTIntervalEnd", "Reserve Zone", "BAA")]
    assert {len(row[name].partition(".")[2]) for row in rows for name in names} == {4}
    assert min(float(row[name]) for row in rows for name in names) == 0
    # Mostly there is one price for all zones of an area, but not always.
    by_interval = [rows[number : number + 6] for number in range(0, len(rows), zones)]
    shares = [len({tuple(row[name] for name in names) for row in each}) == 1 for each in by_interval]
    assert len(shares) // 4 < sum(shares) < len(shares)


def test_one_interval_of_reserves_says_what_its_day_says(spp: Simulator) -> None:
    whole = file(spp, "rtbm-mcp", "/2026/06/By_Day/RTBM-MCP-DAILY-20260601.csv").text.splitlines()
    lines = file(spp, "rtbm-mcp", "/2026/06/By_Interval/01/RTBM-MCP-202606020000.csv").text.splitlines()
    assert lines == [whole[0], *whole[-8:]]
    latest = file(spp, "rtbm-mcp", "/RTBM-MCP-latestInterval.csv").content
    assert latest == file(spp, "rtbm-mcp", "/2026/07/By_Interval/14/RTBM-MCP-202607141130.csv").content


def test_what_was_cleared_in_five_minutes(spp: Simulator) -> None:
    names = "RegUP_Clr, RegDN_Clr, RampUP_Clr, RampDN_Clr, UncUP_Clr, STSUncUP_Clr, Spin_Clr, Supp_Clr"
    response = file(spp, "operating-reserves", "/2026/03/31/RTBM-OR-202604010000.csv")
    assert response.text.startswith(f"Interval,GMTIntervalEnd,Reserve Zone,{names}\n")
    rows = table(response)
    assert {gmt(row) for row in rows} == {datetime(2026, 4, 1, 5, tzinfo=UTC)}
    for name in names.split(", "):
        *parts, whole = (float(row[name]) for row in rows)
        assert sum(parts) == pytest.approx(whole, abs=5)
    assert len(table(file(spp, "operating-reserves", "/RTBM-OR-latestInterval.csv"))) == 8


@pytest.mark.parametrize(("day", "hours"), [("20260308", 23), ("20251102", 25), ("20260714", 24)])
def test_what_was_cleared_day_ahead(spp: Simulator, day: str, hours: int) -> None:
    response = file(spp, "market-clearing", f"/{day[:4]}/{day[4:6]}/DA-MC-{day}0100.csv")
    assert response.text.splitlines()[0] == (
        "Interval,GMTIntervalEnd,Generation,Cleared DR, Cleared Demand Bid,Cleared Fixed Demand Bid,Cleared Virtual Bid,"
        " Cleared Virtual Offer,Total Demand,NSI,SMP,Min LMP,Max LMP,RegUP,RegDN,RampUP,RampDN,UncUP,Spin,Supp,"
        "Capacity Available, Fixed Obligation, Net Capacity, Curtailed Fixed Demand Bid"
    )
    rows = table(response)
    assert len(rows) == hours
    assert all(row["RegUP"].isdecimal() and len(row["Generation"].partition(".")[2]) == 3 for row in rows)


def test_faults_hit_every_day_of_a_file_that_holds_many(spp: Simulator) -> None:
    def asked(kind: str) -> list[list[str]]:
        path = "/2025/HOURLY_LOAD-202505.csv"
        spp.inject(Fault(kind, match={"path": path}))
        return list(csv.reader(io.StringIO(file(spp, LOAD, path).text)))[1:]

    assert len(asked("missing_hour")) == 31 * 23
    late = [row[0] for row in asked("off_grid") if row[0].endswith(":07")]
    assert late == [f"5/{day}/2025 6:07" for day in range(1, 32)]


def test_faults_of_forecasts(spp: Simulator) -> None:
    path = "/2026/07/04/OP-MTLF-202607041000.csv"

    def asked(kind: str) -> httpx.Response:
        spp.inject(Fault(kind, match={"path": path}))
        return file(spp, MID_LOAD, path)

    right = file(spp, MID_LOAD, path).text.splitlines()
    assert asked("wrong_header").text.startswith("Interval,GMTIntervalEnd,MTLF_new,Averaged Actual,BAA\n")
    assert asked("unknown_word").text.splitlines()[-1].endswith(",XYZ")
    assert asked("empty").text.splitlines() == right[:1]
    gone = set(right) - set(asked("missing_hour").text.splitlines())
    assert {line[:19] for line in gone} == {f"07/{day:02d}/2026 01:00:00" for day in range(4, 12)}
