"""Data files: how rows become one, whose rows are in one, and which of them a chunk owns.

What the library has for this is on the way to a commit, or is not promised to stay: hence its exact version in
pyproject.toml, and this one module.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aurum_etl.receipt import Origin
from aurum_etl.sinks.base import rows_inside

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    import polars as pl
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract


_ORIGIN = re.compile(rf"-({'|'.join(Origin)})-\d+\.parquet$")


def write_files(table: Table, rows: pa.Table, name: str) -> list[DataFile]:
    """Write the rows as data files of the table, one per partition; all of them or none.

    They keep the order of the rows, and their names begin with `name`.
    """
    import polars as pl

    frame = pl.DataFrame(rows)
    parts: Iterable[tuple[tuple[Any, ...], pl.DataFrame]] = ()
    if len(frame):
        by = [field.name for field in table.spec().fields]
        days = frame.select(by).unique()
        # Nearly every chunk is one day, and need not be taken apart.
        parts = (
            [(days.row(0), frame)]
            if len(days) == 1
            else frame.partition_by(by, as_dict=True, maintain_order=True).items()
        )
    written: list[DataFile] = []
    try:
        for number, (key, part) in enumerate(sorted(parts, key=lambda each: each[0])):
            written.append(_write_file(table, part, _partition(table, key), f"{name}-{number:05}.parquet"))
    except BaseException:
        remove(table, written)
        raise
    return written


def remove(table: Table, files: Iterable[DataFile]) -> None:
    """Delete files that no snapshot names; one that is gone already, or cannot be reached, is left to `maintain`."""
    for file in files:
        with suppress(Exception):
            table.io.delete(file.file_path)


def _partition(table: Table, values: tuple[Any, ...]) -> Any:
    from pyiceberg.partitioning import PartitionFieldValue, PartitionKey

    fields = table.spec().fields
    return PartitionKey(
        [PartitionFieldValue(field, value) for field, value in zip(fields, values, strict=True)],
        table.spec(),
        table.schema(),
    )


def _write_file(table: Table, rows: pl.DataFrame, partition: Any, name: str) -> DataFile:
    import polars as pl
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
        schema_to_pyarrow,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    schema = table.schema()
    arrow_schema = schema_to_pyarrow(schema, include_field_ids=True)
    types = pl.DataFrame(arrow_schema.empty_table()).schema
    # A column that the table has and this contract does not, since a newer program made it, is null.
    columns = [
        pl.col(name).cast(type_) if name in rows.columns else pl.lit(None, type_).alias(name)
        for name, type_ in types.items()
    ]
    # Polars encodes the columns side by side, which the other writer does one after the other.
    body = io.BytesIO()
    rows.select(columns).write_parquet(body, compression="zstd", arrow_schema=arrow_schema)
    content = body.getvalue()
    path = table.location_provider().new_data_location(name, partition)
    try:
        with table.io.new_output(path).create() as output:
            output.write(content)
    except BaseException:
        with suppress(Exception):
            table.io.delete(path)
        raise
    statistics = data_file_statistics_from_parquet_metadata(
        pq.read_metadata(io.BytesIO(content)),
        compute_statistics_plan(schema, table.metadata.properties),
        parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition.partition,
        file_size_in_bytes=len(content),
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


class Replacement:
    """What has to go from a table, and what comes in its stead, so that the scopes hold the staged rows alone."""

    def __init__(self) -> None:
        self.dropped: dict[str, DataFile] = {}
        """Files that the new snapshot no longer names, by path."""
        self.kept: list[DataFile] = []
        """New files with what is left of files that were owned in part."""
        self.seen: set[str] = set()
        """Every file that was looked at, by path: what is not among them came later."""

    def make_room(self, table: Table, scope: Scope, name: str) -> None:
        """Take out the scope's rows: whole files where they hold nothing else, otherwise file by file."""
        import pyarrow.compute as pc

        for file in files_of(table, scope):
            self.seen.add(file.file_path)
            if file.file_path in self.dropped:
                continue
            if is_owned(table, file, scope):
                self.dropped[file.file_path] = file
                continue
            rows = read_file(table, file, scope.contract)
            inside = rows_inside(rows, scope)
            others = rows.filter(pc.invert(inside))
            if others.num_rows == rows.num_rows:
                continue  # the bounds said more than is there
            self.dropped[file.file_path] = file
            kept = name_with(f"{name}-{len(self.dropped)}", origin_of(file))
            self.kept.extend(write_files(table, others, kept))


def files_of(table: Table, scope: Scope) -> Iterator[DataFile]:
    """The files that may hold rows of the scope, by partitions and bounds."""
    for task in tasks_of(table, scope):
        yield task.file


