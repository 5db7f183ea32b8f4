"""The only way by which bytes come from an ISO: paced, retried, and every answer archived as it came.

Libraries do the generic parts: httpx speaks HTTP, tenacity retries. What an answer means is the adapter's: it looks at the
content and says whether it is one.
"""

from __future__ import annotations

import email.utils
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar
from urllib.parse import urlsplit

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
    in_words,
)
from aurum_etl.manners import NothingThere
from aurum_etl.quota import Call, Reply, demand_going
from aurum_etl.redaction import address_of, know, start_of
from aurum_etl.secrets import demanded, forget
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from aurum_etl.archive import Archive, Incoming, Request
    from aurum_etl.manners import Manners
    from aurum_etl.quota import Budget
    from aurum_etl.receipt import Origin

T = TypeVar("T")

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_TOO_FAST = frozenset({408, 425, 429})
_ADDRESS_TOO_LONG = 414
_TOO_LARGE = frozenset({413, _ADDRESS_TOO_LONG})
_UNREACHABLE_ATTEMPTS = 3
_WORDS_BYTES = 4096
"""How much of a refusal is looked at for its first words."""
_ENCODINGS = ("gzip", "deflate")
"""How a body may be packed on its way, once: others become 30,000 times as large, or as large again with each layer, before
anybody can count."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """An accepted answer."""

    value: T
    """What the adapter made of it."""
    answer: Answer
    attempts: int
    """How often the request was sent; 0 for a replay."""


class Gate(Protocol):
    """Lets a request pass that is sent beside those for data, and notes it."""

    def __call__(self, host: str, url: str, /) -> AbstractContextManager[Callable[[int], None]]:
        """In it, the request is sent to that host of the ISO's; what it gives is told the answer's status."""


def _ungated(_host: str, _url: str, /) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _status: None)


class Proof(httpx.Auth):
    """A proof of who asks, out of secrets that are looked up at each request: a new one is in use as soon as it is there."""

    def __init__(self, credentials: Mapping[str, str] = MappingProxyType({}), names: Sequence[str] = ()) -> None:
        self._credentials = credentials
        self._names = names
        self._shown = threading.local()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._names)})"

    def secrets(self) -> tuple[str, ...]:
        """What is to be shown, by the names' order.

        Raises: SecretError if one of them is no longer to be had.
        """
        found = self._shown.last = tuple(demanded(self._credentials, name) for name in self._names)
        # What is shown may come back in an answer, also as a Basic header has it.
        know(*found, ":".join(found))
        return found

    def renewed(self) -> bool:
        """Whether the secrets are others than those that were last shown in this thread, looked up past what is cached."""
        shown = getattr(self._shown, "last", None)
        forget(self._credentials, *self._names)
        return shown is not None and shown != self.secrets()


class GatedAuth(Proof):
    """One that sends requests of its own."""

    gate: Gate = staticmethod(_ungated)
    """What they go through; it stands open outside of a download."""


def _none(_: object) -> int | None:
    return 0


class Source(Protocol):
    """Where answers come from: an ISO, or the archive."""

    def get(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        *,
        chunk_key: str,
        records: Callable[[T], int | None] = _none,
    ) -> Fetched[T]:
        """An answer that `accept` accepts, with what it made of it; `records` counts what is in that, None if nobody knows.

        `accept` raises SourceUnavailable where the same request may bring a better answer.

        Raises: SourceError if none came; SourceResting or QuotaSpent if it may not be asked now.
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
    """The longest silence in the middle of an answer."""
    total_seconds: float = 1200.0
    """The longest that an answer may take in all; a bulk answer may need minutes."""


QUICK = Patience(
    first_wait_seconds=0.05, longest_wait_seconds=1.0, connect_seconds=5.0, read_seconds=30.0, total_seconds=120.0
)
"""For a source that has nobody to protect, such as the simulator."""


