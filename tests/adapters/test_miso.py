"""MISO: what is asked, and what is made of the answers."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from aurum_etl.adapters.miso import MISO
from aurum_etl.errors import AurumError, NoData, SourceChanged, SourceUnavailable
from aurum_etl.normalize import Normalized, normalize
from aurum_etl.reading import read_to_frame
from aurum_etl.validate import validate
from tests.frames import chunk

if TYPE_CHECKING:
    from aurum_etl.dataset import Dataset, Report

BIG = 10**8
DATASETS = {each.key: each for each in MISO.datasets}
WIDE = "20260714_da_expost_lmp.csv"


def dataset(key: str, feed: str = "", **clock: str) -> Dataset:
    chosen = DATASETS[key]
    return chosen.of(feed or chosen.feeds[0].name, clock)


def asked(of: Dataset, *days: date, names: tuple[str, ...] = ()) -> list[str]:
    return [
        each.request.describe().removeprefix("MISO ")
        for day in days or (date(2026, 7, 14),)
        for each in MISO.asks(of, chunk(of, day, *names))
    ]


def read(content: bytes | str, name: str, of: Dataset, number: int = 0) -> Normalized:
    report: Report = of.feed.reports[number]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return normalize(MISO.batches(report, path, f"here/{name}", BIG), of, report)


def wide(
    *rows: str,
    title: str = "Day Ahead Market ExPost LMPs",
    day: str = "07/14/2026",
    hours: tuple[int, ...] = tuple(range(1, 25)),
) -> str:
    header = "Node,Type,Value," + ",".join(f"HE {hour}" for hour in hours)
    return "\n".join(
        [title, day, "", ",,,All Hours-Ending are Eastern Standard Time (EST)", header, *(rows or (PRICES,)), ""]
    )


def price_row(node: str = "ILLINOIS.HUB", kind: str = "Hub", value: str = "LMP", hours: int = 24) -> str:
    return f"{node},{kind},{value}," + ",".join(str(hour) for hour in range(1, hours + 1))


PRICES = price_row()


# What is asked


@pytest.mark.parametrize(
    ("key", "feed", "paths"),
    [
        ("miso_lmp", "csv", ["20260714_da_expost_lmp.csv"]),
        ("miso_lmp", "api", ["api:pricing/v1/day-ahead/2026-07-14/lmp-expost?pageNumber=1"]),
        ("miso_lmp_exante", "csv", ["20260714_da_exante_lmp.csv"]),
        ("miso_lmp_exante", "api", ["api:pricing/v1/day-ahead/2026-07-14/lmp-exante?pageNumber=1"]),
        ("miso_lmp_rt60", "final", ["20260714_rt_lmp_final.csv"]),
        ("miso_lmp_rt60", "prelim", ["20260714_rt_lmp_prelim.csv"]),
        (
            "miso_lmp_rt60",
            "api",
            [
                "api:pricing/v1/real-time/2026-07-14/lmp-expost?timeResolution=hourly&preliminaryFinal=Final&pageNumber=1"
            ],
        ),
        (
            "miso_lmp_rt5",
            "api_prelim",
            [
                "api:pricing/v1/real-time/2026-07-14/lmp-expost?timeResolution=5min&preliminaryFinal=Preliminary&pageNumber=1"
            ],
        ),
        ("miso_asm", "api", ["api:pricing/v1/day-ahead/2026-07-14/asm-expost?pageNumber=1"]),
        (
            "miso_asm_rt60",
            "api",
            [
                "api:pricing/v1/real-time/2026-07-14/asm-expost?timeResolution=hourly&preliminaryFinal=Final&pageNumber=1"
            ],
        ),
        (
            "miso_asm_rt5",
            "api_prelim",
            [
                "api:pricing/v1/real-time/2026-07-14/asm-expost?timeResolution=5min&preliminaryFinal=Preliminary&pageNumber=1"
            ],
        ),
        (
            "miso_load",
            "api",
            [
                f"api:lgi/v1/real-time/2026-07-14/demand/actual?geoResolution={each}&timeResolution=hourly&pageNumber=1"
                for each in ("region", "localResourceZone")
            ],
        ),
        (
            "miso_load_forecast",
            "api",
            [
                f"api:lgi/v1/forecast/2026-07-{day}/load?init=2026-07-14&timeResolution=hourly&pageNumber=1"
                for day in range(14, 20)
            ],
        ),
        (
            "miso_renewable_forecast",
            "display",
            ["public:WindSolar/getwindforecast", "public:WindSolar/getsolarforecast"],
        ),
        ("miso_pnode", "api", ["api:pricing/v1/aggregated-pnode?date=2026-07-14&pageNumber=1"]),
    ],
)
def test_every_feed_asks_for_a_day_in_its_own_way(key: str, feed: str, paths: list[str]) -> None:
    assert asked(dataset(key, feed)) == paths


def test_named_nodes_are_asked_for_one_by_one_and_taken_out_of_a_whole_file() -> None:
    names = ("ILLINOIS.HUB", "ARKANSAS.HUB")
    assert asked(dataset("miso_lmp"), names=names) == [WIDE]
    assert asked(dataset("miso_lmp", "api"), names=names) == [
        f"api:pricing/v1/day-ahead/2026-07-14/lmp-expost?node={node}&pageNumber=1" for node in sorted(names)
    ]


@pytest.mark.parametrize(
    ("day", "file"),
    [
        (date(2026, 7, 13), "20260727_5MIN_LMP.zip"),
        (date(2026, 7, 19), "20260727_5MIN_LMP.zip"),
        (date(2026, 7, 20), "20260803_5MIN_LMP.zip"),
        (date(2026, 1, 1), "20260112_5MIN_LMP.zip"),
    ],
)
def test_a_week_of_five_minutes_is_named_for_the_monday_two_weeks_later(day: date, file: str) -> None:
    assert asked(dataset("miso_lmp_rt5"), day) == [file]


def test_a_week_that_is_two_is_asked_for_twice() -> None:
    of = dataset("miso_lmp_rt5")
    day = chunk(of, date(2026, 7, 17))
    week = type(day)(day.dataset, day.selection, type(day.window)(day.window.start, day.window.start + timedelta(7)))
    assert [each.request.path for each in MISO.asks(of, week)] == ["20260727_5MIN_LMP.zip", "20260803_5MIN_LMP.zip"]


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2026, 7, 14)])
def test_a_day_has_24_hours_all_year(day: date) -> None:
    """Eastern Standard Time, summer included: midnight is five hours behind UTC."""
    of = dataset("miso_lmp")
    window = chunk(of, day).window
    assert (window.start.hour, window.duration) == (5, timedelta(hours=24))
    frame = read(wide(day=f"{day:%m/%d/%Y}"), WIDE, of).frame
    assert (frame["interval_start"][0], frame["interval_end"][-1]) == (window.start, window.end)
    assert frame["operating_date"].unique().to_list() == [day]


def test_the_fuel_mix_of_today_and_of_yesterday_are_two_displays() -> None:
    of = dataset("miso_genmix")
    today = (datetime.now(UTC) - timedelta(hours=5)).date()
    assert asked(of, today, today - timedelta(1)) == ["public:FuelMix/Today", "public:FuelMix/Yesterday"]


# What is made of answers: csv


def test_components_that_stand_in_groups_become_one_row() -> None:
    nodes = ("ILLINOIS.HUB", "MHEB", "ALTW.WELLS1", "ALTW.ALTW")
    kinds = ("Hub", "Interface", "Gennode", "Loadzone")
    rows = [
        price_row(node, kind, value) for value in ("LMP", "MCC", "MLC") for node, kind in zip(nodes, kinds, strict=True)
    ]
    result = read(wide(*rows), WIDE, dataset("miso_lmp"))
    assert (result.rows_read, len(result.frame)) == (4 * 3 * 24, 4 * 24)
    types = dict(result.frame.select("iso_location_id", "iso_location_type").unique().iter_rows())
    assert types == dict(zip(nodes, ("HUB", "INTERFACE", "NODE", "ZONE"), strict=True))
    assert result.frame.select("price_total", "price_energy", "price_congestion", "price_loss").row(23) == (
        24.0,
        None,
        24.0,
        24.0,
    )


def test_numbers_without_a_leading_zero_and_empty_cells_are_read() -> None:
    row = "A.B,Gennode,{},.92,-.94,29,," + ",".join(["0"] * 20)
    frame = read(wide(row.format("LMP"), row.format("MCC")), WIDE, dataset("miso_lmp")).frame
    assert frame["price_total"].to_list()[:3] == [0.92, -0.94, 29.0]
    assert (len(frame), frame["price_congestion"].null_count(), frame["price_loss"].null_count()) == (23, 0, 23)


def test_a_congestion_without_a_price_is_not_a_price() -> None:
    of = dataset("miso_lmp")
    rows = [price_row(), price_row(value="MCC"), price_row("B", "Hub", "MCC")]
    frame = read(wide(*rows), WIDE, of).frame
    verdict = validate(frame, of.contract, of.checks)
    assert (len(verdict.accepted), verdict.rows_rejected, verdict.rejected["column"][0]) == (24, 24, "price_total")


@pytest.mark.parametrize(
    "text",
    [
        wide().replace("\n\n", "\n"),
        "\ufeff" + wide(),
        wide().replace("\n", "\r\n"),
        wide().replace("Node,Type,Value,", "Node ,Type, Value ,").replace(",HE ", ", HE "),
        wide(PRICES, "", ",,,", ""),
        wide().rstrip("\n"),
        wide(day="7/14/2026"),
        wide().replace("Day Ahead Market ExPost LMPs", "Day  Ahead Market ExPost LMPs,,,"),
        wide().replace("Node,Type,Value", '"Node","Type","Value"'),
    ],
    ids=["no third line", "mark", "crlf", "blanks", "blank lines", "no last newline", "unpadded", "title", "quotes"],
)
def test_small_differences_do_not_matter(text: str) -> None:
    of = dataset("miso_lmp")
    result = read(text, WIDE, of)
    assert (result.frame.equals(read(wide(), WIDE, of).frame), result.drift) == (True, ())


def test_reordered_columns_are_read_by_name() -> None:
    lines = [line.split(",") for line in wide().splitlines()]
    turned = "\n".join(",".join(reversed(cells)) if len(cells) > 20 else ",".join(cells) for cells in lines)
    with pytest.raises(SourceChanged, match="no header line that begins with Node"):
        read(turned, WIDE, dataset("miso_lmp"))
    moved = "\n".join(
        ",".join([cells[0], *reversed(cells[1:])]) if len(cells) > 20 else ",".join(cells) for cells in lines
    )
    assert read(moved, WIDE, dataset("miso_lmp")).frame.equals(read(wide(), WIDE, dataset("miso_lmp")).frame)


def test_an_hour_that_no_day_has_goes_to_quarantine_by_its_name() -> None:
    result = read(wide(price_row(hours=25), hours=tuple(range(1, 26))), WIDE, dataset("miso_lmp"))
    assert len(result.frame) == 24
    assert result.unplaced.select("check", "column", "value").rows() == [("time_is_on_the_clock", "hour", "HE 25")]


def test_rows_that_stand_twice_count_once() -> None:
    result = read(wide(PRICES, PRICES), WIDE, dataset("miso_lmp"))
    assert (len(result.frame), result.repeated) == (24, 24)


def test_rows_that_contradict_each_other_are_rejected() -> None:
    of = dataset("miso_lmp")
    frame = read(wide(PRICES, PRICES.replace(",24", ",25")), WIDE, of).frame
    assert validate(frame, of.contract, of.checks).rows_rejected == 2


@pytest.mark.parametrize(
    ("row", "column", "word"), [(price_row(value="MEC"), "Value", "MEC"), (price_row(kind="Zone"), "Type", "Zone")]
)
def test_an_unknown_word_goes_to_quarantine(row: str, column: str, word: str) -> None:
    result = read(wide(PRICES, row.replace("ILLINOIS", "X")), WIDE, dataset("miso_lmp"))
    assert len(result.frame) == 24
    assert result.unplaced.select("check", "column", "value").unique().rows() == [("word_is_known", column, word)]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (wide(title="Day Ahead Market ExAnte LMPs"), SourceChanged, "expected the title .*ExPost.* found .*ExAnte"),
        (wide(title="Realtime Market LMPs"), SourceChanged, "expected the title"),
        (wide(day=""), SourceChanged, "no date such as"),
        (wide(day="13/41/2026"), SourceChanged, '"13/41/2026" above the header is no date'),
        (
            wide().replace("Standard Time (EST)", "Prevailing Time (EPT)"),
            SourceChanged,
            "not said to be Eastern Standard",
        ),
        (
            wide().replace("Value", "Kind"),
            SourceChanged,
            "column Value is missing; expected Node.*; found Node, Type, Kind",
        ),
        (wide(price_row(hours=23), hours=tuple(range(1, 24))), SourceChanged, "column HE 24 is missing"),
        (wide().replace("Node", "Nodes"), SourceChanged, "no header line that begins with Node"),
        (wide(PRICES, PRICES[:-20]), SourceChanged, "cut short"),
        (wide(PRICES.replace(",7,", ",n/a,")), SourceChanged, 'column HE 7 holds "n/a"'),
        (wide(PRICES.replace(",7,", ",NaN,")), SourceChanged, "column HE 7 holds"),
        (wide(PRICES.replace("ILLINOIS.HUB", "")), SourceChanged, "column Node is empty"),
        (
            wide(hours=tuple(range(1, 25))).replace("HE 24", "HE 24,Note").replace(",24\n", ",24,late\n"),
            SourceChanged,
            "late",
        ),
        ("<html><body>Service Unavailable</body></html>", SourceUnavailable, "html page.*Service Unavailable"),
        ("", SourceUnavailable, "empty body"),
        ("\n\n", SourceUnavailable, "empty body"),
        ("<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>", NoData, "BlobNotFound"),
        ("Rate limit is exceeded. Try again in 22 seconds.", SourceChanged, "Rate limit is exceeded"),
        ('{"error":"no data"}', SourceChanged, "no header line"),
    ],
)
def test_what_is_no_price_file_is_refused(text: str, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=f"^here/{WIDE}: .*{message}"):
        read(text, WIDE, dataset("miso_lmp"))


def test_preliminary_and_final_prices_differ_by_the_name_alone() -> None:
    text = wide(title="Realtime Market LMPs")
    for feed, mark in (("final", "FINAL"), ("prelim", "PRELIM")):
        of = dataset("miso_lmp_rt60", feed)
        frame = read(text, f"20260714_rt_lmp_{feed}.csv", of).frame
        assert frame["revision"].unique().to_list() == [mark]
        for name in ("prices.csv", f"20260714_rt_lmp_{'prelim' if feed == 'final' else 'final'}.csv"):
            with pytest.raises(SourceChanged, match="nothing but the name tells"):
                read(text, name, of)


def test_a_final_price_takes_the_place_of_a_preliminary_one(tmp_path: Path) -> None:
    files = []
    for mark, price in (("final", 24), ("prelim", 99)):
        files.append(tmp_path / f"20260714_rt_lmp_{mark}.csv")
        files[-1].write_text(wide(PRICES.replace(",24", f",{price}"), title="Realtime Market LMPs"))
    for order in (files, files[::-1]):
        table = read_to_frame("miso_lmp_rt60", order).table
        assert (table.num_rows, table["revision"].unique().to_pylist(), table["price_total"][-1].as_py()) == (
            24,
            ["FINAL"],
            24.0,
        )


# What is made of answers: the weekly zip


ROWS = "07/13/2026 00:00:00,A.HUB,1.5,.5,.1\n07/13/2026 00:05:00,A.HUB,2,0,-.1\n"
ABOVE = "MISO\n07/27/2026\n\nEST\nMKTHOUR_EST, PNODENAME, LMP, CON_LMP, LOSS_LMP\n"


def weekly(text: str, name: str = "20260727_5MIN_LMP.csv") -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return body.getvalue()


@pytest.mark.parametrize("below", ["", "End of file\n", "\n\n", ",,,,\n", "Total rows: 2, done\n\n"])
def test_lines_above_and_below_the_five_minutes_are_no_rows(below: str) -> None:
    frame = read(weekly(ABOVE + ROWS + below), "w.zip", dataset("miso_lmp_rt5")).frame
    assert frame.select("iso_location_type", "price_total", "price_energy", "price_congestion", "revision").rows() == [
        ("HUB", 1.5, None, 0.5, "FINAL"),
        ("HUB", 2.0, None, 0.0, "FINAL"),
    ]
    assert frame["interval_start"].to_list() == [datetime(2026, 7, 13, 5, minute, tzinfo=UTC) for minute in (0, 5)]


def test_labels_of_five_minutes_are_ends_where_the_spec_says_so() -> None:
    of = dataset("miso_lmp_rt5", "final", labels="end")
    assert read(weekly(ABOVE + ROWS), "w.zip", of).frame["interval_end"][0] == datetime(2026, 7, 13, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", SourceUnavailable, "got nothing"),
        (b"<html>busy</html>", SourceUnavailable, "html page"),
        ((ABOVE + ROWS).encode(), SourceChanged, "expected a zip"),
        (weekly(ABOVE + ROWS)[:-30], SourceUnavailable, "damaged or cut short"),
        (weekly("nothing"), SourceChanged, "no header line"),
        (weekly(ABOVE.replace("LMP, CON", "Price, CON") + ROWS), SourceChanged, "column LMP is missing"),
        (weekly(ABOVE + ROWS.replace("00:05", "00:07")), SourceChanged, "not on the grid"),
        (weekly(ABOVE + ROWS.replace("07/13/2026 00:05:00", "soon")), SourceChanged, 'holds "soon"'),
    ],
)
def test_what_is_no_week_is_refused(content: bytes, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=f"^here/w.zip: .*{message}"):
        read(content, "w.zip", dataset("miso_lmp_rt5"))
