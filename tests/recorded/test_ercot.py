"""Recorded answers of ERCOT, read as a user would read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.forms import wanted
from aurum_etl.adapters.ercot.load import FORECAST
from aurum_etl.errors import SourceChanged, SourceUnavailable
from aurum_etl.reading import read_to_frame
from tests.recorded import frame_of, recorded


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def one(frame: pl.DataFrame, column: str, **of: object) -> object:
    """The one value that these words single out."""
    (value,) = frame.filter(pl.all_horizontal(pl.col(name) == word for name, word in of.items())).get_column(column)
    return value


def worst_sum(frame: pl.DataFrame, value: str) -> float:
    """How far the whole is from the sum of its parts, at worst."""
    wide = frame.pivot("iso_location_id", index=["interval_start"], values=value)
    parts = wide.drop("interval_start", "ERCOT").sum_horizontal()
    worst = (parts - wide.get_column("ERCOT")).abs().max()
    assert isinstance(worst, float)
    return worst


def test_day_ahead_prices_fill_their_day() -> None:
    file = recorded("ercot", "np4-190-cd_dam_spp_hubavg_2026-09-23.json")
    if file is None:
        return
    frame = frame_of("ercot_lmp", [file])
    assert (len(frame), frame["iso_location_id"].unique().to_list()) == (24, ["HB_HUBAVG"])
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2026, 9, 23, 5), utc(2026, 9, 24, 5))
    assert one(frame, "price_total", interval_start=utc(2026, 9, 23, 5)) == 37.9
    assert one(frame, "price_total", interval_start=utc(2026, 9, 24, 4)) == 35.97
    assert set(frame["iso_location_type"]) == {"HUB"}
    parts = frame.select("price_energy", "price_congestion", "price_loss", "price_ghg", "revision", "published_at")
    assert set(parts.null_count().row(0)) == {24}


def test_the_day_that_falls_back_has_its_hour_twice() -> None:
    file = recorded("ercot", "np4-190-cd_dam_spp_hubavg_2025-11-02_dst_fall.json")
    if file is None:
        return
    frame = frame_of("ercot_lmp", [file])
    assert len(frame) == 25
    starts = frame["interval_start"]
    assert starts.diff().drop_nulls().unique().to_list() == [timedelta(hours=1)]
    assert (starts.min(), frame["interval_end"].max()) == (utc(2025, 11, 2, 5), utc(2025, 11, 3, 6))
    # By default the flag marks the second of the two, whatever their order.
    assert frame["price_total"].to_list()[:4] == [56.16, 46.44, 48.25, 52.27]


def test_actual_load_adds_up() -> None:
    file = recorded("ercot", "np6-345-cd_actual_load_wzn_2023-11-17.zip")
    if file is None:
        return
    frame = frame_of("ercot_load", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (9 * 24, 9)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2023, 11, 17, 6), utc(2023, 11, 18, 6))
    assert one(frame, "load_mw", iso_location_id="NORTH_C", interval_start=utc(2023, 11, 17, 7)) == 9907.13
    assert one(frame, "load_mw", iso_location_id="ERCOT", interval_start=utc(2023, 11, 17, 6)) == 38647.6
    assert frame["published_at"].unique().to_list() == [utc(2023, 11, 18, 11, 50)]
    assert set(frame["load_native"]) == {"act_sys_load_by_wzn"}
    assert worst_sum(frame, "load_mw") < 0.021


@pytest.mark.parametrize(
    ("name", "model", "places", "posted", "first", "end"),
    [
        (
            "np3-560-cd_load_forecast_fzone_2025-03-13T1230.zip",
            "NP3-560-CD",
            5,
            utc(2025, 3, 13, 17, 30),
            utc(2025, 3, 13, 5),
            utc(2025, 3, 21, 5),
        ),
        (
            "np3-561-cd_load_forecast_wzn_2023-11-19T2330.zip",
            "NP3-561-CD",
            9,
            utc(2023, 11, 20, 5, 30),
            utc(2023, 11, 19, 6),
            utc(2023, 11, 27, 6),
        ),
    ],
)
def test_a_load_forecast_is_one_version_of_eight_days(
    name: str, model: str, places: int, posted: datetime, first: datetime, end: datetime
) -> None:
    file = recorded("ercot", name)
    if file is None:
        return
    frame = frame_of("ercot_load_forecast", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (192 * places, places)
    assert (set(frame["forecast_model"]), set(frame["published_at"])) == ({model}, {posted})
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (first, end)
    assert worst_sum(frame, "load_mw") < 1e-9


def test_forecast_load_is_not_rounded() -> None:
    by_forecast_zone = recorded("ercot", "np3-560-cd_load_forecast_fzone_2025-03-13T1230.zip")
    by_weather_zone = recorded("ercot", "np3-561-cd_load_forecast_wzn_2023-11-19T2330.zip")
    if by_forecast_zone is None or by_weather_zone is None:
        return
    frame = frame_of("ercot_load_forecast", [by_forecast_zone])
    first = {"interval_start": utc(2025, 3, 13, 5)}
    assert one(frame, "load_mw", iso_location_id="North", **first) == 13005.493749755861875
    assert one(frame, "load_mw", iso_location_id="ERCOT", **first) == 43797.76989746094
    frame = frame_of("ercot_load_forecast", [by_weather_zone])
    assert one(frame, "load_mw", iso_location_id="SouthCentral", interval_start=utc(2023, 11, 19, 7)) == 5709.6299


@pytest.mark.parametrize(
    ("name", "models", "places", "posted"),
    [
        (
            "np4-732-cd_wind_hourly_2025-03-13T1355.zip",
            {"STWPF", "WGRPP"},
            {"ERCOT", "LZ_NORTH", "LZ_SOUTH_HOUSTON", "LZ_WEST"},
            utc(2025, 3, 13, 18, 55, 9),
        ),
        (
            "np4-737-cd_solar_hourly_2025-03-13T1355.zip",
            {"STPPF", "PVGRPP"},
            {"ERCOT"},
            utc(2025, 3, 13, 18, 55, 8),
        ),
    ],
)
def test_wind_and_sun_are_one_version_of_nine_days(
    name: str, models: set[str], places: set[str], posted: datetime
) -> None:
    file = recorded("ercot", name)
    if file is None:
        return
    frame = frame_of("ercot_renewable_forecast", [file])
    assert len(frame) == 216 * len(models) * len(places)
    assert (set(frame["forecast_model"]), set(frame["iso_location_id"])) == (models, places)
    assert set(frame["published_at"]) == {posted}
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2025, 3, 11, 18), utc(2025, 3, 20, 18))


def test_wind_adds_up_and_keeps_its_values() -> None:
    file = recorded("ercot", "np4-732-cd_wind_hourly_2025-03-13T1355.zip")
    if file is None:
        return
    frame = frame_of("ercot_renewable_forecast", [file]).filter(pl.col("forecast_model") == "STWPF")
    first = {"interval_start": utc(2025, 3, 11, 18)}
    assert one(frame, "generation_mw", iso_location_id="ERCOT", **first) == 17404.1
    assert one(frame, "generation_mw", iso_location_id="LZ_WEST", **first) == 12044.5
    assert worst_sum(frame, "generation_mw") < 1e-9


def test_the_fuel_mix_is_a_day_and_the_morning_after() -> None:
    file = recorded("ercot", "dashboard_fuel-mix_2025-10-08.json")
    if file is None:
        return
    frame = frame_of("ercot_genmix", [file])
    assert (len(frame), frame["fuel_native"].n_unique(), frame["interval_start"].n_unique()) == (369 * 8, 8, 369)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (
        utc(2025, 10, 8, 5),
        utc(2025, 10, 9, 11, 45),
    )
    assert frame["interval_start"].unique().sort().diff().drop_nulls().unique().to_list() == [timedelta(minutes=5)]
    first = {"interval_start": utc(2025, 10, 8, 5)}
    assert one(frame, "generation_mw", fuel_native="Natural Gas", **first) == 31533.843124389652
    assert one(frame, "fuel_type", fuel_native="Coal and Lignite", **first) == "COAL"
    storage = frame.filter(pl.col("fuel_type") == "STORAGE")["generation_mw"]
    assert storage.min() == pytest.approx(1.25487339496613), "discharge alone"


def test_the_list_of_settlement_points_has_each_of_them_once() -> None:
    file = recorded("ercot", "settlement_points_list_2024-11-11.csv")
    if file is None:
        return
    frame = frame_of("ercot_pnode", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (864, 864)
    assert dict(frame["location_type_native"].value_counts().rows()) == {
        "RESOURCE_NODE": 855,
        "HUB": 5,
        "SETTLEMENT_LOAD_ZONE": 4,
    }
    assert frame["hub"].drop_nulls().len() == 84
    assert one(frame, "zone", iso_location_id="AEEC") == "LZ_WEST"


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("mis_np3-560_lfc_by_forecast_zone_list_2025-03-13.json", "1085273815"),
        ("mis_np4-732_wind_list_2025-03-13.json", None),
    ],
)
def test_a_list_of_mis_has_every_document_twice_and_each_is_wanted_once(name: str, newest: str | None) -> None:
    """Nothing was posted between 02:00 and 03:00 of the day that springs forward."""
    file = recorded("ercot", name)
    if file is None:
        return
    report = FORECAST.feed.reports[0]
    found = forms.listed(file.read_bytes(), "here")
    documents = wanted(found, report)
    assert (len(found), len(documents)) == (360, 180)
    assert newest in (None, documents[-1].id)
    assert documents[-1].posted.isoformat()[:13] == "2025-03-13T12"
    hours = [each.posted.hour for each in documents if each.posted.isoformat().startswith("2025-03-09")]
    assert hours == [0, 1, *range(3, 24)]
    with pytest.raises(SourceChanged, match="a list of 360 documents"):
        read_to_frame("ercot_load_forecast", [file])


def test_a_list_of_the_archive_is_read() -> None:
    """Of a product that is none of ours, and the only one that was recorded."""
    file = recorded("ercot", "np3-911-er_archive_list_2024-11-03_dst_fall.json")
    if file is None:
        return
    (found,) = forms.listed(file.read_bytes(), "here")
    assert (found.id, found.name, found.posted.isoformat()) == (
        "1049861718",
        "2_Day_AS_Disclosure",
        "2024-11-05T03:16:10",
    )


@pytest.mark.parametrize(
    "name",
    [
        "dashboard_energy-storage-resources_2025-10-08.json",  # net of charging, and no generation by fuel
        "dashboard_energy-storage-resources_2025-11-09T1532.json",  # the same
        "dashboard_system-wide-demand_2024-11-24.json",  # 26 hours of load, which NP6-345 has too
        "np3-911-er_archive_download_1049861718_2024-11-03_dst_fall.zip",  # offers and awards of single days
        "native_load_2022.xlsx",  # a workbook of a year
        "public-reports_product_list_2026-01.json",  # products, and no values
        "legacy_real_time_system_conditions.html",  # a page that is no more
    ],
)
def test_what_belongs_to_no_dataset_is_refused(name: str) -> None:
    file = recorded("ercot", name)
    if file is None:
        return
    for dataset in ("ercot_lmp", "ercot_load", "ercot_genmix", "ercot_asm"):
        with pytest.raises((SourceChanged, SourceUnavailable), match=r"expected|is missing|html page"):
            read_to_frame(dataset, [file])


def test_every_recorded_file_is_read_here() -> None:
    manifest = recorded("ercot", "MANIFEST.csv")
    if manifest is None:
        return
    here = Path(__file__).read_text()
    names = sorted(each.name for each in manifest.parent.iterdir() if each != manifest)
    assert [each for each in names if each not in here] == []
