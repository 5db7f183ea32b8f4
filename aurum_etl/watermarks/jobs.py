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

import tenacity

from aurum_etl.chunk import Chunk, Selection
from aurum_etl.errors import UsageError
from aurum_etl.redaction import redacted
from aurum_etl.watermarks import Store, insert, instant, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from aurum_etl.receipt import Postponed, Receipt
    from aurum_etl.settings import Settings
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
    """Some chunks failed, or were never begun; or a store does not hold what their receipts say, or could not be asked."""
    FAILED = "failed"
    """No chunk succeeded."""
    CANCELLED = "cancelled"


class ChunkState(StrEnum):
    """How a chunk of a job stands: `Outcome` and what comes before one."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    POSTPONED = "postponed"
    """Nothing came of it yet, and that is no failure: it waits for its time, or for another run."""
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
    unchanged: bool = False
    """Whether its rows were in every store already, and were not loaded again."""


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

    @property
    def settled(self) -> int:
        """How many of them need no more work."""
        return _settled(self.counts)


class Event(StrEnum):
    """What can happen to a job."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    ENDED = "ended"
    """Of a job: nothing is left to do, or nothing more is to be done. Of a chunk: its receipt is there."""
    DIFFERED = "differed"
    """Of a job: it ended, and a store does not hold what the receipts say, or could not be asked."""
    ELSEWHERE = "elsewhere"
    """Of a chunk: another run has settled it."""
    BEGUN = "begun"
    """Of a chunk: somebody works on it."""
    AGAIN = "again"
    """Of a chunk: it failed, and is tried again at the instant in `detail`."""
    POSTPONED = "postponed"
    """Of a chunk: nothing came of it, which is no failure; it is worth another try at the instant in `detail`, for the reason
    behind it."""


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
        jobs = [job for job in self.jobs() if ids is None or job.id in ids]
        names = [job.id for job in jobs]
        histories, totals = self._as_they_stand(names, f"with {_CHUNKS} {_TOTALS}")
        return [_status(job, histories[job.id], totals[job.id]) for job in jobs]

    def chunks(self, job: Job) -> list[ChunkStatus]:
        """How the chunks of a job stand, in the order of the plan."""
        _, rows = self._as_they_stand([job.id], f"with {_CHUNKS} select * from chunks order by place")  # noqa: S608 - ours
        return [_chunk(job, row) for row in rows[job.id]]

    def note(
        self,
        job: Job,
        receipts: Sequence[Receipt],
        begun: Sequence[Chunk] = (),
        again: Sequence[tuple[Chunk, datetime]] = (),
        postponed: Sequence[Postponed] = (),
    ) -> None:
        """Append receipts and what happened to chunks, in one transaction."""
        events = [(Event.ENDED, receipt.chunk.key, "") for receipt in receipts]
        events += [(Event.BEGUN, chunk.key, "") for chunk in begun]
        events += [(Event.AGAIN, chunk.key, when.isoformat()) for chunk, when in again]
        events += [(Event.POSTPONED, each.chunk.key, f"{each.until.isoformat()} {each.reason}") for each in postponed]
        with self._store.transaction() as connection:
            insert(connection, receipts)
            for event, chunk_key, detail in events:
                _append(connection, job.id, event, chunk_key, detail)

    def settled_elsewhere(self, job: Job, chunks: Sequence[Chunk]) -> None:
        """Append that other runs have settled these chunks."""
        with self._store.transaction() as connection:
            for chunk in chunks:
                _append(connection, job.id, Event.ELSEWHERE, chunk.key, "")

    def happened(self, job: Job, event: Event, detail: str = "") -> None:
        """Append what happened to the job as a whole."""
        with self._store.transaction() as connection:
            _append(connection, job.id, event, "", detail)

    def last(self, job: Job) -> Event | None:
        """What last happened to the job as a whole; None if nothing has."""
        with self._store.reading() as connection:
            if connection is None:
                return None
            found = connection.execute(
                "select event from job_events where job = ? and chunk_key = '' order by number desc limit 1", [job.id]
            ).fetchall()
        return Event(found[0][0]) if found else None

    @contextmanager
    def running(self, job: Job) -> Iterator[None]:
        """Be the one process that runs the job.

        Raises: UsageError if another one does.
        """
        descriptor = os.open(self._lock(job.id), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                _held_alone(descriptor)
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

    def _as_they_stand(
        self, names: Sequence[str], sql: str
    ) -> tuple[dict[str, _History], dict[str, list[tuple[Any, ...]]]]:
        """What happened to each of the jobs, and the answer's rows of each.

        Locks are no part of the store: if a process came or went meanwhile, what was read may be from before or after.
        """
        while True:
            alive = {name for name in names if self.is_running(name)}
            histories, rows = self._read(names, alive, sql)
            if alive == {name for name in names if self.is_running(name)}:
                return histories, rows

    def _read(
        self, names: Sequence[str], alive: set[str], sql: str
    ) -> tuple[dict[str, _History], dict[str, list[tuple[Any, ...]]]]:
        events: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        with self._store.reading() as connection:
            if connection is not None:
                events = connection.execute(_HISTORY, {"jobs": list(names)}).fetchall()
                rows = connection.execute(sql, {"jobs": list(names), "alive": list(alive)}).fetchall()
        happened = {job: (Event(last), detail, started, ended) for job, last, detail, started, ended in events}
        histories = {name: _History(name in alive, *happened.get(name, ())) for name in names}
        by_job: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}
        for job, *row in rows:
            by_job[job].append(tuple(row))
        return histories, by_job


@dataclass(frozen=True, slots=True)
class _History:
    """What happened to a job as a whole."""

    alive: bool
    last: Event | None = None
    detail: str = ""
    started: int | None = None
    ended: int | None = None


