"""From a clone of the repository to the first rows, against making the environment alone. It needs `git`, `uv`, and a
package registry within reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.race import ROOT, Contender, Race, Ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.race import Ground

_RUN = ("uv", "run", "--quiet", "aurum-etl", "run", "specs/caiso_lmp.yaml", "--sim", "--json")
_SYNC = ("uv", "sync", "--quiet")


def races(_ground: Ground) -> Iterator[Race]:
    """With an empty package cache, and with one that is full."""
    names = {cache: (f"to rows, cache {cache}", f"environment alone, cache {cache}") for cache in ("empty", "full")}
    yield Race(
        "clone → first rows",
        [
            Contender(
                "", "benchmarks.newcomer:cloned", {"run": list(_RUN), "names": [each[0] for each in names.values()]}
            ),
            Contender(
                "", "benchmarks.newcomer:cloned", {"run": list(_SYNC), "names": [each[1] for each in names.values()]}
            ),
        ],
        [Ratio(*each, at_most=3) for each in names.values()],
        same_rows=False,
        rounds=1,
    )


def cloned(run: list[str], names: list[str]) -> Callable[[], dict[str, Any]]:
    """A clone and what is run in it, twice with one package cache."""

    def work() -> dict[str, Any]:
        with TemporaryDirectory() as cache:
            return {name: _first(run, Path(cache)) for name in names}

    return work


def _first(run: list[str], cache: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    with TemporaryDirectory() as folder:
        environment |= {"UV_CACHE_DIR": str(cache), "AURUM_HOME": f"{folder}/home"}
        started = time.perf_counter()
        subprocess.run(["git", "clone", "-q", str(ROOT), f"{folder}/clone"], check=True)
        done = subprocess.run(run, cwd=f"{folder}/clone", env=environment, check=True, stdout=subprocess.PIPE)
        seconds = time.perf_counter() - started
    return {"rows": json.loads(done.stdout)["rows"] if done.stdout else 0, "seconds": seconds, "peak_mb": 0.0}
