"""Iceberg tables: a catalog in SQLite and a warehouse in a local folder, both under AURUM_HOME.

Partitioned by `iso_code` and `operating_date`, so that a chunk of market days owns whole files: replacing one is a change
of metadata. Snapshots carry the chunk key and the attempt that made them, so that after an unknown outcome one can look
whether it landed.
"""

from __future__ import annotations

import errno
import sqlite3
import tempfile
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tenacity

from aurum_etl.contracts import CONTRACT_VERSION, CONTRACTS, ColumnType
from aurum_etl.errors import CommitFailed, CommitUnknown, SinkError, SinkUnavailable
from aurum_etl.receipt import Written
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.settings import Settings

CATALOG = "aurum"
NAMESPACE = "iso"
CHUNK_KEY, ATTEMPT = "aurum.chunk_key", "aurum.attempt"
_COMMIT_ATTEMPTS = 10
_OPEN_ATTEMPTS = 4

_WRITABLE = "check that AURUM_HOME is a folder that you may write to"
_ROOM = "make room on its disk, or point AURUM_HOME at another"
_ADVICE: dict[int | str | None, str] = {
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _WRITABLE,
    errno.ENOENT: "check that AURUM_HOME is still where it was",
    errno.ENOTDIR: "check that nothing but folders is on the way there",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    "SQLITE_CANTOPEN": _WRITABLE,
    "SQLITE_READONLY": _WRITABLE,
    "SQLITE_FULL": _ROOM,
    "SQLITE_BUSY": "another process holds the catalog; try again when it is done",
    "SQLITE_NOTADB": "put back a copy of catalog.db, or use another AURUM_HOME",
    "SQLITE_CORRUPT": "put back a copy of catalog.db, or use another AURUM_HOME",
}
"""What to do, by the number of an operating system's error or the name of one of SQLite's."""

_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # Bounds are cut to 16 characters by default, and then say nothing about a chunk key.
    "write.metadata.metrics.column.chunk_key": "full",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # Conflicts are retried here, from fresh metadata, and not by the library.
    "commit.retry.num-retries": "0",
}


def open_catalog(home: Path) -> SqlCatalog:
    """The embedded catalog under `home`."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import URL

    # Plain paths: an escaped blank in a file address would be taken for part of a folder's name.
    address = URL.create("sqlite", database=str(home / "catalog.db")).render_as_string()
    return SqlCatalog(CATALOG, uri=address, warehouse=str(home / "warehouse"))


def iceberg_schema(contract: Contract) -> Schema:
    """The contract in Iceberg's dialect, from its one definition. Iceberg has no 16-bit integer: 32 bits stand in."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import DateType, DoubleType, IntegerType, NestedField, StringType, TimestamptzType

    types = {
        ColumnType.STRING: StringType(),
        ColumnType.INT16: IntegerType(),
        ColumnType.DOUBLE: DoubleType(),
        ColumnType.TIMESTAMP: TimestamptzType(),
        ColumnType.DATE: DateType(),
    }
    fields = [
        NestedField(
            field_id=number,
            name=column.name,
            field_type=types[column.type],
            required=not column.nullable,
            doc=f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
        )
        for number, column in enumerate(contract.columns, start=1)
    ]
    return Schema(*fields)


