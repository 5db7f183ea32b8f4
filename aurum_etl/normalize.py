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
from aurum_etl.decode import WHERE, drift_of, empty, looked_up
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
    unknown = [pl.DataFrame(schema=REJECTED_SCHEMA)]
    for each in report.belonging:
        strangers = published.filter(belongs & ~_is_one_of(published, each.column, [*each.words, *each.others]))
        unknown.append(rejected(strangers, "word_is_known", each.column))
        belongs &= _is_one_of(published, each.column, list(each.words))
    for column, words in _vocabularies(report):
        known = _is_one_of(published, column, list(words))
        unknown.append(rejected(published.filter(belongs & ~known), "word_is_known", column))
        belongs &= known
    return published.filter(belongs), pl.concat(unknown)


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


def _is_one_of(frame: pl.DataFrame, column: str, words: list[str]) -> pl.Expr:
    """Membership by category code: a handful of distinct words are compared as text, millions of rows as integers."""
    distinct = frame.get_column(column).unique()
    matching = distinct.filter(distinct.cast(pl.String).is_in(words)).to_physical()
    return pl.col(column).to_physical().is_in(matching.implode()).fill_null(value=False)


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


def _ranked(column: pl.Series) -> pl.Series:
    """What the column sorts by: of words their places in the alphabet, which sort as fast as numbers."""
    if column.dtype != pl.Categorical:
        return column
    words = column.unique().drop_nulls()
    words = words.gather(words.cast(pl.String).arg_sort())
    if words.is_empty():
        return pl.repeat(0, len(column), eager=True)
    return looked_up(column, words, pl.int_range(len(words), eager=True))


def _side_by_side(
    published: pl.DataFrame, places: dict[str, pl.Expr], dataset: Dataset, components: Components
) -> tuple[pl.DataFrame, int]:
    """Components, one published row each, as columns of one row.

    A whole answer is a table of every location by every interval, each component in an order of its own. The cell of
    every row is computed, and its value put there, without sorting or hashing a row. Where cells are empty or taken
    twice, the components are joined on the cell instead.
    """
    location = published.select(places[_LOCATION].alias(_LOCATION)).to_series()
    locations = location.unique()
    locations = locations.gather(locations.cast(pl.String).arg_sort())
    ranks = looked_up(location, locations, pl.int_range(len(locations), eager=True))
    minutes = dataset.intervals[0]
    step = minutes * 60_000_000
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
    absent = [pl.lit(None, pl.Float64).alias(column) for column in _numbers(dataset) if column not in present]
    laid_out = {column: _laid_out(part, len(locations) * intervals) for column, part in present.items()}
    whole = [values.alias(column) for column, values in laid_out.items() if values is not None]
    if len(whole) == len(present):
        cells = pl.int_range(len(locations) * intervals, eager=True)
        starts = ((cells % intervals + first) * step).cast(pl.Datetime("us", "UTC"))
        ends = (starts + timedelta(minutes=minutes)).alias(_END)
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
    series = _series(rows.select(of_the_series).unique(), dataset, report)
    columns: dict[str, pl.Expr] = {
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
        "operating_date": pl.col(_START).dt.convert_time_zone(dataset.timezone).dt.date(),
        "published_at": pl.col(_PUBLISHED) if _PUBLISHED in rows.columns else pl.lit(None, pl.Datetime("us", "UTC")),
        "revision": _revision(report, rows),
        **{column: pl.col(f"{column}_word") for column in words},
        **{column: pl.lit(word) for column, word in report.words.items() if isinstance(word, str)},
        **{column: pl.lit(None, pl.String) for column in ("zone", "hub") if column not in report.words},
    }
    names = [name for name in contract.names if name not in LINEAGE]
    joined = rows.join(series, on=of_the_series, how="left", maintain_order="left", nulls_equal=True)
    return joined.select(columns.get(name, pl.col(name)).alias(name) for name in names)


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
