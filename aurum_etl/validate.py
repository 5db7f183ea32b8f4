"""A canonical frame to a verdict: every row judged by every promise, all findings at once, and pure.

Pandera judges types, nulls and vocabularies; the contract's own checks are expressions over whole rows. Pandera looks at
values only in eager frames (of a `LazyFrame` it checks the schema alone), so `validate` takes a `DataFrame`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pandera.polars as pandera
import polars as pl
from pandera.backends.polars.register import register_polars_backends

from aurum_etl.checks import Check, text_has_no_nul
from aurum_etl.contracts.base import LINEAGE
from aurum_etl.errors import ContractViolation
from aurum_etl.quarantine import REJECTED_SCHEMA, rejected
from aurum_etl.receipt import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.window import Window

# Pandera does this at its first validation, and it loads more modules: better now, while the first answer is on its way.
register_polars_backends()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the contract says of a frame. It is returned, not raised: what happens to rejected rows is policy."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    """The other rows, in the shape of `REJECTED_SCHEMA`; one row per broken promise."""
    rows_rejected: int
    """How many rows broke at least one promise."""


def validate(frame: pl.DataFrame, contract: Contract, extra: Sequence[Check] = ()) -> Verdict:
    """The frame, divided into rows that keep every promise and rows that do not.

    Shape:  `frame` has the contract's columns, with or without the lineage, sorted by location and time.
    Raises: ContractViolation if columns or types are not the contract's: that is a fault of ours, not of the data.
    """
    checks = (*contract.checks, text_has_no_nul(contract.free_text), *extra)
    broken = [*_broken_columns(frame, contract), *_broken_checks(frame, checks)]
    if not broken:
        return Verdict(frame, pl.DataFrame(schema=REJECTED_SCHEMA), 0)
    bad = pl.concat([rows for _, _, rows in broken]).unique()
    return Verdict(
        accepted=frame.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(bad.implode())),
        rejected=pl.concat([rejected(frame[rows], check, column) for check, column, rows in broken]),
        rows_rejected=len(bad),
    )


@functools.lru_cache(maxsize=64)
def pandera_schema(contract: Contract, *, lineage: bool = True) -> pandera.DataFrameSchema:
    """The contract's columns in Pandera's dialect, from their one definition."""
    columns = {
        column.name: pandera.Column(
            contract.polars_schema[column.name],
            checks=pandera.Check.isin(column.choices) if column.choices else None,
            nullable=column.nullable,
        )
        for column in contract.columns
        if lineage or column.name not in LINEAGE
    }
    return pandera.DataFrameSchema(columns, strict=True, ordered=True)


def _broken_columns(frame: pl.DataFrame, contract: Contract) -> Iterator[tuple[str, str, pl.Series]]:
    """Check, column and row numbers of each promise about a single column that is broken."""
    try:
        pandera_schema(contract, lineage=LINEAGE[0] in frame.columns).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        failures = errors.failure_cases
    else:
        return
    of_the_frame = failures.filter(pl.col("index").is_null())
    if len(of_the_frame):
        faults = (f"{row['column']}: {row['check']}: {row['failure_case']}" for row in of_the_frame.to_dicts())
        raise ContractViolation(f"{contract.kind}: {'; '.join(faults)}")
    for (check, column), cases in failures.group_by("check", "column", maintain_order=True):
        name = "value_is_not_null" if check == "not_nullable" else "word_is_known"
        yield name, str(column), cases.get_column("index").cast(pl.UInt32)


def _broken_checks(frame: pl.DataFrame, checks: Sequence[Check]) -> Iterator[tuple[str, str, pl.Series]]:
    """The same for promises about whole rows.

    They are expressions, so all of them are one pass here; Pandera would write every failing row as text, 14 seconds
    for a day of which all rows fail.
    """
    results = frame.select(check.holds().alias(check.name) for check in checks)
    for check in checks:
        holds = results.get_column(check.name)
        if not holds.all(ignore_nulls=False):
            yield check.name, check.column, (~holds.fill_null(value=False)).arg_true()


def rows_are_in_scope(scope: Scope) -> Check:
    """Every row is one that the chunk's commit replaces: a row outside would be doubled by the next commit."""

    def holds() -> pl.Expr:
        window = scope.chunk.window
        inside = pl.lit(value=True)
        if scope.axis is not None:
            inside = pl.col(scope.axis).is_between(window.start, window.end, closed="left")
            inside &= pl.col("operating_date").is_in(list(scope.operating_dates))
        for column, words in scope.equals.items():
            inside &= pl.col(column).is_in(list(words))
        if scope.locations is not None:
            inside &= pl.col("iso_location_id").is_in(list(scope.locations))
        return inside

    return Check("rows_are_in_scope", "iso_location_id", holds)


def gaps(frame: pl.DataFrame, window: Window, minutes: int, by: str = "series_id") -> tuple[Finding, ...]:
    """Intervals of the window that some or all series lack.

    The source's own gaps are findings, not failures: the rows that are there are right. What is nowhere in the frame
    is told apart from what single series lack.
    """
    expected = window.duration // timedelta(minutes=minutes)
    findings = []
    absent = missing_intervals(frame, window, minutes)
    if len(absent):
        findings.append(
            Finding(
                "intervals_are_published",
                Severity.WARNING,
                len(absent),
                f"nothing has {len(absent)} of {expected} intervals, first {absent[0]:%Y-%m-%dT%H:%MZ}",
            )
        )
    counts = frame.group_by(by).agg(pl.col("interval_start").n_unique().alias("intervals"))
    short = counts.filter(pl.col("intervals") < expected - len(absent)).sort(by)
    if len(short):
        lacking = len(short) * (expected - len(absent)) - int(short.get_column("intervals").sum())
        examples = ", ".join(short.head(3).get_column(by))
        findings.append(
            Finding(
                "series_are_complete",
                Severity.WARNING,
                lacking,
                f"{len(short)} of {len(counts)} series lack {lacking} intervals in all, such as {examples}",
            )
        )
    return tuple(findings)


def missing_intervals(frame: pl.DataFrame, window: Window, minutes: int) -> pl.Series:
    """Starts of the window's intervals that no row of the frame has, in order."""
    wanted = pl.datetime_range(
        window.start, window.end, f"{minutes}m", closed="left", time_unit="us", eager=True
    ).alias("interval_start")
    return wanted.filter(~wanted.is_in(frame.get_column("interval_start").unique().implode()))
