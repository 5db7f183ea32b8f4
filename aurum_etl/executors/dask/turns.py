"""Turns at a host for workers on other machines: they ask, and the driver, which has the record of all requests, grants.

A turn is taken when it is asked for and used when it is granted; none lies around to make a burst of. Asking, and telling what
came, are events on the cluster's scheduler, a grant is a call to the worker: neither side listens on an address of its own.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aurum_etl.errors import AurumError, Stopped, in_words
from aurum_etl.quota import Call, Reply, demand_going
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributed import Client, Worker

    from aurum_etl.quota import Budget, Reservation

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

    def reserve(self, call: Call, stop: threading.Event) -> Reservation:
        """See `Budget.reserve`; Stopped is also raised when nobody wants the task any more, such as a driver that is gone."""
        ask, turn = secrets.token_hex(8), _Turn()
        self._waiting[ask] = turn
        try:
            asked_at = float("-inf")
            while not turn.granted.is_set():
                demand_going(stop)
                _demand_wanted(self._worker)
                if time.monotonic() - asked_at >= _ASK_AGAIN_SECONDS:
                    # An event may get lost with a connection; a driver that has heard this one before reserves only once.
                    asked_at = time.monotonic()
                    self.tell(ask, call=asdict(call))
                turn.granted.wait(_LOOK_SECONDS)
            demand_going(stop)
        except Stopped:
            # It may have been granted meanwhile.
            self.tell(ask, reply=asdict(_NOT_SENT))
            raise
        finally:
            del self._waiting[ask]
        if turn.refusal is not None:
            raise turn.refusal
        return _Granted(self, ask, turn.waited_seconds)

    def tell(self, ask: str, **words: object) -> None:
        """Let the driver know something about a request."""
        self._worker.log_event(TOPIC, {"job": self._job, "ask": ask, "worker": self._worker.address, **words})

    def grant(self, ask: str, outcome: float | Exception) -> None:
        """It is that request's turn, after so many seconds; or there will be none, for that reason."""
        if (turn := self._waiting.get(ask)) is not None:
            if isinstance(outcome, Exception):
                turn.refusal = outcome
            else:
                turn.waited_seconds = outcome
            turn.granted.set()

    def wake(self) -> None:
        """Let those that wait look whether they are to stop."""
        for turn in list(self._waiting.values()):
            turn.granted.set()


class _Turn:
    def __init__(self) -> None:
        self.granted = threading.Event()
        self.refusal: Exception | None = None
        self.waited_seconds = 0.0


@dataclass(frozen=True, slots=True)
class _Granted:
    """A request that may be sent from a worker."""

    budget: AskedFor
    ask: str
    waited_seconds: float

    def received(self, reply: Reply) -> None:
        """See `Reservation.received`."""
        self.budget.tell(self.ask, reply=asdict(reply))

    def settle(self, records: int | None, error: str = "") -> None:
        """See `Reservation.settle`."""
        self.budget.tell(self.ask, records=records, error=error)


_NOT_SENT = Reply(None, 0, "", 0.0, None, "the run was stopped before it was sent")
_LOST = Reply(None, 0, "", 0.0, None, "its worker ended before it was answered")


def _demand_wanted(worker: Worker) -> None:
    """Go on, unless the task was cancelled, as it is when its driver's process ends.

    Raises: Stopped.
    """
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise Stopped("nobody waits for this chunk any more; nothing of it was kept")


class Turnstile:
    """The driver's side: one turn after the other, in the order of asking; what came is noted as it is told."""

    def __init__(
        self, job: str, client: Client, turns: Budget, stop: threading.Event, grant: Callable[..., None]
    ) -> None:
        self._job = job
        self._client = client
        self._turns = turns
        self._stop = stop
        self._grant = grant
        self._asks: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._heard: set[str] = set()
        """Asks that wait here."""
        self._reserved: dict[str, tuple[str, Reservation]] = {}
        """Requests that may be on their way, with their workers, by ask."""
        client.subscribe_topic(TOPIC, self._hear)
        self._threads = [
            threading.Thread(target=each, name="turns", daemon=True) for each in (self._give_turns, self._take_notes)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Grant no more."""
        self._client.unsubscribe_topic(TOPIC)
        self._stop.set()
        self._asks.put(None)
        self._told.put(None)
        for thread in self._threads:
            thread.join()

    def lost(self, worker: str) -> None:
        """That worker is gone: what it had on its way counts as what was expected of it, and takes up no place any more."""
        with self._lock:
            gone = [ask for ask, (address, _) in self._reserved.items() if address == worker]
            reservations = [self._reserved.pop(ask)[1] for ask in gone]
        for each in reservations:
            each.received(_LOST)

    def _hear(self, event: tuple[float, Any]) -> None:
        told = event[1]
        if told["job"] != self._job:
            return
        if "call" not in told:
            self._told.put(told)
        elif told["ask"] not in self._heard:
            self._heard.add(told["ask"])
            self._asks.put(told)

    def _give_turns(self) -> None:
        while (told := self._asks.get()) is not None:
            ask, worker = told["ask"], told["worker"]
            with self._lock:
                known = self._reserved.get(ask)
            outcome: float | Exception
            try:
                reservation = known[1] if known else self._turns.reserve(Call(**told["call"]), self._stop)
            except Stopped:
                return
            except AurumError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001 - who asked must hear of it, whatever it was
                outcome = RuntimeError(in_words(error))
            else:
                outcome = reservation.waited_seconds
                with self._lock:
                    self._reserved[ask] = worker, reservation
            self._heard.discard(ask)
            # A worker that is gone may take long to be known as such, and nobody must wait for that.
            threading.Thread(target=self._give, args=(ask, worker, outcome), daemon=True).start()

    def _take_notes(self) -> None:
        while (told := self._told.get()) is not None:
            with self._lock:
                known = self._reserved.get(told["ask"])
                if known and "records" in told:
                    del self._reserved[told["ask"]]
            if known is None:
                continue
            try:
                if "reply" in told:
                    known[1].received(Reply(**told["reply"]))
                else:
                    known[1].settle(told["records"], told["error"])
            except Exception as error:  # noqa: BLE001 - the request counts as what was expected of it
                logger().warning("turn.not_settled", reason=str(error))

    def _give(self, ask: str, worker: str, outcome: float | Exception) -> None:
        try:
            self._client.run(self._grant, self._job, ask, outcome, workers=[worker], on_error="ignore")
        except Exception as error:  # noqa: BLE001 - the turn is lost, and asked for again if somebody needs it
            logger().debug("turn.lost", worker=worker, reason=str(error))
