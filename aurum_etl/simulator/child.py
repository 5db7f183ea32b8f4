"""The simulator in a process of its own, so that it takes nothing from the run that it serves."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running(*options: str) -> Iterator[dict[str, str]]:
    """The variables that point a run at a simulator which lives as long as the context, or this process.

    The child ends when its standard input does, so even a killed parent leaves none behind.
    """
    command = [sys.executable, "-m", "aurum_etl", "simulate", "--attached", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdin is not None  # noqa: S101 - they were asked for
        assert child.stdout is not None  # noqa: S101
        try:
            env = {}
            for line in child.stdout:
                if not line.strip():
                    break
                name, _, value = line.strip().removeprefix("export ").partition("=")
                env[name] = value
            if not env:
                raise RuntimeError(f"the simulator did not start (exit code {child.wait(10)})")
            yield env
        finally:
            child.stdin.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
