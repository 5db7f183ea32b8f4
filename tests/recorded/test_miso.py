"""Recorded answers of MISO, read as a user would read them.

The examples of the Data Exchange are MISO's own, not recordings: their shape is real, and their values are placeholders,
such as a day where an hour was asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from aurum_etl.errors import SourceChanged
from aurum_etl.reading import read_to_frame
from tests.recorded import frame_of, recorded


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_a_day_of_prices_at_three_hubs() -> None:
    """2026-07-14, the evening peak of a hot day."""
    file = recorded("miso", "da_expost_lmp_20260714_trimmed.csv")
    if file is None:
        return
    frame = frame_of("miso_lmp", [file])
    assert len(frame) == 3 * 24
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2026, 7, 14, 5), utc(2026, 7, 15, 5))
    assert frame["iso_location_type"].unique().to_list() == ["HUB"]
    assert frame["price_energy"].null_count() == len(frame), "the file has none, and none is computed"
    illinois = frame.filter(pl.col("iso_location_id") == "ILLINOIS.HUB").sort("interval_start")
    prices = ("price_total", "price_congestion", "price_loss")
    assert illinois.select(prices).row(0) == (36.24, 1.32, 0.3)
    assert illinois.select(prices).row(1) == (28.52, 0.92, -0.03)
    assert illinois.select(prices).row(19) == (624.28, 8.62, 2.64)
    assert illinois.select(prices).row(23) == (62.67, 0.51, -0.96)
    energy = frame.group_by("interval_start").agg(
        spread=(pl.col("price_total") - pl.col("price_congestion") - pl.col("price_loss")).pipe(
            lambda each: each.max() - each.min()
        )
    )
    assert (len(energy), energy["spread"].max() < 0.025) == (24, True)  # type: ignore[operator]
    assert frame["series_id"].unique().sort()[0] == "miso.lmp.da.expost.60m.ILLINOIS.HUB"


def test_prices_after_the_fact_are_not_prices_before_it() -> None:
    file = recorded("miso", "da_expost_lmp_20260714_trimmed.csv")
    if file is None:
        return
    with pytest.raises(SourceChanged, match="expected the title 'Day Ahead Market ExAnte LMPs'"):
        read_to_frame("miso_lmp_exante", [file])
    with pytest.raises(SourceChanged, match="nothing but the name tells a rt_lmp_final"):
        read_to_frame("miso_lmp_rt60", [file])


@pytest.mark.parametrize(
    ("name", "start", "rows"),
    [
        (
            "public_getfuelmix_20260727_trimmed_reformatted.json",
            utc(2026, 7, 27, 13, 10),
            [("COAL", "Coal", 29517.0), ("NATURAL_GAS", "Natural Gas", 30223.0)],
        ),
        (
            "public_getfuelmixtoday_20260727_trimmed_reformatted.json",
            utc(2026, 7, 27, 5),
            [("STORAGE", "Battery Storage", 39.0), ("COAL", "Coal", 33729.0)],
        ),
    ],
)
def test_fuels_of_one_interval(name: str, start: datetime, rows: list[tuple[str, str, float]]) -> None:
    """2026-07-27, the first two fuels of each display."""
    file = recorded("miso", name)
    if file is None:
        return
    frame = frame_of("miso_genmix", [file])
    assert frame.select("fuel_type", "fuel_native", "generation_mw").rows() == rows
    assert frame["interval_start"].unique().to_list() == [start]
    assert frame["iso_location_id"].unique().to_list() == ["MISO"]


@pytest.mark.parametrize(
    ("name", "made", "first", "last", "most"),
    [
        ("databroker_getWindForecast_20250310_retired.json", utc(2025, 3, 10, 9), 17716.0, 15321.0, 24047.0),
        ("databroker_getSolarForecast_20250310_retired.json", utc(2025, 3, 10, 11), 0.0, 0.0, 11466.0),
    ],
)
def test_forecasts_of_two_days(name: str, made: datetime, first: float, last: float, most: float) -> None:
    """2025-03-10 and the day after, from the retired broker, whose form its successor has kept."""
    file = recorded("miso", name)
    if file is None:
        return
    frame = frame_of("miso_renewable_forecast", [file]).sort("interval_start")
    assert (len(frame), frame["published_at"].unique().to_list()) == (48, [made])
    assert (frame["interval_start"].min(), frame["interval_end"].max()) == (utc(2025, 3, 10, 5), utc(2025, 3, 12, 5))
    assert (frame["generation_mw"][0], frame["generation_mw"][-1], frame["generation_mw"].max()) == (first, last, most)


def test_a_forecast_of_the_display() -> None:
    """2026-07-27, the first two hours."""
    file = recorded("miso", "public_getwindsolargetwindforecast_20260727_trimmed_reformatted.json")
    if file is None:
        return
    frame = frame_of("miso_renewable_forecast", [file])
    assert frame.select("interval_start", "published_at", "fuel_type", "generation_mw").rows() == [
        (utc(2026, 7, 27, 5), utc(2026, 7, 27, 13), "WIND", 13582.0),
        (utc(2026, 7, 27, 6), utc(2026, 7, 27, 13), "WIND", 13652.0),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "public_getwindsolargetwind_20260727_trimmed_reformatted.json",
        "public_getwindsolargetwindactual_20260727_trimmed_reformatted.json",
        "public_getwindsolargetcombined_20260727_trimmed_reformatted.json",
    ],
)
def test_what_the_wind_was_is_no_forecast(name: str) -> None:
    file = recorded("miso", name)
    if file is None:
        return
    with pytest.raises(SourceChanged, match="nothing but the name tells"):
        read_to_frame("miso_renewable_forecast", [file])


def test_the_example_of_a_node_is_read() -> None:
    file = recorded("miso", "dx_pricing-aggregated_pnode_vendor_example.json")
    if file is None:
        return
    frame = frame_of("miso_pnode", [file])
    assert frame.select("iso_location_id", "iso_location_type", "location_type_native").rows() == [
        ("ALTW.WELLS1", "HUB", "Hubs")
    ]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("miso_lmp", "dx_pricing-day_ahead_date_lmp_expost"),
        ("miso_lmp_exante", "dx_pricing-day_ahead_date_lmp_exante"),
        ("miso_lmp_rt60", "dx_pricing-real_time_date_lmp_expost"),
        ("miso_lmp_rt5", "dx_pricing-real_time_date_lmp_expost"),
        ("miso_asm", "dx_pricing-day_ahead_date_asm_expost"),
        ("miso_asm_rt60", "dx_pricing-real_time_date_asm_expost"),
        ("miso_asm_rt5", "dx_pricing-real_time_date_asm_expost"),
        ("miso_load_forecast", "dx_lgi-forecast_date_load"),
    ],
)
def test_an_example_has_the_shape_and_is_no_hour(dataset: str, name: str) -> None:
    """Every column is found; only the resolution of the placeholder is not what was asked for."""
    file = recorded("miso", f"{name}_vendor_example.json")
    if file is None:
        return
    with pytest.raises(SourceChanged, match=r"column timeInterval\.resolution holds daily alone, expected"):
        read_to_frame(dataset, [file])


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("miso_lmp", "dx_pricing-day_ahead_date_lmp_exante"),
        ("miso_lmp_rt5", "dx_pricing-real_time_date_lmp_exante"),
        ("miso_asm", "dx_pricing-day_ahead_date_asm_exante"),
        ("miso_asm_rt5", "dx_pricing-real_time_date_asm_exante"),
        ("miso_asm_rt60", "dx_pricing-real_time_date_asm_summary"),
    ],
)
def test_an_example_of_a_sibling_is_refused_by_its_name(dataset: str, name: str) -> None:
    file = recorded("miso", f"{name}_vendor_example.json")
    if file is None:
        return
    with pytest.raises(SourceChanged, match="by its name it is no"):
        read_to_frame(dataset, [file])


@pytest.mark.parametrize(
    ("dataset", "name", "message"),
    [
        ("miso_load", "dx_lgi-day_ahead_date_demand", "column load is missing"),
        ("miso_load", "dx_lgi-real_time_date_demand_load_state_estimator", "column region, load is missing"),
        (
            "miso_load_forecast",
            "dx_lgi-real_time_date_demand_forecast",
            "localResourceZone, loadForecast, init is missing",
        ),
        ("miso_genmix", "dx_lgi-real_time_date_generation_fuel_type", "expected Fuel; found data, page"),
    ],
)
def test_an_example_of_other_facts_is_refused_by_its_columns(dataset: str, name: str, message: str) -> None:
    file = recorded("miso", f"{name}_vendor_example.json")
    if file is None:
        return
    with pytest.raises(SourceChanged, match=message):
        read_to_frame(dataset, [file])
