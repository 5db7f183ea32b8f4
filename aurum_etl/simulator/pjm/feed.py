"""What a feed of Data Miner is, and the tables that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Protocol, Self

import polars as pl

from aurum_etl.simulator.pjm import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aurum_etl.simulator.pjm.wire import Column


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter of a request, understood."""

    column: str
    predicate: pl.Expr
    bounds: tuple[datetime, datetime] | None = None
    """Of a filter on a stamp: first and last reading of the column's own clock, both inclusive."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a table is made for."""

    seed: int
    now: datetime
    spans: Mapping[str, clock.Span]
    """By name without `_utc` or `_ept`. Wide enough; the conditions say exactly what is wanted."""
    conditions: Sequence[Condition]
    nodes: pl.DataFrame

    def wanted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that fit the conditions on the columns that they have."""
        return rows.filter(*(each.predicate for each in self.conditions if each.column in rows.columns))


class Table(Protocol):
    """All rows that a request matches, of which it gets a page."""

    @property
    def total(self) -> int:
        """How many there are."""

    def page(self, offset: int, count: int) -> pl.DataFrame:
        """Some of them."""

    def without_first(self) -> Table:
        """All but those of the first interval."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A table that is made at once."""

    rows: pl.DataFrame

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.rows.height

    def page(self, offset: int, count: int) -> pl.DataFrame:
        """Some of them."""
        return self.rows.slice(offset, count)

    def without_first(self) -> Self:
        """All but those with the first stamp."""
        stamp = next(name for name, kind in self.rows.schema.items() if kind == pl.Datetime)
        return replace(self, rows=self.rows.filter(pl.col(stamp) != pl.col(stamp).min()))


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of every location in every interval, of which only the page that is asked for is made."""

    blocks: pl.DataFrame
    """Intervals, each with all locations; one that was corrected comes once per version."""
    nodes: pl.DataFrame
    filled: Callable[[pl.DataFrame], pl.DataFrame]
    """The locations in their intervals, with prices."""

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.blocks.height * self.nodes.height

    def page(self, offset: int, count: int) -> pl.DataFrame:
        """Some of them."""
        each = max(self.nodes.height, 1)
        first, last = offset // each, (offset + count - 1) // each
        cells = self.blocks.slice(first, last - first + 1).join(self.nodes, how="cross", maintain_order="left_right")
        return self.filled(cells.slice(offset - first * each, count))

    def without_first(self) -> Self:
        """All but those of the first interval."""
        start = pl.col("datetime_beginning_utc")
        return replace(self, blocks=self.blocks.filter(start != start.min()))


@dataclass(frozen=True, slots=True)
class Archive:
    """How far back a feed goes before other rules hold."""

    days: int
    filters: frozenset[str]
    """What may be asked for there besides dates."""

    def cutoff(self, now: datetime) -> datetime:
        """Where standard data begin: a midnight in UTC that moves every day."""
        return datetime.combine(now.date() - timedelta(self.days), time())


@dataclass(frozen=True, slots=True)
class Feed:
    """One data set of Data Miner."""

    name: str
    columns: tuple[Column, ...]
    made: Callable[[Scope], Table]
    published: Callable[[datetime], datetime]
    """The last start that is out, by the time in UTC."""
    measure: str
    """The column of numbers that faults break."""
    word: str
    """The column of words that faults break."""
    oldest: date = date(2011, 1, 1)
    kept_days: int | None = None
    """How many days are kept; all, if none is named."""
    dates: tuple[str, ...] = ("datetime_beginning",)
    """Stamps that a span can be asked for by; the first says what is published and what is kept."""
    needs_date: bool = True
    archive: Archive | None = None

    def column(self, name: str) -> Column | None:
        """The column of that name, whatever the case."""
        return next((each for each in self.columns if each.name == name.lower()), None)

    def reach(self, now: datetime) -> clock.Span:
        """What there is at all."""
        oldest = clock.midnight(self.oldest)
        if self.kept_days is not None:
            oldest = max(oldest, clock.midnight(clock.wall(now).date() - timedelta(self.kept_days)))
        return oldest, self.published(now)

    def spans(self, conditions: Sequence[Condition], now: datetime) -> dict[str, clock.Span]:
        """What is asked for, per stamp; only the first stamp is cut to what there is."""
        found = {}
        for number, stamp in enumerate(self.dates):
            first, last = self.reach(now) if number == 0 else (clock.EARLIEST, clock.LATEST)
            for each in conditions:
                if each.bounds is None or each.column not in (f"{stamp}_utc", f"{stamp}_ept"):
                    continue
                asked = clock.around(*each.bounds) if each.column.endswith("_ept") else each.bounds
                first, last = max(first, asked[0]), min(last, asked[1])
            found[stamp] = first, last
        return found
