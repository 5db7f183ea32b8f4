"""Recorded answers of PJM, read as a user would read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from aurum_etl.errors import SourceChanged
from aurum_etl.reading import read_to_frame
from tests.recorded import frame_of, recorded


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def one(frame: pl.DataFrame, column: str, **of: object) -> object:
    """The one value that these words single out."""
    (value,) = frame.filter(pl.all_horizontal(pl.col(name) == word for name, word in of.items())).get_column(column)
    return value


@pytest.mark.parametrize(
    ("dataset", "name", "rows", "places", "first", "end", "worst"),
    [
        (
            "pjm_lmp",
            "da_hrl_lmps_da_12hubs_2025-05-01_2025-07-31.csv",
            26_508,
            12,
            utc(2025, 5, 1, 4),
            utc(2025, 8, 1, 5),
            2e-6,
        ),
        (
            "pjm_lmp",
            "da_hrl_lmps_da_rto_zone_2025.csv",
            8_737,
            1,
            utc(2025, 1, 1, 5),
            utc(2025, 12, 31, 6),
            2e-6,
        ),
        (
            "pjm_lmp",
            "da_hrl_lmps_da_2024-02-20_envelope_2items.json",
            2,
            2,
            utc(2024, 2, 20, 5),
            utc(2024, 2, 20, 6),
            2e-6,
        ),
        (
            "pjm_lmp_rt60",
            "rt_hrl_lmps_rt_12hubs_2025-05-01_2025-07-31.csv",
            26_508,
            12,
            utc(2025, 5, 1, 4),
            utc(2025, 8, 1, 5),
            0.0101,
        ),
        (
            "pjm_lmp_rt60",
            "rt_hrl_lmps_rt_rto_zone_2024_with_revisions.csv",
            8_784,
            1,
            utc(2024, 1, 1, 5),
            utc(2025, 1, 1, 5),
            0.0101,
        ),
        (
            "pjm_lmp_rt60",
            "rt_hrl_lmps_rt_2024-02-20_envelope_2items.json",
            2,
            2,
            utc(2024, 2, 20, 5),
            utc(2024, 2, 20, 6),
            0.0101,
        ),
    ],
)
def test_prices_tile_their_days_and_add_up(
    dataset: str, name: str, rows: int, places: int, first: datetime, end: datetime, worst: float
) -> None:
    """The ends of a filter count, so that exports have one interval too many."""
    file = recorded("pjm", name)
    if file is None:
        return
    frame = frame_of(dataset, [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (rows, places)
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (first, end)
    assert rows == places * ((end - first) // timedelta(hours=1))
    off = frame["price_total"] - frame["price_energy"] - frame["price_congestion"] - frame["price_loss"]
    assert off.abs().max() <= worst  # type: ignore[operator]


def test_a_price_keeps_its_six_decimals() -> None:
    file = recorded("pjm", "da_hrl_lmps_da_2024-02-20_envelope_2items.json")
    if file is None:
        return
    frame = frame_of("pjm_lmp", [file])
    rto = {"iso_location_id": "1", "interval_start": utc(2024, 2, 20, 5)}
    assert one(frame, "price_total", **rto) == 23.632196
    assert one(frame, "price_energy", **rto) == 23.49
    assert one(frame, "iso_location_name", **rto) == "PJM-RTO"


def test_the_newest_version_of_a_corrected_day_counts() -> None:
    """2024-03-05 stands twice in the file."""
    file = recorded("pjm", "rt_hrl_lmps_rt_rto_zone_2024_with_revisions.csv")
    if file is None:
        return
    frame = frame_of("pjm_lmp_rt60", [file])
    corrected = frame.filter(pl.col("revision") == "2")
    assert len(corrected) == 24
    assert {str(day) for day in corrected["operating_date"]} == {"2024-03-05"}


def test_change_days_have_all_their_hours() -> None:
    file = recorded("pjm", "da_hrl_lmps_da_rto_zone_2025.csv")
    if file is None:
        return
    hours = dict(frame_of("pjm_lmp", [file])["operating_date"].cast(pl.String).value_counts().rows())
    assert (hours["2025-03-09"], hours["2025-11-02"], hours["2025-07-14"]) == (23, 25, 24)


def test_metered_load_has_its_total_among_its_parts() -> None:
    file = recorded("pjm", "hrl_load_metered_all_areas_2019-11_dst_fall.csv")
    if file is None:
        return
    frame = frame_of("pjm_load", [file])
    assert (len(frame), frame["interval_start"].n_unique(), frame["iso_location_id"].n_unique()) == (20_910, 697, 30)
    first = {"interval_start": utc(2019, 11, 1, 5)}
    assert one(frame, "load_mw", iso_location_id="AECO", **first) == 743.433
    assert one(frame, "iso_location_type", iso_location_id="RTO", **first) == "SYSTEM"
    hours = frame.filter(pl.col("iso_location_id") == "RTO")["operating_date"].cast(pl.String).value_counts()
    assert dict(hours.rows())["2019-11-03"] == 25
    whole = recorded("pjm", "hrl_load_metered_rto_2025.csv")
    assert whole is not None
    assert len(frame_of("pjm_load", [whole])) == 8_760


def test_instantaneous_load_keeps_its_instants() -> None:
    file = recorded("pjm", "inst_load_aep_2026-07-07.csv")
    if file is None:
        return
    frame = frame_of("pjm_load_rt5", [file])
    assert (len(frame), frame["interval_start"].n_unique()) == (288, 288)
    assert one(frame, "load_mw", interval_start=utc(2026, 7, 8, 4)) == 17961.5371
    assert (frame["interval_start"] == frame["interval_end"]).all()


def test_a_forecast_is_one_version_of_seven_days() -> None:
    file = recorded("pjm", "load_frcstd_7_day_2025-03-19_download_true.json.gz")
    if file is None:
        return
    frame = frame_of("pjm_load_forecast", [file])
    assert len(frame) == 168
    assert frame["published_at"].unique().to_list() == [utc(2025, 3, 19, 9, 17, 53)]
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2025, 3, 19, 4), utc(2025, 3, 26, 4))
    assert one(frame, "load_mw", interval_start=utc(2025, 3, 19, 4)) == 76_305.0


def test_wind_and_sun_have_a_version_every_ten_minutes_and_every_hour() -> None:
    sun = recorded("pjm", "hourly_solar_power_forecast_2025-02-24.json")
    wind = recorded("pjm", "hourly_wind_power_forecast_2025-02-24.json")
    if sun is None or wind is None:
        return
    frame = frame_of("pjm_renewable_forecast", [sun, wind])
    assert len(frame) == 2 * 1_061 + 5_896
    assert dict(frame["fuel_native"].value_counts().rows()) == {
        "solar_forecast_mwh": 1_061,
        "solar_forecast_btm_mwh": 1_061,
        "wind_forecast_mwh": 5_896,
    }
    assert frame["published_at"].null_count() == 0


def test_the_fuel_mix_has_as_many_fuels_as_there_are() -> None:
    old, new = recorded("pjm", "gen_by_fuel_2021-09.csv"), recorded("pjm", "gen_by_fuel_2025-02-09.json")
    if old is None or new is None:
        return
    frame = frame_of("pjm_genmix", [old])
    assert (len(frame), frame["fuel_native"].n_unique(), frame["interval_start"].n_unique()) == (7_931, 11, 721)
    frame = frame_of("pjm_genmix", [new])
    assert (len(frame), frame["fuel_native"].n_unique()) == (220, 10)
    assert one(frame, "generation_mw", fuel_native="Coal", interval_start=utc(2025, 2, 9)) == 16_908.0
    assert one(frame, "fuel_type", fuel_native="Multiple Fuels", interval_start=utc(2025, 2, 9)) == "MULTIPLE"


def test_the_registry_has_every_kind_of_node() -> None:
    file = recorded("pjm", "pnode_all_2019-12-15.csv")
    if file is None:
        return
    frame = frame_of("pjm_pnode", [file])
    assert (len(frame), frame["iso_location_id"].n_unique()) == (12_708, 12_708)
    assert dict(frame["location_type_native"].value_counts().rows()) == {
        "LOAD": 10_004,
        "GEN": 2_124,
        "AGGREGATE": 289,
        "EHV": 135,
        "EXT": 77,
        "RESIDUAL_METERED_EDC": 28,
        "ZONE": 23,
        "INTERFACE": 16,
        "HUB": 12,
    }
    assert frame["effective_end"].null_count() == len(frame), "all are active"
    assert one(frame, "effective_start", iso_location_id="1") == utc(2017, 9, 8, 4)


@pytest.mark.parametrize(
    "name",
    [
        "five_min_solar_power_forecast_2024-10-01.json",
        "da_marginal_value_da_2023-11-05_dst_fall.json",
        "ops_sum_prev_period_2019.csv",
        "wind_gen_rto_2025.csv",
    ],
)
def test_what_belongs_to_no_dataset_is_refused_by_its_columns(name: str) -> None:
    file = recorded("pjm", name)
    if file is None:
        return
    for dataset in ("pjm_lmp", "pjm_genmix", "pjm_load"):
        with pytest.raises(SourceChanged, match="expected"):
            read_to_frame(dataset, [file])
