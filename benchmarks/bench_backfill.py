"""A year of day-ahead prices as one backfill: what a chunk costs after many others, in time and in memory.

`python -m benchmarks.bench_backfill [--days N] [--nodes N] [--json FILE]`

A simulator answers once, into the archive; what is measured is the backfill of those answers into Iceberg, in a process of its
own. The yardstick of the last tenth of the chunks is the first tenth of the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aurum_etl import telemetry
from aurum_etl.reload import Reload, begin, go_on, planned, resumption
from aurum_etl.runner import Flags
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Simulator
from benchmarks.measure import peak_mb

if TYPE_CHECKING:
    from aurum_etl.chunk import Chunk
    from aurum_etl.receipt import Postponed, Receipt

SPEC = Path(__file__).parent.parent / "specs/caiso_lmp.yaml"
FIRST = date(2025, 1, 1)
TENTHS = 10


@dataclass
class Tenths:
    """Looks on, and takes the measure of each tenth of the chunks."""

    chunks: int
    started: float = field(default_factory=time.perf_counter)
    ended_chunks: int = 0
    commits: list[float] = field(default_factory=list)
    told: list[dict[str, float]] = field(default_factory=list)
    rows: int = 0

    def begun(self, chunk: Chunk) -> None:
        """See `Watcher`."""

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Nothing is postponed here."""
        raise AssertionError(f"{postponed}, {waits}")

    def state(self, text: str) -> None:
        """See `Watcher`."""

    def ended(self, receipt: Receipt, _again_in: float | None) -> None:
        """See `Watcher`."""
        self.ended_chunks += 1
        self.rows += receipt.rows_committed
        self.commits.append(receipt.seconds.get("commit", 0.0))
        if self.ended_chunks * TENTHS // self.chunks == len(self.told):
            return
        now, size = time.perf_counter(), len(self.commits)
        self.told.append(
            {"seconds": (now - self.started) / size, "commit": mean(self.commits), "peak_mb": peak_mb(), **_metadata()}
        )
        self.started, self.commits = now, []
        # The peak begins anew with what is held now.
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Measure, and print the first tenth beside the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measured-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    telemetry.configure("error", as_json=False)
    flags = Flags(start=FIRST, end=FIRST + timedelta(options.days), overrides=("source.nodes=ALL",))
    if options.measured_here:
        _measure(flags)
        return
    with TemporaryDirectory() as home, Simulator(nodes=options.nodes) as simulator:
        environment = {"AURUM_HOME": home, **simulator.env}
        _carry_out(Flags(flags.start, flags.end, overrides=flags.overrides, sink_kinds=("memory",)), environment)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_backfill", "--days", str(options.days)]
        done = subprocess.run(
            [*command, "--measured-here"], env={**os.environ, **environment}, check=True, capture_output=True, text=True
        )
    told = json.loads(done.stdout)
    _print(told, options.nodes)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1))


def _carry_out(flags: Flags, environment: dict[str, str]) -> None:
    """Fetch everything, some days at a time, since what goes into memory stays there until a job ends."""
    assert flags.start
    assert flags.end
    settings = read_settings(environment)
    day = flags.start
    while day < flags.end:
        until = min(day + timedelta(20), flags.end)
        part = Flags(day, until, overrides=flags.overrides, sink_kinds=flags.sink_kinds)
        job = begin(planned(SPEC, part, Reload(), settings), Reload(), str(SPEC))
        go_on(resumption(job.id, settings=settings))
        day = until


def _measure(flags: Flags) -> None:
    settings = read_settings()
    replay = Flags(flags.start, flags.end, overrides=flags.overrides, sink_kinds=("iceberg",), replay=True)
    job = begin(planned(SPEC, replay, Reload(), settings), Reload(), str(SPEC))
    resumed = resumption(job.id, settings=settings)
    watcher = Tenths(len(resumed.prepared.plan.chunks))
    started = time.perf_counter()
    _, status = go_on(resumed, watcher)
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "state": status.state.value,
                "chunks": status.chunks,
                "rows": watcher.rows,
                "seconds": seconds,
                "received_mb": status.bytes / 1e6,
                "tenths": watcher.told,
            }
        )
    )


def _metadata() -> dict[str, float]:
    """Size of the table's newest metadata, and how many manifests there are in all."""
    folder = read_settings().home / "warehouse/iso/lmp/metadata"
    newest = max(folder.glob("*.metadata.json"))
    return {"metadata_kb": newest.stat().st_size / 1000}


def _print(told: dict[str, object], nodes: int) -> None:
    rows, seconds, chunks, tenths = told["rows"], told["seconds"], told["chunks"], told["tenths"]
    assert isinstance(rows, int)
    assert isinstance(seconds, float)
    assert isinstance(tenths, list)
    first, last = tenths[0], tenths[-1]
    print(f"{platform.machine()}, {os.cpu_count()} cores, {chunks} chunks of {nodes:,} nodes: {told['state']}\n")
    print(f"{rows:,} rows in {seconds:.0f} s: {rows / seconds:,.0f} rows/s; {told['received_mb']:.0f} MB of answers\n")
    print("| of a chunk | first tenth | last tenth | last / first | aim |")
    print("| --- | --- | --- | --- | --- |")
    for name, words, aim in (
        ("seconds", "seconds, wall", "flat"),
        ("commit", "seconds in commit", "flat"),
        ("peak_mb", "peak MB", "≤ 1.1"),
        ("metadata_kb", "kB of table metadata", "flat"),
    ):
        print(f"| {words} | {first[name]:.3g} | {last[name]:.3g} | {last[name] / first[name]:.2f} | {aim} |")
    print("\nby tenths, seconds / of them in commit / peak MB:", end=" ")
    print(", ".join(f"{each['seconds']:.2f}/{each['commit']:.3f}/{each['peak_mb']:.0f}" for each in tenths))


if __name__ == "__main__":
    main()
