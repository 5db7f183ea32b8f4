"""Historical reloads: a plan becomes a job on record, and any process can carry it out, steer it, or go on with it.

```python
from aurum_etl.reload import Reload, begin, go_on, planned

prepared = planned(Path("specs/pjm_lmp.yaml"), Flags(start=date(2020, 1, 1), end=date(2025, 1, 1)), Reload())
status = go_on(begin(prepared, Reload(), "specs/pjm_lmp.yaml").id)
```
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl import adapters
from aurum_etl.backfill import Plan, Planned, Reason, Rerun, named_days, remaining
from aurum_etl.equipment import opened
from aurum_etl.errors import SinkError, SpecError, UsageError
from aurum_etl.execute import Ending, Order, Persistence
from aurum_etl.executors import Place
from aurum_etl.executors.base import Task
from aurum_etl.quota import BACKFILL
from aurum_etl.reconcile import reconcile
from aurum_etl.runner import UNWATCHED, Flags, Prepared, carry_out, fit_out, plan_of, settled_by
from aurum_etl.settings import read_settings
from aurum_etl.sinks import FLEETING
from aurum_etl.spec import Spec, load_spec
from aurum_etl.telemetry import logger
from aurum_etl.watermarks.jobs import SETTLED, ChunkState, Event, Job, JobChunk, Jobs, JobState, JobStatus, jobs_of
from aurum_etl.window import Window, intersect, merge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aurum_etl.board import Watcher
    from aurum_etl.chunk import Chunk
    from aurum_etl.gaps import Gaps
    from aurum_etl.receipt import Postponed, Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.watermarks.jobs import ChunkStatus


_PROFILE = "high_volume"
"""What a backfill takes of the limits where nobody says otherwise: its own budget, since years are more than days."""


class OnFailure(StrEnum):
    """What the failure of a chunk means for the others."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Reload:
    """What a backfill adds to the flags of a run."""

    rerun: Rerun | None = None
    newest_first: bool = False
    on_failure: OnFailure = OnFailure.CONTINUE
    attempts: int = 3
    """How often a chunk is tried before it counts as failed."""
    urgency: int = BACKFILL
    """From 1 to 9: whose requests go first among backfills; runs go before all of them."""
    reconciles: bool = True
    """Whether the stores are compared with the receipts in the end."""
    place: Place = field(default_factory=Place)


def planned(spec_path: Path, flags: Flags, reload: Reload, settings: Settings | None = None) -> Prepared:
    """The backfill's plan, and all that it would be carried out with; nothing is fetched and nothing recorded.

    Raises: SpecError if the spec is not as it should be; UsageError if the flags are not.
    """
    if flags.files:
        raise UsageError("backfill asks the ISO; load files with `aurum-etl run SPEC --from-files`")
    settings = settings or read_settings()
    spec = load_spec(spec_path, flags.overrides, adapters.datasets())
    prepared = fit_out(spec, flags, settings, _PROFILE)
    start = flags.start or spec.schedule.start
    if start is None:
        raise UsageError(f"--from: not given, and {spec_path} has no schedule.start: where does the backfill begin?")
    window = named_days(start, flags.end, prepared.dataset, prepared.now)
    whole = plan_of(prepared, window)
    settled, lower = settled_by(prepared)
    failed = prepared.store.failed(prepared.dataset.key, spec.selection)
    rest = remaining(whole, settled, lower, failed, reload.rerun)
    if reload.newest_first:
        rest = replace(rest, chunks=tuple(reversed(rest.chunks)))
    return replace(prepared, plan=rest)


def begin(prepared: Prepared, reload: Reload, spec_path: str) -> Job:
    """Put the plan on record as a job; nobody works on it yet.

    Raises: UsageError if there is nothing to do, or a job that runs is at work on some of it.
    """
    planned, flags = prepared.plan, prepared.flags
    if not planned.chunks or planned.window is None:
        raise UsageError("there is nothing to do: every chunk is done; --rerun all does them again")
    jobs = jobs_of(prepared.settings)
    _refuse_to_do_twice(jobs, [each.chunk for each in planned.chunks])
    job = Job(
        id=f"{prepared.dataset.key}-{secrets.token_hex(3)}",
        dataset=prepared.dataset.key,
        selection=prepared.spec.selection,
        spec=spec_path,
        content=prepared.spec.model_dump_json(),
        options={
            "simulated": flags.simulated,
            "replay": flags.replay,
            "profile": flags.profile,
            "sink_kinds": flags.sink_kinds,
            "attempts": reload.attempts,
            "on_failure": reload.on_failure,
            "urgency": reload.urgency,
            "newest_first": reload.newest_first,
            "reconciles": reload.reconciles,
            "reloads": flags.reloads,
            "place": asdict(reload.place),
        },
        window=planned.window,
        created_at=datetime.now(UTC),
    )
    chunks = [JobChunk(each.chunk, each.reason.value, each.requests, each.rows, each.bytes) for each in planned.chunks]
    jobs.create(job, chunks)
    return job


