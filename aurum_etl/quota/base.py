"""What a request says of itself before it is sent and after it, and the promise of whoever lets it pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aurum_etl.errors import Stopped

if TYPE_CHECKING:
    import threading

LIVE, BACKFILL = 0, 5
"""Urgency: runs go before reloads, and among reloads the lower number goes first."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that is about to be sent."""

    host: str
    """Whose turn it takes: `CAISO oasis.caiso.com`."""
    method: str
    url: str
    """Without anything secret."""
    attempt: int = 1
    chunk_key: str = ""
    beside: bool = False
    """Whether it brings no data, such as a login: then it keeps to the limits of its host alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: what the record of it, the budgets and the breaker need to know."""

    status: int | None
    """None where no answer came."""
    bytes: int
    sha256: str
    seconds: float
    """From the first byte sent to the last byte received."""
    answered_after: float | None
    """Seconds until the answer began: by then the other side had counted the request. None where none came."""
    error: str = ""
    """What was wrong with it; empty for a good answer."""
    healthy: bool | None = None
    """Whether the host serves: what the circuit breaker counts. None for what tells nothing about that, such as a 429."""
    quiet_seconds: float | None = None
    """For how long the host asked to be left alone by everybody."""


class Reservation(Protocol):
    """A request that may be sent now, and counts as sent."""

    @property
    def waited_seconds(self) -> float:
        """How long it had to wait for its turn."""

    def received(self, reply: Reply) -> None:
        """The answer is there, or will never be; another request may take its place."""

    def settle(self, records: int | None, error: str = "") -> None:
        """That many records were in it: from now on they count, and not what was expected; None if nobody knows.

        `error` is what was wrong with what came, where that was found out later.
        """


class Budget(Protocol):
    """Who says when a request may be sent."""

    def reserve(self, call: Call, stop: threading.Event) -> Reservation:
        """Return when it is this caller's turn.

        Raises: Stopped if `stop` is set before that; SourceResting if the host's circuit breaker is open; QuotaSpent if the
                turn is further off than anybody wants to wait.
        """


def demand_going(stop: threading.Event) -> None:
    """Go on, unless everything is being stopped.

    Raises: Stopped.
    """
    if stop.is_set():
        raise Stopped("the run was stopped; nothing of this chunk was kept")
