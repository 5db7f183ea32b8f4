"""The record of what is done."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.errors import WatermarkError
from aurum_etl.receipt import Finding, Origin, Outcome, Receipt, Severity, Written
from aurum_etl.watermarks import Store, file
from aurum_etl.window import Window, market_day, merge
from tests.frames import PACIFIC

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_lower_revisions_are_asked_for_again_and_higher_ones_are_known(store: Store) -> None:
    for number, mark in enumerate(("FINAL", "PRELIM", "")):
        store.append(replace(receipt(day(number)), revision=mark))
    assert settled(store) == [Window(day(0).start, day(2).end)]
    assert store.settled("caiso_lmp", Selection(ALL), ["iceberg"], simulated=False, lower=["PRELIM"]) == [
        day(0),
        day(2),
    ]
    assert store.of_revisions("caiso_lmp", ["FINAL"]) == {Selection(ALL): [day(0)]}
    assert [each.revision for each in store.receipts()] == ["", "PRELIM", "FINAL"]


_OF_2, _OF_3 = ("bytes", "days", "job"), ("content", "unchanged_since")
"""Columns that a record of that version lacked yet."""


@pytest.mark.parametrize(("version", "lacks"), [(1, ("revision", *_OF_2, *_OF_3)), (2, (*_OF_2, *_OF_3)), (3, _OF_3)])
def test_a_record_of_an_older_version_is_read_on(store: Store, version: int, lacks: tuple[str, ...]) -> None:
    store.append(receipt(day(0)))
    with duckdb.connect(str(store.path)) as connection:
        for column in lacks:
            connection.execute(f"alter table receipts drop column {column}")
        for table in ("jobs", "job_chunks", "job_events"):
            connection.execute(f"drop table {table}")
        connection.execute("update meta set version = ?", [version])
    assert settled(store) == [day(0)]
    store.append(replace(receipt(day(1)), revision="FINAL"))
    assert [each.revision for each in store.receipts()] == ["FINAL", ""]


def test_where_only_the_newest_is_served_a_day_counts_with_anything_of_it(store: Store) -> None:
    for number in (0, 2):
        noon = day(number).start + timedelta(hours=12, seconds=7)
        store.append(receipt(Window(noon, noon + timedelta(microseconds=1))))
    (status,) = store.status(lambda _: PACIFIC, {"caiso_lmp"})
    assert (status.covered_days, status.missing_days) == (2, (date(2026, 3, 2),))
    (status,) = store.status(lambda _: PACIFIC)
    assert status.covered_days == 0


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


def test_a_simulation_may_not_replace_what_one_store_took_of_a_failed_chunk(store: Store) -> None:
    """The first store had committed the ISO's rows before the second refused: they are there, if not done."""
    half = replace(
        receipt(day(0), Outcome.FAILED), written=(Written("iceberg", "iso.lmp", 5, "9"),), error="SinkUnavailable: x"
    )
    store.append(half)
    assert (settled(store), store.published("caiso_lmp")) == ([], [day(0)])
    store.append(receipt(day(5), sinks=("memory",)))
    assert store.published("caiso_lmp") == [day(0)], "memory keeps nothing that could be replaced"


SELECTIONS = [Selection(ALL), Selection("DLAP"), Selection.named(["A", "B", "C"]), Selection.named(["B"])]
RUNS = st.tuples(
    st.integers(0, 40),
    st.integers(1, 9),
    st.sampled_from(list(Outcome)),
    st.sampled_from(SELECTIONS),
    st.sampled_from([Origin.LIVE, Origin.SIMULATOR]),
    st.sampled_from([("iceberg",), ("memory",), ("kafka", "iceberg")]),
)


