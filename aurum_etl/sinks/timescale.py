"""TimescaleDB, or PostgreSQL without the extension: Arrow goes in by binary COPY, a chunk is one transaction.

The layout (lean fact tables, views under the contract's names) is `exports/ddl.py`'s.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from aurum_etl.contracts import CONTRACT_VERSION, CONTRACTS
from aurum_etl.errors import CommitFailed, CommitUnknown, Overtaken, SinkError, SinkUnavailable, SpecError
from aurum_etl.exports import ddl
from aurum_etl.receipt import Written
from aurum_etl.sinks.base import Position, demand_contract, ingested_at
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    import polars as pl
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Progress
    from aurum_etl.spec import TimescaleSpec

_LOCK_SECONDS = 120
_CONNECT_SECONDS = 10
_BATCH_ROWS = 8192
_ADVICE = {
    "28P01": "check the password in TIMESCALE_CONNECTION",
    "28000": "check the user in TIMESCALE_CONNECTION, and what pg_hba.conf allows",
    "3D000": "make it (create database …), or name another in TIMESCALE_CONNECTION",
    "42501": "let the owner of the tables run this, or grant its rights: create on the schema, select, insert and delete on "
    "its tables",
    "53100": "make room on the server's disk; nothing was written",
    "53300": "raise max_connections, or let fewer processes load at once",
    "55P03": f"another process has been loading the same days for {_LOCK_SECONDS} s; try again when it is done",
    "57P03": "the server is starting or stopping; try again",
    "25006": "this server only reads; name the primary in TIMESCALE_CONNECTION",
    "22021": "a text holds a character that PostgreSQL cannot store",
}
"""What to do, by SQLSTATE."""
_ADVICE_BY_WORDS = {
    "password authentication failed": _ADVICE["28P01"],
    "no password supplied": _ADVICE["28P01"],
    "role ": _ADVICE["28000"],
    "database ": _ADVICE["3D000"],
    "too many clients": _ADVICE["53300"],
    "starting up": _ADVICE["57P03"],
    "Connection refused": "check that the server runs, and where TIMESCALE_CONNECTION points",
    "could not translate host name": "check the host in TIMESCALE_CONNECTION",
    "connection info string": "TIMESCALE_CONNECTION is postgresql://user@host:port/database, or words such as host=… dbname=…",
    "No space left on device": _ADVICE["53100"],
}
"""The same where there is no connection yet, and no SQLSTATE."""


class TimescaleSink:
    """One view per kind, `iso_lmp` and so on, over a fact table.

    **Twice:** a second commit of the same chunk deletes its scope and copies the rows in, in one transaction; readers see
    the old rows until it ends and the new ones from then on. Chunks of other days or feeds load beside it; one of the same
    days waits. The chunk's row in `iso_chunk` is written in the same transaction, so an unknown outcome can be looked up.
    """

    kind = "timescale"

    def __init__(self, dsn: str, spec: TimescaleSpec, contracts: Mapping[str, Contract] = CONTRACTS) -> None:
        self._dsn = dsn
        self._spec = spec
        self._contracts = contracts
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._layout: ddl.Layout | None = None
        self._compresses_copies = False
        self._partitions: set[str] = set()
        self._places: dict[str, pl.DataFrame] = {}

    @classmethod
    def from_spec(cls, spec: TimescaleSpec, settings: Settings) -> Self:
        """The sink at the database that the settings name.

        Raises: SpecError if they name none.
        """
        if settings.timescale is None:
            raise SpecError(
                "timescale: TIMESCALE_CONNECTION is not set; it names the database, such as postgresql://user@host:5432/energy"
            )
        return cls(settings.timescale, spec)

    def open(self, _dataset: Dataset | None = None) -> None:
        """See `Sink.open`: connects, and makes or migrates what is not as the contract has it."""
        with self._session() as connection, self._told("cannot be opened"):
            found = _ask(
                connection,
                "select current_setting('server_version_num')::int, current_setting('transaction_read_only'), "
                "(select count(*) from pg_extension where extname = 'timescaledb'), "
                "(select count(*) from pg_settings where name = 'timescaledb.enable_direct_compress_copy')",
            )[0]
            if found[0] < 150000:
                raise SinkUnavailable(f"timescale: PostgreSQL 15 or newer is needed, this is {found[0] // 10000}")
            if found[1] == "on":
                raise SinkUnavailable(f"timescale: {_ADVICE['25006']}")
            spec = self._spec
            self._layout = ddl.Layout(
                bool(found[2]), spec.chunk_days, spec.compress_after_days, spec.retain_days, tuple(spec.aggregates)
            )
            self._compresses_copies = bool(found[3])
            if not all(self._is_made(connection, contract) for contract in self._contracts.values()):
                self._make(connection, self._layout)
            _prove_rights(connection, self._contracts.values())

    def close(self) -> None:
        """See `Sink.close`."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(Exception):
                connection.close()

    def stage(self, table: pa.Table, scope: Scope, progress: Progress | None = None) -> _Staged:
        """See `Drained.stage`: deletes and copies in a transaction that stays open, so no reader sees anything of it."""
        demand_contract(table, scope)
        _demand_constants(table, scope)
        attempt = uuid.uuid4().hex
        connection = self._connect()
        try:
            with self._told(f"{scope.chunk.key} was not taken"):
                places = self._place_numbers(connection, table)
                self._make_partitions(connection, table, scope.contract)
                _lock(connection, scope)
                if progress is not None:
                    _step(connection, progress)
                number = _enter(connection, table, scope, attempt)
                self._replace(connection, table, scope, places, number)
        except BaseException:
            _drop(connection)
            raise
        return _Staged(self, connection, scope, attempt, table.num_rows)

    def position(self, group: str, topic: str) -> Position:
        """See `Drained.position`."""
        with self._session() as connection, self._told("cannot be read"):
            found = _ask(
                connection, "select position from iso_position where consumer_group = $1 and topic = $2", group, topic
            )
        return Position.parse(found[0][0] if found else None)

    def advance(self, progress: Progress) -> None:
        """See `Drained.advance`."""
        with self._session() as connection, self._told("the position was not kept", CommitFailed):
            _step(connection, progress)
            connection.commit()

    def landed(self, scope: Scope, attempt: str) -> bool:
        """Whether that attempt at the chunk is what the database holds.

        The scope is locked first: a server that is still busy with the commit would answer too early.
        """
        with self._session() as connection:
            _lock(connection, scope)
            found = _ask(connection, "select attempt from iso_chunk where chunk_key = $1", scope.chunk.key)
        return bool(found and found[0][0] == attempt)

    def give_back(self, connection: Connection) -> None:
        """A connection without a transaction, for the next chunk."""
        with self._lock:
            self._idle.append(connection)

    def explain(self, error: BaseException) -> str:
        """The error in one line, without what is secret, and what to do about it where that is known."""
        return _explain(error, self._dsn)

    def _connect(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        from adbc_driver_postgresql import dbapi

        with self._told("cannot be reached"):
            connection: Connection = dbapi.connect(_with_defaults(self._dsn))
        with self._told("cannot be reached"):
            # Partitions are told in UTC, whatever the server or the user prefers.
            _do(
                connection,
                "set timezone = 'UTC'",
                f"set lock_timeout = '{_LOCK_SECONDS}s'",
                "set standard_conforming_strings = on",
            )
            connection.commit()
        return connection

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        """A connection that is rolled back, and kept if it still lives."""
        connection = self._connect()
        try:
            yield connection
            connection.rollback()
        except BaseException:
            _drop(connection)
            raise
        self.give_back(connection)

    @contextmanager
    def _told(self, what: str, kind: type[SinkError] = SinkUnavailable) -> Iterator[None]:
        """Translate the driver's errors."""
        from adbc_driver_manager.dbapi import Error

        try:
            yield
        except Error as error:
            raise kind(f"timescale: {what}: {self.explain(error)}") from error

    def _is_made(self, connection: Connection, contract: Contract) -> bool:
        """Whether everything of the contract is as it should be.

        Raises: SinkUnavailable if there is something of that name that cannot be brought there.
        """
        layout = self._layout
        assert layout is not None  # noqa: S101 - `open` made it
        fact, view = ddl.fact_name(contract), ddl.view_name(contract)
        found = _ask(
            connection,
            "select relname, relkind, coalesce(obj_description(oid, 'pg_class'), '') from pg_class "
            "where oid in (to_regclass($1), to_regclass($2))",
            fact,
            view,
        )
        relations = {name: (kind, comment) for name, kind, comment in found}
        if view in relations and relations[view][0] != "v":
            raise SinkUnavailable(
                f"timescale: {view} is a table of somebody else's, not our view; rename it, or use another schema or database"
            )
        if fact not in relations:
            return False
        have = dict(
            _ask(
                connection,
                "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
                fact,
            )
        )
        want = {
            name: {"timestamptz": "timestamp with time zone"}.get(kind, kind)
            for name, kind in ddl.fact_columns(contract).items()
        }
        nullable = {column.name for column in contract.columns if column.nullable}
        differing = [name for name in want if name in have and have[name] != want[name]]
        differing += [name for name in want if name not in have and name not in nullable]
        if differing:
            raise SinkUnavailable(
                f"timescale: table {fact} is not of this contract; columns that differ: {', '.join(sorted(differing))}; "
                "rename it, or use another schema or database"
            )
        comment = relations[fact][1]
        if "aurum_etl {" in comment:
            # The width of the pieces was fixed when the table was made.
            made = json.loads(comment.partition("aurum_etl ")[2])
            self._layout = layout = ddl.Layout(
                made["hypertable"],
                made["chunk_days"],
                layout.compress_after_days,
                layout.retain_days,
                layout.aggregates,
            )
        return view in relations and comment == layout.comment(contract)

    def _make(self, connection: Connection, layout: ddl.Layout) -> None:
        """Make or migrate everything, one process at a time, all of it or nothing."""
        _ask(connection, "select count(pg_advisory_xact_lock($1))", _number("aurum_etl ddl"))
        _do(connection, *ddl.SHARED_TABLES)
        for contract in self._contracts.values():
            if self._is_made(connection, contract):
                continue
            layout = self._layout or layout
            fact = ddl.fact_name(contract)
            if not _ask(connection, "select 1 where to_regclass($1) is not null", fact):
                _do(connection, *ddl.create_fact(contract, layout))
                if not layout.hypertables:
                    logger().warning(
                        "timescale.plain", table=fact, told="no TimescaleDB here: a partitioned table, not compressed"
                    )
            have = _ask(
                connection,
                "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
                fact,
            )
            for name, kind in ddl.fact_columns(contract).items():
                if (name,) not in have:
                    _do(connection, f"alter table {fact} add column {name} {kind}")
                    logger().warning("timescale.migrated", table=fact, added=name)
            _do(connection, *ddl.policies(contract, layout), *ddl.create_views(contract, layout))
            _do(connection, f"comment on table {fact} is {_quoted(layout.comment(contract))}")
        connection.commit()

    def _make_partitions(self, connection: Connection, table: pa.Table, contract: Contract) -> None:
        """Partitions for the rows, in transactions of their own: an empty one does no harm."""
        layout = self._layout
        if layout is None:
            raise SinkUnavailable("timescale: the sink is not open")
        if layout.hypertables or not table.num_rows:
            return
        days = layout.chunk_days
        for number in _pieces(table, days):
            name = ddl.partition_name(contract, number, days)
            if name in self._partitions:
                continue
            _ask(connection, "select count(pg_advisory_xact_lock($1))", _number(f"aurum_etl {name}"))
            if not _ask(connection, "select 1 where to_regclass($1) is not null", name):
                _do(connection, *ddl.create_partition(contract, number, days))
            connection.commit()
            self._partitions.add(name)

    def _place_numbers(self, connection: Connection, table: pa.Table) -> pa.Array[Any]:
        """The number of each row's place; places that are new get one, in a transaction of their own."""
        import polars as pl

        columns = list(ddl.PLACE_COLUMNS)
        places = pl.DataFrame(table.select(columns))
        # Rows of one place stand together: of each run the first is enough.
        runs = places.select(pl.struct(columns).rle_id()).to_series()
        firsts = places.filter(runs.diff().fill_null(1) > 0)
        known = self._known(connection, firsts)
        numbered = firsts.join(known, on=columns, how="left", nulls_equal=True, maintain_order="left")
        return numbered.get_column("number").gather(runs).to_arrow()

    def _known(self, connection: Connection, wanted: pl.DataFrame) -> pl.DataFrame:
        """Numbers of at least these places."""
        import polars as pl

        columns = list(ddl.PLACE_COLUMNS)
        isos = wanted.get_column("iso_code").unique().to_list()
        empty = pl.DataFrame(schema={**dict.fromkeys(columns, pl.String), "number": pl.Int32})
        known = pl.concat([empty, *(self._places[iso] for iso in isos if iso in self._places)])
        missing = wanted.unique().join(known, on=columns, how="anti", nulls_equal=True)
        if missing.is_empty():
            return known
        with connection.cursor() as cursor:
            _do(connection, "drop table if exists aurum_place")
            cursor.adbc_ingest(
                "aurum_place", missing.to_arrow(compat_level=pl.CompatLevel.oldest()), mode="create", temporary=True
            )
            # In one order, so that two that add the same places wait for each other and don't block each other.
            cursor.execute(
                f"insert into iso_place ({', '.join(columns)}) select {', '.join(columns)} from aurum_place "  # noqa: S608
                "order by iso_location_id, iso_location_name, iso_location_type on conflict do nothing"
            )
            _do(connection, "drop table aurum_place")
            connection.commit()
            for iso in isos:
                cursor.execute(
                    f"select {', '.join(columns)}, number from iso_place where iso_code = $1",  # noqa: S608 - ours
                    (iso,),
                )
                self._places[iso] = pl.DataFrame(cursor.fetch_arrow_table(), schema=empty.schema)
        connection.rollback()
        return pl.concat([empty, *(self._places[iso] for iso in isos)])

    def _replace(
        self, connection: Connection, table: pa.Table, scope: Scope, places: pa.Array[Any], number: int
    ) -> None:
        import pyarrow as pa

        layout = self._layout
        assert layout is not None  # noqa: S101 - partitions were made before
        fact = ddl.fact_name(scope.contract)
        if layout.hypertables and (scope.locations is not None or "iso_location_type" in scope.equals):
            # Some rows of compressed batches go, so these are unpacked, however many they are.
            _do(connection, "set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
        _do(connection, f"delete from {fact} where {_owned_by(scope)}")  # noqa: S608 - quoted
        if not table.num_rows:
            return
        if self._compresses_copies:
            _do(connection, "set local timescaledb.enable_direct_compress_copy = on")
        rows = table.select([column.name for column in ddl.stored(scope.contract)])
        rows = rows.append_column("place", places)
        rows = rows.append_column("chunk", pa.repeat(pa.scalar(number, pa.int32()), table.num_rows))
        with connection.cursor() as cursor:
            # Batches so small that the server is at work on one while the next is encoded.
            batches = pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=_BATCH_ROWS))
            cursor.adbc_ingest(fact, batches, mode="append")


