"""Recorded answers of ISO-NE, read as a user would read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from aurum_etl.errors import SourceChanged
from aurum_etl.reading import read_to_frame
from tests.recorded import SHARED, frame_of, recorded


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def one(frame: pl.DataFrame, column: str, **of: object) -> object:
    """The one value that these words single out."""
    (value,) = frame.filter(pl.all_horizontal(pl.col(name) == word for name, word in of.items())).get_column(column)
    return value


Of = tuple[str, int, datetime, datetime]

# Dataset, rows, first instant and the instant after the last interval.
READ: dict[str, Of] = {
    "csv_WW_DALMP_ISO_20260604.csv": ("isone_lmp", 29_016, utc(2026, 6, 4, 4), utc(2026, 6, 5, 4)),
    "csv_lmp_rt_final_20260602.csv": ("isone_lmp_rt60", 29_064, utc(2026, 6, 2, 4), utc(2026, 6, 3, 4)),
    "ws_fiveminutelmp_current_20260727_reformatted.json": (
        "isone_lmp_rt5",
        16,
        utc(2026, 7, 27, 21, 25),
        utc(2026, 7, 27, 21, 30),
    ),
    "ws_fiveminutesystemload_current_20260727_reformatted.json": (
        "isone_load_rt5",
        5,
        utc(2026, 7, 27, 21, 20),
        utc(2026, 7, 27, 21, 25),
    ),
    "ws_daasreservedata_day_20251001_reformatted.json": (
        "isone_asm",
        5 * 24,
        utc(2025, 10, 1, 4),
        utc(2025, 10, 2, 4),
    ),
    "ws_fiveminutercp_day_20251003_reformatted.json": (
        "isone_asm_rt5",
        2 * 114,
        utc(2025, 10, 3, 4),
        utc(2025, 10, 3, 13, 30),
    ),
    "ws_fiveminutercp_current_20251003_reformatted.json": (
        "isone_asm_rt5",
        2,
        utc(2025, 10, 3, 13, 25),
        utc(2025, 10, 3, 13, 30),
    ),
    "csv_wphf_20250225.csv": ("isone_renewable_forecast", 168, utc(2025, 2, 25, 15), utc(2025, 3, 4, 15)),
    "csv_sphf_20250225.csv": ("isone_renewable_forecast", 168, utc(2025, 2, 25, 15), utc(2025, 3, 4, 15)),
    **{
        f"ws_{market}hourlydemand_{day}_loc{zone}.json": ("isone_load", hours, first, end)
        for market in ("dayahead", "realtime")
        for day, hours, first, end in (
            ("20240309", 24, utc(2024, 3, 9, 5), utc(2024, 3, 10, 5)),
            ("20240310", 23, utc(2024, 3, 10, 5), utc(2024, 3, 11, 4)),
            ("20241006", 24, utc(2024, 10, 6, 4), utc(2024, 10, 7, 4)),
            ("20241102", 24, utc(2024, 11, 2, 4), utc(2024, 11, 3, 4)),
            ("20241103", 25, utc(2024, 11, 3, 4), utc(2024, 11, 4, 5)),
        )
        for zone in (4001, 4002)
        # Of the change days one zone was recorded.
        if zone == 4001 or hours == 24
    },
    **{
        f"ws_{name}.json": ("isone_load", 1, first, first.replace(hour=first.hour + 1))
        for name, first in {
            "dayaheadhourlydemand_current_20241017_1634_loc32": utc(2024, 10, 17, 20),
            "dayaheadhourlydemand_current_20241017_5b93_loc32": utc(2024, 10, 17, 21),
            "dayaheadhourlydemand_current_20241125_0891_loc32": utc(2024, 11, 25, 21),
            "dayaheadhourlydemand_current_20241125_6526_loc32": utc(2024, 11, 25, 20),
            "realtimehourlydemand_current_20241014_8447_loc4001": utc(2024, 10, 15, 3),
            "realtimehourlydemand_current_20241015_01e7_loc4002": utc(2024, 10, 16, 3),
            "realtimehourlydemand_current_20241015_940b_loc4001": utc(2024, 10, 16, 3),
            "realtimehourlydemand_current_20241120_6854_loc4002": utc(2024, 11, 21, 4),
        }.items()
    },
    "ws_hourlysysload_20240309.json": ("isone_load", 3 * 24, utc(2024, 3, 9, 5), utc(2024, 3, 10, 5)),
    "ws_hourlysysload_20241102.json": ("isone_load", 3 * 24, utc(2024, 11, 2, 4), utc(2024, 11, 3, 4)),
    "ws_hourlysysload_20241103.json": ("isone_load", 3 * 25, utc(2024, 11, 3, 4), utc(2024, 11, 4, 5)),
    "ws_hourlysysload_current_20241125_24ba.json": ("isone_load", 3, utc(2024, 11, 25, 19), utc(2024, 11, 25, 20)),
    "ws_hourlysysload_current_20241125_879d.json": ("isone_load", 3, utc(2024, 11, 25, 20), utc(2024, 11, 25, 21)),
    **{
        f"ws_{name}_{day}.json": ("isone_load_forecast", rows, first, end)
        for day, first, end, *counts in (
            ("20230501", utc(2023, 5, 1, 4), utc(2023, 5, 2, 4), 9 * 24, 1_200),
            ("20240309", utc(2024, 3, 9, 5), utc(2024, 3, 10, 5), 6 * 24, 1_040),
            ("20241102", utc(2024, 11, 2, 4), utc(2024, 11, 3, 4), 9 * 24, 1_512),
            ("20241103", utc(2024, 11, 3, 4), utc(2024, 11, 4, 5), 7 * 25, 1_264),
        )
        for name, rows in zip(("hourlyloadforecast", "reliabilityregionloadforecast"), counts, strict=True)
    },
    "ws_hourlyloadforecast_current_20260727_reformatted.json": (
        "isone_load_forecast",
        1,
        utc(2026, 7, 30, 3),
        utc(2026, 7, 30, 4),
    ),
    **{
        f"ws_genfuelmix_{name}.json": ("isone_genmix", rows, first, last)
        for name, rows, first, last in (
            ("20240101", 2_043, utc(2024, 1, 1, 5, 0, 14), utc(2024, 1, 2, 4, 59, 57)),
            ("20240309", 2_098, utc(2024, 3, 9, 5, 5, 34), utc(2024, 3, 10, 4, 58, 13)),
            ("20241102", 1_621, utc(2024, 11, 2, 4, 8, 2), utc(2024, 11, 3, 3, 57, 49)),
            ("20241103", 2_154, utc(2024, 11, 3, 4, 8, 35), utc(2024, 11, 4, 4, 58, 37)),
            ("current_20241104_2049", 10, utc(2024, 11, 4, 20, 5, 14), utc(2024, 11, 4, 20, 5, 14)),
            ("current_20241125_54d0", 9, utc(2024, 11, 25, 21, 7, 59), utc(2024, 11, 25, 21, 7, 59)),
            ("current_20260727_reformatted", 10, utc(2026, 7, 27, 21, 23, 19), utc(2026, 7, 27, 21, 23, 19)),
        )
    },
    **{
        f"ws_hourly{name}_reformatted.json": ("isone_asm_rt60", 3 * rows, first, end)
        for name, rows, first, end in (
            ("finalreserveprice_day_20251001", 96, utc(2025, 10, 1, 4), utc(2025, 10, 2, 4)),
            ("finalreserveprice_current_20251001", 4, utc(2025, 10, 2, 3), utc(2025, 10, 2, 4)),
            ("finalreserveprice_current_reserveZone_7000_20251001", 1, utc(2025, 10, 2, 3), utc(2025, 10, 2, 4)),
            ("prelimreserveprice_day_20251001_reserveZone_7000", 24, utc(2025, 10, 1, 4), utc(2025, 10, 2, 4)),
            ("prelimreserveprice_current_20251003", 4, utc(2025, 10, 3, 12), utc(2025, 10, 3, 13)),
            ("prelimreserveprice_current_reserveZone_7000_20251003", 1, utc(2025, 10, 3, 12), utc(2025, 10, 3, 13)),
        )
    },
}
REGISTRIES = {"ws_locations.json": 19, "ws_locations_all_20260727_reformatted.json": 1_302}
NOTHING = {
    "ws_hourlyfinalreserveprice_current_locationType_ZONE_20251003_reformatted.json": "isone_asm_rt60",
}

OTHER_FACTS = "of no kind that the contract has"
FRESHNESS = "when a resource was last written, and none of what it holds"
ALWAYS_EMPTY = "a resource that was empty whenever it was asked for"
DASHBOARD = "the dashboard's own feed, which says under other names what a service says"
# Reason, and the dataset that is nearest to it and refuses it.
UNUSED = {
    "csv_hbdayaheadenergyoffer_20250625.csv": (OTHER_FACTS, "isone_lmp"),
    "csv_hbrealtimeenergyoffer_20250626.csv": (OTHER_FACTS, "isone_lmp_rt60"),
    "ws_actualinterchange_current_20260727_reformatted.json": (OTHER_FACTS, "isone_load"),
    "ws_daasreservedata_info_20251003_reformatted.json": (FRESHNESS, "isone_asm"),
    "ws_daasstrikeprices_day_20251001_reformatted.json": (OTHER_FACTS, "isone_asm"),
    "ws_dayaheadconstraints_current_20260727_reformatted.json": (OTHER_FACTS, "isone_lmp"),
    "ws_dayaheadhourlyoperatingreserve_current_all_20251003_reformatted.json": (ALWAYS_EMPTY, "isone_asm"),
    "ws_dayaheadhourlyoperatingreserve_info_20251003_reformatted.json": (FRESHNESS, "isone_asm"),
    "ws_fifteenminutelmp_final_current_20260727_reformatted.json": (ALWAYS_EMPTY, "isone_lmp_rt5"),
    "ws_fiveminutelmp_info_20260727_reformatted.json": (FRESHNESS, "isone_lmp_rt5"),
    "ws_fiveminutercp_info_20251003_reformatted.json": (FRESHNESS, "isone_asm_rt5"),
    "ws_genfuelmix_info_20260727_reformatted.json": (FRESHNESS, "isone_genmix"),
    "ws_morningreport_20160101_reformatted.json": (OTHER_FACTS, "isone_load_forecast"),
    "ws_morningreport_current_20260727_reformatted.json": (OTHER_FACTS, "isone_load_forecast"),
    "ws_realtimehourlyoperatingreserve_current_all_20251003_reformatted.json": (ALWAYS_EMPTY, "isone_asm_rt60"),
    "ws_sevendayforecast_20170131_reformatted.json": (OTHER_FACTS, "isone_load_forecast"),
    "wsclient_externalflow_hq_20250326.json": (DASHBOARD, "isone_load"),
    "wsclient_externalflow_nb_20250326.json": (DASHBOARD, "isone_load"),
    "wsclient_systemload_20250317.json": (DASHBOARD, "isone_load_rt5"),
}


def test_every_recorded_file_is_read_or_said_not_to_be() -> None:
    if recorded("isone", "MANIFEST.csv") is None:
        return
    names = {path.name for path in (SHARED / "payloads" / "isone").iterdir()} - {"MANIFEST.csv"}
    assert names == {*READ, *REGISTRIES, *NOTHING, *UNUSED}


@pytest.mark.parametrize("name", READ)
def test_a_file_has_its_rows_and_its_span(name: str) -> None:
    file = recorded("isone", name)
    if file is None:
        return
    dataset, rows, first, end = READ[name]
    frame = frame_of(dataset, [file])
    assert (len(frame), frame["interval_start"].min(), frame["interval_end"].max()) == (rows, first, end)
    assert frame.select(pl.struct("series_id", "interval_start", "published_at").is_unique().all()).item()


@pytest.mark.parametrize(
    ("name", "dataset"),
    [pytest.param(name, dataset, id=f"{name}, {reason}") for name, (reason, dataset) in UNUSED.items()],
)
def test_what_belongs_to_no_dataset_is_refused(name: str, dataset: str) -> None:
    file = recorded("isone", name)
    if file is None:
        return
    with pytest.raises(SourceChanged, match=r"expected|missing|none of the forms"):
        read_to_frame(dataset, [file])


@pytest.mark.parametrize("name", NOTHING)
def test_an_empty_object_is_no_data(name: str) -> None:
    file = recorded("isone", name)
    if file is None:
        return
    found = read_to_frame(NOTHING[name], [file])
    assert (len(found.table), len(found.nothing)) == (0, 1)
    assert "the answer is an empty FinalHourlyReservePrices" in found.nothing[0]


@pytest.mark.parametrize(
    ("name", "places", "mark", "hub", "last"),
    [
        (
            "csv_WW_DALMP_ISO_20260604.csv",
            {"NODE": 1_141 + 32, "AGGREGATE": 20, "ZONE": 8, "INTERFACE": 7, "HUB": 1},
            None,
            (47.82, 47.56, 0.0, 0.26),
            ("77616", "UN.CONGRESS13.8CSFC", 41.93, 43.85, 0.0, -1.92),
        ),
        (
            "csv_lmp_rt_final_20260602.csv",
            {"NODE": 1_143 + 32, "AGGREGATE": 20, "ZONE": 8, "INTERFACE": 7, "HUB": 1},
            "FINAL",
            (34.98, 34.72, 0.0, 0.26),
            ("77305", "UN.TASKERFM34.5NUTS", 42.43, 41.85, 0.0, 0.58),
        ),
    ],
)
def test_a_whole_day_of_prices(
    name: str,
    places: dict[str, int],
    mark: str | None,
    hub: tuple[float, ...],
    last: tuple[str, str, float, float, float, float],
) -> None:
    file = recorded("isone", name)
    if file is None:
        return
    dataset, _, first, _ = READ[name]
    frame = frame_of(dataset, [file])
    kinds = frame.group_by("iso_location_type").agg(pl.col("iso_location_id").n_unique())
    assert dict(kinds.rows()) == places
    assert frame["revision"].unique().to_list() == [mark]
    assert frame.group_by("iso_location_id").len()["len"].unique().to_list() == [24]
    prices = ("price_total", "price_energy", "price_congestion", "price_loss")
    at_the_hub = {"iso_location_id": "4000", "interval_start": first}
    assert tuple(one(frame, column, **at_the_hub) for column in prices) == hub
    at_the_end = frame.filter(pl.col("iso_location_id") == last[0]).sort("interval_start")
    assert at_the_end.select("iso_location_id", "iso_location_name", *prices).row(-1) == last
    off = frame["price_total"] - frame["price_energy"] - frame["price_congestion"] - frame["price_loss"]
    assert off.abs().max() < 1e-9  # type: ignore[operator]
    energies = frame.group_by("interval_start").agg(pl.col("price_energy").n_unique())
    assert energies["price_energy"].unique().to_list() == [1]
    assert frame["iso_location_name"].str.contains("  ").any(), "runs of blanks are kept"


def test_prices_of_one_market_are_not_those_of_another() -> None:
    day_ahead, final = (
        recorded("isone", f"csv_{each}.csv") for each in ("WW_DALMP_ISO_20260604", "lmp_rt_final_20260602")
    )
    if day_ahead is None or final is None:
        return
    with pytest.raises(SourceChanged, match="expected the title 'Real-Time Energy Market Hourly LMP'"):
        read_to_frame("isone_lmp_rt60", [day_ahead])
    with pytest.raises(SourceChanged, match="expected the title 'Day-Ahead Energy Market Hourly LMP'"):
        read_to_frame("isone_lmp", [final])


def test_the_newest_five_minutes_count_as_preliminary() -> None:
    file = recorded("isone", "ws_fiveminutelmp_current_20260727_reformatted.json")
    if file is None:
        return
    frame = frame_of("isone_lmp_rt5", [file])
    assert dict(frame["iso_location_type"].value_counts().rows()) == {"HUB": 1, "ZONE": 8, "INTERFACE": 7}
    assert frame["revision"].unique().to_list() == ["PRELIM"]
    hub = frame.filter(pl.col("iso_location_id") == "4000")
    assert hub.select("price_total", "price_energy", "price_congestion", "price_loss").rows() == [
        (68.04, 67.88, 0.0, 0.16)
    ]


def test_autumn_has_one_o_clock_twice() -> None:
    """2024-11-03, by offsets."""
    system, zone = (
        recorded("isone", f"ws_{each}.json")
        for each in ("hourlysysload_20241103", "realtimehourlydemand_20241103_loc4001")
    )
    if system is None or zone is None:
        return
    frame = frame_of("isone_load", [system, zone])
    second = {"interval_start": utc(2024, 11, 3, 6)}
    assert one(frame, "load_mw", load_native="Load", **second) == 9951.317
    assert one(frame, "load_mw", load_native="NativeLoad", **second) == 9625.231
    assert one(frame, "load_mw", load_native="ArdDemand", **second) == 326.086
    assert one(frame, "load_mw", load_native="HourlyRtDemand", **second) == 987.751
    assert one(frame, "series_id", load_native="HourlyRtDemand", **second) == "isone.load.60m.hourlyrtdemand.4001"
    whole = frame.pivot("load_native", index="interval_start", values="load_mw")
    assert whole.select(((pl.col("Load") - pl.col("NativeLoad") - pl.col("ArdDemand")).abs() < 1e-6).all()).item()


def test_spring_has_no_two_o_clock() -> None:
    file = recorded("isone", "ws_dayaheadhourlydemand_20240310_loc4001.json")
    if file is None:
        return
    frame = frame_of("isone_load", [file]).sort("interval_start")
    assert frame["interval_start"].diff().drop_nulls().unique().dt.total_minutes().to_list() == [60]
    assert frame["load_mw"].to_list()[:3] == [778.5, 847.4, 786.2]
    assert frame["interval_start"].to_list()[2] == utc(2024, 3, 10, 7)


def test_one_object_is_one_row() -> None:
    file = recorded("isone", "ws_dayaheadhourlydemand_current_20241125_0891_loc32.json")
    if file is None:
        return
    row = frame_of("isone_load", [file]).row(0, named=True)
    assert (row["iso_location_id"], row["iso_location_name"], row["iso_location_type"]) == (
        "32",
        "NEPOOL AREA",
        "SYSTEM",
    )
    assert (row["load_mw"], row["load_type"]) == (14_160.0, "DAY_AHEAD_DEMAND")


def test_five_minute_load_stands_beside_what_is_generated_behind_the_meter() -> None:
    file = recorded("isone", "ws_fiveminutesystemload_current_20260727_reformatted.json")
    if file is None:
        return
    frame = frame_of("isone_load_rt5", [file])
    assert {native: (kind, mw) for native, kind, mw in frame.select("load_native", "load_type", "load_mw").rows()} == {
        "LoadMw": ("SYSTEM", 17031.873),
        "NativeLoad": ("NATIVE", 17004.273),
        "ArdDemand": ("STORAGE", 27.6),
        "SystemLoadBtmPv": ("SYSTEM_BTM", 19358.383),
        "NativeLoadBtmPv": ("NATIVE_BTM", 19330.783),
    }
    assert frame["iso_location_id"].unique().to_list() == ["ISO-NE"]


@pytest.mark.parametrize(("day", "system", "regions"), [("20230501", 9, 8), ("20240309", 6, 6), ("20241103", 7, 7)])
def test_every_vintage_of_a_forecast_is_kept(day: str, system: int, regions: int) -> None:
    files = [
        recorded("isone", f"ws_{each}_{day}.json") for each in ("hourlyloadforecast", "reliabilityregionloadforecast")
    ]
    whole, parts = files
    if whole is None or parts is None:
        return
    frame = frame_of("isone_load_forecast", [whole, parts])
    made = frame.group_by("forecast_model").agg(pl.col("published_at").n_unique())
    assert dict(made.rows()) == {"hourlyloadforecast": system, "reliabilityregionloadforecast": regions}
    kinds = frame.select("forecast_model", "iso_location_type").unique().sort("forecast_model").rows()
    assert kinds == [("hourlyloadforecast", "SYSTEM"), ("reliabilityregionloadforecast", "ZONE")]
    by_vintage = (
        frame.filter(pl.col("forecast_model") == "reliabilityregionloadforecast")
        .group_by("interval_start", "published_at")
        .agg(pl.col("load_mw").sum(), pl.len())
    )
    assert by_vintage["len"].unique().to_list() == [8]
    rounded = (by_vintage["load_mw"] / 10).round() * 10
    assert (by_vintage["load_mw"] - rounded).abs().max() < 0.01, "regions add up to a round forecast"  # type: ignore[operator]


def test_a_forecast_keeps_when_it_was_made() -> None:
    file = recorded("isone", "ws_hourlyloadforecast_20241103.json")
    if file is None:
        return
    frame = frame_of("isone_load_forecast", [file])
    of = {"interval_start": utc(2024, 11, 3, 4)}
    assert one(frame, "load_mw", published_at=utc(2024, 11, 1, 7, 55, 29), **of) == 10_220.0
    assert one(frame, "load_mw", published_at=utc(2024, 11, 3, 14, 18, 12), **of) == 10_160.0


def test_the_fuel_mix_is_what_was_published_and_nothing_else() -> None:
    """2024-11-03: 249 snapshots, of which 57 have no sun."""
    file = recorded("isone", "ws_genfuelmix_20241103.json")
    if file is None:
        return
    frame = frame_of("isone_genmix", [file])
    counts = dict(frame["fuel_native"].value_counts().rows())
    assert (counts["Hydro"], counts["Solar"], counts["Other"]) == (249, 192, 219)
    assert frame["generation_mw"].sum() == 2_471_386.0
    assert (frame["interval_start"] == frame["interval_end"]).all()
    assert one(frame, "generation_mw", fuel_native="Hydro", interval_start=utc(2024, 11, 3, 5, 8)) == 256.0
    assert one(frame, "generation_mw", fuel_native="Wood", interval_start=utc(2024, 11, 4, 4, 58, 37)) == 172.0


def test_batteries_are_a_fuel_now() -> None:
    file = recorded("isone", "ws_genfuelmix_current_20260727_reformatted.json")
    if file is None:
        return
    frame = frame_of("isone_genmix", [file])
    assert one(frame, "fuel_type", fuel_native="Batteries") == "STORAGE"
    assert one(frame, "generation_mw", fuel_native="Batteries") == 228.0
    assert one(frame, "fuel_type", fuel_native="Refuse") == "WASTE"


@pytest.mark.parametrize(
    ("name", "fuel", "made", "noon", "total"),
    [
        ("csv_wphf_20250225.csv", "WIND", utc(2025, 2, 25, 15, 8, 14), 234.0, 102_401.0),
        ("csv_sphf_20250225.csv", "SOLAR", utc(2025, 2, 25, 15, 2, 35), 661.0, 33_796.0),
    ],
)
def test_a_week_of_wind_and_sun(name: str, fuel: str, made: datetime, noon: float, total: float) -> None:
    """It begins with the hour in which it was made, and ends a week later."""
    file = recorded("isone", name)
    if file is None:
        return
    frame = frame_of("isone_renewable_forecast", [file])
    assert frame.select("published_at", "fuel_type").unique().rows() == [(made, fuel)]
    assert one(frame, "generation_mw", interval_start=utc(2025, 2, 25, 15)) == noon
    assert (frame["generation_mw"].sum(), frame["interval_start"].n_unique()) == (total, 168)


def test_day_ahead_services_begin_with_their_hours() -> None:
    file = recorded("isone", "ws_daasreservedata_day_20251001_reformatted.json")
    if file is None:
        return
    frame = frame_of("isone_asm", [file])
    assert frame["interval_start"].n_unique() == 24, "the field that is named after the hour has the midnight"
    last = frame.filter(pl.col("interval_start") == utc(2025, 10, 2, 3))
    assert {row[0]: row[1:] for row in last.select("service_native", "service", "price_mcp", "quantity_mw").rows()} == {
        "TMSR": ("SPINNING", 4.78, 756.5),
        "TMNSR": ("NON_SPINNING", 4.78, 1645.5),
        "TMOR": ("THIRTY_MINUTE", 4.78, 2264.0),
        "FER": ("ENERGY_FORECAST", 4.78, None),
        "EIR": ("ENERGY_FORECAST", None, 656.2),
    }


def test_reserves_have_a_price_and_an_amount_by_zone() -> None:
    final, prelim = (
        recorded("isone", f"ws_hourly{each}_reformatted.json")
        for each in ("finalreserveprice_day_20251001", "prelimreserveprice_day_20251001_reserveZone_7000")
    )
    if final is None or prelim is None:
        return
    frame = frame_of("isone_asm_rt60", [prelim, final])
    assert (len(frame), frame["revision"].unique().to_list()) == (288, ["FINAL"]), (
        "a final row replaces one that is not"
    )
    of = {"interval_start": utc(2025, 10, 1, 22), "service_native": "TMSR"}
    assert one(frame, "price_mcp", iso_location_id="7000", **of) == 0.11
    assert one(frame, "quantity_mw", iso_location_id="7001", **of) == 50.9
    kinds = frame.select("iso_location_id", "iso_location_name", "iso_location_type").unique().sort("iso_location_id")
    assert kinds.rows() == [
        ("7000", "ROS", "SYSTEM"),
        ("7001", "SWCT", "ZONE"),
        ("7002", "CT", "ZONE"),
        ("7003", "NEMABSTN", "ZONE"),
    ]


def test_regulation_that_comes_late_is_put_back_on_the_mark() -> None:
    file = recorded("isone", "ws_fiveminutercp_day_20251003_reformatted.json")
    if file is None:
        return
    late = [each["BeginDate"][16:19] for each in json.loads(file.read_bytes())["FiveMinRcps"]["FiveMinRcp"]]
    assert {":00", ":01", ":05", ":18"} <= set(late)
    frame = frame_of("isone_asm_rt5", [file])
    starts = frame["interval_start"].unique().sort()
    assert starts.diff().drop_nulls().unique().dt.total_minutes().to_list() == [5]
    of = {"interval_start": utc(2025, 10, 3, 4, 5)}
    assert one(frame, "price_mcp", service="REGULATION", **of) == 10.0
    assert one(frame, "price_mcp", service="MILEAGE", **of) == 0.01


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_registry_has_every_kind_of_place(name: str) -> None:
    file = recorded("isone", name)
    if file is None:
        return
    frame = frame_of("isone_pnode", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (REGISTRIES[name], REGISTRIES[name])
    kinds = dict(frame["location_type_native"].value_counts().rows())
    if len(frame) == 19:
        assert kinds == {"HUB": 1, "LOAD ZONE": 8, "EXT. NODE": 6, "RESERVE ZONE": 3, "SYSTEM": 1}
        return
    assert (kinds["NETWORK NODE"], kinds["DISPATCH ZONE"], kinds["EXT. AREA"], len(kinds)) == (1_190, 19, 5, 13)
    assert one(frame, "iso_location_name", iso_location_id="6352") == "HC.AYER    115"
    assert one(frame, "iso_location_type", iso_location_id="9008") == "REGION"
