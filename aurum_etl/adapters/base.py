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
from aurum_etl.secrets import Secrets
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
    from aurum_etl.quota.limits import Allowance


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
class _Part:
    """An answer that holds rows."""

    report: Report
    answer: Answer
    batches: tuple[pa.RecordBatch, ...] | None
    """None while nobody has read it."""


@dataclass
class Answers:
    """What comes for one chunk. Answers that are known are read only when all have come, and only if that is wanted."""

    adapter: Adapter
    max_bytes: int
    cores: AbstractContextManager[object] = field(default_factory=nullcontext)
    known: frozenset[str] = frozenset()
    """`Answer.mark` of answers that were read without fault before."""
    nothing: list[str] = field(default_factory=list)
    origins: set[Origin] = field(default_factory=set)
    attempts: int = 0
    decode_seconds: float = 0.0
    size: int = 0
    parts: list[_Part] = field(default_factory=list)
    promises: list[tuple[Request, int, list[_Part]]] = field(default_factory=list)
    """For each first request, how many rows it and the pages after it hold in all, as the source says, and where they are."""
    splits: list[_Split] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def marks(self) -> tuple[str, ...]:
        """`Answer.mark` of each answer that holds rows, sorted; none where the source had nothing for one of the requests."""
        return () if self.nothing else tuple(sorted(part.answer.mark for part in self.parts))

    def ask_for(self, dataset: Dataset, chunk: Chunk, source: Source) -> None:
        """Send all requests of the chunk.

        Raises: see `fetch`.
        """
        series = deque(_Wanted(ask) for ask in self.adapter.asks(dataset, chunk))
        while series:
            series.extendleft(reversed(self._take_series(dataset, chunk, series.popleft(), source)))

    def _take_series(self, dataset: Dataset, chunk: Chunk, first: _Wanted, source: Source) -> list[_Wanted]:
        """Send a request and all that its answers lead to; where it was refused as too large itself, those that take its place.

        Raises: SourceUnavailable if other rows came than were promised; TooLarge if there is nothing less to ask for.
        """
        waiting, promised, before = deque([first]), None, len(self.parts)
        while waiting:
            wanted = waiting.popleft()
            try:
                answer = self._ask(wanted.ask, source, chunk)
            except NothingThere as reason:
                self.origins.add(reason.answer.origin)
                if wanted.ask.otherwise is not None:
                    waiting.append(replace(wanted, ask=wanted.ask.otherwise))
                else:
                    self.nothing.append(str(reason))
                continue
            except TooLarge as refusal:
                parts = self._less(dataset, wanted, refusal)
                if wanted is first:
                    return parts
                waiting.extendleft(reversed(parts))
                continue
            if wanted.split is not None:
                wanted.split.came.append(wanted.ask.request)
            after = self.adapter.after(dataset, chunk, wanted.ask, answer)
            promised = after.promised if after.promised is not None else promised
            waiting.extend(replace(wanted, ask=ask) for ask in after.asks)
        if promised is not None:
            self.promises.append((first.ask.request, promised, self.parts[before:]))
            self._demand_promised()
        return []

    def _less(self, dataset: Dataset, wanted: _Wanted, refusal: TooLarge) -> list[_Wanted]:
        """What to send in the place of what was refused.

        Raises: the refusal, with what was tried, where there is nothing less.
        """
        self.attempts = max(self.attempts, refusal.attempts)
        asks = self.adapter.less(dataset, wanted.ask, refusal)
        split = wanted.split
        if not asks:
            tried = (
                "" if split is None else f" after {wanted.refused} larger ones, the first {split.refused.describe()}"
            )
            refusal.args = (f"{refusal}; it was refused{tried}, and less than that cannot be asked for",)
            raise refusal
        if split is None:
            split = _Split(wanted.ask.request, str(refusal))
            self.splits.append(split)
        logger().info(
            "request.split", request=wanted.ask.request.describe(), parts=len(asks), refused=wanted.refused + 1
        )
        return [_Wanted(ask, split, wanted.refused + 1) for ask in asks]

    def read(self) -> Fetched:
        """All that came, with what was left unread.

        Raises: SourceError if that cannot be read after all, or is not what was promised.
        """
        found: dict[str, tuple[Report, list[pa.RecordBatch]]] = {}
        for part in self.parts:
            if part.batches is None:
                came = self._decoded(part.report, part.answer)
                if isinstance(came, NoData):
                    self.nothing.append(str(came))
                    continue
                part.batches = came
            found.setdefault(part.report.name, (part.report, []))[1].extend(part.batches)
        self._demand_promised()
        return Fetched(
            tuple((report, tuple(batches)) for report, batches in found.values()),
            tuple(self.nothing),
            self.attempts,
            self.decode_seconds,
            frozenset(self.origins),
            self.size,
            (*self.findings, *(each.finding() for each in self.splits if each.came)),
        )

    def _ask(self, ask: Ask, source: Source, chunk: Chunk) -> Answer:
        """Send one request, and take in the answer and what rows it holds."""

        def read(answer: Answer) -> tuple[pa.RecordBatch, ...] | NoData | None:
            if not ask.reads:
                return ()
            return None if answer.mark in self.known else self._decoded(ask.report, answer)

        fetched = source.get(ask.request, read, chunk_key=chunk.key, records=_records)
        self.attempts = max(self.attempts, fetched.attempts)
        self.origins.add(fetched.answer.origin)
        self.size += fetched.answer.size
        if isinstance(fetched.value, NoData):
            self.nothing.append(str(fetched.value))
        elif ask.reads:
            self.parts.append(_Part(ask.report, fetched.answer, fetched.value))
        return fetched.answer

    def _decoded(self, report: Report, answer: Answer) -> tuple[pa.RecordBatch, ...] | NoData:
        """The batches of one answer; NoData if it says that there is nothing."""
        with self.cores:
            started, where = time.perf_counter(), answer.request.describe()
            try:
                batches = tuple(self.adapter.batches(report, answer.body, where, self.max_bytes))
            except NoData as reason:
                return reason
            finally:
                self.decode_seconds += time.perf_counter() - started
        if batches and not any(batch.num_rows for batch in batches):
            # A header without rows may be all that is left of many.
            raise SourceUnavailable(f"{where}: the answer holds no row, and does not say that there is nothing")
        return batches

    def _demand_promised(self) -> None:
        """Raise SourceUnavailable where other rows came than were promised, as far as they have been read."""
        for request, promised, parts in self.promises:
            read = [part.batches for part in parts if part.batches is not None]
            rows = sum(each.num_rows for batches in read for each in batches)
            if len(read) == len(parts) and rows != promised:
                raise SourceUnavailable(
                    f"{request.describe()}: {rows:,} rows came, and {promised:,} were promised: it changed while it was read"
                )


