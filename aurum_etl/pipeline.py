"""One chunk, from what the ISO published to a receipt. Who has read this file has read the engine.

    fetch ─▶ normalize ─▶ validate ─▶ stage, stage, stage ─▶ commit, commit, commit ─▶ Receipt

What every store holds already is not loaded again: the same bytes go no further than the fetch, the same rows no further
than their validation, and the receipt says so.

The receipt is returned, not stored: it is stored by who called, last, so that "done" means done.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aurum_etl import recognition
from aurum_etl.adapters.base import Answers
from aurum_etl.adapters.bulk import ask_or_bulk
from aurum_etl.checksum import days_of_rows, rest_of_rows
from aurum_etl.chunk import Chunk, Selection, scope_of
from aurum_etl.errors import (
    AurumError,
    ContractViolation,
    NotYetPublished,
    SourceChanged,
    SourceError,
    Stopped,
    in_words,
)
from aurum_etl.program import program_of
from aurum_etl.receipt import Content, Day, Finding, Origin, Outcome, Receipt, Severity, Written
from aurum_etl.sinks.ledger import Provenance
from aurum_etl.telemetry import logger
from aurum_etl.window import Window, intersect, market_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import date

    import polars as pl
    import pyarrow as pa

    from aurum_etl.adapters.base import Adapter, Fetched
    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.normalize import Normalized
    from aurum_etl.quarantine import Quarantine
    from aurum_etl.sinks.base import Sink, Staged
    from aurum_etl.validate import Verdict


_LATE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a chunk is worked on with; the same for all chunks of a run."""

    adapter: Adapter
    dataset: Dataset
    origin: Origin
    sinks: Sequence[Sink]
    quarantine: Quarantine
    max_rejected_share: float
    max_bytes: int
    """The most that one answer may inflate to."""
    cores: AbstractContextManager[object] = field(default_factory=lambda: threading.Semaphore(os.cpu_count() or 1))
    """What a chunk holds while it computes: more at once than there are cores would only need more memory."""


@dataclass
class _Progress:
    """What is known so far of a chunk that is being worked on."""

    started_at: datetime
    origin: Origin
    revision: str = ""
    waits: bool = False
    """Whether what is not there may still come: not for files, and not for what is asked for whatever it is."""
    is_nothing: bool = False
    """Whether the source said to each request, in its own words, that it has nothing."""
    attempts: int = 0
    bytes: int = 0
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    days: tuple[Day, ...] = ()
    program: str = ""
    """What makes rows of the answers; empty where a load need not be recognized when it comes again."""
    answers: tuple[str, ...] = ()
    content: Content | None = None
    earlier: Receipt | None = None
    """The last load of the chunk, where the stores have said that they hold it, and the same program made it."""
    unchanged_since: datetime | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def run_chunk(chunk: Chunk, workshop: Workshop, source: Source, earlier: Receipt | None = None) -> Receipt:
    """Fetch the chunk and load it.

    `earlier` is its last load, if every store says that it holds it: where the same comes again, and the stores hold
    just those rows to this moment, nothing is loaded, and the receipt stands for them.

    Twice:  every store replaces the chunk's scope; the second receipt stands beside the first.
    Raises: nothing that a chunk can cause: its error is in the receipt, whose outcome is then `failed`. Stopped if the
            run is to end, and what has an `until`, such as NotYetPublished: then there is nothing to remember.
    """
    dataset, program = workshop.dataset, program_of(workshop.dataset)
    if earlier is not None and (earlier.content is None or earlier.content.program != program):
        earlier = None
    progress = _Progress(datetime.now(UTC), workshop.origin, dataset.mark, waits=True, program=program, earlier=earlier)

    def obtain() -> tuple[Chunk, Normalized | Receipt]:
        answers = _ask(chunk, workshop, source, progress)
        if earlier is not None and _is_as_earlier(earlier, workshop, progress):
            return chunk, earlier
        return chunk, _read(chunk, workshop, answers, progress)

    return _work(chunk, workshop, progress, obtain)


