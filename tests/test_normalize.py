"""Small tables in, small tables out."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurum_etl import decode
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.adapters.isone.prices import DAY_AHEAD as BY_LABELS
from aurum_etl.clock import ByInstant, DeliveryInterval, HourEnding, UtcInstants
from aurum_etl.contracts import LMP, RENEWABLE_FORECAST, Contract
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Spread, Word
from aurum_etl.errors import SourceChanged
from aurum_etl.market import Iso, LocationType, Market
from aurum_etl.normalize import Normalized, normalize
from tests.frames import lmp_csv

SEVEN, EIGHT = "2026-07-14T07:00", "2026-07-14T08:00"


def lmp(*members: bytes) -> Normalized:
    report = LMP_DAY_AHEAD.feed.reports[0]
    return normalize([decode.csv(each, report, "here") for each in members], LMP_DAY_AHEAD, report)


def prices(normalized: Normalized) -> list[tuple[object, ...]]:
    names = ("iso_location_id", "price_total", "price_energy", "price_congestion", "price_loss", "price_ghg")
    return normalized.frame.select(names).rows()


PARTS = (("LMP", "6.5"), ("MCE", "4"), ("MCC", "2"), ("MCL", "0.5"))


def test_components_come_side_by_side() -> None:
    members = [lmp_csv((SEVEN, "A", part, value), (EIGHT, "A", part, value)) for part, value in PARTS]
    assert prices(lmp(*members)) == [("A", 6.5, 4.0, 2.0, 0.5, None)] * 2


def test_one_member_with_all_components_gives_the_same_frame() -> None:
    together = lmp_csv(*((SEVEN, "A", part, value) for part, value in PARTS))
    apart = [lmp_csv((SEVEN, "A", part, value)) for part, value in PARTS]
    assert lmp(together).frame.equals(lmp(*apart).frame)


def test_the_order_of_rows_and_members_does_not_matter() -> None:
    """OASIS serves rows in an order that differs between requests."""
    cells = [(start, node, part, "1") for start in (SEVEN, EIGHT) for node in "BAC" for part, _ in PARTS]
    shuffled = random.Random(7).sample(cells, len(cells))
    assert lmp(lmp_csv(*cells)).frame.equals(lmp(lmp_csv(*shuffled)).frame)


def test_rows_are_sorted_by_location_and_time() -> None:
    frame = lmp(lmp_csv((EIGHT, "B", "LMP", "1"), (EIGHT, "A", "LMP", "1"), (SEVEN, "B", "LMP", "1"))).frame
    assert frame.select("iso_location_id", pl.col("interval_start").dt.hour()).rows() == [("A", 8), ("B", 7), ("B", 8)]


HOURS = st.integers(0, 6) | st.sampled_from((700, 5_800, 6_000))
"""Mostly neighbors, now and then months away: a change of the clock lies between, and more hours than there are rows."""
PLACES = st.sampled_from(("A", "B", "a", "Ä", "AB"))
MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)


@given(st.lists(st.tuples(HOURS, PLACES, st.sampled_from(PARTS)), min_size=1, max_size=60, unique=True))
def test_whatever_is_there_of_the_components_comes_side_by_side_in_order(
    cells: list[tuple[int, str, tuple[str, str]]],
) -> None:
    """Places, hours and components are there or not, each for itself."""
    rows = [(MIDNIGHT + timedelta(hours=hour), place, part) for hour, place, (part, _) in cells]
    members = [
        lmp_csv(*((f"{start:%Y-%m-%dT%H:%M}", place, part, str(len(place))) for start, place, part in rows[first::2]))
        for first in range(min(2, len(rows)))
    ]
    expected = [
        (
            place,
            start,
            start.astimezone(ZoneInfo(LMP_DAY_AHEAD.timezone)).date(),
            *(float(len(place)) if (start, place, part) in rows else None for part, _ in PARTS),
        )
        for place, start in sorted({(place, start) for start, place, _ in rows})
    ]
    names = ("price_total", "price_energy", "price_congestion", "price_loss")
    frame = lmp(*members).frame
    assert frame.select("iso_location_id", "interval_start", "operating_date", *names).rows() == expected
    assert frame.select(pl.col("series_id").str.split(".").list.last() == pl.col("iso_location_id")).to_series().all()


@given(st.lists(st.tuples(HOURS, PLACES), min_size=1, max_size=60))
def test_rows_that_are_not_components_are_sorted_and_count_once(cells: list[tuple[int, str]]) -> None:
    lines = ["INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,TAC_AREA_NAME,XML_DATA_ITEM,MW"]
    for hour, place in cells:
        start, end = (f"{MIDNIGHT + timedelta(hours=each):%Y-%m-%dT%H:%M}:00-00:00" for each in (hour, hour + 1))
        lines.append(f"{start},{end},{place},SYS_FCST_ACT_MW,{hour}")
    report = LOAD_ACTUAL.feed.reports[0]
    normalized = normalize([decode.csv("\n".join(lines).encode(), report, "here")], LOAD_ACTUAL, report)
    expected = sorted({(place, MIDNIGHT + timedelta(hours=hour), float(hour)) for hour, place in cells})
    assert normalized.frame.select("iso_location_id", "interval_start", "load_mw").rows() == expected
    assert normalized.repeated == len(cells) - len(expected)


def test_a_missing_component_is_null_and_never_zero() -> None:
    frame = lmp(lmp_csv((SEVEN, "A", "LMP", "1"), (SEVEN, "B", "LMP", "2"), (SEVEN, "B", "MCC", "0")))
    assert prices(frame) == [("A", 1.0, None, None, None, None), ("B", 2.0, None, 0.0, None, None)]


def test_rows_that_repeat_others_count_once() -> None:
    cells = ((SEVEN, "A", "LMP", "1"), (SEVEN, "A", "LMP", "1"), (SEVEN, "A", "MCE", "1"))
    normalized = lmp(lmp_csv(*cells))
    assert prices(normalized) == [("A", 1.0, 1.0, None, None, None)]
    assert normalized.repeated == 1


def test_rows_that_contradict_each_other_both_stay_for_the_verdict() -> None:
    """Choosing one of them would be inventing."""
    assert len(lmp(lmp_csv((SEVEN, "A", "LMP", "1"), (SEVEN, "A", "LMP", "2"))).frame) == 2


def test_an_unknown_component_is_kept_with_its_word() -> None:
    normalized = lmp(lmp_csv((SEVEN, "A", "LMP", "1"), (SEVEN, "A", "MXYZ", "9")))
    assert len(normalized.frame) == 1
    kept = normalized.unplaced.row(0, named=True)
    assert (kept["check"], kept["column"], kept["value"]) == ("word_is_known", "LMP_TYPE", "MXYZ")
    assert '"MW":9.0' in kept["record"]


def test_an_unknown_run_is_kept_and_a_sibling_is_passed_over() -> None:
    normalized = lmp(
        lmp_csv((SEVEN, "A", "LMP", "1")),
        lmp_csv((SEVEN, "A", "LMP", "2"), run="HASP"),
        lmp_csv((SEVEN, "A", "LMP", "3"), run="XYZ"),
    )
    assert (len(normalized.frame), normalized.passed_over, len(normalized.unplaced)) == (1, 1, 1)
    assert normalized.unplaced.item(0, "value") == "XYZ"


@pytest.mark.parametrize("start", ["2026-07-14T07:07", "2026-07-14T07:30"])
def test_an_interval_off_the_grid_names_columns_and_place(start: str) -> None:
    with pytest.raises(SourceChanged, match=r"^here: columns INTERVALSTARTTIME_GMT, INTERVALENDTIME_GMT: interval"):
        lmp(lmp_csv((start, "A", "LMP", "1")))


def test_every_contract_column_says_what_it_should() -> None:
    frame = lmp(lmp_csv((SEVEN, "TH_SP15_GEN-APND", "LMP", "-1.5"))).frame
    assert frame.drop("interval_start", "interval_end", "operating_date").row(0, named=True) == {
        "series_id": "caiso.lmp.da.dam.60m.TH_SP15_GEN-APND",
        "iso_code": "CAISO",
        "iso_market": "DA",
        "iso_market_run": "DAM",
        "iso_product": "LMP",
        "iso_location_type": "HUB",
        "iso_location_id": "TH_SP15_GEN-APND",
        "iso_location_name": None,
        "iso_timezone": "America/Los_Angeles",
        "iso_interval_minutes": 60,
        "iso_unit": "USD/MWh",
        "iso_subject": "PRICE",
        "iso_curve_role": "pricing",
        "published_at": None,
        "revision": None,
        "price_total": -1.5,
        "price_energy": None,
        "price_congestion": None,
        "price_loss": None,
        "price_ghg": None,
    }
    times = frame.select("interval_start", "interval_end", "operating_date").row(0)
    assert [str(each) for each in times] == ["2026-07-14 07:00:00+00:00", "2026-07-14 08:00:00+00:00", "2026-07-14"]


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        ("TH_NP15_GEN-APND", "HUB"),
        ("DLAP_PGAE-APND", "ZONE"),
        ("SLAP_PGCC-APND", "ZONE"),
        ("ELAP_PACE-APND", "ZONE"),
        ("AFPR_1_TOT_GEN-APND", "AGGREGATE"),
        ("0096WD_7_N001", "NODE"),
    ],
)
def test_location_types_follow_the_names(node: str, kind: str) -> None:
    assert lmp(lmp_csv((SEVEN, node, "LMP", "1"))).frame.item(0, "iso_location_type") == kind


def test_no_batches_are_an_empty_frame_in_the_same_shape() -> None:
    for dataset in (LMP_DAY_AHEAD, LOAD_ACTUAL):
        frame = normalize([], dataset, dataset.feed.reports[0]).frame
        assert frame.is_empty()
        assert [*frame.columns, "chunk_key", "ingested_at"] == sorted(
            dataset.contract.names, key=[*frame.columns, "chunk_key", "ingested_at"].index
        )


def test_a_label_means_the_same_in_every_row_that_has_it() -> None:
    """Labels are placed once and looked up: neither order nor repetition of them may matter."""
    report = BY_LABELS.feed.reports[0]
    names = ",".join(report.published)
    cells = [(day, hour, place) for place in "BA" for day, hour in (("11/02/2025", "02X"), ("11/02/2025", "02"))]
    cells += [("03/08/2026", "03", "A"), ("11/02/2025", "25", "B"), ("03/08/2026", "02X", "B")]
    lines = "".join(f"{day},{hour},{place},x,HUB,1,1,0,0\n" for day, hour, place in cells)
    found = normalize([decode.csv(f"{names}\n{lines}".encode(), report, "here")], BY_LABELS, report)
    assert found.frame.select("iso_location_id", pl.col("interval_start").dt.to_string("%d %H")).rows() == [
        ("A", "02 05"),
        ("A", "02 06"),
        ("A", "08 06"),
        ("B", "02 05"),
        ("B", "02 06"),
    ]
    assert sorted(set(found.unplaced["value"])) == ["02X", "25"]


def of_ercot(report: Report, contract: Contract) -> Dataset:
    market = Market.DAY_AHEAD if contract.has_market else None
    return Dataset(
        key="ercot_test",
        iso=Iso.ERCOT,
        contract=contract,
        title="",
        feeds=(Feed("file", (report,)),),
        intervals=(60,),
        source_url="",
        first_day=date(2026, 1, 1),
        lag=timedelta(0),
        patience=timedelta(0),
        rows_per_location_day=24,
        locations=1,
        market=market,
        run=market and "DAM",
    )


PLACED = Report(
    name="TEST",
    clock=UtcInstants("start", "end"),
    published={"start": Published.UTC, "end": Published.UTC, "posted": Published.UTC},
    published_at=ByInstant("posted"),
)
START_AND_END = "2026-07-14T05:00:00,2026-07-14T06:00:00"


def test_what_was_published_later_takes_the_place_of_what_it_corrects() -> None:
    """Where no mark tells versions apart, and the key has no place for the instant of their publication."""
    report = replace(
        PLACED,
        published={**PLACED.published, "point": Published.WORD, "price": Published.NUMBER},
        values={"price": "price_total"},
        location="point",
        location_types=(LocationRule("", LocationType.NODE),),
    )
    header = "start,end,posted,point,price\n"
    corrected = f"{header}{START_AND_END},2026-07-13T20:00:00,A,2\n"
    at_first = f"{header}{START_AND_END},2026-07-13T18:30:00,A,1\n{START_AND_END},2026-07-13T18:30:00,B,3\n"
    batches = [decode.csv(each.encode(), report, "here") for each in (corrected, at_first)]
    normalized = normalize(batches, of_ercot(report, LMP), report)
    assert normalized.frame.select("iso_location_id", "price_total").rows() == [("A", 2.0), ("B", 3.0)]
    assert normalized.frame.get_column("published_at").dt.hour().to_list() == [20, 18]
    assert (normalized.superseded, normalized.repeated) == (1, 0)


def test_the_name_of_a_column_may_say_more_than_one_word() -> None:
    report = replace(
        PLACED,
        published={**PLACED.published, "S_WEST": Published.NUMBER, "W_WEST": Published.NUMBER},
        spread=Spread(
            "column",
            {"S_WEST": {"mw": "S_WEST"}, "W_WEST": {"mw": "W_WEST"}},
            words={"model": {"S_WEST": "S", "W_WEST": "W"}, "place": {"S_WEST": "WEST", "W_WEST": "WEST"}},
        ),
        values={"mw": "generation_mw"},
        words={"fuel_type": "WIND", "fuel_native": "Wind", "forecast_model": Word("model")},
        location="place",
        location_types=(LocationRule("", LocationType.ZONE),),
    )
    content = f"start,end,posted,S_WEST,W_WEST\n{START_AND_END},2026-07-13T20:00:00,7,\n"
    batches = [decode.csv(content.encode(), report, "here")]
    frame = normalize(batches, of_ercot(report, RENEWABLE_FORECAST), report).frame
    assert frame.select("forecast_model", "iso_location_id", "generation_mw").rows() == [("S", "WEST", 7.0)]


def test_what_the_hours_of_numbered_intervals_leave_open_can_be_set() -> None:
    hours = HourEnding("day", "hour", "America/Chicago", flag="again", flagged=("Y",))
    clock = DeliveryInterval(hours, "number", 15)
    report = replace(PLACED, clock=clock, settable={"flag_means": ("second", "first")})
    dataset = of_ercot(report, LMP)
    assert dataset.of("file").feed.reports[0].clock == clock
    assert dataset.of("file", {"flag_means": "first"}).feed.reports[0].clock == replace(
        clock, hours=replace(hours, flag_means="first")
    )
