"""Fetch what the servers of the tests are made of: `python -m tests.services [--demand]`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.services import FETCHES, Missing


def _fetch(name: str) -> str:
    try:
        FETCHES[name]()
    except Missing as error:
        return f"{name}: not to be had: {error}"
    return f"{name}: ready"


if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        lines = list(pool.map(_fetch, FETCHES))
    print("\n".join(lines))  # noqa: T201 - a command
    if "--demand" in sys.argv and not all(line.endswith("ready") for line in lines):
        sys.exit(1)
