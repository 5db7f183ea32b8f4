"""Jobs on record: how they and their chunks stand, by what happened."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.errors import UsageError
from aurum_etl.receipt import Outcome, Postponed
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import SETTLED, ChunkState, Event, Job, JobChunk, Jobs, JobState
from aurum_etl.window import Window
from tests.test_watermarks import day, receipt

if TYPE_CHECKING:
    from aurum_etl.receipt import Receipt

CREATED = datetime(2026, 7, 20, 12, tzinfo=UTC)
SOON = datetime(2026, 7, 20, 13, tzinfo=UTC)


def job(name: str, created: int = 0) -> Job:
    return Job(
        id=name,
        dataset="caiso_lmp",
        selection=Selection(ALL),
        spec="specs/caiso_lmp.yaml",
        content='{"dataset": "caiso_lmp"}',
        options={"attempts": 3, "place": {"kind": "local"}},
        window=Window(day(0).start, day(2).end),
        created_at=CREATED + timedelta(minutes=created),
    )


def chunk(number: int) -> Chunk:
    return Chunk("caiso_lmp", Selection(ALL), day(number))


def of(job: Job, number: int, outcome: Outcome = Outcome.DONE) -> Receipt:
    return replace(receipt(day(number), outcome), job=job.id, bytes=100)


def planned(count: int) -> list[JobChunk]:
    return [JobChunk(chunk(number), "missing", 2, 24, 600) for number in range(count)]


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Store(tmp_path / "watermarks.duckdb"), tmp_path)


@pytest.fixture
def one(jobs: Jobs) -> Job:
    jobs.create(job("caiso_lmp-aa11"), planned(3))
    return job("caiso_lmp-aa11")


def states(jobs: Jobs, job: Job) -> list[str]:
    return [each.state.value for each in jobs.chunks(job)]


def state(jobs: Jobs, job: Job) -> tuple[str, str]:
    (status,) = jobs.statuses([job.id])
    return status.state.value, status.detail


def test_a_job_is_read_back_as_it_was(jobs: Jobs, one: Job) -> None:
    assert jobs.jobs() == [one]
    assert [each.planned for each in jobs.chunks(one)] == planned(3)


def test_asking_where_nothing_is_leaves_nothing_behind(jobs: Jobs, tmp_path: Path) -> None:
    assert (jobs.jobs(), jobs.statuses(), jobs.chunks(job("x")), jobs.last(job("x"))) == ([], [], [], None)
    assert jobs.is_running("x") is False
    assert list(tmp_path.iterdir()) == []


def test_jobs_are_known_by_what_tells_them_apart(jobs: Jobs) -> None:
    for number, name in enumerate(("pjm_lmp-ab12", "pjm_lmp-ab34", "pjm_load-cd12", "pjm_lmp-ab")):
        jobs.create(job(name, number), planned(1))
    assert jobs.job("pjm_lmp-ab12").id == "pjm_lmp-ab12"
    assert jobs.job("ab34").id == "pjm_lmp-ab34"
    assert jobs.job("pjm_lo").id == "pjm_load-cd12"
    assert jobs.job("pjm_lmp-ab").id == "pjm_lmp-ab", "the whole name is that job, whatever else begins like it"
    for words, told in (("12", "could be any of pjm_load-cd12, pjm_lmp-ab12"), ("x", "the newest are: pjm_lmp-ab, ")):
        with pytest.raises(UsageError, match=told):
            jobs.job(words)


def test_the_newest_job_stands_first(jobs: Jobs) -> None:
    for number, name in enumerate(("a-1", "b-1", "c-1")):
        jobs.create(job(name, number), planned(1))
    assert [each.id for each in jobs.jobs()] == ["c-1", "b-1", "a-1"]
    assert [each.job.id for each in jobs.statuses()] == ["c-1", "b-1", "a-1"]
    assert [each.job.id for each in jobs.statuses(["a-1", "c-1"])] == ["c-1", "a-1"]


def test_a_chunk_goes_from_pending_to_done(jobs: Jobs, one: Job) -> None:
    assert (states(jobs, one), state(jobs, one)) == (["pending"] * 3, ("pending", ""))
    with jobs.running(one):
        jobs.happened(one, Event.STARTED)
        jobs.note(one, [], [chunk(0), chunk(1)])
        assert (states(jobs, one), state(jobs, one)) == (["running", "running", "pending"], ("running", ""))
        jobs.note(one, [of(one, 0)])
        jobs.note(one, [of(one, 1, Outcome.FAILED)], (), [(chunk(1), SOON)])
        assert states(jobs, one) == ["done", "retrying", "pending"]
        assert [each.next_try for each in jobs.chunks(one)] == [None, SOON, None]
        jobs.note(one, [], [chunk(1)])
        assert states(jobs, one) == ["done", "running", "pending"]
        jobs.note(one, [of(one, 1, Outcome.QUARANTINED)], [chunk(2)])
        jobs.note(one, [of(one, 2, Outcome.EMPTY)])
        jobs.happened(one, Event.ENDED)
    assert (states(jobs, one), state(jobs, one)) == (["done", "quarantined", "empty"], ("completed", ""))
    assert [each.attempts for each in jobs.chunks(one)] == [1, 2, 1]
    (status,) = jobs.statuses()
    assert (status.rows, status.bytes, status.chunks) == (10, 300, 3)
    assert status.started_at is not None
    assert status.ended_at is not None
    assert status.started_at < status.ended_at


def test_a_postponed_chunk_tells_when_and_why_and_counts_no_attempt(jobs: Jobs, one: Job) -> None:
    with jobs.running(one):
        jobs.happened(one, Event.STARTED)
        jobs.note(one, [], [chunk(0), chunk(1)])
        jobs.note(one, [], (), (), [Postponed(chunk(0), SOON, "SourceResting: CAISO is left alone")])
        jobs.note(one, [of(one, 1)])
        jobs.happened(one, Event.ENDED)
    (status,) = jobs.statuses()
    found = jobs.chunks(one)[0]
    assert (found.state, found.next_try, found.error, found.attempts) == (
        ChunkState.POSTPONED,
        SOON,
        "SourceResting: CAISO is left alone",
        0,
    )
    assert (status.state, status.settled) == (JobState.PARTIALLY_COMPLETED, 1)


def test_a_killed_process_leaves_nothing_running_and_a_second_one_begins_anew(jobs: Jobs, one: Job) -> None:
    with jobs.running(one):
        jobs.happened(one, Event.STARTED)
        jobs.note(one, [], [chunk(0), chunk(1)])
        jobs.note(one, [of(one, 1, Outcome.FAILED)], (), [(chunk(1), SOON)])
    assert states(jobs, one) == ["pending", "failed", "pending"]
    assert state(jobs, one) == ("paused", "its process ended before it was done")
    with jobs.running(one):
        jobs.happened(one, Event.STARTED)
        assert states(jobs, one) == ["pending", "failed", "pending"], "what was begun before is in work no more"
        jobs.note(one, [], [chunk(0)])
        jobs.note(one, [of(one, 0)])
        assert states(jobs, one) == ["done", "failed", "pending"], "begun twice and ended once is done"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((Outcome.DONE, Outcome.EMPTY, Outcome.QUARANTINED), "completed"),
        ((Outcome.DONE, Outcome.FAILED, Outcome.DONE), "partially_completed"),
        ((Outcome.FAILED, Outcome.FAILED, Outcome.FAILED), "failed"),
        ((Outcome.FAILED,), "failed"),
        ((Outcome.DONE,), "partially_completed"),
    ],
)
def test_a_job_that_ended_is_what_its_chunks_are(
    jobs: Jobs, one: Job, outcomes: tuple[Outcome, ...], expected: str
) -> None:
    jobs.happened(one, Event.STARTED)
    jobs.note(one, [of(one, number, outcome) for number, outcome in enumerate(outcomes)])
    jobs.happened(one, Event.ENDED)
    assert state(jobs, one)[0] == expected


def test_receipts_of_other_runs_are_not_the_jobs(jobs: Jobs, one: Job) -> None:
    other = job("caiso_lmp-bb22", 1)
    jobs.create(other, planned(3))
    jobs.note(one, [of(one, 0), replace(of(one, 1), job="")])
    assert (states(jobs, one), states(jobs, other)) == (["done", "pending", "pending"], ["pending"] * 3)
    assert [status.rows for status in jobs.statuses()] == [0, 5]


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 2), st.just(None)),
        st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from(list(Outcome))),
        st.tuples(st.sampled_from(["again", "postpone"]), st.integers(0, 2), st.just(None)),
        st.tuples(
            st.sampled_from(["start", "die", "interrupt", "pause", "resume", "cancel", "finish", "differ"]),
            st.just(0),
            st.just(None),
        ),
    ),
    max_size=12,
)


class Model:
    """The same in a few plain variables."""

    def __init__(self) -> None:
        self.alive = False
        self.last: Event | None = None
        self.now: dict[int, ChunkState] = {}
        """What is going on with a chunk, as long as the process lives."""
        self.late: set[int] = set()
        """Chunks that were postponed, whoever did it."""
        self.came: dict[int, ChunkState] = {}

    def chunk(self, number: int) -> ChunkState:
        if number in self.late:
            return ChunkState.POSTPONED
        return self.now.get(number) or self.came.get(number) or ChunkState.PENDING

    @property
    def state(self) -> JobState:
        settled = sum(self.chunk(number) in SETTLED for number in range(3))
        if self.last is Event.ENDED:
            return [JobState.FAILED, JobState.PARTIALLY_COMPLETED, JobState.PARTIALLY_COMPLETED, JobState.COMPLETED][
                settled
            ]
        if self.last is Event.DIFFERED:
            return JobState.PARTIALLY_COMPLETED if settled else JobState.FAILED
        if self.last in (None, Event.CANCELLED, Event.PAUSED):
            return {None: JobState.PENDING, Event.CANCELLED: JobState.CANCELLED, Event.PAUSED: JobState.PAUSED}[
                self.last
            ]
        return JobState.RUNNING if self.alive else JobState.PAUSED


_OUTSIDE = {"pause": Event.PAUSED, "resume": Event.RESUMED, "cancel": Event.CANCELLED}
_OWN = {"interrupt": Event.INTERRUPTED, "finish": Event.ENDED, "differ": Event.DIFFERED}


@settings(max_examples=20, deadline=None)
@given(ACTS)
def test_states_are_those_of_a_plain_model(acts: list[tuple[str, int, Outcome | None]]) -> None:
    """Whatever happens in whatever order: processes die, others go on, somebody steers all the time."""
    with TemporaryDirectory() as folder, ExitStack() as process:
        jobs = Jobs(Store(Path(folder) / "w.duckdb"), Path(folder))
        one, model = job("caiso_lmp-aa11"), Model()
        jobs.create(one, planned(3))
        for act, number, outcome in acts:
            if act == "start" and not model.alive:
                process.enter_context(jobs.running(one))
                jobs.happened(one, Event.STARTED)
                model.alive, model.last, model.now = True, Event.STARTED, {}
            elif act in _OUTSIDE:
                jobs.happened(one, _OUTSIDE[act])
                model.last = _OUTSIDE[act]
            elif model.alive and act in ("die", *_OWN):
                if act in _OWN:
                    jobs.happened(one, _OWN[act])
                    model.last = _OWN[act]
                process.pop_all().close()
                model.alive, model.now = False, {}
            elif model.alive and act == "begin":
                jobs.note(one, [], [chunk(number)])
                model.now[number] = ChunkState.RUNNING
                model.late.discard(number)
            elif model.alive and act == "postpone":
                jobs.note(one, [], (), (), [Postponed(chunk(number), SOON, "SourceResting: it rests")])
                model.now.pop(number, None)
                model.late.add(number)
            elif model.alive and act == "end" and outcome is not None:
                jobs.note(one, [of(one, number, outcome)])
                model.now.pop(number, None)
                model.late.discard(number)
                model.came[number] = ChunkState(outcome)
            elif model.alive and act == "again":
                jobs.note(one, [of(one, number, Outcome.FAILED)], (), [(chunk(number), SOON)])
                model.now[number], model.came[number] = ChunkState.RETRYING, ChunkState.FAILED
                model.late.discard(number)
        found = jobs.chunks(one)
        assert [each.state for each in found] == [model.chunk(number) for number in range(3)]
        (status,) = jobs.statuses()
        assert status.state is model.state
        assert status.counts == {
            each: count for each in ChunkState if (count := sum(other.state is each for other in found))
        }
        assert status.rows == sum(each.rows for each in found)
        assert jobs.is_running(one.id) is model.alive


def test_one_process_runs_a_job(jobs: Jobs, one: Job) -> None:
    with (
        jobs.running(one),
        pytest.raises(UsageError, match="caiso_lmp-aa11: another process runs it"),
        jobs.running(one),
    ):
        pass
    assert not jobs.is_running(one.id)


def test_a_killed_process_runs_nothing(jobs: Jobs, one: Job, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.test_jobs import Jobs, Store, job\n"
        f"with Jobs(Store(Path('w')), Path({str(tmp_path)!r})).running(job({one.id!r})):\n"
        "    print(flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert jobs.is_running(one.id)
        process.kill()
        process.wait()
        assert not jobs.is_running(one.id)


def test_who_looks_all_the_time_keeps_nobody_from_running_it(jobs: Jobs, one: Job) -> None:
    """A look takes the lock for a moment as well."""
    with jobs.running(one):
        pass
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            jobs.is_running(one.id)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for each in lookers:
        each.start()
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with jobs.running(one):
                pass
    finally:
        over.set()
        for each in lookers:
            each.join()
