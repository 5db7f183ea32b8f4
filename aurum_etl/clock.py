"""How markets tell time: one class per convention, each named after what its columns hold.

A clock turns the published time columns into the instants at which an interval starts and ends. It is a value in a
feed's declaration, never an `if` in a parser. What cannot be placed on the clock, such as an hour that a change day does
not have, is null, and so goes to quarantine.

A `Stamp` does the same for a single instant, such as that of a publication.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import polars as pl


_NO_END = 9999


class Clock(Protocol):
    """The convention by which one feed labels its intervals."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The published columns that it reads."""

    def interval_start(self) -> pl.Expr:
        """First instant of the interval, UTC microseconds."""

    def interval_end(self) -> pl.Expr:
        """First instant after the interval, UTC microseconds."""


class Stamp(Protocol):
    """The convention by which one feed labels an instant."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The published columns that it reads."""

    def instant(self) -> pl.Expr:
        """The instant, UTC microseconds."""


@dataclass(frozen=True, slots=True)
class UtcInstants:
    """Both ends are published as instants, so change days need no thought (CAISO OASIS).

    The hour labels published beside them (`OPR_HR` 25 for the repeated hour, no 3 in spring) are never read: a time
    rebuilt from them is wrong twice a year.
    """

    start: str
    end: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Start and end."""
        return (self.start, self.end)

    def interval_start(self) -> pl.Expr:
        """The start column as it is."""
        import polars as pl

        return pl.col(self.start)

    def interval_end(self) -> pl.Expr:
        """The end column as it is."""
        import polars as pl

        return pl.col(self.end)


@dataclass(frozen=True, slots=True)
class Instants:
    """One end is published as an instant (PJM and ISO-NE: the start; SPP: the end); the length is known.

    Some stamps miss the mark by seconds, to one side: `floored` goes back to the mark (ISO-NE's regulation prices, a
    few seconds late), `ceiled` on to it (ERCOT's fuel mix, a few seconds early).
    """

    column: str
    minutes: int
    labels: Literal["start", "end"] = "start"
    marks: Literal["exact", "floored", "ceiled"] = "exact"

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    def interval_start(self) -> pl.Expr:
        """The label, or a length before it."""
        return self._mark() - timedelta(minutes=self.minutes if self.labels == "end" else 0)

    def interval_end(self) -> pl.Expr:
        """The label, or a length after it."""
        return self._mark() + timedelta(minutes=self.minutes if self.labels == "start" else 0)

    def _mark(self) -> pl.Expr:
        import polars as pl

        stamp = pl.col(self.column)
        if self.marks == "exact":
            return stamp
        every = f"{self.minutes}m"
        if self.marks == "floored":
            return stamp.dt.truncate(every)
        return (stamp - timedelta(microseconds=1)).dt.truncate(every) + timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class WallClock:
    """One end is published by the clock on the wall (MISO: Eastern Standard Time all year; CAISO's Outlook; ERCOT's SCED).

    `flag` is the column that tells the second of two equal labels; without one the first is meant. `flagged` are its
    words for one of them, and `flag_means` says for which.
    """

    column: str
    minutes: int
    zone: str
    labels: Literal["start", "end"] = "start"
    flag: str = ""
    flagged: tuple[str, ...] = ()
    flag_means: Literal["first", "second"] = "second"

    @property
    def columns(self) -> tuple[str, ...]:
        """The label, and the flag if there is one."""
        return (self.column, self.flag) if self.flag else (self.column,)

    def interval_start(self) -> pl.Expr:
        """The label, or a length before it."""
        return self._mark() - timedelta(minutes=self.minutes if self.labels == "end" else 0)

    def interval_end(self) -> pl.Expr:
        """The label, or a length after it."""
        return self._mark() + timedelta(minutes=self.minutes if self.labels == "start" else 0)

    def _mark(self) -> pl.Expr:
        import polars as pl

        return _placed(pl.col(self.column), self.zone, _is_second(self.flag, self.flagged, self.flag_means))


@dataclass(frozen=True, slots=True)
class HourEnding:
    """A date and the hour that ends, by the clock on the wall: 1 to 24, `01:00` to `24:00` (MISO, ISO-NE's csv, ERCOT).

    The second of two equal hours has a mark of its own: another label (`02X`), or a flag. Where spring has no such hour
    to start with, the label is that of the end (ISO-NE has no 02 then: 03 ends at 03:00); ISOs that leave out 03 have no
    such label.
    """

    date: str
    hour: str
    zone: str
    repeated: str = ""
    """The label's suffix that marks the second of two equal hours."""
    flag: str = ""
    """The column that does."""
    flagged: tuple[str, ...] = ()
    flag_means: Literal["first", "second"] = "second"

    @property
    def columns(self) -> tuple[str, ...]:
        """Date, hour, and the flag if there is one."""
        return (self.date, self.hour, self.flag) if self.flag else (self.date, self.hour)

    def interval_start(self) -> pl.Expr:
        """The hour before the label."""
        import polars as pl

        label = pl.col(self.hour).cast(pl.String)
        second = _is_second(self.flag, self.flagged, self.flag_means)
        if self.repeated:
            second = label.str.strip_chars().str.ends_with(self.repeated)
        hour = label.str.extract(r"^\s*0?(\d{1,2})(?::?00)?" + self.repeated_pattern + r"\s*$").cast(pl.Int64)
        # Other hours than these do not exist, and 25 would quietly be an hour of the next day.
        hour = pl.when(hour.is_between(1, 24)).then(hour)
        end = pl.col(self.date) + pl.duration(hours=hour)
        by_start = _placed(end - timedelta(hours=1), self.zone, second)
        start = pl.coalesce(by_start, _placed(end, self.zone, second) - timedelta(hours=1))
        if second is not None and self.repeated:
            # Where the wall did not show this hour before, there is no second one.
            shown, before = (
                each.dt.convert_time_zone(self.zone).dt.hour() for each in (start, start - timedelta(hours=1))
            )
            start = pl.when(~second | (shown == before)).then(start)
        return start

    @property
    def repeated_pattern(self) -> str:
        """What may follow the hour."""
        return f"(?:{self.repeated})?" if self.repeated else ""

    def interval_end(self) -> pl.Expr:
        """An hour later."""
        return self.interval_start() + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DeliveryInterval:
    """A date, the hour that ends, and the number of the interval inside it (ERCOT's 15 minutes)."""

    hours: HourEnding
    interval: str
    minutes: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the hour, and the number."""
        return (*self.hours.columns, self.interval)

    def interval_start(self) -> pl.Expr:
        """The hour's start and the intervals before this one."""
        import polars as pl

        number = pl.col(self.interval).cast(pl.String).cast(pl.Int64, strict=False)
        number = pl.when(number.is_between(1, 60 // self.minutes)).then(number)
        return self.hours.interval_start() + pl.duration(minutes=(number - 1) * self.minutes)

    def interval_end(self) -> pl.Expr:
        """A length later."""
        return self.interval_start() + timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when an entry of a registry holds, by the dates on the market's wall; unknown where there is none."""

    zone: str
    start: str = ""
    end: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the two that are published."""
        return tuple(name for name in (self.start, self.end) if name)

    def interval_start(self) -> pl.Expr:
        """The midnight that begins the first day."""
        return self._midnight(self.start)

    def interval_end(self) -> pl.Expr:
        """The midnight that is published as the end."""
        return self._midnight(self.end)

    def _midnight(self, column: str) -> pl.Expr:
        import polars as pl

        if not column:
            return pl.lit(None, pl.Datetime("us", "UTC"))
        # The last year that can be written stands for no end (PJM).
        day = pl.when(pl.col(column).dt.year() < _NO_END).then(pl.col(column))
        return _placed(day, self.zone, None)


@dataclass(frozen=True, slots=True)
class ByInstant:
    """An instant as published."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    def instant(self) -> pl.Expr:
        """The column as it is."""
        import polars as pl

        return pl.col(self.column)


@dataclass(frozen=True, slots=True)
class ByWallClock:
    """An instant by the clock on the wall; of two equal labels the first is meant, since none says which."""

    column: str
    zone: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    def instant(self) -> pl.Expr:
        """The label placed in its zone."""
        import polars as pl

        return _placed(pl.col(self.column), self.zone, None)


def _is_second(flag: str, flagged: tuple[str, ...], means: Literal["first", "second"]) -> pl.Expr | None:
    """Whether a label that stands twice is the later one; None where nothing tells."""
    import polars as pl

    if not flag:
        return None
    is_flagged = pl.col(flag).cast(pl.String).is_in(list(flagged))
    return is_flagged if means == "second" else ~is_flagged


def _placed(label: pl.Expr, zone: str, second: pl.Expr | None) -> pl.Expr:
    """The instant of a wall-clock label, UTC; null if its zone never shows that label."""
    import polars as pl

    def placed(ambiguous: Literal["earliest", "latest"]) -> pl.Expr:
        return label.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null").dt.convert_time_zone("UTC")

    # A column of words, one for each row, would be shorter, but Polars panics where there is no row.
    return (
        placed("earliest") if second is None else pl.when(second).then(placed("latest")).otherwise(placed("earliest"))
    )
