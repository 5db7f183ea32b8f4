"""Text of others in statements, filters and patterns: it comes back as it went in, and no other table is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st

from aurum_etl import inspection
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import Chunk, Selection, scope_of
from aurum_etl.quarantine import Quarantine, rejected
from aurum_etl.quota import Call, Ledger, Reply, Terms
from aurum_etl.quota.ledger import Reserved, Ticket
from aurum_etl.quota.record import tables_of
from aurum_etl.receipt import Finding, Origin, Outcome, Receipt, Severity, Written
from aurum_etl.redaction import shown
from aurum_etl.settings import read_settings
from aurum_etl.sinks.base import Position, Progress
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.sinks.timescale.connection import quoted
from aurum_etl.spec import TimescaleSpec
from aurum_etl.watermarks import Store
from aurum_etl.window import Window
from tests import services
from tests.frames import DAY, chunk, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = [
    "'", "''", '"', "\\", "\\'", "$$", "$1", "%", "%s", "%%", "_", ";--", "/*", "*/", "--", "\n", "\r", "\t", ");", "{}",
    "{0}", "\u2019", "\u02bc", "\uff07", "\u0000".replace("\0", "\u2400"), "E'", "::text", "drop table canary", "null",
    "\x1b[0m", "\u202e", "\U0001f600", "a", "A", " ", "[", "]", "*", "?", "@", "|", ",", "\x7f", "\ufeff", "é", "e\u0301",
]  # fmt: skip
NASTY = st.one_of(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
)
"""Words that mean something to SQL, to patterns or to a terminal, and any others; NUL is no text to a database."""
ATTACKS = [
    "'; drop table canary; --",
    "\\'; drop table canary; --",
    "' or '1'='1",
    "') or true) --",
    "$$; drop table canary; $$",
    "%' or iso_location_id like '%",
    "a\nb",
    "\u2019; drop table canary; --",
    "x' union select * from canary --",
    "E'\\x27'",
    "{}",
    "%s%n",
    "A",
]
MANY = of_hypothesis(max_examples=10, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def sink(postgres: str) -> Iterator[TimescaleSink]:
    """A store, beside tables of somebody else's."""
    with services.database(postgres) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create table canary as select generate_series(1, 3) as number")
        opened = TimescaleSink(lambda: dsn, TimescaleSpec(kind="timescale"))
        opened.open()
        yield opened
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select array_agg(number order by number) from canary").fetchone() == ([1, 2, 3],)
        opened.close()


def asked(sink: TimescaleSink, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(sink._dsn()) as connection:
        return connection.execute(sql, parameters).fetchall()


@MANY
@given(names=st.lists(NASTY, min_size=1, max_size=4, unique=True), name=NASTY)
def test_names_come_back_from_postgresql_as_they_went_in(sink: TimescaleSink, names: list[str], name: str) -> None:
    """Through tables, places, the ledger and its names, comments, deletes by scope and sums; the neighbour stays."""
    beside = scope(LMP_DAY_AHEAD, DAY - timedelta(7))
    sink.stage(rows(beside, "NEIGHBOUR"), beside).commit()
    of = scope(LMP_DAY_AHEAD, DAY, *names)
    for price in (1.0, 2.0):
        sink.stage(rows(of, *names, price=price, iso_location_name=name), of).commit()
    found = asked(
        sink,
        "select distinct iso_location_id, iso_location_name, price_total from iso_lmp where operating_date = %s",
        DAY,
    )
    assert sorted(found) == sorted((each, name, 2.0) for each in names)
    assert sum(day.rows for day in sink.days(of)) == 24 * len(names)
    (held,) = [each for each in sink.held(LMP_DAY_AHEAD) if each.key == of.chunk.key]
    assert held.chunk == of.chunk
    # One of the names alone: the others' rows stay.
    one = scope(LMP_DAY_AHEAD, DAY, names[0])
    sink.stage(rows(one, names[0]).slice(0, 0), one).commit()
    left = asked(sink, "select distinct iso_location_id from iso_lmp where operating_date = %s", DAY)
    assert sorted(left) == sorted((each,) for each in names[1:])
    sink.stage(rows(of, *names).slice(0, 0), of).commit()
    assert sum(day.rows for day in sink.days(beside)) == 24


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_meant_to_be_a_statement_is_a_name(sink: TimescaleSink, attack: str) -> None:
    of = scope(LMP_DAY_AHEAD, DAY, attack)
    sink.stage(rows(of, attack, iso_location_name=attack), of).commit()
    found = asked(
        sink, "select distinct iso_location_id, iso_location_name from iso_lmp where operating_date = %s", DAY
    )
    assert found == [(attack, attack)]
    sink.stage(rows(of, attack).slice(0, 0), of).commit()
    progress = Progress(attack, attack, Position(), Position({0: 5}))
    sink.advance(progress)
    assert sink.position(attack, attack) == Position({0: 5})
    assert sink.position(attack + "'", attack) == Position()


@MANY
@given(text=NASTY)
def test_a_literal_is_the_text(sink: TimescaleSink, text: str) -> None:
    with sink._session("cannot be asked") as connection, connection.cursor() as cursor:
        cursor.execute(f"select {quoted(text)}")
        assert cursor.fetchone() == (text,)


@MANY
@given(words=st.lists(NASTY, min_size=1, max_size=3, unique=True), detail=NASTY)
def test_the_record_of_what_is_done_keeps_text_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], detail: str
) -> None:
    """And what `inspect` shows of it is the same."""
    settings = read_settings({"AURUM_HOME": str(tmp_path_factory.mktemp("home"))})
    store = Store(settings.home / "watermarks.duckdb")
    now = datetime(2026, 7, 15, tzinfo=UTC)
    of = chunk(LMP_DAY_AHEAD, DAY, *words)
    receipt = Receipt(
        chunk=of,
        origin=Origin.LIVE,
        outcome=Outcome.DONE,
        started_at=now,
        finished_at=now,
        rows_read=1,
        rows_accepted=1,
        rows_rejected=0,
        attempts=1,
        seconds={detail: 1.0},
        written=(Written("memory", detail, 1, detail),),
        findings=(Finding(detail, Severity.INFO, 1, detail),),
        error=detail,
        revision=detail,
    )
    store.append(receipt)
    store.advance(Progress(detail, words[0], Position(), Position({0: 1})))
    assert store.receipts() == [receipt]
    assert store.position(detail, words[0]) == Position({0: 1})
    assert store.settled(of.dataset, of.selection, ["memory"], simulated=False) == [of.window]
    assert store.of_revisions(of.dataset, [detail]) == {of.selection: [of.window]}
    with closing(inspection.connect(settings, store)) as connection:
        assert connection.execute("select error, revision from receipts").fetchall() == [(detail, detail)]
        assert connection.execute('select "check", detail from findings').fetchall() == [(detail, detail)]
        assert connection.execute("select table_name, version from written").fetchall() == [(detail, detail)]


