"""Recorded files of SPP, read as a user would read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


WHOLE_DAY = "DA-LMP-SL-202503190100.csv"
PRICES = [
    ("spp_lmp", WHOLE_DAY, 29_616, 1_234, utc(2025, 3, 19, 5), utc(2025, 3, 20, 5)),
    (
        "spp_lmp",
        "DA-LMP-SL-202511020100_rowsubset_dst_fall.csv",
        56,
        4,
        utc(2025, 11, 2, 5),
        utc(2025, 11, 3, 6),
    ),
    ("spp_lmp", "DA-LMP-SL-202606010100_rowsubset_baa.csv", 12, 6, utc(2026, 6, 1, 5), utc(2026, 6, 1, 7)),
    *(
        (
            "spp_lmp_rt5",
            f"RTBM-LMP-SL-20250331{end:%H%M}.csv",
            1_234,
            1_234,
            end + timedelta(hours=5) - timedelta(minutes=5),
            end + timedelta(hours=5),
        )
        for end in (utc(2025, 3, 31, 8, 40), utc(2025, 3, 31, 8, 50), utc(2025, 3, 31, 8, 55), utc(2025, 3, 31, 9))
    ),
    (
        "spp_lmp_rt5",
        "RTBM-LMP-SL-202606011205_rowsubset_baa.csv",
        6,
        6,
        utc(2026, 6, 1, 17),
        utc(2026, 6, 1, 17, 5),
    ),
    (
        "spp_lmp_rt5",
        "RTBM-LMP-DAILY-SL-20260601_rowsubset_baa.csv",
        138,
        6,
        utc(2026, 6, 1, 5),
        utc(2026, 6, 1, 6, 55),
    ),
]


@pytest.mark.parametrize(("dataset", "name", "rows", "places", "first", "end"), PRICES)
def test_prices_add_up_to_the_last_digit(
    dataset: str, name: str, rows: int, places: int, first: datetime, end: datetime
) -> None:
    file = recorded("spp", name)
    if file is None:
        return
    frame = frame_of(dataset, [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (rows, places)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (first, end)
    off = frame["price_total"] - frame["price_energy"] - frame["price_congestion"] - frame["price_loss"]
    assert off.abs().max() < 1e-9  # type: ignore[operator]


def test_a_whole_day_of_all_locations() -> None:
    """2025-03-19."""
    file = recorded("spp", WHOLE_DAY)
    if file is None:
        return
    frame = frame_of("spp_lmp", [file])
    assert frame.group_by("iso_location_id").len()["len"].unique().to_list() == [24]
    assert frame["operating_date"].cast(pl.String).unique().to_list() == ["2025-03-19"]
    north = {"iso_location_id": "SPPNORTH_HUB", "interval_start": utc(2025, 3, 19, 5)}
    assert one(frame, "price_total", **north) == -5.5147
    assert one(frame, "price_loss", **north) == -0.5996
    assert one(frame, "price_congestion", **north) == -16.6299
    assert one(frame, "price_energy", **north) == 11.7148
    south = {"iso_location_id": "SPPSOUTH_HUB", "interval_start": utc(2025, 3, 20, 4)}
    assert one(frame, "price_total", **south) == 17.9887
    types = dict(frame.unique("iso_location_id")["iso_location_type"].value_counts().rows())
    assert (types["HUB"], sum(types.values())) == (2, 1_234)
    places = frame_of("spp_pnode", [file])
    assert (len(places), places["iso_location_name"].n_unique()) == (1_234, 1_186)
    assert one(places, "iso_location_name", iso_location_id="AEC") == "SOUC"


def test_the_hour_that_comes_twice_has_two_prices() -> None:
    """2025-11-02: the local label is 02:00 both times."""
    file = recorded("spp", "DA-LMP-SL-202511020100_rowsubset_dst_fall.csv")
    if file is None:
        return
    frame = frame_of("spp_lmp", [file]).filter(pl.col("iso_location_id") == "AEC").sort("interval_start")
    assert frame.select("interval_start", "price_total").rows() == [
        (utc(2025, 11, 2, 5), 29.8468),
        (utc(2025, 11, 2, 6), 28.5164),
        (utc(2025, 11, 2, 7), 28.8173),
    ]
    hub = frame_of("spp_lmp", [file]).filter(pl.col("iso_location_id") == "SPPNORTH_HUB")
    assert hub["operating_date"].cast(pl.String).value_counts().rows() == [("2025-11-02", len(hub))]


def test_a_file_that_was_saved_again_by_hand_is_read() -> None:
    """2026-06-01, with two energy prices: the western area's is its own."""
    file = recorded("spp", "DA-LMP-SL-202606010100_rowsubset_baa.csv")
    if file is None:
        return
    frame = frame_of("spp_lmp", [file])
    ciso = {"iso_location_id": "CISO", "interval_start": utc(2026, 6, 1, 5)}
    assert (one(frame, "price_total", **ciso), one(frame, "price_congestion", **ciso)) == (26.721, -0.005)
    assert one(frame, "price_energy", **ciso) == 27.1415
    assert one(frame, "price_energy", iso_location_id="AEC", interval_start=utc(2026, 6, 1, 5)) == 17.4563
    places = frame_of("spp_pnode", [file])
    assert dict(places.select("iso_location_id", "zone").rows()) == {
        "AEC": "SPP",
        "CISO": "SWPW",
        "PSCO": "SWPW",
        "SPPNORTH_HUB": "SPP",
        "SPPSOUTH_HUB": "SPP",
        "SWPW_HUB": "SWPW",
    }


