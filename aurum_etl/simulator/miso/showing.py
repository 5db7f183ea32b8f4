"""What every public display needs: when it is, how stamps look, and the faults of short lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.simulator.miso import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

LATE = timedelta(minutes=7)
"""What is off the grid is so much later."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Showing:
    """What a display is made from."""

    seed: int
    now: datetime
    """By the market's clock."""
    places: pl.DataFrame
    fault: str | None

    @property
    def priced(self) -> datetime:
        """The last five minutes that have prices."""
        return clock.latest(self.now)

    @property
    def measured(self) -> datetime:
        """The last five minutes in which load and generation are known."""
        return self.priced - timedelta(minutes=5)

    def hurt(self, rows: Rows, stamp: str | None, value: str, word: str) -> Rows:
        """The rows of a list with the fault in them; `stamp` names what says when."""
        if not rows or self.fault is None:
            return rows
        first = rows[0]

        def is_first(row: dict[str, Any]) -> bool:
            return stamp is not None and row[stamp] == first[stamp]

        def renamed(row: dict[str, Any]) -> dict[str, Any]:
            return {f"{name}_new" if name == value else name: cell for name, cell in row.items()}

        def moved(row: dict[str, Any]) -> dict[str, Any]:
            return {**row, stamp: later(row[stamp])} if stamp is not None and is_first(row) else row

        made: dict[str, Callable[[], Rows]] = {
            "wrong_header": lambda: [renamed(each) for each in rows],
            "text_in_number": lambda: [{**first, value: "NaN"}, *rows[1:]],
            "duplicate_rows": lambda: [*rows, *rows[:3]],
            "unknown_word": lambda: [*rows, {**first, word: "XYZ"}],
            "off_grid": lambda: [moved(each) for each in rows],
            "missing_hour": lambda: [each for each in rows if not is_first(each)],
        }
        return made.get(self.fault, lambda: rows)()


def later(stamp: str) -> str:
    """Seven minutes later, in the same form; where there are no minutes, they are put behind."""
    for form, made in (("%Y-%m-%d %I:%M:%S %p", twelve_hours), ("%H:%M", "{:%H:%M}".format)):
        try:
            return made(datetime.strptime(stamp, form) + LATE)  # noqa: DTZ007
        except ValueError:
            continue
    return f"{stamp}:07"


def twelve_hours(stamp: datetime) -> str:
    """A stamp by a clock of twelve hours, the hour without a zero in front."""
    return f"{stamp:%Y-%m-%d} {(stamp.hour + 11) % 12 + 1}:{stamp:%M:%S %p}"


def reference(stamp: datetime) -> str:
    """How a display says when it is."""
    return f"{stamp:%d-%b-%Y} - Interval {stamp:%H:%M} EST"


def compact(value: object) -> str:
    """As JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))
