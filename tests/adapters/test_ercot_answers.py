"""ERCOT: what is made of its answers."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from aurum_etl.adapters.base import read_files
from aurum_etl.adapters.ercot import ERCOT, forms
from aurum_etl.adapters.ercot.forms import Document, wanted
from aurum_etl.adapters.ercot.power import FUELS
from aurum_etl.adapters.ercot.prices import TYPES
from aurum_etl.adapters.ercot.reserves import SERVICES
from aurum_etl.describe import document, new_spec
from aurum_etl.errors import AccessDenied, NoData, SourceChanged, SourceUnavailable, TooLarge
from aurum_etl.pipeline import normalized_of
from aurum_etl.validate import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aurum_etl.dataset import Dataset
    from aurum_etl.normalize import Normalized
    from aurum_etl.validate import Verdict

BIG = 10**8
DATASETS = {each.key: each for each in ERCOT.datasets}
DAM = ("deliveryDate", "hourEnding", "settlementPoint", "settlementPointPrice", "DSTFlag")
PRODUCTS = {
    "ercot_lmp": "NP4-190-CD",
    "ercot_lmp_rt15": "NP6-905-CD",
    "ercot_lmp_rt5": "NP6-788-CD",
    "ercot_asm": "NP4-188-CD",
}


def read(
    content: str | bytes | dict[str, Any], key: str = "ercot_lmp", name: str = "answer", **clock: str
) -> Normalized:
    """The canonical frame of one file, whichever of the dataset's reports it is."""
    dataset = DATASETS[key]
    if clock:
        for feed in dataset.feeds:
            dataset = dataset.of(feed.name, clock)
    if isinstance(content, dict):
        content = json.dumps(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        fetched = read_files(ERCOT, dataset, [path], BIG)
        if fetched.nothing:
            raise NoData("; ".join(fetched.nothing))
        return normalized_of(fetched, dataset)


def page(rows: Iterable[list[Any]], key: str = "ercot_lmp", names: Iterable[str] = DAM, **said: Any) -> dict[str, Any]:
    rows = list(rows)
    return {
        "_meta": {"totalRecords": len(rows), "pageSize": 100_000, "totalPages": 1, "currentPage": 1},
        "report": {"reportName": "x", "reportEMIL": PRODUCTS[key]},
        "fields": [{"name": name, "label": name, "cardinality": place + 1} for place, name in enumerate(names)],
        "data": rows,
        "_links": None,
        **said,
    }


def hour(label: str, price: object = 20.5, flag: object = False, day: str = "2026-07-14") -> list[Any]:
    return [day, label, "HB_WEST", price, flag]


def starts(normalized: Normalized) -> list[str]:
    return normalized.frame.get_column("interval_start").dt.strftime("%Y-%m-%dT%H:%M:%S").to_list()


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


# Rows of the public API


def test_columns_are_read_where_fields_says_that_they_are() -> None:
    """New ones are put between the others."""
    names = ("DSTFlag", "settlementPointPrice", "brandNew", "settlementPoint", "hourEnding", "deliveryDate")
    moved = page([[False, -0.01, "x", "LZ_WEST", "24:00", "2026-07-14"]], names=names)
    frame = read(moved).frame
    assert frame.select("iso_location_id", "iso_location_type", "price_total").rows() == [("LZ_WEST", "ZONE", -0.01)]
    assert starts(read(moved)) == ["2026-07-15T04:00:00"]


@pytest.mark.parametrize("price", [0, 0.0, -0.01, 4999.99, 20, "20.5", " 23.94", 1e-7, 123456.789012])
def test_a_price_is_kept_as_it_is(price: float | str) -> None:
    (found,) = read(page([hour("01:00", price)])).frame.get_column("price_total")
    assert found == float(price)


def test_prices_have_no_components() -> None:
    frame = read(page([hour("01:00")])).frame
    parts = frame.select("price_energy", "price_congestion", "price_loss", "price_ghg")
    assert parts.rows() == [(None, None, None, None)]


def verdict(normalized: Normalized, key: str = "ercot_lmp") -> Verdict:
    dataset = DATASETS[key]
    now = pl.lit(datetime(2026, 7, 15, tzinfo=UTC), pl.Datetime("us", "UTC"))
    frame = normalized.frame.with_columns(chunk_key=pl.lit("x"), ingested_at=now).select(dataset.contract.names)
    return validate(frame, dataset.contract, dataset.checks)


def test_a_price_that_is_not_there_is_rejected() -> None:
    found = verdict(read(page([hour("01:00", None), hour("02:00")])))
    assert (found.rejected.get_column("column").to_list(), len(found.accepted)) == (["price_total"], 1)


def test_rows_that_say_the_same_twice_count_once() -> None:
    normalized = read(page([hour("01:00"), hour("02:00"), hour("01:00")]))
    assert (len(normalized.frame), normalized.repeated) == (2, 1)


def test_another_spelling_of_a_column_is_taken() -> None:
    names = ("delivery_date", "HourEnding", "SETTLEMENTPOINT", "settlementPointPrice", "dstFlag")
    assert len(read(page([hour("01:00")], names=names)).frame) == 1


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (page([], totalRecords=0), NoData, "no rows"),
        (page([], _meta={"totalRecords": 4}), SourceUnavailable, "4 rows are promised, and the page has none"),
        (page([hour("01:00")[:-1]]), SourceChanged, r"rows of \[4\] cells do not fit"),
        (page([hour("01:00"), hour("02:00")[:-1]]), SourceChanged, "cells do not fit"),
        (page([hour("01:00")], names=("a", "b", "c", "d", "e")), SourceChanged, "column deliveryDate.* is missing"),
        (page([hour("01:00", "high")]), SourceChanged, 'settlementPointPrice holds "high", which is no number'),
        (page([hour("01:00", day="soon")]), SourceChanged, 'deliveryDate holds "soon", which is no wall-clock time'),
        (page([hour("01:00", flag=None)]), SourceChanged, "column DSTFlag is empty in row 1"),
        (page([hour("01:00")], report={"reportEMIL": "NP6-905-CD"}), SourceChanged, "an answer of NP6-905-CD"),
        (page([hour("01:00")], data=[{"deliveryDate": "2026-07-14"}]), SourceChanged, "expected rows with the columns"),
        (page([hour("01:00")], data=hour("01:00")), SourceChanged, r"rows of \[1\] cells do not fit"),
        ([hour("01:00")], SourceChanged, "expected"),
        ({"statusCode": 429, "message": "Rate limit is exceeded."}, SourceUnavailable, "429: Rate limit is exceeded"),
        ({"statusCode": 401, "message": "Access denied"}, AccessDenied, "401: Access denied"),
        ({"timestamp": "x", "status": 400, "message": "bad date"}, SourceChanged, "400: bad date"),
        ({"something": "else"}, SourceChanged, "expected fields and data; found something"),
        ("<html><body>Request unsuccessful</body></html>", SourceUnavailable, "html page.*Request unsuccessful"),
        (json.dumps(page([hour("01:00")]))[:-40], SourceUnavailable, "cut short"),
        ("", SourceUnavailable, "an empty body"),
        ("no data", SourceChanged, "expected json"),
    ],
)
def test_what_is_no_page_of_rows_is_refused(content: Any, kind: type[Exception], message: str, tmp_path: Path) -> None:
    (report,) = DATASETS["ercot_lmp"].of("api").feed.reports
    path = tmp_path / "answer"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(kind, match=f"^here: .*{message}"):
        list(ERCOT.batches(report, path, "here", BIG))


