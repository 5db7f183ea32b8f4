"""What a command takes before it does anything, as whoever types it waits for it."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.race import ROOT, Contender, Race, Ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.race import Ground, Turn

_BIN = Path(sys.executable).parent


def races(ground: Ground) -> Iterator[Race]:
    """Help and status against the bare interpreter, a run of one chunk against what the peers need to be there at all."""
    home, times = str(ground.made("startup")), 11 if ground.full else 3

    def contender(name: str, *command: object, times: int = times) -> Contender:
        arguments = {"command": [str(each) for each in command], "home": home, "times": times}
        return Contender(name, "benchmarks.startup:started", arguments)

    run = ("run", ROOT / "specs/caiso_lmp.yaml", "--sim", "--from", "2026-07-14", "--to", "2026-07-15")
    yield Race(
        "start-up",
        [
            contender("aurum-etl --help", _BIN / "aurum-etl", "--help"),
            # The run goes first, so that there is a status to tell.
            contender("aurum-etl run, one chunk", _BIN / "aurum-etl", *run, times=1 + times // 4),
            contender("aurum-etl status", _BIN / "aurum-etl", "status"),
            contender("python -c pass", sys.executable, "-c", "pass"),
            contender("python, click imported", sys.executable, "-c", "import click"),
            contender("dlt --help", _BIN / "dlt", "--help", times=2),
            contender("python, gridstatus imported", sys.executable, "-c", "import gridstatus", times=2),
        ],
        [
            Ratio("aurum-etl --help", "python -c pass", at_most=3),
            Ratio("aurum-etl --help", "python, click imported"),
            Ratio("aurum-etl --help", "dlt --help"),
            Ratio("aurum-etl status", "python -c pass"),
            Ratio("aurum-etl status", "dlt --help"),
            Ratio("aurum-etl run, one chunk", "python, gridstatus imported"),
        ],
        same_rows=False,
    )


def started(command: Sequence[str], home: str, times: int) -> Callable[[], dict[str, Turn]]:
    """The command as often as it says, the first time not counted: then its files are at hand."""
    environment = {"AURUM_HOME": home, "PATH": "/usr/bin:/bin", "HOME": home, "DLT_TELEMETRY": "0"}

    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, env=environment, cwd=home, check=True, capture_output=True)
        return time.perf_counter() - began

    def work() -> dict[str, Turn]:
        once()
        seconds = statistics.median(once() for _ in range(times))
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return {"": {"rows": 0, "seconds": seconds, "peak_mb": peak_mb}}

    return work
