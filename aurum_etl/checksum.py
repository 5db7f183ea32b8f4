"""Days of rows as numbers: enough to tell later, and in any store, whether the same rows are still there.

**The sum.** Of each row a term is made, and the terms of a market day are added up, so that the order of the rows does not
matter, and the sums of rows that were loaded apart add up as well. A term comes from the natural key, the revision and the
values, and from nothing that a store might write differently. Each of these is a number first (`P` is 2147483629):

- text: the first four bytes of the SHA-256 of its UTF-8, big-endian;
- an instant: its microseconds since 1970, modulo P;
- a double: its 64 bits as a signed integer, modulo P, so that the least change is one;
- null, of whatever type: P itself, which is none of the others' zeros.

A state begins at 0 and takes them in one after the other: `state = (state xor number) * 1103515245 mod P`. The term is
`state * (state xor 1540483477) mod P`: a product, since with terms that were linear in the values two rows could swap theirs
and the sum would stay. Every step fits into 63 bits, so that SQL can do it (`exports/checksum_sql.py`). An error passes
unseen once in two thousand million times. None of this may ever change: sums are kept for years.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aurum_etl.contracts import LINEAGE, ColumnType
from aurum_etl.market import Iso
from aurum_etl.receipt import Day

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    import polars as pl
    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Column, Contract

PRIME = 2147483629
"""The largest prime below 2**31 but one: that one is of a form in which bits 31 apart would count alike."""
FACTOR = 1103515245
TWIST = 1540483477
_SAID = {
    "iso_code",
    "iso_market",
    "iso_market_run",
    "iso_product",
    "iso_interval_minutes",
    "iso_timezone",
    "iso_unit",
    "iso_subject",
    "iso_curve_role",
    "operating_date",
}
"""Columns that say nothing that the series, the start of the interval or the contract does not."""


def summed(contract: Contract) -> tuple[Column, ...]:
    """The columns that a term is made of, in the order in which they are taken in.

    The series id stands for all words of the key that it holds, the location and the length of the interval among them.
    """
    values = {column.name for column in contract.values}
    first = ("iso_location_id", "effective_start") if contract.is_registry else ("series_id", "interval_start")
    wanted = [*first, *(name for name in ("published_at",) if name in contract.key), "revision"]
    wanted = [name for name in wanted if name in contract.names]
    wanted += [name for name in contract.names if name in values and name not in wanted]
    return tuple(contract.column(name) for name in wanted)


def rest_of_rows(table: pa.Table, contract: Contract) -> str:
    """Checksum of what `summed` leaves out, such as names of places, by place; the same rows have the same.

    Left out as well are lineage, and what series, intervals and the contract say already.
    """
    said = {column.name for column in summed(contract)} - {"iso_location_id"} | _SAID | set(LINEAGE)
    columns = [column for column in contract.columns if column.name not in said]
    return f"{int(_terms(table, columns).sum()):016x}"


def day_of_registry(scope: Scope) -> date:
    """The market day that a registry's rows count as: the one on which they were asked for."""
    zone = ZoneInfo(Iso(str(scope.equals["iso_code"][0])).timezone)
    return scope.chunk.window.start.astimezone(zone).date()


def day_of(day: date, rows: int, total: int) -> Day:
    """The day as it is kept and compared."""
    return Day(day, rows, f"{total:016x}")


def days_of_rows(table: pa.Table, scope: Scope) -> tuple[Day, ...]:
    """Rows and checksum of each market day, in order; a registry is one day, that of its chunk.

    Shape: `table` has at least the columns of `summed`, and `operating_date` unless it is a registry.
    """
    import polars as pl

    contract = scope.contract
    if not table.num_rows:
        return ()
    terms = _terms(table, summed(contract))
    if contract.is_registry:
        return (day_of(day_of_registry(scope), len(terms), int(terms.sum())),)
    days = pl.DataFrame({"day": pl.Series(table["operating_date"]), "term": terms})
    totals = days.group_by("day").agg(pl.len().alias("rows"), pl.col("term").sum()).sort("day")
    return tuple(
        day_of(*row) for row in zip(*(totals.get_column(name).to_list() for name in totals.columns), strict=True)
    )


def together(days: Iterable[Day]) -> tuple[Day, ...]:
    """Days of rows that were summed up apart, as if they had been summed up together."""
    found: dict[date, Day] = {}
    for each in days:
        before = found.get(each.day, day_of(each.day, 0, 0))
        total = int(before.checksum, 16) + int(each.checksum, 16)
        found[each.day] = day_of(each.day, before.rows + each.rows, total)
    return tuple(found[day] for day in sorted(found))


def _terms(table: pa.Table, columns: Sequence[Column]) -> pl.Series:
    """One number per row."""
    import polars as pl

    numbers = pl.DataFrame({column.name: _numbers(table[column.name], column.type) for column in columns})
    state = pl.lit(0, pl.Int64)
    for column in columns:
        state = (state ^ pl.col(column.name)) * FACTOR % PRIME
    twisted = (pl.col("state") ^ TWIST) * pl.col("state") % PRIME
    return numbers.lazy().select(state=state).select(twisted).collect().to_series()


def _numbers(column: pa.ChunkedArray[Any], kind: ColumnType) -> pl.Series:
    """The column as numbers, null as `PRIME`."""
    import polars as pl
    import pyarrow as pa

    if kind is ColumnType.STRING:
        return _of_texts(pl.Series(column))
    # The same bits, looked at as integers.
    chunks = [chunk.view(pa.int64()) for chunk in column.chunks]
    return (pl.Series(pa.chunked_array(chunks, pa.int64())) % PRIME).fill_null(PRIME)


def _of_texts(texts: pl.Series) -> pl.Series:
    """Each distinct text is digested once; rows of one text mostly stand together, and of each run the first is enough."""
    import polars as pl

    if texts.null_count() == len(texts):
        return pl.repeat(PRIME, len(texts), dtype=pl.Int64, eager=True)
    runs = texts.rle_id()
    firsts = texts.filter(runs.diff().fill_null(1) > 0)
    words = firsts.unique()
    numbers = pl.Series([number_of(word) for word in words.to_list()], dtype=pl.Int64)
    return firsts.replace_strict(words, numbers, return_dtype=pl.Int64).gather(runs)


@lru_cache(maxsize=65_536)
def number_of(word: str | None) -> int:
    """The number of a text: the same places come with every chunk."""
    return PRIME if word is None else int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
