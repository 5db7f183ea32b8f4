"""Turns at a host: every request takes one, whichever thread, run or process of this machine sends it.

A bucket of pyrate-limiter in a SQLite file counts the turns of each host. What is ours is the queue before it: who is more
urgent goes first, so that a live run does not wait behind a reload of years. Locks are the operating system's, and end with
whoever held them.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from aurum_etl.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE, BACKFILL, LEAST_URGENT = 0, 5, 9
"""Urgency: runs go before reloads, and among reloads the lower number goes first."""
_LOOK_AGAIN_SECONDS = 0.1


class Budget(Protocol):
    """How often a host may be asked."""

    def wait(self, stop: threading.Event) -> None:
        """Return when it is this caller's turn.

        Raises: Stopped if `stop` is set before that.
        """

    def close(self) -> None:
        """Let go of files and connections."""


class Unlimited:
    """For a source that has nobody to protect, such as the simulator."""

    def wait(self, stop: threading.Event) -> None:
        """See `Budget.wait`: at once."""
        demand_going(stop)

    def close(self) -> None:
        """See `Budget.close`: there is nothing."""


class HostBudget:
    """One host's turns, shared by everything on this machine that has the same folder."""

    def __init__(self, folder: Path, host: str, requests_per_minute: float, urgency: int = LIVE) -> None:
        self._name = re.sub(r"[^A-Za-z0-9.-]", "_", host)
        self._folder = folder
        self._urgency = urgency
        # One request per interval rather than n per minute: a burst is what the ISOs refuse.
        rate = Rate(1, max(round(60_000 / requests_per_minute), 1))
        self._threads = threading.Lock()
        with self._alone():
            connection = sqlite3.connect(folder / f"{self._name}.sqlite", check_same_thread=False)
            connection.execute("create table if not exists turns (name varchar, item_timestamp integer)")
            connection.commit()
            self._bucket = SQLiteBucket([rate], connection, "turns")

    def wait(self, stop: threading.Event) -> None:
        """See `Budget.wait`."""
        demand_going(stop)
        if self._taken():
            return
        with self._queued():
            while not self._taken():
                stop.wait(self._seconds())
                demand_going(stop)

    def close(self) -> None:
        """See `Budget.close`."""
        with self._threads:
            self._bucket.close()  # type: ignore[no-untyped-call]

    def _taken(self) -> bool:
        """Whether there was a turn, which is then this caller's."""
        if self._somebody_is_more_urgent():
            return False
        with self._alone():
            now = self._now()
            taken = bool(self._bucket.put(RateItem(self._name, now)))
            if taken:
                self._bucket.leak(now)
            return taken

    def _seconds(self) -> float:
        """How long to wait before looking again: until the next turn, and a little longer for who is less urgent."""
        with self._alone():
            milliseconds = self._bucket.waiting(RateItem(self._name, self._now()))
        return max(int(str(milliseconds)) / 1000, 0.001) + (_LOOK_AGAIN_SECONDS if self._urgency else 0.0)

    @staticmethod
    def _now() -> int:
        return time.time_ns() // 1_000_000

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Whoever else would take a turn waits."""
        with self._threads, _locked(self._folder / f"{self._name}.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _queued(self) -> Iterator[None]:
        """Let those that are less urgent see that somebody waits."""
        with _locked(self._waiting(self._urgency), fcntl.LOCK_SH):
            yield

    def _somebody_is_more_urgent(self) -> bool:
        with ExitStack() as stack:
            for urgency in range(self._urgency):
                if not (path := self._waiting(urgency)).exists():
                    continue
                try:
                    stack.enter_context(_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
                except BlockingIOError:
                    return True
        return False

    def _waiting(self, urgency: int) -> Path:
        return self._folder / f"{self._name}.{urgency}.waiting"


def demand_going(stop: threading.Event) -> None:
    """Go on, unless everything is being stopped.

    Raises: Stopped.
    """
    if stop.is_set():
        raise Stopped("the run was stopped; nothing of this chunk was kept")


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """A lock that ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