def test_a_page_may_begin_with_a_mark_and_have_lines(tmp_path: Path) -> None:
    (report,) = DATASETS["ercot_lmp"].of("api").feed.reports
    path = tmp_path / "answer"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(page([hour("01:00")]), indent=2).encode())
    assert sum(batch.num_rows for batch in ERCOT.batches(report, path, "here", BIG)) == 1
    with pytest.raises(TooLarge, match="bytes are more than 10"):
        list(ERCOT.batches(report, path, "here", 10))


# Change days


SPRING_DAY = [f"{number:02}:00" for number in (1, 2, *range(4, 25))]
AUTUMN_DAY = [("01:00", False), ("02:00", True), ("02:00", False), *((f"{n:02}:00", False) for n in range(3, 25))]


def test_spring_has_no_hour_ending_at_three() -> None:
    found = starts(read(page(hour(label, day="2026-03-08") for label in SPRING_DAY)))
    assert (found[0], found[1], found[2], found[-1], len(set(found))) == (
        "2026-03-08T06:00:00",
        "2026-03-08T07:00:00",
        "2026-03-08T08:00:00",
        "2026-03-09T04:00:00",
        23,
    )


@pytest.mark.parametrize("means", ["second", "first"])
def test_the_flag_tells_the_two_equal_hours_and_can_be_turned_round(means: str) -> None:
    rows = [hour(label, number, flag, "2025-11-02") for number, (label, flag) in enumerate(AUTUMN_DAY)]
    frame = read(page(rows), flag_means=means).frame
    assert frame.get_column("interval_start").dt.hour().to_list()[:4] == [5, 6, 7, 8]
    assert frame.get_column("price_total").to_list()[:4] == ([0, 2, 1, 3] if means == "second" else [0, 1, 2, 3])
    assert len(frame) == 25


