"""Iceberg when things go wrong: kills, rivals, unknown outcomes, and homes that are none."""

from __future__ import annotations

import functools
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.contracts import LMP, Column, ColumnType
from aurum_etl.errors import CommitFailed, CommitUnknown, SinkUnavailable
from aurum_etl.receipt import Written
from aurum_etl.settings import read_settings
from aurum_etl.sinks import iceberg
from aurum_etl.sinks.iceberg import ATTEMPT, CHUNK_KEY, IcebergSink, open_catalog
from aurum_etl.sinks.iceberg.catalog import close_catalog
from tests.frames import DAY, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table

    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings

CHILD = """
import os, signal, sys
from datetime import date
from tests.frames import *
from aurum_etl.receipt import Written
from aurum_etl.settings import read_settings
from aurum_etl.sinks import iceberg
from aurum_etl.sinks.iceberg import IcebergSink
sink = IcebergSink(read_settings())
sink.open()
for number in range({chunks}):
    of = scope(LMP_DAY_AHEAD, date(2026, {month}, 1 + number))
    staged = sink.stage(rows(of, "A", price=7.0), of)
    if {kill!r} == "after stage":
        os.kill(os.getpid(), signal.SIGKILL)
    staged.commit()
    if {kill!r} == "after commit":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def child(settings: Settings, chunks: int = 1, month: int = 7, kill: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "AURUM_HOME": str(settings.home)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(chunks=chunks, month=month, kill=kill)], env=environment
    )


@pytest.fixture
def sink(settings: Settings) -> Iterator[IcebergSink]:
    opened = IcebergSink(settings)
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def table(settings: Settings) -> Table:
    catalog = open_catalog(settings)
    loaded = catalog.load_table("iso.lmp")
    close_catalog(catalog)
    return loaded


def counted(settings: Settings) -> int:
    return table(settings).scan().to_arrow().num_rows


@pytest.mark.parametrize(("kill", "rows_left"), [("after stage", 0), ("after commit", 24)])
def test_a_killed_process_leaves_all_or_nothing_and_the_next_one_leaves_one_copy(
    settings: Settings, kill: str, rows_left: int
) -> None:
    assert child(settings, kill=kill).wait(60) == -signal.SIGKILL
    assert counted(settings) == rows_left
    assert child(settings).wait(60) == 0
    assert counted(settings) == 24


def test_two_processes_that_commit_at_once_both_land(settings: Settings) -> None:
    children = [child(settings, chunks=6, month=month) for month in (6, 7)]
    assert [each.wait(120) for each in children] == [0, 0]
    assert counted(settings) == 2 * 6 * 24


def test_a_rival_that_makes_the_catalog_in_between_is_no_obstacle(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking for the namespace and making it, another process may have made it."""
    real = SqlCatalog.namespace_exists
    rivals = iter([IcebergSink(settings)])

    def looked(catalog: SqlCatalog, namespace: str) -> bool:
        there = real(catalog, namespace)
        for rival in rivals:
            rival.open()
            rival.close()
        return there

    monkeypatch.setattr(SqlCatalog, "namespace_exists", looked)
    sink = IcebergSink(settings)
    sink.open()
    sink.stage(rows(scope(), "A"), scope()).commit()
    sink.close()
    assert next(rivals, None) is None
    assert counted(settings) == 24


@pytest.mark.parametrize("already", [(), ("A", "B")], ids=["first write", "replace"])
def test_a_rival_with_the_same_chunk_leaves_one_copy(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch, already: tuple[str, ...]
) -> None:
    """What has to go is planned anew from the table as the rival left it."""
    if already:
        sink.stage(rows(scope(), *already), scope()).commit()
    rival = IcebergSink(settings)
    rival.open()
    faster = iter([rival.stage(rows(scope(), "A", "B", price=5.0), scope())])
    assert sink._catalog is not None
    real = sink._catalog.commit_table

    def beaten(*arguments: Any) -> Any:
        for staged in faster:
            staged.commit()
        return real(*arguments)

    monkeypatch.setattr(sink._catalog, "commit_table", beaten)
    sink.stage(rows(scope(), "A", price=9.0), scope()).commit()
    rival.close()
    assert table(settings).scan().to_arrow()["price_total"].to_pylist() == [9.0] * 24


