"""The same chunks on worker processes: the same rows and receipts, whoever dies, and never faster than a host allows."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl import reload
from aurum_etl.backfill import Rerun
from aurum_etl.errors import ClusterLost, CommitFailed, SpecError, UsageError
from aurum_etl.execute import Ending
from aurum_etl.executors import Place
from aurum_etl.executors.dask import worker
from aurum_etl.quota import Call, Limits, Terms, ledger_of
from aurum_etl.receipt import Outcome
from aurum_etl.reload import Reload
from aurum_etl.runner import Flags
from aurum_etl.settings import Settings, read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks import iceberg
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import ChunkState, JobStatus, jobs_of
from tests.frames import spec, with_variables
from tests.onlooker import Onlooker
from tests.test_runner import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from distributed import Client

    from aurum_etl.receipt import Receipt

TEXT = """
dataset: caiso_lmp
source: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND], concurrent_chunks: 2}
"""
BOTH = f"{TEXT}sinks: [{{kind: iceberg}}, {{kind: timescale}}]\n"
CHUNKS = 8
FLAGS = Flags(start=date(2026, 7, 1), end=date(2026, 7, 1) + timedelta(CHUNKS))
ROWS = CHUNKS * 48
LONG = 90
"""Seconds that a busy machine may take for what should take few."""


@dataclass
class Work:
    """A job, and what came of it."""

    settings: Settings
    folder: Path
    onlooker: Onlooker = field(default_factory=Onlooker)
    job: str = ""

    def begin(self, place: Place, text: str = TEXT, flags: Flags = FLAGS, **options: Any) -> None:
        wanted = Reload(place=place, **options)
        prepared = reload.planned(spec(self.folder, text), flags, wanted, self.settings)
        self.job = reload.begin(prepared, wanted, "spec.yaml").id

    def go_on(self) -> tuple[Ending, JobStatus]:
        return reload.go_on(reload.resumption(self.job, settings=self.settings), self.onlooker)

    def do(self, place: Place, text: str = TEXT, flags: Flags = FLAGS, **options: Any) -> tuple[Ending, JobStatus]:
        self.begin(place, text, flags, **options)
        return self.go_on()

    def rows(self) -> list[dict[str, object]]:
        return ask(self.settings, "select * exclude (ingested_at) from lmp order by all")


@pytest.fixture
def work(tmp_path: Path, settings: Settings) -> Work:
    return Work(settings, tmp_path)


OURS = Place("dask", workers=2)


def environment(**more: str) -> dict[str, str]:
    """What a machine has that knows nothing of the driver's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AURUM_")} | more


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler with two workers of one thread, which somebody else has started."""
    with started(tmp_path_factory.mktemp("cluster"), 2) as (address, _):
        yield address


@contextmanager
def started(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler, which gives a task up for the first worker that it loses, with workers of one thread: its address, and
    its process.
    """
    file = folder / "scheduler.json"
    variables = environment(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")

    def start(module: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(file), *options]
        with (folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)

    running = [start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]
    running += [
        start("dask_worker", "--host", "127.0.0.1", "--nworkers", str(workers), "--nthreads", "1", "--no-dashboard")
    ]
    from distributed import Client

    try:
        deadline = time.monotonic() + LONG
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=LONG)
            address = client.scheduler_info(n_workers=0)["address"]
        yield address, running[0]
    finally:
        for each in reversed(running):
            each.terminate()
        for each in running:
            each.wait(30)


@pytest.fixture
def outside(cluster: str) -> Iterator[Client]:
    """Somebody else who looks at the cluster."""
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=LONG)
        yield client


def told(receipt: Receipt) -> tuple[object, ...]:
    """What two receipts of the same work agree in."""
    return (
        receipt.chunk,
        receipt.outcome,
        receipt.origin,
        receipt.rows_read,
        receipt.rows_accepted,
        receipt.rows_rejected,
        receipt.attempts,
        [
            (each.sink, each.table, each.rows, each.durable)
            for each in sorted(receipt.written, key=lambda one: one.sink)
        ],
        receipt.findings,
        receipt.error,
        receipt.revision,
        set(receipt.seconds),
    )


