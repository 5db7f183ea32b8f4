"""The plan: wanted − done = chunks, each with its reason.

All of it is pure. What explains a plan and what executes it read the very same one, so neither can lie. A scheduled run is a
backfill of a few chunks: one path, exercised every day.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.chunk import Chunk
from aurum_etl.errors import UsageError
from aurum_etl.quota import UNLIMITED
from aurum_etl.telemetry import logger
from aurum_etl.window import Window, market_day, market_days, split

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import date, datetime

    from aurum_etl.adapters.base import Adapter
    from aurum_etl.dataset import Dataset
    from aurum_etl.quota import Limits
    from aurum_etl.spec import Spec, Unit


BYTES_PER_ROW = 25.0
"""About what a row is received as, where no receipt tells: zipped csv is a third of it, json five times as much."""


class Reason(StrEnum):
    """Why a chunk is in the plan."""

    ASKED_FOR = "asked for"
    """Its days were named on the command line."""
    MISSING = "missing"
    """No run has settled it."""
    LOOKBACK = "lookback"
    """It is done, and the spec wants it again for late corrections."""
    NEWEST = "newest"
    """The source serves what there is now, and nothing else."""
    FAILED = "failed"
    """It was tried, and failed."""
    RESTATED = "restated"
    """What is there is of a lower revision than what the feed has."""
    LOST = "lost"
    """Its receipt says that it is done, and a store does not hold it."""
    FORCED = "forced"
    """It is done, and wanted again all the same."""


class Rerun(StrEnum):
    """Which chunks of its window a backfill takes; without it, all that are not done."""

    FAILED = "failed"
    MISSING = "missing"
    ALL = "all"
    """Also those that are done."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One chunk of a plan."""

    chunk: Chunk
    reason: Reason
    requests: int
    rows: int
    """About how many canonical rows it will be."""
    bytes: int = 0
    """About how many bytes will be received."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, in order."""

    dataset: str
    window: Window | None
    """All days that were considered; None if there is none."""
    chunks: tuple[Planned, ...]
    limits: Limits = UNLIMITED
    """What its requests have to keep to."""

    def days(self, zone: str) -> tuple[date | None, date | None]:
        """First market day, and the day after the last; None where there is no chunk."""
        if not self.chunks:
            return None, None
        start = min(each.chunk.window.start for each in self.chunks).astimezone(ZoneInfo(zone))
        last = max(each.chunk.window.end for each in self.chunks).astimezone(ZoneInfo(zone)) - timedelta(microseconds=1)
        return start.date(), last.date() + timedelta(1)

    @property
    def requests(self) -> int:
        """Requests in all."""
        return sum(each.requests for each in self.chunks)

    @property
    def rows(self) -> int:
        """About how many rows in all."""
        return sum(each.rows for each in self.chunks)

    @property
    def bytes(self) -> int:
        """About how many bytes in all."""
        return sum(each.bytes for each in self.chunks)

    @property
    def wait_seconds(self) -> float:
        """Seconds that the limits alone take, if nobody else uses anything: what fits into them at once waits for nobody."""
        amounts = {"requests": self.requests, "records": self.rows, "bytes": self.bytes}
        return max((rule.seconds_for(amounts[rule.amount]) for rule in self.limits.rules), default=0.0)


def wanted(spec: Spec, dataset: Dataset, settled: Sequence[Window], now: datetime) -> Window | None:
    """The days that a run without dates takes, given the windows that are settled.

    From the watermark less the lookback, but not before what was ever wanted, to the latest complete market day. A
    first run starts at the spec's `schedule.start`, or takes the latest complete day alone.
    """
    zone = ZoneInfo(dataset.timezone)
    if dataset.is_of_now:
        return market_day(now.astimezone(zone).date(), dataset.timezone)
    latest = dataset.latest_complete_day(now, zone)
    earliest = spec.schedule.start
    if not settled:
        watermark = start = earliest or latest
    else:
        first = settled[0].start.astimezone(zone).date()
        watermark = rounded(settled[0].end, spec.schedule.watermark, dataset.timezone).astimezone(zone).date()
        watermark = max(watermark, first)
        if earliest is not None and earliest < first:
            # What lies before the first settled day was never fetched: the watermark is still at the start.
            watermark = start = earliest
        else:
            start = max(watermark - timedelta(spec.schedule.lookback_days), first)
    served = first_served(dataset, now) or start
    if watermark < served:
        # They stay missing in `status`, too.
        logger().warning("plan.days_are_gone", dataset=dataset.key, start=str(watermark), end=str(served))
    return market_days(max(start, served), latest + timedelta(1), dataset.timezone)