def test_every_snapshot_tells_which_chunk_made_it(settings: Settings, sink: IcebergSink) -> None:
    for _ in range(2):
        sink.stage(rows(scope(), "A"), scope()).commit()
    for snapshot in table(settings).metadata.snapshots:
        assert snapshot.summary is not None
        assert snapshot.summary.additional_properties[CHUNK_KEY] == scope().chunk.key


def test_replacing_a_whole_day_rewrites_no_file(settings: Settings, sink: IcebergSink) -> None:
    for of in (scope(), scope(LMP_DAY_AHEAD, scope().chunk.window.end.date())):
        sink.stage(rows(of, "A", "B"), of).commit()
    before = {task.file.file_path for task in table(settings).scan().plan_files()}
    sink.stage(rows(scope(), "A"), scope()).commit()
    after = {task.file.file_path for task in table(settings).scan().plan_files()}
    assert (len(before - after), len(after - before)) == (1, 1)


class Faulty:
    """A catalog whose next commits fail, before or after they happened."""

    def __init__(self, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch, *faults: str) -> None:
        self.faults = list(faults)
        assert sink._catalog is not None
        self.real = sink._catalog.commit_table
        monkeypatch.setattr(sink._catalog, "commit_table", self.commit)

    def commit(self, *arguments: Any) -> Any:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "interrupt":
            self.real(*arguments)
            raise KeyboardInterrupt
        if fault == "before":
            raise ConnectionError("lost before")
        answer = self.real(*arguments)
        if fault == "after":
            raise ConnectionError("lost after")
        return answer


