"""What a worker process has of a job: tools made once, and what the driver can tell it while tasks are at work.

A worker reads its own environment: where stores and brokers are, and what ISOs ask for as proof, is never sent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aurum_etl import equipment as made
from aurum_etl import telemetry
from aurum_etl.errors import AurumError, Stopped
from aurum_etl.executors.base import work
from aurum_etl.executors.dask.turns import AskedFor
from aurum_etl.executors.handover import Brought, for_a_worker
from aurum_etl.guard import guard
from aurum_etl.quota import demand_going
from aurum_etl.receipt import not_begun
from aurum_etl.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Worker

    from aurum_etl.download import Source
    from aurum_etl.equipment import Equipment
    from aurum_etl.executors.base import Task
    from aurum_etl.executors.handover import HandingOver
    from aurum_etl.pipeline import Workshop

_IDLE_SECONDS = 3600.0
"""Tools that nobody has used for so long are put away: their driver may have died. They are made again if it has not."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told: nothing that is secret, and nothing that is true of one machine alone."""

    name: str
    equipment: Equipment
    home: str
    """`AURUM_HOME` for workers that have none."""
    manner: tuple[str, bool] | None
    """How the driver tells events; None if it leaves that to the library."""


@dataclass(frozen=True, slots=True)
class _Tools:
    workshop: Workshop
    source: Source
    handing: list[HandingOver]


class _Bench:
    """One job in this process."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.used_at = time.monotonic()
        self.turns: AskedFor | None = None
        self.begun: set[str] = set()
        """Keys of the tasks that are at work."""
        self._making = threading.Lock()
        self._counting = threading.Lock()
        self._put_away = ExitStack()
        self._tools: _Tools | None = None

    @contextmanager
    def at_work(self, key: str) -> Iterator[None]:
        """Somebody uses the tools; they are not put away before the end."""
        with self._counting:
            self.begun.add(key)
        try:
            yield
        finally:
            with self._counting:
                self.begun.discard(key)
                self.used_at = time.monotonic()
            self.clear(only_if=self.stop.is_set())

    def tools(self, job: Job, worker: Worker) -> _Tools:
        """The tools, made by whoever comes first.

        Raises: AurumError if the settings of this process lack something, or a store cannot be reached.
        """
        with self._making:
            if self._tools is None:
                with ExitStack() as undo:
                    self._tools = self._made(job, worker, undo)
                    self._put_away = undo.pop_all()
            return self._tools

    def clear(self, *, only_if: bool = True) -> None:
        """Put the tools away, unless somebody uses them: who does, does it in the end."""
        with self._counting:
            if self.begun or not only_if:
                return
            self._tools, put_away, self._put_away = None, self._put_away, ExitStack()
        put_away.close()

    def _made(self, job: Job, worker: Worker, undo: ExitStack) -> _Tools:
        guard()
        if job.manner is not None and telemetry.manner() is None:
            level, as_json = job.manner
            telemetry.configure(level, as_json=as_json)
        equipment = job.equipment
        settings = read_settings(home=Path(job.home)).referring(equipment.spec.references(equipment.dataset))
        self.turns = turns = AskedFor(job.name, worker)
        stores, handing = for_a_worker(undo.enter_context(made.opened(equipment, settings)))
        source = undo.enter_context(made.source(equipment, settings, turns, self.stop))
        return _Tools(made.workshop(equipment, settings, stores), source, handing)


_benches: dict[str, _Bench] = {}
_looking = threading.Lock()


def _bench(name: str) -> _Bench:
    """The job's bench in this process; what has long been unused is put away on the way."""
    with _looking:
        bench = _benches.setdefault(name, _Bench())
        bench.used_at = time.monotonic()
        old = [each for each in _benches.values() if time.monotonic() - each.used_at > _IDLE_SECONDS]
    for each in old:
        each.clear()
    return bench


def work_on(job: Job, task: Task) -> Brought:
    """Work on one task, as far as a worker goes.

    Twice:  what a worker that was lost had staged is rolled back by the store's server, or is files that no snapshot names,
            which `maintain` removes; the chunk is worked on again from the beginning.
            A task that was stopped brings no receipt.
    Raises: what no chunk can cause, such as settings that lack something.
    """
    from distributed import get_worker

    worker = get_worker()
    bench = _bench(job.name)
    with bench.at_work(str(worker.get_current_task())):
        try:
            demand_going(bench.stop)
            tools = bench.tools(job, worker)
            receipts = work(task, tools.workshop, tools.source)
        except Stopped:
            # Raised, it would be in the worker's log as a failure.
            return Brought(())
        except AurumError as error:
            if error.until is not None:
                return Brought((), postponed=error)
            if not error.retryable:
                raise
            told = f"{type(error).__name__}: worker {worker.address}: {error}"
            return Brought((not_begun(task.chunk, job.equipment.origin, told),))
        return Brought(
            receipts, {attempt: each for store in tools.handing for attempt, each in store.taken(receipts).items()}
        )


async def prepare(job: Job, dask_worker: Worker) -> None:
    """Make the tools before the first task comes, beside the loop that keeps the worker alive.

    Raises: AurumError if that cannot be done.
    """
    await asyncio.to_thread(_bench(job.name).tools, job, dask_worker)
    # Its import takes a second, which the first chunk would wait for.
    await asyncio.to_thread(import_module, "aurum_etl.validate")


def grant(name: str, ask: str, outcome: float | Exception) -> None:
    """A turn for a task that asked for it, or why there is none."""
    if (turns := _bench(name).turns) is not None:
        turns.grant(ask, outcome)


def stop(name: str) -> list[str]:
    """Let tasks that wait give up, and those that come yet; the keys of those at work."""
    bench = _bench(name)
    bench.stop.set()
    if bench.turns is not None:
        bench.turns.wake()
    return sorted(bench.begun)


def forget(name: str) -> None:
    """The job is over: whoever is at work gives up, and nothing of it stays."""
    stop(name)
    with _looking:
        bench = _benches.pop(name)
    bench.clear()


def jobs() -> list[str]:
    """The jobs that this process has tools of."""
    return sorted(_benches)
