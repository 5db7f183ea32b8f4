"""What the tables hold: told by the data files, and as far as the history goes by the summaries of snapshots.

Snapshots expire, so a file says what it can: bounds that are one chunk's key and instant, and a name with the origin of the
rows. Only files that were put together out of many have to be looked into, and only for two columns.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.checksum import days_of_rows, summed, together
from aurum_etl.chunk import ALL, Chunk, ChunkKey, Selection, scope_of
from aurum_etl.sinks.base import rows_inside
from aurum_etl.sinks.iceberg.files import bounds, is_owned, origin_of, owned_by, read_columns, tasks_of
from aurum_etl.sinks.ledger import Held, is_wanted
from aurum_etl.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import FileScanTask, Table

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day, Origin
    from aurum_etl.sinks.ledger import Entry

CHUNKS = "aurum.chunks"
_NAMES_CHARACTERS = 1000
"""Every commit writes all summaries anew: where names are longer than this, the digest in the key must do."""
_LOOKS = 20
"""So many chunks of one digest are looked into for its names: of places without a row there is no name to be found."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def summary(entries: Iterable[Entry]) -> dict[str, str]:
    """What a snapshot's summary says of the chunks that it brings."""
    content = {each.chunk.key: each.content(_NAMES_CHARACTERS) for each in entries}
    return {CHUNKS: json.dumps(content, separators=(",", ":"), ensure_ascii=False)}


@dataclass
class _Rows:
    """What the files hold of one attempt at a chunk."""

    rows: int = 0
    revisions: set[str] = field(default_factory=set)
    origins: set[Origin | None] = field(default_factory=set)
    tasks: list[FileScanTask] = field(default_factory=list)


def held(table: Table, dataset: Dataset | None, window: Window | None) -> list[Held]:
    """See `Sink.held`, for one table."""
    attempts: defaultdict[str, dict[datetime, _Rows]] = defaultdict(dict)
    mixed: list[FileScanTask] = []
    for task in table.scan(row_filter=_of(dataset, window)).plan_files():
        keys, instants = (bounds(table, task.file, column) for column in ("chunk_key", "ingested_at"))
        if keys[0] is None or keys[0] != keys[1] or instants[0] != instants[1] or task.delete_files:
            mixed.append(task)
        elif is_wanted(keys[0], dataset, window):
            marks = bounds(table, task.file, "revision") if "revision" in table.schema().column_names else (None, None)
            _add(attempts, keys[0], instants[0], task.file.record_count, marks, task)
    for task in mixed:
        for key, instant, rows, *found in _looked_into(table, task):
            if is_wanted(key, dataset, window):
                _add(attempts, key, instant, rows, found, task)
    newest = {key: max(found.items()) for key, found in sorted(attempts.items())}
    contents = _contents(table)
    names = _names(table, newest, contents)
    return [_held(table, key, instant, rows, contents, names) for key, (instant, rows) in newest.items()]


def days(table: Table, scope: Scope) -> tuple[Day, ...]:
    """See `Sink.days`: file by file, and of each only the columns that are needed."""
    needed = {column.name for column in summed(scope.contract)} | set(scope.contract.partitions)
    owning = {*needed, *scope.equals, "iso_location_id", *filter(None, (scope.axis,))}
    found: list[Day] = []
    for task in tasks_of(table, scope):
        whole = is_owned(table, task.file, scope)
        rows = read_columns(table, [task], needed if whole else owning)
        found += days_of_rows(rows if whole else rows.filter(rows_inside(rows, scope)), scope)
    return together(found)


def _of(dataset: Dataset | None, window: Window | None) -> BooleanExpression:
    """The files that may hold rows of the dataset and window, as a filter."""
    from pyiceberg.expressions import AlwaysTrue

    if dataset is None:
        return AlwaysTrue()
    scope = scope_of(Chunk(dataset.key, Selection(ALL), window or Window(_EPOCH, _EPOCH + timedelta(1))), dataset)
    return owned_by(scope, whenever=window is None)