@dataclass(frozen=True, slots=True)
class Resumption:
    """A job that is about to be gone on with: what of it is left to do, and with what."""

    job: Job
    prepared: Prepared
    """Its plan holds the chunks that are left, for the reasons of the job's own plan."""
    reload: Reload


def resumption(name: str, rerun: Rerun | None = None, settings: Settings | None = None) -> Resumption:
    """What is left of a job.

    Chunks that were settled in the meantime, by whatever run, are not done again; those that the job was to force, only if
    it was the job that did them.

    Raises: UsageError if there is no such job, or it was cancelled.
    """
    settings = settings or read_settings()
    jobs = jobs_of(settings)
    job = jobs.job(name)
    _demand_not_cancelled(jobs, job)
    options = job.options
    spec = _spec_of(job)
    flags = Flags(
        simulated=options["simulated"],
        replay=options["replay"],
        profile=options["profile"],
        sink_kinds=tuple(options["sink_kinds"]),
        # Jobs of before there was a choice loaded all anew.
        reloads=options.get("reloads", True),
    )
    reload = Reload(
        rerun=rerun,
        newest_first=options["newest_first"],
        on_failure=OnFailure(options["on_failure"]),
        attempts=options["attempts"],
        urgency=options["urgency"],
        reconciles=options["reconciles"],
        place=Place(**options["place"]),
    )
    prepared = fit_out(spec, flags, settings, _PROFILE)
    left, _ = _left(job, prepared, rerun)
    plan = Plan(job.dataset, job.window, left, prepared.limits)
    return Resumption(job, replace(prepared, plan=plan), reload)


def _spec_of(job: Job) -> Spec:
    """The spec as the job keeps it; those of before there was a block for quotas have the pace elsewhere."""
    content = json.loads(job.content)
    pace = content.get("source", {}).pop("requests_per_minute", None)
    if pace is not None:
        content["quota"] = {"requests_per_minute": pace}
    return Spec.model_validate_json(json.dumps(content))


def _left(job: Job, prepared: Prepared, rerun: Rerun | None) -> tuple[tuple[Planned, ...], list[Chunk]]:
    """The chunks that are left of a job, as they were planned; and those that other runs have settled since."""
    settled, _ = settled_by(prepared)
    left, elsewhere = [], []
    for each in jobs_of(prepared.settings).chunks(job):
        planned = each.planned
        if rerun is not Rerun.ALL and _is_settled_elsewhere(each, settled):
            elsewhere.append(planned.chunk)
        elif each.state in _TAKEN[rerun]:
            reason = Reason(planned.reason)
            left.append(Planned(planned.chunk, reason, planned.requests, planned.rows, planned.bytes))
    return tuple(left), elsewhere


_TAKEN = {
    None: set(ChunkState) - SETTLED,
    Rerun.FAILED: {ChunkState.FAILED},
    Rerun.MISSING: set(ChunkState) - SETTLED - {ChunkState.FAILED},
    Rerun.ALL: set(ChunkState),
}


def _is_settled_elsewhere(status: ChunkStatus, settled: Sequence[Window]) -> bool:
    # What the receipts say is no reason to leave out what was planned against their word.
    if status.state in SETTLED or status.planned.reason in (Reason.FORCED, Reason.LOST):
        return False
    return any(each.contains(status.planned.chunk.window) for each in settled)


def _demand_not_cancelled(jobs: Jobs, job: Job) -> None:
    if jobs.last(job) is Event.CANCELLED:
        raise UsageError(f"{job.id}: was cancelled; plan what is left of it with a backfill of the same days")


def go_on(resumed: Resumption, watcher: Watcher = UNWATCHED) -> tuple[Ending, JobStatus]:
    """Carry out what is left of a job, until it is done, paused for good, cancelled or interrupted.

    Twice:  chunks that are on record as settled are not done again; one that was in work when a process died is, and
            replaces what it may have left.
    Raises: UsageError if another process runs it; SinkUnavailable if a store cannot be reached: the job then stays as it is.
    """
    job, prepared, reload = resumed.job, resumed.prepared, resumed.reload
    jobs = jobs_of(prepared.settings)
    with jobs.running(job):
        # Another process may have been at it since it was decided what is left.
        _demand_not_cancelled(jobs, job)
        left, elsewhere = _left(job, prepared, reload.rerun)
        jobs.happened(job, Event.STARTED)
        jobs.settled_elsewhere(job, elsewhere)
        ending = Ending.INTERRUPTED
        try:
            ending = carry_out(
                prepared,
                [Task(each.chunk) for each in left],
                _JobBook(jobs, job),
                Persistence(
                    reload.attempts,
                    stops=reload.on_failure is OnFailure.STOP,
                    patience_seconds=prepared.longest_wait_seconds,
                ),
                watcher,
                urgency=reload.urgency,
                place=reload.place,
            )
        finally:
            if ending is Ending.INTERRUPTED and jobs.last(job) is not Event.CANCELLED:
                jobs.happened(job, Event.INTERRUPTED)
        if ending in (Ending.FINISHED, Ending.FAILED):
            agreed, detail = _reconciled(job, prepared) if reload.reconciles else (True, "")
            jobs.happened(job, Event.ENDED if agreed else Event.DIFFERED, detail)
    (status,) = jobs.statuses([job.id])
    return ending, status


