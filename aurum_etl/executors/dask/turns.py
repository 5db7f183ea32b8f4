"""Turns at a host for workers on other machines: they ask, and the driver, which has the host's budget, grants.

A turn is taken when it is asked for and used when it is granted; none lies around to make a burst of. Asking is an event on
the cluster's scheduler, a grant is a call to the worker: neither side listens on an address of its own.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from aurum_etl.errors import Stopped
from aurum_etl.quota import demand_going
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client, Worker

    from aurum_etl.quota import Budget

TOPIC = "aurum-etl.turns"
"""Where workers of all jobs ask: a topic of each job's own would stay on the scheduler after it."""
_LOOK_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 30.0


class AskedFor:
    """A budget whose turns are the driver's to give; one per job and worker."""

    def __init__(self, job: str, worker: Worker) -> None:
        self._job = job
        self._worker = worker
        self._waiting: dict[str, _Turn] = {}

    def wait(self, stop: threading.Event) -> None:
        """See `Budget.wait`; Stopped is also raised when nobody wants the task any more, such as a driver that is gone."""
        ask, turn = secrets.token_hex(8), _Turn()
        self._waiting[ask] = turn
        try:
            asked_at = float("-inf")
            while not turn.granted.is_set():
                demand_going(stop)
                _demand_wanted(self._worker)
                if time.monotonic() - asked_at >= _ASK_AGAIN_SECONDS:
                    # An event may get lost with a connection; a driver that has heard this one before waits only once.
                    asked_at = time.monotonic()
                    self._worker.log_event(TOPIC, {"job": self._job, "ask": ask, "worker": self._worker.address})
                turn.granted.wait(_LOOK_SECONDS)
            demand_going(stop)
        finally:
            del self._waiting[ask]
        if turn.refusal:
            raise RuntimeError(turn.refusal)

    def close(self) -> None:
        """See `Budget.close`: there is nothing."""

    def grant(self, ask: str, refusal: str) -> None:
        """It is that request's turn; or there will be none, for that reason."""
        if (turn := self._waiting.get(ask)) is not None:
            turn.refusal = refusal
            turn.granted.set()

    def wake(self) -> None:
        """Let those that wait look whether they are to stop."""
        for turn in list(self._waiting.values()):
            turn.granted.set()


class _Turn:
    def __init__(self) -> None:
        self.granted = threading.Event()
        self.refusal = ""


def _demand_wanted(worker: Worker) -> None:
    """Go on, unless the task was cancelled, as it is when its driver's process ends.

    Raises: Stopped.
    """
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise Stopped("nobody waits for this chunk any more; nothing of it was kept")


class Turnstile:
    """The driver's side: one turn after the other, in the order of asking."""

    def __init__(
        self, job: str, client: Client, turns: Budget, stop: threading.Event, grant: Callable[..., None]
    ) -> None:
        self._job = job
        self._client = client
        self._turns = turns
        self._stop = stop
        self._grant = grant
        self._asks: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._heard: set[str] = set()
        """Asks that wait here."""
        client.subscribe_topic(TOPIC, self._hear)
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Grant no more."""
        self._client.unsubscribe_topic(TOPIC)
        self._stop.set()
        self._asks.put(None)
        self._thread.join()

    def _hear(self, event: tuple[float, Any]) -> None:
        asked = event[1]
        if asked["job"] == self._job and asked["ask"] not in self._heard:
            self._heard.add(asked["ask"])
            self._asks.put((asked["ask"], asked["worker"]))

    def _run(self) -> None:
        while (asked := self._asks.get()) is not None:
            ask, worker = asked
            refusal = ""
            try:
                self._turns.wait(self._stop)
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - who asked must hear of it, whatever it was
                refusal = f"{type(error).__name__}: {error}"
            self._heard.discard(ask)
            # A worker that is gone may take long to be known as such, and nobody must wait for that.
            threading.Thread(target=self._give, args=(ask, worker, refusal), daemon=True).start()

    def _give(self, ask: str, worker: str, refusal: str) -> None:
        try:
            self._client.run(self._grant, self._job, ask, refusal, workers=[worker], on_error="ignore")
        except Exception as error:  # noqa: BLE001 - the turn is lost, and asked for again if somebody needs it
            logger().debug("turn.lost", worker=worker, reason=str(error))
