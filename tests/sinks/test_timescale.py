"""PostgreSQL when things go wrong, and what readers see."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.contracts import CONTRACTS, LMP, Column, ColumnType
from aurum_etl.errors import CommitFailed, CommitUnknown, SinkUnavailable, SpecError
from aurum_etl.exports import ddl
from aurum_etl.settings import read_settings
from aurum_etl.sinks import sink as sink_of
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec, default_sink
from tests.frames import DAY, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXT = date(2026, 7, 15)
SPEC = TimescaleSpec(kind="timescale")


@pytest.fixture
def sink(database: str) -> Iterator[TimescaleSink]:
    opened = TimescaleSink(lambda: database, SPEC)
    opened.open()
    yield opened
    opened.close()


def ask(database: str, sql: str) -> list[tuple[Any, ...]]:
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
        cursor.execute(sql)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def do(database: str, *statements: str) -> None:
    with dbapi.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def at(database: str, **parts: str) -> str:
    """The same server, but for those parts of its address."""
    return urlunsplit(urlsplit(database)._replace(**parts))


def is_plain(database: str) -> bool:
    return not ask(database, "select 1 from pg_extension where extname = 'timescaledb'")


CHILD = """
import os, signal, sys
from tests.frames import *
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec
sink = TimescaleSink(lambda: sys.argv[1], TimescaleSpec(kind="timescale"))
sink.open()
staged = sink.stage(rows(scope(), "A", price=7.0), scope())
if {kill!r} == "after commit":
    staged.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("kill", "price"), [("after stage", 1.0), ("after commit", 7.0)])
def test_a_killed_process_leaves_the_old_state_or_the_new(
    database: str, sink: TimescaleSink, kill: str, price: float
) -> None:
    sink.stage(rows(scope(), "A"), scope()).commit()
    command = [sys.executable, "-c", CHILD.format(kill=kill), database]
    assert subprocess.run(command, env=os.environ, check=False).returncode == -signal.SIGKILL
    assert ask(database, "select count(*), min(price_total), max(price_total) from iso_lmp") == [(24, price, price)]
    sink.stage(rows(scope(), "A", price=2.0), scope()).commit()
    assert ask(database, "select count(*), max(price_total) from iso_lmp") == [(24, 2.0)]


def test_chunks_of_other_days_load_beside_each_other(sink: TimescaleSink) -> None:
    days = [scope(LMP_DAY_AHEAD, date(2026, 7, day)) for day in (12, 13, 14)]
    staged = [sink.stage(rows(of, "A"), of) for of in days]
    assert [each.commit().rows for each in staged] == [24, 24, 24]


def test_a_second_load_of_the_same_day_waits_for_the_first(database: str, sink: TimescaleSink) -> None:
    named = scope(LMP_DAY_AHEAD, DAY, "A")
    first = sink.stage(rows(scope(), "A", "B"), scope())
    second = threading.Thread(target=lambda: sink.stage(rows(named, "A", price=2.0), named).commit())
    second.start()
    time.sleep(0.5)
    assert second.is_alive()
    first.commit()
    second.join(30)
    found = ask(database, "select iso_location_id, count(*), max(price_total) from iso_lmp group by 1 order by 1")
    assert found == [("A", 24, 2.0), ("B", 24, 1.0)]


@pytest.mark.parametrize("landed", [False, True])
def test_after_an_unknown_outcome_it_looks(database: str, sink: TimescaleSink, landed: bool) -> None:
    """The server ends the connection, before the commit or after it."""
    staged = sink.stage(rows(scope(), "A"), scope())
    assert staged._link is not None
    real = staged._link.connection

    class Lost:
        def commit(self) -> None:
            if landed:
                real.commit()
            else:
                real.close()
            raise ConnectionError("server closed the connection unexpectedly")

        def close(self) -> None:
            if landed:
                real.close()

    staged._link = replace(staged._link, connection=Lost())  # type: ignore[arg-type]
    if landed:
        assert staged.commit().rows == 24
    else:
        with pytest.raises(CommitFailed, match="was not committed: server closed"):
            staged.commit()
    assert ask(database, "select count(*) from iso_lmp") == [(24 if landed else 0,)]


def test_a_connection_that_the_server_ends_is_a_failed_commit(database: str, sink: TimescaleSink) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())
    do(database, "select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle in%'")
    with pytest.raises(CommitFailed):
        staged.commit()
    assert sink.stage(rows(scope(), "A"), scope()).commit().rows == 24


