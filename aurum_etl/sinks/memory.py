"""The smallest honest store: Arrow tables in memory, for trying things out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from aurum_etl.checksum import days_of_rows
from aurum_etl.errors import Overtaken
from aurum_etl.receipt import Written
from aurum_etl.sinks.base import Position, demand_contract, ingested_at, rows_inside
from aurum_etl.sinks.ledger import Entry, Held, Provenance, is_wanted

if TYPE_CHECKING:
    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Progress
    from aurum_etl.spec import MemorySpec
    from aurum_etl.window import Window


class MemorySink:
    """One table per kind, gone when the process ends.

    **Twice:** a second commit of the same chunk replaces its scope; readers see the old table or the new one.
    """

    kind = "memory"

    def __init__(self) -> None:
        self._tables: dict[str, pa.Table] = {}
        self._ledger: dict[str, Held] = {}
        """The last commit of each chunk."""
        self._positions: dict[tuple[str, str], Position] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_spec(cls, _spec: MemorySpec, _settings: Settings) -> Self:
        """There is nothing to set."""
        return cls()

    def open(self, _dataset: Dataset | None = None) -> None:
        """There is nothing to reach."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> _Staged:
        """See `Drained.stage`."""
        demand_contract(table, scope)
        return _Staged(self, table, scope, progress)

    def position(self, group: str, topic: str) -> Position:
        """See `Drained.position`."""
        return self._positions.get((group, topic), Position())

    def advance(self, progress: Progress) -> None:
        """See `Drained.advance`."""
        with self._lock:
            self._step(progress)

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """See `Sink.held`."""
        import polars as pl

        keys = {key for table in self._tables.values() for key in pl.Series(table["chunk_key"]).unique().to_list()}
        return [self._ledger[key] for key in sorted(keys) if is_wanted(key, dataset, window)]

    def days(self, scope: Scope) -> tuple[Day, ...]:
        """See `Sink.days`."""
        table = self._tables.get(scope.contract.kind)
        return () if table is None else days_of_rows(table.filter(rows_inside(table, scope)), scope)

    def tables(self) -> dict[str, pa.Table]:
        """What readers see, by kind."""
        return dict(self._tables)

    def replace(self, table: pa.Table, scope: Scope, progress: Progress | None) -> None:
        """Put the rows in place of what the scope held."""
        with self._lock:
            if progress is not None:
                self._step(progress)
            old = self._tables.get(scope.contract.kind)
            kept = table if old is None else pa.concat_tables([old.filter(pc.invert(rows_inside(old, scope))), table])
            self._tables[scope.contract.kind] = kept
            self._enter(table, scope)

    def _enter(self, table: pa.Table, scope: Scope) -> None:
        if (instant := ingested_at(table)) is not None:
            entry = Entry(scope.chunk, table.num_rows, instant, Provenance.of(table))
            held = Held.of(scope.chunk.key, entry.content(), instant, table=scope.contract.kind, version="")
            self._ledger[held.key] = held

    def _step(self, progress: Progress) -> None:
        if self.position(progress.group, progress.topic) != progress.before:
            raise Overtaken(f"memory: another drain of {progress.group} has read on")
        self._positions[progress.group, progress.topic] = progress.after


class _Staged:
    def __init__(self, sink: MemorySink, table: pa.Table, scope: Scope, progress: Progress | None) -> None:
        self._sink = sink
        self._progress = progress
        self._table: pa.Table | None = table
        self._scope = scope

    def commit(self) -> Written:
        """See `Staged.commit`."""
        if self._table is None:
            raise ValueError(f"{self._scope.chunk.key}: staged rows can be committed once, and not after a discard")
        table, self._table = self._table, None
        self._sink.replace(table, self._scope, self._progress)
        return Written(MemorySink.kind, self._scope.contract.kind, table.num_rows, "", durable=False)

    def discard(self) -> None:
        """See `Staged.discard`."""
        self._table = None
