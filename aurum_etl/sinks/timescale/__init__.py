"""TimescaleDB, or PostgreSQL without the extension: Arrow goes in by binary COPY, a chunk is one transaction.

The layout (lean fact tables, views under the contract's names) is `exports/ddl.py`'s.
"""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import CommitFailed, CommitUnknown, Overtaken, SinkError, SinkUnavailable, SpecError
from aurum_etl.exports import ddl
from aurum_etl.receipt import Written
from aurum_etl.secrets import demanded, forget
from aurum_etl.sinks.base import Position, demand_contract
from aurum_etl.sinks.timescale import ledger
from aurum_etl.sinks.timescale.connection import (
    ADVICE,
    OLDEST_SERVER,
    Link,
    ask,
    do,
    drop,
    linked,
    lives,
    number_of,
    quoted,
)
from aurum_etl.sinks.timescale.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Progress
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.spec import TimescaleSpec
    from aurum_etl.window import Window

_BATCH_ROWS = 8192


class TimescaleSink:
    """One view per kind, `iso_lmp` and so on, over a fact table.

    **Twice:** a second commit of the same chunk deletes its scope and copies the rows in, in one transaction; readers see
    the old rows until it ends and the new ones from then on. Chunks of other days or feeds load beside it; one of the same
    days waits. The chunk's row in `iso_chunk` is written in the same transaction, so an unknown outcome can be looked up.
    """

    kind = "timescale"

    def __init__(
        self,
        dsn: Callable[[], str],
        spec: TimescaleSpec,
        contracts: Mapping[str, Contract] = CONTRACTS,
        *,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        """A sink at the database of which `dsn` gives the address; after `forget` it gives none out of what is cached."""
        self._dsn = dsn
        self._forget = forget
        self._spec = spec
        self._contracts = contracts
        self._idle: list[Link] = []
        self._lock = threading.Lock()
        self._tables: Tables | None = None
        self._compresses_copies = False

    @classmethod
    def from_spec(cls, spec: TimescaleSpec, settings: Settings) -> Self:
        """The sink at the database that the settings name.

        Raises: SpecError if they name none.
        """
        if settings.timescale is None:
            raise SpecError(
                "timescale: TIMESCALE_CONNECTION is not set; it names the database, such as postgresql://user@host:5432/energy"
            )
        name, secrets = "TIMESCALE_CONNECTION", settings.secrets
        return cls(lambda: demanded(secrets, name), spec, forget=lambda: forget(secrets, name))

    def open(self, dataset: Dataset | None = None) -> None:
        """See `Sink.open`: connects, and makes or migrates what is not as the contract has it."""
        contracts = self._contracts if dataset is None else {dataset.contract.kind: dataset.contract}
        with self._session("cannot be opened") as connection:
            found = ask(connection, ddl.SERVER)[0]
            major = found[0] // 10000
            if major < OLDEST_SERVER:
                raise SinkUnavailable(f"timescale: PostgreSQL {OLDEST_SERVER} or newer is needed, this is {major}")
            if found[1] == "on":
                raise SinkUnavailable(f"timescale: {ADVICE['25006']}")
            spec = self._spec
            layout = ddl.Layout(
                bool(found[2]), spec.chunk_days, spec.compress_after_days, spec.retain_days, spec.aggregates
            )
            self._compresses_copies = bool(found[3])
            self._tables = Tables(layout, contracts)
            self._tables.ensure(connection)

    def close(self) -> None:
        """See `Sink.close`."""
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            drop(link.connection)

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> _Staged:
        """See `Drained.stage`: deletes and copies in a transaction that stays open, so no reader sees anything of it."""
        demand_contract(table, scope)
        _demand_constants(table, scope)
        if self._tables is None:
            raise SinkUnavailable("timescale: the sink is not open")
        attempt = uuid.uuid4().hex
        link = self._link()
        connection = link.connection
        try:
            with _told(link, f"{scope.chunk.key} was not taken"):
                places = self._tables.place_numbers(connection, table)
                self._tables.make_partitions(connection, table, scope.contract)
                _lock(connection, scope)
                if progress is not None:
                    _step(connection, progress)
                number = ledger.enter(connection, table, scope, attempt)
                self._replace(connection, table, scope, places, number, self._tables.layout)
        except BaseException:
            drop(connection)
            raise
        return _Staged(self, link, scope, attempt, table.num_rows)

    def position(self, group: str, topic: str) -> Position:
        """See `Drained.position`."""
        with self._session("cannot be read") as connection:
            found = ask(
                connection, "select position from iso_position where consumer_group = $1 and topic = $2", group, topic
            )
        return Position.parse(found[0][0] if found else None)

    def advance(self, progress: Progress) -> None:
        """See `Drained.advance`."""
        with self._session("the position was not kept", CommitFailed) as connection:
            _step(connection, progress)
            connection.commit()

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """See `Sink.held`: what the ledger says of the chunks that still have at least one row."""
        contracts = self._contracts.values() if dataset is None else [dataset.contract]
        with self._session("cannot be asked what it holds") as connection:
            return [each for contract in contracts for each in ledger.held(connection, contract, dataset, window)]

    def days(self, scope: Scope) -> tuple[Day, ...]:
        """See `Sink.days`: summed up on the server."""
        with self._session(f"cannot be asked for the days of {scope.chunk.key}") as connection:
            return ledger.days(connection, scope, _owned_by(scope))

    def landed(self, scope: Scope, attempt: str) -> bool:
        """Whether that attempt at the chunk is what the database holds.

        The scope is locked first: a server that is still busy with the commit would answer too early.
        """
        with self._session(f"cannot be asked for {scope.chunk.key}") as connection:
            _lock(connection, scope)
            found = ask(connection, "select attempt from iso_chunk where chunk_key = $1", scope.chunk.key)
        return bool(found and found[0][0] == attempt)

    def give_back(self, link: Link) -> None:
        """A connection without a transaction, for the next chunk."""
        with self._lock:
            self._idle.append(link)

    def _link(self) -> Link:
        """A connection as who we are now: one that was made as somebody else is put away."""
        dsn = self._dsn()
        while (idle := self._taken()) is not None:
            # A server that was restarted has left dead ones, and each would cost a chunk its attempt.
            if idle.dsn == dsn and lives(idle.connection):
                return idle
            drop(idle.connection)
        return linked(self._dsn, self._forget)

    def _taken(self) -> Link | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    @contextmanager
    def _session(self, what: str, kind: type[SinkError] = SinkUnavailable) -> Iterator[Connection]:
        """A connection that is rolled back, and kept if it still lives; the driver's errors are translated to what was not."""
        link = self._link()
        try:
            with _told(link, what, kind):
                yield link.connection
                link.connection.rollback()
        except BaseException:
            drop(link.connection)
            raise
        self.give_back(link)

    def _replace(
        self,
        connection: Connection,
        table: pa.Table,
        scope: Scope,
        places: pa.Array[Any],
        number: int,
        layout: ddl.Layout,
    ) -> None:
        import pyarrow as pa

        fact = ddl.fact_name(scope.contract)
        if layout.hypertables and (scope.locations is not None or "iso_location_type" in scope.equals):
            # Some rows of compressed batches go, so these are unpacked, however many they are.
            do(connection, ddl.UNPACK_ANY_NUMBER)
        do(connection, f"delete from {fact} where {_owned_by(scope)}")  # noqa: S608 - quoted
        if not table.num_rows:
            return
        if self._compresses_copies:
            do(connection, ddl.COMPRESS_COPIES)
        rows = table.select([column.name for column in ddl.stored(scope.contract)])
        rows = rows.append_column("place", places)
        rows = rows.append_column("chunk", pa.repeat(pa.scalar(number, pa.int32()), table.num_rows))
        with connection.cursor() as cursor:
            # Batches so small that the server is at work on one while the next is encoded.
            batches = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=_BATCH_ROWS))
            cursor.adbc_ingest(fact, batches, mode="append")


