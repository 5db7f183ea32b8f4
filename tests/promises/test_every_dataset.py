"""Every feed of every dataset, asked of the simulated ISO and loaded: the two were written from the documents apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from aurum_etl import adapters
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.pipeline import Workshop, run_chunk, run_latest, today
from aurum_etl.quarantine import Quarantine
from aurum_etl.quota import ledger_of
from aurum_etl.receipt import Origin, Outcome, Receipt
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.window import market_day
from tests.downloads import downloading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.settings import Settings

SPRING, SUMMER, AUTUMN = date(2026, 3, 8), date(2026, 7, 14), date(2025, 11, 2)
FEEDS = {
    f"{dataset.key}-{feed.name}": dataset.of(feed.name)
    for dataset in adapters.datasets().values()
    for feed in dataset.feeds
}
DAYS = {"spring": SPRING, "autumn": AUTUMN}
"""Those on which the clocks change: what takes them rightly takes the others, on which everything else is tested."""
MOVING = {key for key, dataset in FEEDS.items() if dataset.is_of_now or dataset.feed.kept_days is not None}
"""Those whose days move on with the clock: there is one to be had."""
CASES = [
    (key, name)
    for key, dataset in FEEDS.items()
    for name in (["newest"] if key in MOVING else DAYS)
    # Where there is a bulk file, that day is loaded beside it: see test_every_bulk_file.
    if not (dataset.feed.bulk and name == "autumn")
]
# The hour that comes twice stands once in these sources, which say so.
ONCE_IN_AUTUMN = {"caiso_genmix"}
# One in a thousand real-time prices of the simulated MISO is missing, and the days of this feed move on with the clock.
MAY_HAVE_HOLES = {"miso_lmp_rt60-prelim"}


def newest(dataset: Dataset) -> date:
    """The newest day of a feed that moves on with the clock: one that is published in full, where the feed keeps as many."""
    kept = dataset.feed.kept_days or 0
    day = today(dataset) - timedelta(min(1, kept))
    return day if kept < 2 else min(day, dataset.latest_complete_day(datetime.now(UTC), ZoneInfo(dataset.timezone)))


def load(
    dataset: Dataset,
    day: date,
    settings: Settings,
    folder: Path,
    through: Callable[[Source], Source] = lambda source: source,
) -> tuple[list[Receipt], pl.DataFrame]:
    """One market day of all locations, asked `through` something; what is there now, where no days can be asked for."""
    adapter = adapters.adapter(dataset.iso)
    bases = settings.addresses(dataset.iso, adapter.bases)
    sink = MemorySink()
    workshop = Workshop(adapter, dataset, Origin.SIMULATOR, (sink,), Quarantine(folder / "q"), 0.0, 10**9)
    chunk = Chunk(dataset.key, Selection(ALL), market_day(day, dataset.timezone))
    with downloading(
        adapter, dataset, bases, settings.secrets, ledger=ledger_of(settings), archive=folder / "archive"
    ) as source:
        if dataset.is_of_now:
            chunk = replace(chunk, window=market_day(today(dataset), dataset.timezone))
            receipts = list(run_latest(chunk, workshop, through(source)))
        else:
            receipts = [run_chunk(chunk, workshop, through(source))]
    return receipts, pl.DataFrame(sink.tables().get(dataset.contract.kind, dataset.contract.arrow_schema.empty_table()))


@pytest.mark.parametrize(("key", "name"), CASES)
def test_a_day_arrives_whole(key: str, name: str, settings: Settings, tmp_path: Path) -> None:
    dataset = FEEDS[key]
    day = DAYS.get(name) or newest(dataset)
    assert_whole(key, day, *load(dataset, day, settings, tmp_path))


def assert_whole(key: str, day: date, receipts: list[Receipt], frame: pl.DataFrame) -> None:
    """All is accepted, and every series has each interval of the day once, but for those that the receipts miss."""
    dataset = FEEDS[key]
    assert [(each.outcome, each.error, each.rows_rejected) for each in receipts] == [(Outcome.DONE, None, 0)] * len(
        receipts
    )
    assert len(frame) == sum(each.rows_accepted for each in receipts) > 0
    warned = {each.check for receipt in receipts for each in receipt.findings if each.severity == "warning"}
    if dataset.contract.is_registry:
        assert warned == set()
        return
    if dataset.key in ONCE_IN_AUTUMN and day == AUTUMN:
        assert warned == {"intervals_are_published"}
        return
    holes = [each.count for receipt in receipts for each in receipt.findings if each.check == "series_are_complete"]
    assert warned == ({"series_are_complete"} if holes and key in MAY_HAVE_HOLES else set())
    if dataset.by_publication or dataset.is_of_now:
        assert frame.get_column("published_at").null_count() == (0 if dataset.by_publication else len(frame))
        return
    assert frame.get_column("operating_date").unique().to_list() == [day]
    window = market_day(day, dataset.timezone)
    for minutes in dataset.intervals:
        # Of a forecast every version has its own row; that no key stands twice is checked as rows are loaded.
        of_length = frame.filter(pl.col("iso_interval_minutes") == minutes)
        starts_of = pl.col("interval_start")
        if "published_at" in dataset.contract.key:
            starts_of = starts_of.unique()
        series = of_length.group_by("series_id").agg(starts_of)
        assert not series.is_empty(), f"nothing of {minutes} minutes"
        if not minutes:
            continue
        grid = pl.datetime_range(
            window.start, window.end, f"{minutes}m", closed="left", time_unit="us", time_zone="UTC", eager=True
        )
        lacking = {name: set(grid) - set(starts) for name, starts in series.iter_rows()}
        assert all(len(starts) == len(set(starts) & set(grid)) for starts in series.get_column("interval_start"))
        assert sum(map(len, lacking.values())) == sum(holes), lacking
