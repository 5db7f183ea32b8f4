"""How one ISO publishes one product, as values: a `Dataset` is what is meant, a `Feed` one way to have it, a `Report` one
form in which it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl.clock import DeliveryInterval
from aurum_etl.window import market_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from aurum_etl.checks import Check
    from aurum_etl.clock import Clock, Stamp
    from aurum_etl.contracts.base import Contract
    from aurum_etl.market import Iso, LocationType, Market


class Published(StrEnum):
    """The type of a published column, as far as reading it goes."""

    WORD = "word"
    """Text that repeats: read as a category, so that each distinct word is looked at once. Never empty."""
    TEXT = "text"
    """The same, but it may be empty."""
    NUMBER = "number"
    """A decimal number; empty is null, anything else that is no number is an error."""
    INSTANT = "instant"
    """An instant with its offset from UTC."""
    UTC = "utc"
    """An instant in UTC whose text does not say so."""
    WALL_CLOCK = "wall clock"
    """A date, or a date and a time of day, by the market's clock: which instant it is, the feed's clock decides."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which rows of a published file are this dataset's, where several share one file."""

    column: str
    words: frozenset[str]
    """The dataset's own."""
    others: frozenset[str]
    """Words of sibling datasets: such rows are passed over. Any other word is unknown and goes to quarantine."""


@dataclass(frozen=True, slots=True)
class Components:
    """One published row per component; the canonical row has them side by side."""

    column: str
    """The published column that names the component."""
    value: str
    """The published column that holds its value."""
    into: Mapping[str, str]
    """Published word to contract column. An unknown word goes to quarantine."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Columns side by side that are rows of their own: one hour, place, measure, fuel or service each.

    Rows without any value are no rows.
    """

    into: str
    """The new column, which says of each row where its values stood."""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Word of the new column to the columns that it stands for: new value column to published column."""
    others: str = ""
    """Where any column that is not named otherwise is such a column too: the new value column of those, each under its own
    published name."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further columns of words that the names of the columns say, such as model and place: new column to, by the word of
    `into`, its word."""


@dataclass(frozen=True, slots=True)
class Word:
    """A contract column that is a published word, as it is or by a closed vocabulary."""

    column: str
    """The published column."""
    vocabulary: Mapping[str, str] | None = None
    """Published word to contract word. An unknown word goes to quarantine; None takes any word as it is."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The ISO's own version mark, and which mark counts more."""

    ranks: Mapping[str, int]
    """The marks from low to high; empty where they are numbers."""
    column: str = ""
    """The published column that holds it; empty where the whole feed has one mark."""
    mark: str = ""
    """That mark."""


@dataclass(frozen=True, slots=True)
class LocationRule:
    """Location ids that match `pattern` are of `type`; the first rule that matches decides."""

    pattern: str
    type: LocationType


@dataclass(frozen=True, slots=True)
class Class:
    """A class of locations that the ISO can be asked for by one word."""

    name: str
    types: frozenset[LocationType]
    """The canonical types that make up the class: what a chunk of the class replaces."""


@dataclass(frozen=True, slots=True)
class Report:
    """One published form: how it comes, and how its columns map to the contract."""

    name: str
    """The ISO's own name for it, from which the adapter makes requests: `PRC_LMP`."""
    clock: Clock
    published: Mapping[str, Published]
    """The published columns that are read, and how; the others are left unparsed."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Published column to contract value column, where each row is already one observation."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What requests say beside window and locations, and what the ISO's parser has to know of this report."""
    optional: frozenset[str] = frozenset()
    """Published columns that some editions lack: null there."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names that a column has been seen under, to the documented one: accepted, and told as drift."""
    ignored: frozenset[str] = frozenset()
    """Columns that are known and not read, where any other column would be one more series (`Spread.others`)."""
    belonging: tuple[Belonging, ...] = ()
    spread: Spread | None = None
    components: Components | None = None
    location: str = ""
    """The column that names the place; empty where none is named, which is the ISO itself."""
    location_name: str = ""
    """The column with the place's name, where the id is a number."""
    location_types: tuple[LocationRule, ...] | Word = ()
    """Kind of place, by its id or by a published word; empty where the place is the ISO itself."""
    words: Mapping[str, str | Word] = field(default_factory=dict)
    """Contract columns of words: a constant of the report, or a published word."""
    published_at: Stamp | None = None
    revision: Revision | None = None
    settable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields of the clock that the ISO's documents leave open, with their choices: settings of the spec."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One way to have a dataset: the reports that make it up, and how they may be asked for.

    All feeds of a dataset bring the same facts, so that one replaces what another wrote.
    """

    name: str
    """The word for it in specs: `api`."""
    reports: tuple[Report, ...]
    credentials: tuple[str, ...] = ()
    """The variables that must be set before it can be asked."""
    named_limit: int = 0
    """How many named locations one request may ask for; 0 where it can't name any."""
    span_days: int = 1
    """The most market days that a chunk of named locations may span."""
    span_days_all: int = 1
    """The same for a chunk of all locations or a class."""
    kept_days: int | None = None
    """How many market days before today the ISO serves; None for as long as there is history."""
    since: date | None = None
    """The oldest market day that it serves, where another feed of the dataset has older ones."""
    latest_only: bool = False
    """Whether it serves what is newest and nothing else: a run takes that, whatever it is."""
    lag: timedelta | None = None
    """Where this feed comes later or earlier than the dataset's `lag` says."""
    rows_per_request: int | None = None
    """The most rows that one answer has, where the rest comes in further pages."""
    bulk: str = ""
    """The feed that has the same rows, under the same mark, in files made for everybody, and may take this one's place for
    all locations; empty where there is none.
    """


