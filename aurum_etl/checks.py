"""One function per check, named after what holds.

A check is one expression over the whole frame, true where the row is good. It says nothing of what happens to the
other rows: that is policy, and policy belongs to the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl


@dataclass(frozen=True, slots=True)
class Check:
    """A named promise about rows."""

    name: str
    column: str
    """The column to look at when the promise is broken."""
    holds: Callable[[], pl.Expr]
    """Builds the expression that is true for good rows; deferred so that declaring a contract loads no library."""


def key_is_unique(key: Sequence[str]) -> Check:
    """No two rows share their natural key.

    Needs a frame sorted by the key: then two equal keys are neighbours, and no hash table over text is built.
    """

    def holds() -> pl.Expr:
        import polars as pl

        differs = pl.any_horizontal(pl.col(column).ne_missing(pl.col(column).shift(1)) for column in key)
        differs |= pl.int_range(pl.len()) == 0
        return differs & differs.shift(-1, fill_value=True)

    return Check("key_is_unique", key[-1], holds)


def minutes_span_the_interval() -> Check:
    """`interval_end` is `iso_interval_minutes` after `interval_start`."""

    def holds() -> pl.Expr:
        import polars as pl

        span = pl.col("interval_end") - pl.col("interval_start")
        return span == pl.duration(minutes=pl.col("iso_interval_minutes"))

    return Check("minutes_span_the_interval", "interval_end", holds)


def ends_after_it_starts(start: str, end: str) -> Check:
    """What has both a beginning and an end does not end before it begins."""

    def holds() -> pl.Expr:
        import polars as pl

        return (pl.col(end) >= pl.col(start)).fill_null(value=True)

    return Check("ends_after_it_starts", end, holds)


def text_has_no_nul(columns: Sequence[str]) -> Check:
    """No text has the character NUL in it: PostgreSQL takes none, and one row would keep all others of its chunk out."""

    def holds() -> pl.Expr:
        import polars as pl

        return ~pl.any_horizontal(pl.col(columns).str.contains("\0", literal=True).fill_null(value=False))

    return Check("text_has_no_nul", columns[0], holds)


def something_is_measured(columns: Sequence[str]) -> Check:
    """At least one of the values is there: a row that says nothing is no observation."""

    def holds() -> pl.Expr:
        import polars as pl

        return pl.any_horizontal(pl.col(column).is_not_null() for column in columns)

    return Check("something_is_measured", columns[0], holds)


def price_equals_its_components(tolerance_usd: float) -> Check:
    """Where energy, congestion and loss are all published, they add up, with greenhouse gas if any, to the total.

    Each of up to five numbers is rounded on its own, and not every ISO rounds them alike: `tolerance_usd` is the most
    that the sum may be off, in USD/MWh.
    """

    def holds() -> pl.Expr:
        import polars as pl

        parts = pl.col("price_energy") + pl.col("price_congestion") + pl.col("price_loss")
        difference = pl.col("price_total") - parts - pl.col("price_ghg").fill_null(0.0)
        return (difference.abs() <= tolerance_usd).fill_null(value=True)

    return Check("price_equals_its_components", "price_total", holds)