class _Staged:
    """An open transaction that holds the scope's rows."""

    def __init__(self, sink: TimescaleSink, connection: Connection, scope: Scope, attempt: str, rows: int) -> None:
        self._sink = sink
        self._connection: Connection | None = connection
        self._scope = scope
        self._attempt = attempt
        self._rows = rows

    def commit(self) -> Written:
        """See `Staged.commit`."""
        if self._connection is None:
            raise ValueError(f"{self._scope.chunk.key}: staged rows can be committed once, and not after a discard")
        connection, self._connection = self._connection, None
        try:
            connection.commit()
        except Exception as error:  # noqa: BLE001 - whatever it was, the commit may have happened before it
            _drop(connection)
            self._look(error)
        except BaseException:
            _drop(connection)
            raise
        else:
            self._sink.give_back(connection)
        return Written(TimescaleSink.kind, ddl.view_name(self._scope.contract), self._rows, self._attempt)

    def discard(self) -> None:
        """See `Staged.discard`."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        try:
            connection.rollback()
        except Exception:  # noqa: BLE001 - a lost connection rolls back by itself
            _drop(connection)
        else:
            self._sink.give_back(connection)

    def _look(self, error: Exception) -> None:
        """Raise unless the commit happened all the same."""
        key, told = self._scope.chunk.key, self._sink.explain(error)
        try:
            landed = self._sink.landed(self._scope, self._attempt)
        except Exception as while_looking:  # noqa: BLE001 - see above
            raise CommitUnknown(
                f"timescale: whether {key} was committed is unknown ({told}), and the database cannot be asked "
                f"({self._sink.explain(while_looking)}); run it again once it can be: the scope is replaced, nothing doubles"
            ) from error
        if not landed:
            raise CommitFailed(f"timescale: {key} was not committed: {told}") from error


def _enter(connection: Connection, table: pa.Table, scope: Scope, attempt: str) -> int:
    """The chunk's number in the ledger, which stays the same from attempt to attempt."""
    instant: datetime | None = ingested_at(table)
    ((number,),) = _ask(
        connection,
        "insert into iso_chunk (chunk_key, kind, attempt, ingested_at, rows, contract_version, committed_at) "
        "values ($1, $2, $3, $4::timestamptz, $5, $6, now()) on conflict (chunk_key) do update set "
        "attempt = excluded.attempt, ingested_at = excluded.ingested_at, rows = excluded.rows, "
        "contract_version = excluded.contract_version, committed_at = excluded.committed_at returning number",
        scope.chunk.key,
        scope.contract.kind,
        attempt,
        instant and instant.isoformat(),
        table.num_rows,
        CONTRACT_VERSION,
    )
    return int(number)


