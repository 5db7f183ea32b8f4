"""The promise of an adapter, and what all of them share: asking, and reading what came."""

from __future__ import annotations

import time
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from aurum_etl.errors import NoData, SourceChanged, SourceUnavailable, SpecError
from aurum_etl.manners import NothingThere
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import httpx
    import pyarrow as pa

    from aurum_etl.archive import Answer, Request
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset, Report
    from aurum_etl.download import Source
    from aurum_etl.manners import Manners
    from aurum_etl.market import Iso
    from aurum_etl.quota.limits import Allowance


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and the report that its answer is read as."""

    report: Report
    request: Request
    reads: bool = True
    """Whether the answer holds rows: a list of documents only leads to those that do."""
    otherwise: Ask | None = None
    """What to ask for in its place where there is nothing: the same under another name."""


@dataclass(frozen=True, slots=True)
class After:
    """What an answer says of itself."""

    asks: tuple[Ask, ...] = ()
    """What it leads to: the next page, or the documents of a list."""
    promised: int | None = None
    """How many rows it and the pages after it hold in all, as the source says; None if it doesn't."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The smallest question that shows whether one of an ISO's hosts serves.

    If it is of a day, of one that is long over: the answer never changes, and the archive has its bytes once.
    """

    dataset: Dataset
    """By the feed that the question belongs to: its first report is asked for, with its credentials."""
    request: Request
    of: str = ""
    """What it tries, where that is not the main host: `outlook` for `caiso.outlook`."""
    reads: bool = True
    """Whether the answer is in the report's form: a page that only lets one in is not."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the parser has to know of this answer, beside what it knows of the report."""

    @property
    def ask(self) -> Ask:
        """The question as an adapter asks it."""
        report = self.dataset.feed.reports[0]
        return Ask(replace(report, parameters={**report.parameters, **self.parameters}), self.request, self.reads)


