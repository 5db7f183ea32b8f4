"""Published record batches to the canonical frame: vectorized, driven by the dataset's declaration, and pure.

Same input, same frame, on any machine: no file, wall clock, network, environment or log is touched here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.contracts.base import LINEAGE
from aurum_etl.decode import WHERE, looked_up
from aurum_etl.errors import SourceChanged
from aurum_etl.quarantine import REJECTED_SCHEMA, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from aurum_etl.dataset import Components, Dataset

_LOCATION, _START, _END = "_location", "_start", "_end"


@dataclass(frozen=True, slots=True)
class Normalized:
    """What became of the published rows; every one of them is accounted for."""

    frame: pl.DataFrame
    """Contract columns in contract order, without lineage; sorted by location and time."""
    unplaced: pl.DataFrame
    """Rows that hold a word nobody knows, in the shape of `REJECTED_SCHEMA`."""
    rows_read: int
    """Published rows."""
    passed_over: int
    """Rows of sibling datasets that share the file."""
    repeated: int
    """Rows that said again, word for word, what another had said."""


def normalize(batches: Iterable[pa.RecordBatch], dataset: Dataset) -> Normalized:
    """Canonical frame of what the ISO published.

    Shape:  one row per key of the contract, all its columns but the lineage, in its order.
    Units:  times UTC microseconds, start inclusive, end exclusive; values in the contract's unit.
    Raises: SourceChanged if an interval is not on the dataset's grid; the message names where it came from.
    """
    frames: list[pl.DataFrame] = []
    unplaced: list[pl.DataFrame] = []
    rows_read = passed_over = 0
    for batch in batches:
        published = pl.from_arrow(batch, rechunk=False)
        assert isinstance(published, pl.DataFrame)  # noqa: S101 - a record batch is never a series
        rows_read += len(published)
        mine, unknown = _split_by_words(published, dataset)
        passed_over += len(published) - len(mine) - len(unknown)
        _check_grid(mine, dataset, (batch.schema.metadata or {}).get(WHERE, b"the data").decode())
        frames.append(mine)
        unplaced.append(unknown)
    published = pl.concat(frames) if frames else _nothing(dataset)
    wide, repeated = _observations(published, dataset)
    return Normalized(
        frame=_canonical(wide, dataset),
        unplaced=pl.concat([pl.DataFrame(schema=REJECTED_SCHEMA), *unplaced]),
        rows_read=rows_read,
        passed_over=passed_over,
        repeated=repeated,
    )


def _split_by_words(published: pl.DataFrame, dataset: Dataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The dataset's rows, and those with a word that is nobody's."""
    belongs = pl.lit(value=True)
    unknown = [pl.DataFrame(schema=REJECTED_SCHEMA)]
    if dataset.belonging is not None:
        column = dataset.belonging.column
        known = [dataset.belonging.word, *dataset.belonging.others]
        strangers = published.filter(~_is_one_of(published, column, known))
        unknown.append(rejected(strangers, "word_is_known", column))
        belongs &= _is_one_of(published, column, [dataset.belonging.word])
    if dataset.components is not None:
        column = dataset.components.column
        known_component = _is_one_of(published, column, list(dataset.components.into))
        unknown.append(rejected(published.filter(belongs & ~known_component), "word_is_known", column))
        belongs &= known_component
    return published.filter(belongs), pl.concat(unknown)


def _is_one_of(frame: pl.DataFrame, column: str, words: list[str]) -> pl.Expr:
    """Membership by category code: a handful of distinct words are compared as text, millions of rows as integers."""
    distinct = frame.get_column(column).unique()
    matching = distinct.filter(distinct.cast(pl.String).is_in(words)).to_physical()
    return pl.col(column).to_physical().is_in(matching.implode())


