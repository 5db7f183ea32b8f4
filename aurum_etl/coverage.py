"""Which market days of a dataset are there, and which are not: read off the receipts, day by day.

`day_states` is pure; `known` asks the record; `drawn` and `lines` show what came of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aurum_etl import sinks
from aurum_etl.backfill import first_served
from aurum_etl.errors import UsageError
from aurum_etl.receipt import Outcome
from aurum_etl.window import intersect, market_day, subtract

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from rich.text import Text

    from aurum_etl.dataset import Dataset
    from aurum_etl.spec import Spec
    from aurum_etl.watermarks import Standing, Store
    from aurum_etl.window import Window


class State(StrEnum):
    """Where one market day stands."""

    DONE = "done"
    """All of it is in every store of the spec."""
    EMPTY = "empty"
    """The source said that there is nothing."""
    QUARANTINED = "quarantined"
    """It is there, less rows that were rejected."""
    PARTIAL = "partial"
    """Only a part of the day is settled."""
    FAILED = "failed"
    """Nothing of it is settled, and the newest attempt failed."""
    MISSING = "missing"
    """Nobody has tried."""
    NOT_DUE = "not due"
    """It is not published yet, or not served any more when the record begins."""


MARKS = {
    State.DONE: ("#", "green"),
    State.EMPTY: ("o", "blue"),
    State.QUARANTINED: ("q", "yellow"),
    State.PARTIAL: ("+", "cyan"),
    State.FAILED: ("x", "bold red"),
    State.MISSING: ("!", "bold magenta"),
    State.NOT_DUE: (".", "bright_black"),
}
"""The character of each state, and its color: the first alone tells."""

_OLDEST = date(1990, 1, 1)
"""No market is older."""
_MONTH = 31
_BETWEEN = 2


@dataclass(frozen=True, slots=True)
class Coverage:
    """The market days of one spec, without a hole."""

    dataset: str
    selection: str
    start: date
    states: tuple[State, ...]
    """One per market day, the first of `start`."""

    @property
    def name(self) -> str:
        """The head of the chunk keys: `caiso_lmp[ALL]`."""
        return f"{self.dataset}[{self.selection}]"

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.start + timedelta(len(self.states))

    def counts(self) -> dict[str, int]:
        """Days by state; those that no day is in are left out."""
        counted = Counter(self.states)
        return {state.value: counted[state] for state in State if counted[state]}

    def runs(self) -> Iterator[tuple[date, date, State]]:
        """First day, day after the last, and state, of days in a row that are alike."""
        day = self.start
        for state, alike in groupby(self.states):
            end = day + timedelta(len(list(alike)))
            yield day, end, state
            day = end

    def months(self) -> dict[str, list[State | None]]:
        """By month, such as `2026-07`, the states of its days: the first of the month in front, None for other days."""
        found: dict[str, list[State | None]] = {}
        for place, state in enumerate(self.states):
            day = self.start + timedelta(place)
            found.setdefault(f"{day:%Y-%m}", [None] * _MONTH)[day.day - 1] = state
        return found


@dataclass(slots=True)
class _Day:
    """What is found out about one day."""

    rest: list[Window]
    """What nothing is known of yet."""
    seen: set[Outcome] = field(default_factory=set)
    failed: bool = False

    def take(self, window: Window, outcome: Outcome) -> None:
        if not self.rest:
            return
        rest = [] if window.contains(self.rest[0]) and len(self.rest) == 1 else subtract(self.rest, [window])
        if rest != self.rest:
            self.seen.add(outcome)
            self.rest = rest

    def state(self, *, touched: bool, due: bool) -> State:
        if self.seen and (touched or not self.rest):
            worst = (Outcome.QUARANTINED, Outcome.DONE, Outcome.EMPTY)
            return State(next(each for each in worst if each in self.seen))
        if self.seen:
            return State.PARTIAL
        if not due:
            return State.NOT_DUE
        return State.FAILED if self.failed else State.MISSING


def day_states(
    first: date, count: int, standings: Sequence[Standing], zone: str, due: tuple[date, date], *, touched: bool = False
) -> tuple[State, ...]:
    """The states of `count` market days from `first` on; `due` are the first and the last day that should be there.

    Of every instant the outcome counts that is latest in `standings`, which are in the order of the store. With
    `touched`, a day counts with anything of it: for sources that serve what is newest and no days.
    """
    dates = [first + timedelta(place) for place in range(count)]
    windows = [market_day(day, zone) for day in dates]
    days = [_Day([window]) for window in windows]
    starts, ends = [each.start for each in windows], [each.end for each in windows]

    def met(window: Window) -> list[_Day]:
        return days[bisect_right(ends, window.start) : bisect_left(starts, window.end)]

    for standing in reversed(standings):
        if standing.settled is not None:
            for day in met(standing.window):
                day.take(standing.window, standing.settled)
    for standing in standings:
        if standing.failed:
            for day in met(standing.window):
                day.failed = day.failed or any(intersect(standing.window, each) for each in day.rest)
    return tuple(
        day.state(touched=touched, due=due[0] <= date <= due[1]) for date, day in zip(dates, days, strict=True)
    )


def coverage(
    spec: Spec,
    dataset: Dataset,
    store: Store,
    *,
    start: date | None = None,
    end: date | None = None,
    simulated: bool = False,
    now: datetime,
) -> Coverage:
    """The market days of the spec from `start` up to, but without, `end`; see `span` for where none are named.

    Raises: UsageError if that is no day at all.
    """
    standings = known(spec, dataset, store, simulated=simulated)
    first, last = span(spec, dataset, standings, start, end, now)
    count = (last - first).days + 1
    due = due_days(dataset, standings, now)
    states = day_states(first, count, standings, dataset.timezone, due, touched=dataset.is_of_now)
    return Coverage(dataset.key, str(spec.selection), first, states)


def known(spec: Spec, dataset: Dataset, store: Store, *, simulated: bool) -> list[Standing]:
    """What the record says of the spec's dataset and locations, as its stores and its feed need it."""
    kinds = sinks.durable(spec.sinks)
    if not kinds:
        return []
    return store.standings(dataset.key, spec.selection, kinds, simulated=simulated, lower=dataset.lower_marks)


