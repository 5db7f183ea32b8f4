"""What should be there and is not: the calendar's chunks against the receipts, and against what the stores hold.

`missing` is pure; `find` asks the record, `held` the stores.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl import sinks
from aurum_etl.chunk import Chunk, ChunkKey
from aurum_etl.coverage import due_days, known, span
from aurum_etl.receipt import Origin
from aurum_etl.window import Window, days_of, intersect, market_day, merge, split, subtract

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from aurum_etl.chunk import Selection
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.spec import Spec
    from aurum_etl.watermarks import Standing, Store


class Lack(StrEnum):
    """Why a chunk counts as missing."""

    MISSING = "missing"
    """No receipt settles it for all the stores of the spec."""
    FAILED = "failed"
    """The same, and the newest attempt at what is not settled failed."""
    LOST = "lost"
    """Its receipts say that it is done, and a store does not hold it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One chunk that should be there."""

    chunk: Chunk
    reason: Lack
    stores: tuple[str, ...]
    """The kinds of the stores that lack it."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What came of looking."""

    dataset: str
    selection: str
    days: tuple[date, date] | None
    """First and last market day that was looked at; None where none is due yet."""
    wanted: int
    """Chunks that should be there."""
    missing: tuple[Gap, ...]
    asked: tuple[str, ...]
    """The kinds of the stores that were asked; empty where the receipts alone were."""

    def counts(self) -> dict[str, int]:
        """Missing chunks by reason."""
        counted = Counter(gap.reason for gap in self.missing)
        return {reason.value: counted[reason] for reason in Lack}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the receipts say, as windows."""

    settled: Sequence[Window]
    """What is settled for all the stores of the spec at once."""
    by_store: Mapping[str, Sequence[Window]]
    """The same for each store alone."""
    failed: Sequence[Window]
    """Windows whose newest receipt is a failure."""
    vacant: Sequence[Window]
    """What is settled without a row, so that no store holds anything of it."""


class _Covered:
    """Windows, merged, to be asked again and again."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = merge(windows)
        self.starts = [each.start for each in self.windows]

    def contains(self, window: Window) -> bool:
        return any(each.contains(window) for each in self.met(window))

    def met(self, window: Window) -> list[Window]:
        """Those that have an instant of it."""
        first = max(bisect_right(self.starts, window.start) - 1, 0)
        near = self.windows[first : bisect_left(self.starts, window.end)]
        return [each for each in near if intersect(each, window)]


def missing(
    chunks: Sequence[Chunk],
    recorded: Recorded,
    held: Mapping[str, Collection[Chunk]] | None = None,
    counts_as: Callable[[Iterable[Window]], list[Window]] = merge,
) -> list[Gap]:
    """Those of the chunks that are not there, in their order.

    `held` are the chunks that each store says it holds, by kind; None where nobody was asked. A chunk is held if the
    windows of those whose locations cover its own contain its window, less what is settled without a row. `counts_as`
    widens windows for sources that serve no days.
    """
    settled = _Covered(counts_as(recorded.settled))
    by_store = {kind: _Covered(counts_as(windows)) for kind, windows in recorded.by_store.items()}
    failed = _Covered(recorded.failed)
    held_by = {
        (kind, selection): _Covered(counts_as([*_of_covering(there, selection), *recorded.vacant]))
        for kind, there in (held or {}).items()
        for selection in {chunk.selection for chunk in chunks}
    }
    gaps: list[Gap] = []
    for chunk in chunks:
        if not settled.contains(chunk.window):
            lacking = tuple(kind for kind, there in by_store.items() if not there.contains(chunk.window))
            tried = any(failed.met(each) for each in subtract([chunk.window], settled.met(chunk.window)))
            # Where each store has its part from another attempt, all of them are written anew.
            gaps.append(Gap(chunk, Lack.FAILED if tried else Lack.MISSING, lacking or tuple(by_store)))
            continue
        lost = tuple(kind for kind in held or () if not held_by[kind, chunk.selection].contains(chunk.window))
        if lost:
            gaps.append(Gap(chunk, Lack.LOST, lost))
    return gaps


def _of_covering(there: Iterable[Chunk], selection: Selection) -> list[Window]:
    """The windows of the chunks whose locations cover these; looked at once for all chunks of the same locations, since
    there may be thousands of names.
    """
    by_selection: defaultdict[Selection, list[Window]] = defaultdict(list)
    for chunk in there:
        by_selection[chunk.selection].append(chunk.window)
    covering = (windows for found, windows in by_selection.items() if found.covers(selection))
    return [window for windows in covering for window in windows]