def test_connections_that_a_restart_has_ended_cost_no_chunk_its_attempt(database: str, sink: TimescaleSink) -> None:
    together = [sink.stage(rows(scope(LMP_DAY_AHEAD, day), "A"), scope(LMP_DAY_AHEAD, day)) for day in (DAY, NEXT)]
    for each in together:
        each.commit()
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
    assert len(ask(database, f"{ended} and pid <> pg_backend_pid()")) == 2
    sink.stage(rows(scope(), "A", price=2.0), scope()).commit()
    assert ask(database, "select price_total, count(*) from iso_lmp group by 1 order by 1") == [(1.0, 24), (2.0, 24)]


def test_an_outcome_that_nobody_can_look_up_is_told(sink: TimescaleSink, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())
    assert staged._link is not None
    monkeypatch.setattr(staged._link.connection, "commit", lambda: (_ for _ in ()).throw(ConnectionError("lost")))
    monkeypatch.setattr(sink, "_dsn", lambda: "postgresql://nobody@127.0.0.1:1/none")
    sink.close()
    with pytest.raises(CommitUnknown, match="nothing doubles"):
        staged.commit()


def test_making_the_tables_again_changes_nothing(database: str, sink: TimescaleSink) -> None:
    sql = "select relname, oid::bigint, relfilenode::bigint, xmin::text from pg_class where relname like 'iso%' order by 1"
    before = ask(database, sql)
    again = TimescaleSink(lambda: database, SPEC)
    again.open()
    again.close()
    assert ask(database, sql) == before


def test_a_column_that_the_contract_has_grown_is_added(database: str, sink: TimescaleSink) -> None:
    sink.stage(rows(scope(), "A"), scope()).commit()
    column = Column("price_scarcity", ColumnType.DOUBLE, "scarcity component", nullable=True)
    grown = replace(LMP, values=(*LMP.values, column))
    newer = TimescaleSink(lambda: database, SPEC, {"lmp": grown})
    newer.open()
    of = replace(scope(LMP_DAY_AHEAD, date(2026, 7, 15)), contract=grown)
    newer.stage(rows(of, "A", price_scarcity=3.0), of).commit()
    newer.close()
    found = ask(database, "select operating_date::text, price_scarcity, count(*) from iso_lmp group by 1, 2 order by 1")
    assert found == [("2026-07-14", None, 24), ("2026-07-15", 3.0, 24)]


def test_readers_see_the_contracts_columns_with_their_meaning(database: str, sink: TimescaleSink) -> None:
    for kind, contract in CONTRACTS.items():
        found = ask(
            database,
            f"select attname::text, col_description(attrelid, attnum) from pg_attribute "
            f"where attrelid = 'iso_{kind}'::regclass and attnum > 0 order by attnum",
        )
        assert tuple(name for name, _ in found) == contract.names
        assert all(comment for _, comment in found)
    assert ("price_total", "locational marginal price [USD/MWh]") in ask(
        database,
        "select attname::text, col_description(attrelid, attnum) from pg_attribute where attrelid = 'iso_lmp'::regclass",
    )


def test_places_are_kept_as_each_day_published_them(database: str, sink: TimescaleSink) -> None:
    sink.stage(rows(scope(), "A", iso_location_name="old"), scope()).commit()
    of = scope(LMP_DAY_AHEAD, date(2026, 7, 15))
    sink.stage(rows(of, "A", iso_location_name="new"), of).commit()
    sink.stage(rows(scope(LOAD_ACTUAL), "A"), scope(LOAD_ACTUAL)).commit()
    found = ask(database, "select distinct operating_date::text, iso_location_name from iso_lmp order by 1")
    assert found == [("2026-07-14", "old"), ("2026-07-15", "new")]
    assert ask(database, "select distinct iso_location_name from iso_load") == [(None,)]


def test_hours_and_market_days_are_summed_up(database: str, sink: TimescaleSink) -> None:
    """The day of 25 hours is one day."""
    for day in (date(2026, 11, 1), date(2026, 11, 2)):
        of = scope(LMP_DAY_AHEAD, day)
        sink.stage(rows(of, "A", price=float(day.day)), of).commit()
    if not is_plain(database):
        for width in ("hour", "day"):
            do(database, f"call refresh_continuous_aggregate('iso_lmp_{width}_sums', null, null)")
    found = ask(
        database,
        "select operating_date::text, price_total_mean, price_total_min, price_total_max, price_total_count, "
        "price_loss_mean, price_loss_count from iso_lmp_day order by 1",
    )
    assert found == [("2026-11-01", 1.0, 1.0, 1.0, 25, None, 0), ("2026-11-02", 2.0, 2.0, 2.0, 24, None, 0)]
    assert ask(database, "select count(*), sum(price_total_count)::int from iso_lmp_hour") == [(49, 49)]