def _add(
    attempts: dict[str, dict[datetime, _Rows]],
    key: str,
    microseconds: int,
    rows: int,
    marks: Iterable[str | None],
    task: FileScanTask,
) -> None:
    found = attempts[key].setdefault(_EPOCH + timedelta(microseconds=microseconds), _Rows())
    found.rows += rows
    found.revisions |= {mark for mark in marks if mark}
    found.origins.add(origin_of(task.file))
    found.tasks.append(task)


def _looked_into(table: Table, task: FileScanTask) -> Iterator[tuple[Any, ...]]:
    """Chunk key, instant in microseconds, rows, lowest and highest mark of each attempt that is in the file."""
    import polars as pl

    columns = {"chunk_key", "ingested_at", "revision"} & set(table.schema().column_names)
    frame = pl.DataFrame(read_columns(table, [task], columns))
    if "revision" not in columns:
        frame = frame.with_columns(revision=pl.lit(None, pl.String))
    groups = frame.group_by("chunk_key", pl.col("ingested_at").cast(pl.Int64)).agg(
        pl.len(), pl.col("revision").min().alias("lowest"), pl.col("revision").max().alias("highest")
    )
    yield from zip(*(groups.get_column(name).to_list() for name in groups.columns), strict=True)


def _contents(table: Table) -> dict[tuple[str, str], tuple[dict[str, Any], str]]:
    """What the summaries tell, with the snapshot's id, by chunk key and instant of the attempt."""
    found: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
    for snapshot in table.metadata.snapshots:
        properties = snapshot.summary.additional_properties if snapshot.summary is not None else {}
        for key, content in json.loads(properties.get(CHUNKS, "{}")).items():
            found[key, content["ingested_at"]] = content, str(snapshot.snapshot_id)
    return found


def _names(
    table: Table,
    newest: Mapping[str, tuple[datetime, _Rows]],
    contents: Mapping[tuple[str, str], tuple[dict[str, Any], str]],
) -> dict[str, tuple[str, ...]]:
    """The names behind each digest: out of a summary, or else those of the rows, if they have that digest."""
    known: dict[str, tuple[str, ...]] = {}
    for (key, _), (content, _) in contents.items():
        if isinstance(names := content.get("selection"), list):
            known[ChunkKey.parse(key).selection] = tuple(names)
    looks: defaultdict[str, int] = defaultdict(int)
    for key, (_, rows) in reversed(list(newest.items())):
        found = ChunkKey.parse(key)
        if found.is_named and found.selection not in known and looks[found.selection] < _LOOKS:
            looks[found.selection] += 1
            names = _locations(table, key, rows.tasks)
            if found.chunk(names) is not None:
                known[found.selection] = names
    return known


def _locations(table: Table, key: str, tasks: Sequence[FileScanTask]) -> tuple[str, ...]:
    import polars as pl

    frame = pl.DataFrame(read_columns(table, tasks, {"chunk_key", "iso_location_id"}))
    locations = frame.filter(pl.col("chunk_key") == key).get_column("iso_location_id")
    return tuple(locations.unique().to_list())


def _held(
    table: Table,
    key: str,
    instant: datetime,
    rows: _Rows,
    contents: Mapping[tuple[str, str], tuple[dict[str, Any], str]],
    names: Mapping[str, tuple[str, ...]],
) -> Held:
    name = ".".join(table.name())
    named = names.get(ChunkKey.parse(key).selection, ())
    if (found := contents.get((key, instant.isoformat()))) is not None:
        content, version = found
        return Held.of(key, content, instant, table=name, version=version, names=named)
    return Held(
        key=key,
        chunk=ChunkKey.parse(key).chunk(named),
        rows=rows.rows,
        ingested_at=instant,
        origin=next(iter(rows.origins)) if len(rows.origins) == 1 else None,
        revisions=tuple(sorted(rows.revisions)),
        days=(),
        table=name,
        version="",
    )
