"""The file of the ledger: every request and alert, in SQLite, shared by all processes of the machine."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from aurum_etl.errors import WatermarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.quota.limits import Rule

VERSION = 1
FILE = "requests.sqlite"
SECONDS_OF_A_DAY = 86400.0
_LEAST_DAYS = 2
"""What the budgets still need is never pruned."""
_BUSY_SECONDS = 30.0
_APART_SECONDS = 0.001
"""What is exactly as far apart as it must be is in one stretch with what was before it."""
_BATCH = 50_000

_DDL = """
create table requests (
    id integer primary key autoincrement,
    at real not null,
    reserved_at real not null,
    expires_at real not null,
    host text not null,
    dataset text not null,
    selection text not null,
    chunk_key text not null,
    origin text not null,
    method text not null,
    url text not null,
    attempt integer not null,
    urgency integer not null,
    waited real not null,
    owner text not null,
    open integer not null,
    settled integer not null,
    status integer,
    records integer not null,
    bytes integer not null,
    sha256 text not null,
    seconds real,
    error text not null,
    received_at real
);
create index requests_by_time on requests (at);
create index requests_by_host on requests (host, at);
create index requests_by_dataset on requests (dataset, at);
create index requests_unsettled on requests (settled) where settled = 0;
create table waiting (
    id text primary key,
    host text not null,
    dataset text not null,
    urgency integer not null,
    priority integer not null,
    since real not null,
    seen_at real not null,
    limits text not null,
    records integer not null,
    bytes integer not null
);
create table hosts (host text primary key, quiet_until real not null, breaker text not null);
create table terms (
    dataset text not null,
    host text not null,
    limits text not null,
    host_limits text not null,
    seen_at real not null,
    primary key (dataset, host)
);
create table alerts (
    id integer primary key autoincrement, at real not null, kind text not null, subject text not null, detail text not null
);
"""


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> float:
        """Seconds since 1970."""

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Let so much time go by, or less if everything is to stop."""


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """See `Clock`."""
        return time.time()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """See `Clock`."""
        stop.wait(seconds)