def run_latest(chunk: Chunk, workshop: Workshop, source: Source) -> Iterator[Receipt]:
    """Fetch what is newest, whatever it is, and load it: a chunk per version or market day of it.

    The receipt is of `chunk` where nothing came of it.
    """
    dataset = workshop.dataset
    progress = _Progress(datetime.now(UTC), workshop.origin, dataset.mark, waits=True)
    rest: dict[Chunk, Normalized] = {}

    def obtain() -> tuple[Chunk, Normalized]:
        normalized = _read(chunk, workshop, _ask(chunk, workshop, source, progress), progress)
        rest.update(chunks_of(normalized, dataset, chunk.selection))
        if not rest:
            return chunk, normalized
        progress.waits = False
        first = next(iter(rest))
        return first, rest.pop(first)

    yield _work(chunk, workshop, progress, obtain)
    for each, part in rest.items():
        yield load_chunk(each, replace(workshop, origin=progress.origin), part)


def _ask(chunk: Chunk, workshop: Workshop, source: Source, progress: _Progress) -> Answers:
    """What the ISO answers for the chunk; answers that the earlier load was made from are not read yet."""
    content = progress.earlier.content if progress.earlier is not None else None
    known = frozenset(content.answers if content is not None else ())
    answers = Answers(workshop.adapter, workshop.max_bytes, workshop.cores, known)
    with progress.step("fetch"):
        answers = ask_or_bulk(answers, workshop.dataset, chunk, source, now=progress.started_at)
    progress.attempts = answers.attempts
    progress.bytes = answers.size
    progress.answers = answers.marks
    # A replay is of the origin that its answers had; one invented answer makes the chunk an invented one.
    progress.origin = Origin.SIMULATOR if Origin.SIMULATOR in answers.origins else min(answers.origins)
    return answers


def _read(chunk: Chunk, workshop: Workshop, answers: Answers, progress: _Progress) -> Normalized:
    """The canonical frame of the answers."""
    with progress.step("fetch"):
        fetched = answers.read()
    # Reading an answer is part of accepting it, since damaged ones are asked for again.
    progress.seconds["decode"] = fetched.decode_seconds
    progress.seconds["fetch"] -= fetched.decode_seconds
    progress.findings.extend(fetched.findings)
    progress.is_nothing = fetched.is_nothing
    _note_nothing(progress, chunk, workshop.dataset, fetched)
    with workshop.cores, progress.step("normalize"):
        return normalized_of(fetched, workshop.dataset)


def normalized_of(fetched: Fetched, dataset: Dataset) -> Normalized:
    """The canonical frame of everything that came, whichever reports it came in."""
    from aurum_etl.normalize import normalize, together

    parts = [normalize(batches, dataset, report) for report, batches in fetched.batches]
    return together(parts or [normalize((), dataset, dataset.feed.reports[0])], dataset)


def load_chunk(
    chunk: Chunk,
    workshop: Workshop,
    normalized: Normalized,
    *,
    ingested_at: datetime | None = None,
    raising: tuple[type[AurumError], ...] = (),
) -> Receipt:
    """The same for rows that came out of files, or off a topic with the instant of the attempt that put them there.

    Raises: errors of `raising`, for who must do something else about them than note them.
    """
    progress = _Progress(ingested_at or datetime.now(UTC), workshop.origin, workshop.dataset.mark)
    return _work(chunk, workshop, progress, lambda: (chunk, normalized), raising)