@dataclass(frozen=True, slots=True)
class Dataset:
    """One ISO's one product, and the feeds that it can be had from."""

    key: str
    """`caiso_lmp`: the name of the spec, the chunk key's head, the golden and the log field."""
    iso: Iso
    contract: Contract
    title: str
    feeds: tuple[Feed, ...]
    """The first is the one that a spec gets which names none."""
    intervals: tuple[int, ...]
    """Lengths of its intervals in minutes; 0 for irregular snapshots, whose instant is all there is."""
    source_url: str
    first_day: date
    """The oldest market day that the ISO has been seen to serve."""
    lag: timedelta
    """When a market day is complete, counted from its end; negative for day-ahead markets."""
    patience: timedelta
    """How long after that an answer of "no data" still means "not yet" rather than "nothing"."""
    rows_per_location_day: float
    locations: int
    """About how many locations there are: for estimates."""
    market: Market | None = None
    run: str | None = None
    classes: tuple[Class, ...] = ()
    tolerance_usd: float = 3e-5
    """The most that a price may differ from the sum of its components, by the ISO's own rounding, in USD/MWh."""
    horizon: tuple[timedelta, timedelta] | None = None
    """For forecasts that are asked for by the day of their publication: how far before it and after it their intervals
    reach. None where days are asked for by the intervals themselves."""
    chosen: int = 0
    """Which of the feeds is meant."""

    @property
    def feed(self) -> Feed:
        """The feed that is meant."""
        return self.feeds[self.chosen]

    def of(self, feed: str, settings: Mapping[str, str] | None = None) -> Dataset:
        """The same dataset by another of its feeds, with those settings of its clocks."""
        number = [each.name for each in self.feeds].index(feed)
        # What the documents leave open is the same in the file that may take the feed's place.
        set_alike = {feed, self.feeds[number].bulk}
        feeds = tuple(
            replace(each, reports=tuple(_set(report, settings or {}) for report in each.reports))
            if each.name in set_alike
            else each
            for each in self.feeds
        )
        return replace(self, feeds=feeds, chosen=number)

    @property
    def settings(self) -> dict[str, str]:
        """How the feed's clocks are set, where the ISO's documents leave that open: by report and field."""
        return {
            f"{report.name}.{name}": str(getattr(_open_to_settings(report), name))
            for report in self.feed.reports
            for name in report.settable
        }

    @property
    def timezone(self) -> str:
        """IANA zone of the market's calendar."""
        return self.iso.timezone

    @property
    def by_publication(self) -> bool:
        """Whether a day of it is what was published on that day."""
        return self.horizon is not None

    @property
    def is_of_now(self) -> bool:
        """Whether a run takes what there is, since no days can be asked for."""
        return self.feed.latest_only or self.contract.is_registry

    @property
    def axis(self) -> str:
        """The column that a chunk's window is about."""
        return "published_at" if self.by_publication else self.contract.time

    @property
    def ranks(self) -> Mapping[str, int]:
        """The ISO's version marks, from low to high; empty where it has none, or numbers."""
        return {mark: rank for each in self.reports if each.revision for mark, rank in each.revision.ranks.items()}

    @property
    def mark(self) -> str:
        """The lowest mark of what the chosen feed brings; empty where it marks nothing."""
        marks = [each.revision.mark for each in self.feed.reports if each.revision and each.revision.mark]
        return min(marks, key=self.ranks.__getitem__, default="")

    @property
    def lower_marks(self) -> tuple[str, ...]:
        """Marks that count less than what the chosen feed brings: rows of them are not yet what is wanted."""
        own = self.ranks.get(self.mark, 0)
        return tuple(mark for mark, rank in self.ranks.items() if rank < own)

    @property
    def checks(self) -> tuple[Check, ...]:
        """What must hold of its rows beside what the contract demands of every ISO's."""
        from aurum_etl.checks import price_equals_its_components

        return (price_equals_its_components(self.tolerance_usd),) if self.contract.kind == "lmp" else ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports of all feeds: the forms that a file of it may have."""
        return tuple({report.name: report for feed in self.feeds for report in feed.reports}.values())

    def selection_words(self) -> tuple[str, ...]:
        """The words that may stand where locations are selected."""
        return ("ALL", *(each.name for each in self.classes))

    def complete_at(self, day: date) -> datetime:
        """When the market day should be published in full, UTC."""
        lag = self.lag if self.feed.lag is None else self.feed.lag
        return market_day(day, self.timezone).end + lag

    def latest_complete_day(self, now: datetime, zone: ZoneInfo) -> date:
        """The newest market day that should be published in full at `now`."""
        day = now.astimezone(zone).date() + timedelta(8)
        while self.complete_at(day) > now:
            day -= timedelta(1)
        return day


def _set(report: Report, settings: Mapping[str, str]) -> Report:
    own = {name: value for name, value in settings.items() if name in report.settable}
    if not own:
        return report
    if isinstance(report.clock, DeliveryInterval):
        hours = replace(report.clock.hours, **own)  # type: ignore[arg-type]
        return replace(report, clock=replace(report.clock, hours=hours))
    return replace(report, clock=replace(report.clock, **own))  # type: ignore[type-var]


def _open_to_settings(report: Report) -> Clock:
    """The clock that settings are of: what a delivery interval leaves open is how its hours are told."""
    return report.clock.hours if isinstance(report.clock, DeliveryInterval) else report.clock
