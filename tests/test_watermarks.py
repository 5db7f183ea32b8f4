"""The record of what is done."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.errors import WatermarkError
from aurum_etl.receipt import Finding, Origin, Outcome, Receipt, Severity, Written
from aurum_etl.watermarks import Store
from aurum_etl.window import Window, market_day
from tests.frames import PACIFIC

NOW = datetime(2026, 7, 20, 12, 0, 0, 123456, tzinfo=UTC)


def receipt(
    window: Window,
    outcome: Outcome = Outcome.DONE,
    selection: Selection | None = None,
    origin: Origin = Origin.LIVE,
    sinks: tuple[str, ...] = ("iceberg",),
) -> Receipt:
    took = outcome in (Outcome.DONE, Outcome.QUARANTINED)
    return Receipt(
        chunk=Chunk("caiso_lmp", selection or Selection(ALL), window),
        origin=origin,
        outcome=outcome,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1),
        rows_read=7,
        rows_accepted=5,
        rows_rejected=2 if outcome is Outcome.QUARANTINED else 0,
        attempts=1,
        seconds={"fetch": 0.5},
        written=tuple(Written(kind, "iso.lmp", 5, "9", kind != "memory") for kind in sinks) if took else (),
        findings=(Finding("intervals_are_published", Severity.WARNING, 1, "one hour"),),
        error="SourceChanged: x" if outcome is Outcome.FAILED else None,
    )


def day(number: int) -> Window:
    return market_day(date(2026, 3, 1) + timedelta(number), PACIFIC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "w" / "watermarks.duckdb")


def settled(store: Store, selection: Selection | None = None, *, simulated: bool = False) -> list[Window]:
    return store.settled("caiso_lmp", selection or Selection(ALL), ["iceberg"], simulated=simulated)


def test_a_receipt_is_read_back_as_it_was(store: Store) -> None:
    given_one = receipt(day(0), Outcome.QUARANTINED, Selection.named(["Ä", "B"]))
    store.append(given_one)
    assert store.receipts() == [given_one]


def test_asking_leaves_no_file_behind(store: Store) -> None:
    assert (store.status(lambda _: PACIFIC), settled(store), store.receipts()) == ([], [], [])
    assert store.tables()["receipts"].num_rows == 0
    assert not store.path.exists()


def test_the_file_is_private(store: Store) -> None:
    store.append(receipt(day(0)))
    assert store.path.stat().st_mode & 0o077 == 0


def test_a_gap_holds_the_watermark_back(store: Store) -> None:
    for number, outcome in enumerate([Outcome.DONE, Outcome.EMPTY, Outcome.FAILED, Outcome.DONE]):
        store.append(receipt(day(number), outcome))
    (status,) = store.status(lambda _: PACIFIC)
    assert status.watermark == day(1).end
    assert (status.covered_days, status.missing_days) == (3, (date(2026, 3, 3),))
    assert [key for key, _ in status.failed] == [receipt(day(2)).chunk.key]
    assert store.tables()["watermarks"].to_pylist()[0]["watermark"] == day(1).end
    store.append(receipt(day(2)))
    (status,) = store.status(lambda _: PACIFIC)
    assert (status.watermark, status.failed, status.missing_days) == (day(3).end, (), ())
    assert status.rows == 15


def test_a_later_failure_is_shown_and_unsettles_nothing(store: Store) -> None:
    """The stores still hold what the earlier run wrote."""
    store.append(receipt(day(0)))
    store.append(receipt(day(0), Outcome.FAILED))
    assert settled(store) == [day(0)]
    assert len(store.status(lambda _: PACIFIC)[0].failed) == 1


def test_part_of_a_day_is_not_the_day(store: Store) -> None:
    store.append(receipt(Window(day(0).start, day(0).start + timedelta(hours=3))))
    (status,) = store.status(lambda _: PACIFIC)
    assert (status.covered_days, status.missing_days) == (0, (date(2026, 3, 1),))


def test_three_nodes_done_is_not_the_day_done(store: Store) -> None:
    three = Selection.named(["A", "B", "C"])
    store.append(receipt(day(0), selection=three))
    assert settled(store) == []
    assert settled(store, Selection.named(["B"])) == [day(0)]
    store.append(receipt(day(1)))
    assert settled(store, three) == [Window(day(0).start, day(1).end)]


def test_invented_data_never_passes_for_done(store: Store) -> None:
    store.append(receipt(day(0), origin=Origin.SIMULATOR))
    assert settled(store) == []
    assert settled(store, simulated=True) == [day(0)]
    assert store.published("caiso_lmp") == []


def test_only_what_a_durable_store_of_the_spec_holds_is_settled(store: Store) -> None:
    store.append(receipt(day(0), sinks=("memory",)))
    assert settled(store) == []
    store.append(receipt(day(1), sinks=("kafka",)))
    assert settled(store) == []
    store.append(receipt(day(2), sinks=("kafka", "iceberg")))
    store.append(receipt(day(3), Outcome.EMPTY))
    assert settled(store) == [Window(day(2).start, day(3).end)]


HOURS = st.tuples(st.integers(0, 40), st.integers(1, 9), st.sampled_from(list(Outcome)))


@settings(max_examples=25, deadline=None)
@given(st.lists(HOURS, max_size=8))
def test_settled_hours_are_those_of_the_receipts(spans: list[tuple[int, int, Outcome]]) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "w.duckdb")
        expected: set[datetime] = set()
        for start, length, outcome in spans:
            first = day(0).start + timedelta(hours=start)
            store.append(receipt(Window(first, first + timedelta(hours=length)), outcome))
            if outcome is not Outcome.FAILED:
                expected |= {first + timedelta(hours=each) for each in range(length)}
        found = {
            window.start + timedelta(hours=each)
            for window in settled(store)
            for each in range(window.duration // timedelta(hours=1))
        }
        assert found == expected


def test_who_meets_a_lock_waits(store: Store) -> None:
    """DuckDB lets one process hold the file: `status` must answer while a run goes on."""
    store.append(receipt(day(0)))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb, sys; c = duckdb.connect({str(store.path)!r}); print(); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        holder.stdout.readline()
        release = threading.Timer(0.7, holder.stdin.close)
        release.start()
        assert len(store.receipts()) == 1
        release.join()


@pytest.mark.parametrize("content", [b"no database at all", b"\0" * 20_000])
def test_a_damaged_file_is_told_with_the_way_out(store: Store, content: bytes) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(WatermarkError, match="move the file away"):
        store.receipts()
    assert store.path.read_bytes() == content


def test_a_database_of_somebody_else_is_left_alone(store: Store) -> None:
    store.path.parent.mkdir()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("create table theirs (x integer)")
    with pytest.raises(WatermarkError, match="another application"):
        store.append(receipt(day(0)))


def test_a_store_of_another_version_is_left_alone(store: Store) -> None:
    store.append(receipt(day(0)))
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("update meta set version = 99")
    with pytest.raises(WatermarkError, match="99"):
        store.receipts()