def chunks_of(normalized: Normalized, dataset: Dataset, selection: Selection) -> dict[Chunk, Normalized]:
    """The chunks that a file's rows make up: one per market day, no longer than the rows reach; of forecasts that are had
    by the day of their publication, one per version.

    A file of a whole selection is taken at its word (`ALL` stays `ALL`); where locations are named, the chunk is of
    those that are in the file.
    """
    import polars as pl

    frame = normalized.frame
    if frame.is_empty():
        return {}
    if dataset.contract.is_registry:
        return {Chunk(dataset.key, selection, market_day(today(dataset), dataset.timezone)): normalized}
    named = selection
    if not selection.word:
        named = Selection.named(frame.get_column("iso_location_id").unique().to_list())
    chunks: dict[Chunk, Normalized] = {}
    rows_read, unplaced = normalized.rows_read, normalized.unplaced
    by = "published_at" if dataset.by_publication else "operating_date"
    # A snapshot has no length, and a window must have one.
    instant = timedelta(microseconds=1)
    spans = frame.group_by(by, maintain_order=True).agg(
        pl.col(dataset.axis).min().alias("start"),
        pl.max_horizontal("interval_end", pl.col("interval_start") + instant).max().alias("end"),
    )
    for value, start, end in spans.sort(by).iter_rows():
        if dataset.by_publication:
            window: Window | None = Window(start, start + instant)
        else:
            window = intersect(Window(start, end), market_day(value, dataset.timezone))
        if window is None:
            continue
        rows = frame.filter(pl.col(by) == value)
        chunks[Chunk(dataset.key, named, window)] = replace(
            normalized, frame=rows, rows_read=rows_read, unplaced=unplaced, passed_over=0, repeated=normalized.repeated
        )
        # What cannot be laid to any one day is told once, with the first.
        rows_read, unplaced = 0, normalized.unplaced.clear()
        normalized = replace(normalized, repeated=0)
    return chunks


def _work(
    chunk: Chunk,
    workshop: Workshop,
    progress: _Progress,
    obtain: Callable[[], tuple[Chunk, Normalized | Receipt]],
    raising: tuple[type[AurumError], ...] = (),
) -> Receipt:
    """Load what is obtained, as the chunk that it turns out to be; a receipt is of what is there already."""
    error: Exception | None = None
    try:
        with _about(chunk):
            chunk, obtained = obtain()
            if isinstance(obtained, Receipt):
                outcome = _leave(obtained, progress)
            else:
                outcome = _transform_and_load(chunk, workshop, progress, obtained)
    except AurumError as caught:
        if caught.until is not None or isinstance(caught, (Stopped, *raising)):
            raise
        outcome, error = Outcome.FAILED, caught
        if isinstance(caught, SourceError):
            progress.attempts = max(progress.attempts, caught.attempts)
    except Exception as caught:  # noqa: BLE001 - a fault of ours in one chunk must neither hide nor stop the others
        outcome, error = Outcome.FAILED, caught
        logger().exception("chunk.crashed", chunk=chunk.key)
    return Receipt(
        chunk=chunk,
        origin=progress.origin,
        outcome=outcome,
        started_at=progress.started_at,
        finished_at=datetime.now(UTC),
        rows_read=progress.rows_read,
        rows_accepted=progress.rows_accepted,
        rows_rejected=progress.rows_rejected,
        attempts=progress.attempts,
        seconds={step: round(seconds, 6) for step, seconds in progress.seconds.items()},
        written=tuple(progress.written),
        findings=tuple(progress.findings),
        error=None if error is None else in_words(error),
        revision=progress.revision,
        bytes=progress.bytes,
        # What no store took is in no day.
        days=progress.days if progress.written else (),
        content=None if outcome is Outcome.FAILED else progress.content,
        unchanged_since=progress.unchanged_since,
    )


def _transform_and_load(chunk: Chunk, workshop: Workshop, progress: _Progress, normalized: Normalized) -> Outcome:
    from aurum_etl.validate import rows_are_in_scope, validate

    dataset = workshop.dataset
    normalized = _only_the_window(normalized, chunk, scope_of(chunk, dataset).axis, progress)
    progress.rows_read = normalized.rows_read
    progress.revision = mark_of(normalized, dataset)
    if normalized.frame.is_empty() and normalized.unplaced.is_empty():
        return _nothing_came(chunk, dataset, progress)
    with workshop.cores, progress.step("validate"):
        frame = with_lineage(normalized.frame, dataset.contract, chunk, progress.started_at)
        scope = scope_of(chunk, dataset)
        verdict = validate(frame, dataset.contract, [*dataset.checks, rows_are_in_scope(scope)])
        _note_findings(progress, chunk, dataset, normalized)
    _keep_rejected(chunk, workshop, progress, normalized, verdict)
    with ExitStack() as undo:
        table = to_arrow(verdict.accepted, dataset.contract)
        with progress.step("validate"):
            progress.days = days_of_rows(table, scope)
            if progress.program:
                progress.content = Content(progress.program, progress.answers, rest_of_rows(table, dataset.contract))
        if progress.earlier is not None and _has_become_as_earlier(progress.earlier, scope, workshop, progress):
            return _leave(progress.earlier, progress)
        table = Provenance(progress.origin, progress.revision, progress.days).on(table)
        with progress.step("stage"):
            staged = _stage(workshop.sinks, table, scope, undo)
        with progress.step("commit"), _partly(progress, len(staged)):
            for each in staged:
                progress.written.append(each.commit())
    logger().info("chunk.committed", chunk=chunk.key, rows=progress.rows_accepted, rejected=progress.rows_rejected)
    return Outcome.QUARANTINED if progress.rows_rejected else Outcome.DONE


