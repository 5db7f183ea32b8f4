"""Chunks on a Dask cluster: one of our own on loopback, or the user's.

    driver                                         worker (process)
    submit ──────────────▶ scheduler ────────────▶ fetch, normalize, validate, stage; Timescale and Kafka commit
    grant a turn ◀──── ask before each request ─── (where there is a pace)
    commit to Iceberg ◀── receipts and files ─────
    record the receipt

Workers and the scheduler need the same aurum-etl as the driver. A worker reads its own environment; it needs the same stores,
and for `--replay` the same archive. The record of what is done stays with the driver.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aurum_etl import equipment as made
from aurum_etl import sinks, telemetry
from aurum_etl.errors import AurumError, ClusterLost, Stopped, UsageError
from aurum_etl.executors.handover import Brought, settled
from aurum_etl.receipt import not_begun
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client, Future

    from aurum_etl.equipment import Equipment
    from aurum_etl.executors import Place
    from aurum_etl.executors.base import Ended, Task
    from aurum_etl.executors.dask.worker import Job
    from aurum_etl.settings import Settings

_CONNECT_SECONDS = 10
_LOOK_SECONDS = 5.0
_ROUNDS = 3
"""How often a chunk is handed to the cluster anew after the scheduler has given it up for workers that died (four, by
default, in each round): who kills a worker may be the chunk, by the memory that it needs, or somebody else."""


class DaskExecutor:
    """As many chunks at a time as the workers have threads: in a cluster of our own, `source.concurrent_chunks` in each
    worker; in the user's, whatever its workers have, counted anew every few seconds.

    A worker that is lost takes nothing with it: the scheduler gives its chunks to others, which begin them anew and replace
    what it may have committed. Such a loss is no attempt of the chunk.
    """

    def __init__(
        self,
        client: Client,
        job: Job,
        stores: Sequence[IcebergSink],
        stop: threading.Event,
        width: int | None,
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._lost = lost
        """Told of workers that are gone."""
        self._job = job
        self._stores = stores
        self._stop = stop
        self._fixed_width = width
        self._address = client.scheduler_info(n_workers=0)["address"]
        self._workers: dict[str, int] = client.nthreads()
        self._lock = threading.Lock()
        self._futures: dict[str, tuple[Task, Ended, Future[Brought]]] = {}
        """What was handed to the cluster, and has not ended, by the cluster's key."""
        self._rounds: dict[str, int] = {}
        self._brought: queue.SimpleQueue[tuple[Task, Ended, Brought] | None] = queue.SimpleQueue()
        self._committer = threading.Thread(target=self._commit, name="committer", daemon=True)
        self._committer.start()

    @property
    def width(self) -> int:
        """See `Executor.width`."""
        return self._fixed_width or max(sum(self._workers.values()), 1)

    def start(self, task: Task, ended: Ended) -> None:
        """See `Executor.start`."""
        from aurum_etl.executors.dask.worker import work_on

        key = f"aurum-etl-{self._job.name}-{secrets.token_hex(8)}"
        with self._lock:
            future = self._client.submit(work_on, self._job, task, key=key, pure=False)
            self._futures[key] = task, ended, future
        future.add_done_callback(partial(self._done, key))

    def stop(self) -> None:
        """See `Executor.stop`: those that no worker has begun are cancelled."""
        self._stop.set()
        # A worker that does not answer must not keep the others from being told, nor the driver.
        threading.Thread(target=self._tell_to_stop, name="stop", daemon=True).start()

    def close(self) -> None:
        """See `Executor.close`; nothing of the job stays on the workers."""
        from aurum_etl.executors.dask.worker import forget

        self._stop.set()
        with self._lock:
            left, self._futures = [future for _, _, future in self._futures.values()], {}
        try:
            self._client.cancel(left)
            self._client.run(forget, self._job.name, on_error="ignore")
        except Exception as error:  # noqa: BLE001 - a cluster that is gone holds nothing
            logger().debug("cluster.lost", reason=str(error))
        self._brought.put(None)
        self._committer.join()

    def _tell_to_stop(self) -> None:
        from aurum_etl.executors.dask.worker import stop

        try:
            begun = self._client.run(stop, self._job.name, on_error="ignore")
            with self._lock:
                at_work = {key for keys in begun.values() for key in keys}
                waiting = [future for key, (_, _, future) in self._futures.items() if key not in at_work]
            # One that has ended in the meantime is not changed by that.
            self._client.cancel([future for future in waiting if not future.done()])
        except Exception as error:  # noqa: BLE001 - what does not end is left after a while
            logger().warning("cluster.unanswered", reason=str(error))

    def _done(self, key: str, _future: Future[Brought]) -> None:
        """Told by the one thread that tells all: fetching the result, which may be lost and made anew, is another's work."""
        threading.Thread(target=self._fetch, args=(key,), daemon=True).start()

    def _fetch(self, key: str) -> None:
        with self._lock:
            if key not in self._futures:
                return
            task, ended, future = self._futures[key]
        result: Brought | BaseException | None
        try:
            result = self._result(task, future)
        except BaseException as error:  # noqa: BLE001 - whatever it was, whoever waits for the task must hear of it
            result = error
        with self._lock:
            if self._futures.pop(key, None) is None:
                return
        future.release()
        match result:
            case None:
                self.start(task, ended)
            case Brought():
                self._brought.put((task, ended, result))
            case BaseException():
                ended(task, result)

    def _result(self, task: Task, future: Future[Brought]) -> Brought | None:
        """What came of it; None if it has to be handed to the cluster anew.

        Raises: Stopped; ClusterLost; what the task raised.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        chunk = task.chunk
        try:
            brought: Brought = future.result()
        except KilledWorker as error:
            if self._stop.is_set():
                raise Stopped("the run was stopped; nothing of this chunk was kept") from error
            rounds = self._rounds[chunk.key] = self._rounds.get(chunk.key, 0) + 1
            if rounds < _ROUNDS:
                logger().warning("chunk.again", chunk=chunk.key, reason=str(error))
                return None
            told = (
                f"KilledWorker: {rounds * (error.allowed_failures + 1)} workers ended while they had this chunk in work, the "
                f"last of them {error.last_worker.address}; do they have the memory that it needs?"
            )
            return Brought((not_begun(chunk, self._job.equipment.origin, told),))
        except CancelledError as error:
            if self._stop.is_set():
                raise Stopped("the run was stopped before this chunk was begun") from error
            raise ClusterLost(
                f"{self._address}: the scheduler is gone, and what its workers did is not known"
            ) from error
        if brought.postponed is not None:
            raise brought.postponed
        if not brought.receipts:
            raise Stopped("the run was stopped; nothing of this chunk was kept")
        return brought

    def _commit(self) -> None:
        """Commit what workers hand over, and tell what ended; whatever came meanwhile is the next batch."""
        running = True
        while running:
            batch: list[tuple[Task, Ended, Brought]] = []
            try:
                came = self._brought.get(timeout=_LOOK_SECONDS)
                while came is not None:
                    batch.append(came)
                    came = self._brought.get_nowait()
                running = False
            except queue.Empty:
                pass
            if batch:
                self._settle(batch)
            elif running:
                self._count()

    def _settle(self, batch: Sequence[tuple[Task, Ended, Brought]]) -> None:
        try:
            receipts: Sequence[Any] = settled(
                [brought for _, _, brought in batch], self._stores, self._job.equipment.dataset
            )
        except Exception as error:  # noqa: BLE001 - whoever waits for the tasks must hear of it
            receipts = [error] * len(batch)
        for (task, ended, _), came in zip(batch, receipts, strict=True):
            ended(task, came)

    def _count(self) -> None:
        """Look which workers there are."""
        try:
            workers = self._client.nthreads()
        except Exception as error:  # noqa: BLE001 - its tasks will tell
            logger().debug("cluster.unanswered", reason=str(error))
            return
        for address in self._workers.keys() - workers.keys():
            logger().warning("worker.lost", worker=address)
            self._lost(address)
        self._workers = workers


@contextmanager
def opened(place: Place, equipment: Equipment, settings: Settings, urgency: int) -> Iterator[DaskExecutor]:
    """The executor of a cluster, every worker of which has reached the stores.

    Raises: UsageError if distributed is not installed, the scheduler does not answer, or a worker lacks the program;
            SinkUnavailable or SpecError if a worker cannot reach a store or lacks a setting.
    """
    try:
        import distributed  # noqa: F401 - looked for, where its absence can be told
    except ModuleNotFoundError as error:
        raise UsageError(f"--executor dask: {error.name} is not installed; pip install 'aurum-etl[dask]'") from error
    from aurum_etl.executors.dask import worker
    from aurum_etl.executors.dask.turns import Turnstile

    stop = threading.Event()
    with ExitStack() as stack:
        client, width = stack.enter_context(_cluster(place, equipment, settings))
        # The others are the workers' own: this machine need not even know where they are.
        found = [sinks.sink(each, settings) for each in equipment.sinks if each.kind == IcebergSink.kind]
        stores = [each for each in found if isinstance(each, IcebergSink)]
        for store in stores:
            stack.callback(store.close)
            store.open(equipment.dataset)
        job = worker.Job(secrets.token_hex(8), equipment, str(settings.home), telemetry.manner())
        turns = stack.enter_context(made.budget(equipment, settings, urgency))
        turnstile = Turnstile(job.name, client, turns, stop, worker.grant)
        stack.callback(turnstile.close)
        executor = DaskExecutor(client, job, stores, stop, width, turnstile.lost)
        stack.callback(executor.close)
        _prepare(client, job)
        yield executor


def _prepare(client: Client, job: Job) -> None:
    """Let every worker make its tools: better now than after an hour of fetching."""
    from aurum_etl.executors.dask.worker import prepare

    for address, came in client.run(prepare, job, on_error="return").items():
        match came:
            case AurumError():
                raise type(came)(f"worker {address}: {came}") from came
            case ImportError():
                raise UsageError(f"worker {address}: {came}; workers need the same aurum-etl as this machine") from came
            case OSError():
                logger().warning("worker.lost", worker=address, reason=str(came))
            case Exception():
                raise came


@contextmanager
def _cluster(place: Place, equipment: Equipment, settings: Settings) -> Iterator[tuple[Client, int | None]]:
    """A client of the cluster, and how many chunks it takes at a time where that is known beforehand."""
    import dask.config
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if place.scheduler is not None:
            try:
                client = stack.enter_context(Client(place.scheduler, timeout=_CONNECT_SECONDS, set_as_default=False))
            except (OSError, ValueError) as error:
                raise UsageError(
                    f'--scheduler: no scheduler answers at "{place.scheduler}" ({error}); '
                    "it is an address such as tcp://host:8786"
                ) from error
            yield client, None
            return
        threads = equipment.spec.source.concurrent_chunks
        # Nobody looks at pages about it; the server of pages is there all the same, on a port that no other run has.
        stack.enter_context(
            dask.config.set({f"distributed.{each}.http.routes": [] for each in ("scheduler", "worker")})
        )
        cluster = LocalCluster(
            n_workers=place.workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            # Whoever reaches the port can have anything run: others on this machine must not.
            security=True,
            # What Arrow holds is not Dask's to measure; a worker that is paused for it would only stand still.
            memory_limit=None,
            # What goes wrong with a task comes here, and a lost worker is told by us.
            silence_logs=logging.CRITICAL,
            env={"AURUM_HOME": str(settings.home)},
        )
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster, set_as_default=False)), place.workers * threads