def demand_credentials(dataset: Dataset, credentials: Mapping[str, str], access: str) -> None:
    """Refuse to begin where the feed's credentials are not all there.

    Raises: SpecError that names the variables that are not set, and what can be done about it.
    """
    missing = [name for name in dataset.feed.credentials if name not in credentials]
    if missing:
        others = [feed.name for feed in dataset.feeds if not feed.credentials]
        way_out = f"; source.feed: {' or '.join(others)} needs none" if others else ""
        places = {credentials.find(name).place for name in missing} if isinstance(credentials, Secrets) else set()
        looked = "".join(f"; {each}" for each in sorted(places) if "vault" in each.lower())
        raise SpecError(
            f"{', '.join(missing)}: not set, and feed {dataset.feed.name} of {dataset.key} cannot be asked without: "
            f"{access}{way_out}; --sim brings its own{looked}"
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
    answers = Answers(adapter, max_bytes, cores or nullcontext())
    answers.ask_for(dataset, chunk, source)
    return answers.read()


def _records(value: tuple[pa.RecordBatch, ...] | NoData | None) -> int | None:
    """How many records there are; None where nobody has read them."""
    if value is None:
        return None
    return 0 if isinstance(value, NoData) else sum(each.num_rows for each in value)


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


def read_files(adapter: Adapter, dataset: Dataset, paths: Iterable[Path], max_bytes: int) -> Fetched:
    """The same for files that somebody already has: each is read as the report whose form it has.

    Raises: SourceChanged if a file has the form of none of the dataset's reports, with what each of them lacks.
    """
    found: dict[str, tuple[Report, list[pa.RecordBatch]]] = {}
    nothing: list[str] = []
    started = time.perf_counter()
    for path in paths:
        refusals: list[SourceChanged] = []
        for report in dataset.reports:
            try:
                batches = list(adapter.batches(report, path, str(path), max_bytes))
            except NoData as reason:
                nothing.append(str(reason))
                break
            except SourceChanged as refusal:
                refusals.append(refusal)
            else:
                found.setdefault(report.name, (report, []))[1].extend(batches)
                break
        else:
            raise refusals[0] if len(refusals) == 1 else _none_of(path, dataset, refusals)
    return Fetched(
        tuple((report, tuple(batches)) for report, batches in found.values()),
        tuple(nothing),
        attempts=0,
        decode_seconds=time.perf_counter() - started,
        origins=frozenset({Origin.FILES}),
    )


def _none_of(path: Path, dataset: Dataset, refusals: list[SourceChanged]) -> SourceChanged:
    """What each of the reports has against the file."""
    told = (str(each).removeprefix(f"{path}: ") for each in refusals)
    reasons = "; ".join(f"{report.name}: {each}" for report, each in zip(dataset.reports, told, strict=True))
    return SourceChanged(f"{path}: none of the forms in which {dataset.key} is published: {reasons}")
