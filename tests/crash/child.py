"""A process that carries out a job, and can be killed or held up at any step of it.

    python -m tests.crash.child SPEC START END [--job JOB] [--kill POINT] [--hold POINT] …

Its first line is the job, its last one how the job ended. The steps are wrapped from outside: the engine itself has no place
to be killed at.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aurum_etl.adapters.base import Answers
from aurum_etl.errors import EXIT_INTERRUPTED, AurumError
from aurum_etl.execute import Ending
from aurum_etl.reload import Reload, begin, go_on, planned, resumption
from aurum_etl.runner import Flags
from aurum_etl.sinks import iceberg, kafka, timescale
from aurum_etl.telemetry import configure
from aurum_etl.watermarks import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

SINKS: dict[str, tuple[type, type]] = {
    "iceberg": (iceberg.IcebergSink, iceberg._Staged),
    "timescale": (timescale.TimescaleSink, timescale._Staged),
    "kafka": (kafka.KafkaSink, kafka._Staged),
}


def at(point: str, act: Callable[[], None]) -> None:
    """Act whenever the point is reached."""
    match point.split():
        case ["before", "fetch"]:
            _wrap(Answers, "ask_for", before=act)
        case ["after", "fetch"]:
            _wrap(Answers, "ask_for", after=lambda *_: act())
        case ["staged", kind]:
            _wrap(SINKS[kind][0], "stage", after=lambda *_: act())
        case ["committing", kind]:
            _wrap(SINKS[kind][1], "commit", before=act)
        case ["committed", kind]:
            _wrap(SINKS[kind][1], "commit", after=lambda *_: act())
        case ["receipt", "inserted"]:
            _wrap(jobs, "insert", after=_with_receipts(act, 1))
        case ["receipt", "noted"]:
            _wrap(jobs.Jobs, "note", after=_with_receipts(act, 2))
        case _:
            raise ValueError(point)


def _wrap(
    owner: Any, name: str, *, before: Callable[[], None] | None = None, after: Callable[..., None] | None = None
) -> None:
    real = getattr(owner, name)

    def step(*arguments: Any, **named: Any) -> Any:
        if before:
            before()
        answer = real(*arguments, **named)
        if after:
            after(*arguments)
        return answer

    setattr(owner, name, step)


def _with_receipts(act: Callable[[], None], place: int) -> Callable[..., None]:
    """What acts after calls with receipts in that place, and not after those that only say what was begun."""

    def look(*arguments: Any) -> None:
        if arguments[place]:
            act()

    return look


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hold(seconds: float, gate: Path | None) -> None:
    """Wait so long, or until the file is there."""
    time.sleep(seconds)
    while gate is not None and not gate.exists():
        time.sleep(0.05)


def at_the_nth_time(nth: int, act: Callable[[], None]) -> Callable[[], None]:
    """What acts when it is called for the nth time."""
    lock, left = threading.Lock(), nth

    def count() -> None:
        nonlocal left
        with lock:
            left -= 1
            reached = left == 0
        if reached:
            act()

    return count


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("spec", type=Path)
    parser.add_argument("start", type=date.fromisoformat)
    parser.add_argument("end", type=date.fromisoformat)
    parser.add_argument("--job")
    parser.add_argument("--kill")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--hold", help="Wait at this point each time: for so many seconds, or for a file to be there.")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--profile")
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    configure("warning", as_json=True)
    if asked.kill and asked.kill != "begun":
        at(asked.kill, at_the_nth_time(asked.nth, kill))
    if asked.hold:
        at(asked.hold, lambda: hold(asked.seconds, asked.gate))
    name = asked.job
    if name is None:
        flags = Flags(start=asked.start, end=asked.end, profile=asked.profile, overrides=tuple(asked.set))
        reload = Reload(attempts=asked.attempts)
        name = begin(planned(asked.spec, flags, reload), reload, str(asked.spec)).id
    click.echo(name)
    if asked.kill == "begun":
        kill()
    ending, status = go_on(resumption(name))
    click.echo(f"{ending} {status.state}")
    if ending is Ending.INTERRUPTED:
        # As the command line does: threads that have not ended in time are left.
        os._exit(EXIT_INTERRUPTED)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AurumError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(error.exit_code)
