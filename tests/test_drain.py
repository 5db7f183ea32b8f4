"""From the topic into the stores: exactly once, whatever happens when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from adbc_driver_postgresql import dbapi
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from aurum_etl import drain as draining
from aurum_etl import sinks
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.avro import encode, header
from aurum_etl.cli import cli
from aurum_etl.contracts import LMP
from aurum_etl.drain import ERROR_TOPIC, drain, drain_into, reading
from aurum_etl.drain.decoder import Decoder
from aurum_etl.errors import Overtaken, SinkUnavailable, SpecError
from aurum_etl.exports.avro import avro_schema
from aurum_etl.receipt import Origin, Outcome
from aurum_etl.settings import read_settings
from aurum_etl.sinks.base import Position, Progress
from aurum_etl.sinks.iceberg import open_catalog
from aurum_etl.sinks.iceberg.catalog import close_catalog
from aurum_etl.sinks.kafka import KafkaSink
from aurum_etl.sinks.kafka.topics import client_settings, topic_of
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.spec import DrainSpec, IcebergSpec, KafkaSpec, MemorySpec, Quality, Spec, TimescaleSpec, default_sink
from aurum_etl.watermarks import Store
from tests.frames import DAY, rows, scope, with_variables

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.chunk import Scope
    from aurum_etl.settings import Settings

SPEC = Spec(
    dataset="caiso_lmp",
    drain=DrainSpec(sinks=(TimescaleSpec(kind="timescale"), IcebergSpec(kind="iceberg")), group="one"),
)
MEMORY = SPEC.model_copy(update={"drain": DrainSpec(sinks=(MemorySpec(kind="memory"),), group="two")})


@dataclass
class World:
    """A topic, two stores that are fed from it, and a home."""

    settings: Settings
    environment: dict[str, str]
    topic: str
    sink: KafkaSink

    def put(self, of: Scope, *locations: str, price: float = 1.0, hour: int = 0) -> None:
        """One transaction on the topic; `hour` tells attempts apart."""
        instant = datetime(2026, 7, 15, hour, tzinfo=UTC)
        self.sink.stage(rows(of, *locations, price=price, ingested_at=instant), of).commit()

    def drain(self, spec: Spec = SPEC) -> draining.Tally:
        return drain(spec, self.settings, self.store, follow=False)

    @property
    def store(self) -> Store:
        return Store(self.settings.home / "watermarks.duckdb")

    def iceberg(self) -> pl.DataFrame:
        catalog = open_catalog(self.settings)
        frame = pl.DataFrame(catalog.load_table("iso.lmp").scan().to_arrow())
        close_catalog(catalog)
        return frame

    def timescale(self) -> pl.DataFrame:
        assert self.settings.timescale
        with dbapi.connect(self.settings.timescale) as connection, connection.cursor() as cursor:
            cursor.execute("select * from iso_lmp")
            return pl.DataFrame(cursor.fetch_arrow_table())

    def prices(self) -> dict[str, set[float]]:
        """Prices by location; both stores hold the same, and nothing twice."""
        found = []
        for frame in (self.iceberg(), self.timescale()):
            assert not frame.select("iso_location_id", "interval_start").is_duplicated().any()
            grouped = frame.group_by("iso_location_id").agg(pl.col("price_total").unique())
            found.append({location: set(prices) for location, prices in grouped.iter_rows()})
        assert found[0] == found[1]
        return found[0]

    def letters(self) -> list[dict[str, Any]]:
        consumer = Consumer({**client_settings(self.settings.kafka), "group.id": "letters"})
        topic = self.settings.topic_prefix + ERROR_TOPIC
        try:
            end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1]
            consumer.assign([TopicPartition(topic, 0, 0)])
            return [json.loads(message.value() or b"") for message in consumer.consume(end, timeout=10)]
        finally:
            consumer.close()

    def produce(self, *values: Any, key: str = "stranger") -> None:
        """Messages of somebody else's."""
        producer = Producer({**client_settings(self.settings.kafka), "enable.idempotence": True})
        for value in values:
            producer.produce(self.topic, value=value, key=key, partition=1)
        producer.flush()
        producer.close()


