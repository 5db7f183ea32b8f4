"""One contender in a process of its own: `python -m benchmarks.measure CONTENDER PATH` prints one JSON line.

Seconds are of the work alone, imports left out for all alike; the peak is of the whole process.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contender took, over several processes."""

    contender: str
    rows: int
    seconds: float
    """Median."""
    spread: float
    """Slowest less fastest, as a share of the median."""
    peak_mb: float


def measured(contender: str, path: Path, repeats: int) -> Figure:
    """The contender's figure on the bytes at `path`."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.measure", contender, str(path)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)
    ]
    seconds = [run["seconds"] for run in runs]
    median = statistics.median(seconds)
    spread = (max(seconds) - min(seconds)) / median
    return Figure(contender, runs[0]["rows"], median, spread, max(run["peak_mb"] for run in runs))


def peak_mb() -> float:
    """Most memory that this process ever held.

    `ru_maxrss` will not do where there is better: Linux hands a parent's peak on to its child.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak_kib = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak_kib.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    from aurum_etl import telemetry
    from benchmarks.readers import READERS
    from benchmarks.yardsticks import CONTENDERS

    telemetry.configure("warning", as_json=False)
    work = {**CONTENDERS, **READERS}[sys.argv[1]]()
    started = time.perf_counter()
    rows = work(Path(sys.argv[2]))
    took = time.perf_counter() - started
    print(json.dumps({"rows": rows, "seconds": took, "peak_mb": peak_mb()}))