class _Staged:
    """An open transaction that holds the scope's rows."""

    def __init__(self, sink: TimescaleSink, link: Link, scope: Scope, attempt: str, rows: int) -> None:
        self._sink = sink
        self._link: Link | None = link
        self._scope = scope
        self._attempt = attempt
        self._rows = rows

    def commit(self) -> Written:
        """See `Staged.commit`."""
        if self._link is None:
            raise ValueError(f"{self._scope.chunk.key}: staged rows can be committed once, and not after a discard")
        link, self._link = self._link, None
        try:
            link.connection.commit()
        except Exception as error:  # noqa: BLE001 - whatever it was, the commit may have happened before it
            drop(link.connection)
            self._look(error, link.explain(error))
        except BaseException:
            drop(link.connection)
            raise
        else:
            self._sink.give_back(link)
        return Written(TimescaleSink.kind, ddl.view_name(self._scope.contract), self._rows, self._attempt)

    def discard(self) -> None:
        """See `Staged.discard`."""
        if self._link is None:
            return
        link, self._link = self._link, None
        try:
            link.connection.rollback()
        except Exception:  # noqa: BLE001 - a lost connection rolls back by itself
            drop(link.connection)
        else:
            self._sink.give_back(link)

    def _look(self, error: Exception, told: str) -> None:
        """Raise unless the commit happened all the same."""
        key = self._scope.chunk.key
        try:
            landed = self._sink.landed(self._scope, self._attempt)
        except Exception as while_looking:  # noqa: BLE001 - see above
            raise CommitUnknown(
                f"timescale: whether {key} was committed is unknown ({told}), and the database cannot be asked "
                f"({while_looking}); run it again once it can be: the scope is replaced, nothing doubles"
            ) from error
        if not landed:
            raise CommitFailed(f"timescale: {key} was not committed: {told}") from error


