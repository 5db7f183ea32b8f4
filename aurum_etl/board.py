"""What a long run shows while it goes on: a live table on a terminal, a plain line now and then when piped.

The figures are a `Tally`, which knows no clock and draws nothing.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import click

from aurum_etl.console import printable
from aurum_etl.receipt import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console as Rich
    from rich.console import RenderableType

    from aurum_etl.chunk import Chunk
    from aurum_etl.console import Console
    from aurum_etl.receipt import Postponed, Receipt

PAUSED = "paused"
RATE_SECONDS = 60.0
"""The rate is of the last minute."""
LINE_SECONDS = 10.0
_ERRORS = 3
_RUNNING = 8
_AGAIN, _POSTPONED = "again", "postponed"


class Watcher(Protocol):
    """Who hears of everything that happens to chunks."""

    def begun(self, chunk: Chunk) -> None:
        """The chunk is being worked on."""

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        """An attempt at a chunk is over; the next is in so many seconds, or there is none: it is settled or given up."""

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Nothing came of a chunk, which is no failure; it is tried again in time, or left to another run."""

    def state(self, text: str) -> None:
        """What the run as a whole does: `running`, `paused`, `stopping`. While it is paused no time counts."""


def eta_seconds(
    chunks_left: int, chunks_ended: int, worked_seconds: float, requests_left: int, requests_per_minute: float | None
) -> float | None:
    """Seconds until the end: what the quota still needs, or what the pace so far says, whichever is longer.

    None where neither tells anything.
    """
    if not chunks_left:
        return 0.0
    told = []
    if requests_per_minute is not None:
        told.append(requests_left * 60 / requests_per_minute)
    if chunks_ended:
        told.append(chunks_left * worked_seconds / chunks_ended)
    return max(told, default=None)


