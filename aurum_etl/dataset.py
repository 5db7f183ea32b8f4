"""How one ISO publishes one product, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl.window import market_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from aurum_etl.clock import Clock
    from aurum_etl.contracts.base import Contract
    from aurum_etl.market import Iso, LocationType, Market


class Published(StrEnum):
    """The type of a published column, as far as reading it goes."""

    WORD = "word"
    """Text that repeats: read as a category, so that each distinct word is looked at once."""
    NUMBER = "number"
    """A decimal number; empty is null, anything else that is no number is an error."""
    INSTANT = "instant"
    """An ISO 8601 instant in UTC."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which rows of a published file are this dataset's, where several share one file."""

    column: str
    word: str
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
class Dataset:
    """One ISO's one product: what to ask for, how it comes, and how it maps to the contract."""

    key: str
    """`caiso_lmp`: the name of the spec, the chunk key's head, the golden and the log field."""
    iso: Iso
    contract: Contract
    title: str
    feed: str
    """The ISO's own name for the report."""
    parameters: Mapping[str, str]
    """What the request says beside window and locations."""
    clock: Clock
    interval_minutes: int
    published: Mapping[str, Published]
    """The published columns that are read, and how; the others are left unparsed."""
    location: str
    """The published column that names the place."""
    location_rules: tuple[LocationRule, ...]
    values: Mapping[str, str]
    """Published column to contract value column, where each row is already one observation."""
    source_url: str
    first_day: date
    """The oldest market day that the ISO has been seen to serve."""
    lag: timedelta
    """When a market day is complete, counted from its end; negative for day-ahead markets."""
    patience: timedelta
    """How long after that an answer of "no data" still means "not yet" rather than "nothing"."""
    rows_per_location_day: int
    locations: int
    """About how many locations there are: for estimates."""
    market: Market | None = None
    run: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    """Contract columns that hold one word for the whole dataset."""
    belonging: Belonging | None = None
    components: Components | None = None
    named_limit: int = 0
    """How many named locations one request may ask for; 0 where it can't name any."""
    classes: tuple[Class, ...] = ()
    span_days: int = 1
    """The most market days that one request for named locations may span."""
    span_days_all: int = 1
    """The same for a request for all locations or a class."""

    @property
    def timezone(self) -> str:
        """IANA zone of the market's calendar."""
        return self.iso.timezone

    def selection_words(self) -> tuple[str, ...]:
        """The words that may stand where locations are selected."""
        return ("ALL", *(each.name for each in self.classes))

    def complete_at(self, day: date) -> datetime:
        """When the market day should be published in full, UTC."""
        return market_day(day, self.timezone).end + self.lag

    def latest_complete_day(self, now: datetime, zone: ZoneInfo) -> date:
        """The newest market day that should be published in full at `now`."""
        day = (now - self.lag).astimezone(zone).date() + timedelta(1)
        while self.complete_at(day) > now:
            day -= timedelta(1)
        return day
