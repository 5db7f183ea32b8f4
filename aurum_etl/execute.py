"""Carry out a plan: chunks to an executor, receipts to the book, until nothing is left or somebody says to stop."""

from __future__ import annotations

import heapq
import itertools
import queue
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import tenacity

from aurum_etl import errors
from aurum_etl.errors import AurumError, Stopped, in_words
from aurum_etl.receipt import Outcome, Postponed
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aurum_etl.board import Watcher
    from aurum_etl.chunk import Chunk
    from aurum_etl.executors.base import Executor, Task
    from aurum_etl.receipt import Receipt

_ORDERS_SECONDS = 1.0
_ONE_KEY_SECONDS = 1.0
"""One Ctrl-C may come twice: from the terminal, and from what started this program."""
GRACE_SECONDS = 8.0
"""How long running chunks have to end once everything is to stop."""


class Order(StrEnum):
    """What somebody outside wants of what runs."""

    GO = "go"
    PAUSE = "pause"
    CANCEL = "cancel"


class Ending(StrEnum):
    """Why the execution ended."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    """A chunk failed, and that was to be the end."""


_ABRUPT = (Ending.CANCELLED, Ending.INTERRUPTED)


class Book(Protocol):
    """Where everything is put on record before anybody hears of it."""

    def note(
        self,
        receipts: Sequence[Receipt],
        begun: Sequence[Chunk],
        again: Sequence[tuple[Chunk, datetime]],
        postponed: Sequence[Postponed],
        /,
    ) -> None:
        """Keep receipts, and which chunks were begun, which are to be tried again when, and which were postponed; all of it or
        nothing.
        """

    def order(self) -> Order:
        """What is wanted now."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How often a chunk is tried, and what its failure means."""

    attempts: int = 1
    first_wait_seconds: float = 5.0
    longest_wait_seconds: float = 300.0
    stops: bool = False
    """Whether the first chunk that has failed for good ends everything."""
    patience_seconds: float = 0.0
    """For how long a chunk may be postponed before it is left to another run."""

    def wait_seconds(self, tries: int) -> float:
        """Seconds before the next try: exponential, with full jitter."""
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = tries
        wait = tenacity.wait_random_exponential(self.first_wait_seconds, self.longest_wait_seconds)
        return float(wait(state))


def may_heal(receipt: Receipt) -> bool:
    """Whether the chunk failed of something that the same attempt may not meet again."""
    kind = getattr(errors, (receipt.error or "").partition(":")[0], None)
    return (
        receipt.outcome is Outcome.FAILED and isinstance(kind, type) and issubclass(kind, AurumError) and kind.retryable
    )


def execute(
    tasks: Sequence[Task], executor: Executor, book: Book, persistence: Persistence, watcher: Watcher
) -> Ending:
    """Work on every task, in order; one that fails never hides, and never stops the others unless that is wanted.

    Receipts are in the book before the watcher hears of them. SIGINT and SIGTERM let chunks that have their answers end, and
    others give up; what has not ended after `GRACE_SECONDS` is left as a kill would leave it: undone.

    Raises: KeyboardInterrupt at the second signal. What a chunk cannot cause, such as a book that cannot be written.
    """
    return _Execution(tasks, executor, book, persistence, watcher).run()


