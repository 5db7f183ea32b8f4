"""PJM: what is asked, and what is made of the answers."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from aurum_etl.adapters.base import demand_credentials
from aurum_etl.adapters.pjm import PJM, Pjm
from aurum_etl.adapters.pjm.dataminer import total_rows
from aurum_etl.errors import AurumError, NoData, SourceChanged, SourceUnavailable, SpecError, UsageError
from aurum_etl.normalize import Normalized, normalize
from aurum_etl.receipt import Outcome
from aurum_etl.runner import Flags, Report, run
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.validate import validate
from tests.frames import chunk, spec, with_variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings

BIG = 10**8
DAY = date(2026, 7, 14)
DATASETS = {each.key: each for each in PJM.datasets}
AT_NOON = Pjm(lambda: datetime(2026, 7, 20, 12, tzinfo=UTC))
ROW: dict[str, object] = {
    "datetime_beginning_utc": "2026-07-14T04:00:00",
    "datetime_beginning_ept": "2026-07-14T00:00:00",
    "pnode_id": 51288,
    "pnode_name": "WESTERN HUB",
    "voltage": None,
    "equipment": None,
    "type": "HUB",
    "zone": None,
    "system_energy_price_da": 30.5,
    "total_lmp_da": 31.25,
    "congestion_price_da": 0.5,
    "marginal_loss_price_da": 0.25,
    "row_is_current": True,
    "version_nbr": 1,
}


def asked(dataset: Dataset, day: date = DAY, *names: str, word: str = "ALL") -> list[dict[str, str]]:
    return [dict(each.request.query) for each in AT_NOON.asks(dataset, chunk(dataset, day, *names, word=word))]


def read(content: bytes | str | list[Any] | dict[str, Any], key: str = "pjm_lmp", feed: str = "") -> Normalized:
    dataset = DATASETS[key]
    dataset = dataset.of(feed or dataset.feed.name)
    (report, *_) = dataset.feed.reports
    if isinstance(content, (list, dict)):
        content = json.dumps(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return normalize(PJM.batches(report, path, "here", BIG), dataset, report)


def page(*rows: dict[str, object]) -> dict[str, object]:
    return {"links": [], "items": list(rows), "searchSpecification": {}, "totalRows": len(rows)}


# What is asked


def test_both_ends_of_a_filter_count() -> None:
    (query,) = asked(DATASETS["pjm_lmp"])
    assert query == {
        "startRow": "1",
        "rowCount": "50000",
        "datetime_beginning_utc": "2026-07-14 04:00:00to2026-07-15 03:59:59",
    }


@pytest.mark.parametrize(
    ("day", "between"),
    [
        (date(2026, 3, 8), "2026-03-08 05:00:00to2026-03-09 03:59:59"),
        (date(2025, 11, 2), "2025-11-02 04:00:00to2025-11-03 04:59:59"),
    ],
)
def test_a_change_day_is_asked_for_in_utc(day: date, between: str) -> None:
    assert [each["datetime_beginning_utc"] for each in asked(DATASETS["pjm_lmp"], day)] == [between]


def test_versions_are_asked_for_by_the_day_of_their_making() -> None:
    solar, wind = asked(DATASETS["pjm_renewable_forecast"], date(2025, 11, 2))
    assert solar == wind
    assert solar["evaluated_at_ept"] == "2025-11-02 00:00:00to2025-11-02 23:59:59"
    (history,) = asked(DATASETS["pjm_load_forecast"].of("history"))
    assert history["forecast_hour_beginning_ept"] == "2026-07-14 00:00:00to2026-07-22 23:59:59"
    assert asked(DATASETS["pjm_load_forecast"]) == [{"startRow": "1", "rowCount": "50000"}]


def test_named_nodes_go_by_fifty_and_classes_by_their_type() -> None:
    found = asked(DATASETS["pjm_lmp"], DAY, *map(str, range(120)))
    assert [len(each["pnode_id"].split(";")) for each in found] == [50, 50, 20]
    assert [each["type"] for each in asked(DATASETS["pjm_lmp"], DAY, word="HUB")] == ["HUB"]


def test_the_archive_takes_no_nodes() -> None:
    """731 days before 2026-07-20 is 2024-07-19: the market day before it ends four hours into that UTC day."""
    named = ("51288", "51217")
    before, edge, after = (asked(DATASETS["pjm_lmp"], date(2024, 7, day), *named) for day in (17, 18, 19))
    assert ["pnode_id" in each for each in before] == [False]
    assert [("pnode_id" in each, each["datetime_beginning_utc"]) for each in edge] == [
        (False, "2024-07-18 04:00:00to2024-07-18 23:59:59"),
        (True, "2024-07-19 00:00:00to2024-07-19 03:59:59"),
    ]
    assert ["pnode_id" in each for each in after] == [True]
    old = asked(DATASETS["pjm_lmp"], date(2020, 5, 1), word="HUB")
    assert [each["type"] for each in old] == ["HUB"]


def test_the_archive_is_not_asked_across_new_year() -> None:
    assert [each["datetime_beginning_utc"] for each in asked(DATASETS["pjm_lmp_rt60"], date(2020, 12, 31))] == [
        "2020-12-31 05:00:00to2020-12-31 23:59:59",
        "2021-01-01 00:00:00to2021-01-01 04:59:59",
    ]
    (one,) = asked(DATASETS["pjm_lmp_rt60"], date(2025, 12, 31))
    assert one["datetime_beginning_utc"] == "2025-12-31 05:00:00to2026-01-01 04:59:59"


def test_the_total_is_found_at_either_end(tmp_path: Path) -> None:
    body = tmp_path / "body"
    for text, total in (
        ('{"items":[],"totalRows": 325176}', 325_176),
        ('{"totalRows":7,"items":["' + "x" * 200_000 + '"]}', 7),
        ("[]", None),
    ):
        body.write_text(text)
        assert total_rows(body) == total


# What is made of the answers


def test_a_row_becomes_an_observation() -> None:
    (row,) = read(page(ROW)).frame.to_dicts()
    assert row["series_id"] == "pjm.lmp.da.da.60m.51288"
    assert (row["iso_location_id"], row["iso_location_name"], row["iso_location_type"]) == (
        "51288",
        "WESTERN HUB",
        "HUB",
    )
    assert (row["price_total"], row["price_energy"], row["price_congestion"], row["price_loss"], row["price_ghg"]) == (
        31.25,
        30.5,
        0.5,
        0.25,
        None,
    )
    assert (row["interval_start"], row["operating_date"], row["revision"]) == (
        datetime(2026, 7, 14, 4, tzinfo=UTC),
        DAY,
        "1",
    )


CSV = (
    ",".join(ROW)
    + "\n"
    + "7/14/2026 4:00:00 AM,7/14/2026 12:00:00 AM,51288,WESTERN HUB,,,HUB,,30.5,31.25,0.5,0.25,True,1\n"
)


@pytest.mark.parametrize(
    "content",
    [
        [ROW],
        page({**ROW, "datetime_beginning_utc": "2026-07-14T04:00:00.000"}),
        page(dict(reversed(ROW.items()))),
        CSV,
        CSV.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.replace("version_nbr\n", "version_nbr \n").rstrip("\n") + "\n\n",
        gzip.compress(CSV.encode()),
        gzip.compress(json.dumps([ROW]).encode()),
    ],
    ids=["list", "milliseconds", "order", "csv", "crlf", "bom", "blanks", "gzip", "gzip of json"],
)
def test_every_form_says_the_same(content: bytes | str | list[Any] | dict[str, Any]) -> None:
    assert read(content).frame.equals(read(page(ROW)).frame)


def test_the_highest_version_counts() -> None:
    found = read(page(ROW, {**ROW, "version_nbr": 10, "total_lmp_da": 32.25}, {**ROW, "version_nbr": 9}))
    assert found.frame.select("price_total", "revision").rows() == [(32.25, "10")]
    assert found.superseded == 2


def test_real_time_prices_may_miss_the_sum_of_their_parts_by_a_cent() -> None:
    """Energy is published in cents there."""
    real_time = {name.replace("_da", "_rt"): value for name, value in ROW.items()}
    for off, rejected in ((0.010, 0), (0.02, 1)):
        frame = read(page({**real_time, "total_lmp_rt": 31.25 + off}), "pjm_lmp_rt60").frame
        lineage = frame.with_columns(chunk_key=pl.lit("x"), ingested_at=pl.col("interval_start"))
        dataset = DATASETS["pjm_lmp_rt60"]
        verdict = validate(lineage.select(dataset.contract.names), dataset.contract, dataset.checks)
        assert verdict.rows_rejected == rejected


@pytest.mark.parametrize(
    ("key", "column", "row"),
    [
        ("pjm_lmp", "type", {**ROW, "type": "MOON"}),
        ("pjm_genmix", "fuel_type", {"datetime_beginning_utc": "2026-07-14T04:00:00", "fuel_type": "Moon", "mw": 1.5}),
        (
            "pjm_asm",
            "service",
            {
                "datetime_beginning_utc": "2026-07-14T04:00:00",
                "locale": "PJM_RTO",
                "service": "MOON",
                "mcp": 1.5,
                "total_mw": 2.5,
            },
        ),
    ],
)
def test_an_unknown_word_is_kept_aside_with_its_word(key: str, column: str, row: dict[str, object]) -> None:
    found = read(page(row), key)
    assert found.frame.is_empty()
    assert found.unplaced.select("column", "value").rows() == [(column, str(row[column]))]


def test_a_node_that_still_holds_has_no_end() -> None:
    node = {
        "pnode_id": 2156110049,
        "pnode_name": "ALDENE  230 KV  T-10",
        "pnode_type": "BUS",
        "pnode_subtype": "LOAD",
        "zone": "PSEG",
        "voltage_level": "230 KV",
        "effective_date": "2019-12-11T00:00:00",
        "termination_date": "9999-12-31T00:00:00",
    }
    ended = {**node, "effective_date": "2012-06-01T00:00:00", "termination_date": "2019-12-11T00:00:00", "zone": None}
    rows = read(page(node, ended), "pjm_pnode").frame.select(
        "iso_location_id", "iso_location_name", "iso_location_type", "zone", "effective_start", "effective_end"
    )
    name, change = "ALDENE  230 KV  T-10", datetime(2019, 12, 11, 5, tzinfo=UTC)
    assert rows.sort("effective_start").rows() == [
        ("2156110049", name, "NODE", None, datetime(2012, 6, 1, 4, tzinfo=UTC), change),
        ("2156110049", name, "NODE", "PSEG", change, None),
    ]


def test_no_rows_are_no_data_where_their_number_says_so() -> None:
    with pytest.raises(NoData, match=r"^here: "):
        read(page())


@pytest.mark.parametrize("content", ["[]", {"items": []}, {"items": [], "totalRows": 7}])
def test_no_rows_without_that_number_may_be_anything(content: Any) -> None:
    with pytest.raises(SourceUnavailable, match=r"^here: the answer holds no rows"):
        read(content)


@pytest.mark.parametrize("content", [",".join(ROW) + "\n", ",".join(ROW)])
def test_a_csv_without_rows_does_not_say_that_there_are_none(content: str) -> None:
    assert read(content).rows_read == 0


def test_a_notice_of_the_throttle_is_not_a_csv_without_rows() -> None:
    with pytest.raises(SourceChanged, match="is missing"):
        read("Rate limit is exceeded. Try again in 30 seconds.\n")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ({}, SourceChanged, "no items, no errors"),
        ("<html><body>Access denied</body></html>", AurumError, "here: "),
        ({"statusCode": 429, "message": "Rate limit is exceeded"}, SourceChanged, "Rate limit is exceeded"),
        ({"errors": [{"field": "x", "message": "needs a date"}], "message": "Bad"}, SourceChanged, "needs a date"),
        (json.dumps(page(ROW))[:-40], SourceUnavailable, "here: "),
        (CSV[:-20], SourceChanged, "cut short"),
        (gzip.compress(CSV.encode())[:-9], SourceUnavailable, "gzip"),
        (page({**ROW, "total_lmp_da": "n/a"}), SourceChanged, 'total_lmp_da holds "n/a"'),
        (page({**ROW, "datetime_beginning_utc": "noon"}), SourceChanged, 'datetime_beginning_utc holds "noon"'),
        (page({name: value for name, value in ROW.items() if name != "type"}), SourceChanged, "type"),
        (page({**ROW, "datetime_beginning_utc": "2026-07-14T04:07:00"}), SourceChanged, "04:07"),
    ],
)
def test_what_is_not_as_documented_is_told(
    content: str | bytes | dict[str, Any], error: type[AurumError], words: str
) -> None:
    with pytest.raises(error) as caught:
        read(content)
    assert str(caught.value).startswith("here: ")
    assert words in str(caught.value)


# Whole runs


@pytest.fixture
def go(tmp_path: Path, settings: Settings) -> Callable[..., Report]:
    def go(text: str, day: date | None = DAY, where: Settings = settings) -> Report:
        flags = Flags() if day is None else Flags(start=day, end=day + timedelta(1))
        return run(spec(tmp_path, f"dataset: {text}\n"), flags, where)

    return go


def test_a_missing_key_is_told_before_anything_is_asked(go: Callable[..., Report], settings: Settings) -> None:
    without = with_variables(settings, PJM_API_KEY="")
    with pytest.raises(SpecError, match=r"PJM_API_KEY: not set.*apiportal\.pjm\.com.*--sim brings its own"):
        go("pjm_lmp", where=without)
    with pytest.raises(SpecError, match="PJM_API_KEY"):
        demand_credentials(DATASETS["pjm_pnode"], {}, PJM.manners.access)


def test_a_wrong_key_is_refused_and_not_told(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    report = go("pjm_lmp", where=with_variables(settings, PJM_API_KEY="wrong-key"))
    error = str(report.receipts[0].error)
    assert error.startswith("AccessDenied: ")
    assert "PJM_API_KEY" in error
    assert "wrong-key" not in error
    assert len(simulator.log) == 1, "what is refused is not asked again"


def test_pages_are_read_to_the_end(tmp_path: Path) -> None:
    with Simulator(nodes=2_500) as simulator:
        settings = read_settings({"AURUM_HOME": str(tmp_path / "home"), **simulator.env})
        flags = Flags(start=DAY, end=DAY + timedelta(1), sink_kinds=("memory",))
        report = run(spec(tmp_path, "dataset: pjm_lmp\n"), flags, settings)
        assert (report.outcome, report.rows) == (Outcome.DONE, 2_500 * 24)
        assert [each.query["startRow"] for each in simulator.log] == ["1", "50001"]
        simulator.inject(Fault("missing_hour", match={"startRow": "50001"}))
        broken = run(spec(tmp_path, "dataset: pjm_lmp\n"), flags, settings)
        assert "57,500 rows came, and 60,000 were promised" in str(broken.receipts[0].error)


def test_named_nodes_come_out_of_the_archive_too(go: Callable[..., Report]) -> None:
    report = go("pjm_lmp\nsource: {nodes: ['51288']}", date(2022, 7, 14))
    assert (report.outcome, report.rows) == (Outcome.DONE, 24)
    assert [each.check for each in report.receipts[0].findings] == ["rows_are_asked_for"]


def test_a_corrected_hour_stands_once(go: Callable[..., Report]) -> None:
    report = go("pjm_lmp_rt60", date(2026, 7, 5))
    assert (report.outcome, report.rows) == (Outcome.DONE, 90 * 24)
    assert {each.check: each.count for each in report.receipts[0].findings} == {"versions_are_the_newest": 90 * 24}


def test_verified_rows_take_the_place_of_others_and_not_the_reverse(go: Callable[..., Report]) -> None:
    day = datetime.now(UTC).date() - timedelta(5)
    of = "pjm_lmp_rt5\nsource: {feed: %s, nodes: ['51288']}"
    assert [each.revision for each in go(of % "unverified", day).receipts] == ["UNVERIFIED"]
    assert [each.revision for each in go(of % "verified", day).receipts] == [""]
    with pytest.raises(UsageError, match="rows of a higher revision than UNVERIFIED are there"):
        go(of % "unverified", day)


def test_a_forecast_that_is_newest_has_no_days(go: Callable[..., Report]) -> None:
    with pytest.raises(
        UsageError, match=r"newest of pjm_load_forecast serves what there is now.*source\.feed: history"
    ):
        go("pjm_load_forecast")
    report = go("pjm_load_forecast", None)
    (receipt,) = report.receipts
    assert report.outcome is Outcome.DONE
    assert receipt.chunk.window.duration == timedelta(microseconds=1)
    assert go("pjm_load_forecast", None).receipts[0].chunk.dataset == "pjm_load_forecast"


def test_what_is_kept_for_some_days_is_not_asked_for_before_them(go: Callable[..., Report]) -> None:
    with pytest.raises(UsageError, match=r"feed api of pjm_load_rt5 serves \d{4}-\d\d-\d\d and later"):
        go("pjm_load_rt5", date(2024, 7, 14))


def test_the_registry_is_replaced_as_a_whole(go: Callable[..., Report]) -> None:
    first, second = go("pjm_pnode", None), go("pjm_pnode", None)
    assert first.outcome is second.outcome is Outcome.DONE
    assert first.rows == second.rows > 90
