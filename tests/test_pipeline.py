"""The middle of the engine: rows into all stores at the same time, or into none."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from aurum_etl.errors import SinkUnavailable
from aurum_etl.pipeline import _stage
from aurum_etl.sinks.memory import MemorySink
from tests.frames import rows, scope

if TYPE_CHECKING:
    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.sinks.base import Progress, Staged


class Meeting(MemorySink):
    """A store that takes rows when the others do, and notes what became of them."""

    def __init__(self, together: threading.Barrier) -> None:
        super().__init__()
        self._together = together
        self.staged: list[Staged] = []

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> Staged:  # type: ignore[override]
        self._together.wait(30)
        self.staged.append(super().stage(table, scope, progress))
        return self.staged[-1]


class Broken(MemorySink):
    """A store that takes nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def stage(self, *_: object) -> Staged:  # type: ignore[override]
        raise SinkUnavailable(f"{self._name} cannot be reached")


def test_rows_go_to_all_stores_at_the_same_time() -> None:
    together = threading.Barrier(3)
    stores = [Meeting(together) for _ in range(3)]
    with ExitStack() as undo:
        staged = _stage(stores, rows(scope(), "A"), scope(), undo)
        assert [each.commit().rows for each in staged] == [24, 24, 24]
        undo.pop_all()
    assert all(store.tables()["lmp"].num_rows == 24 for store in stores)


def test_what_one_store_took_is_discarded_where_another_does_not_take_it() -> None:
    took = Meeting(threading.Barrier(1))
    with pytest.raises(SinkUnavailable, match="the first cannot be reached"), ExitStack() as undo:
        _stage([took, Broken("the first"), Broken("the second")], rows(scope(), "A"), scope(), undo)
    (staged,) = took.staged
    with pytest.raises(ValueError, match="not after a discard"):
        staged.commit()
    assert took.tables() == {}