@dataclass(slots=True)
class _Tries:
    """The tries of one request."""

    started: float
    waited_seconds: float = 0.0
    """How much of the time was spent waiting for a turn."""
    renewed: bool = False
    """Whether another proof of who asks was looked for."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


@dataclass(slots=True)
class _Came:
    """What has come of one try so far."""

    started: float
    status: int | None = None
    answered_after: float | None = None
    answer: Answer | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def begun(self, status: int) -> None:
        self.status, self.answered_after = status, self.seconds

    def reply(self, error: BaseException | None = None) -> Reply:
        """What the budgets, the breaker and the audit log hear of it."""
        return Reply(
            status=self.status,
            bytes=self.answer.size if self.answer else 0,
            sha256=self.answer.sha256 if self.answer else "",
            seconds=self.seconds,
            answered_after=self.answered_after,
            error="" if error is None else _told(error),
            healthy=self._is_healthy(error),
            quiet_seconds=error.wait_seconds if isinstance(error, SourceUnavailable) else None,
        )

    def _is_healthy(self, error: BaseException | None) -> bool | None:
        """Whether the host serves; a refusal for being too fast, and being stopped, tell nothing about that."""
        if isinstance(error, SourceUnavailable):
            return None if self.status in _TOO_FAST else False
        return True if error is None or isinstance(error, SourceError) else None


def _told(error: BaseException) -> str:
    return in_words(error)[:500]


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
        hosts: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._bases = bases
        self._hosts = hosts or {host: host_of("", base) for host, base in bases.items()}
        self._origin = origin
        self._archive = archive
        self._patience = patience
        self._max_bytes = max_bytes
        self._manners = manners
        self._budget = budget
        self._stopping = stop or threading.Event()
        timeout = httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds)
        self._client = httpx.Client(
            timeout=timeout,
            follow_redirects=False,
            headers={"user-agent": manners.user_agent, "accept-encoding": ", ".join(_ENCODINGS)},
            auth=auth,
        )
        self._auth = auth
        if isinstance(auth, GatedAuth):
            auth.gate = self._beside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        *,
        chunk_key: str,
        records: Callable[[T], int | None] = _none,
    ) -> Fetched[T]:
        """See `Source.get`; every answer is archived, whatever its status, and every request is on record."""
        tries = _Tries(time.monotonic())
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: self._is_worth_another(error, tries)),
            wait=self._wait,
            stop=lambda state: self._stop(state, tries),
            sleep=self._sleep,
            before_sleep=lambda state: self._log_retry(request, state),
            reraise=True,
        ):
            number = attempt.retry_state.attempt_number
            with attempt:
                try:
                    return self._try(request, accept, records, number, chunk_key, tries)
                except SourceUnavailable as error:
                    error.attempts = number
                    if number > 1:
                        error.args = (f"{error} (tried {number} times in {tries.seconds:.0f} s)",)
                    raise
                except SourceError as error:
                    error.attempts = number
                    raise
        raise AssertionError("tenacity either returns or raises")

    def _try(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        records: Callable[[T], int | None],
        number: int,
        chunk_key: str,
        tries: _Tries,
    ) -> Fetched[T]:
        """Send once, when it is its turn, and settle what it was reserved for: the true numbers, whatever came."""
        url = address_of(f"{self._bases[request.host]}/{request.path}", request.query)
        call = Call(self._hosts[request.host], request.method, url, number, chunk_key)
        reservation = self._budget.reserve(call, self._stopping)
        tries.waited_seconds += reservation.waited_seconds
        came = _Came(time.monotonic())
        try:
            answer = _judged(self._send(request, number, chunk_key, came), self._manners)
        except BaseException as error:
            reservation.received(came.reply(error))
            reservation.settle(0)
            raise
        reservation.received(came.reply())
        try:
            value = accept(answer)
        except BaseException as error:
            reservation.settle(0, _told(error))
            raise
        reservation.settle(records(value))
        return Fetched(value, answer, number)

    @contextmanager
    def _beside(self, host: str, url: str) -> Iterator[Callable[[int], None]]:
        """A request that brings no data, such as a login: on record as the others are, and never archived."""
        call = Call(self._hosts[host], "POST", address_of(url), beside=True)
        reservation = self._budget.reserve(call, self._stopping)
        came, error = _Came(time.monotonic()), None
        try:
            yield came.begun
        except httpx.HTTPError as caught:
            error = SourceUnavailable(type(caught).__name__)
            raise
        finally:
            failed = error or (SourceUnavailable("") if (came.status or 500) >= 500 else None)
            reservation.received(came.reply(failed))
            reservation.settle(0)

    def _send(self, request: Request, attempt: int, chunk_key: str, came: _Came) -> Answer:
        """Send once; the answer whatever its status, or an error."""
        logger().debug("request.sent", request=request.describe(), attempt=attempt, chunk=chunk_key)
        where = request.describe()
        base, variable = self._bases[request.host], request.iso.base_variable(request.host)
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
                came.begun(response.status_code)
                broken: Exception | None = None
                try:
                    self._receive(response, incoming, came, where)
                except (httpx.HTTPError, SourceUnavailable, SourceChanged, TooLarge) as error:
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
                        seconds=came.seconds,
                        attempt=attempt,
                        chunk_key=chunk_key,
                    ),
                )
                came.answer = answer
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
        return answer

    def _receive(self, response: httpx.Response, incoming: Incoming, came: _Came, where: str) -> None:
        """Take in the body, as long as it is neither too long nor too slow; what counts is what it inflates to."""
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", *_ENCODINGS):
            raise SourceChanged(
                f'{where}: the body is packed as "{start_of(encoding, 100)}", not once by {" or ".join(_ENCODINGS)}'
            )
        for piece in response.iter_bytes():
            demand_going(self._stopping)
            incoming.write(piece)
            if incoming.size > self._max_bytes:
                raise _too_long(where, self._max_bytes)
            if came.seconds > self._patience.total_seconds:
                raise SourceUnavailable(f"{where}: the answer was not there after {self._patience.total_seconds:.0f} s")

    def _is_worth_another(self, error: BaseException, tries: _Tries) -> bool:
        """Whether it may go better next time; what was refused as who it said it was, once, if it has another proof by now."""
        if isinstance(error, AccessDenied) and isinstance(self._auth, Proof) and not tries.renewed:
            tries.renewed = True
            return self._auth.renewed()
        return isinstance(error, SourceUnavailable)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Exponential with full jitter, but never less than the other side asked for."""
        patience = self._patience
        jittered = tenacity.wait_random_exponential(patience.first_wait_seconds, patience.longest_wait_seconds)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_seconds if isinstance(error, SourceUnavailable) else None
        return max(jittered, asked or 0.0)

    def _sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _stop(self, state: tenacity.RetryCallState, tries: _Tries) -> bool:
        error = state.outcome.exception() if state.outcome else None
        most = self._patience.attempts
        if isinstance(error, SourceUnreachable):
            most = min(most, _UNREACHABLE_ATTEMPTS)
        # The wait for a turn is nobody's failure.
        tried = (state.seconds_since_start or 0.0) - tries.waited_seconds
        late = tried + self._wait(state) > self._patience.deadline_seconds
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

    def get(
        self,
        request: Request,
        accept: Callable[[Answer], T],
        *,
        chunk_key: str,
        records: Callable[[T], int | None] = _none,  # noqa: ARG002
    ) -> Fetched[T]:
        """See `Source.get`; Raises also ArchiveError, if the archive has no whole answer to the request."""
        logger().debug("request.replayed", request=request.describe(), chunk=chunk_key)
        # What was refused as too large is refused again, so that its parts are looked for.
        statuses = {200, *_TOO_LARGE, *self._manners.nothing_there, *((400,) if self._manners.too_much else ())}
        kept = self._archive.latest(request, simulated=self._simulated, statuses=frozenset(statuses))
        answer = _judged(kept, self._manners)
        if answer.size > self._max_bytes:
            raise _too_long(request.describe(), self._max_bytes)
        return Fetched(accept(answer), answer, 0)


