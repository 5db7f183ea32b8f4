"""The promise of an executor, and the work that all of them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aurum_etl.pipeline import run_chunk, run_latest
from aurum_etl.receipt import Receipt

if TYPE_CHECKING:
    from aurum_etl.chunk import Chunk
    from aurum_etl.download import Source
    from aurum_etl.pipeline import Workshop


@dataclass(frozen=True, slots=True)
class Task:
    """One chunk to work on."""

    chunk: Chunk
    newest: bool = False
    """Whether the source serves what there is now: whatever comes is then loaded, as the chunks that it turns out to be."""
    earlier: Receipt | None = None
    """Its last load, where every store says that it holds it: it may be recognized, and not loaded again."""


Ended = Callable[[Task, tuple[Receipt, ...] | BaseException], None]
"""Told of the end of a task, from any thread: its receipts, or why there is none."""


class Executor(Protocol):
    """Something that works on several chunks at a time."""

    @property
    def width(self) -> int:
        """How many chunks it takes at a time."""

    def start(self, task: Task, ended: Ended) -> None:
        """Begin a task; returns at once."""

    def stop(self) -> None:
        """Let tasks that wait for an answer give up, and others go on: each ends soon, with receipts or with `Stopped`."""

    def close(self) -> None:
        """Let go of everything; what was told to stop, and has not ended, is left alone."""


def work(task: Task, workshop: Workshop, source: Source) -> tuple[Receipt, ...]:
    """The receipts of one task.

    Raises: Stopped if the run is to end.
    """
    if task.newest:
        return tuple(run_latest(task.chunk, workshop, source))
    return (run_chunk(task.chunk, workshop, source, task.earlier),)
