"""Turns at a host: no faster than it lets itself be asked, whoever asks, and the more urgent first."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from aurum_etl.errors import Stopped
from aurum_etl.quota import BACKFILL, LIVE, HostBudget

if TYPE_CHECKING:
    from pathlib import Path

NEVER = threading.Event()

ANOTHER = """
import sys, threading, time
from pathlib import Path
from aurum_etl.quota import HostBudget
budget = HostBudget(Path(sys.argv[1]), "iso", 300, int(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    budget.wait(threading.Event())
    print(time.time(), flush=True)
"""


def another(folder: Path, urgency: int, turns: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(folder), str(urgency), str(turns)], stdout=subprocess.PIPE, text=True
    )


def told(process: subprocess.Popen[str]) -> list[float]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [float(line) for line in out.splitlines()]


def test_processes_and_threads_share_the_turns_of_a_host(tmp_path: Path) -> None:
    processes = [another(tmp_path, BACKFILL, 5) for _ in range(2)]
    budget, mine = HostBudget(tmp_path, "iso", 300, BACKFILL), []

    def ask() -> None:
        for _ in range(3):
            budget.wait(NEVER)
            mine.append(time.time())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turns = sorted([*mine, *(turn for process in processes for turn in told(process))])
    budget.close()
    assert len(turns) == 16
    # The instants are taken after the turn was given, so two of them may lie a little closer than the turns did.
    assert turns[-1] - turns[0] >= 15 * 0.2 - 0.1


def test_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    started = time.monotonic()
    for number in range(4):
        budget = HostBudget(tmp_path, f"host{number}:8080/", 0.5)
        budget.wait(NEVER)
        budget.close()
    assert time.monotonic() - started < 30


def test_a_live_run_goes_before_reloads_that_have_waited_longer(tmp_path: Path) -> None:
    reloads = [another(tmp_path, BACKFILL, 12) for _ in range(2)]
    time.sleep(1.5)
    budget, live = HostBudget(tmp_path, "iso", 300, LIVE), []
    for _ in range(4):
        budget.wait(NEVER)
        live.append(time.time())
    budget.close()
    begun = live[0]
    between = [turn for process in reloads for turn in told(process) if begun < turn < live[-1]]
    assert len(between) <= 2


def test_who_died_while_waiting_holds_nobody_up(tmp_path: Path) -> None:
    first = HostBudget(tmp_path, "iso", 6, LIVE)
    first.wait(NEVER)
    first.close()
    waiting = another(tmp_path, LIVE, 1)
    time.sleep(1.5)
    waiting.kill()
    waiting.communicate()
    budget = HostBudget(tmp_path, "iso", 6000, BACKFILL)
    budget.wait(NEVER)
    budget.close()


def test_who_is_stopped_waits_no_longer(tmp_path: Path) -> None:
    budget, stop = HostBudget(tmp_path, "iso", 1), threading.Event()
    budget.wait(stop)
    threading.Timer(0.2, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        budget.wait(stop)
    budget.close()
    assert time.monotonic() - started < 20