class IcebergSink:
    """One Iceberg table per kind, in the namespace `iso`.

    **Twice:** a second commit of the same chunk replaces its scope in one snapshot change; readers see the old rows or
    the new ones, never both and never neither. Files in which the scope owns every row are dropped whole; a file that
    also holds other rows (three nodes fetched again out of a whole day) is rewritten without the scope's rows. A process
    that is killed between stage and commit, or interrupted during a commit, leaves files that no snapshot names and no
    reader sees.
    """

    kind = "iceberg"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._catalog: SqlCatalog | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The sink under AURUM_HOME."""
        settings.private_folder("warehouse")
        return cls(settings.home)

    def open(self) -> None:
        """See `Sink.open`: reaches the catalog, makes the tables that are not there, and proves that it may write."""
        try:
            self._reach()
            self._prove_writable()
        except SinkError:
            raise
        except Exception as error:
            raise SinkUnavailable(
                f"iceberg: catalog {self._home / 'catalog.db'} cannot be opened: {_told(error)}"
            ) from error

    def _reach(self) -> None:
        """Open the catalog. Where several processes make a new one at once, the losers find it made when they look again."""
        from sqlalchemy.exc import IntegrityError, OperationalError

        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((IntegrityError, OperationalError)),
            wait=tenacity.wait_random(0.02, 0.2),
            stop=tenacity.stop_after_attempt(_OPEN_ATTEMPTS),
            reraise=True,
        ):
            with attempt:
                self.close()
                self._catalog = open_catalog(self._home)
                self._catalog.create_namespace_if_not_exists(NAMESPACE)
                for contract in CONTRACTS.values():
                    self._check_columns(self._table(contract), contract)

    def _prove_writable(self) -> None:
        """Better now than after an hour of fetching."""
        assert self._catalog is not None  # noqa: S101 - the caller made it
        with self._catalog.engine.connect() as connection:
            # A write that changes nothing; to begin one is not enough, for SQLite then falls back to reading.
            connection.exec_driver_sql("delete from iceberg_tables where false")
            connection.rollback()
        warehouse = self._home / "warehouse"
        try:
            with tempfile.TemporaryFile(dir=warehouse):
                pass
        except OSError as error:
            raise SinkUnavailable(f"iceberg: warehouse {warehouse} cannot be written to: {_told(error)}") from error

    def close(self) -> None:
        """See `Sink.close`."""
        if self._catalog is not None:
            self._catalog.engine.dispose()
            self._catalog = None

    def stage(self, table: pa.Table, scope: Scope) -> _Staged:
        """See `Sink.stage`: writes the data files, which no snapshot names yet."""
        if not table.schema.equals(scope.contract.arrow_schema):
            raise ValueError(f"{scope.chunk.key}: the table's schema is not the contract's")
        try:
            target = self._table(scope.contract)
            files = _write_files(target, table)
        except SinkError:
            raise
        except Exception as error:
            raise SinkUnavailable(f"iceberg: rows cannot be written to {self._home}: {_told(error)}") from error
        return _Staged(target, files, scope, table.num_rows)

    def _table(self, contract: Contract) -> Table:
        from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError

        if self._catalog is None:
            raise SinkUnavailable("iceberg: the sink is not open")
        name = f"{NAMESPACE}.{contract.kind}"
        with suppress(NoSuchTableError):
            return self._catalog.load_table(name)
        try:
            return self._create(name, contract)
        except TableAlreadyExistsError:  # another process was faster
            return self._catalog.load_table(name)

    def _create(self, name: str, contract: Contract) -> Table:
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.table.sorting import SortField, SortOrder
        from pyiceberg.transforms import IdentityTransform

        assert self._catalog is not None  # noqa: S101 - the caller looked
        schema = iceberg_schema(contract)
        by = [
            PartitionField(schema.find_field(column).field_id, 1000 + number, IdentityTransform(), column)
            for number, column in enumerate(("iso_code", "operating_date"))
        ]
        order = [
            SortField(schema.find_field(column).field_id, IdentityTransform())
            for column in ("iso_location_id", "interval_start")
        ]
        return self._catalog.create_table(
            name, schema, partition_spec=PartitionSpec(*by), sort_order=SortOrder(*order), properties=_PROPERTIES
        )

    @staticmethod
    def _check_columns(table: Table, contract: Contract) -> None:
        have = {field.name: (str(field.field_type), field.required) for field in table.schema().fields}
        want = {field.name: (str(field.field_type), field.required) for field in iceberg_schema(contract).fields}
        if have != want:
            differing = sorted(name for name in have | want if have.get(name) != want.get(name))
            raise SinkUnavailable(
                f"iceberg: table {'.'.join(table.name())} is not of this contract; columns that differ: "
                f"{', '.join(differing)}; use another AURUM_HOME, or move the table away"
            )


class _Staged:
    """Data files in the table's folder that no snapshot names."""

    def __init__(self, table: Table, files: list[DataFile], scope: Scope, rows: int) -> None:
        self._table = table
        self._files = files
        self._scope = scope
        self._rows = rows
        self._attempt = uuid.uuid4().hex
        self._settled = False
        """Whether the files are, or may be, part of the table: then nobody may remove them."""

    def commit(self) -> Written:
        """See `Staged.commit`: one change of the table, tried again from fresh metadata when others were faster."""
        if self._settled:
            raise ValueError(f"{self._scope.chunk.key}: staged files can be committed once, and not after a discard")
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(CommitFailed),
            wait=tenacity.wait_random_exponential(0.05, 5),
            stop=tenacity.stop_after_attempt(_COMMIT_ATTEMPTS),
            reraise=True,
        ):
            with attempt:
                self._commit_once()
        return Written(IcebergSink.kind, ".".join(self._table.name()), self._rows, self._snapshot() or "")

    def discard(self) -> None:
        """See `Staged.discard`."""
        if self._settled:
            return
        self._settled = True
        for file in self._files:
            with suppress(OSError):
                self._table.io.delete(file.file_path)

    def _commit_once(self) -> None:
        try:
            self._table.refresh()
            # From here until it is known otherwise: an interrupt may come when the catalog has already changed.
            self._settled = True
            _replace(self._table, self._files, self._scope, {
                CHUNK_KEY: self._scope.chunk.key,
                ATTEMPT: self._attempt,
                "aurum.rows": str(self._rows),
                "aurum.contract_version": CONTRACT_VERSION,
            })  # fmt: skip
        except Exception as error:
            # Whatever it was, the commit may have happened before it: look, then act.
            if self._landed(error):
                self._settled = True
                return
            self._settled = False
            logger().warning("iceberg.conflict", chunk=self._scope.chunk.key, reason=_told(error))
            raise CommitFailed(f"iceberg: {self._scope.chunk.key} was not committed: {_told(error)}") from error

    def _landed(self, error: Exception) -> bool:
        """Whether a snapshot of this very attempt is in the table."""
        try:
            self._table.refresh()
            return self._snapshot() is not None
        except Exception as while_looking:  # noqa: BLE001 - see open
            raise CommitUnknown(
                f"iceberg: whether {self._scope.chunk.key} was committed is unknown ({_told(error)}), and the table cannot be "
                f"read ({_told(while_looking)}); run it again once it can be: the scope is replaced, nothing doubles"
            ) from error

    def _snapshot(self) -> str | None:
        """Id of the newest snapshot of this attempt."""
        for snapshot in reversed(self._table.metadata.snapshots):
            if snapshot.summary is not None and snapshot.summary.additional_properties.get(ATTEMPT) == self._attempt:
                return str(snapshot.snapshot_id)
        return None