def _check_grid(frame: pl.DataFrame, dataset: Dataset, where: str) -> None:
    """Every interval has the dataset's length and starts on a multiple of it: anything else is not what we asked for."""
    start, end = dataset.clock.interval_start(), dataset.clock.interval_end()
    length = timedelta(minutes=dataset.interval_minutes)
    seconds = dataset.interval_minutes * 60
    on_the_grid = (end - start == length) & (start.dt.epoch("us") % (seconds * 1_000_000) == 0)
    if not frame.select(on_the_grid.all()).item():
        first = frame.filter(~on_the_grid).select(start.alias(_START), end.alias(_END)).sort(_START).row(0, named=True)
        raise SourceChanged(
            f"{where}: columns {', '.join(dataset.clock.columns)}: interval {first[_START]:%Y-%m-%dT%H:%M:%SZ} to "
            f"{first[_END]:%Y-%m-%dT%H:%M:%SZ} is not on the grid of {dataset.interval_minutes} minutes"
        )


def _nothing(dataset: Dataset) -> pl.DataFrame:
    """No rows, in the published shape."""
    from aurum_etl.dataset import Published

    types = {
        Published.WORD: pl.Categorical(),
        Published.NUMBER: pl.Float64(),
        Published.INSTANT: pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(schema={name: types[kind] for name, kind in dataset.published.items()})


def _observations(published: pl.DataFrame, dataset: Dataset) -> tuple[pl.DataFrame, int]:
    """One row per observation (location, start, end and values), sorted; and how many rows only repeated others."""
    places = {
        _LOCATION: pl.col(dataset.location),
        _START: dataset.clock.interval_start(),
        _END: dataset.clock.interval_end(),
    }
    if dataset.components is not None and len(published):
        return _side_by_side(published, places, dataset, dataset.components)
    values = {new: pl.col(old) for old, new in dataset.values.items()}
    if dataset.components is not None:
        values = {column: pl.lit(None, pl.Float64) for column in dataset.components.into.values()}
    rows = published.select(**places, **values)
    distinct = rows.unique(maintain_order=True).sort(pl.col(_LOCATION).cast(pl.String), _START)
    return distinct, len(rows) - len(distinct)


def _side_by_side(
    published: pl.DataFrame, places: dict[str, pl.Expr], dataset: Dataset, components: Components
) -> tuple[pl.DataFrame, int]:
    """Components, one published row each, as columns of one row.

    A whole answer is a table of every location by every interval, each component in an order of its own. The cell of
    every row is computed, and its value put there, without sorting or hashing a row. Where cells are empty or taken
    twice, the components are joined on the cell instead.
    """
    locations = published.get_column(dataset.location).unique()
    locations = locations.gather(locations.cast(pl.String).arg_sort())
    ranks = looked_up(published.get_column(dataset.location), locations, pl.int_range(len(locations), eager=True))
    step = dataset.interval_minutes * 60_000_000
    number = places[_START].dt.epoch("us") // step
    first, last = published.select(first=number.min(), last=number.max()).row(0)
    intervals = last - first + 1
    keyed = published.select(
        pl.col(components.column),
        cell=ranks * intervals + number - first,
        value=pl.col(components.value),
    )
    by_word = keyed.partition_by(components.column, include_key=False, as_dict=True)
    present = {column: by_word[word,] for word, column in components.into.items() if (word,) in by_word}
    absent = [pl.lit(None, pl.Float64).alias(column) for column in components.into.values() if column not in present]
    laid_out = {column: _laid_out(part, len(locations) * intervals) for column, part in present.items()}
    whole = [values.alias(column) for column, values in laid_out.items() if values is not None]
    if len(whole) == len(present):
        cells = pl.int_range(len(locations) * intervals, eager=True)
        starts = ((cells % intervals + first) * step).cast(pl.Datetime("us", "UTC"))
        ends = (starts + timedelta(minutes=dataset.interval_minutes)).alias(_END)
        rows = pl.DataFrame([locations.gather(cells // intervals).alias(_LOCATION), starts.alias(_START), ends])
        return rows.with_columns(*whole, *absent), 0
    distinct = {column: part.unique() for column, part in present.items()}
    repeated = sum(len(part) for part in present.values()) - sum(len(part) for part in distinct.values())
    joined = reduce(
        lambda rows, item: rows.join(item[1].rename({"value": item[0]}), on="cell", how="left"),
        distinct.items(),
        published.select(cell=keyed.get_column("cell"), **places).unique("cell"),
    )
    return joined.sort("cell").drop("cell").with_columns(*absent), repeated


def _laid_out(part: pl.DataFrame, cells: int) -> pl.Series | None:
    """The values in the order of their cells; None unless each cell has exactly one."""
    if len(part) != cells:
        return None
    row = pl.int_range(cells, dtype=pl.UInt32, eager=True)
    order = pl.repeat(None, cells, dtype=pl.UInt32, eager=True).scatter(part.get_column("cell").cast(pl.UInt32), row)
    return None if order.null_count() else part.get_column("value").gather(order)


def _canonical(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """All contract columns but the lineage, in contract order; each is computed here and nowhere else."""
    contract = dataset.contract
    prefix = series_prefix(dataset)
    # What depends on the location alone is computed once per location and looked up by its category code.
    locations = (
        rows.select(_LOCATION)
        .unique()
        .with_columns(iso_location_id=pl.col(_LOCATION).cast(pl.String))
        .with_columns(
            iso_location_type=_location_type(dataset),
            series_id=pl.lit(prefix) + pl.col("iso_location_id"),
        )
    )
    columns: dict[str, pl.Expr] = {
        "series_id": pl.col("series_id"),
        "iso_code": pl.lit(dataset.iso.value),
        "iso_market": pl.lit(None if dataset.market is None else dataset.market.value, pl.String),
        "iso_market_run": pl.lit(dataset.run, pl.String),
        "iso_product": pl.lit(contract.product.value),
        "iso_location_type": pl.col("iso_location_type"),
        "iso_location_id": pl.col("iso_location_id"),
        "iso_location_name": pl.lit(None, pl.String),
        "iso_timezone": pl.lit(dataset.timezone),
        "iso_interval_minutes": pl.lit(dataset.interval_minutes, pl.Int16),
        "iso_unit": pl.lit(contract.unit.value),
        "iso_subject": pl.lit(contract.subject.value),
        "iso_curve_role": pl.lit(contract.curve_role.value),
        "interval_start": pl.col(_START),
        "interval_end": pl.col(_END),
        "operating_date": pl.col(_START).dt.convert_time_zone(dataset.timezone).dt.date(),
        "published_at": pl.lit(None, pl.Datetime("us", "UTC")),
        "revision": pl.lit(None, pl.String),
        **{column: pl.lit(word) for column, word in dataset.words.items()},
    }
    names = [name for name in contract.names if name not in LINEAGE]
    joined = rows.join(locations, on=_LOCATION, how="left", maintain_order="left")
    return joined.select(columns.get(name, pl.col(name)).alias(name) for name in names)


def series_prefix(dataset: Dataset) -> str:
    """The series id without its location: `caiso.lmp.da.dam.60m.`."""
    words = [dataset.iso.slug, dataset.contract.product]
    if dataset.market is not None and dataset.run is not None:
        words += [dataset.market, dataset.run]
    words.append(f"{dataset.interval_minutes}m")
    if dataset.contract.series_word:
        words.append(dataset.words[dataset.contract.series_word])
    return "".join(re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") + "." for word in words)


def _location_type(dataset: Dataset) -> pl.Expr:
    """The first rule that matches the id decides; the last one matches everything, or the type is null."""
    decided = pl.lit(None, pl.String)
    for rule in reversed(dataset.location_rules):
        matches = pl.col("iso_location_id").str.contains(rule.pattern)
        decided = pl.when(matches).then(pl.lit(rule.type.value)).otherwise(decided)
    return decided
