"""The file of the store: its shape, its versions, and how several processes share it.

DuckDB lets one process at a time hold a file, even for reading. So a connection is open only for the moment of a
transaction, and whoever meets a lock waits: `status` answers while a run goes on.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl import database
from aurum_etl.errors import RecordUnreadable, WatermarkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

SCHEMA_VERSION = 4
LOCK_SECONDS = 20.0
_WAY_OUT = "`aurum-etl store rebuild` moves the file aside and makes a new one from what the stores hold"
_DAMAGE = ("Corrupt", "is not a valid DuckDB database file", "Could not read enough bytes", "version number")
"""Words of DuckDB's when it is the file that is wrong, and not its place, its owner or the disk."""

_DDL = """
create table if not exists meta (application varchar, version integer);
create table if not exists receipts (
    number bigint not null,
    dataset varchar not null,
    selection varchar not null,
    selection_word varchar not null,
    selection_names varchar[] not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    chunk_key varchar not null,
    origin varchar not null,
    outcome varchar not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    rows_read bigint not null,
    rows_accepted bigint not null,
    rows_rejected bigint not null,
    rows_committed bigint not null,
    attempts integer not null,
    stores varchar[] not null,
    seconds varchar not null,
    written varchar not null,
    findings varchar not null,
    error varchar,
    revision varchar not null default '',
    bytes bigint not null default 0,
    days varchar not null default '[]',
    job varchar not null default '',
    content varchar not null default '',
    unchanged_since timestamptz
);
"""

_JOBS_DDL = """
create table if not exists jobs (
    job varchar not null,
    dataset varchar not null,
    selection varchar not null,
    selection_word varchar not null,
    selection_names varchar[] not null,
    spec varchar not null,
    content varchar not null,
    options varchar not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    created_at timestamptz not null
);
create table if not exists job_chunks (
    job varchar not null,
    place integer not null,
    chunk_key varchar not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    reason varchar not null,
    requests integer not null,
    rows bigint not null,
    bytes bigint not null
);
create table if not exists job_events (
    number bigint not null,
    job varchar not null,
    happened_at timestamptz not null,
    event varchar not null,
    chunk_key varchar not null,
    detail varchar not null
);
"""

_GROWN = (
    ("revision varchar default ''",),
    ("bytes bigint default 0", "days varchar default '[]'", "job varchar default ''"),
    ("content varchar default ''", "unchanged_since timestamptz"),
)
"""Columns that receipts got with each version after the first."""


_ALONE: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
"""By file: threads of one process share DuckDB's lock on it, and two of them would count on from the same number."""


