"""What every file is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.spp import clock
from aurum_etl.simulator.spp.places import EAST, WEST

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Making:
    """One file, asked for at some time."""

    seed: int
    span: clock.Span
    """What it covers, or for a forecast the hour or the five minutes that end when it is posted."""
    now: datetime
    locations: pl.DataFrame
    buses: pl.DataFrame
    fault: str | None

    @property
    def has_west(self) -> bool:
        """Whether the western balancing area is in it."""
        return self.span.day >= clock.WEST_SINCE

    @property
    def areas(self) -> tuple[str, ...]:
        """The balancing areas that are in it."""
        return (EAST, WEST) if self.has_west else (EAST,)

    def there(self, places: pl.DataFrame) -> pl.DataFrame:
        """Those of some places that are in it."""
        return places.filter(pl.col("baa").is_in(self.areas))

    def intervals(self, step: timedelta) -> pl.DataFrame:
        """Its intervals, with the faults of time."""
        return clock.intervals(self.span, step, self.fault)

    def over(self, span: clock.Span) -> Making:
        """The same for another span."""
        return replace(self, span=span)