def tasks_of(table: Table, scope: Scope) -> Iterable[FileScanTask]:
    """The same files, with what another engine may have deleted from them."""
    # Bounds of locations are cut short and wide; a list of hundreds of names costs more than it tells.
    return table.scan(row_filter=owned_by(scope, locations=len(scope.locations or ()) < 200)).plan_files()


def origin_of(file: DataFile) -> Origin | None:
    """Where the rows of the file came from, as its name says; None if it does not: then they are of several origins, or
    were written when names had no origin.
    """
    found = _ORIGIN.search(file.file_path)
    return None if found is None else Origin(found[1])


def name_with(name: str, origin: Origin | None) -> str:
    """The beginning of a file's name that tells the origin of the rows, which no column does and summaries forget."""
    return name if origin is None else f"{name}-{origin.value}"


def is_owned(table: Table, file: DataFile, scope: Scope) -> bool:
    """Whether every row of the file is the scope's, told by its bounds alone."""
    if bounds(table, file, "chunk_key") == (scope.chunk.key, scope.chunk.key):
        # The same chunk wrote all of it: named locations could not be told from their bounds.
        return True
    from pyiceberg.expressions.visitors import ROWS_MUST_MATCH, _StrictMetricsEvaluator

    return bool(_StrictMetricsEvaluator(table.schema(), owned_by(scope)).eval(file) == ROWS_MUST_MATCH)


def bounds(table: Table, file: DataFile, column: str) -> tuple[Any, Any]:
    """Lowest and highest value of the column in the file; None where the file does not say."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import PrimitiveType

    field = table.schema().find_field(column)
    assert isinstance(field.field_type, PrimitiveType)  # noqa: S101 - contract columns are
    found = []
    for side in (file.lower_bounds, file.upper_bounds):
        value = (side or {}).get(field.field_id)
        found.append(None if value is None else from_bytes(field.field_type, value))
    return found[0], found[1]


def holds_attempt(table: Table, scope: Scope, paths: set[str], seen: set[str], ingested_at: datetime | None) -> bool:
    """Whether the table holds these files, or such as came since, of rows that the same chunk wrote then or later.

    This is read from the data: the history of snapshots is cut off by expiry, and by catalogs that show the newest alone.
    """
    for file in files_of(table, scope):
        if file.file_path in paths:
            return True
        if file.file_path in seen or ingested_at is None:
            continue
        newest = bounds(table, file, "ingested_at")[1]
        if bounds(table, file, "chunk_key") == (scope.chunk.key, scope.chunk.key) and newest is not None:
            # Compacted, or replaced since by a later attempt: either way there is nothing left to commit.
            return bool(newest >= ingested_at.timestamp() * 1e6)
    return False


def read_file(table: Table, file: DataFile, contract: Contract) -> pa.Table:
    """The rows of one file, as the contract has them today."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.table import FileScanTask

    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    return scan.to_table([FileScanTask(file)]).select(contract.names).cast(contract.arrow_schema)


def read_columns(table: Table, tasks: Iterable[FileScanTask], columns: Collection[str]) -> pa.Table:
    """Those columns of the files, without the rows that another engine deleted."""
    import pyarrow as pa
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    scan = ArrowScan(table.metadata, table.io, table.schema().select(*columns), AlwaysTrue())
    rows = scan.to_table(tasks)
    # Texts come with offsets of 32 bits or of 64, as the library likes.
    plain = [
        pa.field(each.name, pa.string() if pa.types.is_large_string(each.type) else each.type) for each in rows.schema
    ]
    return rows.cast(pa.schema(plain))


def owned_by(scope: Scope, *, locations: bool = True, whenever: bool = False) -> BooleanExpression:
    """The rows that the scope owns (or, `whenever`, that it would own with any other window), as a filter that partitions
    and file bounds can answer.
    """
    from pyiceberg import expressions

    # The constructors take a column's name and a value; their types describe the library's own serializer.
    build: Any = expressions
    owned = build.And(
        expressions.AlwaysTrue(),
        *(() if whenever else _of_the_window(scope)),
        *(build.In(column, list(words)) for column, words in scope.equals.items()),
    )
    if locations and scope.locations is not None:
        owned = build.And(owned, build.In("iso_location_id", list(scope.locations)))
    filtered: BooleanExpression = owned
    return filtered


def _of_the_window(scope: Scope) -> Iterator[Any]:
    from pyiceberg import expressions

    if scope.axis is None:
        return
    build: Any = expressions
    yield build.GreaterThanOrEqual(scope.axis, scope.chunk.window.start.isoformat())
    yield build.LessThan(scope.axis, scope.chunk.window.end.isoformat())
    yield build.In("operating_date", [day.isoformat() for day in scope.operating_dates])
