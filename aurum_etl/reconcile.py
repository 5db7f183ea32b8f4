"""Rows in the stores against receipts: per chunk, store and market day, what is there now and what was put there.

What to expect follows from the receipts alone; asking the stores is apart from it, and so is comparing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl.chunk import scope_of
from aurum_etl.window import Window, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day, Receipt
    from aurum_etl.sinks.base import Sink


class Kind(StrEnum):
    """What is to be said of a day."""

    DIFFERS = "differs"
    """The store holds other rows than the receipt says."""
    REPLACED = "replaced"
    """A later chunk of another key owns rows of that day, so the receipt no longer says what is there: not compared."""
    UNKNOWN = "unknown"
    """The receipt has no checksums, or the store cannot tell: not compared."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One day of one chunk in one store that is not, or may not be, as its receipt has it."""

    chunk_key: str
    sink: str
    day: date | None
    """None where it is said of all days."""
    kind: Kind
    expected: Day | None
    """What the receipt says; None for a day that it put nothing into, or knows nothing of."""
    found: Day | None
    """What the store holds; None for a day without a row, or one that was not compared."""
    later: str = ""
    """The chunk that has written since."""

    @property
    def is_wrong(self) -> bool:
        """Whether rows are not as they should be; otherwise they could not be compared."""
        return self.kind is Kind.DIFFERS


@dataclass(frozen=True, slots=True)
class Expected:
    """What a store should hold of a chunk."""

    scope: Scope
    days: tuple[Day, ...]
    rows: int
    replaced: tuple[tuple[date | None, str], ...]
    """Days that a later chunk has written to, each with its key; day None stands for all of them."""

    @property
    def is_known(self) -> bool:
        """Whether the receipt tells the days: one of before it had them does not."""
        return sum(each.rows for each in self.days) == self.rows

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left to compare."""
        replaced = {day for day, _ in self.replaced}
        return None in replaced or set(self.scope.operating_dates) <= replaced != set()


def reconcile(receipts: Iterable[Receipt], dataset: Dataset, sinks: Iterable[Sink]) -> list[Difference]:
    """Where the stores are not as the receipts of the dataset say, and what could not be compared.

    A store that cannot look at its rows, such as a topic, is taken at the word of what it keeps beside them.

    Shape:  receipts in any order; those of other datasets are passed over.
    Raises: SinkUnavailable if a store cannot be asked.
    """
    known = list(receipts)
    differences: list[Difference] = []
    for sink in sinks:
        wanted = expected(known, dataset, sink.kind)
        word = _Word(sink, dataset, wanted)
        for each in wanted:
            found: Sequence[Day] | None = ()
            if each.is_known and not each.is_gone:
                found = sink.days(each.scope)
                found = word.of(each.scope.chunk.key) if found is None else found
            differences += compared(each, found, sink.kind)
    return differences


class _Word:
    """What a store keeps beside the rows of chunks; it is asked once, if at all."""

    def __init__(self, sink: Sink, dataset: Dataset, wanted: Sequence[Expected]) -> None:
        self._sink = sink
        self._dataset = dataset
        self._windows = merge(each.scope.chunk.window for each in wanted)
        self._days: dict[str, tuple[Day, ...]] | None = None

    def of(self, chunk_key: str) -> Sequence[Day] | None:
        """Its days; none where the store has no such chunk."""
        if self._days is None:
            span = Window(self._windows[0].start, self._windows[-1].end)
            self._days = {each.key: each.days for each in self._sink.held(self._dataset, span)}
        return self._days.get(chunk_key, ())


def expected(receipts: Iterable[Receipt], dataset: Dataset, kind: str) -> list[Expected]:
    """What the store of that kind should hold, oldest chunk first: of each key its newest receipt that the store took.

    A chunk that was empty the last time still counts: an empty answer takes no rows out of a store.
    """
    newest: dict[str, Receipt] = {}
    for receipt in sorted(receipts, key=lambda each: each.started_at, reverse=True):
        if receipt.chunk.dataset == dataset.key and kind in receipt.stores:
            newest.setdefault(receipt.chunk.key, receipt)
    later: defaultdict[date | None, list[Scope]] = defaultdict(list)
    found: list[Expected] = []
    for receipt in newest.values():
        scope = scope_of(receipt.chunk, dataset)
        # A registry has no days, and is replaced as a whole.
        days: tuple[date | None, ...] = scope.operating_dates or (None,)
        replaced = [(day, next((other.chunk.key for other in later[day] if other.meets(scope)), "")) for day in days]
        found.append(
            Expected(scope, receipt.days, receipt.rows_accepted, tuple((day, key) for day, key in replaced if key))
        )
        for day in days:
            later[day].append(scope)
    return found[::-1]


def compared(of: Expected, found: Sequence[Day] | None, kind: str) -> list[Difference]:
    """What is to be said of one chunk in one store, given the days that the store found; None if it cannot tell."""
    key = of.scope.chunk.key
    if not of.is_known or found is None:
        return [Difference(key, kind, None, Kind.UNKNOWN, None, None)]
    replaced = dict(of.replaced)
    wanted, there = ({each.day: each for each in days} for days in (of.days, found))
    differences = []
    for day in sorted({*wanted, *there}):
        if (later := replaced.get(day, replaced.get(None))) is not None:
            differences.append(Difference(key, kind, day, Kind.REPLACED, wanted.get(day), None, later))
        elif wanted.get(day) != there.get(day):
            differences.append(Difference(key, kind, day, Kind.DIFFERS, wanted.get(day), there.get(day)))
    return differences
