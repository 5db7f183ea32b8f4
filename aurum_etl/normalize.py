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
from aurum_etl.dataset import Word
from aurum_etl.decode import WHERE, distinct_of, drift_of, empty, looked_up
from aurum_etl.errors import SourceChanged
from aurum_etl.market import LocationType
from aurum_etl.quarantine import REJECTED_SCHEMA, rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from aurum_etl.dataset import Components, Dataset, Report, Revision, Spread

_LOCATION, _NAME, _TYPE = "_location", "_name", "_type"
_START, _END = "_start", "_end"
_PUBLISHED, _MARK, _RANK = "_published", "_mark", "_rank"
_GATHERED_ROWS = 65_536
_CELLS_PER_ROW = 4
"""How many cells a table of places by times may have, for each row that is put into one."""
_HOUR = 3_600_000_000
"""Microseconds."""
_STEPS = (300_000_000, 1_000_000)
"""Microseconds: five minutes, of which most intervals are made, and a second, which stamps are told to."""
_Group = list[tuple[pl.DataFrame, str]]
"""Published frames of one shape, each with where it came from."""


@dataclass(frozen=True, slots=True)
class Normalized:
    """What became of the published rows; every one of them is accounted for."""

    frame: pl.DataFrame
    """Contract columns in contract order, without lineage; sorted as `Contract.order` says."""
    unplaced: pl.DataFrame
    """Rows with a word that nobody knows, or a time that their clock does not have, in the shape of `REJECTED_SCHEMA`."""
    rows_read: int
    """Published rows; of columns that are rows of their own, each value counts."""
    passed_over: int = 0
    """Rows of sibling datasets that share the file."""
    repeated: int = 0
    """Rows that said again, word for word, what another had said."""
    superseded: int = 0
    """Rows of an older version than another of the same fact."""
    drift: tuple[str, ...] = ()
    """Columns that came under another name than the documented one."""


def normalize(batches: Iterable[pa.RecordBatch], dataset: Dataset, report: Report) -> Normalized:
    """Canonical frame of what the ISO published in one of its reports.

    Shape:  one row per key of the contract, all its columns but the lineage, in its order.
    Units:  times UTC microseconds, start inclusive, end exclusive; values in the contract's unit.
    Raises: SourceChanged if an interval is not on the dataset's grid; the message names where it came from.
    """
    frames: list[pl.DataFrame] = []
    unplaced: list[pl.DataFrame] = []
    drift: dict[str, None] = {}
    rows_read = passed_over = 0
    for group in _gathered(batches, drift):
        rows, placed, strangers = _placed(group, dataset, report)
        rows_read += rows
        passed_over += rows - len(placed) - len(strangers)
        frames.append(placed)
        unplaced.append(strangers)
    published = pl.concat(frames) if frames else _nothing(report)
    observations, repeated, superseded = _observations(published, dataset, report)
    return Normalized(
        frame=_canonical(observations, dataset, report),
        unplaced=pl.concat([pl.DataFrame(schema=REJECTED_SCHEMA), *unplaced]),
        rows_read=rows_read,
        passed_over=passed_over,
        repeated=repeated,
        superseded=superseded,
        drift=tuple(drift),
    )


def _gathered(batches: Iterable[pa.RecordBatch], drift: dict[str, None]) -> Iterator[_Group]:
    """The batches as frames, small ones of one shape together: whatever is done with a frame has a price of its own, and a
    day can come in hundreds of files. What they tell of `drift` is noted there.
    """
    group: _Group = []
    rows = 0
    for batch in batches:
        frame = pl.from_arrow(batch, rechunk=False)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a record batch is never a series
        if group and (rows + len(frame) > _GATHERED_ROWS or frame.schema != group[0][0].schema):
            yield group
            group, rows = [], 0
        drift |= dict.fromkeys(drift_of(batch))
        group.append((frame, (batch.schema.metadata or {}).get(WHERE, b"the data").decode()))
        rows += len(frame)
    if group:
        yield group