class Adapter(Protocol):
    """One ISO: its datasets, how to ask for them, and how to read what it answers."""

    iso: Iso
    bases: Mapping[str, str]
    """The ISO's own addresses, by host; `""` is the main one."""
    allowance: Allowance
    """How much may be had of the ISO, and what is taken of it day by day."""
    manners: Manners
    datasets: tuple[Dataset, ...]
    trials: tuple[Trial, ...]
    """What to ask in order to see whether it serves: one question for each host and each key, without credentials where that
    is possible."""

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """What to ask for the chunk; each answer is read on its own."""

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:
        """What there is to ask once that answer is there: by default nothing, since most answers have no pages."""
        return After()

    def auth(self, dataset: Dataset, credentials: Mapping[str, str], bases: Mapping[str, str]) -> httpx.Auth | None:
        """How requests for the dataset's feed prove who asks; by default nobody wants to know."""
        return None

    def batches(self, report: Report, path: Path, where: str, max_bytes: int) -> Iterator[pa.RecordBatch]:
        """Published columns of one answer or file, typed but not renamed.

        Raises: NoData if the ISO says that there is nothing; SourceUnavailable if it says to try later, or the bytes
                are damaged; SourceChanged if they are not in the documented format.
        """


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the ISO published for a chunk."""

    batches: tuple[tuple[Report, tuple[pa.RecordBatch, ...]], ...]
    """By report; a report that had nothing is not there."""
    nothing: tuple[str, ...]
    """What the source said for each request that it had nothing for."""
    attempts: int
    """The most times that one request was sent; 0 where none was."""
    decode_seconds: float
    origins: frozenset[Origin]
    """Where the answers came from in the first place."""
    size: int = 0
    """Bytes of all answers, as they were received."""


@dataclass
class _Coming:
    """What has come so far."""

    batches: dict[str, tuple[Report, list[pa.RecordBatch]]] = field(default_factory=dict)
    nothing: list[str] = field(default_factory=list)
    origins: set[Origin] = field(default_factory=set)
    attempts: int = 0
    decode_seconds: float = 0.0
    size: int = 0
    cores: AbstractContextManager[object] = field(default_factory=nullcontext)

    def take(self, report: Report, batches: Iterable[pa.RecordBatch]) -> int:
        """Add the batches; returns their rows."""
        new = list(batches)
        self.batches.setdefault(report.name, (report, []))[1].extend(new)
        return sum(each.num_rows for each in new)

    def fetched(self) -> Fetched:
        return Fetched(
            tuple((report, tuple(batches)) for report, batches in self.batches.values()),
            tuple(self.nothing),
            self.attempts,
            self.decode_seconds,
            frozenset(self.origins),
            self.size,
        )


def demand_credentials(dataset: Dataset, credentials: Mapping[str, str], access: str) -> None:
    """Refuse to begin where the feed's credentials are not all there.

    Raises: SpecError that names the variables that are not set, and what can be done about it.
    """
    missing = [name for name in dataset.feed.credentials if name not in credentials]
    if missing:
        others = [feed.name for feed in dataset.feeds if not feed.credentials]
        way_out = f"; source.feed: {' or '.join(others)} needs none" if others else ""
        raise SpecError(
            f"{', '.join(missing)}: not set, and feed {dataset.feed.name} of {dataset.key} cannot be asked without: "
            f"{access}{way_out}; --sim brings its own"
        )


def fetch(
    adapter: Adapter,
    dataset: Dataset,
    chunk: Chunk,
    source: Source,
    max_bytes: int,
    cores: AbstractContextManager[object] | None = None,
) -> Fetched:
    """Everything that the ISO publishes for the chunk, as published; answers are read while holding one of `cores`.

    Raises: SourceError if one of the requests cannot be answered in full: a chunk is whole or it is not there.
    """
    coming = _Coming(cores=cores or nullcontext())
    for first in adapter.asks(dataset, chunk):
        waiting, rows, promised = deque([first]), 0, None
        while waiting:
            ask = waiting.popleft()
            try:
                read, answer = _read(adapter, ask, source, chunk, max_bytes, coming)
            except NothingThere as reason:
                coming.origins.add(reason.answer.origin)
                if ask.otherwise is not None:
                    waiting.append(ask.otherwise)
                else:
                    coming.nothing.append(str(reason))
                continue
            rows += read
            after = adapter.after(dataset, chunk, ask, answer)
            promised = after.promised if after.promised is not None else promised
            waiting.extend(after.asks)
        if promised is not None and rows != promised:
            raise SourceUnavailable(
                f"{first.request.describe()}: {rows:,} rows came, and {promised:,} were promised: it changed while it was read"
            )
    return coming.fetched()


def _read(
    adapter: Adapter, ask: Ask, source: Source, chunk: Chunk, max_bytes: int, coming: _Coming
) -> tuple[int, Answer]:
    """Send one request and take in what its answer holds: rows of it, and the answer."""

    def read(answer: Answer) -> tuple[pa.RecordBatch, ...] | NoData:
        if not ask.reads:
            return ()
        with coming.cores:
            return decoded(answer)

    def decoded(answer: Answer) -> tuple[pa.RecordBatch, ...] | NoData:
        started = time.perf_counter()
        try:
            return tuple(adapter.batches(ask.report, answer.body, answer.request.describe(), max_bytes))
        except NoData as reason:
            return reason
        finally:
            coming.decode_seconds += time.perf_counter() - started

    fetched = source.get(ask.request, read, chunk_key=chunk.key, records=_rows)
    coming.attempts = max(coming.attempts, fetched.attempts)
    coming.origins.add(fetched.answer.origin)
    coming.size += fetched.answer.size
    if isinstance(fetched.value, NoData):
        coming.nothing.append(str(fetched.value))
        return 0, fetched.answer
    return (coming.take(ask.report, fetched.value) if ask.reads else 0), fetched.answer


def _rows(value: tuple[pa.RecordBatch, ...] | NoData) -> int:
    return 0 if isinstance(value, NoData) else sum(each.num_rows for each in value)


def read_files(adapter: Adapter, dataset: Dataset, paths: Iterable[Path], max_bytes: int) -> Fetched:
    """The same for files that somebody already has: each is read as the report whose form it has.

    Raises: SourceChanged if a file has the form of none of the dataset's reports, with what each of them lacks.
    """
    coming = _Coming(origins={Origin.FILES})
    started = time.perf_counter()
    for path in paths:
        refusals: list[SourceChanged] = []
        for report in dataset.reports:
            try:
                batches = list(adapter.batches(report, path, str(path), max_bytes))
            except NoData as reason:
                coming.nothing.append(str(reason))
                break
            except SourceChanged as refusal:
                refusals.append(refusal)
            else:
                coming.take(report, batches)
                break
        else:
            raise refusals[0] if len(refusals) == 1 else _none_of(path, dataset, refusals)
    coming.decode_seconds = time.perf_counter() - started
    return coming.fetched()


def _none_of(path: Path, dataset: Dataset, refusals: list[SourceChanged]) -> SourceChanged:
    """What each of the reports has against the file."""
    told = (str(each).removeprefix(f"{path}: ") for each in refusals)
    reasons = "; ".join(f"{report.name}: {each}" for report, each in zip(dataset.reports, told, strict=True))
    return SourceChanged(f"{path}: none of the forms in which {dataset.key} is published: {reasons}")