def _stage(sinks: Sequence[Sink], table: pa.Table, scope: Scope, undo: ExitStack) -> list[Staged]:
    """The rows in every store, not to be seen yet; at the same time in all of them, since they mostly wait for servers.

    What was staged is discarded with `undo`, also where another store fails: whichever of them is first in the spec tells why.
    """
    with ThreadPoolExecutor(len(sinks) or 1, "stage") as pool:
        futures = [pool.submit(sink.stage, table, scope) for sink in sinks]
    for future in futures:
        if future.exception() is None:
            undo.callback(future.result().discard)
    return [future.result() for future in futures]


def _is_as_earlier(earlier: Receipt, workshop: Workshop, progress: _Progress) -> bool:
    """Whether the answers are those that the earlier load was made from, and all that came of them is still there."""
    with progress.step("compare"):
        return (
            recognition.same_bytes(earlier, progress.answers)
            and progress.origin is earlier.origin
            and recognition.rejected_share(earlier) <= workshop.max_rejected_share
            and workshop.quarantine.holds(earlier.chunk, earlier.ingested_at, earlier.rows_rejected)
            and recognition.is_held(earlier, scope_of(earlier.chunk, workshop.dataset), workshop.sinks)
        )


def _has_become_as_earlier(earlier: Receipt, scope: Scope, workshop: Workshop, progress: _Progress) -> bool:
    """Whether other bytes have become the rows of the earlier load, and these are still there; where rows were rejected,
    they may be others than before.
    """
    with progress.step("compare"):
        return (
            progress.rows_rejected == earlier.rows_rejected == 0
            and (progress.origin, progress.revision) == (earlier.origin, earlier.revision)
            and recognition.same_rows(earlier, progress.content, progress.days)
            and recognition.is_held(earlier, scope, workshop.sinks)
        )


def _leave(earlier: Receipt, progress: _Progress) -> Outcome:
    """Leave the chunk as the stores hold it: its outcome is as before, and it is told that nothing was loaded."""
    if progress.content is None:
        # Nothing was read.
        progress.revision = earlier.revision
        progress.rows_read = earlier.rows_read
        progress.rows_accepted = earlier.rows_accepted
        progress.rows_rejected = earlier.rows_rejected
        progress.findings = [each for each in earlier.findings if each.check != recognition.UNCHANGED]
        progress.days = earlier.days
        progress.content = earlier.content
    progress.written = list(earlier.written)
    progress.unchanged_since = earlier.ingested_at
    progress.findings.append(recognition.finding(earlier, progress.answers))
    logger().info("chunk.unchanged", chunk=earlier.chunk.key, rows=earlier.rows_accepted)
    return earlier.outcome


def to_arrow(frame: pl.DataFrame, contract: Contract) -> pa.Table:
    """The frame as a table of exactly the contract's Arrow schema: the only place where rows leave Polars for a store.

    The oldest layout is asked for, since newer ones (views, enumerations) are not understood by every reader.
    """
    import polars as pl

    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(contract.arrow_schema)


@contextmanager
def _partly(progress: _Progress, stores: int) -> Iterator[None]:
    """Tell of a chunk that some stores took and another did not; the next run replaces it in all of them."""
    try:
        yield
    except AurumError as error:
        if progress.written:
            progress.findings.append(taken_in_part(progress.written, stores - len(progress.written), error))
        raise


