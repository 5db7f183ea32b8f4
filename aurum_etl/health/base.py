"""What a probe is and what comes of it, and how all of them are made at once, each no longer than it may take."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_OK, EXIT_SINK, EXIT_SOURCE, AurumError, in_words
from aurum_etl.redaction import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


_LONGEST = 600


class Kind(StrEnum):
    """On whose side it is."""

    SOURCE = "source"
    STORE = "store"
    MACHINE = "machine"
    """What runs need of the machine whatever they load: home, disk, the record of what is done, Vault."""


class State(StrEnum):
    """What came of a probe."""

    OK = "ok"
    FAILED = "failed"
    WAITING = "waiting"
    """Its turn has not come: nothing was asked, and nothing is wrong."""
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that was looked at."""

    name: str
    """`caiso`, `caiso.outlook`, `iceberg`."""
    kind: Kind
    asked: str
    """What was asked, and where."""
    state: State
    seconds: float
    """How long it took, without the wait for its turn."""
    reason: str
    """In one line what was found; or what is wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has brought."""

    state: State
    reason: str


class Watch:
    """How long one look has taken. What waits for its turn is not late yet."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.stop = threading.Event()
        """Set when nobody waits for it any longer."""
        self.waits_for = ""
        """What it waits for; empty while it is under way."""
        self._since = time.monotonic()

    @property
    def within_seconds(self) -> float:
        """What a client may take at most, so that it says itself what kept it."""
        return self.seconds * 0.8

    @property
    def passed_seconds(self) -> float:
        """Since it has begun, or had its turn."""
        return time.monotonic() - self._since

    @property
    def left_seconds(self) -> float:
        """Until it is cut."""
        return self.seconds - self.passed_seconds

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Time does not count for what is asked afterwards."""
        self.waits_for = what
        yield
        self._since = time.monotonic()
        self.waits_for = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    name: str
    kind: Kind
    asked: str
    look: Callable[[Watch], Found | str]
    """Asks, and says what it found; a line alone means that all is well.

    Raises: AurumError if it is not, with what to do.
    """
    advice: str
    """What to do where no answer comes in time."""
    modules: tuple[str, ...] = ()
    """What it needs, and would take time that does not count."""


def unnamed(check: Check, state: State, advice: str) -> Check:
    """The check where no setting names what it would look at: there is nothing to ask, nor to import."""
    return replace(check, look=known(Found(state, advice)), modules=())


def known(found: Found) -> Callable[[Watch], Found]:
    """A look at what is known without looking."""
    return lambda _: found


def made(checks: Sequence[Check], seconds: float) -> tuple[Probe, ...]:
    """All of them, at once and in their order; each is cut after that many seconds.

    Threads that are cut are left behind: each ends with its client's own limits, or with the process.
    """
    for module in dict.fromkeys(module for check in checks for module in check.modules):
        import_module(module)
    ended: SimpleQueue[tuple[int, Found, float]] = SimpleQueue()
    watches = {number: Watch(seconds) for number in range(len(checks))}
    for number, check in enumerate(checks):
        threading.Thread(target=_look, args=(number, check, watches[number], ended), daemon=True).start()
    results: dict[int, tuple[Found, float]] = {}
    while len(results) < len(checks):
        under_way = {number: watch for number, watch in watches.items() if number not in results}
        try:
            number, found, took = ended.get(timeout=max(min(each.left_seconds for each in under_way.values()), 0.001))
            results.setdefault(number, (found, took))
        except Empty:
            for number, watch in under_way.items():
                if watch.left_seconds <= 0:
                    results[number] = _cut(checks[number], watch)
    return tuple(
        Probe(
            check.name,
            check.kind,
            one_line(check.asked),
            results[number][0].state,
            round(results[number][1], 3),
            one_line(results[number][0].reason),
        )
        for number, check in enumerate(checks)
    )


def _look(number: int, check: Check, watch: Watch, ended: SimpleQueue[tuple[int, Found, float]]) -> None:
    try:
        found = check.look(watch)
        if isinstance(found, str):
            found = Found(State.OK, found)
    except AurumError as error:
        found = Found(State.FAILED, str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours in one look must neither hide nor stop the others
        found = Found(State.FAILED, f"{in_words(error)}; {check.advice}")
    ended.put((number, found, watch.passed_seconds))


def _cut(check: Check, watch: Watch) -> tuple[Found, float]:
    watch.stop.set()
    if watch.waits_for:
        return Found(State.WAITING, f"waits for {watch.waits_for}: it has not come in {watch.seconds:g} s"), 0.0
    return Found(State.FAILED, f"no answer in {watch.seconds:g} s; {check.advice}"), watch.passed_seconds


def exit_code(probes: Iterable[Probe]) -> int:
    """0 if all is well; 5 where only sources fail, 6 where only stores do, else 1."""
    failed = {each.kind for each in probes if each.state is State.FAILED}
    if not failed:
        return EXIT_OK
    return {frozenset({Kind.SOURCE}): EXIT_SOURCE, frozenset({Kind.STORE}): EXIT_SINK}.get(
        frozenset(failed), EXIT_CHUNK_FAILED
    )


def one_line(text: str) -> str:
    """The text in one line that anybody may see."""
    return start_of(" ".join(text.split()), _LONGEST)
