"""What each store keeps of a chunk, and tells from less than it kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.checksum import days_of_rows
from aurum_etl.contracts import LMP
from aurum_etl.receipt import Origin
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.iceberg.files import origin_of
from aurum_etl.sinks.iceberg.ledger import CHUNKS
from aurum_etl.sinks.iceberg.upkeep import Limits, maintain
from aurum_etl.sinks.kafka.topics import Marker
from aurum_etl.sinks.ledger import Provenance
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec
from tests.frames import DAY, chunk, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.chunk import Scope
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink

NEXT = date(2026, 7, 15)
EVERYTHING = Limits(timedelta(0), timedelta(0))


def put(sink: Sink, of: Scope, *locations: str, origin: Origin = Origin.LIVE, **constants: Any) -> None:
    table = rows(of, *locations, **constants)
    sink.stage(Provenance(origin, "", days_of_rows(table, of)).on(table), of).commit()


def test_a_table_without_provenance_has_none() -> None:
    assert Provenance.of(rows(scope(), "A")) == Provenance()


# Iceberg


@pytest.fixture
def iceberg(settings: Settings) -> Iterator[IcebergSink]:
    opened = IcebergSink(settings)
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def test_thousands_of_names_do_not_blow_up_the_history(iceberg: IcebergSink) -> None:
    """Every commit writes all summaries anew. The rows have the names as well."""
    names = [f"SOME_RATHER_LONG_NAME_{number:05}" for number in range(2000)]
    of = scope(LMP_DAY_AHEAD, DAY, *names)
    put(iceberg, of, *names)
    snapshot = iceberg._table(LMP).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert len(str(snapshot.summary.additional_properties[CHUNKS])) < 500
    (found,) = iceberg.held()
    assert (found.chunk, found.origin, found.days[0].rows) == (of.chunk, Origin.LIVE, 48_000)


def test_without_its_history_a_table_still_tells_its_chunks(settings: Settings, iceberg: IcebergSink) -> None:
    put(iceberg, scope(LMP_DAY_AHEAD, DAY, "B", "C"), "B", "C", revision="FINAL", origin=Origin.FILES)
    put(iceberg, scope(LMP_DAY_AHEAD, NEXT), "A")
    before = iceberg.held()
    put(iceberg, scope(LMP_DAY_AHEAD, date(2026, 7, 16)), "A")
    maintain(settings, EVERYTHING, apply=True)
    by_chunk = {each.chunk: each for each in iceberg.held()}
    for each in before:
        assert each.days
        found = by_chunk[each.chunk]
        assert (found.rows, found.ingested_at, found.origin, found.days) == (
            each.rows,
            each.ingested_at,
            each.origin,
            (),
        )
    assert by_chunk[chunk(LMP_DAY_AHEAD, DAY, "B", "C")].revisions == ("FINAL",)


def test_names_that_are_not_all_in_the_rows_are_not_guessed(settings: Settings, iceberg: IcebergSink) -> None:
    """Nothing was published for one of them; another chunk of the same names may still tell."""
    of = scope(LMP_DAY_AHEAD, DAY, "B", "C", "GONE")
    put(iceberg, of, "B", "C")
    put(iceberg, scope(LMP_DAY_AHEAD, date(2026, 7, 10)), "A")
    maintain(settings, EVERYTHING, apply=True)
    held = {each.key: each for each in iceberg.held()}
    assert (held[of.chunk.key].chunk, held[of.chunk.key].rows) == (None, 48)
    other = scope(LMP_DAY_AHEAD, NEXT, "B", "C", "GONE")
    put(iceberg, other, "B", "C", "GONE")
    assert {each.chunk for each in iceberg.held()} >= {of.chunk, other.chunk}


def test_files_that_are_put_together_keep_origins_apart(settings: Settings, iceberg: IcebergSink) -> None:
    for number, origin in enumerate([Origin.LIVE, Origin.SIMULATOR] * 4):
        put(iceberg, scope(LMP_DAY_AHEAD, DAY, f"N{number}"), f"N{number}", origin=origin)
    before = {each.chunk: each.origin for each in iceberg.held()}
    (told,) = maintain(settings, EVERYTHING, apply=True)
    assert (told.small_files, told.merged_files) == (8, 2)
    assert {each.chunk: each.origin for each in iceberg.held()} == before
    # And so do those that are written anew without the rows that another chunk took over.
    put(iceberg, scope(LMP_DAY_AHEAD, DAY, "N1"), "N1", origin=Origin.FILES)
    maintain(settings, EVERYTHING, apply=True)
    assert {each.chunk: each.origin for each in iceberg.held()} == {
        **before,
        chunk(LMP_DAY_AHEAD, DAY, "N1"): Origin.FILES,
    }


def test_the_name_of_a_file_of_before_it_had_an_origin_tells_none(iceberg: IcebergSink) -> None:
    put(iceberg, scope(), "A", origin=Origin.CUSTOM)
    (task,) = iceberg._table(LMP).scan().plan_files()
    assert origin_of(task.file) is Origin.CUSTOM
    task.file[1] = task.file.file_path.replace("-custom", "")
    assert origin_of(task.file) is None


# PostgreSQL


@pytest.fixture
def timescale(database: str) -> Iterator[TimescaleSink]:
    opened = TimescaleSink(lambda: database, TimescaleSpec(kind="timescale"))
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def do(database: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        found = connection.execute(sql)
        return found.fetchall() if found.description else []


def test_a_ledger_of_before_it_had_words_is_read_and_migrated(database: str, timescale: TimescaleSink) -> None:
    put(timescale, scope(), "A")
    put(timescale, scope(LMP_DAY_AHEAD, NEXT, "B"), "B")
    do(database, "alter table iso_chunk drop column content")
    whole, named = sorted(timescale.held(), key=lambda each: each.chunk is None)
    assert (whole.chunk, whole.rows, whole.origin, whole.days) == (scope().chunk, 24, None, ())
    assert (named.chunk, named.key) == (None, chunk(LMP_DAY_AHEAD, NEXT, "B").key)
    timescale.open(LMP_DAY_AHEAD)
    assert {each.origin for each in timescale.held()} == {None}
    put(timescale, scope(LMP_DAY_AHEAD, date(2026, 7, 16), "B"), "B")
    # Who has the same digest has the same names.
    assert None not in {each.chunk for each in timescale.held()}


def test_rows_that_were_deleted_behind_our_back_are_not_claimed(database: str, timescale: TimescaleSink) -> None:
    put(timescale, scope(), "A")
    put(timescale, scope(LMP_DAY_AHEAD, NEXT), "A")
    do(database, "delete from iso_lmp_fact where operating_date = '2026-07-14'")
    assert [each.chunk for each in timescale.held()] == [chunk(LMP_DAY_AHEAD, NEXT)]
    assert timescale.days(scope()) == ()


def test_entry_and_rows_are_one_transaction(database: str, timescale: TimescaleSink) -> None:
    staged = timescale.stage(rows(scope(), "A"), scope())
    assert timescale.held() == []
    staged.discard()
    assert do(database, "select count(*) from iso_chunk") == [(0,)]


# Kafka


def test_a_marker_of_before_it_told_rows_is_read() -> None:
    now = datetime(2026, 7, 20, tzinfo=UTC)
    marker = Marker(chunk(), "x", now, Origin.LIVE, {0: 3, 2: 4}, 7)
    name, content = marker.headers()[2]
    assert isinstance(content, bytes)
    old = content.replace(b',"rows":7,"revision":"","days":[]', b"")
    assert old != content
    assert Marker.parse([(name, old)]) == marker == Marker.parse(marker.headers())