class StoreFile:
    """A DuckDB file that is open for the moment of a transaction."""

    def __init__(self, path: Path, lock_seconds: float | None = None) -> None:
        self.path = path
        self._lock_seconds = lock_seconds
        """How long to wait for another process to let go of it; None: as long as anybody."""

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection, or None where nothing was ever recorded: asking leaves no file behind."""
        if not self.path.exists():
            yield None
            return
        with self.transaction() as connection:
            yield connection

    @contextmanager
    def transaction(self, *, create: bool = True, write: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one transaction; without `create`, an empty store in memory stands for a file that is not there.
        Without `write` the file is opened for reading alone, unless it has to become one of this version first.

        Raises: WatermarkError if the file cannot be had, or is none of ours.
        """
        with _ALONE[self.path.absolute()], self._transaction(create=create, write=write) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, create: bool, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        memory = not create and not self.path.exists()
        connection = database.connect() if memory else self._opened(write=write)
        try:
            connection.execute("set timezone = 'UTC'")
            connection.begin()
            self._check_version(connection)
            yield connection
            connection.commit()
        except duckdb.Error as error:
            raise self._error(error) from error
        except RuntimeError as error:
            if str(error) == "Query interrupted":  # what DuckDB makes of it
                raise KeyboardInterrupt from error
            raise
        finally:
            connection.close()

    def _opened(self, *, write: bool) -> duckdb.DuckDBPyConnection:
        """A connection to the file; waits for another process to let go of it."""
        import duckdb
        import tenacity

        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WatermarkError(f"{self.path.parent}: cannot be created: {error.strerror}") from error
        fresh = not self.path.exists()
        lock_seconds = LOCK_SECONDS if self._lock_seconds is None else self._lock_seconds
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_held),
            wait=tenacity.wait_random_exponential(0.005, 0.25),
            stop=tenacity.stop_after_delay(lock_seconds),
            reraise=True,
        )
        try:
            connection: duckdb.DuckDBPyConnection = retrying(database.connect, str(self.path), read_only=not write)
            if not write and not _is_of_this_version(connection):
                connection.close()
                return self._opened(write=True)
        except duckdb.Error as error:
            if _is_held(error):
                raise WatermarkError(
                    f"{self.path}: another process has held it for {lock_seconds:.0f} s: {_first_line(error)}"
                ) from error
            raise self._error(error) from error
        if fresh:
            os.chmod(self.path, 0o600)  # noqa: PTH101 - the file was just made
        return connection

    def _check_version(self, connection: duckdb.DuckDBPyConnection) -> None:
        import duckdb

        try:
            # What DuckDB tells of columns takes longer than all else that a transaction does.
            found = connection.execute("select application, version from meta").fetchall()
            if found == [("aurum_etl", SCHEMA_VERSION)]:
                return
        except (duckdb.CatalogException, duckdb.BinderException):
            connection.rollback()
            connection.begin()
        columns = set(
            connection.execute("select table_name, column_name from duckdb_columns() where not internal").fetchall()
        )
        if not columns:
            connection.execute(_DDL + _JOBS_DDL)
            connection.execute("insert into meta values ('aurum_etl', ?)", [SCHEMA_VERSION])
            return
        if not {("meta", "application"), ("meta", "version")} <= columns:
            raise RecordUnreadable(f"{self.path}: a database of another application; {_WAY_OUT}")
        found = connection.execute("select application, version from meta").fetchall()
        if found in [[("aurum_etl", version)] for version in range(1, SCHEMA_VERSION)]:
            for column in _GROWN[found[0][1] - 1 :]:
                connection.execute("".join(f"alter table receipts add column {each};" for each in column))
            connection.execute(_JOBS_DDL)
            connection.execute("update meta set version = ?", [SCHEMA_VERSION])
        elif found != [("aurum_etl", SCHEMA_VERSION)]:
            raise RecordUnreadable(f"{self.path}: of version {found}, this program writes {SCHEMA_VERSION}; {_WAY_OUT}")

    def _error(self, error: duckdb.Error) -> WatermarkError:
        """What to raise for an error of DuckDB's."""
        line = f"{self.path}: {_first_line(error)}"
        if any(words in str(error) for words in _DAMAGE):
            return RecordUnreadable(f"{line}; {_WAY_OUT}")
        return WatermarkError(line)

    def move_aside(self) -> Path:
        """Where the file is now: beside its old place, with the time in its name, and with what DuckDB keeps beside it.

        Raises: WatermarkError if it cannot be moved.
        """
        moved = self.path.with_name(f"{self.path.name}.unreadable-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        log = self.path.with_name(f"{self.path.name}.wal")
        try:
            if log.exists():
                log.rename(moved.with_name(f"{moved.name}.wal"))
            self.path.rename(moved)
        except OSError as error:
            raise WatermarkError(f"{self.path}: cannot be moved to {moved.name}: {error.strerror}") from error
        return moved


def _is_of_this_version(connection: duckdb.DuckDBPyConnection) -> bool:
    import duckdb

    try:
        found = connection.execute("select application, version from meta").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return found == [("aurum_etl", SCHEMA_VERSION)]


def _is_held(error: BaseException) -> bool:
    """Whether another process holds the file; a damaged "block" has the word lock in its message as well."""
    return str(error).startswith("IO Error: Could not set lock on file")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