def counted(dsn: str) -> tuple[int, int]:
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*), count(distinct (iso_location_id, interval_start)) from iso_lmp")
        row = cursor.fetchone()
    assert row is not None
    return row[0], row[1]


def receipts(settings: Settings) -> list[Receipt]:
    return Store(settings.home / "watermarks.duckdb").receipts()


def test_workers_do_what_one_process_does(
    work: Work, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMESCALE_CONNECTION", database)
    here = Work(replace(with_variables(work.settings, TIMESCALE_CONNECTION=database), home=tmp_path / "here"), tmp_path)
    assert here.do(Place(), BOTH)[0] is Ending.FINISHED
    # The driver does not know where the database is: its workers do.
    ending, status = work.do(OURS, BOTH)
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert len(work.rows()) == ROWS
    assert work.rows() == here.rows()
    assert counted(database) == (ROWS, ROWS)
    one, other = (sorted(receipts(each.settings), key=lambda receipt: receipt.chunk) for each in (work, here))
    assert [told(each) for each in one] == [told(each) for each in other]


def test_workers_recognize_what_is_in_every_store_and_load_what_is_not(
    work: Work, database: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMESCALE_CONNECTION", database)
    work.settings = with_variables(work.settings, TIMESCALE_CONNECTION=database)
    assert work.do(OURS, BOTH)[0] is Ending.FINISHED
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("delete from iso_lmp_fact where operating_date = '2026-07-03'")
        connection.commit()
    simulator.inject(Fault("missing_hour", match={"startdatetime": "20260705T07:00-0000"}))
    ending, status = work.do(OURS, BOTH, rerun=Rerun.ALL)
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert status.detail == "iceberg agrees with its receipts; timescale agrees with its receipts"
    again = receipts(work.settings)[:CHUNKS]
    assert sorted(each.chunk.window.start.day for each in again if each.unchanged_since is None) == [3, 5]
    assert (len(work.rows()), counted(database)) == (ROWS - 2, (ROWS - 2, ROWS - 2))


def test_a_chunk_that_the_driver_cannot_commit_failed_and_tells_who_took_it(
    work: Work, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMESCALE_CONNECTION", database)

    def refuse(*_: object) -> None:
        raise CommitFailed("iceberg: refused")

    monkeypatch.setattr(iceberg, "_COMMIT_ATTEMPTS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(iceberg, "_replace", refuse)
        _, status = work.do(OURS, BOTH, replace(FLAGS, end=date(2026, 7, 3)), attempts=1)
    assert status.counts == {ChunkState.FAILED: 2}
    for each in receipts(work.settings):
        assert (each.outcome, each.stores) == (Outcome.FAILED, ("timescale",))
        assert str(each.error).startswith("CommitFailed: iceberg: ")
        assert [finding.detail for finding in each.findings] == ["committed in timescale alone"]
    assert work.rows() == []
    assert not list((work.settings.home / "warehouse").rglob("*.parquet"))
    # The next run completes it in both, without doubling, wherever it works.
    here = replace(work, settings=with_variables(work.settings, TIMESCALE_CONNECTION=database))
    _, status = here.do(Place(), BOTH, replace(FLAGS, end=date(2026, 7, 3)))
    assert status.counts == {ChunkState.DONE: 2}
    assert (len(work.rows()), counted(database)) == (96, (96, 96))


def test_a_worker_that_is_killed_costs_no_chunk_and_no_attempt(work: Work, simulator: Simulator) -> None:
    simulator.inject(Fault("slow", times=4))
    lost: list[int] = []

    def kill() -> None:
        # Let the answers be on their way.
        time.sleep(1)
        lost.extend(each.pid for each in multiprocessing.active_children() if each.pid is not None)
        os.kill(lost[0], signal.SIGKILL)

    work.onlooker = Onlooker(when=4, then=kill)
    ending, status = work.do(OURS)
    assert len(lost) == 2
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert {each.attempts for each in jobs_of(work.settings).chunks(status.job)} == {1}
    assert len(receipts(work.settings)) == len({each.chunk for each in work.onlooker.receipts}) == CHUNKS
    assert len(work.rows()) == ROWS
    assert len(simulator.log) > CHUNKS
    keys = ask(work.settings, "select count(distinct (iso_location_id, interval_start)) as n from lmp")
    assert keys == [{"n": ROWS}]


def test_a_chunk_that_the_scheduler_gives_up_is_handed_to_it_again(
    work: Work, cluster: str, outside: Client, simulator: Simulator
) -> None:
    """The scheduler of these tests does so for the first worker that it loses."""
    simulator.inject(Fault("slow", times=2))

    def kill() -> None:
        time.sleep(1)
        os.kill(next(iter(outside.run(os.getpid).values())), signal.SIGKILL)

    work.onlooker = Onlooker(when=2, then=kill)
    ending, status = work.do(Place("dask", cluster))
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert len(receipts(work.settings)) == CHUNKS
    assert len(work.rows()) == ROWS


def test_a_cluster_of_the_users_does_it_and_keeps_nothing(work: Work, cluster: str, outside: Client) -> None:
    held: list[list[str]] = []
    work.onlooker = Onlooker(when=CHUNKS, then=lambda: held.extend(outside.run(worker.jobs).values()))
    ending, status = work.do(Place("dask", cluster))
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert len(work.rows()) == ROWS
    assert [len(each) for each in held] == [1, 1]
    assert list(outside.run(worker.jobs).values()) == [[], []]
    assert not any(outside.has_what().values())
    assert not any(outside.processing().values())


def test_workers_share_the_pace_with_everything_else_on_the_drivers_machine(
    work: Work, cluster: str, simulator: Simulator
) -> None:
    pace = "quota.requests_per_minute=300"
    flags = replace(FLAGS, profile="production", overrides=(pace,))
    elsewhere: list[float] = []

    def other() -> None:
        host = f"CAISO {work.settings.bases['AURUM_CAISO_BASE'].split('/')[2]}"
        limits = Limits(requests_per_minute=300)
        with closing(ledger_of(work.settings)) as ledger:
            budget = ledger.budget(Terms("caiso_load", limits=limits, host_limits=limits))
            for _ in range(4):
                budget.reserve(Call(host, "GET", "url"), threading.Event())
                elsewhere.append(time.monotonic())

    thread = threading.Thread(target=other)
    work.onlooker = Onlooker(when=4, then=thread.start)
    assert work.do(Place("dask", cluster), flags=flags)[0] is Ending.FINISHED
    thread.join()
    turns = sorted([*elsewhere, *(each.started for each in simulator.log)])
    assert len(turns) == CHUNKS + 4
    # A grant takes its time to the worker, so two may lie closer than they were given; a row of them does not.
    assert turns[-1] - turns[0] >= (len(turns) - 1) * 0.2 - 0.2
    assert all(later - earlier >= 3 * 0.2 for earlier, later in zip(turns, turns[4:], strict=False))


STEERER = """
import sys
from aurum_etl import reload
from aurum_etl.watermarks.jobs import Event
reload.steer(sys.argv[1], Event.CANCELLED)
"""


def test_who_is_told_to_stop_waits_no_longer(work: Work, cluster: str, outside: Client) -> None:
    """One request a minute: the second chunk waits for its turn, and the third was not begun."""
    flags = replace(FLAGS, profile="production", overrides=("quota.requests_per_minute=1",))
    started: list[float] = []

    def cancel() -> None:
        time.sleep(3)
        variables = environment(AURUM_HOME=str(work.settings.home))
        # The job may be over before the process that steers it is.
        started.append(time.monotonic())
        subprocess.run([sys.executable, "-c", STEERER, work.job], env=variables, check=True)

    work.onlooker = Onlooker(when=2, then=lambda: threading.Thread(target=cancel).start())
    ending, status = work.do(Place("dask", cluster), flags=flags)
    assert ending is Ending.CANCELLED
    assert time.monotonic() - started[0] < 60
    assert [each.outcome for each in work.onlooker.receipts] == [Outcome.DONE]
    assert status.counts[ChunkState.DONE] == 1
    assert ChunkState.FAILED not in status.counts
    assert list(outside.run(worker.jobs).values()) == [[], []]


DRIVER = """
import sys
from aurum_etl import reload
if __name__ == "__main__":
    reload.go_on(reload.resumption(sys.argv[1]))
"""


def test_a_driver_that_is_killed_holds_no_worker_up(work: Work, cluster: str, outside: Client, tmp_path: Path) -> None:
    flags = replace(FLAGS, profile="production", overrides=("quota.requests_per_minute=1",))
    work.begin(Place("dask", cluster), flags=flags)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    variables = environment(AURUM_HOME=str(work.settings.home), **work.settings.bases)
    driver = subprocess.Popen([sys.executable, str(script), work.job], env=variables)

    def at_work() -> int:
        return sum(outside.run(lambda dask_worker: len(dask_worker.active_threads)).values())

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.5)

    # The first has its turn and ends; two others wait for theirs.
    until(lambda: len(receipts(work.settings)) == 1 and at_work() == 2)
    driver.kill()
    driver.wait()
    until(lambda: at_work() == 0)
    assert len(receipts(work.settings)) == 1


def test_a_scheduler_that_is_gone_ends_the_run_in_words_and_another_cluster_goes_on(
    work: Work, tmp_path: Path, cluster: str
) -> None:
    with started(tmp_path, 1) as (address, scheduler):
        work.onlooker = Onlooker(when=3, then=scheduler.kill)
        began = time.monotonic()
        with pytest.raises(ClusterLost, match=re.escape(address)):
            work.do(Place("dask", address))
        assert time.monotonic() - began < LONG
    left = reload.resumption(work.job, settings=work.settings)
    done = len(receipts(work.settings))
    assert len(left.prepared.plan.chunks) == CHUNKS - done
    elsewhere = replace(left, reload=replace(left.reload, place=Place("dask", cluster)))
    ending, status = reload.go_on(elsewhere, Onlooker())
    assert (ending, status.counts) == (Ending.FINISHED, {ChunkState.DONE: CHUNKS})
    assert len(work.rows()) == ROWS


def test_no_secret_and_no_connection_travels(work: Work) -> None:
    secret = "not-to-be-sent"
    settings = with_variables(work.settings, TIMESCALE_CONNECTION=f"postgresql://u:{secret}@h/d", PJM_API_KEY=secret)
    prepared = reload.planned(spec(work.folder, TEXT), FLAGS, Reload(), settings)
    job = worker.Job("job", prepared.equipment, str(settings.home), None)
    sent = pickle.dumps((job, prepared.plan.chunks[0].chunk))
    assert pickle.loads(sent) == (job, prepared.plan.chunks[0].chunk)
    assert secret.encode() not in sent


def test_a_worker_that_lacks_a_setting_is_told_before_anything_is_fetched(
    work: Work, cluster: str, simulator: Simulator
) -> None:
    with pytest.raises(SpecError, match=r"worker tcp://127\.0\.0\.1:\d+: timescale: TIMESCALE_CONNECTION is not set"):
        work.do(Place("dask", cluster), BOTH)
    assert simulator.log == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://"])
def test_a_scheduler_that_does_not_answer_is_named(work: Work, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aurum_etl.executors.dask._CONNECT_SECONDS", 1)
    with pytest.raises(UsageError, match=f'--scheduler: no scheduler answers at "{address}"'):
        work.do(Place("dask", address))


def test_a_missing_extra_tells_how_to_install_it(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'aurum-etl\[dask\]'"):
        work.do(OURS)


def test_a_home_is_the_drivers_only_where_the_worker_has_none(tmp_path: Path) -> None:
    assert read_settings({}, home=tmp_path / "driver").home == tmp_path / "driver"
    assert read_settings({"AURUM_HOME": str(tmp_path)}, home=tmp_path / "driver").home == tmp_path