@pytest.mark.parametrize("column", ["iso_location_id", "series_id"])
def test_a_look_up_reads_what_matches_and_not_the_table(database: str, sink: TimescaleSink, column: str) -> None:
    """Through the view, for the place and for the series."""
    names = [f"N{number:05}" for number in range(3000)]
    sink.stage(rows(scope(), *names), scope()).commit()
    if not is_plain(database):
        return
    # What autovacuum does within a minute.
    ranges = "select brin_summarize_new_values(indexrelid) from pg_index where indrelid::regclass::text like 'iso_lmp_fact_%'"
    do(database, ranges, "analyze")
    word = {"iso_location_id": "N01500", "series_id": "test.N01500"}[column]
    with psycopg.connect(database) as connection:
        found = connection.execute(
            f"explain (analyze, timing off) select interval_start, price_total from iso_lmp where {column} = '{word}'"
        )
        plan = "\n".join(line for (line,) in found)
    assert "Bitmap Index Scan" in plan
    assert "iso_place" not in plan
    removed = [int(line.rpartition(" ")[2]) for line in plan.splitlines() if "Rows Removed by Index Recheck" in line]
    assert sum(removed) < 3000 * 24 / 10


def test_a_compressed_day_is_replaced_whole_and_by_named_places(database: str, sink: TimescaleSink) -> None:
    """Where the extension is; elsewhere the same on an ordinary table."""
    names = [f"N{number:05}" for number in range(6000)]
    sink.stage(rows(scope(), *names), scope()).commit()
    if not is_plain(database):
        do(
            database,
            "select count(compress_chunk(each, if_not_compressed => true)) from show_chunks('iso_lmp_fact') each",
        )
    sink.stage(rows(scope(), *names, price=2.0), scope()).commit()
    named = scope(LMP_DAY_AHEAD, DAY, "N00001", "N00002")
    sink.stage(rows(named, "N00001", "N00002", price=3.0), named).commit()
    found = ask(database, "select price_total, count(*) from iso_lmp group by 1 order by 1")
    assert found == [(2.0, 5998 * 24), (3.0, 48)]


def test_rows_that_the_view_could_not_show_are_refused(sink: TimescaleSink) -> None:
    with pytest.raises(ValueError, match="iso_unit is not what the contract says"):
        sink.stage(rows(scope(), "A", iso_unit="MW"), scope())
    with pytest.raises(ValueError, match="interval_end"):
        sink.stage(rows(scope(), "A", iso_interval_minutes=15), scope())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"path": "/nowhere"}, 'database "nowhere" does not exist; make it'),
        ({"netloc": "postgres@127.0.0.1:1"}, "Connection refused.*check that the server runs"),
        ({"netloc": "nobody-here@"}, 'role "nobody-here" does not exist'),
    ],
)
def test_a_database_that_cannot_be_reached_is_told(database: str, change: dict[str, str], told: str) -> None:
    if change.get("netloc", "").endswith("@"):
        change = {"netloc": change["netloc"] + urlsplit(database).netloc.rpartition("@")[2]}
    with pytest.raises(SinkUnavailable, match=told) as caught:
        TimescaleSink(lambda: at(database, **change), SPEC).open()
    assert caught.value.retryable


def refusal(state: str, text: str) -> bytes:
    """A server's ErrorResponse to who wants in."""
    fields = b"SFATAL\0VFATAL\0C" + state.encode() + b"\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


def test_a_server_that_starts_is_waited_for() -> None:
    left = [
        refusal("57P03", "the database system is starting up"),
        refusal("57P03", "the database system is not yet accepting connections"),
        refusal("28P01", 'password authentication failed for user "u"'),
    ]

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            length, kind = struct.unpack("!II", self.request.recv(8, socket.MSG_WAITALL))
            while kind in (80877103, 80877104):  # would it like TLS, or GSS?
                self.request.sendall(b"N")
                length, kind = struct.unpack("!II", self.request.recv(8, socket.MSG_WAITALL))
            self.request.recv(length - 8, socket.MSG_WAITALL)
            self.request.sendall(left.pop(0))

    with socketserver.TCPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(SinkUnavailable, match="password authentication failed"):
                TimescaleSink(lambda: f"postgresql://u@127.0.0.1:{server.server_address[1]}/x", SPEC).open()
        finally:
            server.shutdown()
    assert not left


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres//u:sesame@h/x",
        "postgresql://u:sesame@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 password=sesame =",
    ],
)
def test_no_password_is_ever_told(dsn: str) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        TimescaleSink(lambda: dsn, SPEC).open()
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(read_settings({"TIMESCALE_CONNECTION": "postgresql://u:sesame@h/x"}))


