"""Simulated time, and clients that use a source under the ledger in it: hours go by in moments, the same each time."""

from __future__ import annotations

import heapq
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aurum_etl.errors import SourceResting
from aurum_etl.quota import Call, Ledger, Reply, Terms
from aurum_etl.quota.ledger import Later, Reserved, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HOST = "CAISO oasis"
NEVER = threading.Event()


class FakeClock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds

    def wait(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client, and what will come of it."""

    records: int = 0
    bytes: int = 0
    seconds: float = 0.01
    """Until it is answered."""
    arrives: float = 0.0
    """Share of that time after which the other side counts it."""
    attempt: int = 1


@dataclass
class Client:
    """Who sends one request after the other."""

    terms: Terms
    requests: Sequence[Request]
    begins: float = 0.0
    host: str = HOST
    granted: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Counted:
    """One request, as somebody counts who knows everything."""

    client: Client
    request: Request
    granted: float
    arrived: float
    expected_records: int
    begun: int
    """Its place among all that happened."""
    over: int | None = None
    """When it was settled, in the same order; None before that."""


def play(folder: Path, clients: Sequence[Client], clock: FakeClock | None = None) -> list[Counted]:
    """Let the clients send everything that they want to send; every request, in the order of the grants."""
    clock = clock or FakeClock()
    ledger = Ledger(folder, clock)
    started, order, counted = clock.seconds, itertools.count(), []
    events: list[tuple[float, int, Callable[[], None]]] = []

    def at(when: float, what: Callable[[], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def send(client: Client, number: int) -> None:
        if number < len(client.requests):
            attempt(client, number, Ticket(f"{next(order):09}", clock.seconds))

    def attempt(client: Client, number: int, ticket: Ticket) -> None:
        request, now = client.requests[number], clock.seconds
        try:
            found = ledger.attempt(Call(client.host, "GET", "url", request.attempt), client.terms, ticket)
        except SourceResting as error:
            assert error.until is not None
            at(max(error.until.timestamp(), now + 0.001), lambda: attempt(client, number, ticket))
            return
        if isinstance(found, Later):
            # What is known to be free only then is looked at now and then, as is whether others have come or gone.
            soon = min(max(found.at, now + 0.001), now + max(1.0, (found.at - now) / 4)) if found.known else now + 0.5
            at(soon, lambda: attempt(client, number, ticket))
            return
        arrived = now + request.arrives * request.seconds
        it = Counted(client, request, now, arrived, expected_of(ledger, found), next(order))
        counted.append(it)
        client.granted.append(now)
        client.arrived.append(arrived)

        def answered() -> None:
            found.received(Reply(200, request.bytes, "", request.seconds, request.seconds, healthy=True))
            found.settle(request.records)
            it.over = next(order)
            send(client, number + 1)

        at(now + request.seconds, answered)

    for client in clients:
        at(started + client.begins, lambda client=client: send(client, 0))  # type: ignore[misc]
    while events:
        when, _, what = heapq.heappop(events)
        clock.seconds = max(clock.seconds, when)
        assert clock.seconds - started < 40 * 86400, "somebody waits for ever"
        what()
    ledger.close()
    return counted


def expected_of(ledger: Ledger, reserved: Reserved) -> int:
    """How many records were reserved for it."""
    with ledger.transaction() as connection:
        (records,) = connection.execute("select records from requests where id = ?", [reserved.number]).fetchone()
    return int(records)