def _placed(group: _Group, dataset: Dataset, report: Report) -> tuple[int, pl.DataFrame, pl.DataFrame]:
    """How many rows were published, those of the dataset with their instants, and those that nobody can place.

    Raises: SourceChanged if an interval is not on the dataset's grid, with where it came from.
    """
    published = pl.concat([frame for frame, _ in group])
    if report.spread is not None:
        published = _spread(published, report, report.spread)
    mine, unknown = _split_by_words(published, report)
    timed, timeless = _split_by_time(mine, dataset, report)
    try:
        _check_grid(timed, dataset, report, group[0][1])
    except SourceChanged:
        if len(group) > 1:
            # One of them did it: alone it says which.
            for each in group:
                _placed([each], dataset, report)
        raise
    return len(published), timed, pl.concat([unknown, timeless])


def together(parts: Sequence[Normalized], dataset: Dataset) -> Normalized:
    """What several reports of one dataset said: rows that say the same count once, and the higher revision counts."""
    if len(parts) == 1:
        return parts[0]
    frame = pl.concat([each.frame for each in parts])
    key = list(dataset.contract.key)
    rank = pl.col("revision").replace_strict(dataset.ranks, default=0, return_dtype=pl.Int64)
    ranked = frame.with_columns(rank.alias(_RANK))
    highest = ranked.filter(pl.col(_RANK) == pl.col(_RANK).max().over(key)).drop(_RANK)
    distinct = highest.unique(maintain_order=True).sort(dataset.contract.order)
    return Normalized(
        frame=distinct,
        unplaced=pl.concat([each.unplaced for each in parts]),
        rows_read=sum(each.rows_read for each in parts),
        passed_over=sum(each.passed_over for each in parts),
        repeated=sum(each.repeated for each in parts) + len(highest) - len(distinct),
        superseded=sum(each.superseded for each in parts) + len(frame) - len(highest),
        drift=tuple(drift for each in parts for drift in each.drift),
    )


def _spread(published: pl.DataFrame, report: Report, spread: Spread) -> pl.DataFrame:
    """Columns side by side as rows of their own; what has no value is no row."""
    groups = dict(spread.columns)
    if spread.others:
        named = {*report.published, *(old for group in groups.values() for old in group.values())}
        groups |= {name: {spread.others: name} for name in published.columns if name not in named}
    moved = {old for group in groups.values() for old in group.values()}
    values = list(dict.fromkeys(new for group in groups.values() for new in group))
    kept = [pl.col(name) for name in published.columns if name not in moved]
    parts = [
        published.select(
            *kept,
            pl.lit(word).cast(pl.Categorical).alias(spread.into),
            *(pl.lit(told[word]).cast(pl.Categorical).alias(name) for name, told in spread.words.items()),
            *(pl.col(group[new]).alias(new) if new in group else pl.lit(None, pl.Float64).alias(new) for new in values),
        )
        for word, group in groups.items()
    ]
    return pl.concat(parts).filter(pl.any_horizontal(pl.col(new).is_not_null() for new in values))


def _split_by_words(published: pl.DataFrame, report: Report) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The dataset's rows, and those with a word that is nobody's."""
    belongs = pl.lit(value=True)
    mine = True
    unknown = [pl.DataFrame(schema=REJECTED_SCHEMA)]
    for each in report.belonging:
        foreign = _has_other_word(published, each.column, each.words)
        if foreign is None:
            continue
        strange = _has_other_word(published, each.column, each.words | each.others)
        if strange is not None:
            unknown.append(rejected(published.filter(belongs & strange), "word_is_known", each.column))
        belongs &= ~foreign
        mine = False
    for column, words in _vocabularies(report):
        strange = _has_other_word(published, column, words)
        if strange is not None:
            unknown.append(rejected(published.filter(belongs & strange), "word_is_known", column))
            belongs &= ~strange
            mine = False
    return published if mine else published.filter(belongs), pl.concat(unknown)


def _vocabularies(report: Report) -> list[tuple[str, Iterable[str]]]:
    """Published columns of which every word must be known, with the words."""
    closed: list[tuple[str, Iterable[str]]] = []
    if report.components is not None:
        closed.append((report.components.column, report.components.into))
    words = [each for each in report.words.values() if isinstance(each, Word)]
    if isinstance(report.location_types, Word):
        words.append(report.location_types)
    closed.extend((each.column, each.vocabulary) for each in words if each.vocabulary is not None)
    if report.revision is not None and report.revision.column and report.revision.ranks:
        closed.append((report.revision.column, report.revision.ranks))
    return closed


def _has_other_word(frame: pl.DataFrame, column: str, words: Iterable[str]) -> pl.Expr | None:
    """Where the column has none of the words; None if nowhere: a handful of distinct words are compared as text, and rows, if
    at all, as integers.
    """
    distinct = distinct_of(frame.get_column(column))
    is_other = ~distinct.cast(pl.String).is_in(list(words)).fill_null(value=False)
    if not is_other.any():
        return None
    matching = distinct.filter(~is_other).to_physical()
    return ~pl.col(column).to_physical().is_in(matching.implode()).fill_null(value=False)


def _split_by_time(published: pl.DataFrame, dataset: Dataset, report: Report) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that the report's clock can place, with the instants, and those with a label that the day did not have."""
    timed = _timed(published, report)
    if dataset.contract.is_registry:
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    placed = timed.select(pl.col(_START).is_not_null() & pl.col(_END).is_not_null()).to_series()
    if placed.all():
        return timed, pl.DataFrame(schema=REJECTED_SCHEMA)
    timeless = published.filter(~placed)
    return timed.filter(placed), rejected(timeless, "time_is_on_the_clock", report.clock.columns[-1])


