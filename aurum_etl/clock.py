"""How markets tell time: one class per convention, each named after what its columns hold.

A clock turns the published time columns into the instants at which an interval starts and ends. It is a value in a
dataset's declaration, never an `if` in a parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl


class Clock(Protocol):
    """The convention by which one dataset labels its intervals."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The published columns that it reads."""

    def interval_start(self) -> pl.Expr:
        """First instant of the interval, UTC microseconds."""

    def interval_end(self) -> pl.Expr:
        """First instant after the interval, UTC microseconds."""


@dataclass(frozen=True, slots=True)
class UtcInstants:
    """Both ends are published as UTC instants, so change days need no thought (CAISO OASIS).

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