def host_of(iso: str, base: str) -> str:
    """Whose turns are taken at an address: the ISO's host, whatever the path."""
    return f"{iso} {urlsplit(base).netloc.rpartition('@')[2]}".strip()


def _too_long(where: str, max_bytes: int) -> TooLarge:
    return TooLarge(f"{where}: the answer is longer than {max_bytes:,} bytes (AURUM_RESPONSE_MAX_MB)")


def _judged(answer: Answer, manners: Manners) -> Answer:
    """The answer, if its status is 200 and it is of the kind that it says."""
    if answer.status == 200:
        _demand_its_kind(answer)
        return answer
    with answer.body.open("rb") as body:
        words = start_of(" ".join(body.read(_WORDS_BYTES).decode("utf-8", "replace").split()), 200)
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


def _demand_its_kind(answer: Answer) -> None:
    """Refuse what a proxy has put in the place of an answer, under the answer's own headers.

    Raises: SourceUnavailable, since the next one may be the answer.
    """
    kind = answer.headers.get("content-type", "").lower()
    with answer.body.open("rb") as body:
        start = body.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    is_other = {"zip": not start.startswith(b"PK"), "csv": start[:1] in (b"{", b"<"), "json": start[:1] == b"<"}
    if start and any(name in kind and other for name, other in is_other.items()):
        found = start.decode("utf-8", "replace")
        raise SourceUnavailable(f'{answer.request.describe()}: "{found}" came, labelled as {kind}')


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
