"""The file that an ISO makes for everybody, in the place of a request for all locations that cannot be had."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl.adapters.base import Answers
from aurum_etl.chunk import ALL
from aurum_etl.errors import ArchiveError, SourceError, SourceUnavailable, TooLarge, in_words
from aurum_etl.receipt import Finding, Severity
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from datetime import datetime

    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source


def ask_or_bulk(answers: Answers, dataset: Dataset, chunk: Chunk, source: Source, *, now: datetime) -> Answers:
    """The answers to all requests of the chunk; where they fail for good, those of the feed's bulk file, with a finding that
    tells.

    An error that is only a matter of time is none of those: a budget that is spent, or a source that is left alone.
    Raises: as `fetch`; where the bulk file failed too, the first error with the second in its message.
    """
    try:
        answers.ask_for(dataset, chunk, source)
    # In a replay, what failed then is what the archive does not have.
    except (SourceUnavailable, TooLarge, ArchiveError) as failed:
        bulk = bulk_of(dataset, chunk, now)
        if bulk is None or failed.until is not None:
            raise
        reason = failed
    else:
        return answers
    logger().warning("chunk.bulk_file", chunk=chunk.key, feed=bulk.feed.name, error=str(reason))
    others = Answers(answers.adapter, answers.max_bytes, answers.cores)
    try:
        others.ask_for(bulk, chunk, source)
        if others.nothing:
            # The request did not say that there is nothing, and it is the one that was meant.
            raise SourceUnavailable(others.nothing[0])
    except (SourceError, ArchiveError) as failed:
        if failed.until is not None:
            raise
        told = f"{reason}; nor could the bulk file of feed {bulk.feed.name} take its place: {in_words(failed)}"
        reason.args = (told,)
        raise reason from failed
    detail = f"feed {bulk.feed.name} took the place of {dataset.feed.name}: {in_words(reason)}"
    others.findings.append(Finding("bulk_file_took_its_place", Severity.WARNING, 1, detail))
    others.attempts = max(others.attempts, reason.attempts if isinstance(reason, SourceError) else 0)
    return others


def bulk_of(dataset: Dataset, chunk: Chunk, now: datetime) -> Dataset | None:
    """The dataset by the feed that may take the place of its own for that chunk; None if there is none.

    It is for all locations alone, asks for no credentials that the feed itself does not ask for, and serves the whole
    window, of which the last day is long enough ago.
    """
    if not dataset.feed.bulk or chunk.selection.word != ALL:
        return None
    bulk = replace(dataset, chosen=[feed.name for feed in dataset.feeds].index(dataset.feed.bulk))
    zone = ZoneInfo(dataset.timezone)
    first = chunk.window.start.astimezone(zone).date()
    last = (chunk.window.end - timedelta(microseconds=1)).astimezone(zone).date()
    feed = bulk.feed
    kept = feed.kept_days is None or first >= now.astimezone(zone).date() - timedelta(feed.kept_days)
    served = kept and (feed.since is None or first >= feed.since) and bulk.complete_at(last) <= now
    return bulk if served and set(feed.credentials) <= set(dataset.feed.credentials) else None
