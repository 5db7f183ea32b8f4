"""What a product of ERCOT is: its columns, its intervals, and when its documents are posted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import polars as pl

from aurum_etl.simulator.ercot import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUERY_SINCE = date(2023, 12, 11)
"""Rows can be asked for from the day on that the API was switched on."""
ARCHIVE_SINCE = datetime.fromisoformat("2014-05-01T05:00:00")
"""Documents are kept from here on."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the query API. Frames hold doubles as integers of 10⁻ᵈⁱᵍⁱᵗˢ."""

    name: str
    label: str
    kind: Literal["DATE", "DATETIME", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN"]
    digits: int = 0

    @property
    def has_range(self) -> bool:
        """Whether it is filtered by `From` and `To`, and not by itself."""
        return self.kind not in ("VARCHAR", "BOOLEAN")


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of a csv document."""

    header: str
    column: str
    form: Literal["date", "stamp", "text", "unpadded", "padded", "whole", "shortest", "fixed", "blank", "flag"]
    """`unpadded` is `1:00`, `padded` is `01`, `blank` is a shortest decimal with a blank in front."""
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter of a request, understood."""

    column: str
    predicate: pl.Expr
    first: datetime | None = None
    """Of a filter on a day or a stamp: first and last reading of the wall clock, both inclusive."""
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What rows are made for."""

    seed: int
    now: datetime
    points: pl.DataFrame
    conditions: Sequence[Condition] = ()

    def wanted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that fit the conditions on the columns that they have."""
        return rows.filter(*(each.predicate for each in self.conditions if each.column in rows.columns))


def _one_place(_: Scope) -> pl.DataFrame:
    return pl.DataFrame({"place": [0]})


@dataclass(frozen=True, slots=True)
class Product:
    """One product: rows to query, documents to download, or both."""

    emil: str
    name: str
    description: str
    report_type: int
    frequency: str
    first_run: str
    mis_days: int
    stem: str
    """What its documents are called: `DAMSPNP4190`."""
    cells: tuple[Cell, ...]
    starts: Callable[[int, clock.Span], pl.DataFrame]
    """By seed: `start` of all intervals within a span, when they are `posted` and, if ever, `corrected`."""
    filled: Callable[[int, pl.DataFrame], pl.DataFrame]
    """By seed: the cells with their values; `preliminary` ones are yet to be corrected."""
    spread: Callable[[pl.DataFrame], pl.DataFrame] = clock.labelled
    """The starts with labels; of a forecast, all intervals that it has."""
    places: Callable[[Scope], pl.DataFrame] = _one_place
    """What there is in every interval."""
    artifact: str = ""
    """Last part of the address of its rows."""
    columns: tuple[Column, ...] = ()
    order: tuple[str, ...] = ()
    """Of rows, the first of them newest first."""
    measure: str = ""
    """The column of numbers that faults break."""
    word: str = ""
    """The column of words that faults break; without one, a column is added."""
    interval: str = "hourEnding"
    """The column that names the interval."""
    reach: tuple[int, int] = (0, 0)
    """How many days before and behind a delivery day its rows are posted; none if rows are found by that day."""
    lag: timedelta = timedelta(3)
    """The longest time between an interval and its documents."""
    named_by: Literal["", "minute", "second"] = ""
    """Whether documents are named for the interval they hold: its end by the minute, or its start by the second."""
    retries: bool = False
    """Whether the name of a document that is posted again says so."""
    download_limit: int = 1000
    rules: tuple[str, ...] = ()
    twins: bool = True
    """Whether MIS lists a csv and an xml document for every posting."""

    @property
    def path(self) -> str:
        """As it stands in addresses."""
        return self.emil.lower()

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((each for each in self.columns if each.name == name), None)

    def labels(self, scope: Scope, span: clock.Span) -> pl.DataFrame:
        """The intervals that are posted by now and that the conditions fit, with their labels."""
        starts = self.starts(scope.seed, span).filter(pl.col("posted") <= scope.now)
        preliminary = pl.col("corrected").is_not_null() & (pl.col("corrected") > scope.now)
        return scope.wanted(self.spread(starts.with_columns(preliminary=preliminary)))

    def made(self, scope: Scope, labels: pl.DataFrame) -> pl.DataFrame:
        """All rows of the intervals."""
        cells = labels.join(scope.wanted(self.places(scope)), how="cross", maintain_order="left_right")
        return scope.wanted(self.filled(scope.seed, cells))

    def documents(self, scope: Scope, posted: clock.Span) -> pl.DataFrame:
        """The documents that are posted within a span, newest first: `posted`, `first` and `last` start, `revision`."""
        posted = max(posted[0], ARCHIVE_SINCE), min(posted[1], scope.now + timedelta(microseconds=1))
        starts = self.starts(scope.seed, (posted[0] - self.lag, posted[1] + self.lag))
        parts = [
            starts.group_by(pl.col(column).alias("posted"))
            .agg(first=pl.col("start").min(), last=pl.col("start").max())
            .with_columns(revision=pl.lit(revision, pl.Int64))
            for revision, column in enumerate(("posted", "corrected"))
        ]
        within = pl.col("posted").is_between(*posted, closed="left")
        return pl.concat(parts).filter(within).sort("posted", "revision", descending=True)

    def document_rows(self, scope: Scope, span: clock.Span, revision: int, posted: Sequence[datetime]) -> pl.DataFrame:
        """The rows of documents, in the order of time; `document` says when theirs was posted."""
        document = pl.col("corrected" if revision else "posted")
        starts = self.starts(scope.seed, (span[0], span[1] + timedelta(microseconds=1)))
        starts = starts.filter(document.is_in(posted)).with_columns(
            document=document, preliminary=pl.col("corrected").is_not_null() & (revision == 0)
        )
        return self.made(scope, self.spread(starts))

    def title(self, first: datetime, posted: datetime, revision: int) -> str:
        """What a document is called, without its format; what belongs to the repeated hour says so."""
        stamp = posted
        text = self.stem + ("_retry" if self.retries and revision else "")
        if self.named_by == "minute":
            stamp = first + timedelta(minutes=15)
            text += f"_{clock.wall(stamp):%Y%m%d_%H%M}"
        elif self.named_by == "second":
            stamp = first
            text += f"_{clock.wall(stamp):%Y%m%d_%H%M%S}"
        if not clock.repeated(stamp):
            return text
        return f"{text}xhr" if self.named_by else f"{text}_xhr"
