"""ISO-NE: what is asked, and what is made of the answers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl.adapters.isone import ISONE
from aurum_etl.adapters.isone.places import TYPES
from aurum_etl.adapters.isone.power import FUELS
from aurum_etl.adapters.isone.reserves import SERVICES
from aurum_etl.chunk import Chunk
from aurum_etl.normalize import Normalized, normalize
from aurum_etl.validate import validate
from aurum_etl.window import market_days
from tests.frames import chunk

if TYPE_CHECKING:
    from aurum_etl.dataset import Dataset, Report

BIG = 10**8
DAY = date(2026, 7, 14)
SPRING, AUTUMN = date(2026, 3, 8), date(2025, 11, 2)
DATASETS = {each.key: each for each in ISONE.datasets}
NAMES = (
    '"H","Date","Hour Ending","Location ID","Location Name","Location Type",'
    '"Locational Marginal Price","Energy Component","Congestion Component","Marginal Loss Component"'
)
TYPE_LINE = '"H","Date","HE","String","String","String","Number","Number","Number","Number"'


def dataset(key: str, feed: str = "") -> Dataset:
    chosen = DATASETS[key]
    return chosen.of(feed or chosen.feeds[0].name)


def asked(of: Dataset, day: date = DAY, *names: str) -> list[str]:
    return [each.request.describe().removeprefix("ISO-NE ") for each in ISONE.asks(of, chunk(of, day, *names))]


def read(content: bytes | str | dict[str, Any], of: Dataset, name: str = "", number: int = 0) -> Normalized:
    report: Report = of.feed.reports[number]
    name = name or {"service": f"{report.name.replace('/', '_')}.json", "table": f"{report.name}_20260714.csv"}.get(
        report.parameters["form"], f"{report.name}.csv"
    )
    if isinstance(content, dict):
        content = json.dumps(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return normalize(ISONE.batches(report, path, f"here/{name}", BIG), of, report)


def row(
    hour: str = '"01"', place: str = "4000", kind: str = "HUB", price: str = "47.82", day: str = "07/14/2026"
) -> str:
    return f'"D","{day}",{hour},"{place}",".H.INTERNAL_HUB","{kind}",{price},47.56,0.0,0.26'


def table(
    *rows: str,
    title: str = "Day-Ahead Energy Market Hourly LMP Report",
    file: str = "WW_DALMP_ISO_20260714.csv",
    count: int | None = None,
) -> str:
    rows = rows or (row(),)
    comments = [title, f"Filename: {file}", "Report for: 07/14/2026 - 07/14/2026", "Report generated: 07/13/2026 EDT"]
    lines = [*(f'"C","{each}"' for each in comments), NAMES, TYPE_LINE, *rows]
    return "\n".join([*lines, f'"T","{len(rows) if count is None else count} lines"'])


def price(
    begin: str = "2026-07-14T00:00:00.000-04:00", place: str = "4000", kind: str = "HUB", **more: object
) -> dict[str, Any]:
    return {
        "BeginDate": begin,
        "Location": {"@LocId": place, "@LocType": kind, "$": ".H.INTERNAL_HUB"},
        "LmpTotal": 47.82,
        "EnergyComponent": 47.56,
        "CongestionComponent": 0,
        "LossComponent": 0.26,
        **more,
    }


def hourly(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"HourlyLmps": {"HourlyLmp": list(rows)}}


# What is asked

REPORTS = "www:static-transform/csv/histRpts"


@pytest.mark.parametrize(
    ("key", "feed", "paths"),
    [
        ("isone_lmp", "csv", [f"{REPORTS}/da-lmp/WW_DALMP_ISO_20260714.csv"]),
        ("isone_lmp", "api", ["hourlylmp/da/final/day/20260714.json"]),
        ("isone_lmp_rt60", "final", [f"{REPORTS}/rt-lmp/lmp_rt_final_20260714.csv"]),
        ("isone_lmp_rt60", "prelim", [f"{REPORTS}/rt-lmp/lmp_rt_prelim_20260714.csv"]),
        ("isone_lmp_rt60", "api", ["hourlylmp/rt/final/day/20260714.json"]),
        ("isone_lmp_rt60", "api_prelim", ["hourlylmp/rt/prelim/day/20260714.json"]),
        (
            "isone_load",
            "api",
            [
                "hourlysysload/day/20260714.json",
                "realtimehourlydemand/day/20260714.json",
                "dayaheadhourlydemand/day/20260714.json",
            ],
        ),
        ("isone_load_rt5", "api", ["fiveminutesystemload/day/20260714.json"]),
        (
            "isone_load_forecast",
            "api",
            ["hourlyloadforecast/all/day/20260714.json", "reliabilityregionloadforecast/day/20260714/all.json"],
        ),
        ("isone_genmix", "api", ["genfuelmix/day/20260714.json"]),
        (
            "isone_renewable_forecast",
            "csv",
            # What it leads to is asked for with its cookie: see test_isone_requests.py.
            ["www:isoexpress/web/reports/operations/-/tree/gen-fuel-mix"],
        ),
        ("isone_asm", "api", ["daasreservedata/day/20260714.json"]),
        ("isone_asm_rt60", "api", ["hourlyfinalreserveprice/day/20260714.json"]),
        ("isone_asm_rt60", "api_prelim", ["hourlyprelimreserveprice/day/20260714.json"]),
        ("isone_asm_rt5", "api", ["fiveminutereserveprice/day/20260714.json", "fiveminutercp/day/20260714.json"]),
        ("isone_pnode", "api", ["locations/all.json"]),
    ],
)
def test_every_feed_asks_for_a_day_in_its_own_way(key: str, feed: str, paths: list[str]) -> None:
    assert asked(dataset(key, feed)) == paths


@pytest.mark.parametrize(("feed", "state"), [("api", "final"), ("api_prelim", "prelim")])
@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (DAY, [*range(24)]),
        (SPRING, [0, 1, *range(3, 24)]),
        (AUTUMN, [*range(24)]),
    ],
)
def test_five_minutes_are_asked_for_by_the_hours_that_the_clock_shows(
    day: date, hours: list[int], feed: str, state: str
) -> None:
    """Both hours that autumn shows as 01 come with it; spring would have nothing to say of 02."""
    assert asked(dataset("isone_lmp_rt5", feed), day) == [
        f"fiveminutelmp/{state}/day/{day:%Y%m%d}/starthour/{hour:02d}.json" for hour in hours
    ]


def test_named_locations_are_asked_for_one_by_one_or_taken_out_of_a_whole_report() -> None:
    names = ("4001", "4000")
    assert asked(dataset("isone_lmp"), DAY, *names) == [f"{REPORTS}/da-lmp/WW_DALMP_ISO_20260714.csv"]
    assert asked(dataset("isone_lmp", "api"), DAY, *names) == [
        f"hourlylmp/da/final/day/20260714/location/{each}.json" for each in ("4000", "4001")
    ]
    assert len(asked(dataset("isone_lmp_rt5"), DAY, *names)) == 24
    assert len(asked(dataset("isone_load"), DAY, *names)) == 3


def test_days_are_asked_for_one_by_one_and_a_registry_once() -> None:
    window = market_days(DAY, DAY + timedelta(3), "America/New_York")
    assert window is not None
    for key, count in (("isone_genmix", 3), ("isone_lmp_rt5", 72), ("isone_pnode", 1)):
        of = dataset(key)
        assert len(ISONE.asks(of, Chunk(key, chunk(of).selection, window))) == count


# What is made of answers: reports


def test_a_report_becomes_rows_of_an_hour_and_a_place() -> None:
    frame = read(table(row(), row(price="-3.5", place="411", kind="NETWORK NODE")), dataset("isone_lmp")).frame
    columns = ("iso_location_id", "iso_location_type", "price_total", "price_energy", "price_congestion", "price_loss")
    assert frame.select(columns).rows() == [
        ("4000", "HUB", 47.82, 47.56, 0.0, 0.26),
        ("411", "NODE", -3.5, 47.56, 0.0, 0.26),
    ]
    assert frame["interval_start"].unique().to_list() == [datetime(2026, 7, 14, 4, tzinfo=UTC)]
    assert frame["series_id"][0] == "isone.lmp.da.da.60m.4000"


@pytest.mark.parametrize(
    ("day", "labels", "hours"),
    [
        ("03/08/2026", ["01", "03", "04", "24"], [5, 6, 7, 27]),
        ("11/02/2025", ["01", "02", "02X", "03", "24"], [4, 5, 6, 7, 28]),
        ("07/14/2026", ["01", "02", "03", "24"], [4, 5, 6, 27]),
    ],
)
@pytest.mark.parametrize("quote", ['"', ""])
def test_hours_are_named_by_the_clock_when_they_end(day: str, labels: list[str], hours: list[int], quote: str) -> None:
    """Quoted in the one report, bare in the other."""
    midnight = datetime.strptime(day, "%m/%d/%Y").replace(tzinfo=UTC)
    frame = read(table(*(row(f"{quote}{each}{quote}", day=day) for each in labels)), dataset("isone_lmp")).frame
    assert frame["interval_start"].to_list() == [midnight + timedelta(hours=each) for each in hours]
    assert frame["operating_date"].unique().to_list() == [midnight.date()]


@pytest.mark.parametrize("label", ["00", "25", "02X", "X", "1:30", "noon"])
def test_an_hour_that_no_clock_shows_goes_to_quarantine(label: str) -> None:
    found = read(table(row(), row(f'"{label}"')), dataset("isone_lmp"))
    assert len(found.frame) == 1
    assert set(found.unplaced.select("check", "column", "value").rows()) == {
        ("time_is_on_the_clock", "Hour Ending", label)
    }


@pytest.mark.parametrize("kind", TYPES)
def test_every_kind_of_place_is_known(kind: str) -> None:
    of = dataset("isone_lmp", "api")
    by_report = read(table(row(kind=kind)), dataset("isone_lmp")).frame
    by_service = read(hourly(price(kind=kind)), of).frame
    assert by_report.equals(by_service)
    assert by_report["iso_location_type"].to_list() == [TYPES[kind].value]


def test_an_unknown_kind_of_place_goes_to_quarantine() -> None:
    for found in (
        read(table(row(), row(place="9", kind="MOON NODE")), dataset("isone_lmp")),
        read(hourly(price(), price(place="9", kind="MOON NODE")), dataset("isone_lmp", "api")),
    ):
        assert found.frame["iso_location_id"].to_list() == ["4000"]
        assert set(found.unplaced.select("check", "value").rows()) == {("word_is_known", "MOON NODE")}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\n" + text + "\n\n",
        lambda text: text.replace('"Location ID"', '" Location ID "').replace('"Date"', '"Date "'),
        lambda text: text.replace("07/14/2026,", "7/14/2026,").replace('"07/14/2026"', '"7/14/2026"'),
        lambda text: text.replace('"C","Filename: WW_DALMP_ISO_20260714.csv"\n', ""),
        lambda text: text.replace(TYPE_LINE + "\n", ""),
    ],
    ids=["as it is", "mark", "crlf", "blank lines", "blank ends", "blanks in names", "unpadded", "no name", "no types"],
)
def test_the_same_report_otherwise_written_is_the_same(change: Any) -> None:
    of = dataset("isone_lmp")
    text = table(row(), row('"02"'))
    assert read(change(text), of).frame.equals(read(text, of).frame)


def test_columns_may_come_in_another_order_and_more_of_them() -> None:
    names = '"H","Location Type","New","Location ID","Marginal Loss Component","Hour Ending","Date",'
    names += '"Congestion Component","Location Name","Energy Component","Locational Marginal Price"'
    cells = '"D","HUB",7,"4000",0.26,"01","07/14/2026",0.0,".H.INTERNAL_HUB",47.56,47.82'
    of = dataset("isone_lmp")
    assert read(table(cells).replace(NAMES, names), of).frame.equals(read(table(), of).frame)


def test_rows_that_come_twice_count_once_and_contradictions_not_at_all() -> None:
    of = dataset("isone_lmp")
    twice = read(table(row(), row()), of)
    assert (len(twice.frame), twice.repeated) == (1, 1)
    frame = read(table(row(), row(price="47.83"), row('"02"')), of).frame
    verdict = validate(frame, of.contract, of.checks)
    assert (len(verdict.accepted), verdict.rejected["check"].unique().to_list()) == (1, ["key_is_unique"])


def test_components_add_up_to_the_price_within_a_cent() -> None:
    of = dataset("isone_lmp")
    frame = read(table(row(price="47.83"), row('"02"', price="47.84")), of).frame
    verdict = validate(frame, of.contract, of.checks)
    assert (len(verdict.accepted), verdict.rejected["check"].to_list()) == (1, ["price_equals_its_components"])


def test_final_prices_replace_preliminary_ones() -> None:
    title = "Real-Time Energy Market Hourly LMP Report"
    for feed, mark in (("final", "FINAL"), ("prelim", "PRELIM")):
        of = dataset("isone_lmp_rt60", feed)
        frame = read(table(title=title, file=f"lmp_rt_{feed}_20260714.csv"), of).frame
        assert frame.select("revision", "iso_market", "iso_market_run").row(0) == (mark, "RT", "RT")
        of = dataset("isone_lmp_rt60", {"final": "api", "prelim": "api_prelim"}[feed])
        assert read(hourly(price()), of).frame.equals(frame)
    assert of.ranks == {"PRELIM": 1, "FINAL": 2}


# What is made of answers: the week ahead


def week(*rows: str, made: str = "02/25/2025 10:08:14 EST", count: int | None = None) -> str:
    head = [
        '"C","ISO New England Inc. Seven Day Wind Power Forecast Report"',
        '"C","Filename: seven_day_wind_power_forecast_20250225.csv"',
        '"C","Report for 02/25/2025"',
        f'"C","Report generated {made}"',
        '"H","",,"Day 1","Day 2"',
        '"D","Day",,"Tue","Wed"',
        '"D","Date","Hour Ending","02/25/2025","02/26/2025"',
    ]
    return "\n".join([*head, *rows, f'"T","{len(rows) if count is None else count} lines"'])


def test_a_week_side_by_side_becomes_rows_of_an_hour() -> None:
    found = read(week('"D",,01,,205', '"D",,11,234,0', '"D",,24,165,'), dataset("isone_renewable_forecast"))
    columns = ("interval_start", "generation_mw", "fuel_type", "fuel_native", "forecast_model", "published_at")
    of = ("WIND", "Wind", "wphf", datetime(2025, 2, 25, 15, 8, 14, tzinfo=UTC))
    assert found.frame.select(columns).rows() == [
        (datetime(2025, 2, 25, 15, tzinfo=UTC), 234.0, *of),
        (datetime(2025, 2, 26, 4, tzinfo=UTC), 165.0, *of),
        (datetime(2025, 2, 26, 5, tzinfo=UTC), 205.0, *of),
        (datetime(2025, 2, 26, 15, tzinfo=UTC), 0.0, *of),
    ], "what is blank lies outside of the week and is no row; a zero is one"


def test_a_report_is_of_the_instant_that_its_zone_says() -> None:
    frame = read(week('"D",,11,1,2', made="07/14/2026 10:02:35 EDT"), dataset("isone_renewable_forecast")).frame
    assert frame["published_at"].unique().to_list() == [datetime(2026, 7, 14, 14, 2, 35, tzinfo=UTC)]


# What is made of answers: services


@pytest.mark.parametrize(
    "shape",
    [
        lambda rows: {"HourlyLmps": {"HourlyLmp": rows}},
        lambda rows: {"HourlyLmps": {"HourlyLmp": rows[0]}},
        lambda rows: {"HourlyLmp": rows[0]},
        lambda rows: {"HourlyLmp": rows},
        lambda rows: {"HourlyLmps": {"HourlyLmp": [dict(reversed(rows[0].items()))]}},
    ],
    ids=["list", "object", "no plural", "list without plural", "another order"],
)
def test_a_single_row_comes_in_five_shapes(shape: Any) -> None:
    of = dataset("isone_lmp", "api")
    assert read(shape([price()]), of).frame.equals(read(table(), dataset("isone_lmp")).frame)


def test_offsets_tell_the_two_hours_of_autumn_apart() -> None:
    stamps = ("2025-11-02T01:00:00.000-04:00", "2025-11-02T01:00:00.000-05:00", "2025-11-02T02:00:00.000-05:00")
    frame = read(hourly(*(price(each) for each in stamps)), dataset("isone_lmp", "api")).frame
    assert [each.hour for each in frame["interval_start"]] == [5, 6, 7]


def test_names_keep_their_blanks() -> None:
    of = dataset("isone_lmp", "api")
    node = price() | {"Location": {"@LocId": "411", "@LocType": "NETWORK NODE", "$": "UN.EDDY    34.5AMOS"}}
    assert read(hourly(node), of).frame["iso_location_name"].to_list() == ["UN.EDDY    34.5AMOS"]


def test_measures_of_the_system_are_rows_of_their_own() -> None:
    system = {"BeginDate": "2026-07-14T00:00:00.000-04:00", "Location": {"@LocId": "32", "$": "NEPOOL AREA"}}
    answer = {"HourlySystemLoads": {"HourlySystemLoad": {**system, "Load": 100.5, "NativeLoad": 100.5, "ArdDemand": 0}}}
    frame = read(answer, dataset("isone_load")).frame
    assert frame.select("load_native", "load_type", "load_mw", "iso_location_type").rows() == [
        ("ArdDemand", "STORAGE", 0.0, "SYSTEM"),
        ("Load", "SYSTEM", 100.5, "SYSTEM"),
        ("NativeLoad", "NATIVE", 100.5, "SYSTEM"),
    ]
    assert frame["series_id"].n_unique() == 3


def test_demand_is_not_load_though_its_column_has_the_name() -> None:
    of = dataset("isone_load")
    places = {"32": "SYSTEM", "4000": "HUB", "4001": "ZONE", "4008": "ZONE"}
    rows = [
        {"BeginDate": "2026-07-14T00:00:00.000-04:00", "Location": {"@LocId": each, "$": "x"}, "Load": -1.5}
        for each in (*places, "99")
    ]
    for number, word, kind in ((1, "HourlyRtDemand", "REAL_TIME_DEMAND"), (2, "HourlyDaDemand", "DAY_AHEAD_DEMAND")):
        found = read({f"{word}s": {word: rows}}, of, number=number)
        assert dict(found.frame.select("iso_location_id", "iso_location_type").rows()) == places
        assert found.frame.select("load_native", "load_type", "load_mw").unique().rows() == [(word, kind, -1.5)]
        assert found.unplaced["value"].unique().to_list() == ["99"], "no place that load is told of"


def test_vintages_are_kept_apart() -> None:
    rows = [
        {"BeginDate": "2026-07-14T00:00:00.000-04:00", "CreationDate": made, "LoadMw": mw, "NetLoadMw": mw}
        for made, mw in (("2026-07-13T09:12:11.000-04:00", 12_000), ("2026-07-14T04:10:07.000-04:00", 12_050))
    ]
    of = dataset("isone_load_forecast")
    frame = read({"HourlyLoadForecasts": {"HourlyLoadForecast": rows}}, of).frame
    assert frame.select("published_at", "load_mw", "iso_location_id", "iso_location_type").rows() == [
        (datetime(2026, 7, 13, 13, 12, 11, tzinfo=UTC), 12_000.0, "ISO-NE", "SYSTEM"),
        (datetime(2026, 7, 14, 8, 10, 7, tzinfo=UTC), 12_050.0, "ISO-NE", "SYSTEM"),
    ]
    regions = [
        {**rows[0], "ReliabilityRegion": each, "ReliabilityRegionLoadPercentage": 9} for each in (".Z.MAINE", "X")
    ]
    found = read({"ReliabilityRegionLoadForecasts": {"ReliabilityRegionLoadForecast": regions}}, of, number=1)
    assert found.frame.select("iso_location_id", "iso_location_type", "forecast_model").rows() == [
        (".Z.MAINE", "ZONE", "reliabilityregionloadforecast")
    ]
    assert found.unplaced["value"].unique().to_list() == ["X"]


def test_every_fuel_is_known_and_snapshots_are_not_moved() -> None:
    stamps = ("2026-07-14T12:00:00.000-04:00", "2026-07-14T12:00:03.000-04:00")
    rows = [
        {"BeginDate": each, "GenMw": -1, "FuelCategory": fuel, "FuelCategoryRollup": "x", "MarginalFlag": "N"}
        for each in stamps
        for fuel in (*FUELS, "Fusion")
    ]
    found = read({"GenFuelMixes": {"GenFuelMix": rows}}, dataset("isone_genmix"))
    assert dict(found.frame.select("fuel_native", "fuel_type").rows()) == FUELS
    assert found.frame["interval_start"].unique().sort().to_list() == [
        datetime(2026, 7, 14, 16, 0, each, tzinfo=UTC) for each in (0, 3)
    ]
    assert found.frame["iso_interval_minutes"].unique().to_list() == [0]
    assert found.unplaced["value"].unique().to_list() == ["Fusion"]


def test_every_service_is_known() -> None:
    hour = {"gmt_begin_date": "x", "local_day": "2026-07-14T00:00:00.000-04:00", "local_hour_end": "01"}
    names = ("tmsr", "tmnsr", "tmor")
    prices = {f"{each}_clearing_price": 5.58 for each in (*names, "fer")}
    amounts = {f"{each}_designation_mw": 80.5 for each in (*names, "eir")}
    answer = {"market_day": "x", "day_ahead_reserve": [{"market_hour": hour, **prices, **amounts}]}
    frame = read({"isone_web_services": {"day_ahead_reserves": answer}}, dataset("isone_asm")).frame
    found = {native: (mcp, mw) for native, mcp, mw in frame.select("service_native", "price_mcp", "quantity_mw").rows()}
    assert found == {**dict.fromkeys(("TMSR", "TMNSR", "TMOR"), (5.58, 80.5)), "FER": (5.58, None), "EIR": (None, 80.5)}
    assert dict(frame.select("service_native", "service").rows()).items() <= SERVICES.items()


def test_regulation_is_put_back_on_its_mark() -> None:
    stamps = ("2025-11-02T01:55:18.000-04:00", "2025-11-02T01:00:00.000-05:00", "2025-11-02T01:05:02.000-05:00")
    rows = [
        {"BeginDate": each, "HourEnd": "02", "RegServiceClearingPrice": 0.25, "RegCapacityClearingPrice": 0}
        for each in stamps
    ]
    frame = read({"FiveMinRcps": {"FiveMinRcp": rows}}, dataset("isone_asm_rt5"), number=1).frame
    assert frame["interval_start"].unique().sort().to_list() == [
        datetime(2025, 11, 2, *each, tzinfo=UTC) for each in ((5, 55), (6, 0), (6, 5))
    ]
    assert frame.select("service_native", "service", "price_mcp", "quantity_mw").unique().sort("service").rows() == [
        ("RegService", "MILEAGE", 0.25, None),
        ("RegCapacity", "REGULATION", 0.0, None),
    ]


def test_a_reserve_zone_is_known_by_its_number() -> None:
    def zone(number: int) -> dict[str, Any]:
        prices = {f"{each}ClearingPrice": 0 for each in ("Tmsr", "Tmnsr", "Tmor")}
        amounts = {f"{each}DesignatedMw": 1.5 for each in ("Tmsr", "Tmnsr", "Tmor")}
        return {
            "BeginDate": "2026-07-14T00:00:00.000-04:00",
            "ReserveZoneId": number,
            "ReserveZoneName": "ROS",
            **prices,
            **amounts,
        }

    answer = {"FinalHourlyReservePrices": {"FinalHourlyReservePrice": [zone(7000), zone(7001), zone(7009)]}}
    found = read(answer, dataset("isone_asm_rt60"))
    assert found.frame.select("iso_location_id", "iso_location_type").unique().sort("iso_location_id").rows() == [
        ("7000", "SYSTEM"),
        ("7001", "ZONE"),
    ]
    assert found.frame["price_mcp"].unique().to_list() == [0.0], "a zero is a price"
    assert found.unplaced["value"].unique().to_list() == ["7009"]


@pytest.mark.parametrize("kind", [*TYPES, "MOON NODE"])
def test_the_registry_keeps_the_native_word(kind: str) -> None:
    place = {"LocationID": 32, "LocationName": "A    B", "LocationType": kind, "AreaType": "INTERNAL"}
    found = read({"Locations": {"Location": [place]}}, dataset("isone_pnode"))
    columns = ("iso_location_id", "iso_location_name", "iso_location_type", "location_type_native", "effective_start")
    known = [("32", "A    B", TYPES[kind].value, kind, None)] if kind in TYPES else []
    assert found.frame.select(columns).rows() == known
    assert set(found.unplaced["value"]) == (set() if known else {"MOON NODE"})
