"""SPP: what is asked, and how names of files tell time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aurum_etl.adapters.spp import SPP
from aurum_etl.adapters.spp.files import file_names, file_time
from aurum_etl.errors import AccessDenied, SourceChanged, SourceUnavailable
from aurum_etl.pipeline import normalized_of
from tests.adapters import loopback
from tests.frames import chunk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aurum_etl.adapters.base import Fetched
    from aurum_etl.dataset import Dataset
    from tests.adapters.loopback import Said

SPRING, SUMMER, AUTUMN = date(2026, 3, 8), date(2026, 7, 14), date(2025, 11, 2)
DATASETS = {each.key: each for each in SPP.datasets}
HOUR, FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)


def dataset(key: str, feed: str = "", **clock: str) -> Dataset:
    chosen = DATASETS[key]
    return chosen.of(feed or chosen.feeds[0].name, clock)


def asked(of: Dataset, *days: date) -> list[str]:
    """File system and path of every request that is sent first."""
    return [
        f"{each.request.path.removeprefix('file-browser-api/download/')} {dict(each.request.query)['path']}"
        for day in days
        for each in SPP.asks(of, chunk(of, day))
    ]


# What is asked


@pytest.mark.parametrize(
    ("key", "feed", "day", "files"),
    [
        (
            "spp_lmp",
            "csv",
            SUMMER,
            ["da-lmp-by-settlement-location /2026/07/By_Day/DA-LMP-SL-202607140100.csv"],
        ),
        (
            "spp_lmp_rt5",
            "daily",
            SUMMER,
            ["rtbm-lmp-by-location /2026/07/By_Day/RTBM-LMP-DAILY-SL-20260714.csv"],
        ),
        ("spp_lmp_rt5", "latest", SUMMER, ["rtbm-lmp-by-location /RTBM-LMP-SL-latestInterval.csv"]),
        ("spp_asm", "csv", SUMMER, ["da-mcp /2026/07/DA-MCP-202607140100.csv"]),
        ("spp_asm_rt5", "daily", SUMMER, ["rtbm-mcp /2026/07/By_Day/RTBM-MCP-DAILY-20260714.csv"]),
        ("spp_asm_rt5", "latest", SUMMER, ["rtbm-mcp /RTBM-MCP-latestInterval.csv"]),
        (
            "spp_load",
            "daily",
            SUMMER,
            [
                "hourly-load /2026/DAILY_HOURLY_LOAD-20260714.csv",
                "mtlf-vs-actual /2026/07/14/OP-MTLF-202607141200.csv",
                "mtlf-vs-actual /2026/07/15/OP-MTLF-202607150300.csv",
            ],
        ),
        (
            "spp_load",
            "monthly",
            date(2026, 12, 31),
            [
                "hourly-load /2026/HOURLY_LOAD-202612.csv",
                "mtlf-vs-actual /2026/12/31/OP-MTLF-202612311200.csv",
                "mtlf-vs-actual /2027/01/01/OP-MTLF-202701010300.csv",
            ],
        ),
        ("spp_genmix", "history", AUTUMN, ["generation-mix-historical /GenMix_2025.csv"]),
        (
            "spp_genmix",
            "history",
            SUMMER,
            [
                "generation-mix-historical /SPP/GenMix365_SPP.csv",
                "generation-mix-historical /SWPW/GenMix365_SWPW.csv",
            ],
        ),
        (
            "spp_genmix",
            "latest",
            SUMMER,
            [
                "generation-mix-historical /SPP/GenMix2Hour_SPP.csv",
                "generation-mix-historical /SWPW/GenMix2Hour_SWPW.csv",
            ],
        ),
        (
            "spp_pnode",
            "csv",
            SUMMER,
            ["da-lmp-by-settlement-location /2026/07/By_Day/DA-LMP-SL-202607140100.csv"],
        ),
    ],
)
def test_files_lie_in_folders_of_their_days(key: str, feed: str, day: date, files: list[str]) -> None:
    assert asked(dataset(key, feed), day) == files


def test_intervals_are_in_the_folder_of_their_start_under_the_name_of_their_end() -> None:
    found = asked(dataset("spp_lmp_rt5", "interval"), date(2026, 6, 30))
    assert len(found) == 288
    assert found[0] == "rtbm-lmp-by-location /2026/06/By_Interval/30/RTBM-LMP-SL-202606300005.csv"
    assert found[-1] == "rtbm-lmp-by-location /2026/06/By_Interval/30/RTBM-LMP-SL-202607010000.csv"
    assert asked(dataset("spp_asm_rt5", "interval"), SUMMER)[1] == (
        "rtbm-mcp /2026/07/By_Interval/14/RTBM-MCP-202607140010.csv"
    )


def test_versions_are_in_the_folder_of_their_day_and_short_ones_of_the_hour_that_follows() -> None:
    mid_term = asked(dataset("spp_load_forecast"), SUMMER)
    assert (len(mid_term), mid_term[0], mid_term[-1]) == (
        24,
        "mtlf-vs-actual /2026/07/14/OP-MTLF-202607140000.csv",
        "mtlf-vs-actual /2026/07/14/OP-MTLF-202607142300.csv",
    )
    for key, name in (("spp_load_forecast_rt5", "stlf-vs-actual"), ("spp_load_rt5", "stlf-vs-actual")):
        short_term = asked(dataset(key), SUMMER)
        assert f"{name} /2026/07/14/01/OP-STLF-202607140005.csv" in short_term
        assert f"{name} /2026/07/14/00/OP-STLF-202607142355.csv" in short_term
    assert asked(dataset("spp_renewable_forecast_rt5"), SUMMER)[0] == (
        "shortterm-resource-forecast /2026/07/14/01/OP-STRF-202607140000.csv"
    )
    wind = asked(dataset("spp_renewable_forecast"), SUMMER)
    assert (wind[12], wind[36]) == (
        "midterm-resource-forecast /2026/07/14/OP-MTRF-202607141200.csv",
        "resource-forecast-by-reserve-zone /2026/07/14/RF_RESERVE_ZONE-202607141200.csv",
    )


def test_what_load_was_is_asked_of_the_files_that_follow() -> None:
    """The last intervals of a day are told by files of the next."""
    found = asked(dataset("spp_load_rt5"), SUMMER)
    assert found[-1] == "stlf-vs-actual /2026/07/15/01/OP-STLF-202607150030.csv"


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (SUMMER, 24), (AUTUMN, 25)])
def test_change_days_have_as_many_files_as_hours(day: date, hours: int) -> None:
    assert len(asked(dataset("spp_load_forecast"), day)) == hours
    assert len(asked(dataset("spp_lmp_rt5", "interval"), day)) == hours * 12


def names(of: Dataset, day: date) -> list[list[str]]:
    """Of each file of the day the ends of the names that it may have, in the order in which they are tried."""
    found = []
    for ask in SPP.asks(of, chunk(of, day)):
        tried = []
        each = ask
        while True:
            tried.append(dict(each.request.query)["path"].rpartition("-")[2].removesuffix(".csv")[8:])
            if each.otherwise is None:
                break
            each = each.otherwise
        found.append(tried)
    return found


def test_the_second_of_two_equal_labels_has_a_d_and_the_full_hour_is_asked_both_ways() -> None:
    of_hours = names(dataset("spp_load_forecast"), AUTUMN)
    assert of_hours[:5] == [["0000"], ["0100"], ["0100d", "0200"], ["0200d", "0200"], ["0300"]]
    of_intervals = names(dataset("spp_lmp_rt5", "interval"), AUTUMN)
    assert of_intervals[12:14] == [["0105"], ["0110"]]
    assert of_intervals[22:25] == [["0155"], ["0100d", "0200"], ["0105d"]]
    assert of_intervals[34:37] == [["0155d"], ["0200d", "0200"], ["0205"]]
    assert names(dataset("spp_load_forecast"), SPRING)[:4] == [["0000"], ["0100"], ["0300"], ["0400"]]


# How names of files tell time


@pytest.mark.parametrize(
    ("name", "instant"),
    [
        ("OP-MTLF-202607041000_head_baa.csv", (2026, 7, 4, 15)),
        ("OP-MTLF-202511020100.csv", (2025, 11, 2, 6)),
        ("OP-MTLF-202511020100d.csv", (2025, 11, 2, 7)),
        ("OP-MTLF-202511020200.csv", (2025, 11, 2, 7)),
        ("OP-MTLF-202511020200d.csv", (2025, 11, 2, 8)),
        ("OP-STLF-202511020155.csv", (2025, 11, 2, 6, 55)),
        ("OP-STLF-202511020155d.csv", (2025, 11, 2, 7, 55)),
        ("OP-STLF-202603080300.csv", (2026, 3, 8, 8)),
        ("RF_RESERVE_ZONE-202603090000.csv", (2026, 3, 9, 5)),
    ],
)
def test_a_name_tells_an_instant(name: str, instant: tuple[int, ...]) -> None:
    assert file_time(name, name) == datetime(*instant, tzinfo=UTC)  # type: ignore[misc,arg-type]


@given(st.datetimes(datetime(2014, 3, 1), datetime(2030, 1, 1)), st.sampled_from([HOUR, FIVE_MINUTES]))  # noqa: DTZ001
@example(datetime(2025, 11, 2, 7), HOUR)  # noqa: DTZ001
@example(datetime(2025, 11, 2, 8), FIVE_MINUTES)  # noqa: DTZ001
@example(datetime(2026, 3, 8, 8), HOUR)  # noqa: DTZ001
def test_names_come_back_as_the_instant_that_they_were_made_from(end: datetime, step: timedelta) -> None:
    end = end.replace(minute=0 if step == HOUR else end.minute // 5 * 5, second=0, microsecond=0, tzinfo=UTC)
    first, *others = file_names(end, step)
    assert file_time(f"X-{first}.csv", first) == end
    shown = end.astimezone(ZoneInfo("America/Chicago"))
    ordinary = not shown.fold and not (end - step).astimezone(ZoneInfo("America/Chicago")).fold
    assert (others == []) or not ordinary
    assert not ordinary or first == f"{shown:%Y%m%d%H%M}"


@pytest.mark.parametrize("name", ["OP-MTLF-latest.csv", "OP-MTLF-2026070410.csv", "OP-MTLF-202613041000.csv", "x.csv"])
def test_a_version_without_a_time_in_its_name_is_refused(name: str) -> None:
    with pytest.raises(SourceChanged, match="stands in its name alone"):
        file_time(name, name)


# What is fetched


def portal(files: dict[str, Said]) -> AbstractContextManager[tuple[str, list[str]]]:
    """A server that has those files, by the last part of their path, and nothing else."""

    def name(heard: loopback.Heard) -> str:
        return heard.query["path"].rpartition("/")[2]

    return loopback.server(lambda heard: files.get(name(heard), (404, b"")), name)


def fetched(of: Dataset, day: date, base: str, folder: Path) -> Fetched:
    return loopback.fetched(SPP, of, chunk(of, day), {"": base}, folder)


def interval(end: str) -> Said:
    header = "Interval,GMTIntervalEnd,Settlement Location,Pnode,LMP,MLC,MCC,MEC"
    return 200, f"{header}\n11/02/2025 02:00:00,11/02/2025 {end}:00,AEC,SOUC,20.5,0.5,-1,21\n".encode()


@pytest.mark.parametrize(
    "files",
    [
        {"0200": "07:00", "0200d": "08:00"},
        {"0100d": "07:00", "0200": "08:00"},
        {"0100d": "07:00", "0200d": "08:00"},
    ],
    ids=["as labels go", "as the clock goes", "both"],
)
def test_the_full_hours_between_two_equal_ones_are_found_whatever_they_are_called(
    files: dict[str, str], tmp_path: Path
) -> None:
    of = dataset("spp_lmp_rt5", "interval")
    served = {f"RTBM-LMP-SL-20251102{name}.csv": interval(end) for name, end in files.items()}
    with portal(served) as (base, _):
        found = fetched(of, AUTUMN, base, tmp_path)
    frame = normalized_of(found, of).frame
    assert frame["interval_end"].to_list() == [datetime(2025, 11, 2, hour, tzinfo=UTC) for hour in (7, 8)]
    assert len(found.nothing) == 298, "a name that was tried in vain is not told"


def test_the_year_that_is_not_over_may_be_in_the_file_to_date(tmp_path: Path) -> None:
    of = dataset("spp_genmix")
    with portal({"GenMixYTD.csv": (200, _MIX)}) as (base, log):
        found = fetched(of, SPRING, base, tmp_path)
    assert log == ["GenMix_2026.csv", "GenMixYTD.csv"]
    assert (len(normalized_of(found, of).frame), found.nothing) == (10, ())
    with portal({"GenMixYTD.csv": (200, _MIX)}) as (base, log):
        missing = fetched(of, AUTUMN, base, tmp_path)
    assert (log, missing.batches, len(missing.nothing)) == (["GenMix_2025.csv"], (), 1)


_MIX = (
    b"GMTTime, Coal Market, Coal Self, Hydro Market, Hydro Self, Natural Gas Market, Gas Self, Nuclear Market, "
    b"Nuclear Self, Wind Market, Wind Self, Load\n"
    b"2026-03-08T06:05:00Z,1,2,3,4,5,6,7,8,9,-10,45.125\n"
)


def test_a_file_that_is_not_there_is_nothing_yet_and_in_the_portals_words(tmp_path: Path) -> None:
    with portal({}) as (base, _):
        found = fetched(dataset("spp_lmp"), SUMMER, base, tmp_path)
    (words,) = found.nothing
    assert words == (
        "SPP file-browser-api/download/da-lmp-by-settlement-location?"
        "path=/2026/07/By_Day/DA-LMP-SL-202607140100.csv: status 404"
    )


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ((403, b"Access denied"), AccessDenied, "addresses outside the United States"),
        ((503, b"busy"), SourceUnavailable, "status 503"),
        ((200, b""), SourceUnavailable, "an empty body"),
        ((200, b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>"), SourceUnavailable, "maintenance"),
        ((302, b""), SourceChanged, "status 302"),
    ],
)
def test_what_is_no_file_is_told_by_whose_move_it_is(
    said: tuple[int, bytes], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with portal({"DA-LMP-SL-202607140100.csv": said}) as (base, _), pytest.raises(kind, match=words):
        fetched(dataset("spp_lmp"), SUMMER, base, tmp_path)
