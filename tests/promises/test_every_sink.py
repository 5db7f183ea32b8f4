"""What every store promises; a new one joins by being registered."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from adbc_driver_postgresql import dbapi
from polars.testing import assert_frame_equal

from aurum_etl import adapters, sinks
from aurum_etl.adapters.caiso.load import LOAD_ACTUAL
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.checksum import days_of_rows
from aurum_etl.chunk import ALL, Selection, scope_of
from aurum_etl.contracts import CONTRACTS
from aurum_etl.drain import drain_into
from aurum_etl.drain.decoder import Decoder
from aurum_etl.drain.reading import Reading, ends_of
from aurum_etl.market import Iso, Market
from aurum_etl.pipeline import chunks_of, to_arrow, with_lineage
from aurum_etl.receipt import Origin
from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg import IcebergSink, open_catalog
from aurum_etl.sinks.iceberg.catalog import close_catalog
from aurum_etl.sinks.iceberg.upkeep import stored_files
from aurum_etl.sinks.kafka import KafkaSink
from aurum_etl.sinks.kafka.topics import topic_of
from aurum_etl.sinks.ledger import Provenance
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import DrainSpec, MemorySpec, Spec, default_sink
from aurum_etl.watermarks import Store
from tests.frames import DAY, rows, scope
from tests.promises.test_the_tree import published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink, Staged

NEXT = date(2026, 7, 15)


def read(sink: Sink, kind: str, settings: Settings, isos: Iterable[Iso] = (Iso.CAISO,)) -> pl.DataFrame:
    """What a reader sees in the store, in one order; of Kafka, on the topics of those ISOs."""
    contract = CONTRACTS[kind]
    empty = CONTRACTS[kind].arrow_schema.empty_table()
    match sink:
        case MemorySink():
            table = sink.tables().get(kind, empty)
        case IcebergSink():
            catalog = open_catalog(settings)
            table = catalog.load_table(f"iso.{kind}").scan().to_arrow()
            close_catalog(catalog)
        case TimescaleSink():
            assert settings.timescale is not None
            with dbapi.connect(settings.timescale) as connection, connection.cursor() as cursor:
                cursor.execute("set timezone = 'UTC'")
                cursor.execute(f"select * from iso_{kind}")
                table = cursor.fetch_arrow_table()
        case KafkaSink():
            return pl.concat([committed(sink, kind, settings, iso) for iso in sorted(isos)]).sort(
                [*contract.partitions, *contract.order]
            )
        case _:
            raise AssertionError(f"no reader for {sink.kind}: a registered sink is tested")
    frame = pl.DataFrame(table).with_columns(pl.col("^iso_interval_minutes$").cast(pl.Int16))
    return frame.sort([*contract.partitions, *contract.order])


PLACES = {
    "memory": (),
    "iceberg": (),
    "iceberg in PostgreSQL and S3": ("database", "s3"),
    "iceberg in REST": ("rest_catalog",),
    "timescale": ("database",),
    "kafka": ("kafka",),
    "kafka with arrow": ("kafka",),
}
"""Each store, and the servers that it is tested with."""


that_replaces = pytest.mark.parametrize("place", [each for each in PLACES if "kafka" not in each], indirect=True)
"""A topic keeps what was replaced, and cannot tell what counts."""


def test_every_store_is_tested() -> None:
    assert {place.partition(" ")[0] for place in PLACES} == set(sinks.KINDS)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(request: pytest.FixtureRequest, settings: Settings, place: str) -> Settings:
    """Where the servers of this store are."""
    found: dict[str, str] = {}
    for server in PLACES[place]:
        match request.getfixturevalue(server):
            case str(dsn):
                found["AURUM_ICEBERG_URI" if place.startswith("iceberg") else "TIMESCALE_CONNECTION"] = dsn
            case dict(variables):
                found |= variables
    return read_settings({"AURUM_HOME": str(settings.home), **settings.bases, **found})


@pytest.fixture
def sink(place: str, settings: Settings) -> Iterator[Sink]:
    kind, _, encoding = place.partition(" with ")
    spec = default_sink(kind.partition(" ")[0])
    opened = sinks.sink(spec.model_copy(update={"encoding": encoding} if encoding else {}), settings)
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def of_kind(kind: str) -> list[Dataset]:
    """The datasets of that kind."""
    return [each for each in adapters.datasets().values() if each.contract.kind == kind]


def committed(sink: KafkaSink, kind: str, settings: Settings, iso: Iso) -> pl.DataFrame:
    """What is on the topic as chunks, the later copy of each in place of the earlier one: what a drain begins with."""
    contract, block = CONTRACTS[kind], sink._spec
    topic = topic_of(iso, contract, block.encoding, settings.topic_prefix)
    memory, ends = MemorySink(), ends_of(settings, topic)
    with Reading(settings, topic, {}, Decoder(contract, settings, avro=block.encoding == "avro")) as reading:
        while not reading.is_through(ends):
            for whole in reading.step(lambda _: False):
                assert whole.lost == 0
                scope = scope_of(whole.marker.chunk, adapters.dataset(whole.marker.chunk.dataset))
                memory.stage(whole.table(contract), scope).commit()
        assert reading.undecodable() == []
    return pl.DataFrame(memory.tables().get(kind, contract.arrow_schema.empty_table()))


def drained(sink: KafkaSink, kind: str, settings: Settings, iso: Iso) -> pl.DataFrame:
    """What a drain makes of the topic."""
    memory = MemorySink()
    block = DrainSpec(
        sinks=(MemorySpec(kind="memory"),), encoding=sink._spec.encoding, group=f"test.{secrets.token_hex(6)}"
    )
    dataset = next(each for each in of_kind(kind) if each.iso is iso)
    store = Store(settings.home / f"{secrets.token_hex(6)}.duckdb")
    tally = drain_into([memory], Spec(dataset=dataset.key, drain=block), settings, store, follow=False)
    topic = topic_of(iso, CONTRACTS[kind], sink._spec.encoding, settings.topic_prefix)
    assert (tally.topic, tally.dead_letters, tally.failed) == (topic, 0, 0)
    return pl.DataFrame(memory.tables().get(kind, CONTRACTS[kind].arrow_schema.empty_table()))


def put(sink: Sink, of: Scope, *locations: str, price: float = 1.0, **constants: object) -> None:
    sink.stage(rows(of, *locations, price=price, **constants), of).commit()


def prices(sink: Sink, settings: Settings) -> dict[tuple[str, str], tuple[int, float]]:
    """Rows and price by day and location."""
    frame = read(sink, "lmp", settings)
    grouped = frame.group_by("operating_date", "iso_location_id").agg(pl.len(), pl.col("price_total").max())
    return {(str(day), location): (count, price) for day, location, count, price in grouped.rows()}


def files(sink: Sink) -> set[str]:
    """Data files of an Iceberg table, whether a snapshot names them or not."""
    if not isinstance(sink, IcebergSink):
        return set()
    table = sink._table(CONTRACTS["lmp"])
    return set(stored_files(table))


def test_stage_shows_nothing(sink: Sink, settings: Settings) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())
    assert read(sink, "lmp", settings).is_empty()
    staged.discard()


def test_commit_shows_all(sink: Sink, settings: Settings) -> None:
    written = sink.stage(rows(scope(), "A", "B"), scope()).commit()
    assert (written.sink, written.rows) == (sink.kind, 48)
    assert written.durable == (sink.kind not in sinks.FLEETING)
    assert prices(sink, settings) == {("2026-07-14", "A"): (24, 1.0), ("2026-07-14", "B"): (24, 1.0)}


def test_committing_the_same_chunk_again_leaves_one_copy(sink: Sink, settings: Settings) -> None:
    for price in (1.0, 2.0, 3.0):
        put(sink, scope(), "A", price=price)
    assert prices(sink, settings) == {("2026-07-14", "A"): (24, 3.0)}


def test_a_row_that_the_source_took_back_is_gone(sink: Sink, settings: Settings) -> None:
    put(sink, scope(), "A", "B")
    put(sink, scope(), "B", price=2.0)
    assert prices(sink, settings) == {("2026-07-14", "B"): (24, 2.0)}


def test_neighbours_in_time_are_untouched(sink: Sink, settings: Settings) -> None:
    for day in (date(2026, 7, 13), DAY, NEXT):
        put(sink, scope(LMP_DAY_AHEAD, day), "A")
    put(sink, scope(), "A", price=9.0)
    assert [price for _, price in prices(sink, settings).values()].count(1.0) == 2
    assert prices(sink, settings)["2026-07-14", "A"] == (24, 9.0)


def test_named_locations_replace_themselves_alone(sink: Sink, settings: Settings) -> None:
    """Three nodes fetched again out of a whole day."""
    put(sink, scope(), "A", "B", "C")
    put(sink, scope(LMP_DAY_AHEAD, DAY, "B"), "B", price=2.0)
    assert {location: price for (_, location), (_, price) in prices(sink, settings).items()} == {"A": 1, "B": 2, "C": 1}
    assert len(read(sink, "lmp", settings)) == 72


def test_hundreds_of_named_locations_replace_themselves_alone(sink: Sink, settings: Settings) -> None:
    """More than any store keeps in one comparison, and than a filter nested once per name would bear."""
    names = [f"N{number:04}" for number in range(1500)]
    put(sink, scope(), *names, "OTHER")
    put(sink, scope(LMP_DAY_AHEAD, DAY, *names), *names, price=2.0)
    found = prices(sink, settings)
    assert found.pop(("2026-07-14", "OTHER")) == (24, 1.0)
    assert set(found.values()) == {(24, 2.0)}
    assert len(found) == 1500


def test_a_chunk_without_rows_leaves_none(sink: Sink, settings: Settings) -> None:
    put(sink, scope(), "A")
    put(sink, scope(LMP_DAY_AHEAD, NEXT), "A")
    sink.stage(rows(scope(), "A").slice(0, 0), scope()).commit()
    assert prices(sink, settings) == {("2026-07-15", "A"): (24, 1.0)}


def test_a_class_replaces_its_own_types_alone(sink: Sink, settings: Settings) -> None:
    put(sink, scope(), "A")
    of = scope(LMP_DAY_AHEAD, DAY, word="ALL_APNODES")
    put(sink, of, "H", iso_location_type="HUB")
    put(sink, of, "H", price=2.0, iso_location_type="HUB")
    assert prices(sink, settings) == {("2026-07-14", "A"): (24, 1.0), ("2026-07-14", "H"): (24, 2.0)}


@pytest.mark.parametrize("place", [each for each in PLACES if "kafka" not in each], indirect=True)
@pytest.mark.parametrize(
    "other",
    [{"iso": Iso.ISONE}, {"market": Market.REAL_TIME}, {"run": "HASP"}, {"intervals": (15,)}],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_the_natural_key_is_untouched(sink: Sink, settings: Settings, other: dict[str, Any]) -> None:
    """A delete by time alone, in a table that several ISOs share, would erase the neighbours."""
    put(sink, scope(replace(LMP_DAY_AHEAD, **other)), "A", price=5.0)
    put(sink, scope(), "A")
    put(sink, scope(), "A", price=2.0)
    assert sorted(read(sink, "lmp", settings).get_column("price_total").unique()) == [2.0, 5.0]
    assert len(read(sink, "lmp", settings)) == 48


def test_kinds_do_not_meet(sink: Sink, settings: Settings) -> None:
    put(sink, scope(), "A")
    sink.open(LOAD_ACTUAL)
    put(sink, scope(LOAD_ACTUAL), "A", price=20000.0)
    put(sink, scope(), "A", price=2.0)
    assert read(sink, "load", settings).get_column("load_mw").unique().to_list() == [20000.0]


@pytest.mark.parametrize("committed", [False, True])
def test_discard_is_harmless_at_any_time(sink: Sink, settings: Settings, committed: bool) -> None:
    put(sink, scope(LMP_DAY_AHEAD, NEXT), "A")
    before = files(sink)
    staged: Staged = sink.stage(rows(scope(), "A"), scope())
    if committed:
        staged.commit()
    staged.discard()
    staged.discard()
    assert len(read(sink, "lmp", settings)) == (48 if committed else 24)
    assert committed or files(sink) == before


def test_what_was_settled_cannot_be_committed_again(sink: Sink) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())
    staged.commit()
    with pytest.raises(ValueError, match="committed once"):
        staged.commit()


def test_values_read_back_as_they_were(sink: Sink, settings: Settings) -> None:
    names = ["CA ISO-TAC", "Ünïcode-ñøde 電", "x" * 300, "with 'quotes' and \"double\"", "a,b;c\td"]
    given = rows(scope(), *names, price=-0.0, price_loss=1e-300, price_ghg=None, revision="", iso_location_name="Ö")
    of = scope()
    sink.stage(given, of).commit()
    found = read(sink, "lmp", settings)
    assert found.equals(pl.DataFrame(given).sort("operating_date", "iso_code", "iso_location_id", "interval_start"))
    assert str(found.item(0, "price_total")) == "-0.0"


def test_times_keep_microseconds_and_far_years(sink: Sink, settings: Settings) -> None:
    far = scope(LMP_DAY_AHEAD, date(9999, 12, 30))
    put(sink, far, "A", published_at=pl.Series(["2026-07-14T01:02:03.000001"]).str.to_datetime(time_zone="UTC")[0])
    row = read(sink, "lmp", settings).row(0, named=True)
    assert (row["interval_start"].year, row["published_at"].microsecond) == (9999, 1)


def test_rows_in_another_shape_are_refused(sink: Sink) -> None:
    with pytest.raises(ValueError, match="schema is not the contract's"):
        sink.stage(rows(scope(), "A").drop_columns(["revision"]), scope())


def told(of: Scope, table: pa.Table, origin: Origin = Origin.LIVE, revision: str = "") -> pa.Table:
    """The table as the pipeline hands it over."""
    return Provenance(origin, revision, days_of_rows(table, of)).on(table)


def test_what_is_held_is_told(sink: Sink) -> None:
    """Chunk, names and all, rows, origin, days: enough for a receipt."""
    named = scope(LMP_DAY_AHEAD, NEXT, "B", "Ü'\"x")
    for of, locations in ((scope(), ("A", "B")), (named, ("B", "Ü'\"x"))):
        sink.stage(told(of, rows(of, *locations, revision="PRELIM"), Origin.FILES, "PRELIM"), of).commit()
    found = sink.held(LMP_DAY_AHEAD)
    assert [each.chunk for each in found] == [
        each.chunk for each in sorted([scope(), named], key=lambda of: of.chunk.key)
    ]
    assert found == sink.held()
    for each in found:
        assert each.chunk is not None
        assert (each.key, each.rows, each.origin, each.revisions) == (each.chunk.key, 48, Origin.FILES, ("PRELIM",))
        assert each.ingested_at == datetime(2026, 7, 15, tzinfo=UTC)
        assert [(day.day, day.rows) for day in each.days] == [(DAY if each.chunk == scope().chunk else NEXT, 48)]
    assert [each.chunk for each in sink.held(LMP_DAY_AHEAD, named.chunk.window)] == [named.chunk]
    assert sink.held(LOAD_ACTUAL) == []


def test_the_newest_attempt_is_held(sink: Sink) -> None:
    later = datetime(2026, 7, 16, 1, 2, 3, 4, tzinfo=UTC)
    put(sink, scope(), "A", "B")
    put(sink, scope(), "A", ingested_at=later)
    (found,) = sink.held()
    assert (found.rows, found.ingested_at) == (24, later)


@that_replaces
def test_what_is_gone_is_not_held(sink: Sink) -> None:
    """Replaced by a chunk of another key, or taken back by the source."""
    put(sink, scope(LMP_DAY_AHEAD, DAY, "A"), "A")
    put(sink, scope(), "A")
    put(sink, scope(LMP_DAY_AHEAD, NEXT), "A")
    sink.stage(rows(scope(), "A").slice(0, 0), scope(LMP_DAY_AHEAD, NEXT)).commit()
    assert [each.chunk for each in sink.held()] == [scope().chunk]


def test_the_days_of_a_scope_are_those_of_its_rows(sink: Sink) -> None:
    """Whichever chunk wrote them, and to the last bit."""
    first = rows(scope(), "A", "B", "C", price=-0.0, price_loss=1e-300, price_ghg=None, revision="ä")
    sink.stage(first, scope()).commit()
    put(sink, scope(LMP_DAY_AHEAD, NEXT), "A")
    if sink.kind == "kafka":
        assert sink.days(scope()) is None
        return
    assert sink.days(scope()) == days_of_rows(first, scope())
    only = scope(LMP_DAY_AHEAD, DAY, "B")
    assert sink.days(only) == days_of_rows(first.slice(24, 24), only)
    put(sink, only, "B", price=2.0)
    assert sink.days(only) == days_of_rows(rows(only, "B", price=2.0), only)
    (whole,) = sink.days(scope()) or ()
    assert (whole.rows, whole.checksum != days_of_rows(first, scope())[0].checksum) == (72, True)
    assert sink.days(scope(LMP_DAY_AHEAD, date(2026, 7, 20))) == ()


@pytest.mark.parametrize("place", ["memory", "iceberg", "timescale"], indirect=True)
@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_kind_is_summed_up_alike_by_every_store(sink: Sink, kind: str) -> None:
    """The published examples of every dataset: what the pipeline notes is what the store finds."""
    now = datetime(2026, 7, 20, 1, 2, 3, 456789, tzinfo=UTC)
    for dataset in of_kind(kind):
        sink.open(dataset)
        for chunk, part in islice(chunks_of(published(dataset.key)[1], dataset, Selection(ALL)).items(), 3):
            of = scope_of(chunk, dataset)
            table = to_arrow(with_lineage(part.frame, dataset.contract, chunk, now), dataset.contract)
            sink.stage(told(of, table), of).commit()
            assert sink.days(of) == days_of_rows(table, of)
            (held,) = (each for each in sink.held(dataset, chunk.window) if each.chunk == chunk)
            assert (held.rows, held.days) == (table.num_rows, days_of_rows(table, of))


def test_asking_makes_nothing(place: str, settings: Settings) -> None:
    """Neither tables nor topics nor files, and needs nothing opened."""
    kind, _, encoding = place.partition(" with ")
    spec = default_sink(kind.partition(" ")[0])
    closed = sinks.sink(spec.model_copy(update={"encoding": encoding} if encoding else {}), settings)
    for _ in range(2):
        assert (closed.held(), closed.held(LMP_DAY_AHEAD), closed.days(scope()) or ()) == ([], [], ())
    closed.close()
    assert not settings.home.exists()


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_kind_comes_out_as_it_went_in(sink: Sink, settings: Settings, kind: str) -> None:
    """The published examples of every dataset, with versions and registries, of many versions three; the first chunk of
    each comes again when the others are there.
    """
    memory = MemorySink()
    now = datetime(2026, 7, 20, 1, 2, 3, 456789, tzinfo=UTC)
    for dataset in of_kind(kind):
        sink.open(dataset)
        chunks = list(islice(chunks_of(published(dataset.key)[1], dataset, Selection(ALL)).items(), 3))
        for chunk, part in (*chunks, chunks[0]):
            table = to_arrow(with_lineage(part.frame, dataset.contract, chunk, now), dataset.contract)
            for store in (sink, memory):
                store.stage(table, scope_of(chunk, dataset)).commit()
    contract = CONTRACTS[kind]
    order = [*contract.partitions, *contract.order]
    held = pl.DataFrame(memory.tables().get(kind, contract.arrow_schema.empty_table())).sort(order)
    isos = {each.iso for each in of_kind(kind)}
    assert_frame_equal(read(sink, kind, settings, isos), held)
    if isinstance(sink, KafkaSink):
        # And that a drain takes it all: of one ISO, since of all of them it would be the same again.
        iso = max(isos)
        found = drained(sink, kind, settings, iso).sort(order)
        assert_frame_equal(found, held.filter(pl.col("iso_code") == iso))
