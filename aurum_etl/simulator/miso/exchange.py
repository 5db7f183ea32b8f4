"""The Data Exchange: rows as objects, in pages whose size the server sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from aurum_etl.simulator.invented import decimal_text
from aurum_etl.simulator.miso.wire import BadArgument, NoData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row. Numbers are integers of 10⁻ᵈⁱᵍⁱᵗˢ in the frames; JSON stands there as it is sent."""

    name: str
    kind: Literal["text", "number", "json"]
    column: str
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request asks for."""

    seed: int
    day: date
    now: datetime
    """By the market's clock."""
    options: Mapping[str, str]
    places: pl.DataFrame
    fault: str | None

    def chosen(self, option: str, words: Sequence[str]) -> str | None:
        """What is asked for under a name that knows some words only."""
        word = self.options.get(option)
        if word is not None and word not in words:
            raise BadArgument(f"{option} must be one of {', '.join(words)}")
        return word

    def wanted(self, rows: pl.DataFrame, **columns: str) -> pl.DataFrame:
        """The rows that the options ask for, by the columns that answer to them."""
        return rows.filter(
            *(pl.col(column) == self.options[option] for option, column in columns.items() if option in self.options)
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """Every place in every interval, of which only the page that is asked for is made."""

    blocks: pl.DataFrame
    """Intervals, each with all places."""
    places: pl.DataFrame
    filled: Callable[[pl.DataFrame], pl.DataFrame]
    """The places in their intervals, with values."""

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.blocks.height * self.places.height

    def page(self, offset: int, count: int) -> pl.DataFrame:
        """Some of them."""
        each = self.places.height
        first, last = offset // each, (offset + count - 1) // each
        cells = self.blocks.slice(first, last - first + 1).join(self.places, how="cross", maintain_order="left_right")
        return self.filled(cells.slice(offset - first * each, count))


@dataclass(frozen=True, slots=True)
class Resource:
    """One address of the Data Exchange."""

    made: Callable[[Scope], Grid]
    fields: Callable[[Scope], Sequence[Field]]
    measure: str
    """The field that some faults hit."""
    word: str | None
    """The field in which one fault puts a word that nobody knows; the last text if there is none."""


def page_text(resource: Resource, scope: Scope) -> str:
    """The page that is asked for."""
    number = scope.options.get("pagenumber", "1")
    if not number.isdecimal() or number == "0":
        raise BadArgument("pageNumber must be a positive number")
    grid = resource.made(scope)
    pages = -(-grid.total // PAGE_SIZE)
    if int(number) > pages:
        raise NoData
    rows = grid.page((int(number) - 1) * PAGE_SIZE, PAGE_SIZE)
    page = (
        f'"pageNumber":{number},"pageSize":{PAGE_SIZE},"totalElements":{grid.total},"totalPages":{pages},'
        f'"lastPage":{"true" if int(number) == pages else "false"}'
    )
    return f'{{"data":[{_objects(rows, resource, scope)}],"page":{{{page}}}}}'


def _objects(rows: pl.DataFrame, resource: Resource, scope: Scope) -> str:
    fields, fault = resource.fields(scope), scope.fault
    if fault == "duplicate_rows":
        rows = pl.concat([rows, rows.head(3)])
    if fault == "unknown_word":
        texts = [each for each in fields if each.kind == "text" and resource.word in (None, each.name)]
        column = texts[-1].column
        rows = pl.concat([rows, rows.head(1).with_columns(pl.lit("XYZ").alias(column))])
    parts: list[pl.Expr] = []
    for number, field in enumerate(fields):
        name, value = field.name, _value(field).fill_null("null")
        if name == resource.measure and fault == "wrong_header":
            name += "_new"
        if name == resource.measure and fault == "text_in_number":
            value = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit('"n/a"')).otherwise(value)
        parts += [pl.lit(f'{"," if number else "{"}"{name}":'), value]
    return str(rows.select(pl.concat_str([*parts, pl.lit("}")]).str.join(",")).item())


def _value(field: Field) -> pl.Expr:
    column = pl.col(field.column)
    match field.kind:
        case "text":
            return '"' + column + '"'
        case "json":
            return column
        case "number":
            return decimal_text(column, field.digits) if field.digits else column.cast(pl.String)
