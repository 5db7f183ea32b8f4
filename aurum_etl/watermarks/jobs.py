"""Jobs: backfills on record, so that any process can see them, steer them, and go on with them.

What happens is appended as events and receipts; how a job and its chunks stand is derived from them. Whether a job runs is
told by a lock that its process holds, which the operating system takes away however that process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aurum_etl.chunk import Chunk, Selection
from aurum_etl.errors import UsageError
from aurum_etl.watermarks import insert, instant, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from aurum_etl.receipt import Receipt
    from aurum_etl.watermarks import Store
    from aurum_etl.window import Window


class JobState(StrEnum):
    """How a job stands."""

    PENDING = "pending"
    """Nobody has begun it."""
    RUNNING = "running"
    PAUSED = "paused"
    """Somebody paused it, or its process ended before it was done."""
    COMPLETED = "completed"
    """Every chunk is done or empty; some rows may be in quarantine."""
    PARTIALLY_COMPLETED = "partially_completed"
    """Some chunks failed, or were never begun; or a store does not hold what their receipts say."""
    FAILED = "failed"
    """No chunk succeeded."""
    CANCELLED = "cancelled"


class ChunkState(StrEnum):
    """How a chunk of a job stands: `Outcome` and what comes before one."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    EMPTY = "empty"
    QUARANTINED = "quarantined"
    FAILED = "failed"


SETTLED = frozenset({ChunkState.DONE, ChunkState.EMPTY, ChunkState.QUARANTINED})


@dataclass(frozen=True, slots=True)
class JobChunk:
    """A chunk of a job, as it was planned."""

    chunk: Chunk
    reason: str
    requests: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """A backfill as it was asked for."""

    id: str
    dataset: str
    selection: Selection
    spec: str
    """The file that it came from."""
    content: str
    """The spec with its overrides, as JSON: later changes of the file do not reach the job."""
    options: Mapping[str, Any] = field(hash=False)
    window: Window
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChunkStatus:
    """How one chunk of a job stands."""

    planned: JobChunk
    state: ChunkState
    attempts: int
    """How often it was worked on to an end in this job."""
    rows: int
    rejected: int
    bytes: int
    seconds: Mapping[str, float] = field(hash=False)
    """Per step, of the last attempt."""
    error: str | None
    next_try: datetime | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands."""

    job: Job
    state: JobState
    detail: str
    """Why, where the state alone does not tell."""
    started_at: datetime | None
    ended_at: datetime | None
    counts: Mapping[ChunkState, int] = field(hash=False)
    rows: int
    bytes: int

    @property
    def chunks(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


class Event(StrEnum):
    """What can happen to a job."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    ENDED = "ended"
    DIFFERED = "differed"
    """It ended, and a store does not hold what the receipts say."""
    BEGUN = "begun"
    """Of a chunk: somebody works on it."""
    AGAIN = "again"
    """Of a chunk: it failed, and is tried again at the instant in `detail`."""