def _timed(published: pl.DataFrame, report: Report) -> pl.DataFrame:
    """The rows with their instants, once for all that follows.

    A clock that reads labels costs more than anything that is done with its instants: of text, and of times on the wall,
    each distinct label is placed once and looked up. Instants are nearly there as they are.
    """
    labels = list(report.clock.columns)
    if all(published.schema[name] == pl.Datetime("us", "UTC") for name in labels):
        return published.with_columns(_instants(report))
    placed = published.select(labels).unique().with_columns(_instants(report))
    return published.join(placed, on=labels, how="left", maintain_order="left", nulls_equal=True)


def _instants(report: Report) -> list[pl.Expr]:
    """Start and end by the report's clock, under names of their own."""
    return [report.clock.interval_start().alias(_START), report.clock.interval_end().alias(_END)]


def _check_grid(frame: pl.DataFrame, dataset: Dataset, report: Report, where: str) -> None:
    """Every interval has one of the dataset's lengths and starts on a multiple of it: anything else is not what we asked
    for. Irregular snapshots have no grid.
    """
    if dataset.contract.is_registry:
        return
    clock = report.clock
    start, end = pl.col(_START), pl.col(_END)
    on_the_grid = pl.lit(value=False)
    for minutes in dataset.intervals:
        fits = end - start == timedelta(minutes=minutes)
        if minutes:
            fits &= start.dt.epoch("us") % (minutes * 60_000_000) == 0
        on_the_grid |= fits
    if not frame.select(on_the_grid.all()).item():
        first = frame.filter(~on_the_grid).select(start.alias(_START), end.alias(_END)).sort(_START).row(0, named=True)
        raise SourceChanged(
            f"{where}: columns {', '.join(clock.columns)}: interval {first[_START]:%Y-%m-%dT%H:%M:%SZ} to "
            f"{first[_END]:%Y-%m-%dT%H:%M:%SZ} is not on the grid of {', '.join(map(str, dataset.intervals))} minutes"
        )


def _nothing(report: Report) -> pl.DataFrame:
    """No rows, in the published shape."""
    published = empty(report)
    if report.spread is not None:
        published = _spread(published, report, report.spread)
    return published.with_columns(_instants(report))


def _observations(published: pl.DataFrame, dataset: Dataset, report: Report) -> tuple[pl.DataFrame, int, int]:
    """One row per observation (place, times, marks, words and values), sorted; how many rows only repeated others, and how
    many were of older versions.
    """
    location = pl.col(report.location) if report.location else pl.lit(dataset.iso.value).cast(pl.Categorical)
    places = {_LOCATION: location, _START: pl.col(_START), _END: pl.col(_END)}
    marks = _marks(report)
    if report.components is not None and len(published):
        rows, repeated = _side_by_side(published, places, dataset, report.components)
        return _with_marks(rows, published.select(location.alias(_LOCATION), **marks)), repeated, 0
    values = {new: pl.col(old) for old, new in report.values.items()}
    if report.components is not None:
        values = {column: pl.lit(None, pl.Float64) for column in report.components.into.values()}
    absent = set(_numbers(dataset)) - values.keys()
    values |= {column: pl.lit(None, pl.Float64) for column in absent}
    return _in_order(published.select(**places, **marks, **values), dataset, report.revision)