@pytest.fixture
def world(tmp_path: Path, kafka: dict[str, str], database: str) -> World:
    environment = {"AURUM_HOME": str(tmp_path / "home"), "TIMESCALE_CONNECTION": database, **kafka}
    settings = read_settings(environment)
    sink = KafkaSink(settings, KafkaSpec(kind="kafka", partitions=3))
    sink.open(LMP_DAY_AHEAD)
    return World(settings, environment, topic_of(LMP_DAY_AHEAD.iso, LMP, "avro", settings.topic_prefix), sink)


def test_chunks_arrive_once_in_every_store_and_on_record(world: World) -> None:
    for day in (13, 14, 15):
        world.put(scope(LMP_DAY_AHEAD, date(2026, 7, day)), "A", "B", "C")
    tally = world.drain()
    assert (tally.rows, tally.dead_letters, tally.failed) == (216, 0, 0)
    assert world.prices() == {"A": {1.0}, "B": {1.0}, "C": {1.0}}
    receipts = world.store.receipts()
    assert [(each.outcome, each.stores) for each in receipts] == [(Outcome.DONE, ("timescale", "iceberg"))] * 3
    assert {each.origin for each in receipts} == {Origin.CUSTOM}
    again = world.drain()
    assert (again.rows, again.receipts) == (0, [])
    assert world.timescale().get_column("ingested_at").unique().to_list() == [datetime(2026, 7, 15, tzinfo=UTC)]


def test_of_several_attempts_at_a_chunk_the_last_one_stays(world: World) -> None:
    for hour, price in enumerate((1.0, 2.0, 3.0)):
        world.put(scope(), "A", "B", price=price, hour=hour)
    world.put(scope(LMP_DAY_AHEAD, DAY, "B"), "B", price=4.0)
    world.drain()
    assert world.prices() == {"A": {3.0}, "B": {4.0}}
    world.put(scope(), "B", price=5.0, hour=5)
    world.drain()
    assert world.prices() == {"B": {5.0}}


CHILD = """
import os, signal, sys
from aurum_etl import drain as draining
from aurum_etl.settings import read_settings
from aurum_etl.sinks import iceberg, timescale
from aurum_etl.watermarks import Store
from tests.test_drain import SPEC

def deadly(owner, name, *, before):
    real = getattr(owner, name)
    def patched(*arguments, **named):
        if before:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, patched)

match {point!r}:
    case "after stage":
        deadly(timescale._Staged, "commit", before=True)
    case "between commits":
        deadly(timescale._Staged, "commit", before=False)
    case "before receipt":
        deadly(Store, "append", before=True)
    case "after receipt":
        deadly(Store, "append", before=False)
settings = read_settings()
draining.drain(SPEC, settings, Store(settings.home / "watermarks.duckdb"), follow={follow!r})
"""


def child(world: World, point: str = "", *, follow: bool = False) -> subprocess.Popen[bytes]:
    program = CHILD.format(point=point, follow=follow)
    return subprocess.Popen([sys.executable, "-c", program], env={**os.environ, **world.environment})


@pytest.mark.parametrize("point", ["after stage", "between commits", "before receipt", "after receipt"])
def test_a_kill_at_any_point_loses_and_doubles_nothing(world: World, point: str) -> None:
    for hour, price in enumerate((1.0, 2.0)):
        world.put(scope(), "A", "B", price=price, hour=hour)
    world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 15)), "C")
    assert child(world, point).wait(60) == -signal.SIGKILL
    world.drain()
    assert world.prices() == {"A": {2.0}, "B": {2.0}, "C": {1.0}}
    receipts = world.store.receipts()
    assert [(each.chunk.key, each.outcome) for each in reversed(receipts)] == [
        (scope().chunk.key, Outcome.DONE),
        (scope().chunk.key, Outcome.DONE),
        (scope(LMP_DAY_AHEAD, date(2026, 7, 15)).chunk.key, Outcome.DONE),
    ]
    assert {each.stores for each in receipts} == {("timescale", "iceberg")}


