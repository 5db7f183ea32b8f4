"""What is true of the store in memory alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.sinks.memory import MemorySink
from tests.frames import rows, scope


def test_a_reader_keeps_the_tables_that_it_was_given() -> None:
    """A later commit makes new tables; it does not change those that someone is looking at."""
    sink = MemorySink()
    sink.stage(rows(scope(), "A"), scope()).commit()
    seen = sink.tables()
    sink.stage(rows(scope(), "A", "B", price=2.0), scope()).commit()
    assert (seen["lmp"].num_rows, sink.tables()["lmp"].num_rows) == (24, 48)


def test_threads_that_commit_at_once_all_land() -> None:
    """Reading the old table and putting the new one in its place is one step."""
    sink = MemorySink()
    scopes = [scope(LMP_DAY_AHEAD, date(2026, month, day)) for month in (5, 6, 7) for day in range(1, 29)]
    staged = [sink.stage(rows(of, "A"), of) for of in scopes]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: each.commit(), staged))
    assert sink.tables()["lmp"].num_rows == 24 * len(scopes)


def test_what_was_discarded_cannot_be_committed() -> None:
    """Nothing is left to commit, and answering with zero rows would be a lie."""
    sink = MemorySink()
    staged = sink.stage(rows(scope(), "A"), scope())
    staged.discard()
    with pytest.raises(ValueError, match="not after a discard"):
        staged.commit()
    assert sink.tables() == {}