def taken_in_part(written: Sequence[Written], lacking: int, error: AurumError) -> Finding:
    """What is to be told of a chunk that those stores took, and as many others did not."""
    took = ", ".join(each.sink for each in written)
    logger().warning("chunk.partly_committed", took=took, error=str(error))
    return Finding("every_store_took_it", Severity.WARNING, lacking, f"committed in {took} alone")


@contextmanager
def _about(chunk: Chunk) -> Iterator[None]:
    """Attach the chunk to every error, so that no place that raises has to remember it."""
    try:
        yield
    except AurumError as error:
        error.chunk_key = chunk.key
        if error.until is not None or isinstance(error, Stopped):
            raise
        logger().warning("chunk.failed", chunk=chunk.key, error=in_words(error))
        raise


def _only_the_window(normalized: Normalized, chunk: Chunk, axis: str | None, progress: _Progress) -> Normalized:
    """Without the rows of neighboring days, and of places that were not asked for: some answers snap to trade dates,
    and some reports are whole or not at all, whatever the request says.
    """
    import polars as pl

    # A registry has no days: what holds now is all of it.
    inside = pl.lit(value=True)
    if axis is not None:
        inside = pl.col(axis).is_between(chunk.window.start, chunk.window.end, closed="left")
    if chunk.selection.names:
        inside &= pl.col("iso_location_id").is_in(list(chunk.selection.names))
    frame = normalized.frame.filter(inside)
    outside = len(normalized.frame) - len(frame)
    if outside:
        progress.findings.append(
            Finding(
                "rows_are_asked_for", Severity.INFO, outside, f"{outside} rows of other days or places were passed over"
            )
        )
    return replace(normalized, frame=frame)


def _nothing_came(chunk: Chunk, dataset: Dataset, progress: _Progress) -> Outcome:
    """Empty, if the source said so to each request and it is late enough to believe it."""
    said = [finding for finding in progress.findings if finding.check == "source_has_data"]
    if said:
        _too_early(chunk, dataset, progress, said[0].detail)
    if not progress.is_nothing:
        raise SourceChanged(
            f"{chunk.key}: the answer holds no row of the window, and the source did not say that there is nothing"
            + (f" beside {said[0].detail}" if said else "")
        )
    return Outcome.EMPTY


def mark_of(normalized: Normalized, dataset: Dataset) -> str:
    """The lowest of the ISO's marks among the rows; what the feed has where there are none."""
    if not dataset.ranks:
        return ""
    marks = normalized.frame.get_column("revision").drop_nulls().unique().to_list()
    return min((mark for mark in marks if mark in dataset.ranks), key=dataset.ranks.__getitem__, default=dataset.mark)


def _too_early(chunk: Chunk, dataset: Dataset, progress: _Progress, reason: str) -> None:
    """Raise NotYetPublished while the chunk's newest day may still appear."""
    if not progress.waits:
        return
    now = progress.started_at
    local = market_day_of(chunk.window.end - timedelta(microseconds=1), dataset)
    expected = dataset.complete_at(local)
    if now < expected + dataset.patience:
        raise NotYetPublished(
            f"{reason}; {local} should be complete by {expected:%Y-%m-%dT%H:%MZ}, and is believed to be as it is "
            f"{dataset.patience} later",
            # What is late is asked for now and then.
            until=max(expected, now + _LATE),
        )


def today(dataset: Dataset) -> date:
    """The market day that it is."""
    return market_day_of(datetime.now(UTC), dataset)


def market_day_of(instant: datetime, dataset: Dataset) -> date:
    """The market day of an instant."""
    from zoneinfo import ZoneInfo

    return instant.astimezone(ZoneInfo(dataset.timezone)).date()


def _note_nothing(progress: _Progress, chunk: Chunk, dataset: Dataset, fetched: Fetched) -> None:
    """Keep the source's own words where it had nothing for a request. Where a whole report is lacking, the chunk waits
    for it as for a missing day.
    """
    for words in fetched.nothing:
        progress.findings.append(Finding("source_has_data", Severity.WARNING, 1, words))
    if fetched.nothing and fetched.batches:
        came = {report.name for report, _ in fetched.batches}
        lacking = [report.name for report in dataset.feed.reports if report.name not in came]
        if lacking:
            _too_early(chunk, dataset, progress, f"{', '.join(lacking)}: {fetched.nothing[0]}")
        logger().warning("chunk.partly_empty", chunk=chunk.key, said=fetched.nothing[0])


