"""The promise of an adapter, and what all of them share: asking, and reading what came."""

from __future__ import annotations

import time
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from aurum_etl.chunk import Selection
from aurum_etl.errors import NoData, SourceChanged, SourceUnavailable, SpecError, TooLarge
from aurum_etl.manners import NothingThere
from aurum_etl.receipt import Finding, Origin, Severity
from aurum_etl.telemetry import logger
from aurum_etl.window import halves as halves_of

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


_TOLD_CHARACTERS = 200
"""How much of a request is told where it is only an example: fifty places make a long one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and the report that its answer is read as."""

    report: Report
    request: Request
    reads: bool = True
    """Whether the answer holds rows: a list of documents only leads to those that do."""
    otherwise: Ask | None = None
    """What to ask for in its place where there is nothing: the same under another name."""
    part: Chunk | None = None
    """What of the chunk it asks for, where there may be requests for less of it; None where it is whole or not at all."""
    by_hour: bool = False
    """Whether less may be hours of a market day."""
    rows: int | None = None
    """How many rows it brings, where an answer before it has said so."""


@dataclass(frozen=True, slots=True)
class After:
    """What an answer says of itself."""

    asks: tuple[Ask, ...] = ()
    """What it leads to: the next page, or the documents of a list."""
    promised: int | None = None
    """How many rows it and the pages after it hold in all, as the source says; None if it doesn't."""


class Adapter(Protocol):
    """One ISO: its datasets, how to ask for them, and how to read what it answers."""

    iso: Iso
    bases: Mapping[str, str]
    """The ISO's own addresses, by host; `""` is the main one."""
    requests_per_minute: float
    """How often the ISO lets itself be asked."""
    manners: Manners
    datasets: tuple[Dataset, ...]

    def asks(self, dataset: Dataset, chunk: Chunk) -> list[Ask]:
        """What to ask for the chunk; each answer is read on its own."""

    def after(self, dataset: Dataset, chunk: Chunk, ask: Ask, answer: Answer) -> After:
        """What there is to ask once that answer is there: by default nothing, since most answers have no pages."""
        return After()

    def less(self, dataset: Dataset, ask: Ask, refusal: TooLarge) -> tuple[Ask, ...]:
        """What to ask for in the place of a request that was refused as too large; nothing where it can't be less.

        Together they bring what it would have brought; what they bring twice counts once.
        """
        return in_halves(self, dataset, ask, refusal)

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
    findings: tuple[Finding, ...] = ()
    """What is worth telling of how it came."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing came because the source has nothing: each of its answers said so, and none held a row less."""
        return bool(self.nothing) and not any(batches for _, batches in self.batches)


