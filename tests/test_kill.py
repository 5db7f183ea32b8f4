"""Killed at any point, a run and the same command again end with exactly one copy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import pytest

from aurum_etl import inspection
from aurum_etl.runner import Flags, run
from aurum_etl.watermarks import Store
from tests.frames import spec

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings

# The steps are wrapped from outside: the engine itself has no place to be killed at.
CHILD = """
import os, signal, sys
from datetime import date
from pathlib import Path
from aurum_etl.runner import Flags, run
from aurum_etl.sinks import iceberg
from aurum_etl.watermarks import Store

def kill_at(point, owner, name, *, before):
    real = getattr(owner, name)
    def step(*arguments, **named):
        if before and point == {point!r}:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*arguments, **named)
        if not before and point == {point!r}:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    setattr(owner, name, step)

kill_at("before stage", iceberg.IcebergSink, "stage", before=True)
kill_at("after stage", iceberg.IcebergSink, "stage", before=False)
kill_at("after commit", iceberg._Staged, "commit", before=False)
kill_at("after receipt", Store, "append", before=False)
one_by_one = ("source.concurrent_chunks=1",)
run(Path({spec!r}), Flags(start=date(2026, 7, 14), end=date(2026, 7, 16), overrides=one_by_one))
"""


def child(settings: Settings, path: Path, point: str) -> int:
    """How a process ends that is killed at that point of the same command."""
    environment = {**os.environ, "AURUM_HOME": str(settings.home), **settings.bases}
    code = CHILD.format(point=point, spec=str(path))
    return subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False).returncode


def counts(settings: Settings) -> tuple[int, int, int]:
    """Rows, distinct keys, and receipts."""
    connection = inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))
    row = connection.execute(
        "select count(*), count(distinct (iso_location_id, interval_start)), (select count(*) from receipts) from lmp"
    ).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("before stage", (0, 0, 0)),
        ("after stage", (0, 0, 0)),
        ("after commit", (48, 48, 0)),
        ("after receipt", (48, 48, 1)),
    ],
)
def test_a_kill_leaves_whole_days_and_the_same_command_one_copy(
    settings: Settings, tmp_path: Path, point: str, left: tuple[int, int, int]
) -> None:
    path = spec(tmp_path)
    assert child(settings, path, point) == -signal.SIGKILL
    assert counts(settings) == left
    run(path, Flags(start=date(2026, 7, 14), end=date(2026, 7, 16)), settings)
    assert counts(settings)[:2] == (96, 96)
