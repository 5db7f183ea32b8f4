"""The largest dataset of each ISO: bytes as answered to a canonical validated frame.

`python -m benchmarks.bench_isos [ISO…] [--repeats N] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from aurum_etl import telemetry
from benchmarks.measure import Figure, measured
from benchmarks.recordings import CASES, record


def main() -> None:
    """Measure, and print rows per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("isos", nargs="*", metavar="ISO", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    telemetry.configure("warning", as_json=False)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"polars {version('polars')}, gridstatus {version('gridstatus')}\n"
    )
    print(
        "| dataset | feed | rows | rows/s | spread | peak MB | times gridstatus | its memory | times the plain parse |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    told = []
    for name in options.isos or CASES:
        ours, peer, floor = _measured(name, options.repeats)
        case = CASES[name]
        speed, memory, parse = peer.seconds / ours.seconds, ours.peak_mb / peer.peak_mb, ours.seconds / floor.seconds
        print(
            f"| `{case.key}` | `{case.feed}` | {ours.rows:,} | {ours.rows / ours.seconds:,.0f} | {ours.spread:.0%} "
            f"| {ours.peak_mb:.0f} | {speed:.1f} | {memory:.0%} | {parse:.2f} |",
            flush=True,
        )
        told += [
            {"path": case.key, "rows": ours.rows, "seconds": ours.seconds, "yardstick": yardstick, "ratio": ratio}
            for yardstick, ratio in (("gridstatus", speed), ("memory of gridstatus", memory), ("plain parse", parse))
        ]
    if options.json:
        options.json.write_text(json.dumps(told, indent=1))


def _measured(name: str, repeats: int) -> tuple[Figure, Figure, Figure]:
    """Ours, gridstatus and the plain parse, on one recording."""
    with TemporaryDirectory() as folder:
        record(name, Path(folder))
        ours, peer, floor = (
            measured(f"{name} {each}", Path(folder), repeats) for each in ("ours", "gridstatus", "plain")
        )
    if not ours.rows == peer.rows <= floor.rows:
        raise SystemExit(f"{name}: the contenders did different work: {ours.rows}, {peer.rows} and {floor.rows} rows")
    return ours, peer, floor


if __name__ == "__main__":
    main()