def test_when_the_reader_dies_another_drain_of_the_group_goes_on(world: World) -> None:
    world.put(scope(), "A")
    drains = [child(world, follow=True), child(world, follow=True)]
    try:
        wait_for(lambda: len(world.store.receipts()) == 1)
        drains[0].kill()
        world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 15)), "B")
        wait_for(lambda: len(world.store.receipts()) == 2)
        world.put(scope(), "A", price=2.0, hour=1)
        wait_for(lambda: len(world.store.receipts()) == 3)
    finally:
        for each in drains:
            each.kill()
            each.wait()
    assert world.prices() == {"A": {2.0}, "B": {1.0}}


def wait_for(holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_cannot_be_decoded_is_told_and_the_drain_goes_on(world: World) -> None:
    world.produce(b"no avro at all", header(999_999) + b"x")
    world.put(scope(), "A", "B")
    world.produce(header(registered(world)) + b"\x04ab")
    tally = world.drain()
    assert (tally.rows, tally.dead_letters) == (48, 3)
    letters = sorted(world.letters(), key=lambda each: int(each["offset"]))
    assert [(each["topic"], each["partition"]) for each in letters] == [(world.topic, 1)] * 3
    assert letters[0]["reason"].endswith("no header of a schema registry")
    assert "999999 is not in the registry" in letters[1]["reason"]
    assert "cut off" in letters[2]["reason"]
    assert world.drain().dead_letters == 0


def registered(world: World) -> int:
    with SchemaRegistryClient({"url": world.settings.registry["url"]}) as registry:
        number: int = registry.get_latest_version(f"{world.topic}-value").schema_id
        return number


def test_records_that_no_marker_ends_are_told(world: World) -> None:
    given = rows(scope(), "A").slice(0, 3)
    world.produce(*encode(given, LMP, header(registered(world))).to_pylist())
    tally = world.drain(MEMORY)
    assert (tally.rows, tally.dead_letters) == (0, 1)
    assert "3 records of caiso_lmp[ALL]" in world.letters()[0]["reason"]


def test_messages_of_an_older_schema_are_read(world: World) -> None:
    """What the contract has grown since is null."""
    schema = avro_schema(LMP)
    older = {**schema, "fields": [field for field in schema["fields"] if field["name"] != "price_ghg"]}
    with SchemaRegistryClient({"url": world.settings.registry["url"]}) as registry:
        number = registry.register_schema(f"{world.topic}-value", Schema(json.dumps(older), "AVRO"))
    grown = replace(LMP, values=LMP.values[:-1])
    world.sink._prepared[world.topic] = (3, header(number))
    of = replace(scope(), contract=grown)
    world.sink.stage(rows(of, "A"), of).commit()
    memory = MemorySink()
    drain_into([memory], MEMORY, world.settings, world.store, follow=False)
    assert memory.tables()["lmp"]["price_ghg"].null_count == 24


def test_rows_are_validated_on_the_way(world: World) -> None:
    """A bad row is set aside; a chunk with too many is refused, and the next ones come through."""
    bad = scope(LMP_DAY_AHEAD, date(2026, 7, 13))
    world.sink.stage(rows(bad, "A", iso_location_type="PLACE"), bad).commit()
    world.put(scope(), "A")
    tally = world.drain()
    assert [each.outcome for each in tally.receipts] == [Outcome.FAILED, Outcome.DONE]
    assert "rejected" in str(tally.receipts[0].error)
    assert world.prices() == {"A": {1.0}}
    assert world.drain().receipts == []


def test_a_chunk_of_an_unknown_dataset_is_told_and_passed(world: World) -> None:
    """A newer program may have written it."""
    chunk = replace(scope().chunk, dataset="caiso_new")
    of = replace(scope(), chunk=chunk)
    world.sink.stage(rows(scope(), "A", chunk_key=chunk.key), of).commit()
    world.put(scope(), "A")
    tally = world.drain(MEMORY)
    assert [each.outcome for each in tally.receipts] == [Outcome.FAILED, Outcome.DONE]
    assert "caiso_new is not one of " in str(tally.receipts[0].error)


def test_a_store_that_comes_back_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(scope(), "A")
    faults = iter([SinkUnavailable("gone"), SinkUnavailable("gone")])
    real = MemorySink.stage

    def stage(sink: MemorySink, *arguments: Any) -> Any:
        for fault in faults:
            raise fault
        return real(sink, *arguments)

    monkeypatch.setattr(MemorySink, "stage", stage)
    assert world.drain(MEMORY).rows == 24
    monkeypatch.setattr(MemorySink, "stage", lambda *_: (_ for _ in ()).throw(SinkUnavailable("gone for good")))
    world.put(scope(), "A", hour=1)
    with pytest.raises(SinkUnavailable, match="gone for good"):
        world.drain(MEMORY)


def test_an_end_with_messages_behind_it_ends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of an empty topic may be heard together with the first rows of a chunk whose marker is still to come."""
    monkeypatch.setattr(reading, "_MESSAGES_AT_ONCE", 10)
    with reading.Reading(world.settings, world.topic, {}, Decoder(LMP, world.settings, avro=True)) as topic:
        time.sleep(1)
        world.put(scope(), "A")
        wholes: list[reading.Whole] = []
        while not wholes:
            wholes += topic.step(lambda _: False)
        assert [(each.lost, each.table(LMP).num_rows) for each in wholes] == [(0, 24)]
        assert topic.undecodable() == []


def test_what_is_committed_and_does_not_come_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PATIENCE_SECONDS", 1.0)
    world.put(scope(), "A")
    with reading.Reading(world.settings, world.topic, {}, Decoder(LMP, world.settings, avro=True)) as topic:
        with pytest.raises(SinkUnavailable, match=r"nothing has come .* in partition 0 at \d+ of 1000000$"):
            while not topic.is_through({0: 1_000_000, 1: 0}):
                list(topic.step(lambda _: False))


@pytest.mark.parametrize(("share", "outcome"), [(0.05, Outcome.FAILED), (0.9, Outcome.QUARANTINED)])
def test_a_chunk_that_retention_has_torn_is_no_silent_gap(
    world: World, monkeypatch: pytest.MonkeyPatch, share: float, outcome: Outcome
) -> None:
    monkeypatch.setattr(reading, "_PATIENCE_SECONDS", 1.0)
    names = [f"N{number}" for number in range(30)]
    world.put(scope(), *names)
    admin = AdminClient(client_settings(world.settings.kafka))
    torn = TopicPartition(world.topic, 2)
    for future in admin.delete_records([TopicPartition(world.topic, 2, -1)]).values():
        future.result(10)
    assert torn.partition == 2
    world.put(scope(LMP_DAY_AHEAD, date(2026, 7, 15)), "A")
    memory = MemorySink()
    spec = MEMORY.model_copy(update={"quality": Quality(max_rejected_share=share)})
    tally = drain_into([memory], spec, world.settings, world.store, follow=False)
    assert [each.outcome for each in tally.receipts] == [outcome, Outcome.DONE]
    assert "message_is_decodable" in {each.check for each in tally.receipts[0].findings}


def test_memory_is_bounded_by_putting_rows_on_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MEMORY_BYTES", 0)
    monkeypatch.setattr(reading, "_MESSAGES_AT_ONCE", 100)
    spilled: list[int] = []
    real = reading.Part.spill

    def spill(part: reading.Part, folder: Path) -> None:
        spilled.append(part.messages)
        real(part, folder)

    monkeypatch.setattr(reading.Part, "spill", spill)
    world.put(scope(), *(f"N{number}" for number in range(50)))
    assert world.drain().rows == 1200
    assert len(spilled) > 10
    assert not list((world.settings.home / "spill").iterdir())


@pytest.mark.parametrize("kind", ["memory", "iceberg", "timescale"])
def test_a_step_that_begins_elsewhere_is_refused_and_nothing_of_it_stays(world: World, kind: str) -> None:
    """A drain that slept through its successor's work must not undo it."""
    store = sinks.drained(default_sink(kind), world.settings)  # type: ignore[arg-type]
    store.open()
    start = store.position("g", world.topic)
    assert start == Position()
    first = start.after("one", {0: 5}, {0: 3, 1: 7})
    store.stage(rows(scope(), "A"), scope(), Progress("g", world.topic, start, first)).commit()
    assert store.position("g", world.topic) == first
    late = Progress("g", world.topic, start, start.after("two", {0: 9}, {0: 10}))
    with pytest.raises(Overtaken, match="another drain of g has read"):
        store.stage(rows(scope(), "A", price=9.0), scope(), late).commit()
    with pytest.raises(Overtaken):
        store.advance(late)
    second = first.after("", {}, {0: 6, 1: 8})
    store.advance(Progress("g", world.topic, first, second))
    assert store.position("g", world.topic) == second
    assert store.position("other", world.topic) == Position()
    store.close()
    if kind != "memory":
        assert set({"iceberg": world.iceberg, "timescale": world.timescale}[kind]().get_column("price_total")) == {1.0}


def test_positions_forget_what_lies_behind_and_never_go_back() -> None:
    position = Position().after("a", {0: 10, 2: 5}, {0: 4, 2: 9})
    assert position.done == {"a": {0: 10, 2: 5}}
    assert Position.parse(str(position)) == position
    later = position.after("b", {0: 12}, {0: 11, 2: 1})
    assert (later.offsets, later.done) == ({0: 11, 2: 9}, {"b": {0: 12}})


def test_the_command_runs_the_whole_way(
    world: World, simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operator to topic, topic to both stores, and a look at what is there."""
    for name, value in {**world.environment, **simulator.env}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "spec.yaml"
    path.write_text(
        "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND]}\nsinks: [{kind: kafka}]\n"
        "drain: {sinks: [{kind: timescale}, {kind: iceberg}]}\n"
    )

    def call(*words: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    ran = call("run", str(path), "--from", "2026-07-14", "--to", "2026-07-16")
    assert (ran["rows"], ran["sinks"][0]["kind"]) == (48, "kafka")
    drained = call("drain", str(path))
    assert (drained["rows"], len(drained["chunks"]), drained["dead_letters"]) == (48, 2, 0)
    assert len(world.timescale()) == len(world.iceberg()) == 48


def test_a_drain_without_its_parts_says_what_is_missing(world: World) -> None:
    with pytest.raises(SpecError, match="no drain block"):
        drain(Spec(dataset="caiso_lmp"), world.settings, world.store, follow=False)
    with pytest.raises(SpecError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        drain(MEMORY, with_variables(world.settings, KAFKA_BOOTSTRAP_SERVERS=""), world.store, follow=False)
    with pytest.raises(SpecError, match="SCHEMA_REGISTRY_URL is not set"):
        drain(MEMORY, with_variables(world.settings, SCHEMA_REGISTRY_URL=""), world.store, follow=False)
    with pytest.raises(SinkUnavailable, match=r"there is no topic .*; a run with the sink kafka makes it"):
        drain(MEMORY, replace(world.settings, topic_prefix="none."), world.store, follow=False)
