"""A market day into a Kafka topic as Avro under a registry, and from the topic into PostgreSQL; one broker, one disk."""

from __future__ import annotations

import os
import secrets
import uuid
import zlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frames import lmp_day, rows_of, scope
from benchmarks.race import Contender, Race, Ratio
from tests import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from confluent_kafka import Consumer

    from aurum_etl.settings import Settings
    from aurum_etl.sinks.kafka import KafkaSink
    from benchmarks.race import Ground

_SHARE = 20
_AT_ONCE = 20_000
_PEER = "peer_topic"
_WAITING = 200_000


def races(ground: Ground) -> Iterator[Race]:
    """Into the topic, and out of it."""
    folder = ground.made("kafka")
    rows = str(lmp_day(folder, 16_000 if ground.full else 4_000))
    servers = {
        "AURUM_HOME": str(folder / "home"),
        "KAFKA_BOOTSTRAP_SERVERS": ground.server("kafka")["bootstrap"],
        "SCHEMA_REGISTRY_URL": ground.server("registry")["url"],
    }
    new_topic = servers | {"AURUM_TOPIC_PREFIX": f"into-{uuid.uuid4().hex[:8]}."}
    into = {"environment": new_topic, "rows": rows}
    # A broker's first transaction waits for topics of its own to be made.
    _sink(new_topic).stage(rows_of(rows).slice(0, 1), scope()).commit()
    yield Race(
        "Arrow → Kafka",
        [
            Contender("aurum", "benchmarks.kafka:ours", into),
            Contender("produce_batch", "benchmarks.kafka:produce_batch", into),
            Contender("AvroSerializer, produce", "benchmarks.kafka:avro_serializer", into, share=1 / _SHARE),
        ],
        [Ratio("aurum", "produce_batch", at_least=0.8), Ratio("aurum", "AvroSerializer, produce", at_least=10)],
    )
    environment = servers | {"AURUM_TOPIC_PREFIX": f"out-{uuid.uuid4().hex[:8]}."}
    count = _sink(environment).stage(rows_of(rows), scope()).commit().rows
    stored = {"environment": environment, "dsn": ground.database()}
    by_row = Contender(
        "AvroDeserializer, insert",
        "benchmarks.kafka:deserialize_and_insert",
        {**stored, "rows": count // _SHARE},
        share=1 / _SHARE,
    )
    yield Race(
        "Kafka → Timescale",
        [
            Contender("aurum", "benchmarks.kafka:drain", stored),
            Contender("consume", "benchmarks.kafka:consume_alone", {"environment": environment}),
            by_row,
        ],
        [Ratio("aurum", "consume", at_least=0.5), Ratio("aurum", by_row.name, at_least=20)],
        constants=lambda _: {"kafka_bytes_per_row": _bytes_on_disk(_topic(environment)) / count},
    )


def _bytes_on_disk(topic: str) -> int:
    """What the broker keeps of the topic, compressed as it is, under the folder of the servers of this run."""
    logs = Path(os.environ[services.RUN]).rglob(f"{topic}-*/*.log")
    return sum(path.stat().st_size for path in logs)


def ours(rows: str, environment: Mapping[str, str]) -> Callable[[], int]:
    """The sink: a transaction, with a marker in each partition."""
    table, sink, of = rows_of(rows), _sink(environment), scope(_any_day())
    return lambda: sink.stage(table, of).commit().rows


def produce_batch(rows: str, environment: Mapping[str, str]) -> Callable[[], int]:
    """The floor: bytes that were made before, in the dictionaries that the client takes, in a transaction."""
    from aurum_etl.avro import encode
    from aurum_etl.contracts import LMP
    from aurum_etl.sinks.kafka.librdkafka import _ByMessage

    table, sink, chunk = rows_of(rows), _sink(environment), scope(_any_day()).chunk
    topic = _topic(environment)
    partitions, prefix = sink._prepared[topic]
    ready: dict[int, list[dict[str, Any]]] = {}
    for key, value in zip(table[LMP.message_key].to_pylist(), encode(table, LMP, prefix).to_pylist(), strict=True):
        ready.setdefault(zlib.crc32(str(key).encode()) % partitions, []).append({"key": key, "value": value})

    def work() -> int:
        producer = sink._producer(chunk, topic)
        producer.begin_transaction()
        for partition, batch in ready.items():
            _ByMessage(producer, topic, _WAITING)._hand_over(partition, batch)
        producer.flush()
        producer.commit_transaction()
        producer.close()
        return table.num_rows

    return work


def avro_serializer(rows: str, environment: Mapping[str, str]) -> Callable[[], int]:
    """As the client's own documentation has it: a record at a time, given as dictionaries."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    from aurum_etl.contracts import LMP
    from aurum_etl.exports.avro import avro_json

    table, sink, chunk = rows_of(rows), _sink(environment), scope(_any_day()).chunk
    topic = _topic(environment)
    records = table.slice(0, table.num_rows // _SHARE).to_pylist()
    registry = SchemaRegistryClient({"url": environment["SCHEMA_REGISTRY_URL"]})
    serialize: Any = AvroSerializer(
        registry, avro_json(LMP), conf={"auto.register.schemas": False, "use.latest.version": True}
    )
    context = SerializationContext(topic, MessageField.VALUE)

    def work() -> int:
        producer = sink._producer(chunk, topic)
        producer.begin_transaction()
        for record in records:
            producer.produce(topic, key=record[LMP.message_key], value=serialize(record, context))
            producer.poll(0)
        producer.flush()
        producer.commit_transaction()
        producer.close()
        return len(records)

    return work


def drain(environment: Mapping[str, str], dsn: str) -> Callable[[], int]:
    """All of the topic for a new group, into tables that are empty: validated, in a transaction with the position."""
    from aurum_etl import drain as draining
    from aurum_etl.settings import read_settings
    from aurum_etl.spec import DrainSpec, Spec, TimescaleSpec
    from aurum_etl.watermarks import Store
    from benchmarks.timescale import empty_tables

    for name in ("aurum_etl.validate", "confluent_kafka.schema_registry", "duckdb", "pandas"):
        import_module(name)  # before the clock runs
    empty_tables(dsn)
    group = uuid.uuid4().hex
    settings = read_settings({**environment, "TIMESCALE_CONNECTION": dsn})
    spec = Spec(dataset="caiso_lmp", drain=DrainSpec(sinks=(TimescaleSpec(kind="timescale"),), group=group))
    store = Store(settings.home / f"{group}.duckdb")
    return lambda: draining.drain(spec, settings, store, follow=False).rows


def consume_alone(environment: Mapping[str, str]) -> Callable[[], int]:
    """The floor: all messages, and nothing made of them."""
    consumer, partitions = _reader(environment)

    def work() -> int:
        found, ended = 0, 0
        while ended < partitions:
            for message in consumer.consume(_AT_ONCE, timeout=0.25):
                if message.error() is not None:
                    ended += 1
                elif message.value() is not None:
                    found += 1
        consumer.close()
        return found

    return work


def deserialize_and_insert(rows: int, environment: Mapping[str, str], dsn: str) -> Callable[[], int]:
    """As the client's own documentation has it: a message at a time, each a dictionary, each inserted, in a transaction."""
    import psycopg
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    from aurum_etl.contracts import LMP
    from benchmarks.timescale import empty_tables

    empty_tables(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute(f"create table if not exists {_PEER} as select * from iso_lmp limit 0")
        connection.execute(f"truncate {_PEER}")
    consumer, _ = _reader(environment)
    registry = SchemaRegistryClient({"url": environment["SCHEMA_REGISTRY_URL"]})
    deserialize: Any = AvroDeserializer(registry)
    context = SerializationContext(_topic(environment), MessageField.VALUE)
    insert = f"insert into {_PEER} ({', '.join(LMP.names)}) values ({', '.join(f'%({name})s' for name in LMP.names)})"

    def work() -> int:
        done = 0
        with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
            while done < rows:
                message = consumer.poll(1.0)
                if message is None or message.error() is not None or message.value() is None:
                    continue
                cursor.execute(insert, deserialize(message.value(), context))
                done += 1
        consumer.close()
        return done

    return work


def _settings(environment: Mapping[str, str]) -> Settings:
    from aurum_etl.settings import read_settings

    return read_settings(dict(environment))


def _topic(environment: Mapping[str, str]) -> str:
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.sinks.kafka.topics import topic_of

    return topic_of(LMP_DAY_AHEAD.iso, LMP_DAY_AHEAD.contract, "avro", environment["AURUM_TOPIC_PREFIX"])


def _sink(environment: Mapping[str, str]) -> KafkaSink:
    """The sink, with its topic and its subject; what it needs is loaded."""
    import aurum_etl.avro
    import aurum_etl.sinks.kafka.librdkafka  # noqa: F401
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.sinks.kafka import KafkaSink
    from aurum_etl.spec import KafkaSpec

    sink = KafkaSink(_settings(environment), KafkaSpec(kind="kafka"))
    sink.open(LMP_DAY_AHEAD)
    return sink


def _reader(environment: Mapping[str, str]) -> tuple[Consumer, int]:
    """Of no group, set as the drain's is, at the beginning of all partitions; and how many these are."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    from aurum_etl.sinks.kafka.topics import client_settings

    topic = _topic(environment)
    consumer = Consumer(
        {
            **client_settings(_settings(environment).kafka),
            "group.id": "benchmark",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    return consumer, len(partitions)


def _any_day() -> int:
    """Each turn has a transactional id of its own, as each chunk has."""
    return secrets.randbelow(10_000)