def _reconciled(job: Job, prepared: Prepared) -> tuple[bool, str]:
    """Whether, and in words, every store that keeps rows holds what the receipts of the job's window say."""
    receipts = prepared.store.receipts(dataset=job.dataset, within=job.window)
    told, agreed = [], True
    for spec in prepared.sinks:
        if spec.kind in FLEETING:
            continue
        try:
            with opened(replace(prepared.equipment, sinks=(spec,)), prepared.settings) as stores:
                found = reconcile(receipts, prepared.dataset, stores)
        except SpecError:
            # Workers of a cluster may know stores that this machine does not.
            told.append(f"{spec.kind} is not known to this machine, and was not compared")
            continue
        except SinkError as error:
            # What came of the chunks is on record, and must not be hidden by it.
            logger().error("job.not_compared", job=job.id, sink=spec.kind, error=str(error))
            agreed = False
            told.append(f"{spec.kind} could not be compared with its receipts: {error}")
            continue
        wrong = [each for each in found if each.is_wrong]
        agreed = agreed and not wrong
        for each in wrong:
            logger().error(
                "job.differs", job=job.id, chunk=each.chunk_key, sink=each.sink, day=each.day and str(each.day)
            )
        left_out = len({each.chunk_key for each in found if not each.is_wrong})
        words = f"{len(wrong)} days differ" if wrong else "agrees with its receipts"
        told.append(f"{spec.kind} {words}" + (f" ({left_out} chunks could not be compared)" if left_out else ""))
    return agreed, "; ".join(told)


def filling(spec_path: Path, flags: Flags, gaps: Gaps, settings: Settings | None = None) -> Prepared:
    """The plan of a backfill of just those gaps.

    Raises: as `planned`.
    """
    settings = settings or read_settings()
    spec = load_spec(spec_path, flags.overrides, adapters.datasets())
    prepared = fit_out(spec, flags, settings, _PROFILE)
    reasons = {each.chunk.key: Reason(each.reason.value) for each in gaps.missing}
    if not gaps.missing:
        return prepared
    window = Window(gaps.missing[0].chunk.window.start, gaps.missing[-1].chunk.window.end)
    whole = plan_of(prepared, window)
    chunks = [replace(each, reason=reasons[each.chunk.key]) for each in whole.chunks if each.chunk.key in reasons]
    return replace(prepared, plan=replace(whole, chunks=tuple(chunks)))


def steer(name: str, event: Event, settings: Settings | None = None) -> JobStatus:
    """Let the process that runs the job pause, go on, or end it; a job that nobody runs is marked.

    Raises: UsageError if there is no such job, or it is over.
    """
    settings = settings or read_settings()
    jobs = jobs_of(settings)
    job = jobs.job(name)
    (status,) = jobs.statuses([job.id])
    if status.state in (JobState.COMPLETED, JobState.CANCELLED) or (
        event is Event.PAUSED and status.state in (JobState.PARTIALLY_COMPLETED, JobState.FAILED)
    ):
        raise UsageError(f"{job.id}: is over ({status.state}): there is nothing to {_VERBS[event]}")
    jobs.happened(job, event)
    (status,) = jobs.statuses([job.id])
    return status


_VERBS = {Event.PAUSED: "pause", Event.RESUMED: "resume", Event.CANCELLED: "cancel"}


class _JobBook:
    """Where a job's receipts go, and its orders come from."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self._job = job

    def note(
        self,
        receipts: Sequence[Receipt],
        begun: Sequence[Chunk],
        again: Sequence[tuple[Chunk, datetime]],
        postponed: Sequence[Postponed],
        /,
    ) -> None:
        self._jobs.note(self._job, [replace(each, job=self._job.id) for each in receipts], begun, again, postponed)

    def order(self) -> Order:
        return _ORDERS.get(self._jobs.last(self._job), Order.GO)


_ORDERS: dict[Event | None, Order] = {Event.PAUSED: Order.PAUSE, Event.CANCELLED: Order.CANCEL}


def _refuse_to_do_twice(jobs: Jobs, chunks: Sequence[Chunk]) -> None:
    """Two processes at work on the same chunk would each do it."""
    for job in jobs.jobs():
        if job.dataset != chunks[0].dataset or not job.selection.meets(chunks[0].selection):
            continue
        if not jobs.is_running(job.id):
            continue
        busy = merge(each.planned.chunk.window for each in jobs.chunks(job) if each.state not in SETTLED)
        for chunk in chunks:
            if any(intersect(chunk.window, window) for window in busy):
                raise UsageError(
                    f"{chunk.key}: job {job.id}, which runs, has that before it; wait for it, or cancel it"
                )