@pytest.mark.parametrize("label", ["25:00", "00:00", "2", "0200", "24", "1:00"])
def test_labels_that_no_day_has_go_to_quarantine(label: str) -> None:
    normalized = read(page([hour(label)]))
    impossible = label in ("25:00", "00:00")
    assert (len(normalized.frame), len(normalized.unplaced)) == ((0, 1) if impossible else (1, 0))
    assert normalized.unplaced.get_column("check").to_list() == ["time_is_on_the_clock"] * impossible


def test_an_hour_that_spring_does_not_have_is_not_taken_for_another() -> None:
    """A label of 03:00 contradicts the hour before it, and both are looked at by a person."""
    found = verdict(read(page([hour("02:00", 1.0, day="2026-03-08"), hour("03:00", 2.0, day="2026-03-08")])))
    assert (found.rejected.get_column("check").to_list(), len(found.accepted)) == (["key_is_unique"] * 2, 0)


QUARTER = (
    "deliveryDate",
    "deliveryHour",
    "deliveryInterval",
    "settlementPoint",
    "settlementPointType",
    "settlementPointPrice",
    "DSTFlag",
)


def quarter(number: object, interval: object, kind: str = "HU", price: float = 20.0, **of: Any) -> list[Any]:
    return [
        of.get("day", "2026-07-14"),
        number,
        interval,
        of.get("name", "HB_WEST"),
        kind,
        price,
        of.get("flag", False),
    ]


def test_quarters_of_an_hour_are_counted_inside_it() -> None:
    rows = [quarter(2, each, flag=flag, day="2025-11-02") for flag in (True, False) for each in (1, 2, 3, 4)]
    found = starts(read(page(rows, "ercot_lmp_rt15", QUARTER), "ercot_lmp_rt15"))
    assert found == [f"2025-11-02T0{h}:{m:02}:00" for h in (6, 7) for m in (0, 15, 30, 45)]


@pytest.mark.parametrize(("number", "interval"), [(0, 1), (25, 1), (1, 0), (1, 5), (1, "x")])
def test_quarters_that_no_hour_has_go_to_quarantine(number: object, interval: object) -> None:
    normalized = read(page([quarter(number, interval)], "ercot_lmp_rt15", QUARTER), "ercot_lmp_rt15")
    assert (len(normalized.frame), len(normalized.unplaced)) == (0, 1)