def _numbers(dataset: Dataset) -> list[str]:
    """The contract columns that hold the values of this kind."""
    return [column.name for column in dataset.contract.values if column.type == "double"]


def _marks(report: Report) -> dict[str, pl.Expr]:
    """What a row carries beside place, times and values, each under a name of its own."""
    marks: dict[str, pl.Expr] = {}
    if report.location_name:
        marks[_NAME] = pl.col(report.location_name)
    if isinstance(report.location_types, Word):
        marks[_TYPE] = pl.col(report.location_types.column)
    for column, word in report.words.items():
        if isinstance(word, Word):
            marks[column] = pl.col(word.column)
    if report.published_at is not None:
        marks[_PUBLISHED] = report.published_at.instant()
    if report.revision is not None and report.revision.column:
        marks[_MARK] = pl.col(report.revision.column)
    return marks


def _with_marks(rows: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    """Rows of components with what is said of their places: name and kind."""
    if marks.width == 1:
        return rows
    return rows.join(marks.unique(_LOCATION, keep="first"), on=_LOCATION, how="left", maintain_order="left")


def _in_order(rows: pl.DataFrame, dataset: Dataset, revision: Revision | None) -> tuple[pl.DataFrame, int, int]:
    """The rows sorted by key, without those that repeat others or are of older versions."""
    key = [name for name in dataset.contract.key if name in rows.columns]
    is_published = _PUBLISHED in rows.columns
    is_version = is_published and "published_at" in dataset.contract.key
    by = [_LOCATION, _START, *key, *([_PUBLISHED] if is_version else [])]
    if len(dataset.intervals) > 1:
        by.insert(2, _END)
    cells = _order_of_cells([rows.get_column(name) for name in by])
    if cells is not None:
        return rows.select(pl.all().gather(cells)), 0, 0
    ranks = {name: _ranked(rows.get_column(name)) for name in by}
    order = [rank.alias(f"_{name}_rank") for name, rank in ranks.items()]
    if is_published and not is_version:
        # What was published again later takes the place of what it corrects.
        published = rows.get_column(_PUBLISHED).dt.epoch("us").fill_null(0)
        order.append((-published).alias(_RANK))
    elif _MARK in rows.columns and revision is not None:
        mark = pl.col(_MARK).cast(pl.String)
        numbers = mark.replace_strict(revision.ranks, return_dtype=pl.Int64) if revision.ranks else mark.cast(pl.Int64)
        order.append(-rows.select(numbers.alias(_RANK)).to_series())
    rows = rows.hstack(order).sort([each.name for each in order])
    same_key = pl.all_horizontal(
        pl.col(each.name).eq_missing(pl.col(each.name).shift(1)) for each in order if each.name != _RANK
    ) & (pl.int_range(pl.len()) > 0)
    ordering = [each.name for each in order]
    if len(rows) < 2 or not rows.select(same_key.any()).item():
        return rows.drop(ordering), 0, 0
    superseded = 0
    if _RANK in ordering:
        # Ranks are negative here: the lowest is the newest version.
        keys = [each for each in ordering if each != _RANK]
        newest = rows.filter(pl.col(_RANK) == pl.col(_RANK).min().over(keys))
        superseded = len(rows) - len(newest)
        rows = newest
    distinct = rows.drop(ordering).unique(maintain_order=True)
    return distinct, len(rows) - len(distinct), superseded


def _order_of_cells(by: Sequence[pl.Series]) -> pl.Series | None:
    """The order of rows by those columns, where no two rows are alike in all of them; None where two are, or where it would
    not pay to find it so.

    Each row is put into the cell of a table that has a place for every location at every time. Read from end to end, the
    table has the rows in order, without a comparison between any two.
    """
    rows = len(by[0])
    cell, cells = pl.repeat(0, rows, dtype=pl.Int64, eager=True), 1
    for column in by:
        found = _places(column)
        if found is None:
            return None
        places, number = found
        cells *= number
        if cells > _CELLS_PER_ROW * rows:
            return None
        cell = cell * number + places
    order = _laid_out(cell, cells).drop_nulls()
    return order if len(order) == rows else None


def _places(column: pl.Series) -> tuple[pl.Series, int] | None:
    """Where the value of each row comes among all that are there, and how many those are.

    None for null, for what is neither word nor instant, and for instants that lie too far apart.
    """
    if column.is_empty() or column.null_count():
        return None
    if column.dtype == pl.Categorical:
        words = _in_the_alphabet(column)
        return looked_up(column, words, pl.int_range(len(words), eager=True)), len(words)
    if not isinstance(column.dtype, pl.Datetime):
        return None
    instants = column.to_physical()
    first, last = _span(instants)
    since = instants - first
    step = next((step for step in _STEPS if not (since % step != 0).any()), 0)
    if not step or (last - first) // step >= len(column):
        return None
    number = (since // step).cast(pl.UInt32)
    taken = pl.repeat(0, (last - first) // step + 1, dtype=pl.UInt32, eager=True).scatter(number, 1)
    places = taken.cum_sum()
    return (places - 1).gather(number), places[-1]


def _ranked(column: pl.Series) -> pl.Series:
    """What the column sorts by: of words their places in the alphabet, which sort as fast as numbers."""
    if column.dtype != pl.Categorical:
        return column
    words = _in_the_alphabet(column)
    if words.is_empty():
        return pl.repeat(0, len(column), eager=True)
    return looked_up(column, words, pl.int_range(len(words), eager=True))


def _in_the_alphabet(column: pl.Series) -> pl.Series:
    """The distinct words of a column, in order."""
    words = distinct_of(column).drop_nulls()
    return words.gather(words.cast(pl.String).arg_sort())


def _side_by_side(
    published: pl.DataFrame, places: dict[str, pl.Expr], dataset: Dataset, components: Components
) -> tuple[pl.DataFrame, int]:
    """Components, one published row each, as columns of one row.

    A whole answer is a table of every location by every interval, each component in an order of its own. The cell of
    every row is computed, and its value put there, without sorting or hashing a row. Where cells are taken twice, the
    components are joined on the cell instead.
    """
    minutes = dataset.intervals[0]
    step = minutes * 60_000_000
    placed = published.select(
        pl.col(components.column),
        places[_LOCATION].alias(_LOCATION),
        (places[_START].to_physical() // step).alias("number"),
        pl.col(components.value).alias("value"),
    )
    locations = _in_the_alphabet(placed.get_column(_LOCATION))
    first, last = _span(placed.get_column("number"))
    intervals = last - first + 1
    cells = len(locations) * intervals

    def cell(part: pl.DataFrame) -> pl.Series:
        ranks = looked_up(part.get_column(_LOCATION), locations, pl.int_range(len(locations), eager=True))
        return (ranks * intervals + part.get_column("number") - first).alias("cell")

    by_word = _parts(placed, components.column)
    present = {column: by_word[word] for word, column in components.into.items() if word in by_word}
    absent = [pl.lit(None, pl.Float64).alias(column) for column in _numbers(dataset) if column not in present]
    if cells <= _CELLS_PER_ROW * len(published):
        orders = {column: _laid_out(cell(part), cells) for column, part in present.items()}
        if all(cells - order.null_count() == len(present[column]) for column, order in orders.items()):
            every = pl.int_range(cells, eager=True)
            starts = ((every % intervals + first) * step).cast(pl.Datetime("us", "UTC"))
            ends = (starts + timedelta(minutes=minutes)).alias(_END)
            rows = pl.DataFrame(
                [
                    locations.gather(every // intervals).alias(_LOCATION),
                    starts.alias(_START),
                    ends,
                    *(
                        present[column].get_column("value").gather(order).alias(column)
                        for column, order in orders.items()
                    ),
                ]
            )
            if all(order.null_count() for order in orders.values()):
                rows = rows.filter(pl.any_horizontal(order.is_not_null() for order in orders.values()))
            return rows.with_columns(*absent), 0
    said = {column: part.select(cell(part), "value") for column, part in present.items()}
    rows, repeated = _joined(published.select(cell=cell(placed), **places), said)
    return rows.with_columns(*absent), repeated


def _joined(rows: pl.DataFrame, said: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, int]:
    """One row per cell, and more where a component says several things of it; how many rows only repeated others."""
    distinct = {column: part.unique() for column, part in said.items()}
    repeated = sum(len(part) for part in said.values()) - sum(len(part) for part in distinct.values())
    joined = reduce(
        lambda rows, item: rows.join(item[1].rename({"value": item[0]}), on="cell", how="left"),
        distinct.items(),
        rows.unique("cell"),
    )
    return joined.sort("cell").drop("cell"), repeated


def _parts(frame: pl.DataFrame, column: str) -> dict[str, pl.DataFrame]:
    """The rows of each word, which mostly come one word after the other: then nothing is copied."""
    runs = frame.get_column(column).to_physical().rle().struct.unnest()
    if runs.get_column("value").n_unique() < len(runs):
        return {str(word): part for (word,), part in frame.partition_by(column, as_dict=True).items()}
    ends = runs.get_column("len").cum_sum().to_list()
    parts = [frame[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return {str(part.get_column(column)[0]): part for part in parts}


def _span(numbers: pl.Series) -> tuple[int, int]:
    """The least and the greatest of whole numbers."""
    first, last = numbers.to_frame().select(first=pl.first().min(), last=pl.first().max()).row(0)
    return first, last


def _laid_out(cell: pl.Series, cells: int) -> pl.Series:
    """The row of each cell; null where there is none, and the last where there are several."""
    row = pl.int_range(len(cell), dtype=pl.UInt32, eager=True)
    return pl.repeat(None, cells, dtype=pl.UInt32, eager=True).scatter(cell.cast(pl.UInt32), row)


def _canonical(rows: pl.DataFrame, dataset: Dataset, report: Report) -> pl.DataFrame:
    """All contract columns but the lineage, in contract order; each is computed here and nowhere else."""
    contract = dataset.contract
    minutes = pl.lit(None if contract.is_registry else dataset.intervals[0], pl.Int16)
    if len(dataset.intervals) > 1:
        minutes = (pl.col(_END) - pl.col(_START)).dt.total_minutes().cast(pl.Int16)
    rows = rows.with_columns(iso_interval_minutes=minutes)
    words = [column for column, word in report.words.items() if isinstance(word, Word)]
    # What depends on words alone is computed once for each of their combinations, and looked up by category code.
    of_the_series = [name for name in (_LOCATION, _NAME, _TYPE, *words) if name in rows.columns]
    if len(dataset.intervals) > 1:
        of_the_series.append("iso_interval_minutes")
    series = _series_of_rows(rows, of_the_series, dataset, report)
    columns: dict[str, pl.Expr | pl.Series] = {
        "iso_code": pl.lit(dataset.iso.value),
        "iso_market": pl.lit(None if dataset.market is None else dataset.market.value, pl.String),
        "iso_market_run": pl.lit(dataset.run, pl.String),
        "iso_product": pl.lit(contract.product.value),
        "iso_timezone": pl.lit(dataset.timezone),
        "iso_unit": pl.lit(contract.unit.value),
        "iso_subject": pl.lit(contract.subject.value),
        "iso_curve_role": pl.lit(contract.curve_role.value),
        "interval_start": pl.col(_START),
        "interval_end": pl.col(_END),
        "effective_start": pl.col(_START),
        "effective_end": pl.col(_END),
        "operating_date": _dates(rows.get_column(_START), dataset.timezone),
        "published_at": pl.col(_PUBLISHED) if _PUBLISHED in rows.columns else pl.lit(None, pl.Datetime("us", "UTC")),
        "revision": _revision(report, rows),
        **{column: pl.col(f"{column}_word") for column in words},
        **{column: pl.lit(word) for column, word in report.words.items() if isinstance(word, str)},
        **{column: pl.lit(None, pl.String) for column in ("zone", "hub") if column not in report.words},
    }
    names = [name for name in contract.names if name not in LINEAGE]
    return rows.hstack(series).select(columns.get(name, pl.col(name)).alias(name) for name in names)


def _series_of_rows(rows: pl.DataFrame, of_the_series: list[str], dataset: Dataset, report: Report) -> pl.DataFrame:
    """What follows from its place and words, for each row: looked up once for each run of rows that are alike in them, since
    rows are sorted by place.
    """
    seen = rows.select(of_the_series)
    is_first = seen.select(
        (pl.int_range(pl.len()) == 0) | pl.any_horizontal(pl.all().ne_missing(pl.all().shift(1)))
    ).to_series()
    firsts = seen.filter(is_first)
    series = _series(firsts.unique(), dataset, report)
    found = firsts.join(series, on=of_the_series, how="left", maintain_order="left", nulls_equal=True)
    return found.drop(of_the_series).select(pl.all().gather(is_first.cum_sum() - 1))


def _dates(instants: pl.Series, zone: str) -> pl.Series:
    """The market day of each instant: looked up by the hour, since days begin at full hours, and a year has few."""

    def of(instant: pl.Series) -> pl.Series:
        return instant.dt.convert_time_zone(zone).dt.date()

    if instants.is_empty() or instants.null_count():
        return of(instants)
    hour = instants.to_physical() // _HOUR
    first, last = _span(hour)
    if last - first > len(hour):
        return of(instants)
    hours = (pl.int_range(first, last + 1, eager=True) * _HOUR).cast(pl.Datetime("us", "UTC"))
    return of(hours).gather(hour - first)


def _revision(report: Report, rows: pl.DataFrame) -> pl.Expr:
    if _MARK in rows.columns:
        return pl.col(_MARK).cast(pl.String)
    return pl.lit(report.revision.mark if report.revision is not None else None, pl.String)


def _series(distinct: pl.DataFrame, dataset: Dataset, report: Report) -> pl.DataFrame:
    """The distinct places and words, with the contract columns that follow from them."""
    distinct = distinct.with_columns(
        iso_location_id=pl.col(_LOCATION).cast(pl.String),
        iso_location_name=(pl.col(_NAME) if _NAME in distinct.columns else pl.lit(None)).cast(pl.String),
    ).with_columns(iso_location_type=_location_type(report))
    distinct = distinct.with_columns(
        (
            pl.col(column).cast(pl.String)
            if word.vocabulary is None
            else pl.col(column).cast(pl.String).replace_strict(dict(word.vocabulary), return_dtype=pl.String)
        ).alias(f"{column}_word")
        for column, word in report.words.items()
        if isinstance(word, Word)
    )
    if dataset.contract.is_registry:
        return distinct
    return distinct.with_columns(series_id=_series_prefix(dataset, report) + pl.col("iso_location_id"))


def _series_prefix(dataset: Dataset, report: Report) -> pl.Expr:
    """The series id without its location: `caiso.lmp.da.dam.60m.`."""
    words = [dataset.iso.slug, dataset.contract.product]
    if dataset.market is not None and dataset.run is not None:
        words += [dataset.market, dataset.run]
    minutes: pl.Expr = pl.lit(f"{dataset.intervals[0]}m.")
    if len(dataset.intervals) > 1:
        minutes = pl.concat_str(pl.col("iso_interval_minutes").cast(pl.String), pl.lit("m."))
    prefix = pl.lit("".join(slug(word) + "." for word in words)) + minutes
    for column in dataset.contract.series_words:
        word = report.words[column]
        prefix = prefix + (pl.lit(slug(word) + ".") if isinstance(word, str) else _slugs(f"{column}_word") + ".")
    return prefix


def slug(word: str) -> str:
    """A word as series ids have it: lower case, with `_` for whatever is neither letter nor digit."""
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")


def _slugs(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_").str.strip_chars("_")


def _location_type(report: Report) -> pl.Expr:
    """Where there are rules, the first that matches the id decides; the last one matches everything, or it is null."""
    if not report.location:
        return pl.lit(LocationType.SYSTEM.value)
    if isinstance(report.location_types, Word):
        words = dict(report.location_types.vocabulary or {})
        return pl.col(_TYPE).cast(pl.String).replace_strict(words, default=None, return_dtype=pl.String)
    decided = pl.lit(None, pl.String)
    for rule in reversed(report.location_types):
        matches = pl.col("iso_location_id").str.contains(rule.pattern)
        decided = pl.when(matches).then(pl.lit(rule.type.value)).otherwise(decided)
    return decided