def jobs_of(settings: Settings) -> Jobs:
    """The jobs under the home."""
    return Jobs(Store(settings.home / "watermarks.duckdb"), settings.private_folder("jobs"))


_JOB = (
    "job, dataset, selection_word, selection_names, spec, content, options, epoch_us(window_start), epoch_us(window_end), "
    "epoch_us(created_at)"
)

_HISTORY = """
select job, max_by(event, number), max_by(detail, number), epoch_us(min(happened_at) filter (where event = 'started')),
       epoch_us(max(happened_at) filter (where event in ('ended', 'differed', 'interrupted', 'cancelled')))
from job_events where list_contains($jobs, job) and chunk_key = '' group by job"""

# What a process had in work when it died is in work no more: only what happened since the last start tells of now.
_CHUNKS = """
    tried as (
        select job, chunk_key, count(*) as attempts, max(number) as newest
        from receipts where list_contains($jobs, job) group by all),
    starts as (
        select job, max(number) as number
        from job_events where list_contains($alive, job) and chunk_key = '' and event = 'started' group by job),
    happened as (
        select job, chunk_key, max_by(event, e.number) as last, max_by(detail, e.number) as detail
        from job_events e join starts s using (job) where chunk_key <> '' and e.number > s.number group by all),
    late as (
        select job, chunk_key, max_by(detail, number) as detail
        from job_events where list_contains($jobs, job) and chunk_key <> ''
        group by all having max_by(event, number) = 'postponed'),
    elsewhere as (
        select distinct job, chunk_key from job_events where list_contains($jobs, job) and event = 'elsewhere'),
    chunks as (
        select c.job, c.place, epoch_us(c.window_start), epoch_us(c.window_end), c.reason, c.requests, c.rows, c.bytes,
               case when h.last = 'begun' then 'running'
                    when h.last = 'again' then 'retrying'
                    when l.detail is not null then 'postponed'
                    when e.job is not null and coalesce(r.outcome, 'failed') = 'failed' then 'done'
                    else coalesce(r.outcome, 'pending') end as state,
               coalesce(t.attempts, 0), coalesce(r.rows_committed, 0) as committed,
               coalesce(r.rows_rejected, 0), coalesce(r.bytes, 0) as received, coalesce(r.seconds, '{}'),
               coalesce(substr(l.detail, instr(l.detail, ' ') + 1), r.error),
               case when h.last = 'again' then h.detail else split_part(l.detail, ' ', 1) end,
               r.unchanged_since is not null
        from job_chunks c left join tried t using (job, chunk_key) left join happened h using (job, chunk_key)
             left join late l using (job, chunk_key) left join elsewhere e using (job, chunk_key)
             left join receipts r on r.number = t.newest
        where list_contains($jobs, c.job))"""

_TOTALS = "select job, state, count(*), sum(committed), sum(received) from chunks group by all"


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(BlockingIOError),
    wait=tenacity.wait_random(0.01, 0.1),
    stop=tenacity.stop_after_delay(1.0),
    reraise=True,
)
def _held_alone(descriptor: int) -> None:
    """Take the lock; who only looks whether it is free holds it for a moment as well."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _append(connection: duckdb.DuckDBPyConnection, job: str, event: Event, chunk_key: str, detail: str) -> None:
    connection.execute(
        "insert into job_events select coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? from job_events",
        [job, datetime.now(UTC), event.value, chunk_key, redacted(detail)],
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


def _chunk(job: Job, row: tuple[Any, ...]) -> ChunkStatus:
    _, start, end, reason, requests, rows, size, state, attempts, committed, rejected, received, *rest = row
    seconds, error, next_try, unchanged = rest
    return ChunkStatus(
        planned=JobChunk(Chunk(job.dataset, job.selection, window(start, end)), reason, requests, rows, size),
        state=ChunkState(state),
        attempts=attempts,
        rows=committed,
        rejected=rejected,
        bytes=received,
        seconds=json.loads(seconds),
        error=error,
        next_try=datetime.fromisoformat(next_try) if next_try else None,
        unchanged=unchanged,
    )


def _status(job: Job, history: _History, totals: Sequence[tuple[Any, ...]]) -> JobStatus:
    counts = {ChunkState(state): count for state, count, _, _ in totals}
    state, why = _state(history.last, counts, alive=history.alive)
    return JobStatus(
        job=job,
        state=state,
        detail=why or history.detail,
        started_at=instant(history.started) if history.started else None,
        ended_at=instant(history.ended) if history.ended and not history.alive else None,
        counts={each: counts[each] for each in ChunkState if each in counts},
        rows=sum(int(rows) for _, _, rows, _ in totals),
        bytes=sum(int(received) for _, _, _, received in totals),
    )


def _state(last: Event | None, counts: Mapping[ChunkState, int], *, alive: bool) -> tuple[JobState, str]:
    """How a job stands, and why, by what last happened to it."""
    settled = _settled(counts)
    ending = "its running chunks are ending" if counts.get(ChunkState.RUNNING) else ""
    if last is Event.ENDED and settled == sum(counts.values()):
        return JobState.COMPLETED, ""
    if last in (Event.ENDED, Event.DIFFERED):
        return (JobState.PARTIALLY_COMPLETED if settled else JobState.FAILED), ""
    if last in _STEERED:
        return _STEERED[last], ending
    if alive:
        return JobState.RUNNING, ""
    return JobState.PAUSED, "" if last is Event.INTERRUPTED else "its process ended before it was done"


def _settled(counts: Mapping[ChunkState, int]) -> int:
    return sum(counts.get(state, 0) for state in SETTLED)


_STEERED = {None: JobState.PENDING, Event.CANCELLED: JobState.CANCELLED, Event.PAUSED: JobState.PAUSED}
