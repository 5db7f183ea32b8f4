"""`aurum-etl backfill`: historical reloads, and the jobs that they are."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from aurum_etl.cli.base import (
    EXIT_CODES,
    bytes_as_text,
    console_of,
    leave,
    watched,
    with_flags,
    with_json,
    with_spec,
    with_unchanged,
)
from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_INTERRUPTED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from aurum_etl.console import Console
    from aurum_etl.reload import Reload, Resumption
    from aurum_etl.runner import Flags, Prepared
    from aurum_etl.watermarks.jobs import ChunkStatus, JobStatus

_SHOWN = 20
_rerun = click.option(
    "--rerun",
    type=click.Choice(["failed", "missing", "all"]),
    help="Take only chunks that failed, or only those that nobody tried, or all, done or not.",
)


class _StartsByDefault(click.Group):
    """What is not the name of a command is a spec."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            return "start", self.commands["start"], args
        return super().resolve_command(ctx, args)


@click.group(
    cls=_StartsByDefault,
    epilog=EXIT_CODES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    subcommand_metavar="SPEC [OPTIONS] | COMMAND [ARGS]...",
)
def backfill() -> None:
    """Load years of history: plan, run, watch, stop, and go on.

    `aurum-etl backfill SPEC --from DATE --to DATE` is `backfill start SPEC …`, whose options `backfill start --help` lists.
    What is done is not done again; kill it at any time, and `backfill resume JOB` goes on where it was.
    """


@backfill.command(epilog=EXIT_CODES)
@with_spec
@with_flags
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan and stop; it is what would be executed.")
@_rerun
@click.option("--newest-first", is_flag=True, help="Begin with the latest days.")
@click.option(
    "--on-failure",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="What a chunk that has failed for good means for the others.",
)
@click.option("--attempts", type=click.IntRange(1, 20), default=3, show_default=True, help="How often to try a chunk.")
@click.option(
    "--priority",
    type=click.IntRange(1, 9),
    default=5,
    show_default=True,
    help="Whose requests go first among backfills: the lower number. Runs go before all of them.",
)
@click.option("--no-reconcile", is_flag=True, help="Do not compare the stores with the receipts in the end.")
@click.option(
    "--executor", type=click.Choice(["local", "dask"]), default="local", show_default=True, help="Where to work."
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Dask scheduler to use; by default a cluster of its own, on loopback."
)
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Workers of such a cluster.")
@with_json
def start(
    *,
    spec: Path,
    flags: Flags,
    only_plan: bool,
    rerun: str | None,
    newest_first: bool,
    on_failure: str,
    attempts: int,
    priority: int,
    no_reconcile: bool,
    executor: str,
    scheduler: str | None,
    workers: int,
    as_json: bool,
) -> None:
    """Load the days of SPEC that are not there yet.

    Without --from: from the spec's schedule.start; without --to: to the latest complete market day. A chunk that fails is
    tried again after a while, and does not stop the others. The job stays on record: see `backfill list`.
    """
    from aurum_etl.backfill import Rerun
    from aurum_etl.executors import Place
    from aurum_etl.reload import OnFailure, Reload, planned

    console = console_of(as_json)
    reload = Reload(
        rerun=Rerun(rerun) if rerun else None,
        newest_first=newest_first,
        on_failure=OnFailure(on_failure),
        attempts=attempts,
        urgency=priority,
        reconciles=not no_reconcile,
        place=Place(executor, scheduler, workers),
    )
    with console.busy("planning"):
        prepared = planned(spec, flags, reload)
    if only_plan:
        _explain(prepared, console)
    elif not prepared.plan.chunks:
        _nothing_to_do(prepared, console)
    else:
        carry_on(prepared, reload, spec, console)


@backfill.command("list", epilog=EXIT_CODES)
@with_json
def list_jobs(*, as_json: bool) -> None:
    """List all jobs, newest first."""
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks.jobs import ChunkState, jobs_of

    console, settings = console_of(as_json), read_settings()
    found = jobs_of(settings).statuses()
    console.document([_job_document(each) for each in found])
    console.table(
        str(settings.home),
        ("job", "state", "from", "to", "chunks", "done", "failed", "rows", "created", ""),
        [
            (
                each.job.id, each.state, *_days(each), each.chunks, each.settled, each.counts.get(ChunkState.FAILED, 0),
                f"{each.rows:,}", f"{each.job.created_at:%Y-%m-%dT%H:%M:%SZ}", each.detail,
            )
            for each in found
        ],
    )  # fmt: skip
    if not found:
        console.line(f"there is no job yet under {settings.home}")