class Jobs:
    """The jobs of one store."""

    def __init__(self, store: Store, locks: Path) -> None:
        self._store = store
        self._locks = locks

    def create(self, job: Job, chunks: Sequence[JobChunk]) -> None:
        """Put a job on record, with all of its chunks."""
        import pyarrow as pa

        columns = {
            "job": [job.id] * len(chunks),
            "place": range(len(chunks)),
            "chunk_key": [each.chunk.key for each in chunks],
            "window_start": [each.chunk.window.start for each in chunks],
            "window_end": [each.chunk.window.end for each in chunks],
            "reason": [each.reason for each in chunks],
            "requests": [each.requests for each in chunks],
            "rows": [each.rows for each in chunks],
            "bytes": [each.bytes for each in chunks],
        }
        with self._store.transaction() as connection:
            connection.execute(
                "insert into jobs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    job.id, job.dataset, str(job.selection), job.selection.word, list(job.selection.names), job.spec,
                    job.content, json.dumps(dict(job.options)), job.window.start, job.window.end, job.created_at,
                ],
            )  # fmt: skip
            # Row by row a job of ten years would take seconds.
            connection.register("planned", pa.table(columns))
            connection.execute("insert into job_chunks select * from planned")
            connection.unregister("planned")

    def jobs(self) -> list[Job]:
        """All jobs, newest first."""
        with self._store.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"select {_JOB} from jobs order by created_at desc").fetchall()  # noqa: S608 - ours
        return [_job(row) for row in rows]

    def job(self, name: str) -> Job:
        """The job of that id, or whose id begins or ends like that.

        Raises: UsageError if there is none, or more than one.
        """
        known = self.jobs()
        exact = [each for each in known if each.id == name]
        found = exact or [each for each in known if each.id.startswith(name) or each.id.endswith(name)]
        if len(found) == 1:
            return found[0]
        if not found:
            listed = ", ".join(each.id for each in known[:10]) or "there is none yet"
            raise UsageError(f'job "{name}": not known; the newest are: {listed}')
        raise UsageError(f'job "{name}": could be any of {", ".join(each.id for each in found[:10])}')

    def statuses(self, ids: Sequence[str] | None = None) -> list[JobStatus]:
        """How jobs stand, newest first."""
        return [
            _status(job, self.chunks(job), *self._history(job)) for job in self.jobs() if ids is None or job.id in ids
        ]

    def chunks(self, job: Job) -> list[ChunkStatus]:
        """How the chunks of a job stand, in the order of the plan."""
        alive = self.is_running(job.id)
        with self._store.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(_CHUNKS, [job.id, job.id, job.id]).fetchall()
        return [_chunk(job, row, alive=alive) for row in rows]

    def note(
        self,
        job: Job,
        receipts: Sequence[Receipt],
        begun: Sequence[Chunk] = (),
        again: Sequence[tuple[Chunk, datetime]] = (),
    ) -> None:
        """Append receipts and what happened to chunks, in one transaction."""
        events = [(Event.BEGUN, chunk.key, "") for chunk in begun]
        events += [(Event.AGAIN, chunk.key, when.isoformat()) for chunk, when in again]
        with self._store.transaction() as connection:
            insert(connection, receipts)
            for event, chunk_key, detail in events:
                _append(connection, job.id, event, chunk_key, detail)

    def happened(self, job: Job, event: Event, detail: str = "") -> None:
        """Append what happened to the job as a whole."""
        with self._store.transaction() as connection:
            _append(connection, job.id, event, "", detail)

    def last(self, job: Job) -> Event | None:
        """What last happened to the job as a whole; None if nothing has."""
        last, _, _, _, _ = self._history(job)
        return last

    @contextmanager
    def running(self, job: Job) -> Iterator[None]:
        """Be the one process that runs the job.

        Raises: UsageError if another one does.
        """
        descriptor = os.open(self._lock(job.id), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{job.id}: another process runs it") from None
            yield
        finally:
            os.close(descriptor)

    def is_running(self, job_id: str) -> bool:
        """Whether a process runs it now."""
        if not (path := self._lock(job_id)).exists():
            return False
        descriptor = os.open(path, os.O_RDWR)
        try:
            # Shared, so that two who look at once do not take each other for the process that runs it.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _lock(self, job_id: str) -> Path:
        return self._locks / f"{job_id}.lock"

    def _history(self, job: Job) -> tuple[Event | None, str, datetime | None, datetime | None, bool]:
        """What last happened to it and its detail, when it first started and last ended, and whether it runs."""
        with self._store.reading() as connection:
            found: list[tuple[Any, ...]] = []
            if connection is not None:
                found = connection.execute(
                    "select event, detail, epoch_us(happened_at) from job_events where job = ? and chunk_key = '' "
                    "order by number",
                    [job.id],
                ).fetchall()
        started = [when for event, _, when in found if event == Event.STARTED]
        ended = [
            when
            for event, _, when in found
            if event in (Event.ENDED, Event.DIFFERED, Event.INTERRUPTED, Event.CANCELLED)
        ]
        last, detail = (Event(found[-1][0]), str(found[-1][1])) if found else (None, "")
        return (
            last,
            detail,
            instant(started[0]) if started else None,
            instant(ended[-1]) if ended else None,
            self.is_running(job.id),
        )


_JOB = (
    "job, dataset, selection_word, selection_names, spec, content, options, epoch_us(window_start), epoch_us(window_end), "
    "epoch_us(created_at)"
)

_CHUNKS = """
with tried as (
        select chunk_key, count(*) as attempts, max(number) as newest from receipts where job = ? group by chunk_key),
    happened as (
        select chunk_key, max(number) filter (where event = 'begun') as begun,
               count(*) filter (where event = 'begun') as times,
               max_by(detail, number) filter (where event = 'again') as again
        from job_events where job = ? and chunk_key <> '' group by chunk_key)
select c.chunk_key, epoch_us(c.window_start), epoch_us(c.window_end), c.reason, c.requests, c.rows, c.bytes,
       coalesce(t.attempts, 0), coalesce(h.times, 0), h.again,
       r.outcome, r.rows_committed, r.rows_rejected, r.bytes, r.seconds, r.error
from job_chunks c left join tried t using (chunk_key) left join happened h using (chunk_key)
     left join receipts r on r.number = t.newest
where c.job = ? order by c.place"""


def _append(connection: duckdb.DuckDBPyConnection, job: str, event: Event, chunk_key: str, detail: str) -> None:
    connection.execute(
        "insert into job_events select coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? from job_events",
        [job, datetime.now(UTC), event.value, chunk_key, detail],
    )


def _job(row: tuple[Any, ...]) -> Job:
    job, dataset, word, names, spec, content, options, start, end, created_at = row
    return Job(
        id=job,
        dataset=dataset,
        selection=Selection(word, tuple(names)),
        spec=spec,
        content=content,
        options=json.loads(options),
        window=window(start, end),
        created_at=instant(created_at),
    )


def _chunk(job: Job, row: tuple[Any, ...], *, alive: bool) -> ChunkStatus:
    _, start, end, reason, requests, rows, size, attempts, begun, again, *receipt = row
    outcome, committed, rejected, received, seconds, error = receipt
    planned = JobChunk(Chunk(job.dataset, job.selection, window(start, end)), reason, requests, rows, size)
    if begun > attempts and alive:
        state = ChunkState.RUNNING
    elif outcome is None:
        state = ChunkState.PENDING
    else:
        state = ChunkState(outcome)
    next_try = None
    if state is ChunkState.FAILED and alive and again and datetime.fromisoformat(again) > datetime.now(UTC):
        state, next_try = ChunkState.RETRYING, datetime.fromisoformat(again)
    return ChunkStatus(
        planned=planned,
        state=state,
        attempts=attempts,
        rows=committed or 0,
        rejected=rejected or 0,
        bytes=received or 0,
        seconds=json.loads(seconds) if seconds else {},
        error=error,
        next_try=next_try,
    )


def _status(
    job: Job,
    chunks: Sequence[ChunkStatus],
    last: Event | None,
    detail: str,
    started_at: datetime | None,
    ended_at: datetime | None,
    alive: bool,
) -> JobStatus:
    counts = {state: sum(each.state is state for each in chunks) for state in ChunkState}
    state, why = _state(last, counts, alive=alive)
    return JobStatus(
        job=job,
        state=state,
        detail=why or detail,
        started_at=started_at,
        ended_at=None if alive else ended_at,
        counts={state: count for state, count in counts.items() if count},
        rows=sum(each.rows for each in chunks),
        bytes=sum(each.bytes for each in chunks),
    )


def _state(last: Event | None, counts: Mapping[ChunkState, int], *, alive: bool) -> tuple[JobState, str]:
    """How a job stands, and why, by what last happened to it."""
    settled = sum(counts[state] for state in SETTLED)
    ending = "its running chunks are ending" if alive and counts[ChunkState.RUNNING] else ""
    if last is Event.ENDED and settled == sum(counts.values()):
        return JobState.COMPLETED, ""
    if last in (Event.ENDED, Event.DIFFERED):
        return (JobState.PARTIALLY_COMPLETED if settled else JobState.FAILED), ""
    if last in _STEERED:
        return _STEERED[last], ending
    if alive:
        return JobState.RUNNING, ""
    return JobState.PAUSED, "" if last is Event.INTERRUPTED else "its process ended before it was done"


_STEERED = {None: JobState.PENDING, Event.CANCELLED: JobState.CANCELLED, Event.PAUSED: JobState.PAUSED}