@dataclass
class _Split:
    """A request that was refused as too large, and those that came in its place."""

    refused: Request
    reason: str
    came: list[Request] = field(default_factory=list)

    def finding(self) -> Finding:
        """How it was split, for the receipt."""
        first, last = (self.came[at].describe()[:_TOLD_CHARACTERS] for at in (0, -1))
        reason = self.reason.removeprefix(f"{self.refused.describe()}: ")[:_TOLD_CHARACTERS]
        detail = f"refused as too large, and came as {len(self.came)} requests, from {first} to {last}; {reason}"
        return Finding("request_was_split", Severity.INFO, len(self.came), detail)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request that is to be sent."""

    ask: Ask
    split: _Split | None = None
    """What it is a part of."""
    refused: int = 0
    """How many larger ones were refused before it."""


@dataclass
class _Coming:
    """What has come so far."""

    batches: dict[str, tuple[Report, list[pa.RecordBatch]]] = field(default_factory=dict)
    nothing: list[str] = field(default_factory=list)
    origins: set[Origin] = field(default_factory=set)
    attempts: int = 0
    decode_seconds: float = 0.0
    size: int = 0
    splits: list[_Split] = field(default_factory=list)
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
            tuple(each.finding() for each in self.splits if each.came),
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
    series = deque(_Wanted(ask) for ask in adapter.asks(dataset, chunk))
    while series:
        first = series.popleft()
        parts = _take_series(adapter, dataset, chunk, first, source, max_bytes, coming)
        series.extendleft(reversed(parts))
    return coming.fetched()


def _take_series(
    adapter: Adapter, dataset: Dataset, chunk: Chunk, first: _Wanted, source: Source, max_bytes: int, coming: _Coming
) -> list[_Wanted]:
    """Send a request and all that its answers lead to; where it was refused as too large itself, those that take its place.

    Raises: SourceUnavailable if other rows came than were promised; TooLarge if less than what was refused can't be asked for.
    """
    waiting, rows, promised = deque([first]), 0, None
    while waiting:
        wanted = waiting.popleft()
        try:
            read, answer = _read(adapter, wanted.ask, source, chunk, max_bytes, coming)
        except NothingThere as reason:
            coming.origins.add(reason.answer.origin)
            if wanted.ask.otherwise is not None:
                waiting.append(replace(wanted, ask=wanted.ask.otherwise))
            else:
                coming.nothing.append(str(reason))
            continue
        except TooLarge as refusal:
            parts = _parts(adapter, dataset, wanted, refusal, coming)
            if wanted is first:
                return parts
            waiting.extendleft(reversed(parts))
            continue
        rows += read
        if wanted.split is not None:
            wanted.split.came.append(wanted.ask.request)
        after = adapter.after(dataset, chunk, wanted.ask, answer)
        promised = after.promised if after.promised is not None else promised
        waiting.extend(replace(wanted, ask=ask) for ask in after.asks)
    if promised is not None and rows != promised:
        raise SourceUnavailable(
            f"{first.ask.request.describe()}: {rows:,} rows came, and {promised:,} were promised: "
            "it changed while it was read"
        )
    return []


def _parts(adapter: Adapter, dataset: Dataset, wanted: _Wanted, refusal: TooLarge, coming: _Coming) -> list[_Wanted]:
    """What to send in the place of what was refused.

    Raises: the refusal, with what was tried, where there is nothing less.
    """
    coming.attempts = max(coming.attempts, refusal.attempts)
    asks = adapter.less(dataset, wanted.ask, refusal)
    split = wanted.split
    if not asks:
        tried = "" if split is None else f" after {wanted.refused} larger ones, the first {split.refused.describe()}"
        refusal.args = (f"{refusal}; it was refused{tried}, and less than that cannot be asked for",)
        raise refusal
    if split is None:
        split = _Split(wanted.ask.request, str(refusal))
        coming.splits.append(split)
    logger().info("request.split", request=wanted.ask.request.describe(), parts=len(asks), refused=wanted.refused + 1)
    return [_Wanted(ask, split, wanted.refused + 1) for ask in asks]


def in_halves(adapter: Adapter, dataset: Dataset, ask: Ask, refusal: TooLarge) -> tuple[Ask, ...]:
    """The requests for both halves of what was asked for: of its market days, its places, or its hours, in that order, or
    first of what the refusal is about.
    """
    if ask.part is None:
        return ()
    window, selection = ask.part.window, ask.part.selection
    days = [replace(ask.part, window=half) for half in halves_of(window, dataset.timezone, by_hour=False)]
    middle = len(selection.names) // 2
    names = (selection.names[:middle], selection.names[middle:]) if middle else ()
    places = [replace(ask.part, selection=Selection.named(half)) for half in names]
    hours = [replace(ask.part, window=half) for half in halves_of(window, dataset.timezone, by_hour=ask.by_hour)]
    for halves in (places, days, hours) if refusal.about == "places" else (days, places, hours):
        asks = [each for half in halves for each in adapter.asks(dataset, half) if each.report.name == ask.report.name]
        # Where places are asked for all together, whoever is wanted of them, a half of them is the same request again.
        if all(each.request != ask.request for each in asks):
            found = {each.request: each for each in asks}
            if found:
                return tuple(found.values())
    return ()


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
        started, where = time.perf_counter(), answer.request.describe()
        try:
            batches = tuple(adapter.batches(ask.report, answer.body, where, max_bytes))
        except NoData as reason:
            return reason
        finally:
            coming.decode_seconds += time.perf_counter() - started
        if batches and not any(batch.num_rows for batch in batches):
            # A header without rows may be all that is left of many.
            raise SourceUnavailable(f"{where}: the answer holds no row, and does not say that there is nothing")
        return batches

    fetched = source.get(ask.request, read, chunk_key=chunk.key)
    coming.attempts = max(coming.attempts, fetched.attempts)
    coming.origins.add(fetched.answer.origin)
    coming.size += fetched.answer.size
    if isinstance(fetched.value, NoData):
        coming.nothing.append(str(fetched.value))
        return 0, fetched.answer
    return (coming.take(ask.report, fetched.value) if ask.reads else 0), fetched.answer


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