def hours(windows: list[Window]) -> set[int]:
    return {
        (window.start - day(0).start) // timedelta(hours=1) + each
        for window in windows
        for each in range(window.duration // timedelta(hours=1))
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(RUNS, max_size=8), st.sampled_from(SELECTIONS), st.booleans(), st.sampled_from([("iceberg",), ("kafka",)])
)
def test_settled_hours_are_those_of_the_receipts(
    runs: list[tuple[int, int, Outcome, Selection, Origin, tuple[str, ...]]],
    asked: Selection,
    simulated: bool,
    stores: tuple[str, ...],
) -> None:
    """Islands made in SQL are the same as plain sets of hours, whatever overlaps, touches or repeats."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "w.duckdb")
        expected: set[int] = set()
        for start, length, outcome, selection, origin, sinks in runs:
            first = day(0).start + timedelta(hours=start)
            store.append(
                receipt(Window(first, first + timedelta(hours=length)), outcome, selection, origin=origin, sinks=sinks)
            )
            kept = outcome is Outcome.EMPTY or (
                outcome is not Outcome.FAILED and set(stores) <= set(sinks) - {"memory"}
            )
            if kept and selection.covers(asked) and (simulated or origin is Origin.LIVE):
                expected |= set(range(start, start + length))
        found = store.settled("caiso_lmp", asked, stores, simulated=simulated)
        assert hours(found) == expected
        assert found == merge(found), "the fewest windows, in order"
        first_islands = {each["selection"]: each for each in store.tables()["watermarks"].to_pylist()}
        for status in store.status(lambda _: PACIFIC):
            assert status.watermark == first_islands.get(status.selection, {}).get("watermark")


@contextmanager
def another_process_holding(path: Path) -> Iterator[IO[bytes]]:
    """DuckDB's lock is between processes, so only a real one will do; closing what is given lets go."""
    code = f"import duckdb, sys; held = duckdb.connect({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder.stdin
        finally:
            holder.stdin.close()


def test_who_meets_a_lock_waits(store: Store) -> None:
    """DuckDB lets one process hold the file: `status` must answer while a run goes on."""
    store.append(receipt(day(0)))
    with another_process_holding(store.path) as held:
        release = threading.Timer(0.7, held.close)
        release.start()
        assert len(store.receipts()) == 1
        release.join()


def test_a_lock_that_stays_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is in order then, so nobody is told to move it away."""
    store.append(receipt(day(0)))
    monkeypatch.setattr(file, "LOCK_SECONDS", 0.3)
    with another_process_holding(store.path), pytest.raises(WatermarkError, match="another process") as caught:
        store.receipts()
    assert "store rebuild" not in str(caught.value)
    assert len(store.receipts()) == 1


def test_processes_that_append_at_once_lose_nothing(store: Store) -> None:
    """Two runs of different specs share one store, and both begin with no file there."""
    code = (
        "import sys; from pathlib import Path; from aurum_etl.watermarks import Store; "
        "from tests.test_watermarks import day, receipt; "
        f"[Store(Path({str(store.path)!r})).append(receipt(day(int(sys.argv[1]) + n))) for n in range(5)]"
    )
    root = Path(__file__).parents[1]
    writers = [subprocess.Popen([sys.executable, "-c", code, str(5 * each)], cwd=root) for each in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert sorted(each.chunk.window for each in store.receipts()) == [day(number) for number in range(15)]
    assert [each["number"] for each in store.tables()["receipts"].to_pylist()] == list(range(1, 16))


def test_threads_that_append_at_once_lose_nothing(store: Store) -> None:
    """They share the lock that keeps other processes out."""

    def append(first: int) -> None:
        for number in range(5):
            Store(store.path).append(receipt(day(first + number)))

    threads = [threading.Thread(target=append, args=(5 * each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each["number"] for each in store.tables()["receipts"].to_pylist()] == list(range(1, 21))
    assert len({each.chunk for each in store.receipts()}) == 20


@pytest.mark.parametrize("content", [b"no database at all", b"\0" * 20_000])
def test_a_damaged_file_is_told_with_the_way_out(store: Store, content: bytes) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(WatermarkError, match="store rebuild"):
        store.receipts()
    assert store.path.read_bytes() == content


def test_damage_is_never_taken_for_a_lock(tmp_path: Path) -> None:
    """Both messages can have the word in them: here the folder's name, and the damaged "block" of the file."""
    store = Store(tmp_path / "lock" / "watermarks.duckdb")
    store.append(receipt(day(0)))
    content = bytearray(store.path.read_bytes())
    content[3 * 4096 : 3 * 4096 + 600] = b"\xff" * 600
    store.path.write_bytes(content)
    with pytest.raises(WatermarkError, match="store rebuild") as caught:
        store.receipts()
    assert "another process" not in str(caught.value)


@pytest.mark.parametrize(
    "theirs",
    [
        "create table theirs (x integer)",
        "create view theirs as select 1",
        "create table meta (x integer); create table receipts (y integer)",
    ],
)
def test_a_database_of_somebody_else_is_left_alone(store: Store, theirs: str) -> None:
    store.path.parent.mkdir()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute(theirs)
    content = store.path.read_bytes()
    for attempt in (store.receipts, lambda: store.append(receipt(day(0)))):
        with pytest.raises(WatermarkError, match=r"another application; `aurum-etl store rebuild`"):
            attempt()
    assert store.path.read_bytes() == content


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WatermarkError, match="cannot be created"):
        Store(tmp_path / "file" / "watermarks.duckdb").append(receipt(day(0)))


def test_a_store_of_another_version_is_left_alone(store: Store) -> None:
    store.append(receipt(day(0)))
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("update meta set version = 99")
    with pytest.raises(WatermarkError, match="99"):
        store.receipts()