def test_the_file_of_a_day_and_that_of_an_interval_have_the_same_series() -> None:
    """2026-06-01."""
    day = recorded("spp", "RTBM-LMP-DAILY-SL-20260601_rowsubset_baa.csv")
    interval = recorded("spp", "RTBM-LMP-SL-202606011205_rowsubset_baa.csv")
    if day is None or interval is None:
        return
    both = [frame_of("spp_lmp_rt5", [file]) for file in (day, interval)]
    assert set(both[0]["series_id"]) == set(both[1]["series_id"])
    west = {"iso_location_id": "SWPW_HUB"}
    assert one(both[0], "price_total", interval_start=utc(2026, 6, 1, 5), **west) == -39.675
    assert one(both[0], "price_total", interval_start=utc(2026, 6, 1, 6, 50), **west) == -6.7297
    assert one(both[1], "price_total", **west) == -7.0633


def test_reserve_prices_of_a_day_of_25_hours() -> None:
    """2025-11-02, five zones and the system."""
    file = recorded("spp", "DA-MCP-202511020100_dst_fall.csv")
    if file is None:
        return
    frame = frame_of("spp_asm", [file])
    assert (len(frame), frame["series_id"].n_unique()) == (7 * 150, 7 * 6)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2025, 11, 2, 5), utc(2025, 11, 3, 6))
    system = {"iso_location_id": "SPP", "service": "REGULATION_DOWN"}
    assert one(frame, "price_mcp", interval_start=utc(2025, 11, 2, 6), **system) == 11.2307
    assert one(frame, "price_mcp", interval_start=utc(2025, 11, 2, 7), **system) == 24.3397
    types = frame.unique("iso_location_id").select("iso_location_id", "iso_location_type").sort("iso_location_id")
    assert types["iso_location_type"].to_list() == ["ZONE"] * 5 + ["SYSTEM"]


@pytest.mark.parametrize(
    ("name", "zones", "hours", "first", "end", "load"),
    [
        ("HOURLY_LOAD-201501.csv", 16, 744, utc(2015, 1, 1, 6), utc(2015, 2, 1, 6), 5414.428667),
        ("HOURLY_LOAD-201510.csv", 17, 744, utc(2015, 10, 1, 5), utc(2015, 11, 1, 5), 4360.491167),
        ("HOURLY_LOAD-201511.csv", 17, 721, utc(2015, 11, 1, 5), utc(2015, 12, 1, 6), 3683.719417),
        ("HOURLY_LOAD-201603.csv", 17, 743, utc(2016, 3, 1, 6), utc(2016, 4, 1, 5), 3718.201),
        ("HOURLY_LOAD-201607.csv", 17, 744, utc(2016, 7, 1, 5), utc(2016, 8, 1, 5), 5564.763),
        ("HOURLY_LOAD-201612.csv", 17, 744, utc(2016, 12, 1, 6), utc(2017, 1, 1, 6), 4739.324),
    ],
)
def test_a_month_of_load_tiles_its_hours(
    name: str, zones: int, hours: int, first: datetime, end: datetime, load: float
) -> None:
    file = recorded("spp", name)
    if file is None:
        return
    frame = frame_of("spp_load", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (zones * hours, zones)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (first, end)
    assert hours == (end - first) // timedelta(hours=1)
    assert frame["interval_start"].n_unique() == hours
    assert one(frame, "load_mw", iso_location_id="CSWS", interval_start=first) == load


def test_a_load_forecast_of_both_areas() -> None:
    """2026-07-04 10:00, the farthest hours; none of them has an actual yet."""
    file = recorded("spp", "OP-MTLF-202607041000_head_baa.csv")
    if file is None:
        return
    frame = frame_of("spp_load_forecast", [file])
    assert (len(frame), frame["published_at"].unique().to_list()) == (40, [utc(2026, 7, 4, 15)])
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2026, 7, 10, 19), utc(2026, 7, 11, 15))
    last = {"interval_start": utc(2026, 7, 11, 14)}
    assert one(frame, "load_mw", iso_location_id="SPP", **last) == 36_674.0
    assert one(frame, "load_mw", iso_location_id="SWPW", **last) == 2_909.0
    assert len(frame_of("spp_load", [file])) == 0