def test_without_a_connection_the_variable_is_named() -> None:
    with pytest.raises(SpecError, match="TIMESCALE_CONNECTION is not set"):
        sink_of(default_sink("timescale"), read_settings({}))


@pytest.mark.parametrize("made", ["before", "after"])
def test_a_user_without_rights_is_told_what_is_missing(database: str, made: str) -> None:
    if made == "after":
        owner = TimescaleSink(lambda: database, SPEC)
        owner.open()
        owner.close()
    name = f"reader_{urlsplit(database).path[-6:]}"
    do(database, f"create role {name} login")
    place = urlsplit(database)
    as_reader = at(database, netloc=f"{name}@{place.netloc.rpartition('@')[2]}")
    try:
        with pytest.raises(SinkUnavailable, match="rights: create on the schema, select, insert and delete"):
            TimescaleSink(lambda: as_reader, SPEC).open()
    finally:
        do(database, f"drop role {name}")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("create table iso_lmp (a int)", "iso_lmp is a table of somebody else's"),
        ("create table iso_lmp_fact (a int, iso_code int)", "columns that differ: .*iso_code"),
    ],
)
def test_a_table_of_other_columns_is_named_and_left_alone(database: str, statement: str, told: str) -> None:
    do(database, statement)
    with pytest.raises(SinkUnavailable, match=told):
        TimescaleSink(lambda: database, SPEC).open()
    assert ask(database, "select count(*) from pg_class where relname like 'iso%' and relkind in ('r', 'v')") == [(1,)]


def test_processes_that_make_the_tables_at_once_all_succeed(database: str) -> None:
    opened = [TimescaleSink(lambda: database, SPEC) for _ in range(4)]
    threads = [threading.Thread(target=each.open) for each in opened]
    failed: list[object] = []
    hook, threading.excepthook = threading.excepthook, lambda told: failed.append(told.exc_value)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        threading.excepthook = hook
    assert failed == []
    for each in opened:
        assert each.stage(rows(scope(), "A"), scope()).commit().rows == 24
        each.close()


def test_the_ledger_tells_the_last_commit_of_each_chunk(database: str, sink: TimescaleSink) -> None:
    for hour in (1, 2):
        instant = datetime(2026, 7, 15, hour, tzinfo=UTC)
        written = sink.stage(rows(scope(), "A", ingested_at=instant), scope()).commit()
    found = ask(database, "select chunk_key, kind, attempt, rows, extract(hour from ingested_at)::int from iso_chunk")
    assert found == [(scope().chunk.key, "lmp", written.version, 24, 2)]
    assert ask(database, "select distinct chunk_key, ingested_at = '2026-07-15T02:00Z' from iso_lmp") == [
        (scope().chunk.key, True)
    ]


def test_statements_for_the_extension_are_in_the_forms_it_takes() -> None:
    """They cannot run on a plain server; what was accepted by TimescaleDB 2.28 is written down here."""
    layout = ddl.Layout(True, 7, 30, 365, ("hour", "day"))
    made = [*ddl.create_fact(LMP, layout), *ddl.policies(LMP, layout), *ddl.create_views(LMP, layout)]
    text = "\n".join(made)
    assert "perform create_hypertable('iso_lmp_fact', by_range('interval_start', interval '7 days'), " in text
    assert "timescaledb.segmentby = 'iso_code, iso_market_run, operating_date'" in text
    assert "timescaledb.orderby = 'iso_location_id, interval_start, series_id'" in text
    assert "call add_columnstore_policy('iso_lmp_fact', after => interval '30 days')" in text
    assert "perform add_retention_policy('iso_lmp_fact', drop_after => interval '365 days')" in text
    assert "with (timescaledb.continuous) as select series_id, iso_code" in text
    # A refresh that reached beyond the retention would take old sums away.
    assert text.count("start_offset => interval '364 days'") == 2
    assert "unique" not in "\n".join(ddl.create_fact(LMP, layout))
    kept = "\n".join(ddl.create_views(LMP, replace(layout, retain_days=None)))
    assert kept.count("start_offset => null") == 2
