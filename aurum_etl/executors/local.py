"""Chunks on threads of this process: one waits for its answer while another is computed and a third is loaded.

What takes time outside of waiting (inflating, parsing, sorting, encoding) lets go of the interpreter, so threads are enough.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from aurum_etl import equipment as made
from aurum_etl.executors.base import work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.download import Source
    from aurum_etl.equipment import Equipment
    from aurum_etl.executors import Place
    from aurum_etl.executors.base import Ended, Task
    from aurum_etl.pipeline import Workshop
    from aurum_etl.receipt import Receipt
    from aurum_etl.settings import Settings


class LocalExecutor:
    """As many threads as chunks may be in work at a time."""

    def __init__(self, workshop: Workshop, source: Source, stop: threading.Event, width: int) -> None:
        self.width = width
        self._workshop = workshop
        self._source = source
        self._stop = stop
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="chunk")

    def start(self, task: Task, ended: Ended) -> None:
        """See `Executor.start`."""

        def tell(future: Future[tuple[Receipt, ...]]) -> None:
            ended(task, future.exception() or future.result())

        self._pool.submit(work, task, self._workshop, self._source).add_done_callback(tell)

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stop.set()

    def close(self) -> None:
        """See `Executor.close`."""
        self._pool.shutdown(wait=not self._stop.is_set(), cancel_futures=True)


@contextmanager
def opened(_place: Place, equipment: Equipment, settings: Settings, urgency: int) -> Iterator[LocalExecutor]:
    """The executor of this process."""
    stop = threading.Event()
    with ExitStack() as stack:
        stores = stack.enter_context(made.opened(equipment, settings))
        turns = stack.enter_context(made.budget(equipment, settings, urgency))
        source = stack.enter_context(made.source(equipment, settings, turns, stop))
        shop = made.workshop(equipment, settings, stores)
        executor = LocalExecutor(shop, source, stop, equipment.spec.source.concurrent_chunks)
        stack.callback(executor.close)
        yield executor
