"""What a canonical row is: columns, key and checks, in one definition.

Every dialect (Polars, Arrow, Pandera, Iceberg, and those that come) is generated from a `Contract`; nothing of it is
written down twice.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from aurum_etl.market import CurveRole, Iso, LocationType, Market, Product, Subject, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    import pyarrow as pa

    from aurum_etl.checks import Check

CONTRACT_VERSION = "1"
LINEAGE = ("chunk_key", "ingested_at")
"""The columns that only the pipeline knows."""


class ColumnType(StrEnum):
    """The types that a contract column can have, by their Arrow names."""

    STRING = "string"
    INT16 = "int16"
    DOUBLE = "double"
    TIMESTAMP = "timestamp[us, UTC]"
    DATE = "date32"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, whether it may be null, what it means, and the words it may hold."""

    name: str
    type: ColumnType
    meaning: str
    nullable: bool = False
    choices: tuple[str, ...] = ()
    """The closed vocabulary; empty where any text may stand."""
    unit: str = ""
    """Unit of the value, for comments and docs; empty where there is none."""


@dataclass(frozen=True)
class Contract:
    """One kind of observation."""

    kind: str
    """The topic word and table name: `lmp`."""
    product: Product
    subject: Subject
    curve_role: CurveRole
    unit: Unit
    values: tuple[Column, ...]
    """The columns that this kind adds to those that every observation carries."""
    key: tuple[str, ...]
    """The natural key; it holds no value."""
    has_market: bool
    """Whether rows belong to a market and a run."""
    series_words: tuple[str, ...] = ()
    """The value columns whose words are part of the series id."""
    checks: tuple[Check, ...] = field(default=())
    is_registry: bool = False
    """Whether rows are places and not observations: they have no interval, no series and no market."""

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in the contract's order."""
        shared = observation_columns(has_market=self.has_market)
        if self.is_registry:
            shared = tuple(column for column in shared if column.name in _OF_A_REGISTRY)
        return (*shared, *self.values)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in the contract's order."""
        return tuple(column.name for column in self.columns)

    @property
    def time(self) -> str:
        """The column that says when."""
        return "effective_start" if self.is_registry else "interval_start"

    @property
    def partitions(self) -> tuple[str, ...]:
        """The columns by which stores keep rows apart."""
        return ("iso_code",) if self.is_registry else ("iso_code", "operating_date")

    @property
    def message_key(self) -> str:
        """The column whose value keeps messages about the same thing in order."""
        return "iso_location_id" if self.is_registry else "series_id"

    @functools.cached_property
    def order(self) -> tuple[str, ...]:
        """How rows are sorted: by place, then time, then what else is in the key, so that equal keys are neighbors."""
        first = ("iso_location_id", self.time)
        return (*first, *(name for name in self.key if name not in first))

    @functools.cached_property
    def free_text(self) -> tuple[str, ...]:
        """The columns whose words are the ISO's own, the place in front."""
        found = (each.name for each in self.columns if each.type is ColumnType.STRING and not each.choices)
        return ("iso_location_id", *(name for name in found if name not in {"iso_location_id", "series_id", *LINEAGE}))

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    @functools.cached_property
    def polars_schema(self) -> Mapping[str, pl.DataType]:
        """Column names to Polars types, in order."""
        import polars as pl

        types: dict[ColumnType, pl.DataType] = {
            ColumnType.STRING: pl.String(),
            ColumnType.INT16: pl.Int16(),
            ColumnType.DOUBLE: pl.Float64(),
            ColumnType.TIMESTAMP: pl.Datetime("us", "UTC"),
            ColumnType.DATE: pl.Date(),
        }
        return {column.name: types[column.type] for column in self.columns}

    @functools.cached_property
    def arrow_schema(self) -> pa.Schema:
        """The schema of every table that reaches a sink."""
        import pyarrow as pa

        types: dict[ColumnType, pa.DataType] = {
            ColumnType.STRING: pa.string(),
            ColumnType.INT16: pa.int16(),
            ColumnType.DOUBLE: pa.float64(),
            ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
            ColumnType.DATE: pa.date32(),
        }
        return pa.schema(
            [pa.field(column.name, types[column.type], nullable=column.nullable) for column in self.columns]
        )


_OF_A_REGISTRY = frozenset(
    {
        "iso_code",
        "iso_location_type",
        "iso_location_id",
        "iso_location_name",
        "iso_timezone",
        "published_at",
        *LINEAGE,
    }
)


def observation_columns(*, has_market: bool) -> tuple[Column, ...]:
    """The columns that every observation carries; market and run are null for products without a market."""
    text, instant = ColumnType.STRING, ColumnType.TIMESTAMP
    return (
        Column("series_id", text, "identity of the series: iso, product, market, run, minutes, word, location"),
        Column("iso_code", text, "market operator", choices=tuple(Iso)),
        Column("iso_market", text, "day-ahead or real-time", nullable=not has_market, choices=tuple(Market)),
        Column("iso_market_run", text, "the ISO's own name for the run", nullable=not has_market),
        Column("iso_product", text, "what the row is about", choices=tuple(Product)),
        Column("iso_location_type", text, "kind of place", choices=tuple(LocationType)),
        Column("iso_location_id", text, "the place, as published"),
        Column("iso_location_name", text, "the place's name, as published", nullable=True),
        Column("iso_timezone", text, "IANA zone of the market's own calendar"),
        Column("iso_interval_minutes", ColumnType.INT16, "length of the interval", unit="min"),
        Column("iso_unit", text, "unit of the values", choices=tuple(Unit)),
        Column("iso_subject", text, "what a reader aggregates by", choices=tuple(Subject)),
        Column("iso_curve_role", text, "downstream use", choices=tuple(CurveRole)),
        Column("interval_start", instant, "first instant of the interval"),
        Column("interval_end", instant, "first instant after the interval"),
        Column("operating_date", ColumnType.DATE, "trading day in the market's calendar"),
        Column("published_at", instant, "when this version was published", nullable=True),
        Column("revision", text, "the ISO's own version mark", nullable=True),
        Column("chunk_key", text, "the chunk that wrote the row"),
        Column("ingested_at", instant, "when the chunk's attempt began"),
    )