class _Execution:
    """One execution, and where it stands."""

    def __init__(
        self, tasks: Sequence[Task], executor: Executor, book: Book, persistence: Persistence, watcher: Watcher
    ) -> None:
        self._waiting = deque(tasks)
        self._executor = executor
        self._book = book
        self._persistence = persistence
        self._watcher = watcher
        self._numbers = itertools.count()
        self._again: list[tuple[float, int, Task]] = []
        """Tasks that are tried again, by when."""
        self._tries: dict[str, int] = {}
        self._postponed_at: dict[str, datetime] = {}
        """When chunks were first postponed."""
        self._running: set[str] = set()
        # Simple queues may be put to from a signal handler.
        self._ended: queue.SimpleQueue[tuple[Task, tuple[Receipt, ...] | BaseException] | None] = queue.SimpleQueue()
        self._interrupted = threading.Event()
        self._order = Order.GO
        self._asked_at = float("-inf")
        self._ending: Ending | None = None
        self._deadline = float("inf")
        """When running chunks are left to themselves."""
        self._told = ""

    def run(self) -> Ending:
        try:
            with _signals(self._interrupt):
                while True:
                    self._look()
                    tasks = self._next()
                    if not (tasks or self._running) and (self._ending or not (self._waiting or self._again)):
                        return self._ending or Ending.FINISHED
                    self._start(tasks)
                    self._take(self._come())
        except BaseException:
            # Nobody would put on record what comes of the others.
            self._executor.stop()
            raise

    def _interrupt(self) -> None:
        self._interrupted.set()
        self._ended.put(None)

    def _look(self) -> None:
        """Whether to go on."""
        if self._ending in _ABRUPT:
            return
        if time.monotonic() - self._asked_at >= _ORDERS_SECONDS:
            self._asked_at = time.monotonic()
            self._order = self._book.order()
        if self._interrupted.is_set():
            self._end(Ending.INTERRUPTED)
        elif self._order is Order.CANCEL:
            self._end(Ending.CANCELLED)
        elif self._ending is None:
            self._tell("running" if self._order is Order.GO else "pausing" if self._running else "paused")

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        self._tell("stopping")
        self._executor.stop()
        self._deadline = time.monotonic() + GRACE_SECONDS

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._watcher.state(text)

    def _next(self) -> list[Task]:
        """What there is room for."""
        tasks: list[Task] = []
        while (
            self._ending is None and self._order is Order.GO and len(self._running) + len(tasks) < self._executor.width
        ):
            if self._again and self._again[0][0] <= time.monotonic():
                tasks.append(heapq.heappop(self._again)[2])
            elif self._waiting:
                tasks.append(self._waiting.popleft())
            else:
                break
        return tasks

    def _start(self, tasks: list[Task]) -> None:
        if tasks:
            # Before anything of it can be done: a crash leaves a trace of what was in work.
            self._book.note((), [task.chunk for task in tasks], (), ())
        for task in tasks:
            self._running.add(task.chunk.key)
            self._watcher.begun(task.chunk)
            self._executor.start(task, lambda task, came: self._ended.put((task, came)))

    def _come(self) -> list[tuple[Task, tuple[Receipt, ...] | BaseException]]:
        """What has ended; waits until something has, or something else needs attention."""
        came = []
        try:
            came.append(self._ended.get(timeout=self._patience()))
            while True:
                came.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        if self._ending in _ABRUPT and time.monotonic() >= self._deadline:
            logger().warning("execution.left", chunks=sorted(self._running))
            self._running.clear()
        return [each for each in came if each is not None]

    def _take(self, came: list[tuple[Task, tuple[Receipt, ...] | BaseException]]) -> None:
        """Put what has ended on record, and say when it is tried again."""
        receipts: list[tuple[Receipt, float | None]] = []
        again: list[tuple[Chunk, datetime]] = []
        postponed: list[tuple[Postponed, bool]] = []
        crashes: list[BaseException] = []
        for task, result in came:
            self._running.discard(task.chunk.key)
            if isinstance(result, Stopped):
                continue
            if isinstance(result, AurumError) and result.until is not None:
                postponed.append(self._postpone(task, result, result.until))
                continue
            if isinstance(result, BaseException):
                crashes.append(result)
                continue
            wait = self._next_try(task, result[0])
            if wait is not None:
                again.append((task.chunk, datetime.now(UTC) + timedelta(seconds=wait)))
            receipts += [(receipt, wait) for receipt in result]
        if receipts or postponed:
            self._book.note([receipt for receipt, _ in receipts], (), again, [each for each, _ in postponed])
        for receipt, wait in receipts:
            self._watcher.ended(receipt, wait)
        for each, waits in postponed:
            self._watcher.postponed(each, waits=waits)
        if crashes:
            raise crashes[0]

    def _postpone(self, task: Task, error: AurumError, until: datetime) -> tuple[Postponed, bool]:
        """What is told of a chunk that is postponed, and whether it is tried again here: no attempt was made of it."""
        now = datetime.now(UTC)
        first = self._postponed_at.setdefault(task.chunk.key, now)
        wait = max((until - now).total_seconds(), 0.0)
        waits = self._ending is None and (until - first).total_seconds() <= self._persistence.patience_seconds
        if waits:
            heapq.heappush(self._again, (time.monotonic() + wait, next(self._numbers), task))
        return Postponed(task.chunk, until, in_words(error)), waits

    def _next_try(self, task: Task, receipt: Receipt) -> float | None:
        """Seconds until the chunk is tried again; None if it is settled, or given up."""
        if receipt.outcome is not Outcome.FAILED:
            return None
        tries = self._tries[task.chunk.key] = self._tries.get(task.chunk.key, 0) + 1
        if self._ending is None and may_heal(receipt) and tries < self._persistence.attempts:
            wait = self._persistence.wait_seconds(tries)
            # What it may have committed in some stores, they have not been asked about.
            heapq.heappush(self._again, (time.monotonic() + wait, next(self._numbers), replace(task, earlier=None)))
            return wait
        if self._persistence.stops and self._ending is None:
            self._ending = Ending.FAILED
        return None

    def _patience(self) -> float:
        """Seconds until something else than an ended chunk needs attention."""
        if self._ending in _ABRUPT:
            return max(self._deadline - time.monotonic(), 0.0)
        due = [self._asked_at + _ORDERS_SECONDS]
        if self._again and self._order is Order.GO:
            due.append(self._again[0][0])
        return max(min(due) - time.monotonic(), 0.0)


@contextmanager
def _signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first signal be an event, not an exception in the middle of a transaction; the second one is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked_at: float | None = None

    def handle(*_: object) -> None:
        nonlocal asked_at
        if asked_at is None:
            asked_at = time.monotonic()
            interrupt()
        elif time.monotonic() - asked_at > _ONE_KEY_SECONDS:
            raise KeyboardInterrupt

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
