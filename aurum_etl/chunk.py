"""The unit of work, its key, and the rows that it owns in every store."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from aurum_etl.window import Window, days_of, intersect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from aurum_etl.contracts.base import Contract
    from aurum_etl.dataset import Dataset

ALL = "ALL"
_KEY = re.compile(r"(?P<dataset>[^\[\]@]+)\[(?P<selection>.+)\]@(?P<window>[^@]+)")
_DIGEST = re.compile(r"\d+:[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, order=True)
class Selection:
    """Which locations: all of them, a class that the ISO has a word for, or named ones.

    Three nodes done is not the day done: the selection is part of every chunk's identity.
    """

    word: str = ""
    """`ALL` or the word of a class; empty for named locations."""
    names: tuple[str, ...] = ()
    """Named locations, sorted and without repetition."""

    @classmethod
    def named(cls, names: Iterable[str]) -> Selection:
        """These locations and no others."""
        return cls(names=tuple(sorted(set(names))))

    def __post_init__(self) -> None:
        if bool(self.word) == bool(self.names):
            raise ValueError("a selection is either a word or at least one name")

    def __str__(self) -> str:
        """The word, or the number of names with a digest of them: short, and stable for ever."""
        if self.word:
            return self.word
        digest = hashlib.sha256("\n".join(self.names).encode()).hexdigest()
        return f"{len(self.names)}:{digest[:12]}"

    def covers(self, other: Selection) -> bool:
        """Whether everything in `other` is in this selection for certain."""
        return self == other or self.word == ALL or (bool(other.names) and set(other.names) <= set(self.names))

    def meets(self, other: Selection) -> bool:
        """Whether a location could be in both."""
        return not (self.names and other.names) or bool(set(self.names) & set(other.names))


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """One dataset over one window: the unit of fetching, checking, writing, retrying and remembering."""

    dataset: str
    selection: Selection
    window: Window

    @property
    def key(self) -> str:
        """`caiso_lmp[ALL]@20260714T0700Z/20260715T0700Z`: the same on any machine, for ever."""
        return f"{self.dataset}[{self.selection}]@{self.window}"


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """What a chunk's key tells: everything but the names behind a digest."""

    dataset: str
    selection: str
    """The word, or number and digest of names."""
    window: Window

    @classmethod
    def parse(cls, key: str) -> ChunkKey:
        """The parts of the key.

        Raises: ValueError if it is none.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise ValueError(f'"{key}" is not the key of a chunk')
        return cls(found["dataset"], found["selection"], Window.parse(found["window"]))

    @property
    def is_named(self) -> bool:
        """Whether its locations are named ones, of which the key has a digest alone."""
        return _DIGEST.fullmatch(self.selection) is not None

    def chunk(self, names: Iterable[str] = ()) -> Chunk | None:
        """The chunk; None if its locations are named, and not by these names."""
        if not self.is_named:
            return Chunk(self.dataset, Selection(self.selection), self.window)
        given = tuple(names)
        selection = Selection.named(given) if given else None
        return Chunk(self.dataset, selection, self.window) if str(selection) == self.selection and selection else None


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that a chunk owns in a store: what its commit replaces, and nothing else.

    A row is in the scope if every column of `equals` holds one of the words there, its location is one of
    `locations` (where they are named), and its `axis` lies in the chunk's window. A registry has no axis: it is replaced
    as a whole.
    """

    chunk: Chunk
    contract: Contract
    equals: Mapping[str, tuple[str | int, ...]] = field(hash=False)
    locations: tuple[str, ...] | None
    operating_dates: tuple[date, ...]
    """The market days that its intervals lie in."""
    axis: str | None = "interval_start"
    """The column that the window is about: `published_at` for forecasts that are had by the day of their publication;
    None for a registry."""

    def meets(self, other: Scope) -> bool:
        """Whether a row could be in both: then their commits must not be mixed."""
        if self.contract.kind != other.contract.kind:
            return False
        if (
            self.axis is not None
            and self.axis == other.axis
            and intersect(self.chunk.window, other.chunk.window) is None
        ):
            return False
        if (
            self.locations is not None
            and other.locations is not None
            and not set(self.locations) & set(other.locations)
        ):
            return False
        shared = self.equals.keys() & other.equals.keys()
        return all(set(self.equals[column]) & set(other.equals[column]) for column in shared)


def scope_of(chunk: Chunk, dataset: Dataset) -> Scope:
    """The rows that `chunk` owns."""
    equals: dict[str, tuple[str | int, ...]] = {"iso_code": (dataset.iso.value,)}
    if dataset.market is not None and dataset.run is not None:
        equals |= {"iso_market": (dataset.market.value,), "iso_market_run": (dataset.run,)}
    if dataset.contract.is_registry:
        return Scope(chunk, dataset.contract, equals, chunk.selection.names or None, (), None)
    equals["iso_interval_minutes"] = dataset.intervals
    equals |= _words_of_the_key(dataset)
    for each in dataset.classes:
        if each.name == chunk.selection.word:
            equals["iso_location_type"] = tuple(sorted(each.types))
    return Scope(
        chunk=chunk,
        contract=dataset.contract,
        equals=equals,
        locations=chunk.selection.names or None,
        operating_dates=tuple(days_of(_reach(chunk.window, dataset), dataset.timezone)),
        axis=dataset.axis,
    )


def _words_of_the_key(dataset: Dataset) -> dict[str, tuple[str | int, ...]]:
    """Words of the natural key that are constants of the dataset's reports, and tell it from its siblings."""
    found: dict[str, tuple[str | int, ...]] = {}
    for column in dataset.contract.key:
        words = [report.words.get(column) for report in dataset.reports]
        constants = {word for word in words if isinstance(word, str)}
        if words and constants and all(isinstance(word, str) for word in words):
            found[column] = tuple(sorted(constants))
    return found


def _reach(window: Window, dataset: Dataset) -> Window:
    """Where the intervals of what was published in the window lie."""
    before, after = dataset.horizon or (timedelta(0), timedelta(0))
    return Window(window.start - before, window.end + after)