def _note_findings(progress: _Progress, chunk: Chunk, dataset: Dataset, normalized: Normalized) -> None:
    """Look for what is not there. A day that is still being published is not loaded at all: half a day that counts
    as done would be a gap that nobody sees.
    """
    import polars as pl

    from aurum_etl.validate import gaps, missing_intervals

    frame = normalized.frame
    for minutes in () if dataset.by_publication or dataset.contract.is_registry else dataset.intervals:
        # Irregular snapshots have no grid to have gaps in, but an hour without any is one.
        grid = minutes or 60
        of_length = frame.filter(pl.col("iso_interval_minutes") == minutes)
        if not minutes:
            of_length = of_length.with_columns(pl.col("interval_start").dt.truncate("1h"))
        absent = missing_intervals(of_length, chunk.window, grid)
        if len(absent):
            _too_early(chunk, dataset, progress, f"{len(absent)} intervals are not published")
        # A fuel that is not burned for hours has no snapshots, and lacks none.
        progress.findings.extend(gaps(of_length, chunk.window, grid, "series_id" if minutes else "iso_location_id"))
    lacking = sorted(set(chunk.selection.names) - set(frame.get_column("iso_location_id").unique()))
    if lacking:
        detail = f"nothing was published for {', '.join(lacking[:10])}"
        progress.findings.append(Finding("locations_are_published", Severity.WARNING, len(lacking), detail))
    if normalized.repeated:
        detail = f"{normalized.repeated} rows only repeated others, and count once"
        progress.findings.append(Finding("rows_are_distinct", Severity.INFO, normalized.repeated, detail))
    if normalized.superseded:
        detail = f"{normalized.superseded} rows are of older versions than others in the same answer"
        progress.findings.append(Finding("versions_are_the_newest", Severity.INFO, normalized.superseded, detail))
    for drift in normalized.drift:
        progress.findings.append(Finding("columns_are_as_documented", Severity.WARNING, 1, drift))
    for finding in progress.findings:
        if finding.severity is Severity.WARNING:
            logger().warning("chunk.finding", chunk=chunk.key, check=finding.check, detail=finding.detail)


def with_lineage(frame: pl.DataFrame, contract: Contract, chunk: Chunk, ingested_at: datetime) -> pl.DataFrame:
    """The frame with the columns that only the pipeline knows, in the contract's order."""
    import polars as pl

    return frame.with_columns(
        chunk_key=pl.lit(chunk.key), ingested_at=pl.lit(ingested_at, pl.Datetime("us", "UTC"))
    ).select(contract.names)


def _keep_rejected(
    chunk: Chunk, workshop: Workshop, progress: _Progress, normalized: Normalized, verdict: Verdict
) -> None:
    """Put rejected rows into quarantine, and refuse the chunk where there are too many."""
    import polars as pl

    progress.rows_accepted = len(verdict.accepted)
    progress.rows_rejected = verdict.rows_rejected + len(normalized.unplaced)
    rows = pl.concat([normalized.unplaced, verdict.rejected])
    workshop.quarantine.replace(rows, chunk, progress.started_at)
    if not progress.rows_rejected:
        return
    for check, count in rows.group_by("check").len().sort("check").iter_rows():
        first = rows.filter(pl.col("check") == check).row(0, named=True)
        detail = f'{count} rows rejected, such as {first["column"]} "{first["value"]}"'
        progress.findings.append(Finding(check, Severity.WARNING, count, detail))
    share = progress.rows_rejected / (progress.rows_accepted + progress.rows_rejected)
    logger().warning("chunk.quarantined", chunk=chunk.key, rejected=progress.rows_rejected, share=round(share, 4))
    if share > workshop.max_rejected_share:
        raise ContractViolation(
            f"{progress.rows_rejected} of {progress.rows_accepted + progress.rows_rejected} rows were rejected "
            f"({share:.1%}, quality.max_rejected_share is {workshop.max_rejected_share:.1%}): "
            + "; ".join(f"{each.check}: {each.detail}" for each in progress.findings[-3:])
        )