def _write_files(table: Table, rows: pa.Table) -> list[DataFile]:
    """Write the rows as data files of the table, one per partition or more; all of them or none.

    The library writes files only on the way to a commit, or through this function, which it does not promise to keep:
    hence its exact version in pyproject.toml, and this one place.
    """
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    write_id = uuid.uuid4()
    as_stored = rows.cast(table.schema().as_arrow()).combine_chunks()
    try:
        return list(_dataframe_to_data_files(table.metadata, as_stored, table.io, write_uuid=write_id))
    except BaseException:
        # The id is part of the files' names, and nobody else knows them yet.
        for path in Path(table.location(), "data").rglob(f"*{write_id}*"):
            with suppress(OSError):
                path.unlink()
        raise


def _replace(table: Table, files: list[DataFile], scope: Scope, properties: dict[str, str]) -> None:
    """One change of the table: the scope's rows out, the staged files in."""
    owned = _owned_by(scope)
    with table.transaction() as transaction:
        if any(True for _ in table.scan(row_filter=owned).plan_files()):
            with warnings.catch_warnings():
                # Bounds can match where no row does; then there is nothing to delete, and nothing to warn of.
                warnings.filterwarnings("ignore", "Delete operation did not match any records")
                transaction.delete(owned, snapshot_properties=properties)
        with transaction.update_snapshot(snapshot_properties=properties).fast_append() as append:
            for file in files:
                append.append_data_file(file)


def _owned_by(scope: Scope) -> BooleanExpression:
    """The rows that the scope owns, as a filter that partitions and file bounds can answer."""
    from pyiceberg import expressions

    # The constructors take a column's name and a value; their types describe the library's own serializer.
    build: Any = expressions
    window = scope.chunk.window
    owned = build.And(
        build.GreaterThanOrEqual("interval_start", window.start.isoformat()),
        build.LessThan("interval_start", window.end.isoformat()),
        build.In("operating_date", [day.isoformat() for day in scope.operating_dates]),
        *(build.In(column, list(words)) for column, words in scope.equals.items()),
    )
    if scope.locations is not None:
        owned = build.And(owned, build.In("iso_location_id", list(scope.locations)))
    filtered: BooleanExpression = owned
    return filtered


def _told(error: BaseException) -> str:
    """The error in one line, without SQL, and what to do about it where that is known."""
    if isinstance(cause := getattr(error, "orig", None), sqlite3.Error):
        error = cause
    code: int | str | None = getattr(error, "errno", None)
    if isinstance(error, sqlite3.Error):
        # Extended names say more than is needed: SQLITE_CANTOPEN_ISDIR.
        code = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    told = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{told}; {_ADVICE[code]}" if code in _ADVICE else told