@dataclass(slots=True)
class Tally:
    """The figures of a run so far; `now` is any clock that goes on evenly, in seconds."""

    title: str
    chunks: int
    """Chunks in all; 0 where that is not known."""
    requests: int
    requests_per_minute: float | None
    chunk_requests: Mapping[str, int]
    """Requests by chunk key."""
    started: float
    state: str = "running"
    outcomes: Counter[str] = field(default_factory=Counter)
    """Chunks by outcome, those that were left to another run, and attempts that are made again."""
    rows: int = 0
    bytes: int = 0
    requests_done: int = 0
    running: dict[str, float] = field(default_factory=dict)
    """By chunk key, when it began."""
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=_ERRORS))
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When rows came in the last minute, and how many."""
    paused: float = 0.0
    """Seconds of pauses that are over."""
    paused_at: float | None = None

    def begun(self, chunk: Chunk, now: float) -> None:
        """Count a chunk as being worked on."""
        self.running[chunk.key] = now

    def ended(self, receipt: Receipt, again_in: float | None, now: float) -> None:
        """Count an attempt; what is tried again is not over."""
        key = receipt.chunk.key
        self.running.pop(key, None)
        self.rows += receipt.rows_committed
        self.bytes += receipt.bytes
        self.recent.append((now, receipt.rows_committed))
        while self.recent[0][0] <= now - RATE_SECONDS:
            self.recent.popleft()
        if receipt.error is not None:
            self.errors.append(f"{key}: {' '.join(printable(receipt.error).split())}")
        if again_in is None:
            self.outcomes[receipt.outcome.value] += 1
            self.requests_done += self.chunk_requests.get(key, 0)
        else:
            self.outcomes[_AGAIN] += 1

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Count a chunk of which nothing came; one that is tried again is not over."""
        key = postponed.chunk.key
        self.running.pop(key, None)
        self.errors.append(f"{key}: {' '.join(printable(postponed.reason).split())}")
        self.outcomes[_AGAIN if waits else _POSTPONED] += 1

    def changed(self, state: str, now: float) -> None:
        """Note what the run does."""
        if self.paused_at is not None:
            self.paused += now - self.paused_at
        self.paused_at = now if state == PAUSED else None
        self.state = state

    @property
    def over(self) -> int:
        """Chunks that are settled or given up."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != _AGAIN)

    @property
    def all(self) -> int:
        """Chunks in all; a source that serves what is newest may bring more than were planned."""
        return max(self.chunks, self.over)

    def worked(self, now: float) -> float:
        """Seconds so far, without pauses."""
        until = now if self.paused_at is None else self.paused_at
        return until - self.started - self.paused

    def rows_per_second(self, now: float) -> float:
        """Of the last minute, or of the time so far if that is less."""
        rows = sum(rows for instant, rows in tuple(self.recent) if instant > now - RATE_SECONDS)
        seconds = min(RATE_SECONDS, now - self.started)
        return rows / seconds if seconds > 0 else 0.0

    def eta(self, now: float) -> float | None:
        """Seconds until the end, as far as that can be told."""
        if not self.chunks:
            return None
        left = max(self.requests - self.requests_done, 0)
        return eta_seconds(self.all - self.over, self.over, self.worked(now), left, self.requests_per_minute)

    def counts(self) -> list[tuple[str, int]]:
        """Every outcome with its count, how many chunks were left to another run, and how many attempts are made again."""
        return [(name, self.outcomes[name]) for name in (*(each.value for each in Outcome), _POSTPONED, _AGAIN)]

    def line(self, now: float) -> str:
        """All figures in one line, for pipes."""
        chunks = f"{self.over:,}/{self.all:,}" if self.chunks else f"{self.over:,}"
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts() if count)
        told = [
            f"{self.title}: {chunks} chunks" + (f" ({counts})" if counts else ""),
            f"{self.rows:,} rows",
            f"{self.rows_per_second(now):,.0f} rows/s",
            f"{self.bytes / 1e6:,.1f} MB",
        ]
        if self.running:
            told.append(f"{len(self.running)} running")
        told.append(f"{_length(self.worked(now))} so far")
        left = self.eta(now)
        if left:
            told.append(f"{_length(left)} left")
        return ", ".join(told)


@contextmanager
def board(
    console: Console,
    title: str,
    chunks: int,
    requests: int,
    requests_per_minute: float | None,
    chunk_requests: Mapping[str, int],
    *,
    clock: Callable[[], float] = time.monotonic,
    screen: Rich | None = None,
) -> Iterator[Watcher]:
    """A board on standard error, or on `screen`; where JSON was asked for, nothing is shown.

    Twice:  one board at a time, since there is one terminal.
    """
    tally = Tally(title, chunks, requests, requests_per_minute, chunk_requests, clock())
    if console.as_json:
        yield Silent()
        return
    if screen is None and sys.stderr.isatty():
        from rich.console import Console as Rich

        screen = Rich(stderr=True)
    if screen is None or not screen.is_terminal or screen.is_dumb_terminal:
        plain = _Plain(tally, clock)
        try:
            yield plain
        finally:
            plain.close()
        return
    from rich.live import Live

    shown = _Shown(tally, clock)
    with Live(shown, console=screen, transient=True):
        yield shown


class Silent:
    """Shows nothing."""

    def begun(self, chunk: Chunk) -> None:
        """See `Watcher`."""

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        """See `Watcher`."""

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """See `Watcher`."""

    def state(self, text: str) -> None:
        """See `Watcher`."""


class _Plain:
    """A line for the first chunk, for every failure and change, then at most one every ten seconds, and one at the end."""

    def __init__(self, tally: Tally, clock: Callable[[], float]) -> None:
        self._tally = tally
        self._clock = clock
        self._told_at: float | None = None

    def begun(self, chunk: Chunk) -> None:
        self._tally.begun(chunk, self._clock())

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        now = self._clock()
        self._tally.ended(receipt, again_in, now)
        if receipt.error is not None:
            again = "" if again_in is None else f"; again in {_length(again_in)}"
            self._tell(f"{self._tally.line(now)}; {self._tally.errors[-1]}{again}", now)
        elif self._tally.over == self._tally.chunks:
            # The last one is told at the end.
            return
        elif self._told_at is None or now - self._told_at >= LINE_SECONDS:
            self._tell(self._tally.line(now), now)

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        now = self._clock()
        self._tally.postponed(postponed, waits=waits)
        # Many chunks may wait for the same, again and again.
        if not waits or self._told_at is None or now - self._told_at >= LINE_SECONDS:
            when = f"{'again at' if waits else 'left to a run after'} {postponed.until:%Y-%m-%dT%H:%M:%SZ}"
            self._tell(f"{self._tally.line(now)}; {self._tally.errors[-1]}; {when}", now)

    def state(self, text: str) -> None:
        now = self._clock()
        if text != self._tally.state:
            self._tally.changed(text, now)
            self._tell(f"{self._tally.title}: {text}", now)

    def close(self) -> None:
        if self._tally.outcomes:
            now = self._clock()
            self._tell(f"{self._tally.line(now)}; over", now)

    def _tell(self, line: str, now: float) -> None:
        self._told_at = now
        click.echo(line, err=True)


class _Shown:
    """A table that is drawn anew several times a second, by rich's own thread."""

    def __init__(self, tally: Tally, clock: Callable[[], float]) -> None:
        self._tally = tally
        self._clock = clock

    def begun(self, chunk: Chunk) -> None:
        self._tally.begun(chunk, self._clock())

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        self._tally.ended(receipt, again_in, self._clock())

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        self._tally.postponed(postponed, waits=waits)

    def state(self, text: str) -> None:
        self._tally.changed(text, self._clock())

    def __rich__(self) -> RenderableType:
        return _table(self._tally, self._clock())


def _table(tally: Tally, now: float) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total = f"{tally.over:,}/{tally.all:,}" if tally.chunks else f"{tally.over:,}"
    left = tally.eta(now)
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(total=tally.all if tally.chunks else None, completed=tally.over, width=30),
        Text(f"{total} chunks", no_wrap=True),
        Text("" if left is None else f"{_length(left)} left", no_wrap=True),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row(Text(tally.title, "bold"), Text(f"{tally.state}, {_length(tally.worked(now))} so far"))
    table.add_row("chunks", bar)
    table.add_row("", Text("   ".join(f"{count:,} {name}" for name, count in tally.counts())))
    table.add_row(
        "rows",
        Text(f"{tally.rows:,}   {tally.rows_per_second(now):,.0f} rows/s   {tally.bytes / 1e6:,.1f} MB"),
    )
    # The thread that draws must not look at what changes meanwhile.
    running = tuple(tally.running.items())
    for place, (key, began) in enumerate(running[:_RUNNING]):
        told = f"{key}  {now - began:.0f} s"
        table.add_row("" if place else "running", Text(told, no_wrap=True, overflow="ellipsis"))
    if len(running) > _RUNNING:
        table.add_row("", f"and {len(running) - _RUNNING} more")
    for place, error in enumerate(tuple(tally.errors)):
        table.add_row("" if place else "errors", Text(error, "red", no_wrap=True, overflow="ellipsis"))
    return table


def _length(seconds: float) -> str:
    """`0:07`, `12:30`, `5:07:30`, `2 d 05:07:30`."""
    whole = round(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