def test_runs_keep_their_seconds() -> None:
    names = ("SCEDTimestamp", "repeatHourFlag", "settlementPoint", "LMP")
    rows = [
        ["2025-11-02T01:55:13", False, "HB_WEST", 1.0],
        ["2025-11-02T01:55:13", True, "HB_WEST", 2.0],
        ["2025-11-02T02:00:07", False, "HB_WEST", 3.0],
    ]
    frame = read(page(rows, "ercot_lmp_rt5", names), "ercot_lmp_rt5").frame
    assert frame.get_column("price_total").to_list() == [1.0, 2.0, 3.0]
    assert frame.get_column("interval_start").to_list() == [
        datetime(2025, 11, 2, 6, 55, 13, tzinfo=UTC),
        datetime(2025, 11, 2, 7, 55, 13, tzinfo=UTC),
        datetime(2025, 11, 2, 8, 0, 7, tzinfo=UTC),
    ]
    assert frame.get_column("interval_start").equals(frame.get_column("interval_end"), check_names=False)


# Words


def test_a_zone_that_stands_twice_is_the_one_that_is_not_weighted() -> None:
    rows = [quarter(1, 1, kind, 20.0 + number, name="LZ_WEST") for number, kind in enumerate(("LZEW", "LZ"))]
    rows.append(quarter(1, 1, "LZ_DCEW", 30.0, name="DC_N"))
    normalized = read(page(rows, "ercot_lmp_rt15", QUARTER), "ercot_lmp_rt15")
    assert normalized.frame.select("iso_location_id", "price_total").rows() == [("LZ_WEST", 21.0)]
    assert (normalized.passed_over, len(normalized.unplaced)) == (2, 0)


def test_every_kind_of_point_is_known_and_another_goes_to_quarantine() -> None:
    rows = [quarter(1, 1, kind, name=f"POINT_{kind}") for kind in (*TYPES, "NEW")]
    normalized = read(page(rows, "ercot_lmp_rt15", QUARTER), "ercot_lmp_rt15")
    found = dict(normalized.frame.select("iso_location_id", "iso_location_type").rows())
    assert found == {f"POINT_{kind}": place.value for kind, place in TYPES.items()}
    assert normalized.unplaced.select("column", "value").rows() == [("settlementPointType", "NEW")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("HB_BUSAVG", "HUB"), ("LZ_AEN", "ZONE"), ("DC_E", "INTERFACE"), ("ALPHA_RN", "NODE"), ("ALZ_1", "NODE")],
)
def test_where_no_kind_is_published_the_name_tells_it(name: str, kind: str) -> None:
    frame = read(page([["2026-07-14", "01:00", name, 1.0, False]])).frame
    assert frame.get_column("iso_location_type").to_list() == [kind]


def test_every_service_is_known_and_another_goes_to_quarantine() -> None:
    names = ("deliveryDate", "hourEnding", "ancillaryType", "MCPC", "DSTFlag")
    rows = [["2026-07-14", "01:00", service, 2.5, False] for service in (*SERVICES, "DRRS")]
    normalized = read(page(rows, "ercot_asm", names), "ercot_asm")
    assert dict(normalized.frame.select("service_native", "service").rows()) == SERVICES
    assert normalized.frame.get_column("quantity_mw").null_count() == len(SERVICES)
    assert normalized.unplaced.get_column("value").to_list() == ["DRRS"]


def test_every_fuel_is_known_and_another_goes_to_quarantine() -> None:
    fuels = {fuel: {"gen": -1.5} for fuel in (*FUELS, "Fusion")}
    normalized = read({"data": {"2026-07-14": {"2026-07-14 00:04:56-0500": fuels}}}, "ercot_genmix")
    assert dict(normalized.frame.select("fuel_native", "fuel_type").rows()) == FUELS
    assert normalized.unplaced.get_column("value").to_list() == ["Fusion"]


# The dashboard


def test_stamps_are_the_ends_of_intervals_some_seconds_early() -> None:
    stamps = {
        f"2025-11-02 {text}": {"Wind": {"gen": 1}} for text in ("01:04:56-0500", "01:04:58-0600", "01:10:00-0600")
    }
    assert starts(read({"data": {"2025-11-02": stamps}}, "ercot_genmix")) == [
        "2025-11-02T06:00:00",
        "2025-11-02T07:00:00",
        "2025-11-02T07:05:00",
    ]


