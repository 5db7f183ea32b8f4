"""Recorded answers of OASIS, through the whole pipeline into Iceberg, and out again by `inspect`."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest

from aurum_etl import inspection
from aurum_etl.errors import SourceUnavailable, UsageError
from aurum_etl.reading import read_to_frame
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, Report, run
from aurum_etl.watermarks import Store
from tests.frames import spec
from tests.recorded import frame_of, recorded

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings


def load(folder: Path, settings: Settings, dataset: str, *files: Path) -> Report:
    return run(spec(folder, f"dataset: {dataset}\n"), Flags(files=files), settings)


def ask(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    connection = inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))
    return pl.DataFrame(inspection.query(connection, sql)).rows()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_the_repeated_hour_of_autumn_stays_two_hours(tmp_path: Path, settings: Settings) -> None:
    """2025-11-02, three areas, the hours ending 1, 2, 25 and 3."""
    file = recorded("caiso", "sld_fcst_actual_20251102_dst_fall_trimmed.csv")
    if file is None:
        return
    report = load(tmp_path, settings, "caiso_load", file)
    assert (report.outcome, report.rows) == (Outcome.DONE, 12)
    assert ask(
        settings,
        "select interval_start, load_mw from load where iso_location_id = 'CA ISO-TAC' order by 1",
    ) == [
        (utc(2025, 11, 2, 7), 21295.0),
        (utc(2025, 11, 2, 8), 20717.0),
        (utc(2025, 11, 2, 9), 20536.0),
        (utc(2025, 11, 2, 10), 19520.0),
    ]
    assert ask(settings, "select distinct operating_date::varchar, iso_location_type from load order by all") == [
        ("2025-11-02", "SYSTEM"),
        ("2025-11-02", "ZONE"),
    ]


def test_one_run_is_taken_out_of_a_file_of_all_runs(tmp_path: Path, settings: Settings) -> None:
    """2023-08-12/13, asked for without a run and from UTC midnight: the tail of one trade date and the head of the next."""
    file = recorded("caiso", "sld_fcst_allruns_20230812-20230813.csv.zip")
    if file is None:
        return
    report = load(tmp_path, settings, "caiso_load", file)
    assert [(each.rows_accepted, each.chunk.key) for each in report.receipts] == [
        (245, "caiso_load[ALL]@20230813T0000Z/20230813T0700Z"),
        (595, "caiso_load[ALL]@20230813T0700Z/20230814T0000Z"),
    ]
    assert sum(each.rows_read for each in report.receipts) == 16_728
    assert ask(
        settings,
        "select count(*), count(distinct iso_location_id), min(interval_start), max(interval_end), min(load_native) from load",
    ) == [(840, 35, utc(2023, 8, 13), utc(2023, 8, 14), "SYS_FCST_ACT_MW")]
    total = "sum(load_mw) filter (iso_location_type = 'SYSTEM'), sum(load_mw) filter (iso_location_type = 'ZONE')"
    (whole, parts), *_ = ask(settings, f"select {total} from load")
    assert abs(float(str(whole)) - float(str(parts))) <= 24 * 3, "the five parts make the total, within rounding"


def test_the_same_file_twice_is_one_copy(tmp_path: Path, settings: Settings) -> None:
    file = recorded("caiso", "sld_fcst_allruns_20230812-20230813.csv.zip")
    if file is None:
        return
    for _ in range(2):
        load(tmp_path, settings, "caiso_load", file)
    assert ask(settings, "select count(*) from load") == [(840,)]


def test_trimmed_prices_keep_nulls_where_components_are_missing(tmp_path: Path, settings: Settings) -> None:
    """2020-01-01, one aggregate, eight hours of the price and one of its congestion."""
    file = recorded("caiso", "prc_lmp_dam_20200101_apnode_trimmed.csv")
    if file is None:
        return
    report = load(tmp_path, settings, "caiso_lmp", file)
    assert (report.outcome, report.rows) == (Outcome.DONE, 8)
    found = ask(settings, "select interval_start, price_total, price_congestion, price_energy from lmp order by 1")
    assert (found[0], found[-1]) == (
        (utc(2020, 1, 2, 0), 33.34256, None, None),
        (utc(2020, 1, 2, 7), 29.57653, None, None),
    )
    assert found[3] == (utc(2020, 1, 2, 3), 36.26838, 0.0, None)
    assert ask(settings, "select distinct series_id, iso_location_type, operating_date::varchar from lmp") == [
        ("caiso.lmp.da.dam.60m.AFPR_1_TOT_GEN-APND", "AGGREGATE", "2020-01-01")
    ]


@pytest.mark.parametrize(
    ("name", "rows"),
    [("sld_fcst_7da_20250219-20250227.csv.zip", 6432), ("sld_fcst_dam_20160520-20160522.xml.zip", 128)],
)
def test_a_file_of_other_runs_is_refused_by_name(tmp_path: Path, settings: Settings, name: str, rows: int) -> None:
    """A forecast must never be loaded as actual load."""
    file = recorded("caiso", name)
    if file is None:
        return
    with pytest.raises(UsageError, match=f"{rows} rows, all of other datasets"):
        load(tmp_path, settings, "caiso_load", file)


def test_no_data_is_told_in_the_sources_words() -> None:
    file = recorded("caiso", "sld_fcst_nodata_err1000_20231212.xml.zip")
    if file is None:
        return
    result = read_to_frame("caiso_load", [file])
    assert result.table.num_rows == 0
    assert result.nothing == (f"{file}: OASIS error 1000: No data returned for the specified selection",)


def test_a_refusal_is_no_data_file() -> None:
    file = recorded("caiso", "http429_acceptable_use.html")
    if file is None:
        return
    with pytest.raises(SourceUnavailable, match="Please retry your request after 5 seconds"):
        read_to_frame("caiso_load", [file])


def series(frame: pl.DataFrame, **of: object) -> dict[datetime, float]:
    """Values by the start of their interval, of the one series that these words single out."""
    found = frame.filter(pl.all_horizontal(pl.col(name) == value for name, value in of.items()))
    (measure,) = {"load_mw", "generation_mw", "price_mcp"} & set(found.columns)
    assert found.get_column("series_id").n_unique() == 1
    return dict(zip(found.get_column("interval_start"), found.get_column(measure), strict=True))


@pytest.mark.parametrize(
    ("dataset", "name", "rows", "places", "first", "end", "of", "at", "value"),
    [
        (
            "caiso_load_forecast_7da",
            "sld_fcst_7da_20250219-20250227.csv.zip",
            6432,
            34,
            utc(2025, 2, 19, 8),
            utc(2025, 2, 27, 8),
            {"iso_location_id": "CA ISO-TAC"},
            utc(2025, 2, 19, 8),
            21213.16,
        ),
        (
            "caiso_load_forecast",
            "sld_fcst_dam_20160520-20160522.xml.zip",
            128,
            8,
            utc(2016, 5, 20, 15),
            utc(2016, 5, 21, 7),
            {"iso_location_id": "CA ISO-TAC"},
            utc(2016, 5, 20, 19),
            26127.08,
        ),
        *(
            (
                dataset,
                "sld_fcst_allruns_20230812-20230813.csv.zip",
                rows,
                places,
                utc(2023, 8, 13),
                utc(2023, 8, 14),
                {"iso_location_id": "CA ISO-TAC", "iso_interval_minutes": minutes},
                utc(2023, 8, 13, 10),
                value,
            )
            for dataset, rows, places, minutes, value in (
                ("caiso_load_forecast", 816, 34, 60, 23660.7),
                ("caiso_load_forecast_2da", 816, 34, 60, 23261.51),
                ("caiso_load_forecast_7da", 816, 34, 60, 23710.86),
                ("caiso_load_forecast_rt", 13_440, 35, 15, 22484.69),
                ("caiso_load_forecast_rt", 13_440, 35, 5, 22544.39),
            )
        ),
        (
            "caiso_renewable_forecast",
            "sld_ren_fcst_dam_20250204-20250211.csv.zip",
            1008,
            3,
            utc(2025, 2, 4, 8),
            utc(2025, 2, 11, 8),
            {"iso_location_id": "SP15", "fuel_type": "SOLAR"},
            utc(2025, 2, 4, 20),
            10632.01,
        ),
        (
            "caiso_renewable_forecast",
            "sld_ren_fcst_dam_20130919_trimmed.xml",
            4,
            1,
            utc(2013, 9, 19, 7),
            utc(2013, 9, 20, 7),
            {"iso_location_id": "NP15", "fuel_type": "WIND"},
            utc(2013, 9, 20, 6),
            580.83,
        ),
        (
            "caiso_asm",
            "prc_as_dam_nr_20200331_window_T08-0000_in_pdt.csv",
            144,
            6,
            utc(2020, 3, 31, 8),
            utc(2020, 4, 1, 8),
            {"iso_location_id": "AS_SP26_EXP", "service": "NON_SPINNING"},
            utc(2020, 3, 31, 9),
            0.63,
        ),
    ],
)
def test_a_recorded_file_is_read_in_full(
    dataset: str,
    name: str,
    rows: int,
    places: int,
    first: datetime,
    end: datetime,
    of: dict[str, object],
    at: datetime,
    value: float,
) -> None:
    file = recorded("caiso", name)
    if file is None:
        return
    frame = frame_of(dataset, [file])
    assert (len(frame), frame.get_column("iso_location_id").n_unique()) == (rows, places)
    assert (frame.get_column("interval_start").min(), frame.get_column("interval_end").max()) == (first, end)
    found = series(frame, **of)
    assert found[at] == value
    if "trimmed" not in name:
        (minutes,) = {end - start for start, end in pairwise(sorted(found))}
        assert len(found) * minutes == end - first, "the intervals tile the window"
