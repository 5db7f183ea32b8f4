"""Every feed with a bulk file: where it fails for all locations, the file brings the same rows, and the receipt says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import pytest
from polars.testing import assert_frame_equal

from aurum_etl import adapters
from aurum_etl.adapters.bulk import bulk_of
from aurum_etl.archive import Archive
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.download import Replay
from aurum_etl.errors import (
    QuotaSpent,
    SourceChanged,
    SourceResting,
    SourceUnavailable,
    SourceUnreachable,
    TooLarge,
)
from aurum_etl.receipt import Outcome, Severity
from aurum_etl.window import market_day
from tests.promises.test_every_dataset import AUTUMN, FEEDS, SUMMER, assert_whole, load

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from aurum_etl.archive import Answer, Request
    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Fetched, Source
    from aurum_etl.errors import AurumError
    from aurum_etl.settings import Settings

T = TypeVar("T")
Counting = Callable[[T], int | None]


def unknown(_: object) -> None:
    """Nobody counts."""


PAIRS = {key: dataset for key, dataset in FEEDS.items() if dataset.feed.bulk}
ONE = PAIRS["isone_lmp-api"]
ALL_LOCATIONS = Selection(ALL)
LATER = datetime(2026, 11, 1, tzinfo=UTC)
WORDS = "the services are down"


@dataclass(frozen=True)
class Failing:
    """A source that refuses one of the requests, and may answer the others otherwise."""

    source: Source
    refuses: Callable[[Request], bool]
    error: Callable[[], AurumError]
    changed: Callable[[Answer], Answer] = lambda answer: answer

    def get(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        *,
        chunk_key: str,
        records: Callable[[T], int | None] = unknown,
    ) -> Fetched[T]:
        if self.refuses(request):
            raise self.error()
        return self.source.get(
            request, lambda answer: accept(self.changed(answer)), chunk_key=chunk_key, records=records
        )


def of_day(dataset: Dataset, day: date = SUMMER, selection: Selection = ALL_LOCATIONS) -> Chunk:
    return Chunk(dataset.key, selection, market_day(day, dataset.timezone))


def refusing_the_last(dataset: Dataset, day: date, error: Callable[[], AurumError]) -> Callable[[Source], Source]:
    """What came before it is not loaded beside what the file holds."""
    request = adapters.adapter(dataset.iso).asks(dataset, of_day(dataset, day))[-1].request
    return lambda source: Failing(source, lambda each: each == request, error)


def unavailable() -> SourceUnavailable:
    return SourceUnavailable(WORDS)


@pytest.mark.parametrize("key", PAIRS)
def test_the_day_arrives_whole_and_the_file_has_the_same_rows(key: str, settings: Settings, tmp_path: Path) -> None:
    """On the day of 25 hours, on which most can go wrong."""
    dataset, day = PAIRS[key], AUTUMN
    receipts, wanted = load(dataset, day, settings, tmp_path / "asked")
    assert_whole(key, day, receipts, wanted)
    (asked,) = receipts
    through = refusing_the_last(dataset, day, unavailable)
    (receipt,), found = load(dataset, day, settings, tmp_path / "bulk", through)
    assert (receipt.outcome, receipt.error, receipt.rows_rejected) == (Outcome.DONE, None, 0)
    assert (receipt.chunk, receipt.revision) == (asked.chunk, asked.revision)
    assert [(each.day, each.rows, each.checksum) for each in receipt.days] == [
        (each.day, each.rows, each.checksum) for each in asked.days
    ]
    # Documents say when they were posted, which rows of an interface do not.
    beside = ["ingested_at", "published_at"]
    assert_frame_equal(found.drop(beside), wanted.drop(beside))
    (told,) = [each for each in receipt.findings if each.check == "bulk_file_took_its_place"]
    assert told.severity is Severity.WARNING
    assert told.detail == (
        f"feed {dataset.feed.bulk} took the place of {dataset.feed.name}: SourceUnavailable: {WORDS}"
    )


def test_the_file_takes_the_place_of_what_is_too_large_to_be_split(settings: Settings, tmp_path: Path) -> None:
    through = refusing_the_last(ONE, SUMMER, lambda: TooLarge("status 413"))
    (receipt,), _ = load(ONE, SUMMER, settings, tmp_path, through)
    (told,) = [each for each in receipt.findings if each.check == "bulk_file_took_its_place"]
    assert receipt.outcome is Outcome.DONE
    assert "TooLarge: status 413; it was refused, and less than that cannot be asked for" in told.detail


@pytest.mark.parametrize(
    "error",
    [
        lambda: SourceChanged("another format"),
        lambda: SourceResting("left alone", until=LATER),
        lambda: QuotaSpent("used up", until=LATER),
    ],
    ids=["changed", "resting", "spent"],
)
def test_what_the_file_would_not_heal_is_no_reason_for_it(
    error: Callable[[], AurumError], settings: Settings, tmp_path: Path
) -> None:
    asked: list[str] = []

    def noting(request: Request) -> bool:
        asked.append(request.path)
        return True

    load_or_postponed(settings, tmp_path, lambda source: Failing(source, noting, error))
    assert len(asked) == 1


def load_or_postponed(settings: Settings, folder: Path, through: Callable[[Source], Source]) -> None:
    try:
        (receipt,), _ = load(ONE, SUMMER, settings, folder, through)
    except (SourceResting, QuotaSpent):
        return
    assert receipt.outcome is Outcome.FAILED


@pytest.mark.parametrize("error", [unavailable, lambda: SourceUnreachable(WORDS)])
def test_where_the_file_fails_too_both_are_told(
    error: Callable[[], AurumError], settings: Settings, tmp_path: Path
) -> None:
    def through(source: Source) -> Source:
        csv = Failing(source, lambda request: request.host == "WWW", lambda: SourceChanged("no such file"))
        return Failing(csv, lambda request: request.host == "", error)

    (receipt,), _ = load(ONE, SUMMER, settings, tmp_path, through)
    assert receipt.outcome is Outcome.FAILED
    kind = type(error()).__name__
    assert receipt.error == (
        f"{kind}: {WORDS}; nor could the bulk file of feed csv take its place: SourceChanged: no such file"
    )


def test_a_file_that_is_not_there_does_not_make_the_day_empty(settings: Settings, tmp_path: Path) -> None:
    """The ISO did not say that there is nothing: it could not be asked."""
    day = market_day(SUMMER, ONE.timezone)
    nothing = tmp_path / "nothing"
    nothing.write_text("No data exists for this period.")

    def emptied(source: Source) -> Source:
        return Failing(
            source, lambda request: request.host == "", unavailable, lambda answer: replace(answer, body=nothing)
        )

    (receipt,), _ = load(ONE, SUMMER, settings, tmp_path, emptied)
    assert (receipt.outcome, receipt.chunk.window) == (Outcome.FAILED, day)
    assert (receipt.error or "").startswith(f"SourceUnavailable: {WORDS}; nor could the bulk file of feed csv")
    assert nothing.read_text() in (receipt.error or "")


def test_a_replay_finds_the_file_that_took_the_place(settings: Settings, tmp_path: Path) -> None:
    """The archive lacks what could not be had then."""
    through = refusing_the_last(ONE, SUMMER, unavailable)
    (first,), rows = load(ONE, SUMMER, settings, tmp_path, through)
    replay = Replay(
        Archive(tmp_path / "archive"), simulated=True, manners=adapters.adapter(ONE.iso).manners, max_bytes=10**9
    )
    (again,), replayed = load(ONE, SUMMER, settings, tmp_path, lambda _: replay)
    assert (again.outcome, again.days) == (first.outcome, first.days) == (Outcome.DONE, again.days)
    assert_frame_equal(replayed.drop("ingested_at"), rows.drop("ingested_at"))
    (told,) = [each for each in again.findings if each.check == "bulk_file_took_its_place"]
    assert "ArchiveError" in told.detail


def test_the_file_is_for_all_locations_alone() -> None:
    assert bulk_of(ONE, of_day(ONE), LATER) is not None
    assert bulk_of(ONE, of_day(ONE, SUMMER, Selection.named(["4001"])), LATER) is None
    caiso = PAIRS["caiso_lmp-oasis"]
    assert bulk_of(caiso, of_day(caiso, SUMMER, Selection("ALL_APNODES")), LATER) is None


def test_a_file_takes_no_place_before_it_is_there() -> None:
    """Prices of intervals come at once, the file of the day five days later."""
    dataset = PAIRS["spp_lmp_rt5-interval"]
    end = market_day(SUMMER, dataset.timezone).end
    assert bulk_of(dataset, of_day(dataset), end + timedelta(days=4)) is None
    found = bulk_of(dataset, of_day(dataset), end + timedelta(days=6))
    assert found is not None
    assert found.feed.name == "daily"


def test_a_file_is_not_asked_for_days_that_it_does_not_have_or_with_other_credentials() -> None:
    def with_bulk(**changes: object) -> Dataset:
        csv, api = ONE.feeds
        return replace(ONE, feeds=(replace(csv, **changes), api))  # type: ignore[arg-type]

    assert bulk_of(with_bulk(), of_day(ONE), LATER) is not None
    assert bulk_of(with_bulk(kept_days=30), of_day(ONE), LATER) is None
    assert bulk_of(with_bulk(since=AUTUMN.replace(year=2026)), of_day(ONE), LATER) is None
    assert bulk_of(with_bulk(credentials=("ANOTHER_KEY",)), of_day(ONE), LATER) is None


@pytest.mark.parametrize("dataset", PAIRS.values(), ids=PAIRS)
def test_the_file_has_the_same_mark_and_kinds_of_places(dataset: Dataset) -> None:
    bulk = dataset.of(dataset.feed.bulk)
    assert (bulk.mark, bulk.feed.latest_only) == (dataset.mark, False)
    values = [
        {
            name
            for report in each.feed.reports
            for name in (*report.values.values(), *(report.components.into.values() if report.components else ()))
        }
        for each in (dataset, bulk)
    ]
    assert values[0] == values[1]


def test_settings_of_the_clock_are_those_of_the_file_too() -> None:
    dataset = adapters.datasets()["ercot_lmp"].of("api", {"flag_means": "first"})
    clocks = {feed.name: str(feed.reports[0].clock) for feed in dataset.feeds}
    assert {name for name, clock in clocks.items() if "flag_means='first'" in clock} == {"api", "archive"}