def test_generation_comes_in_whole_and_in_broken_numbers() -> None:
    mix = {"Wind": {"gen": 1}, "Hydro": {"gen": 0}, "Solar": {"gen": 0.299883961677551}, "Other": {"gen": None}}
    frame = read({"data": {"2026-07-14": {"2026-07-14 00:04:56-0500": mix}}}, "ercot_genmix").frame
    found = dict(frame.select("fuel_native", "generation_mw").rows())
    assert found == {"Wind": 1.0, "Hydro": 0.0, "Solar": 0.299883961677551, "Other": None}


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ({"data": {}}, SourceUnavailable, "no generation"),
        ({"data": {"2026-07-14": {}}}, SourceUnavailable, "no generation"),
        ({"data": [1]}, SourceChanged, "expected data"),
        ({"data": {"2026-07-14": {"2026-07-14 00:04:56-0500": {"Wind": {"hsl": 1}}}}}, SourceChanged, "gen inside"),
        ({"data": {"2026-07-14": {"2026-07-14 00:04:56-0500": {"Wind": 3}}}}, SourceChanged, "gen inside"),
        (
            {"data": {"2026-07-14": {"2026-07-14 00:04:56-0500": {"Wind": {"gen": "much"}}}}},
            SourceChanged,
            "gen inside",
        ),
        ({"data": {"2026-07-14": {"now": {"Wind": {"gen": 1}}}}}, SourceChanged, 'timestamp holds "now"'),
        ({"status": 503, "message": "busy"}, SourceUnavailable, "503: busy"),
        ("<html>Access Denied</html>", SourceUnavailable, "html page"),
    ],
)
def test_what_is_no_fuel_mix_is_refused(content: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        read(content, "ercot_genmix")


# Documents


CSV = "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n"
CDR = "cdr.00012331.0000000000000000.{}.DAMSPNP4190.csv"


@pytest.mark.parametrize(
    "content",
    [
        f"{CSV}07/14/2026,01:00,HB_WEST,20.5,N\n",
        f"\ufeff{CSV}07/14/2026,01:00,HB_WEST, 20.50,N\n",
        f"{CSV}7/14/2026,1:00,HB_WEST,20.5,N\n\n".replace("\n", "\r\n"),
        "DSTFlag  ,Settlement Point Price,Settlement Point,Hour Ending,Delivery Date,New\nN,20.5,HB_WEST,01:00,07/14/2026,x\n",
        f'{CSV}"07/14/2026","01:00","HB_WEST",20.5,"N"\n'.replace("HourEnding", "hour_ending"),
    ],
    ids=["plain", "mark and blanks", "unpadded, blank line, carriage returns", "other order and names", "quoted"],
)
def test_a_csv_is_read_by_the_names_of_its_columns(content: str) -> None:
    frame = read(content).frame
    assert frame.select("iso_location_id", "price_total", "published_at").rows() == [("HB_WEST", 20.5, None)]
    assert frame.get_column("interval_start").to_list() == [datetime(2026, 7, 14, 5, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (CSV, SourceUnavailable, "a header and no rows: cut short"),
        (zipped({"a.csv": CSV}), NoData, "a header and no rows"),
        (zipped({"a.csv": "Rate limit is exceeded\n"}), SourceChanged, "is missing"),
        (f"{CSV}07/14/2026,01:00,HB_WEST,20.5\n", SourceChanged, "the last line has 4 cells, the header 5"),
        (f"{CSV}07/14/2026,01:00,HB_WEST,many,N\n", SourceChanged, 'holds "many", which is no number'),
        (f"{CSV}07/14/2026,01:00,,20.5,N\n", SourceChanged, "column settlementPoint is empty"),
        (
            CSV.replace("SettlementPointPrice", "Price") + "07/14/2026,01:00,HB_WEST,20.5,N\n",
            SourceChanged,
            "is missing",
        ),
        ("<html><body>down</body></html>", SourceUnavailable, "html page.*down"),
        ("PK\x03\x04 cut", SourceUnavailable, "damaged or cut short"),
        (zipped({}), SourceUnavailable, "no member"),
        (zipped({"a.csv": ""}), SourceUnavailable, "a.csv is empty"),
        (" \n", SourceUnavailable, "an empty body"),
    ],
)
def test_what_is_no_document_is_refused(
    content: str | bytes, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    (report,) = DATASETS["ercot_lmp"].feed.reports
    path = tmp_path / "answer"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(kind, match=f"^here: .*{message}"):
        list(ERCOT.batches(report, path, "here", BIG))


def test_documents_without_rows_beside_others_are_passed_over() -> None:
    full = zipped({"b.csv": f"{CSV}07/14/2026,01:00,HB_WEST,20.5,N\n"})
    assert len(read(zipped({"1.zip": zipped({"a.csv": CSV}), "2.zip": full})).frame) == 1


@pytest.mark.parametrize(
    ("name", "posted"),
    [
        (CDR.format("20260713.124501"), "2026-07-13T17:45:01"),
        (CDR.format("20260713.124501987").replace(".csv", "_csv.csv"), "2026-07-13T17:45:01"),
        (CDR.format("20251102.013000"), "2025-11-02T06:30:00"),
        (CDR.format("20251102.013000").replace(".csv", "_xhr.csv"), "2025-11-02T07:30:00"),
        (CDR.format("20251102.013000").replace(".csv", "xhr_csv.csv"), "2025-11-02T07:30:00"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_name_of_a_document_says_when_it_was_posted(name: str, posted: str, *, packed: bool) -> None:
    content = f"{CSV}07/14/2026,01:00,HB_WEST,20.5,N\n"
    normalized = read(zipped({name: content}) if packed else content, name="answer" if packed else name)
    assert normalized.frame.get_column("published_at").dt.strftime("%Y-%m-%dT%H:%M:%S").to_list() == [posted]


def test_the_zip_tells_where_the_csv_inside_does_not() -> None:
    content = f"{CSV}07/14/2026,01:00,HB_WEST,20.5,N\n"
    name = f"99.{CDR.format('20251102.013000123')}".replace(".csv", "xhr_csv.zip")
    frame = read(zipped({name: zipped({"prices.csv": content})})).frame
    assert frame.get_column("published_at").to_list() == [datetime(2025, 11, 2, 7, 30, tzinfo=UTC)]


def test_a_document_of_another_report_is_refused_by_its_name() -> None:
    content = f"{CSV}07/14/2026,01:00,HB_WEST,20.5,N\n"
    with pytest.raises(SourceChanged, match=r"is of report type 12328, and DAMSPNP4190 is 12331"):
        read(content, name=CDR.format("20260713.124501").replace("12331", "12328"))


ZONES = "DeliveryDate,HourEnding,North,South,West,Houston,SystemTotal,DSTFlag    \n"
ZONE_NAME = "cdr.00012311.0000000000000000.{}.LFCCONGESTNP3560.csv"


def test_a_forecast_is_nothing_without_the_instant_of_its_posting() -> None:
    with pytest.raises(SourceChanged, match=r"nothing but its name says when a LFCCONGESTNP3560 was posted"):
        read(f"{ZONES}07/14/2026,1:00,1,2,3,4,10,N\n", "ercot_load_forecast", "forecast.csv")


@pytest.mark.parametrize("label", ["2:00", "3:00", "03:00"])
def test_the_repeated_hour_of_a_forecast_may_have_the_label_of_the_next(label: str) -> None:
    hours = (("1:00", "N"), ("2:00", "N"), (label, "Y"), ("3:00", "N"), ("4:00", "N"))
    lines = [f"11/02/2025,{each},{number},2,3,4,10,{flag}\n" for number, (each, flag) in enumerate(hours)]
    frame = read(ZONES + "".join(lines), "ercot_load_forecast", ZONE_NAME.format("20251101.123000")).frame
    north = frame.filter(pl.col("iso_location_id") == "North")
    assert north.get_column("interval_start").dt.hour().to_list() == [5, 6, 7, 8, 9]
    assert north.get_column("load_mw").to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_hour_that_is_repeated_outright_stays_for_the_verdict() -> None:
    """As in 2024: choosing one of two values would be inventing."""
    lines = [f"11/03/2024,2:00,{value},2,3,4,10,N\n" for value in (1, 5)]
    frame = read(ZONES + "".join(lines), "ercot_load_forecast", ZONE_NAME.format("20241102.123000")).frame
    assert len(frame.filter(pl.col("iso_location_id") == "North")) == 2


def test_forecasts_of_one_and_of_many_models_are_told_apart() -> None:
    zones = "Coast,East,FarWest,North,NorthCentral,SouthCentral,Southern,West,SystemTotal"
    values = "1,2,3,4,5,6,7,8,36"
    one = f"DeliveryDate,HourEnding,{zones},DSTFlag\n07/14/2026,1:00,{values},N\n"
    many = f"DeliveryDate,HourEnding,{zones},Model,InUseFlag,DSTFlag\n" + "".join(
        f"07/14/2026,1:00,{values},{model},{used},N\n" for model, used in (("A3", "N"), ("X", "Y"))
    )
    name = "cdr.{:08}.0000000000000000.20260714.003000.{}.csv"
    models = [
        set(read(text, "ercot_load_forecast", name.format(number, of)).frame.get_column("forecast_model"))
        for text, number, of in ((one, 12312, "LFCWEATHERNP3561"), (many, 14837, "LFCMODWEATHERNP3565"))
    ]
    assert models == [{"NP3-561-CD"}, {"A3", "X"}]


def test_actual_values_and_empty_cells_are_no_forecasts() -> None:
    header = (
        "DELIVERY_DATE,HOUR_ENDING,SYSTEM_WIDE_GEN,COP_HSL_SYSTEM_WIDE,STPPF_SYSTEM_WIDE,PVGRPP_SYSTEM_WIDE,"
        "SYSTEM_WIDE_HSL,DSTFlag\n"
    )
    text = f"{header}07/14/2026,1,5,6,.49,8,9,N\n07/14/2026,24,,6,7,,,N\n"
    name = "cdr.00013483.0000000000000000.20260714.005508.PVGRHRLYAVGACTNP4737.csv"
    frame = read(text, "ercot_renewable_forecast", name).frame
    assert frame.select("forecast_model", "iso_location_id", "generation_mw").rows() == [
        ("PVGRPP", "ERCOT", 8.0),
        ("STPPF", "ERCOT", 0.49),
        ("STPPF", "ERCOT", 7.0),
    ]
    assert set(frame.select("fuel_native", "fuel_type").rows()) == {("Solar", "SOLAR")}


def test_the_total_of_all_zones_is_the_iso() -> None:
    zones = "COAST,EAST,FAR_WEST,NORTH,NORTH_C,SOUTHERN,SOUTH_C,WEST,TOTAL"
    text = f"OperDay,HourEnding,{zones},DSTFlag\n07/14/2026,24:00,1,2,3,4,5,6,7,8,36,N\n"
    frame = read(text, "ercot_load").frame
    assert dict(frame.select("iso_location_id", "load_mw").rows())["ERCOT"] == 36.0
    assert dict(frame.select("iso_location_id", "iso_location_type").rows())["ERCOT"] == "SYSTEM"
    assert len(frame) == 9
    by_forecast_zone = "OperDay,HourEnding,NORTH,SOUTH,WEST,HOUSTON,TOTAL,DSTFlag\n07/14/2026,24:00,11,13,11,1,36,N\n"
    other = read(by_forecast_zone, "ercot_load").frame
    assert not set(frame.get_column("series_id")) & set(other.get_column("series_id")), "both have a WEST"


# Lists


def test_of_documents_the_csv_is_wanted_once_each_and_the_oldest_first() -> None:
    report = DATASETS["ercot_lmp_rt15"].feed.reports[0]
    asked = {
        forms.FIRST: "2026-07-14T00:00:00",
        forms.LAST: "2026-07-15T00:00:00",
        forms.LABEL_FIRST: "2026-07-13T23:00:00",
        forms.LABEL_LAST: "2026-07-15T01:00:00",
    }
    found = [
        Document("1", "SPPHLZNP6905_20260714_0030_csv", datetime(2026, 7, 14, 0, 31)),  # noqa: DTZ001 - by the wall
        Document("2", "SPPHLZNP6905_20260714_0015_csv", datetime(2026, 7, 14, 0, 16)),  # noqa: DTZ001
        Document("3", "SPPHLZNP6905_20260714_0015_XML", datetime(2026, 7, 14, 0, 16)),  # noqa: DTZ001
        Document("4", "SPPHLZNP6905_20260713_2200_csv", datetime(2026, 7, 14, 0, 17)),  # noqa: DTZ001
        Document("5", "SPPHLZNP6905_20260714_0045_csv", datetime(2026, 7, 15, 0, 1)),  # noqa: DTZ001
        Document("6", "SPPHLZNP6905_csv", datetime(2026, 7, 15)),  # noqa: DTZ001
    ]
    report = replace(report, parameters={**report.parameters, **asked})
    assert [each.id for each in wanted(found, report)] == ["2", "1", "6"]


def test_the_offsets_of_mis_are_not_believed() -> None:
    """At half past midnight of the day that springs forward, Texas was still six hours behind."""
    listed = {
        "ListDocsByRptTypeRes": {
            "DocumentList": {
                "Document": {"DocID": "1", "ConstructedName": "x", "PublishDate": "2025-03-09T00:30:00-05:00"}
            }
        }
    }
    (found,) = forms.listed(json.dumps(listed).encode(), "here")
    assert found.posted == datetime(2025, 3, 9, 0, 30)  # noqa: DTZ001 - by the wall


# Settlement points


def test_a_point_is_listed_once_however_many_buses_it_has() -> None:
    header = "ELECTRICAL_BUS,SETTLEMENT_LOAD_ZONE,RESOURCE_NODE,HUB\n"
    buses = "A1,LZ_WEST,A_RN,HB_WEST\nA2,LZ_WEST,A_RN,HB_WEST\nB1,LZ_SOUTH,,\nB2,LZ_WEST,,HB_WEST\n"
    members = {"Settlement_Points_07132026_174625.csv": header + buses, "NOIE_Mapping_07132026.csv": "A,B\n1,2\n"}
    frame = read(zipped(members), "ercot_pnode").frame
    assert frame.select("iso_location_id", "iso_location_type", "location_type_native", "zone", "hub").rows() == [
        ("A_RN", "NODE", "RESOURCE_NODE", "LZ_WEST", "HB_WEST"),
        ("HB_WEST", "HUB", "HUB", None, None),
        ("LZ_SOUTH", "ZONE", "SETTLEMENT_LOAD_ZONE", None, None),
        ("LZ_WEST", "ZONE", "SETTLEMENT_LOAD_ZONE", None, None),
    ]


def test_a_list_of_points_without_its_member_is_refused() -> None:
    with pytest.raises(SourceUnavailable, match=r"no such file as .*Settlement_Points"):
        read(zipped({"NOIE_Mapping_07132026.csv": "A,B\n1,2\n"}), "ercot_pnode")


# What is told of the feeds


def test_what_feeds_need_and_serve_is_told() -> None:
    dataset: Dataset = DATASETS["ercot_lmp"]
    feeds = {each["name"]: each for each in document(dataset)["feeds"]}
    assert (feeds["mis"]["kept_days"], feeds["mis"]["since"]) == (30, None)
    assert (feeds["api"]["kept_days"], feeds["api"]["since"]) == (None, "2023-12-11")
    assert feeds["api"]["settings"] == {"flag_means": ["second", "first"]}
    assert "serves 2023-12-11 and later." in new_spec(dataset)