@MANY
@given(text=NASTY)
def test_the_record_of_requests_keeps_text_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("quota")
    with closing(Ledger(folder)) as ledger:
        reserved = ledger.attempt(
            Call(text, text, text, 1, text), Terms(text), Ticket(text, datetime.now(UTC).timestamp())
        )
        assert isinstance(reserved, Reserved)
        reserved.received(Reply(200, 1, text, 0.1, 0.1, text, None))
        reserved.settle(1, text)
        (row,) = tables_of(folder)["requests"].to_pylist()
    assert [row[name] for name in ("host", "dataset", "chunk_key", "method", "url", "sha256", "error")] == [text] * 7
    with closing(sqlite3.connect(folder / "requests.sqlite")) as record:
        assert record.execute("select count(*) from requests").fetchone() == (1,)


@MANY
@given(value=NASTY, dataset=st.sampled_from(["caiso_lmp", "pjm_load"]))
def test_rejected_rows_keep_text_as_it_is(tmp_path_factory: pytest.TempPathFactory, value: str, dataset: str) -> None:
    settings = read_settings({"AURUM_HOME": str(tmp_path_factory.mktemp("home"))})
    of = Chunk(
        dataset, Selection.named([value]), Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
    )
    kept = rejected(pl.DataFrame({"iso_location_id": [value]}), "check", "iso_location_id")
    Quarantine(settings.home / "quarantine").replace(kept, of, datetime(2026, 7, 15, tzinfo=UTC))
    with closing(inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))) as connection:
        assert connection.execute("select dataset, chunk_key, value from quarantine").fetchall() == [
            (dataset, of.key, value)
        ]


@of_hypothesis(max_examples=8, suppress_health_check=list(HealthCheck))
@given(names=st.lists(NASTY, min_size=2, max_size=3, unique=True))
def test_names_come_back_from_iceberg_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    settings = read_settings({"AURUM_HOME": str(tmp_path_factory.mktemp("home"))})
    sink = IcebergSink(settings)
    sink.open()
    of, one, other = scope(LMP_DAY_AHEAD, DAY), scope(LMP_DAY_AHEAD, DAY, names[0]), scope(LOAD_ACTUAL, DAY)
    sink.stage(rows(other, "NEIGHBOUR"), other).commit()
    sink.stage(rows(of, *names), of).commit()
    sink.stage(rows(one, names[0], price=2.0, iso_location_name=names[1]), one).commit()
    sink.advance(Progress(names[0], "aurum.iso.caiso.lmp.v1", Position(), Position({0: 1})))
    assert sink.position(names[0], "aurum.iso.caiso.lmp.v1") == Position({0: 1})
    with closing(inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))) as connection:
        found = connection.execute("select distinct iso_location_id, price_total from lmp").fetchall()
        assert sorted(found) == sorted((each, 2.0 if each == names[0] else 1.0) for each in names)
        assert connection.execute("select count(*) from load").fetchall() == [(24,)]
        where = "select count(*) from lmp where iso_location_id = ?"
        assert connection.execute(where, [names[0]]).fetchall() == [(24,)]
    held = {each.key: each.chunk for each in sink.held(LMP_DAY_AHEAD)}
    assert held[one.chunk.key] == one.chunk
    sink.stage(rows(of, *names).slice(0, 0), of).commit()
    assert sum(day.rows for day in sink.days(other)) == 24
    sink.close()


@MANY
@given(name=NASTY, value=NASTY)
def test_an_argument_stays_one_argument(name: str, value: str) -> None:
    pairs = parse_qsl(shown([(name, value), ("x", "1")]), keep_blank_values=True)
    assert pairs[-1] == ("x", "1")
    assert len(pairs) == 2


def test_a_chunks_key_leads_to_no_file(tmp_path: Path) -> None:
    of = Chunk("caiso_lmp", Selection.named(["../../../x"]), scope_of(chunk(), LMP_DAY_AHEAD).chunk.window)
    assert Quarantine(tmp_path).path(of).resolve().is_relative_to(tmp_path.resolve())
    assert date(2026, 7, 14) in scope_of(of, LMP_DAY_AHEAD).operating_dates
