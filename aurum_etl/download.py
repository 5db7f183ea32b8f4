"""The only way by which bytes come from an ISO: paced, retried, and every answer archived as it came.

Libraries do the generic parts: httpx speaks HTTP, tenacity retries. What an answer means is the adapter's: it looks at the
content and says whether it is one.
"""

from __future__ import annotations

import email.utils
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import httpx
import tenacity

from aurum_etl.archive import Answer, Exchange
from aurum_etl.errors import (
    AccessDenied,
    SourceChanged,
    SourceError,
    SourceUnavailable,
    SourceUnreachable,
    TooLarge,
)
from aurum_etl.manners import NothingThere
from aurum_etl.quota import demand_going
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.archive import Archive, Request
    from aurum_etl.manners import Manners
    from aurum_etl.quota import Budget
    from aurum_etl.receipt import Origin

T = TypeVar("T")

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_ADDRESS_TOO_LONG = 414
_TOO_LARGE = frozenset({413, _ADDRESS_TOO_LONG})
_UNREACHABLE_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """An accepted answer."""

    value: T
    """What the adapter made of it."""
    answer: Answer
    attempts: int
    """How often the request was sent; 0 for a replay."""


class Source(Protocol):
    """Where answers come from: an ISO, or the archive."""

    def get(self, request: Request, accept: Callable[[Answer], T], *, chunk_key: str) -> Fetched[T]:
        """An answer that `accept` accepts, with what it made of it.

        `accept` raises SourceUnavailable where the same request may bring a better answer.

        Raises: SourceError if none came.
        """


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often, to try."""

    attempts: int = 6
    first_wait_seconds: float = 2.0
    longest_wait_seconds: float = 60.0
    deadline_seconds: float = 900.0
    """No further try is begun after this."""
    connect_seconds: float = 15.0
    read_seconds: float = 120.0
    """The longest silence in the middle of an answer; a bulk answer may take minutes in all."""


QUICK = Patience(first_wait_seconds=0.05, longest_wait_seconds=1.0, connect_seconds=5.0, read_seconds=30.0)
"""For a source that has nobody to protect, such as the simulator."""


class Download:
    """A source over HTTP."""

    def __init__(
        self,
        bases: Mapping[str, str],
        origin: Origin,
        archive: Archive,
        *,
        budget: Budget,
        patience: Patience,
        max_bytes: int,
        manners: Manners,
        auth: httpx.Auth | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._bases = bases
        self._origin = origin
        self._archive = archive
        self._patience = patience
        self._max_bytes = max_bytes
        self._manners = manners
        self._budget = budget
        self._stopping = stop or threading.Event()
        timeout = httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds)
        self._client = httpx.Client(
            timeout=timeout, follow_redirects=False, headers={"user-agent": manners.user_agent}, auth=auth
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, request: Request, accept: Callable[[Answer], T], *, chunk_key: str) -> Fetched[T]:
        """See `Source.get`; every answer is archived, whatever its status."""
        started = time.monotonic()
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SourceUnavailable),
            wait=self._wait,
            stop=self._stop,
            sleep=self._sleep,
            before_sleep=lambda state: self._log_retry(request, state),
            reraise=True,
        ):
            number = attempt.retry_state.attempt_number
            with attempt:
                try:
                    answer = self._send(request, number, chunk_key)
                    return Fetched(accept(answer), answer, number)
                except SourceUnavailable as error:
                    error.attempts = number
                    if number > 1:
                        error.args = (f"{error} (tried {number} times in {time.monotonic() - started:.0f} s)",)
                    raise
                except SourceError as error:
                    error.attempts = number
                    raise
        raise AssertionError("tenacity either returns or raises")

    def _send(self, request: Request, attempt: int, chunk_key: str) -> Answer:
        """Send once; an answer with status 200, or an error."""
        self._budget.wait(self._stopping)
        logger().debug("request.sent", request=request.describe(), attempt=attempt, chunk=chunk_key)
        where = request.describe()
        base, variable = self._bases[request.host], request.iso.base_variable(request.host)
        started = time.monotonic()
        try:
            with (
                self._archive.receiving() as incoming,
                self._client.stream(
                    request.method,
                    f"{base}/{request.path}",
                    params=request.query,
                    content=request.body or None,
                    headers={**dict(request.headers), **({"content-type": "application/json"} if request.body else {})},
                    auth=None if request.host in self._manners.open_hosts else httpx.USE_CLIENT_DEFAULT,
                ) as response,
            ):
                broken: Exception | None = None
                try:
                    for piece in response.iter_bytes():
                        demand_going(self._stopping)
                        incoming.write(piece)
                        if incoming.size > self._max_bytes:
                            raise _too_long(where, self._max_bytes)
                except (httpx.HTTPError, TooLarge) as error:
                    # What came before a connection broke is evidence too.
                    broken = error
                answer = self._archive.keep(
                    incoming,
                    request,
                    Exchange(
                        base=base,
                        origin=self._origin,
                        status=response.status_code,
                        headers={name.lower(): value for name, value in response.headers.items()},
                        received_at=datetime.now(UTC),
                        seconds=time.monotonic() - started,
                        attempt=attempt,
                        chunk_key=chunk_key,
                    ),
                )
                if broken is not None:
                    raise broken
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            raise SourceUnreachable(
                f"{request.iso.value} cannot be reached at {base} ({error}): check the network or HTTPS_PROXY, "
                f"point {variable} at another address, or try the simulator with --sim"
            ) from error
        except httpx.InvalidURL as error:
            raise SourceChanged(f"{variable}: {base} is not an address: {error}") from error
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"{where}: {type(error).__name__}: {error}") from error
        return _judged(answer, self._manners)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Exponential with full jitter, but never less than the other side asked for."""
        patience = self._patience
        jittered = tenacity.wait_random_exponential(patience.first_wait_seconds, patience.longest_wait_seconds)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_seconds if isinstance(error, SourceUnavailable) else None
        return max(jittered, asked or 0.0)

    def _sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        most = self._patience.attempts
        if isinstance(error, SourceUnreachable):
            most = min(most, _UNREACHABLE_ATTEMPTS)
        late = (state.seconds_since_start or 0.0) + self._wait(state) > self._patience.deadline_seconds
        return state.attempt_number >= most or late

    @staticmethod
    def _log_retry(request: Request, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait_seconds = state.next_action.sleep if state.next_action else 0.0
        logger().warning(
            "request.retry", request=request.describe(), wait_seconds=round(wait_seconds, 2), reason=str(error)
        )


class Replay:
    """A source over the archive: not a single request is sent."""

    def __init__(self, archive: Archive, *, simulated: bool, manners: Manners, max_bytes: int) -> None:
        self._archive = archive
        self._simulated = simulated
        self._manners = manners
        self._max_bytes = max_bytes

    def get(self, request: Request, accept: Callable[[Answer], T], *, chunk_key: str) -> Fetched[T]:
        """See `Source.get`; Raises also ArchiveError, if the archive has no whole answer to the request."""
        logger().debug("request.replayed", request=request.describe(), chunk=chunk_key)
        # What was refused as too large is refused again, so that its parts are looked for.
        statuses = {200, *_TOO_LARGE, *self._manners.nothing_there, *((400,) if self._manners.too_much else ())}
        kept = self._archive.latest(request, simulated=self._simulated, statuses=frozenset(statuses))
        answer = _judged(kept, self._manners)
        if answer.size > self._max_bytes:
            raise _too_long(request.describe(), self._max_bytes)
        return Fetched(accept(answer), answer, 0)


def _too_long(where: str, max_bytes: int) -> TooLarge:
    return TooLarge(f"{where}: the answer is longer than {max_bytes:,} bytes (AURUM_RESPONSE_MAX_MB)")


def _judged(answer: Answer, manners: Manners) -> Answer:
    """The answer, if its status is 200."""
    if answer.status == 200:
        return answer
    body = answer.body.read_bytes()[:400].decode("utf-8", "replace")
    words = " ".join(body.split())[:200]
    message = f"{answer.request.describe()}: status {answer.status}" + (f': "{words}"' if words else "")
    if answer.status in manners.nothing_there and manners.says_nothing(answer):
        raise NothingThere(message, answer)
    if answer.status in _TOO_LARGE:
        raise TooLarge(message, about="places" if answer.status == _ADDRESS_TOO_LONG else None)
    if (
        answer.status == 400
        and manners.too_much is not None
        and manners.too_much.search(answer.body.read_bytes()[:4096])
    ):
        raise TooLarge(message)
    if answer.status in _AGAIN:
        asked = [manners.busy_seconds(answer), _retry_after(answer.headers.get("retry-after"))]
        raise SourceUnavailable(message, wait_seconds=max((each for each in asked if each), default=None))
    if answer.status in (401, 403):
        raise AccessDenied(f"{message}: {manners.access}")
    raise SourceChanged(message)


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either form of the header."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        instant = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max((instant - datetime.now(UTC)).total_seconds(), 0.0)
