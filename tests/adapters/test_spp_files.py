"""SPP: what is made of its files, and of whatever comes in their place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl.adapters.spp import SPP
from aurum_etl.adapters.spp.power import FUELS
from aurum_etl.errors import AurumError, SourceChanged, SourceUnavailable
from aurum_etl.normalize import Normalized, normalize
from aurum_etl.reading import read_to_frame
from aurum_etl.validate import validate
from tests.adapters.test_spp import dataset

PRICE = "03/19/2025 01:00:00,03/19/2025 06:00:00,AEC,SOUC,20.5000,0.5000,-1.0000,21.0000"
DAY_AHEAD = "Interval,GMTIntervalEnd,Settlement Location,Pnode,LMP,MLC,MCC,MEC"
MCP = "Interval,GMTIntervalEnd,Reserve Zone,RegUP,RegDN,Spin,Supp,RampUP,RampDN,UncUP"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def read(content: bytes | str, name: str, key: str, feed: str = "", number: int = 0, **clock: str) -> Normalized:
    of = dataset(key, feed, **clock)
    report = of.feed.reports[number]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return normalize(SPP.batches(report, path, f"here/{name}", 10**8), of, report)


def day_ahead(*lines: str, header: str = DAY_AHEAD) -> Normalized:
    return read("\n".join([header, *(lines or (PRICE,)), ""]), "DA-LMP-SL-202503190100.csv", "spp_lmp")


# Prices


def test_components_stand_in_their_own_columns() -> None:
    """They are published as loss, congestion, energy: not in the order of other ISOs."""
    frame = day_ahead().frame
    assert frame.select("price_total", "price_energy", "price_congestion", "price_loss").row(0) == (
        20.5,
        21.0,
        -1.0,
        0.5,
    )
    assert frame.select("series_id", "interval_start", "interval_end", "operating_date").row(0)[:3] == (
        "spp.lmp.da.da.60m.AEC",
        utc(2025, 3, 19, 5),
        utc(2025, 3, 19, 6),
    )


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (
            "Interval,GMTIntervalEnd,BAA,Settlement Location,Pnode,LMP,MLC,MCC,MEC",
            "03/19/2025 01:00:00,03/19/2025 06:00:00,SPP,AEC,SOUC,20.5000,0.5000,-1.0000,21.0000",
        ),
        (
            "INTERVAL,GMTINTERVALEND,BAA,SETTLEMENT_LOCATION,PNODE,LMP,MLC,MCC,MEC",
            "3/19/2025 1:00,3/19/2025 6:00,SPP,AEC,SOUC,20.5,0.5,-1,21",
        ),
        (
            "Interval, GMT Interval, Settlement Location Name, PNODE Name, MEC, LMP, MLC, MCC, BAA",
            "03/19/2025 01:00:00,03/19/2025 06:00:00,AEC,SOUC,21.0000,20.5000,0.5000,-1.0000,",
        ),
    ],
    ids=["with areas", "saved again by hand", "as the daily file has it, in another order"],
)
def test_every_edition_of_a_header_is_the_same_row_and_no_drift(header: str, line: str) -> None:
    found = day_ahead(line, header=header)
    assert found.frame.equals(day_ahead().frame)
    assert found.drift == ()


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{DAY_AHEAD}\n{PRICE}\n",
        f"{DAY_AHEAD}\r\n{PRICE}\r\n",
        f"{DAY_AHEAD}\n\n{PRICE}\n\n",
        f"{DAY_AHEAD}\n,,,,,,,\n{PRICE}\n,,,,,,,\n , ,,,,,,",
        f"{DAY_AHEAD}\n{PRICE}",
        f'"{DAY_AHEAD.replace(",", chr(34) + "," + chr(34))}"\n{PRICE}\n',
    ],
    ids=["bom", "carriage returns", "blank lines", "rows of commas", "no last newline", "quoted header"],
)
def test_what_stands_around_the_rows_does_no_harm(content: str) -> None:
    found = read(content, "DA-LMP-SL-202503190100.csv", "spp_lmp")
    assert found.frame.equals(day_ahead().frame)


def test_a_negative_price_and_a_row_of_zeros_survive() -> None:
    zeros = PRICE.replace("AEC", "SWPW_HUB").replace("20.5000,0.5000,-1.0000,21.0000", "0,0,0,0")
    frame = day_ahead(PRICE.replace("20.5000", "-1.5").replace("21.0000", "-1"), zeros).frame
    assert frame["price_total"].to_list() == [-1.5, 0.0]


def test_energy_that_differs_by_its_last_digit_is_within_the_rounding() -> None:
    of = dataset("spp_lmp")
    near = day_ahead(PRICE.replace("21.0000", "21.0001")).frame
    far = day_ahead(PRICE.replace("21.0000", "21.0003")).frame
    assert validate(near, of.contract, of.checks).rejected.is_empty()
    assert validate(far, of.contract, of.checks).rejected["check"].to_list() == ["price_equals_its_components"]


def test_a_location_under_both_areas_is_rejected_rather_than_chosen() -> None:
    of = dataset("spp_lmp")
    frame = day_ahead(PRICE, PRICE.replace("20.5000", "30.5000").replace("21.0000", "31.0000")).frame
    assert validate(frame, of.contract, of.checks).rows_rejected == 2


def test_a_row_that_stands_twice_counts_once() -> None:
    found = day_ahead(PRICE, PRICE)
    assert (len(found.frame), found.repeated) == (1, 1)


def test_only_the_systems_hubs_are_hubs() -> None:
    names = ("SPPNORTH_HUB", "SPPSOUTH_HUB", "SWPW_HUB", "CSWS_HUB", "NPPD.HUB.PY2019", "MEC", "MECB", "ERCOTE")
    frame = day_ahead(*(PRICE.replace("AEC", name) for name in names)).frame
    types = dict(frame.select("iso_location_id", "iso_location_type").rows())
    assert [types[name] for name in names] == [*["HUB"] * 3, "NODE", "NODE", "INTERFACE", "NODE", "INTERFACE"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("spp_lmp", "RTBM-LMP-SL-202503190100.csv"),
        ("spp_lmp_rt5", "DA-LMP-SL-202503190100.csv"),
        ("spp_lmp_rt5", "WEIS-RTBM-LMP-SL-202503190100.csv"),
        ("spp_lmp", "prices.csv"),
    ],
)
def test_files_of_one_form_are_told_apart_by_their_names(key: str, name: str) -> None:
    """Until April 2026 day-ahead and real-time prices have the same columns, and at the full hour the same times."""
    with pytest.raises(SourceChanged, match="by its name it is no"):
        read(f"{DAY_AHEAD}\n{PRICE}\n", name, key)


def test_an_interval_off_the_grid_is_refused() -> None:
    with pytest.raises(SourceChanged, match="is not on the grid of 60 minutes"):
        day_ahead(PRICE.replace("06:00:00", "06:05:00"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{DAY_AHEAD}\n{PRICE}\n{PRICE[:40]}", "cut short"),
        (f"{DAY_AHEAD}\n{PRICE.replace('20.5000', 'n/a')}\n", 'column LMP holds "n/a", which is no number'),
        (f"{DAY_AHEAD}\n{PRICE.replace('03/19/2025 06', '19/03/2025 06')}\n", "which is no UTC instant"),
        (f"{DAY_AHEAD}\n{PRICE.replace('AEC', '')}\n", "column Settlement Location is empty in row 1"),
        (f"{DAY_AHEAD.replace('MEC', 'Energy')}\n{PRICE}\n", "column MEC is missing"),
        ("no such file", "is missing"),
    ],
)
def test_what_is_no_price_file_is_named_by_its_fault(content: str, words: str) -> None:
    with pytest.raises(SourceChanged, match=words):
        read(content, "DA-LMP-SL-202503190100.csv", "spp_lmp")


def test_a_header_alone_is_no_row() -> None:
    found = read(f"{DAY_AHEAD}\n", "DA-LMP-SL-202503190100.csv", "spp_lmp")
    assert (len(found.frame), found.rows_read) == (0, 0)


@given(st.binary(max_size=200))
def test_whatever_comes_ends_in_rows_or_in_a_typed_error(content: bytes) -> None:
    for lead in (b"", f"{DAY_AHEAD}\n".encode(), f"{DAY_AHEAD}\n{PRICE}\n".encode()):
        try:
            read(lead + content, "DA-LMP-SL-202503190100.csv", "spp_lmp")
        except AurumError:
            continue


def test_a_location_has_its_pnode_and_its_area() -> None:
    header = "Interval,GMTIntervalEnd,BAA,Settlement Location,Pnode,LMP,MLC,MCC,MEC"
    west = PRICE.replace("AEC,SOUC", "SWPW,CISO,CISO_P")
    found = read(f"{header}\n{west}\n{west}\n", "DA-LMP-SL-202604010100.csv", "spp_pnode").frame
    columns = ("iso_location_id", "iso_location_name", "iso_location_type", "location_type_native", "zone")
    assert found.select(columns).rows() == [("CISO", "CISO_P", "INTERFACE", "Settlement Location", "SWPW")]
    before = read(f"{DAY_AHEAD}\n{PRICE}\n", "DA-LMP-SL-202503190100.csv", "spp_pnode").frame
    assert before["zone"].to_list() == ["SPP"], "the only one that there was"


# Reserves


def test_every_service_is_a_row_and_an_unknown_one_is_kept_apart() -> None:
    line = "03/19/2025 01:00:00,03/19/2025 06:00:00,1,1,2,3,4,5,6,7"
    found = read(f"{MCP},STSUncUP\n{line},8\n", "DA-MCP-202503190100.csv", "spp_asm")
    assert dict(found.frame.select("service_native", "service").rows()) == {
        "RegUP": "REGULATION_UP",
        "RegDN": "REGULATION_DOWN",
        "Spin": "SPINNING",
        "Supp": "NON_SPINNING",
        "RampUP": "RAMP_UP",
        "RampDN": "RAMP_DOWN",
        "UncUP": "UNCERTAINTY_UP",
    }
    assert dict(found.frame.select("service_native", "price_mcp").rows())["UncUP"] == 7.0
    assert found.frame["quantity_mw"].null_count() == 7
    assert found.unplaced.select("check", "value").rows() == [("word_is_known", "STSUncUP")]


def test_real_time_has_mileage_and_another_order() -> None:
    services = "RegUPService,RegDNService,RegUpMile, RegDNMile,RampUP,RampDN,Spin,Supp,UncUP"
    header = f"Interval,GMTIntervalEnd,Reserve Zone,{services},BAA"
    line = "07/14/2026 00:05:00,07/14/2026 05:05:00,21,1,2,3,4,5,6,7,8,,SWPW"
    frame = read(f"{header}\n{line}\n", "RTBM-MCP-202607140005.csv", "spp_asm_rt5", "interval").frame
    found = dict(frame.select("service", "price_mcp").rows())
    assert found == {
        "REGULATION_UP": 1,
        "REGULATION_DOWN": 2,
        "MILEAGE_UP": 3,
        "MILEAGE_DOWN": 4,
        "RAMP_UP": 5,
        "RAMP_DOWN": 6,
        "SPINNING": 7,
        "NON_SPINNING": 8,
    }
    assert frame["iso_location_type"].unique().to_list() == ["ZONE"]


def test_older_files_lack_the_younger_services() -> None:
    header, line = MCP.removesuffix(",RampUP,RampDN,UncUP"), "03/19/2021 01:00:00,03/19/2021 06:00:00,SPP,1,2,3,4"
    frame = read(f"{header}\n{line}\n", "DA-MCP-202103190100.csv", "spp_asm").frame
    assert (len(frame), frame["iso_location_type"].unique().to_list()) == (4, ["SYSTEM"])
    with pytest.raises(SourceChanged, match="column Supp is missing"):
        read(f"{header.removesuffix(',Supp')}\n{line[:-2]}\n", "DA-MCP-202103190100.csv", "spp_asm")


# Load


def test_a_column_per_zone_and_a_row_per_zone_are_the_same_zones() -> None:
    wide = read(
        "MarketHour, CSWS, WAUE\n3/1/2015 7:00,4210.5,\n3/2/2015,0,12\n", "HOURLY_LOAD-201503.csv", "spp_load"
    ).frame
    columns = ("iso_location_id", "interval_start", "load_mw", "load_type", "load_native")
    assert wide.select(columns).rows() == [
        ("CSWS", utc(2015, 3, 1, 6), 4210.5, "SYSTEM", "HOURLY_LOAD"),
        ("CSWS", utc(2015, 3, 1, 23), 0.0, "SYSTEM", "HOURLY_LOAD"),
        ("WAUE", utc(2015, 3, 1, 23), 12.0, "SYSTEM", "HOURLY_LOAD"),
    ]
    header = "Market Hour,Balancing Area Name,Control Zone Name,Forecast Area Type,Load MW"
    lines = [f"3/24/2026 6:00,SPP,KCPL,{kind}" for kind in ("CF,2500.25", "NC,140.5", "CF,", "XX,1")]
    long = read("\n".join([header, *lines, ""]), "DAILY_HOURLY_LOAD-20260324.csv", "spp_load")
    assert long.frame.select(columns).rows() == [
        ("KCPL", utc(2026, 3, 24, 5), 2500.25, "CONFORMING", "CF"),
        ("KCPL", utc(2026, 3, 24, 5), 140.5, "NON_CONFORMING", "NC"),
    ]
    assert long.unplaced["value"].to_list() == ["XX"]


def test_years_of_two_digits_are_of_this_century() -> None:
    frame = read("MarketHour,CSWS\n1/1/11 7:00,4210.5\n", "HOURLY_LOAD-201101.csv", "spp_load").frame
    assert frame["interval_end"].to_list() == [utc(2011, 1, 1, 7)]


def test_a_column_that_is_no_zone_is_no_number() -> None:
    with pytest.raises(SourceChanged, match='column Remark holds "late"'):
        read("MarketHour, CSWS, Remark\n3/1/2015 7:00,4210.5,late\n", "HOURLY_LOAD-201503.csv", "spp_load")


FORECAST = "Interval,GMTIntervalEnd,MTLF,Averaged Actual"
VERSION = "07/14/2026 12:00:00,07/14/2026 17:00:00"


def test_a_forecast_is_of_when_its_file_was_made() -> None:
    lines = [f"{VERSION},40900,40850,SPP", f"{VERSION},3050,,SWPW", "07/14/2026 13:00:00,07/14/2026 18:00:00,,,"]
    found = read("\n".join([f"{FORECAST},BAA", *lines, ""]), "OP-MTLF-202607141200.csv", "spp_load_forecast")
    columns = ("iso_location_id", "iso_location_type", "published_at", "load_mw", "forecast_model")
    assert found.frame.select(columns).rows() == [
        ("SPP", "SYSTEM", utc(2026, 7, 14, 17), 40900.0, "MTLF"),
        ("SWPW", "SYSTEM", utc(2026, 7, 14, 17), 3050.0, "MTLF"),
    ]
    assert found.unplaced.is_empty()


def test_a_file_that_names_no_area_is_of_the_only_one() -> None:
    found = read(f"{FORECAST}\n{VERSION},40900,\n", "OP-MTLF-202607141200.csv", "spp_load_forecast").frame
    assert found["iso_location_id"].to_list() == ["SPP"]


def test_a_value_without_its_area_is_rejected_where_areas_are_named() -> None:
    of = dataset("spp_load_forecast")
    found = read(f"{FORECAST},BAA\n{VERSION},40900,,\n", "OP-MTLF-202607141200.csv", "spp_load_forecast").frame
    assert set(validate(found, of.contract, of.checks).rejected["check"]) == {"value_is_not_null"}


def test_what_load_was_is_what_the_last_file_says() -> None:
    """Two files tell the same hour; the later in time counts, not the later by its name (01:55 comes twice)."""
    header = "Interval,GMTInterval,STLF,Actual"
    line = "11/02/2025 01:55:00,11/02/2025 06:55:00,24000"
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"OP-STLF-20251102{name}.csv" for name in ("0105d", "0155")]
        for path, load in zip(paths, ("24012.5", "24010"), strict=True):
            path.write_text(f"{header}\n{line},{load}\n")
        table = pl.DataFrame(read_to_frame("spp_load_rt5", paths).table)
    assert table.select("load_mw", "revision", "load_native").rows() == [(24012.5, "202511020705", "Actual")]


# Generation


def test_dispatched_and_self_scheduled_are_rows_of_one_fuel() -> None:
    header = "GMT MKT Interval," + ",".join(f" {fuel}" for fuel in FUELS) + ", Load, Fusion Market"
    line = "2026-07-14T05:05:00Z," + ",".join(map(str, range(len(FUELS)))) + ",40000.125,1"
    found = read(f"{header}\n{line}\n", "GenMix365_SWPW.csv", "spp_genmix", number=2)
    assert len(found.frame) == len(FUELS)
    assert found.frame["iso_location_id"].unique().to_list() == ["SWPW"]
    gas = found.frame.filter(pl.col("fuel_type") == "NATURAL_GAS")
    assert sorted(gas["fuel_native"]) == ["Gas Self", "Natural Gas Market"]
    assert found.unplaced["value"].to_list() == ["Fusion Market"]


def test_labels_of_the_fuel_mix_are_ends_unless_the_spec_says_starts() -> None:
    header = (
        "GMTTime,Coal Market,Coal Self,Hydro Market,Hydro Self,Natural Gas Market,Gas Self,Nuclear Market,Nuclear Self"
    )
    content = f"{header},Wind Market,Wind Self\n2025-01-01T06:05:00Z,1,,,,,,,,,\n"
    ends = read(content, "GenMix_2025.csv", "spp_genmix").frame
    starts = read(content, "GenMix_2025.csv", "spp_genmix", "history", labels="start").frame
    assert (ends["interval_start"][0], starts["interval_start"][0]) == (utc(2025, 1, 1, 6), utc(2025, 1, 1, 6, 5))


def test_blank_rows_at_the_far_end_of_the_horizon_are_no_rows() -> None:
    header = (
        "IntervalEnd, GMTIntervalEnd, BAA, ReserveZone, WindForecastMW, WindActualMW, SolarForecastMW, SolarActualMW"
    )
    lines = [f"{VERSION},,21,,,,", f"{VERSION},SWPW,21,174.5,170.25,,"]
    name = "RF_RESERVE_ZONE-202607141200.csv"
    found = read("\n".join([header, *lines, ""]), name, "spp_renewable_forecast", number=1)
    columns = ("iso_location_id", "iso_location_type", "fuel_type", "generation_mw", "forecast_model")
    assert found.frame.select(columns).rows() == [("21", "ZONE", "WIND", 174.5, "RF_RESERVE_ZONE")]
    assert found.unplaced.is_empty()


@pytest.mark.parametrize("content", [b"", b" \n", b"<html><body>Service Unavailable</body></html>"])
def test_what_says_nothing_can_be_asked_again(content: bytes) -> None:
    with pytest.raises(SourceUnavailable):
        read(content, "OP-MTLF-202607141200.csv", "spp_load_forecast")
