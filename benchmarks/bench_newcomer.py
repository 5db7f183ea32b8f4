"""The newcomer's clock: seconds from a clone to the first rows, with an empty package cache and with a full one.

`python -m benchmarks.bench_newcomer` clones the working repository into a temporary folder and runs the README's command
there. It needs `git` and `uv`, and a package registry within reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


def first_rows(folder: Path, cache: Path) -> tuple[float, int, float]:
    """Seconds, rows, and megabytes of the environment that was made."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {"UV_CACHE_DIR": str(cache), "AURUM_HOME": str(folder / "home")}
    started = time.perf_counter()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
    done = subprocess.run(
        ["uv", "run", "--quiet", "aurum-etl", "run", "specs/caiso_lmp.yaml", "--sim", "--json"],
        cwd=folder / "clone",
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in (folder / "clone" / ".venv").rglob("*") if path.is_file())
    return seconds, json.loads(done.stdout)["rows"], size / 1e6


def main() -> None:
    """Measure cold, then warm."""
    print("| package cache | seconds from clone to rows | rows | environment MB |\n| --- | --- | --- | --- |")
    with TemporaryDirectory() as cache:
        for name in ("empty", "full"):
            with TemporaryDirectory() as folder:
                seconds, rows, size = first_rows(Path(folder), Path(cache))
            print(f"| {name} | {seconds:.1f} | {rows} | {size:.0f} |")


if __name__ == "__main__":
    main()
