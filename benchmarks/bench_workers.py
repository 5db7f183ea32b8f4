"""Two workers of a Dask cluster against one, and against threads of one process, on the same chunks.

`python -m benchmarks.bench_workers [--chunks N] [--nodes N] [--repeats N] [--json FILE]`

The answers are generated beforehand and replayed, so that nothing but the engine computes. Seconds are from the first chunk
that is begun to the last that has ended: what a cluster takes to start is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aurum_etl import telemetry

if TYPE_CHECKING:
    from aurum_etl.chunk import Chunk
    from aurum_etl.receipt import Postponed, Receipt

FIRST = date(2026, 6, 1)
SPEC = "dataset: caiso_lmp\nsource: {{concurrent_chunks: {threads}}}\n"


@dataclass(frozen=True, slots=True)
class Contender:
    """Where the chunks are worked on."""

    name: str
    kind: str
    workers: int
    threads: int
    cores: int | None
    """How many cores each process may compute on; None for all that there are."""


CONTENDERS = (
    Contender("one worker, one core", "dask", 1, 1, 1),
    Contender("two workers, one core each", "dask", 2, 1, 1),
    Contender("one worker", "dask", 1, 1, None),
    Contender("two workers", "dask", 2, 1, None),
    Contender("threads of one process", "local", 1, 2, None),
)


class _Clock:
    """Notes when the first chunk was begun and the last one ended."""

    def __init__(self) -> None:
        self.begun_at = self.ended_at = 0.0

    def begun(self, _chunk: Chunk) -> None:
        self.begun_at = self.begun_at or time.perf_counter()

    def ended(self, _receipt: Receipt, _again_in: float | None) -> None:
        self.ended_at = time.perf_counter()

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Nothing is postponed here."""
        raise AssertionError(f"{postponed}, {waits}")

    def state(self, _text: str) -> None: ...


def record(home: Path, chunks: int, nodes: int) -> None:
    """Let the simulator answer for every day, and keep what it answers in the home's archive."""
    from aurum_etl.runner import Flags, run
    from aurum_etl.settings import read_settings
    from aurum_etl.simulator import Simulator

    spec = home / "spec.yaml"
    spec.write_text(SPEC.format(threads=1))
    with Simulator(nodes=nodes) as simulator:
        settings = read_settings({"AURUM_HOME": str(home), **simulator.env})
        report = run(spec, Flags(start=FIRST, end=FIRST + timedelta(chunks), sink_kinds=("memory",)), settings)
    if report.exit_code:
        raise SystemExit(f"nothing to measure with: {report.receipts[0].error}")


def work(contender: Contender, archive: Path, chunks: int) -> dict[str, float]:
    """Work on the recorded days in a home of its own; meant for a process of its own."""
    from aurum_etl import reload
    from aurum_etl.executors import Place
    from aurum_etl.runner import Flags
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks.jobs import JobState

    with TemporaryDirectory() as folder:
        home, spec, clock = Path(folder) / "home", Path(folder) / "spec.yaml", _Clock()
        home.mkdir()
        (home / "archive").symlink_to(archive)
        spec.write_text(SPEC.format(threads=contender.threads))
        settings = read_settings({"AURUM_HOME": str(home)})
        wanted = reload.Reload(place=Place(contender.kind, workers=contender.workers))
        flags = Flags(start=FIRST, end=FIRST + timedelta(chunks), replay=True)
        job = reload.begin(reload.planned(spec, flags, wanted, settings), wanted, str(spec))
        started = time.perf_counter()
        _, status = reload.go_on(reload.resumption(job.id, settings=settings), clock)
    if status.state is not JobState.COMPLETED:
        raise SystemExit(f"{contender.name}: {status.state}: {status.counts}")
    return {
        "rows": status.rows,
        "seconds": clock.ended_at - clock.begun_at,
        "start_seconds": clock.begun_at - started,
    }


def measured(number: int, archive: Path, chunks: int, repeats: int) -> dict[str, float]:
    """The contender's medians over several processes."""
    cores = CONTENDERS[number].cores
    environment = os.environ | ({} if cores is None else {"POLARS_MAX_THREADS": str(cores)})
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_workers"]
    command += ["--chunks", str(chunks), "--measure", str(number), str(archive)]
    runs = [
        json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Measure, and print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=24)
    parser.add_argument("--nodes", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("NUMBER", "ARCHIVE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    telemetry.configure("warning", as_json=False)
    if options.measure:
        print(json.dumps(work(CONTENDERS[int(options.measure[0])], Path(options.measure[1]), options.chunks)))
        return
    with TemporaryDirectory() as folder:
        record(Path(folder), options.chunks, options.nodes)
        archive = Path(folder) / "archive"
        figures = {
            each.name: measured(number, archive, options.chunks, options.repeats)
            for number, each in enumerate(CONTENDERS)
        }
    if len({figure["rows"] for figure in figures.values()}) != 1:
        raise SystemExit(f"the contenders did different work: {figures}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, polars {version('polars')}, "
        f"distributed {version('distributed')}; {options.chunks} chunks of {options.nodes:,} nodes\n"
    )
    print("| contender | rows | seconds | rows/s | seconds to start |\n| --- | --- | --- | --- | --- |")
    for name, figure in figures.items():
        rows, seconds = figure["rows"], figure["seconds"]
        print(f"| {name} | {rows:,.0f} | {seconds:.2f} | {rows / seconds:,.0f} | {figure['start_seconds']:.1f} |")
    one_core, two_cores, one, two, threads = (figures[each.name]["seconds"] for each in CONTENDERS)
    ratios = [
        ("two workers, times one, on one core each", one_core / two_cores),
        ("two workers, times one, on all cores", one / two),
        ("two workers, times threads of one process", threads / two),
    ]
    print("\n| ratio | measured |\n| --- | --- |")
    for yardstick, ratio in ratios:
        print(f"| {yardstick} | {ratio:.2f} |")
    if options.json:
        told = [{"path": "caiso_lmp backfill", "yardstick": each, "ratio": ratio} for each, ratio in ratios]
        options.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