def test_forecasts_of_the_zones_are_those_of_the_areas() -> None:
    """2026-07-04 10:00; the farthest hour of each file has no values and no area."""
    areas = recorded("spp", "OP-MTRF-202607041000_head_baa.csv")
    zones = recorded("spp", "RF_RESERVE_ZONE-202607041000_head_baa.csv")
    if areas is None or zones is None:
        return
    frame = frame_of("spp_renewable_forecast", [areas, zones])
    assert dict(frame["forecast_model"].value_counts().rows()) == {"MTRF": 2 * 39, "RF_RESERVE_ZONE": 2 * 42}
    assert frame["published_at"].unique().to_list() == [utc(2026, 7, 4, 15)]
    farthest = {"interval_start": utc(2026, 7, 11, 15), "fuel_type": "WIND"}
    assert one(frame, "generation_mw", iso_location_id="SPP", **farthest) == 5_756.51
    of_zones = frame.filter(pl.col("forecast_model") == "RF_RESERVE_ZONE").with_columns(
        area=pl.when(pl.col("iso_location_id") == "21").then(pl.lit("SWPW")).otherwise(pl.lit("SPP"))
    )
    sums = of_zones.group_by("area", "fuel_type", "interval_start").agg(pl.col("generation_mw").sum())
    both = sums.join(
        frame.filter(pl.col("forecast_model") == "MTRF"),
        left_on=["area", "fuel_type", "interval_start"],
        right_on=["iso_location_id", "fuel_type", "interval_start"],
    )
    assert len(both) == len(sums) == 2 * 2 * 7
    assert (both["generation_mw"] - both["generation_mw_right"]).abs().max() < 0.02  # type: ignore[operator]


def test_the_fuel_mix_begins_with_its_year() -> None:
    """2025-01-01, the first two hours."""
    file = recorded("spp", "GenMix_2025_head24rows.csv")
    if file is None:
        return
    frame = frame_of("spp_genmix", [file])
    assert (len(frame), frame["fuel_native"].n_unique()) == (24 * 20, 20)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2025, 1, 1, 6), utc(2025, 1, 1, 8))
    assert {str(day) for day in frame["operating_date"]} == {"2025-01-01"}
    first = frame.filter(pl.col("interval_start") == utc(2025, 1, 1, 6))
    assert one(first, "generation_mw", fuel_native="Coal Self") == 5_978.5
    assert first.filter(pl.col("fuel_type") == "NATURAL_GAS")["generation_mw"].sum() == 7_089.5 + 1_408.0


UNUSED = {
    "DA-BC": "constraints: the contract has no kind for them",
    "DA-FUEL-ON-MARGIN": "fuels at the margin: the contract has no kind for them",
    "DA-VC": "virtual bids: the contract has no kind for them",
    "DA-MC-": "megawatts of the system, whose rows would have the keys of the prices of zone SPP",
    "TieFlows": "interchange: the contract has no kind for it",
    "chart-api_interchange": "interchange: the contract has no kind for it",
    "chart-api_load-forecast": "a chart, which knows neither its area nor when its forecasts were made",
}


@pytest.mark.parametrize("start", UNUSED)
def test_what_belongs_to_no_dataset_is_refused(start: str) -> None:
    if recorded("spp", "MANIFEST.csv") is None:
        return
    files = [path for path in (SHARED / "payloads" / "spp").iterdir() if path.name.startswith(start)]
    assert files
    for file in files:
        for dataset in ("spp_lmp", "spp_lmp_rt5", "spp_asm", "spp_load", "spp_load_rt5", "spp_genmix"):
            with pytest.raises(SourceChanged, match="by its name it is no"):
                read_to_frame(dataset, [file])


def test_every_recorded_file_is_read_or_told() -> None:
    if recorded("spp", "MANIFEST.csv") is None:
        return
    read = {name for _, name, *_ in PRICES} | {
        "DA-MCP-202511020100_dst_fall.csv",
        "GenMix_2025_head24rows.csv",
        "OP-MTLF-202607041000_head_baa.csv",
        "OP-MTRF-202607041000_head_baa.csv",
        "RF_RESERVE_ZONE-202607041000_head_baa.csv",
        *(f"HOURLY_LOAD-{month}.csv" for month in (201501, 201510, 201511, 201603, 201607, 201612)),
    }
    files = {path.name for path in (SHARED / "payloads" / "spp").iterdir()} - {"MANIFEST.csv"}
    assert {name for name in files - read if not name.startswith(tuple(UNUSED))} == set()
    assert read <= files
