"""The smallest honest store: Arrow tables in memory, for trying things out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from aurum_etl.receipt import Written

if TYPE_CHECKING:
    from aurum_etl.chunk import Scope
    from aurum_etl.settings import Settings


class MemorySink:
    """One table per kind, gone when the process ends.

    **Twice:** a second commit of the same chunk replaces its scope; readers see the old table or the new one.
    """

    kind = "memory"

    def __init__(self) -> None:
        self._tables: dict[str, pa.Table] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, _: Settings) -> Self:
        """There is nothing to set."""
        return cls()

    def open(self) -> None:
        """There is nothing to reach."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def stage(self, table: pa.Table, scope: Scope) -> _Staged:
        """See `Sink.stage`."""
        if not table.schema.equals(scope.contract.arrow_schema):
            raise ValueError(f"{scope.chunk.key}: the table's schema is not the contract's")
        return _Staged(self, table, scope)

    def tables(self) -> dict[str, pa.Table]:
        """What readers see, by kind."""
        return dict(self._tables)

    def replace(self, table: pa.Table, scope: Scope) -> None:
        """Put the rows in place of what the scope held."""
        with self._lock:
            old = self._tables.get(scope.contract.kind)
            kept = table if old is None else pa.concat_tables([old.filter(pc.invert(_inside(old, scope))), table])
            self._tables[scope.contract.kind] = kept


class _Staged:
    def __init__(self, sink: MemorySink, table: pa.Table, scope: Scope) -> None:
        self._sink = sink
        self._table: pa.Table | None = table
        self._scope = scope

    def commit(self) -> Written:
        """See `Staged.commit`."""
        if self._table is None:
            raise ValueError(f"{self._scope.chunk.key}: staged rows can be committed once, and not after a discard")
        table, self._table = self._table, None
        self._sink.replace(table, self._scope)
        return Written(MemorySink.kind, self._scope.contract.kind, table.num_rows, "", durable=False)

    def discard(self) -> None:
        """See `Staged.discard`."""
        self._table = None


def _inside(table: pa.Table, scope: Scope) -> pa.BooleanArray:
    """Which rows the scope owns."""
    start, end = (
        pa.scalar(edge, pa.timestamp("us", "UTC")) for edge in (scope.chunk.window.start, scope.chunk.window.end)
    )
    starts = table["interval_start"]
    inside = pc.and_(pc.greater_equal(starts, start), pc.less(starts, end))
    words = {**scope.equals, **({} if scope.locations is None else {"iso_location_id": scope.locations})}
    for column, values in words.items():
        inside = pc.and_(inside, pc.is_in(table[column], pa.array(values, table.schema.field(column).type)))
    return inside