@backfill.command(epilog=EXIT_CODES)
@click.argument("job")
@with_json
def show(*, job: str, as_json: bool) -> None:
    """Show how JOB and its chunks stand; a part of its name that no other has is enough."""
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks.jobs import jobs_of

    console, jobs = console_of(as_json), jobs_of(read_settings())
    found = jobs.job(job)
    (status,) = jobs.statuses([found.id])
    _show(status, jobs.chunks(found), console)


@backfill.command(epilog=EXIT_CODES)
@click.argument("job")
@with_json
def pause(*, job: str, as_json: bool) -> None:
    """Let JOB begin no more chunks; its process waits until it is resumed."""
    _steer(job, "paused", as_json=as_json)


@backfill.command(epilog=EXIT_CODES)
@click.argument("job")
@with_json
def cancel(*, job: str, as_json: bool) -> None:
    """End JOB for good; what is done stays."""
    _steer(job, "cancelled", as_json=as_json)


@backfill.command(epilog=EXIT_CODES)
@click.argument("job")
@_rerun
@with_json
def resume(*, job: str, rerun: str | None, as_json: bool) -> None:
    """Go on with JOB: in its process, if that was paused and still lives, otherwise in this one."""
    from aurum_etl.backfill import Rerun
    from aurum_etl.reload import resumption
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks.jobs import jobs_of

    console, jobs = console_of(as_json), jobs_of(read_settings())
    if jobs.is_running(jobs.job(job).id):
        if rerun:
            raise click.UsageError(f"--rerun: {job} runs; let it end first, or cancel it")
        _steer(job, "resumed", as_json=as_json)
        return
    resumed = resumption(job, Rerun(rerun) if rerun else None)
    _go_on(resumed, console)


def _steer(job: str, event: str, *, as_json: bool) -> None:
    from aurum_etl.reload import steer
    from aurum_etl.watermarks.jobs import Event

    console = console_of(as_json)
    status = steer(job, Event(event))
    console.document(_job_document(status))
    console.line(f"{status.job.id}: {status.state}{f' ({status.detail})' if status.detail else ''}")


def carry_on(prepared: Prepared, reload: Reload, spec: Path, console: Console) -> None:
    """Make the plan a job, and carry it out to its end."""
    from aurum_etl.reload import begin, resumption

    _go_on(resumption(begin(prepared, reload, str(spec)).id), console)


def _go_on(resumed: Resumption, console: Console) -> None:
    from aurum_etl.execute import Ending
    from aurum_etl.reload import go_on
    from aurum_etl.runner import exit_code
    from aurum_etl.watermarks.jobs import ChunkState, JobState, jobs_of

    job, plan = resumed.job, resumed.prepared.plan
    console.line(f"job {job.id}: {len(plan.chunks)} chunks, {plan.requests} requests, about {plan.rows:,} rows")
    with watched(console, job.id, plan) as watcher:
        ending, status = go_on(resumed, watcher)
    chunks = jobs_of(resumed.prepared.settings).chunks(job)
    _show(status, chunks, console)
    if ending is Ending.INTERRUPTED:
        click.echo(f"go on with: aurum-etl backfill resume {job.id}", err=True)
        leave(EXIT_INTERRUPTED)
    failed = [each.error for each in chunks if each.state in (ChunkState.FAILED, ChunkState.POSTPONED)]
    code = exit_code(failed, len(chunks) - status.settled, len(chunks))
    leave(code or (EXIT_OK if status.state is JobState.COMPLETED else EXIT_CHUNK_FAILED))


def _nothing_to_do(prepared: Prepared, console: Console) -> None:
    window = prepared.plan.window
    console.document({"dataset": prepared.dataset.key, "chunks": 0, "window": window and str(window)})
    console.line(f"{prepared.dataset.key}: nothing to do; every chunk is done (--rerun all does them again)")
    sys.exit(EXIT_OK)