class Record:
    """The record of requests under a folder; any number of threads and processes may have it open."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.path = folder / FILE
        self._folder = folder
        self.clock = clock or SystemClock()
        self._lock = threading.Lock()
        self.owner = secrets.token_hex(8)
        try:
            with locked(folder / "requests.lock"):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
                self._connection = sqlite3.connect(
                    self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._prepare()
        except sqlite3.Error as error:
            raise WatermarkError(f"{self.path}: {error}; move it away to begin a new one") from error
        # Held as long as this object is: who finds it free knows that nobody will settle what is open. It gets its name when
        # it is held.
        unnamed = folder / f".{self.owner}.owner"
        self._alive = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        unnamed.rename(folder / f"{self.owner}.owner")

    def _prepare(self) -> None:
        (version,) = self._connection.execute("pragma user_version").fetchone()
        if version not in (0, VERSION):
            raise WatermarkError(f"{self.path}: of version {version}, this program writes {VERSION}; move it away")
        if version == 0:
            # Once per file: to change the mode, nobody else may be reading.
            self._connection.execute("pragma journal_mode = wal")
            self._connection.executescript(f"begin immediate; {_DDL} pragma user_version = {VERSION}; commit;")
        # What a power failure takes away is the last moments of the record; a killed process loses nothing.
        self._connection.execute("pragma synchronous = normal")

    def close(self) -> None:
        """Let go of the file; what is open then is lost."""
        with self._lock:
            self._connection.close()
            with suppress(FileNotFoundError):
                (self._folder / f"{self.owner}.owner").unlink()
            os.close(self._alive)

    def release(self, connection: sqlite3.Connection, now: float) -> int:
        """Close what nobody will settle any more, with what it was expected to bring; how many there were."""
        rows = connection.execute(
            "select distinct owner from requests where settled = 0 and error = '' and owner <> ?", [self.owner]
        ).fetchall()
        gone = [owner for (owner,) in rows if not self._lives(owner)]
        return connection.execute(
            f"""update requests set open = 0, error = 'nobody knows what came of it'
                where settled = 0 and error = '' and (expires_at < ? or owner in ({", ".join("?" * len(gone))}))""",  # noqa: S608 - marks
            [now, *gone],
        ).rowcount

    def _lives(self, owner: str) -> bool:
        path = self._folder / f"{owner}.owner"
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)

    def prune(self, keep_days: int) -> int:
        """Forget requests and alerts older than so many days; what the budgets need stays. How many requests went."""
        edge = self.clock.now() - max(keep_days, _LEAST_DAYS) * SECONDS_OF_A_DAY
        with self.transaction() as connection:
            gone = connection.execute("delete from requests where at < ? and open = 0", [edge]).rowcount
            connection.execute("delete from alerts where at < ?", [edge])
            connection.execute("delete from waiting where seen_at < ?", [self.clock.now() - SECONDS_OF_A_DAY])
        for path in self._folder.glob("*.owner"):
            if path.stem != self.owner:
                self._lives(path.stem)
        return gone

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees everything before it and is seen by everything after it.

        Raises: WatermarkError if the file cannot be read or written.
        """
        with self._lock:
            try:
                self._connection.execute("begin immediate")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("rollback")
                    raise
                self._connection.execute("commit")
            except sqlite3.Error as error:
                raise WatermarkError(f"{self.path}: {error}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone on this machine; a lock that ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def used_of(connection: sqlite3.Connection, column: str, subject: str, rule: Rule, now: float) -> float:
    """How much of the rule is used."""
    (used,) = connection.execute(
        f"select coalesce({_SUMS[rule.amount]}, 0) from requests where {column} = ? and at > ?",  # noqa: S608 - words of ours
        [subject, now - rule.seconds],
    ).fetchone()
    return float(used)


def free_at(
    connection: sqlite3.Connection,
    column: str,
    subject: str,
    rule: Rule,
    wanted: float,
    now: float,
    *,
    sure: bool = False,
) -> float:
    """When there is room for so much, if nothing else comes; not after now if there is now. With `sure`, what is only expected
    of requests that are on their way does not count.

    What is more than the whole limit goes alone: it would never go otherwise.
    """
    room = rule.limit - min(wanted, rule.limit)
    if rule.amount == "requests":
        # The newest of those that must have gone before there is room again.
        row = connection.execute(
            f"select at from requests where {column} = ? and at > ? order by at desc limit 1 offset ?",  # noqa: S608
            [subject, now - rule.seconds, int(room)],
        ).fetchone()
    else:
        row = connection.execute(
            f"""select max(at) from (select at, sum({_AMOUNTS[rule.amount]}) over (order by at desc, id desc) as total
                from requests where {column} = ? and at > ? and (? or settled = 1 or error <> '')) where total > ?""",  # noqa: S608
            [subject, now - rule.seconds, not sure, room],
        ).fetchone()
    return now if row is None or row[0] is None else float(row[0]) + rule.seconds + _APART_SECONDS


_AMOUNTS = {"records": "records", "bytes": "bytes", "retries": "attempt > 1"}
_SUMS = {"requests": "count(*)", **{name: f"sum({column})" for name, column in _AMOUNTS.items()}}


def tables_of(folder: Path) -> Mapping[str, pa.Table]:
    """The audit log and the alerts of the record under a folder, oldest first; the file is opened for reading alone.

    Raises: WatermarkError if it cannot be read.
    """
    path = folder / FILE
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", timeout=_BUSY_SECONDS, uri=True)) as connection:
            return {name: _table(connection.execute(sql), name) for name, sql in _SELECTS.items()}
    except sqlite3.Error as error:
        raise WatermarkError(f"{path}: {error}") from error


def no_tables() -> Mapping[str, pa.Table]:
    """The same where nothing was ever asked."""
    return {name: _table(None, name) for name in _SELECTS}


def _table(cursor: sqlite3.Cursor | None, name: str) -> pa.Table:
    import pyarrow as pa

    types = {
        "instant": pa.timestamp("us", tz="UTC"),
        "text": pa.string(),
        "number": pa.int64(),
        "real": pa.float64(),
        "truth": pa.bool_(),
    }
    schema = pa.schema([pa.field(column, types[kind]) for column, kind in _COLUMNS[name].items()])
    batches = []
    while cursor is not None and (rows := cursor.fetchmany(_BATCH)):
        columns = zip(zip(*rows, strict=True), schema, strict=True)
        # SQLite has no truths, only numbers.
        batches.append(pa.record_batch([pa.array(values).cast(field.type) for values, field in columns], schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


_COLUMNS = {
    "requests": {
        "requested_at": "instant",
        "host": "text",
        "dataset": "text",
        "chunk_key": "text",
        "origin": "text",
        "method": "text",
        "url": "text",
        "attempt": "number",
        "status": "number",
        "bytes": "number",
        "records": "number",
        "sha256": "text",
        "seconds": "real",
        "waited_seconds": "real",
        "is_settled": "truth",
        "error": "text",
    },
    "alerts": {"happened_at": "instant", "kind": "text", "subject": "text", "detail": "text"},
}
_SELECTS = {
    "requests": """
        select cast(reserved_at * 1e6 as integer), host, dataset, chunk_key, origin, method, url, attempt, status, bytes,
               records, sha256, seconds, waited, settled, nullif(error, '') from requests order by id""",
    "alerts": "select cast(at * 1e6 as integer), kind, subject, detail from alerts order by id",
}