def _step(connection: Connection, progress: Progress) -> None:
    """Take the drain's step, if the position is still where it began."""
    _do(
        connection,
        "insert into iso_position values ($1, $2, '') on conflict do nothing",
        parameters=(progress.group, progress.topic),
    )
    ((found,),) = _ask(
        connection,
        "select position from iso_position where consumer_group = $1 and topic = $2 for update",
        progress.group,
        progress.topic,
    )
    if Position.parse(found) != progress.before:
        raise Overtaken(f"timescale: {progress.topic}: another drain of {progress.group} has read on to {found}")
    _do(
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
    numbers = sorted(_number(f"{feed}{day}") for day in scope.operating_dates)
    _ask(
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
    terms = [
        f"interval_start >= {_quoted(window.start.isoformat())}",
        f"interval_start < {_quoted(window.end.isoformat())}",
        _is_one_of("operating_date", scope.operating_dates),
    ]
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
    quoted = [_quoted(f"{word}") for word in words]
    return f"{column} = {quoted[0]}" if len(quoted) == 1 else f"{column} in ({', '.join(quoted)})"


def _demand_constants(table: pa.Table, scope: Scope) -> None:
    """Refuse rows that the view could not show as they are: what is not stored must be what the contract says."""
    import polars as pl

    if not table.num_rows:
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


def _pieces(table: pa.Table, days: int) -> range:
    """Numbers of the pieces of the table that the rows lie in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    edges = pc.min_max(table["interval_start"].cast(pa.int64()))
    width = days * 86_400_000_000
    return range(edges["min"].as_py() // width, edges["max"].as_py() // width + 1)


def _prove_rights(connection: Connection, contracts: Iterable[Contract]) -> None:
    """Better now than after an hour of fetching."""
    names = [*(ddl.fact_name(contract) for contract in contracts), "iso_place", "iso_chunk", "iso_position"]
    for name in names:
        ((may,),) = _ask(
            connection,
            "select bool_and(has_table_privilege($1, right_)) from unnest(array['select', 'insert', 'delete']) right_",
            name,
        )
        if not may:
            raise SinkUnavailable(f"timescale: no right to load {name}: {_ADVICE['42501']}")


def _ask(connection: Connection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _do(connection: Connection, *statements: str, parameters: tuple[object, ...] | None = None) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, parameters)


def _drop(connection: Connection) -> None:
    with suppress(Exception):
        connection.close()


def _number(text: str) -> int:
    """A lock's number, the same on any machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def _with_defaults(dsn: str) -> str:
    """Give up on a host that does not answer, unless the connection says how long to wait."""
    if "connect_timeout" in dsn:
        return dsn
    if "://" in dsn:
        return f"{dsn}{'&' if '?' in dsn else '?'}connect_timeout={_CONNECT_SECONDS}"
    return f"{dsn} connect_timeout={_CONNECT_SECONDS}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _explain(error: BaseException, dsn: str) -> str:
    text = str(error).strip().splitlines()[0].replace("[libpq] ", "")
    # A connection that cannot be read is repeated in libpq's complaint, password and all.
    text = text.replace(_with_defaults(dsn), "TIMESCALE_CONNECTION").replace(dsn, "TIMESCALE_CONNECTION")
    with suppress(ValueError):
        if password := urlsplit(dsn).password:
            text = text.replace(password, "…")
    state = getattr(error, "sqlstate", None)
    advice = _ADVICE.get(str(state)) or next((told for words, told in _ADVICE_BY_WORDS.items() if words in text), None)
    return f"{text}; {advice}" if advice else text