def rounded(watermark: datetime, unit: Unit, zone: str) -> datetime:
    """The last beginning of an hour, day, week (Monday) or month of the market that is not after the watermark.

    Settled windows are never taken back, so the watermark only moves on; and so does what it is rounded to.
    """
    if unit == "exact":
        return watermark
    local = watermark.astimezone(ZoneInfo(zone))
    if unit == "hour":
        # The hour that is repeated in autumn begins twice.
        return watermark - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    day = local.date()
    if unit == "week":
        day -= timedelta(day.weekday())
    elif unit == "month":
        day = day.replace(day=1)
    return market_day(day, zone).start


def named_days(start: date | None, end: date | None, dataset: Dataset, now: datetime) -> Window | None:
    """The days that were named on the command line; `end` is exclusive.

    Without an end they reach to the latest complete market day; without a start it is the one day before the end.

    Raises: UsageError if that is no day at all, or one that the feed does not serve.
    """
    if dataset.is_of_now:
        raise UsageError(
            f"--from, --to: feed {dataset.feed.name} of {dataset.key} serves what there is now and no other days"
            f"{_others(dataset)}"
        )
    latest = dataset.latest_complete_day(now, ZoneInfo(dataset.timezone))
    if start is None:
        start = latest if end is None else end - timedelta(1)
    if end is None:
        end = max(latest, start) + timedelta(1)
    if end <= start:
        raise UsageError(f"--to {end} is not after --from {start}; --to is exclusive")
    served = first_served(dataset, now)
    if served is not None and start < served:
        raise UsageError(
            f"--from {start}: feed {dataset.feed.name} of {dataset.key} serves {served} and later{_others(dataset)}"
        )
    return market_days(start, end, dataset.timezone)


def first_served(dataset: Dataset, now: datetime) -> date | None:
    """The oldest market day that the feed serves; None where it has all there is."""
    if dataset.feed.kept_days is None:
        return dataset.feed.since
    return now.astimezone(ZoneInfo(dataset.timezone)).date() - timedelta(dataset.feed.kept_days)


def _others(dataset: Dataset) -> str:
    """The way out, where another feed serves what this one does not."""
    names = [
        each.name
        for each in dataset.feeds
        if not each.latest_only and each.kept_days is None and each.name != dataset.feed.name
    ]
    return f"; source.feed: {' or '.join(names)} serves older ones" if names else ""


def plan(
    window: Window | None,
    spec: Spec,
    dataset: Dataset,
    adapter: Adapter,
    settled: Sequence[Window],
    *,
    asked_for: bool,
    limits: Limits,
    bytes_per_row: float = BYTES_PER_ROW,
) -> Plan:
    """The chunks of the window, oldest first, each with its reason."""
    pieces = [] if window is None else split(window, spec.source.chunk_days, dataset.timezone)
    chunks = []
    for piece in pieces:
        chunk = Chunk(dataset.key, spec.selection, piece)
        if dataset.is_of_now:
            reason = Reason.NEWEST
        elif asked_for:
            reason = Reason.ASKED_FOR
        elif _covered(piece, settled):
            reason = Reason.LOOKBACK
        else:
            reason = Reason.MISSING
        locations = len(spec.selection.names) or dataset.locations
        rows = round(locations * dataset.rows_per_location_day * (piece.duration / timedelta(days=1)))
        requests = len(adapter.asks(dataset, chunk))
        if dataset.feed.rows_per_request:
            requests = max(requests, -(-rows // dataset.feed.rows_per_request))
        chunks.append(Planned(chunk, reason, requests, rows, round(rows * bytes_per_row)))
    return Plan(dataset.key, window, tuple(chunks), limits)


def remaining(
    whole: Plan, settled: Sequence[Window], lower: Sequence[Window], failed: Container[str], rerun: Rerun | None
) -> Plan:
    """Those chunks of a plan over all days that a backfill takes, each with its reason.

    `settled` are the windows that need no more work, `lower` those that would need none if the feed had no higher
    revision, both merged; `failed` are the keys of chunks whose last attempt failed.
    """
    chunks = []
    for each in whole.chunks:
        if _covered(each.chunk.window, settled):
            reason = Reason.FORCED
        elif each.chunk.key in failed:
            reason = Reason.FAILED
        elif _covered(each.chunk.window, lower):
            reason = Reason.RESTATED
        else:
            reason = Reason.MISSING
        if reason in _TAKEN[rerun]:
            chunks.append(replace(each, reason=reason))
    return replace(whole, chunks=tuple(chunks))


_TAKEN = {
    None: {Reason.MISSING, Reason.FAILED, Reason.RESTATED},
    Rerun.FAILED: {Reason.FAILED},
    Rerun.MISSING: {Reason.MISSING},
    Rerun.ALL: {Reason.MISSING, Reason.FAILED, Reason.RESTATED, Reason.FORCED},
}


def _covered(window: Window, merged: Sequence[Window]) -> bool:
    """Whether one of the windows, which are in order and do not touch, contains it."""
    place = bisect_right(merged, window.start, key=lambda each: each.start)
    return place > 0 and merged[place - 1].contains(window)