@pytest.mark.parametrize("fault", ["before", "after"])
def test_after_an_unknown_outcome_it_looks_and_then_acts(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    sink.stage(rows(scope(), "A"), scope()).commit()
    faulty = Faulty(sink, monkeypatch, fault)
    written = sink.stage(rows(scope(), "A", price=2.0), scope()).commit()
    assert faulty.faults == []
    loaded = table(settings)
    assert set(loaded.scan().to_arrow()["price_total"].to_pylist()) == {2.0}
    attempts = {each.summary.additional_properties[ATTEMPT] for each in loaded.metadata.snapshots if each.summary}
    assert len(attempts) == 2
    assert written.version in {str(each.snapshot_id) for each in loaded.metadata.snapshots}


def test_a_commit_that_never_succeeds_says_so_and_changes_nothing(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    Faulty(sink, monkeypatch, *["before"] * 10)
    staged = sink.stage(rows(scope(), "A"), scope())
    with pytest.raises(CommitFailed, match="lost before"):
        staged.commit()
    staged.discard()
    assert counted(settings) == 0
    assert not list((settings.home / "warehouse").rglob("*-*.parquet"))


def test_an_outcome_that_nobody_can_look_up_keeps_its_files(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be part of the table: removing them would break it."""
    staged = sink.stage(rows(scope(), "A"), scope())
    with monkeypatch.context() as patched:
        Faulty(sink, patched, "after")

        once = iter([staged.table.refresh])

        def refreshed_once() -> Table:
            for refresh in once:
                return refresh()
            raise ConnectionError("catalog gone")

        patched.setattr(staged.table, "refresh", refreshed_once)
        with pytest.raises(CommitUnknown, match="nothing doubles"):
            staged.commit()
    staged.discard()
    assert counted(settings) == 24


def test_an_interrupt_after_the_commit_keeps_its_files(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way out everything is discarded, but these files are part of the table already."""
    staged = sink.stage(rows(scope(), "A"), scope())
    Faulty(sink, monkeypatch, "interrupt")
    with pytest.raises(KeyboardInterrupt):
        staged.commit()
    staged.discard()
    assert counted(settings) == 24


def test_a_write_that_breaks_off_leaves_no_file(settings: Settings, sink: IcebergSink) -> None:
    """A full disk should not be filled further: the system itself refuses the file half way."""
    of = scope()
    given = rows(of, *(f"N{number:04}" for number in range(3000)))
    ignored, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SinkUnavailable, match=r"cannot be written to .*File too large"):
            sink.stage(given, of)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list((settings.home / "warehouse").rglob("*.parquet"))


def test_metadata_files_stay_bounded(settings: Settings, sink: IcebergSink) -> None:
    for _ in range(30):
        sink.stage(rows(scope(), "A"), scope()).commit()
    assert len(list((settings.home / "warehouse").rglob("*.metadata.json"))) <= 22


def test_a_table_of_other_columns_is_named(settings: Settings) -> None:
    settings.private_folder("warehouse")
    catalog = open_catalog(settings)
    catalog.create_namespace("iso")
    catalog.create_table("iso.lmp", rows(scope(), "A").drop_columns(["price_total"]).slice(0, 0).schema)
    close_catalog(catalog)
    with pytest.raises(SinkUnavailable, match=r"iso\.lmp .*price_total"):
        IcebergSink(settings).open()


def test_a_catalog_that_is_no_database_is_named(tmp_path: Path) -> None:
    settings = read_settings({"AURUM_HOME": str(tmp_path)})
    (tmp_path / "catalog.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(SinkUnavailable, match=r"catalog\.db cannot be opened: DatabaseError"):
        IcebergSink(settings).open()


def test_a_catalog_that_is_a_folder_is_named(settings: Settings) -> None:
    settings.private_folder("catalog.db")
    with pytest.raises(SinkUnavailable, match=r"catalog\.db cannot be opened: .*check that AURUM_HOME"):
        IcebergSink(settings).open()


@contextmanager
def as_somebody_without_rights() -> Iterator[None]:
    """Root may write anywhere, so it steps aside."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ("warehouse", r"warehouse .* cannot be written to: PermissionError.*; check that AURUM_HOME"),
        ("catalog.db", r"catalog\.db cannot be opened: OperationalError: .*readonly.*; check that AURUM_HOME"),
    ],
)
def test_what_can_only_be_read_is_refused_before_anything_is_fetched(locked: str, said: str) -> None:
    home = Path(tempfile.mkdtemp())
    try:
        sink = IcebergSink(read_settings({"AURUM_HOME": str(home)}))
        sink.open()
        sink.close()
        for path in (home, *home.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        for path in (home / locked, *(home / locked).rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with as_somebody_without_rights(), pytest.raises(SinkUnavailable, match=said):
            sink.open()
        sink.close()
    finally:
        for path in (home / locked, *(home / locked).rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(home)


def test_a_catalog_that_another_process_holds_is_named(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again is sensible, and the message says when."""
    holder = sqlite3.connect(settings.home / "catalog.db", isolation_level=None)
    holder.execute("begin immediate")
    monkeypatch.setattr("sqlite3.dbapi2.connect", functools.partial(sqlite3.connect, timeout=0.1))
    try:
        with pytest.raises(SinkUnavailable, match=r"database is locked; another process holds the catalog") as caught:
            sink.open()
    finally:
        holder.close()
    assert caught.value.retryable


@pytest.fixture
def grown() -> Contract:
    """The contract as it may be one day."""
    column = Column("price_scarcity", ColumnType.DOUBLE, "scarcity component", nullable=True)
    return replace(LMP, values=(*LMP.values, column))


def test_a_column_that_the_contract_has_grown_is_added(settings: Settings, sink: IcebergSink, grown: Contract) -> None:
    sink.stage(rows(scope(), "A", "B"), scope()).commit()
    newer = IcebergSink(settings, {"lmp": grown})
    newer.open()
    of = replace(scope(LMP_DAY_AHEAD, DAY, "B"), contract=grown)
    newer.stage(rows(of, "B", price_scarcity=3.0), of).commit()
    newer.close()
    found = table(settings).scan().to_arrow()
    assert sorted(found["price_scarcity"].to_pylist(), key=str) == [3.0] * 24 + [None] * 24
    sink.stage(rows(scope(), "A", price=2.0), scope()).commit()
    assert set(table(settings).scan().to_arrow()["price_total"].to_pylist()) == {2.0}


def test_chunks_that_are_committed_together_are_one_snapshot(settings: Settings, sink: IcebergSink) -> None:
    days = [scope(LMP_DAY_AHEAD, date(2026, 7, day)) for day in range(1, 11)]
    written = sink.commit_together([sink.stage(rows(of, "A"), of) for of in days])
    assert (
        len({each.version for each in written if isinstance(each, Written)})
        == len(table(settings).metadata.snapshots)
        == 1
    )
    assert counted(settings) == 240


def test_what_another_process_staged_is_adopted_and_committed_here(settings: Settings, sink: IcebergSink) -> None:
    elsewhere = IcebergSink(settings)
    elsewhere.open()
    staged = elsewhere.stage(rows(scope(), "A", "B"), scope())
    sent = pickle.dumps(elsewhere.handed_over(staged))
    staged.discard()
    elsewhere.close()
    with pytest.raises(ValueError, match="committed once"):
        staged.commit()
    (written,) = sink.commit_together([sink.adopt(pickle.loads(sent), scope())])
    assert isinstance(written, Written)
    assert (written.rows, counted(settings)) == (48, 48)


def test_files_of_another_table_are_not_adopted(settings: Settings, sink: IcebergSink, tmp_path: Path) -> None:
    elsewhere = IcebergSink(replace(settings, home=tmp_path / "elsewhere"))
    elsewhere.open()
    handover = elsewhere.handed_over(elsewhere.stage(rows(scope(), "A"), scope()))
    elsewhere.close()
    with pytest.raises(SinkUnavailable, match=r"another table iso\.lmp"):
        sink.adopt(handover, scope())


def test_of_chunks_that_are_committed_together_each_has_its_own_outcome(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt at the same chunk is a commit of its own: it fails, and the first is there."""
    real, commits = iceberg._commit_once, []

    def refuse_the_second(*arguments: Any) -> None:
        commits.append(arguments)
        if len(commits) > 1:
            raise CommitUnknown("iceberg: nobody knows")
        real(*arguments)

    monkeypatch.setattr(iceberg, "_commit_once", refuse_the_second)
    first, second = sink.commit_together([sink.stage(rows(scope(), "A", price=price), scope()) for price in (1.0, 2.0)])
    assert isinstance(first, Written)
    assert isinstance(second, CommitUnknown)
    assert counted(settings) == 24


def test_of_two_attempts_at_a_chunk_in_one_batch_the_later_one_stays(settings: Settings, sink: IcebergSink) -> None:
    sink.commit_together([sink.stage(rows(scope(), "A", price=price), scope()) for price in (1.0, 2.0)])
    assert table(settings).scan().to_arrow()["price_total"].to_pylist() == [2.0] * 24


def test_threads_that_commit_at_once_lose_nothing(settings: Settings, sink: IcebergSink) -> None:
    days = [scope(LMP_DAY_AHEAD, date(2026, 7, day)) for day in range(1, 17)]
    staged = [sink.stage(rows(of, "A"), of) for of in days]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda each: each.commit(), staged))) == 16
    assert counted(settings) == 16 * 24
    assert len(table(settings).metadata.snapshots) < 16


def test_named_locations_swap_their_own_file(settings: Settings, sink: IcebergSink) -> None:
    """Bounds say nothing about three names, but the chunk key's do."""
    everything, named = scope(), scope(LMP_DAY_AHEAD, DAY, "A", "C")
    sink.stage(rows(everything, "B", "D"), everything).commit()
    sink.stage(rows(named, "A", "C"), named).commit()
    before = {task.file.file_path for task in table(settings).scan().plan_files()}
    sink.stage(rows(named, "A", "C", price=2.0), named).commit()
    after = {task.file.file_path for task in table(settings).scan().plan_files()}
    assert (len(before), len(after), len(before & after)) == (2, 2, 1)


def test_whether_a_chunk_landed_is_seen_in_the_data(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some catalogs show the newest snapshot alone, and expiry cuts history off everywhere."""
    monkeypatch.setattr("aurum_etl.sinks.iceberg._snapshot", lambda *_: None)
    Faulty(sink, monkeypatch, "after")
    sink.stage(rows(scope(), "A"), scope()).commit()
    assert counted(settings) == 24
    assert len(table(settings).metadata.snapshots) == 1


def test_years_of_small_chunks_leave_few_manifests(settings: Settings, sink: IcebergSink) -> None:
    for number in range(70):
        of = scope(LMP_DAY_AHEAD, DAY + timedelta(days=number))
        sink.stage(rows(of, "A"), of).commit()
    loaded = table(settings)
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(loaded.io)) <= 33
    assert counted(settings) == 70 * 24
