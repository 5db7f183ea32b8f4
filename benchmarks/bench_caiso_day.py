"""CAISO, all nodes of one day-ahead day: zip bytes to a canonical validated frame.

`python -m benchmarks.bench_caiso_day [--repeats N] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.frames import caiso_day
from benchmarks.measure import measured


def main() -> None:
    """Measure, and print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = caiso_day(Path(folder))
        ours, peer, floor = (measured(each, path, options.repeats) for each in ("aurum", "gridstatus", "plain_scan"))
    if not ours.rows == peer.rows == floor.rows / 5:
        raise SystemExit(f"the contenders did different work: {ours.rows}, {peer.rows} and {floor.rows} rows")
    aims = [
        ("speed, times gridstatus", peer.seconds / ours.seconds, "≥ 8", peer.seconds / ours.seconds >= 8),
        ("peak memory, share of gridstatus", ours.peak_mb / peer.peak_mb, "≤ 0.5", ours.peak_mb <= peer.peak_mb / 2),
        ("time, times plain unzip + scan", ours.seconds / floor.seconds, "≤ 2", ours.seconds <= 2 * floor.seconds),
    ]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, polars {version('polars')}\n"
    )
    print("| contender | rows | seconds (median) | spread | peak MB |\n| --- | --- | --- | --- | --- |")
    for each in (ours, peer, floor):
        print(f"| {each.contender} | {each.rows:,} | {each.seconds:.2f} | {each.spread:.0%} | {each.peak_mb:.0f} |")
    print("\n| ratio | measured | aim | met |\n| --- | --- | --- | --- |")
    for name, ratio, aim, met in aims:
        print(f"| {name} | {ratio:.2f} | {aim} | {'yes' if met else 'no'} |")
    if options.json:
        rows = [
            {"path": "caiso_lmp day", "yardstick": name, "ratio": ratio, "aim": aim, "met": met}
            for name, ratio, aim, met in aims
        ]
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
