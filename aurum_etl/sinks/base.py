"""The promise that every store keeps.

`run_chunk` stages everywhere, then commits everywhere, then answers with a receipt; what was staged and not committed
is discarded on the way out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day, Written
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.window import Window


@dataclass(frozen=True, slots=True)
class Position:
    """How far a store has taken in a topic; kept in the store, changed together with its rows.

    Chunks may overtake each other on a topic: `offsets` is where reading must begin again so that no row is missed, and
    `done` tells which of the chunks that are then met once more were taken in already.
    """

    offsets: Mapping[int, int] = field(default_factory=dict, hash=False)
    """The offset to read next, by partition."""
    done: Mapping[str, Mapping[int, int]] = field(default_factory=dict, hash=False)
    """Attempts at chunks that were taken in and end beyond `offsets`, each with its end in every partition."""

    def after(self, attempt: str, ends: Mapping[int, int], offsets: Mapping[int, int]) -> Position:
        """The position with that attempt taken in, when reading may begin at `offsets`; it never goes back."""
        reached = {**self.offsets}
        for partition, offset in offsets.items():
            reached[partition] = max(offset, reached.get(partition, 0))
        done = {
            each: places
            for each, places in {**self.done, attempt: ends}.items()
            if any(place >= reached.get(partition, 0) for partition, place in places.items())
        }
        return Position(reached, done)

    def __str__(self) -> str:
        """The same for equal positions: stores compare it, and keep it."""
        content = {
            "offsets": _by_text(self.offsets),
            "done": {each: _by_text(self.done[each]) for each in sorted(self.done)},
        }
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Position:
        """What `str` wrote; the beginning of the topic where a store has nothing."""
        if not text:
            return cls()
        content = json.loads(text)
        return cls(_by_number(content["offsets"]), {each: _by_number(ends) for each, ends in content["done"].items()})


def _by_text(places: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): places[partition] for partition in sorted(places)}


def _by_number(places: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): place for partition, place in places.items()}


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a drain from one position to the next: part of the commit that it travels with, or nothing happens."""

    group: str
    topic: str
    before: Position
    """What the store must have: if it has anything else, another drain was here, and the commit fails."""
    after: Position


class Staged(Protocol):
    """Rows that a store has taken in, and no reader sees."""

    def commit(self) -> Written:
        """Make all of it visible, in place of what the scope held before.

        Raises: CommitFailed if nothing became visible; CommitUnknown if even looking did not tell; ValueError if it was
                committed or discarded already.
        """

    def discard(self) -> None:
        """Leave no trace; harmless after a commit and when called twice."""


class Sink(Protocol):
    """A place where frames go."""

    @property
    def kind(self) -> str:
        """The word for it in specs: `iceberg`."""

    def open(self, dataset: Dataset | None = None) -> None:
        """Reach the store and make what it needs, for that dataset where it makes things one by one.

        Raises: SinkUnavailable if the store cannot be reached or has a table of another shape.
        """

    def stage(self, table: pa.Table, scope: Scope) -> Staged:
        """Take in the rows of one chunk; nothing is visible to readers yet.

        Shape:  `table` has exactly the contract's Arrow schema, every row in `scope`, sorted by location and time. Its
                metadata may tell the rows' provenance, which the store keeps as well.
        Raises: ValueError if it has not; SinkUnavailable if the store does not take it.
        """

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """The chunks of which the store holds rows, each in its newest attempt, by key: those of the dataset whose windows
        meet this one, or all there are, whatever dataset they name.

        Asking makes nothing, and needs no `open`.
        Raises: SinkUnavailable if the store cannot be asked.
        """

    def days(self, scope: Scope) -> tuple[Day, ...] | None:
        """Rows and checksum of what is in the scope now, by market day, whichever chunks wrote it; None from a store that
        keeps every copy of a row and so cannot tell.

        Asking makes nothing, and needs no `open`.
        Raises: SinkUnavailable if the store cannot be asked.
        """

    def close(self) -> None:
        """Let go of connections."""


class Drained(Sink, Protocol):
    """A store that can be fed from a topic: it keeps the position together with the rows."""

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> Staged:
        """See `Sink.stage`; the commit also takes that step of the drain, or fails as a whole."""

    def position(self, group: str, topic: str) -> Position:
        """Where the group stands; the beginning if it never was here."""

    def advance(self, progress: Progress) -> None:
        """Take a step that brings no rows, such as past a chunk that could not be accepted.

        Raises: CommitFailed if the store stands elsewhere.
        """


def ingested_at(table: pa.Table) -> datetime | None:
    """The one instant of the attempt that made the rows; None where there is no row."""
    instant: datetime | None = table.column("ingested_at")[0].as_py() if table.num_rows else None
    return instant


def demand_contract(table: pa.Table, scope: Scope) -> None:
    """Refuse a table of another shape: every store would read it differently."""
    if not table.schema.equals(scope.contract.arrow_schema):
        raise ValueError(f"{scope.chunk.key}: the table's schema is not the contract's")


def rows_inside(table: pa.Table, scope: Scope) -> pa.BooleanArray:
    """Which rows the scope owns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    inside: pa.BooleanArray = pa.repeat(pa.scalar(value=True), table.num_rows)
    if scope.axis is not None:
        start, end = (
            pa.scalar(edge, pa.timestamp("us", "UTC")) for edge in (scope.chunk.window.start, scope.chunk.window.end)
        )
        instants = table[scope.axis]
        days = pa.array(scope.operating_dates, pa.date32())
        inside = pc.and_(pc.greater_equal(instants, start), pc.less(instants, end))
        # A row without the axis, such as a forecast that does not say when it was made, is in no window. Null would be in
        # neither half: inverted, it is null as well.
        inside = pc.and_kleene(inside, pc.is_valid(instants))
        inside = pc.and_(inside, pc.is_in(table["operating_date"], days))
    words = {**scope.equals, **({} if scope.locations is None else {"iso_location_id": scope.locations})}
    for column, values in words.items():
        inside = pc.and_(inside, pc.is_in(table[column], pa.array(values, table.schema.field(column).type)))
    return inside