def _explain(prepared: Prepared, console: Console) -> None:
    from aurum_etl.sinks import ROW_BYTES

    plan = prepared.plan
    start, end = plan.days(prepared.dataset.timezone)
    reasons: dict[str, int] = {}
    for each in plan.chunks:
        reasons[each.reason.value] = reasons.get(each.reason.value, 0) + 1
    sinks: list[dict[str, Any]] = [
        {"kind": each.kind, "rows": plan.rows, "bytes": round(plan.rows * ROW_BYTES[each.kind])}
        for each in prepared.sinks
    ]
    chunks = [
        {
            "key": each.chunk.key,
            "start": each.chunk.window.start,
            "end": each.chunk.window.end,
            "reason": each.reason.value,
            "requests": each.requests,
            "rows": each.rows,
            "bytes": each.bytes,
        }
        for each in plan.chunks
    ]
    quota = {
        "host": prepared.equipment.hosts[""],
        "requests": plan.requests,
        "requests_per_minute": plan.limits.requests_per_minute,
        "seconds": plan.wait_seconds,
    }
    console.document(
        {
            "dataset": plan.dataset,
            "from": start,
            "to": end,
            "reasons": reasons,
            "chunks": chunks,
            "requests": plan.requests,
            "rows": plan.rows,
            "bytes": plan.bytes,
            "quota": quota,
            "seconds": plan.wait_seconds,
            "sinks": sinks,
        }
    )
    shown: Sequence[dict[str, Any]] = (
        chunks if len(chunks) <= _SHOWN else [*chunks[: _SHOWN // 2], *chunks[-_SHOWN // 2 :]]
    )
    console.table(
        f"{plan.dataset} {start} to {end}",
        ("chunk", "reason", "requests", "about rows", "about bytes"),
        [
            (each["key"], each["reason"], each["requests"], f"{each['rows']:,}", bytes_as_text(each["bytes"]))
            for each in shown
        ],
    )
    if len(shown) < len(chunks):
        console.line(f"({len(chunks) - len(shown)} chunks in between are not shown; --json has them)")
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "nothing to do"
    console.line(f"{len(chunks)} chunks: {why}")
    most = plan.limits.requests_per_minute
    pace = f"{most:g} a minute" if most else "as fast as it answers"
    console.line(
        f"{plan.requests:,} requests to {quota['host']}, {pace}: {timedelta(seconds=round(plan.wait_seconds))}; "
        f"about {plan.rows:,} rows, {bytes_as_text(plan.bytes)} to receive"
    )
    for store in sinks:
        console.line(f"into {store['kind']}: about {store['rows']:,} rows, {bytes_as_text(int(store['bytes']))}")


def _show(status: JobStatus, chunks: Sequence[ChunkStatus], console: Console) -> None:
    document = _job_document(status)
    document["chunks"] = [_chunk_document(each) for each in chunks]
    console.document(document)
    shown = [
        each for each in chunks if len(chunks) <= _SHOWN or each.state in ("running", "retrying", "postponed", "failed")
    ]
    console.table(
        f"{status.job.id} ({status.job.spec})",
        ("chunk", "reason", "state", "attempts", "rows", "rejected", "bytes", "seconds", "next try", "error"),
        [
            (
                each.planned.chunk.key, each.planned.reason, with_unchanged(each.state, each.unchanged),
                each.attempts, f"{each.rows:,}", each.rejected,
                bytes_as_text(each.bytes), f"{sum(each.seconds.values()):.2f}" if each.seconds else "",
                each.next_try and f"{each.next_try:%H:%M:%SZ}", each.error,
            )
            for each in shown[:200]
        ],
    )  # fmt: skip
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    if unchanged := sum(each.unchanged for each in chunks):
        counts += f", {unchanged} of them unchanged and not loaded again"
    console.line(
        f"{status.state}{f' ({status.detail})' if status.detail else ''}: {status.chunks} chunks ({counts}), "
        f"{status.rows:,} rows, {bytes_as_text(status.bytes)} received"
    )


def _job_document(status: JobStatus) -> dict[str, Any]:
    job = status.job
    start, end = _days(status)
    return {
        "job": job.id,
        "dataset": job.dataset,
        "selection": str(job.selection),
        "spec": job.spec,
        "state": status.state.value,
        "detail": status.detail,
        "from": start,
        "to": end,
        "created_at": job.created_at,
        "started_at": status.started_at,
        "ended_at": status.ended_at,
        "counts": {state.value: count for state, count in status.counts.items()},
        "rows": status.rows,
        "bytes": status.bytes,
        "options": job.options,
    }


def _chunk_document(status: ChunkStatus) -> dict[str, Any]:
    return {
        "key": status.planned.chunk.key,
        "reason": status.planned.reason,
        "state": status.state.value,
        "attempts": status.attempts,
        "rows": status.rows,
        "rejected": status.rejected,
        "bytes": status.bytes,
        "seconds": dict(status.seconds),
        "next_try": status.next_try,
        "error": status.error,
        "unchanged": status.unchanged,
    }


def _days(status: JobStatus) -> tuple[date, date]:
    """First market day, and the day after the last."""
    from aurum_etl.adapters import datasets
    from aurum_etl.window import days_of

    known = datasets()
    zone = known[status.job.dataset].timezone if status.job.dataset in known else "UTC"
    days = list(days_of(status.job.window, zone))
    return days[0], days[-1] + timedelta(1)