@contextmanager
def _told(link: Link, what: str, kind: type[SinkError] = SinkUnavailable) -> Iterator[None]:
    """Translate the driver's errors."""
    from adbc_driver_manager.dbapi import Error

    try:
        yield
    except Error as error:
        raise kind(f"timescale: {what}: {link.explain(error)}") from error


def _step(connection: Connection, progress: Progress) -> None:
    """Take the drain's step, if the position is still where it began."""
    do(
        connection,
        "insert into iso_position values ($1, $2, '') on conflict do nothing",
        parameters=(progress.group, progress.topic),
    )
    ((found,),) = ask(
        connection,
        "select position from iso_position where consumer_group = $1 and topic = $2 for update",
        progress.group,
        progress.topic,
    )
    if Position.parse(found) != progress.before:
        raise Overtaken(f"timescale: {progress.topic}: another drain of {progress.group} has read on to {found}")
    do(
        connection,
        "update iso_position set position = $1 where consumer_group = $2 and topic = $3",
        parameters=(str(progress.after), progress.group, progress.topic),
    )


def _lock(connection: Connection, scope: Scope) -> None:
    """Wait for other chunks of the same feed and days; those of others are not kept waiting."""
    feed = json.dumps(
        [scope.contract.kind, *(list(scope.equals[name]) for name in sorted(scope.equals) if name in _FEED)]
    )
    # In one order, so that nobody waits for each other.
    numbers = sorted(number_of(f"{feed}{day}") for day in scope.operating_dates or ("",))
    ask(
        connection,
        "select count(pg_advisory_xact_lock(number)) from "
        "(select value::bigint as number from jsonb_array_elements_text($1::jsonb) order by 1) numbers",
        json.dumps(numbers),
    )


_FEED = frozenset({"iso_code", "iso_market", "iso_market_run", "iso_interval_minutes"})


def _owned_by(scope: Scope) -> str:
    """The rows that the scope owns, as a condition; the time range lets whole pieces of the table be passed over.

    Words stand in it as literals: a delete by parameters takes twice as long, since their number is not known when it is
    planned.
    """
    window = scope.chunk.window
    terms = []
    if scope.axis is not None:
        terms += [
            f"{scope.axis} >= {quoted(window.start.isoformat())}",
            f"{scope.axis} < {quoted(window.end.isoformat())}",
            _is_one_of("operating_date", scope.operating_dates),
        ]
    if scope.axis == "published_at":
        # A market day begins and ends within a day of the UTC date of the same name.
        first, last = min(scope.operating_dates) - timedelta(1), max(scope.operating_dates) + timedelta(2)
        terms += [f"interval_start >= {quoted(f'{first} Z')}", f"interval_start < {quoted(f'{last} Z')}"]
    for column, choices in scope.equals.items():
        if column == "iso_location_type":
            places = f"select number from iso_place where {_is_one_of(column, choices)}"  # noqa: S608 - quoted
            terms.append(f"place = any(array({places}))")
        else:
            terms.append(_is_one_of(column, choices))
    if scope.locations is not None:
        terms.append(_is_one_of("iso_location_id", scope.locations))
    return " and ".join(terms)


def _is_one_of(column: str, words: Iterable[object]) -> str:
    literals = [quoted(f"{word}") for word in words]
    return f"{column} = {literals[0]}" if len(literals) == 1 else f"{column} in ({', '.join(literals)})"


def _demand_constants(table: pa.Table, scope: Scope) -> None:
    """Refuse rows that the view could not show as they are: what is not stored must be what the contract says."""
    import polars as pl

    if not table.num_rows or scope.contract.is_registry:
        return
    frame = pl.DataFrame(
        table.select([*ddl.constants(scope.contract), "interval_start", "interval_end", "iso_interval_minutes"])
    )
    holds = {
        **{name: pl.col(name).eq_missing(pl.lit(word)) for name, word in ddl.constants(scope.contract).items()},
        "interval_end": pl.col("interval_end") - pl.col("interval_start")
        == pl.duration(minutes="iso_interval_minutes"),
    }
    found = frame.select(expression.all().alias(name) for name, expression in holds.items()).row(0, named=True)
    if broken := [name for name, all_hold in found.items() if not all_hold]:
        raise ValueError(
            f"{scope.chunk.key}: {', '.join(broken)} is not what the contract says for {scope.contract.kind}"
        )
