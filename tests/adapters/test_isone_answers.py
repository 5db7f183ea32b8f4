"""ISO-NE: what is made of answers that are not as they should be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurum_etl.errors import AurumError, NoData, SourceChanged, SourceError, SourceUnavailable
from tests.adapters.loopback import EDITS, edited
from tests.adapters.test_isone import NAMES, dataset, hourly, price, read, row, table, week

PAGE = "<html><head><title>ISO Express</title></head><body>Sign in to continue</body></html>"


def without(name: str) -> dict[str, Any]:
    return hourly({key: value for key, value in price().items() if key != name})


# Reports


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", SourceUnavailable, "an empty body"),
        (" \n", SourceUnavailable, "an empty body"),
        (PAGE, SourceUnavailable, "html page instead of data: ISO Express Sign in to continue"),
        ("No data exists for this period.", NoData, r"No data exists for this period\."),
        ("\ufeffNo data exists for this period.\n", NoData, "No data exists"),
        (table(count=0).replace(row() + "\n", ""), NoData, "the report has no rows"),
        ("Too many requests, slow down", SourceChanged, "no report with record types: found 'Too many requests"),
        ('{"HourlyLmps":{}}', SourceChanged, "no report with record types"),
        ("Date,Hour Ending\n07/14/2026,01\n", SourceChanged, "no report with record types"),
        (table(row(), row('"02"')).rpartition("\n")[0], SourceUnavailable, "none with a count: cut short"),
        (table(row(), row('"02"'))[:-30], SourceUnavailable, "cut short"),
        (table()[:500], SourceUnavailable, "cut short"),
        (table().replace(NAMES + "\n", "").replace('"H"', '"C"'), SourceUnavailable, "no line with names"),
        (table(count=2), SourceUnavailable, "1 rows came, and 2 were promised"),
        (table(row(), row('"02"'), count=1), SourceUnavailable, "2 rows came, and 1 were promised"),
        (
            table(row(), row('"02"')).replace('"D","07/14/2026","02"', '"X","07/14/2026","02"'),
            SourceUnavailable,
            "1 rows",
        ),
        (table(row(), '"C","a comment in between"', row('"02"'), count=2), SourceChanged, "lines among the rows"),
        (table(title="Real-Time Energy Market Hourly LMP Report"), SourceChanged, "expected the title 'Day-Ahead"),
        (table().replace("Hour Ending", "Hour"), SourceChanged, "column Hour Ending is missing"),
        (table().replace("Locational Marginal Price", "Price"), SourceChanged, "column Locational Marginal Price is"),
        (table(row(price="n/a")), SourceChanged, 'column Locational Marginal Price holds "n/a"'),
        (table(row(price="NaN")), SourceChanged, "column Locational Marginal Price holds"),
        (table(row(day="14-Jul")), SourceChanged, 'column Date holds "14-Jul", which is no wall-clock time'),
        (table(row(day="02/30/2026")), SourceChanged, "which is no wall-clock time"),
        (table(row(place="")), SourceChanged, "column Location ID is empty"),
        (table(row() + ",9"), SourceChanged, "not a readable csv|cells"),
    ],
)
def test_what_is_no_report_is_refused(content: str, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=rf"^here/WW_DALMP_ISO_20260714\.csv: .*(?:{message})"):
        read(content, dataset("isone_lmp"))


def test_nothing_but_the_name_tells_a_final_report_from_a_preliminary_one() -> None:
    title = "Real-Time Energy Market Hourly LMP Report"
    final = table(title=title, file="lmp_rt_final_20260714.csv")
    with pytest.raises(SourceChanged, match="expected a file that is named lmp_rt_prelim, found"):
        read(final, dataset("isone_lmp_rt60", "prelim"), "report.csv")
    nameless = final.replace('"C","Filename: lmp_rt_final_20260714.csv"\n', "")
    assert len(read(nameless, dataset("isone_lmp_rt60"), "lmp_rt_final_20260714.csv").frame) == 1
    with pytest.raises(SourceChanged, match="expected a file that is named lmp_rt_final"):
        read(nameless, dataset("isone_lmp_rt60"), "report.csv")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", SourceUnavailable, "an empty body"),
        (PAGE, SourceUnavailable, "html page"),
        ("No data exists for this period.", NoData, "No data exists"),
        (week('"D",,11,1,2').replace("Wind", "Solar"), SourceChanged, "expected the title 'Seven Day Wind"),
        (week('"D",,11,1,2').rpartition("\n")[0], SourceUnavailable, "no line with a count"),
        (week('"D",,11,1,2', count=24), SourceUnavailable, "1 rows came, and 24 were promised"),
        (week('"D",,11,1,2', made="02/25/2025 10:08:14"), SourceChanged, 'no "Report generated"'),
        (week('"D",,11,1,2', made="02/25/2025 10:08:14 CST"), SourceChanged, "EST or EDT"),
        (week('"D",,11,1,2', made="02/31/2025 10:08:14 EST"), SourceChanged, "which is no UTC instant"),
        (week('"D",,11,1'), SourceChanged, "a row has other cells than one for each of 2 days"),
        (week('"D",,11,1,2,3'), SourceChanged, "a row has other cells than one for each of 2 days"),
        (week('"D",,11,1,2').replace('"Date"', '"Day"'), SourceChanged, "no row of dates"),
        (week('"D",,11,1,2').replace("02/26/2025", "soon"), SourceChanged, 'column Date holds "soon"'),
        (week('"D",,11,1,many'), SourceChanged, 'column MW holds "many"'),
        (week('"D",,11,,'), SourceChanged, "1 rows came, and none of them has a value"),
    ],
)
def test_what_is_no_week_ahead_is_refused(content: str, kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=f"^here/wphf.csv: .*{message}"):
        read(content, dataset("isone_renewable_forecast"))


def test_an_hour_that_no_clock_shows_is_no_forecast() -> None:
    found = read(week('"D",,25,1,2', '"D",,02X,1,2', '"D",,11,1,2'), dataset("isone_renewable_forecast"))
    assert (len(found.frame), set(found.unplaced["value"])) == (2, {"25", "02X"})


# Services


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", SourceUnavailable, "an empty body"),
        (PAGE, SourceUnavailable, "html page instead of data: ISO Express Sign in to continue"),
        (json.dumps(hourly(price()))[:-9], SourceUnavailable, "cut short"),
        ('{"Hour', SourceUnavailable, "cut short"),
        ("Too many requests, slow down", SourceChanged, "expected json, got 'Too many requests"),
        ('{"HourlyLmps":{}}', NoData, "the answer is an empty HourlyLmps"),
        ('{"HourlyLmps":""}', NoData, "the answer is an empty HourlyLmps"),
        ('{"HourlyLmps":null}', NoData, "the answer is an empty HourlyLmps"),
        ('{"HourlyLmps":{"HourlyLmp":[]}}', NoData, "the answer is an empty HourlyLmps"),
        ('{"HourlyLmps":{"HourlyLmp":{}}}', NoData, "the answer is an empty HourlyLmps"),
        ('{"FiveMinLmps":{}}', SourceChanged, r"expected HourlyLmps\.HourlyLmp; found .*FiveMinLmps"),
        ('{"ServiceInfo":{}}', SourceChanged, "expected HourlyLmps.HourlyLmp; found .*ServiceInfo"),
        ("{}", SourceChanged, "expected HourlyLmps.HourlyLmp; found"),
        ("[]", SourceChanged, "expected HourlyLmps.HourlyLmp; found"),
        ('{"HourlyLmps":{"HourlyLmp":"soon"}}', SourceChanged, "holds no objects"),
        ('{"HourlyLmps":{"HourlyLmp":[1,2]}}', SourceChanged, "holds no objects"),
        (without("BeginDate"), SourceChanged, "column BeginDate is missing"),
        (without("Location"), SourceChanged, "column Location.@LocId, Location.[$], Location.@LocType is missing"),
        (without("LmpTotal"), SourceChanged, "column LmpTotal is missing"),
        (hourly(price(LmpTotal="n/a")), SourceChanged, 'column LmpTotal holds "n/a"'),
        (hourly(price(begin="soon")), SourceChanged, 'column BeginDate holds "soon"'),
        (hourly(price(begin="2026-07-14T00:00:00.000")), SourceChanged, "which is no UTC instant"),
        (hourly(price(begin="2026-07-14T00:07:00.000-04:00")), SourceChanged, "not on the grid of 60 minutes"),
        (hourly(price(Location=None)), SourceChanged, "Location"),
        (hourly(price(), price(BeginDate=None)), SourceChanged, "column BeginDate is empty in row 2"),
    ],
)
def test_what_is_no_answer_is_refused(content: str | dict[str, Any], kind: type[AurumError], message: str) -> None:
    with pytest.raises(kind, match=rf"(?s)^here/hourlylmp_da_final\.json: .*{message}"):
        read(content, dataset("isone_lmp", "api"))


@pytest.mark.parametrize(
    "content",
    [
        {"isone_web_services": {}},
        {"isone_web_services": ""},
        {"isone_web_services": {"day_ahead_reserves": {}}},
        {"isone_web_services": {"day_ahead_reserves": ""}},
        {"isone_web_services": {"day_ahead_reserves": {"market_day": "2026-07-14", "day_ahead_reserve": []}}},
    ],
)
def test_nothing_may_be_at_any_depth(content: dict[str, Any]) -> None:
    with pytest.raises(NoData, match="the answer is an empty isone_web_services"):
        read(content, dataset("isone_asm"))


@pytest.mark.parametrize(
    ("key", "feed", "name"),
    [
        ("isone_lmp", "api", "hourlylmp_rt_final_20260714.json"),
        ("isone_lmp", "api", "20260714.json"),
        ("isone_lmp_rt60", "api", "hourlylmp_da_final_20260714.json"),
        ("isone_lmp_rt60", "api", "hourlylmp_rt_prelim_20260714.json"),
        ("isone_lmp_rt60", "api_prelim", "hourlylmp_rt_final_20260714.json"),
        ("isone_lmp_rt5", "api", "fiveminutelmp_prelim_20260714.json"),
        ("isone_lmp_rt5", "api", "fiveminutelmp_current.json"),
        ("isone_lmp_rt5", "api_prelim", "fiveminutelmp_final_20260714.json"),
    ],
)
def test_an_answer_of_a_sibling_is_refused_by_its_name(key: str, feed: str, name: str) -> None:
    """Rows of the day-ahead market, and final and preliminary ones, look alike."""
    with pytest.raises(SourceChanged, match="nothing but the name tells whether it is"):
        read(hourly(price()), dataset(key, feed), name)


def test_a_folder_does_not_tell_what_an_answer_is() -> None:
    """The name in the message is `here/…`; only what follows the last folder counts."""
    with pytest.raises(SourceChanged, match="nothing but the name tells"):
        read(hourly(price()), dataset("isone_lmp_rt60", "api"), "20260714.json")


# Whatever comes

PAYLOADS: list[tuple[str, str, bytes]] = [
    ("isone_lmp", "csv", table(row(), row('"02"')).encode()),
    ("isone_lmp", "api", json.dumps(hourly(price(), price("2026-07-14T01:00:00.000-04:00"))).encode()),
    ("isone_renewable_forecast", "csv", week('"D",,01,,205', '"D",,11,234,').encode()),
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PAYLOADS), EDITS)
def test_whatever_comes_is_read_or_refused_in_typed_words(
    payload: tuple[str, str, bytes], edits: list[tuple[str, int, bytes]]
) -> None:
    key, feed, content = payload
    try:
        read(edited(content, edits), dataset(key, feed))
    except SourceError as error:
        assert str(error).startswith("here/")
