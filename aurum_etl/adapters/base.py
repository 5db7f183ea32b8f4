"""The promise of an adapter, and what all of them share: asking, and reading what came."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aurum_etl.errors import NoData
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.archive import Answer, Request
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.market import Iso


class Adapter(Protocol):
    """One ISO: its datasets, how to ask for them, and how to read what it answers."""

    iso: Iso
    default_base: str
    """The ISO's own address."""
    requests_per_minute: float
    """How often the ISO lets itself be asked."""
    datasets: tuple[Dataset, ...]

    def requests(self, dataset: Dataset, chunk: Chunk) -> list[Request]:
        """What to ask for the chunk; each answer is read on its own."""

    def batches(self, dataset: Dataset, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns of one answer or file, typed but not renamed.

        Raises: NoData if the ISO says that there is nothing; SourceUnavailable if it says to try later, or the bytes
                are damaged; SourceChanged if they are not in the documented format.
        """

    def busy_seconds(self, answer: Answer) -> float | None:
        """How long a refusal's body asks to be left alone, in seconds; None if it doesn't say."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the ISO published for a chunk."""

    batches: tuple[pa.RecordBatch, ...]
    nothing: tuple[str, ...]
    """What the source said for each request that it had nothing for."""
    attempts: int
    """The most times that one request was sent; 0 where none was."""
    decode_seconds: float
    origins: frozenset[Origin]
    """Where the answers came from in the first place."""


def fetch(adapter: Adapter, dataset: Dataset, chunk: Chunk, source: Source, max_bytes: int) -> Fetched:
    """Everything that the ISO publishes for the chunk, as published.

    Raises: SourceError if one of the requests cannot be answered in full: a chunk is whole or it is not there.
    """
    batches: list[pa.RecordBatch] = []
    nothing: list[str] = []
    origins: set[Origin] = set()
    attempts = 0
    decode_seconds = 0.0

    def read(answer: Answer) -> tuple[pa.RecordBatch, ...] | NoData:
        nonlocal decode_seconds
        started = time.perf_counter()
        try:
            return tuple(adapter.batches(dataset, answer.body, answer.request.describe(), max_bytes))
        except NoData as reason:
            return reason
        finally:
            decode_seconds += time.perf_counter() - started

    for request in adapter.requests(dataset, chunk):
        fetched = source.get(request, read, chunk_key=chunk.key)
        attempts = max(attempts, fetched.attempts)
        origins.add(fetched.answer.origin)
        if isinstance(fetched.value, NoData):
            nothing.append(str(fetched.value))
        else:
            batches.extend(fetched.value)
    return Fetched(tuple(batches), tuple(nothing), attempts, decode_seconds, frozenset(origins))


def read_files(adapter: Adapter, dataset: Dataset, paths: Iterable[Path], max_bytes: int) -> Fetched:
    """The same for files that somebody already has."""
    batches: list[pa.RecordBatch] = []
    nothing: list[str] = []
    started = time.perf_counter()
    for path in paths:
        try:
            batches.extend(adapter.batches(dataset, path, str(path), max_bytes))
        except NoData as reason:
            nothing.append(str(reason))
    return Fetched(tuple(batches), tuple(nothing), 0, time.perf_counter() - started, frozenset({Origin.FILES}))