def find(
    spec: Spec,
    dataset: Dataset,
    store: Store,
    *,
    start: date | None = None,
    end: date | None = None,
    simulated: bool = False,
    now: datetime,
    ask: Callable[[Window], Mapping[str, Collection[Chunk]]] | None = None,
) -> Gaps:
    """The chunks of the spec that should be there and are not, among the market days that are due.

    `ask` tells which chunks each store holds of a window, by kind, as `held` does; without it the receipts are believed.

    Without dates from the first settled day, or the spec's `schedule.start` if that is earlier, to the latest complete
    market day. Of a registry, which is replaced as a whole, what is newest is all that can be there.

    Raises: UsageError if the days that were named are no day at all.
    """
    standings = known(spec, dataset, store, simulated=simulated)
    first, last = span(spec, dataset, standings, start, end, now)
    due = due_days(dataset, standings, now)
    first, last = max(first, due[0]), min(last, due[1])
    if last < first:
        return Gaps(dataset.key, str(spec.selection), None, 0, (), ())
    if dataset.contract.is_registry:
        first = last
    window = Window(market_day(first, dataset.timezone).start, market_day(last, dataset.timezone).end)
    chunks = [
        Chunk(dataset.key, spec.selection, each) for each in split(window, spec.source.chunk_days, dataset.timezone)
    ]
    there = None if ask is None else ask(window)
    recorded = _recorded(spec, dataset, store, standings, simulated=simulated)
    found = missing(chunks, recorded, there, _counting(dataset, window))
    return Gaps(dataset.key, str(spec.selection), (first, last), len(chunks), tuple(found), tuple(there or ()))


def held(
    spec: Spec, dataset: Dataset, settings: Settings, window: Window, *, simulated: bool = False
) -> dict[str, list[Chunk]]:
    """What the stores of the spec say that they hold of the window, by kind; of a registry, all that there is.

    Invented rows do not count unless `simulated`, nor do those of a lower revision than the feed brings. A store that no
    longer knows the names behind a chunk's locations still has the digest of them in its key.

    Raises: SinkUnavailable if a store cannot be asked; SpecError if the settings do not say where it is.
    """
    lower = set(dataset.lower_marks)
    settings = settings.referring(spec.references(dataset))
    found: dict[str, list[Chunk]] = {}
    for each in spec.sinks:
        if each.kind in sinks.FLEETING:
            continue
        with closing(sinks.sink(each, settings)) as sink:
            told = sink.held(dataset, None if dataset.contract.is_registry else window)
        counting = [
            one for one in told if not lower & set(one.revisions) and (simulated or one.origin is not Origin.SIMULATOR)
        ]
        chunks = (one.chunk or ChunkKey.parse(one.key).chunk(spec.selection.names) for one in counting)
        found[each.kind] = [chunk for chunk in chunks if chunk is not None]
    return found


def _recorded(
    spec: Spec, dataset: Dataset, store: Store, standings: Sequence[Standing], *, simulated: bool
) -> Recorded:
    settled = merge(each.window for each in standings if each.settled is not None)
    kinds = sinks.durable(spec.sinks)
    by_store = (
        {kinds[0]: settled}
        if len(kinds) == 1
        else {
            kind: store.settled(dataset.key, spec.selection, [kind], simulated=simulated, lower=dataset.lower_marks)
            for kind in kinds
        }
    )
    return Recorded(
        settled=settled,
        by_store=by_store,
        failed=[each.window for each in standings if each.failed],
        vacant=subtract(
            (each.window for each in standings if each.settled is not None and not each.rows),
            (each.window for each in standings if each.rows),
        ),
    )


def _counting(dataset: Dataset, window: Window) -> Callable[[Iterable[Window]], list[Window]]:
    """What windows count as: a source that serves no days settles a day with anything of it, a registry with anything
    at all.
    """
    if dataset.contract.is_registry:
        return lambda windows: [window] if any(True for _ in windows) else []
    if dataset.is_of_now:
        return lambda windows: merge(
            market_day(day, dataset.timezone) for each in windows for day in days_of(each, dataset.timezone)
        )
    return merge