def due_days(dataset: Dataset, standings: Sequence[Standing], now: datetime) -> tuple[date, date]:
    """First and last market day that should be there.

    What a feed serves no more is due all the same from the first settled day on: it was there to be had.
    """
    zone = ZoneInfo(dataset.timezone)
    last = dataset.latest_complete_day(now, zone)
    if dataset.is_of_now:
        # What is newest can be had until the day is over.
        last = min(last, now.astimezone(zone).date() - timedelta(1))
    served = first_served(dataset, now)
    settled = settled_days(standings, zone)
    if served is None:
        return date.min, last
    return min(served, settled[0]) if settled else served, last


def span(
    spec: Spec,
    dataset: Dataset,
    standings: Sequence[Standing],
    start: date | None,
    end: date | None,
    now: datetime,
) -> tuple[date, date]:
    """First and last market day to look at: those that were named, `end` being exclusive.

    Without a start from the first settled day, or the spec's `schedule.start` if that is earlier; without an end to the
    latest complete market day, or the last settled one if that is later.

    Raises: UsageError if that is no day at all.
    """
    zone = ZoneInfo(dataset.timezone)
    latest = dataset.latest_complete_day(now, zone)
    settled = settled_days(standings, zone)
    newest = latest + timedelta(366)
    for option, day in (("--from", start), ("--to", end)):
        if day is not None and not _OLDEST <= day <= newest:
            raise UsageError(f"{option} {day}: not between {_OLDEST} and {newest}")
    if end is None:
        end = max(latest, start or latest, settled[1] if settled else latest) + timedelta(1)
    if start is None:
        wished = [day for day in (spec.schedule.start, settled and settled[0]) if day is not None]
        start = max(min([*wished, end - timedelta(1)]), _OLDEST)
    elif end <= start:
        raise UsageError(f"--to {end} is not after --from {start}; --to is exclusive")
    return start, end - timedelta(1)


def settled_days(standings: Sequence[Standing], zone: ZoneInfo) -> tuple[date, date] | None:
    """First and last market day of which anything is settled; None where nothing is."""
    settled = [each.window for each in standings if each.settled is not None]
    if not settled:
        return None
    first, last = min(each.start for each in settled), max(each.end for each in settled)
    return first.astimezone(zone).date(), (last - timedelta(microseconds=1)).astimezone(zone).date()


def lines(found: Sequence[Coverage]) -> list[str]:
    """A line per spec and month for pipes: name, month and a character per day, with tabs between them; then the legend."""
    told = [
        f"{each.name}\t{month}\t{''.join(_mark(state) for state in days).rstrip()}"
        for each in found
        for month, days in each.months().items()
    ]
    return [*told, *map(summary, found), legend().plain]


def summary(coverage: Coverage) -> str:
    """What the map of one spec adds up to."""
    counted = ", ".join(f"{count:,} {state}" for state, count in coverage.counts().items())
    return f"{coverage.name} {coverage.start} to {coverage.end}: {counted}"


def legend() -> Text:
    """What the characters mean."""
    from rich.text import Text

    words = (Text.assemble((mark, style), f" {state}") for state, (mark, style) in MARKS.items())
    return Text("   ").join(words)


def drawn(found: Sequence[Coverage], width: int) -> list[Text]:
    """A map for a terminal of `width` columns: a row per spec, months side by side as far as they fit, a character per day.

    Where not even one month fits beside the names, they stand on lines of their own; narrower than a month, lines wrap.
    """
    from rich.text import Text

    months = sorted({month for each in found for month in each.months()})
    label = max(len(each.name) for each in found) + _BETWEEN
    beside = label + _MONTH <= width
    indent = label if beside else 0
    fitting = max((width - indent + _BETWEEN) // (_MONTH + _BETWEEN), 1)
    by_spec = [(each.name, each.months()) for each in found]
    told: list[Text] = []
    for place in range(0, len(months), fitting):
        band = months[place : place + fitting]
        told.append(_row(" " * indent, (Text(month, "bold") for month in band)))
        for name, of_spec in by_spec:
            if not of_spec.keys() & set(band):
                continue
            if not beside:
                told.append(Text(name))
            told.append(_row(name.ljust(indent) if beside else "", (_styled(of_spec.get(month, [])) for month in band)))
        told.append(Text())
    wrapped = (line for text in (*map(Text, map(summary, found)), legend()) for line in _wrapped(text, width))
    return [*told, *wrapped]


def _row(label: str, cells: Iterable[Text]) -> Text:
    from rich.text import Text

    row = Text(label)
    for place, cell in enumerate(cells):
        if place:
            row.append(" " * _BETWEEN)
        cell.pad_right(_MONTH - len(cell))
        row.append_text(cell)
    row.rstrip()
    return row


def _styled(days: Sequence[State | None]) -> Text:
    from rich.text import Text

    return Text.assemble(*((_mark(state), MARKS[state][1] if state else "") for state in days))


def _mark(state: State | None) -> str:
    return MARKS[state][0] if state else " "


def _wrapped(text: Text, width: int) -> Iterable[Text]:
    from rich.console import Console as Rich

    return text.wrap(Rich(), width)
