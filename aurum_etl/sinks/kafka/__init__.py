"""Kafka topics: the same records as messages, under a schema registry, one transaction per chunk.

Topic `aurum.iso.<iso>.<kind>.v1`, key `series_id` (of places: their id), value Avro in the Confluent wire format. With
`encoding: arrow` the values are Arrow IPC streams of many rows instead, on `aurum.iso.<iso>.<kind>.arrow.v1`, so that a
consumer of either topic never meets the other's messages.

**Markers.** Messages that are produced in batches cannot have headers, and headers would repeat the same words a hundred
thousand times. So a chunk ends, in each of its partitions and always in partition 0, with one marker: key `chunk_key`, no
value (a tombstone, which record consumers pass over), and in its headers `chunk_key`, `contract_version` and all that is
needed to put the chunk together again: its parts, the attempt, what it is of and where it came from.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from aurum_etl.contracts import CONTRACTS
from aurum_etl.errors import CommitFailed, CommitUnknown, SpecError
from aurum_etl.market import Iso
from aurum_etl.receipt import Written
from aurum_etl.sinks.base import demand_contract, ingested_at
from aurum_etl.sinks.kafka import ledger, topics
from aurum_etl.sinks.kafka.login import Login, asked_of_registry
from aurum_etl.sinks.kafka.topics import (
    Marker,
    client_settings,
    explain,
    make_topic,
    read_on,
    told,
    told_by_registry,
    topic_of,
)
from aurum_etl.sinks.ledger import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from confluent_kafka import Consumer, KafkaError, Producer

    from aurum_etl.chunk import Chunk, Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.spec import KafkaSpec
    from aurum_etl.window import Window

_TRANSACTION_SECONDS = 600
_ROWS_AT_ONCE = 65_536
"""Rows that are encoded and handed over together."""
_WAITING_MESSAGES = 200_000
"""Messages that may wait to be sent: what bounds memory."""
_ARROW_ROWS = 16_384
_ARROW_BYTES = 900_000
"""Below what brokers take in one message unless told otherwise."""
_DAY_MS = 86_400_000


class KafkaSink:
    """One topic per ISO and kind.

    **Twice:** a second commit of the same chunk appends it again, under the same keys and with a marker of its own:
    consumers see both, in order, and the later one counts; a drain replaces the one by the other. Consumers with
    `isolation.level=read_committed` see nothing of a chunk before its commit, and nothing ever of one that was given up.
    The transactional id is the chunk's, so a process that wakes up late is fenced by whoever began the chunk after it.
    """

    kind = "kafka"

    def __init__(self, settings: Settings, spec: KafkaSpec) -> None:
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._spec = spec
        self._prepared: dict[str, tuple[int, bytes]] = {}
        """Number of partitions, and what stands before every value, by topic."""

    @classmethod
    def from_spec(cls, spec: KafkaSpec, settings: Settings) -> Self:
        """The sink at the brokers that the settings name.

        Raises: SpecError if they name none, or no registry where one is needed.
        """
        if "bootstrap.servers" not in settings.kafka:
            raise SpecError("kafka: KAFKA_BOOTSTRAP_SERVERS is not set; it names the brokers, such as localhost:9092")
        if spec.encoding == "avro" and "url" not in settings.registry:
            raise SpecError(
                "kafka: SCHEMA_REGISTRY_URL is not set; it names the registry, such as http://localhost:8081"
            )
        return cls(settings, spec)

    def open(self, dataset: Dataset | None = None) -> None:
        """See `Sink.open`: reaches the brokers and the registry, and makes the topic and the subject of the dataset."""
        ledger.topics_of(self._settings)
        if self._spec.encoding == "avro":
            with told_by_registry("the schema registry cannot be reached"):
                asked_of_registry(self._settings, lambda client: client.get_subjects())
        if dataset is not None:
            self._prepare(self._topic(dataset.iso, dataset.contract), dataset.contract)

    def close(self) -> None:
        """See `Sink.close`: connections end with each chunk."""

    def stage(self, table: pa.Table, scope: Scope) -> _Staged:
        """See `Sink.stage`: produces in a transaction that stays open, so no committed reader sees anything of it."""
        demand_contract(table, scope)
        topic = self._topic(Iso(str(scope.equals["iso_code"][0])), scope.contract)
        partitions, prefix = self._prepare(topic, scope.contract)
        with told(f"{scope.chunk.key} was not taken"):
            producer = self._producer(scope.chunk, topic)
            try:
                producer.begin_transaction()
                if self._spec.encoding == "avro":
                    parts = _produce_records(producer, topic, table, scope.contract, prefix, partitions)
                else:
                    parts = _produce_batches(producer, topic, table, scope, partitions)
                marker = _marker(table, scope, {0: 0, **parts})
                for partition in marker.parts:
                    producer.produce(topic, key=scope.chunk.key, partition=partition, headers=marker.headers())
                producer.flush()
            except BaseException:
                _give_up(producer)
                raise
        return _Staged(self, producer, topic, marker, table.num_rows)

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """See `Sink.held`: what the markers say. Retention may have taken the rows in front of one that is still there."""
        isos = list(Iso) if dataset is None else [dataset.iso]
        contracts = CONTRACTS.values() if dataset is None else [dataset.contract]
        wanted = {self._topic(iso, contract) for iso in isos for contract in contracts}
        found = [topic for topic in ledger.topics_of(self._settings) if topic in wanted]
        return [each for topic in found for each in ledger.held(self._settings.kafka, topic, dataset, window)]

    def days(self, scope: Scope) -> None:
        """See `Sink.days`: a topic keeps every copy, and which of them count is for its readers to say."""

    def landed(self, topic: str, marker: Marker) -> bool:
        """Whether that attempt was committed: its marker is looked for in partition 0, newest messages first."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                **client_settings(self._settings.kafka),
                "group.id": f"aurum.look.{marker.attempt}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=topics.SECONDS)
            reach = 1000
            while True:
                start = max(low, high - reach)
                consumer.assign([TopicPartition(topic, 0, start)])
                if _holds_marker(consumer, marker):
                    return True
                if start == low:
                    return False
                reach *= 10
        finally:
            consumer.close()

    def _topic(self, iso: Iso, contract: Contract) -> str:
        return topic_of(iso, contract, self._spec.encoding, self._prefix)

    def _prepare(self, topic: str, contract: Contract) -> tuple[int, bytes]:
        """The topic's number of partitions and what stands before its values; both are made where they are not there."""
        if topic not in self._prepared:
            partitions = self._make_topic(topic)
            prefix = self._register(topic, contract) if self._spec.encoding == "avro" else b""
            self._prepared[topic] = partitions, prefix
        return self._prepared[topic]

    def _make_topic(self, topic: str) -> int:
        """Its number of partitions; it is made if it is not there."""
        from confluent_kafka.admin import AdminClient

        spec = self._spec
        # Tombstones are markers here: compaction would take records for superseded that are history.
        config = {"cleanup.policy": "delete"}
        if spec.retention_days is not None:
            config["retention.ms"] = str(spec.retention_days * _DAY_MS)
        with told(f"topic {topic} cannot be made"):
            client, found = Login(self._settings).introduced(
                AdminClient, lambda one, left: one.list_topics(timeout=left)
            )
            known = found.topics
            if topic not in known:
                brokers = self._settings.kafka
                if make_topic(
                    brokers, topic, spec.partitions, replication_factor=spec.replication or -1, config=config
                ):
                    # What the brokers tell of a topic lags behind its making.
                    return spec.partitions
                known = client.list_topics(topic, timeout=topics.SECONDS).topics
            return len(known[topic].partitions)

    def _register(self, topic: str, contract: Contract) -> bytes:
        """The header of the contract's messages, after the registry has accepted its schema."""
        from confluent_kafka.schema_registry import Schema
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        from aurum_etl.avro import header
        from aurum_etl.exports.avro import avro_json

        subject = f"{topic}-value"

        def register(client: Any) -> bytes:
            try:
                level = str(client.get_compatibility(subject))
            except SchemaRegistryError:
                level = ""
            if "BACKWARD" not in level and "FULL" not in level:
                client.set_compatibility(subject, level="BACKWARD")
            return header(client.register_schema(subject, Schema(avro_json(contract), "AVRO")))

        with told_by_registry(f"the registry does not take the schema of {subject}"):
            return asked_of_registry(self._settings, register)

    def _producer(self, chunk: Chunk, topic: str) -> Producer:
        """A producer of this chunk alone, which fences any other that has begun the chunk before."""
        from confluent_kafka import Producer

        options = {
            "transactional.id": f"aurum.{self._prefix}{chunk.key}",
            "transaction.timeout.ms": _TRANSACTION_SECONDS * 1000,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": self._spec.compression,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "batch.num.messages": 20_000,
            "queue.buffering.max.messages": _WAITING_MESSAGES * 2,
            "queue.buffering.max.kbytes": 1_048_576,
            # What was not delivered is told by the commit; what was is let go of at once, and not when somebody asks.
            "delivery.report.only.error": True,
        }
        producer, _ = Login(self._settings).introduced(
            lambda brokers: Producer({**brokers, **options}),
            lambda one, left: _introduce(one, topic, left),
            topics.SECONDS * 3,
        )
        return producer


class _Staged:
    """An open transaction with the chunk's messages and markers."""

    def __init__(self, sink: KafkaSink, producer: Producer, topic: str, marker: Marker, rows: int) -> None:
        self._sink = sink
        self._producer: Producer | None = producer
        self._topic = topic
        self._marker = marker
        self._rows = rows

    def commit(self) -> Written:
        """See `Staged.commit`: answers after the brokers have confirmed every message and the transaction."""
        from confluent_kafka import KafkaException

        if self._producer is None:
            raise ValueError(f"{self._marker.chunk.key}: staged rows can be committed once, and not after a discard")
        producer, self._producer = self._producer, None
        key = self._marker.chunk.key
        for last in (False, False, True):
            try:
                producer.commit_transaction(topics.SECONDS * 3)
                break
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.retriable() and not last:
                    continue  # the same call again goes on where it was
                if reason.txn_requires_abort() or reason.fatal():
                    _give_up(producer)
                    raise CommitFailed(f"kafka: {key} was not committed: {explain(reason)}") from error
                self._look(error)
                break
        producer.close()
        return Written(KafkaSink.kind, self._topic, self._rows, self._marker.attempt)

    def discard(self) -> None:
        """See `Staged.discard`."""
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        _give_up(producer)

    def _look(self, error: Exception) -> None:
        """Raise unless the commit happened all the same."""
        key, told_ = self._marker.chunk.key, explain(error.args[0])
        try:
            landed = self._sink.landed(self._topic, self._marker)
        except Exception as while_looking:  # noqa: BLE001 - whatever it is, nothing is known
            raise CommitUnknown(
                f"kafka: whether {key} was committed is unknown ({told_}), and the brokers cannot be asked ({while_looking}); "
                "run it again once they can be: the later copy counts"
            ) from error
        if not landed:
            raise CommitFailed(f"kafka: {key} was not committed: {told_}") from error


def _introduce(producer: Producer, topic: str, seconds: float) -> None:
    """Have the brokers know the producer. One that knows no broker yet asks in vain for its coordinator, and again half a
    second later: so it is made to look for brokers first.
    """
    ends = time.monotonic() + seconds
    producer.list_topics(topic, timeout=seconds)
    producer.init_transactions(max(ends - time.monotonic(), 0.0))


def _produce_records(
    producer: Producer, topic: str, table: pa.Table, contract: Contract, prefix: bytes, partitions: int
) -> dict[int, int]:
    """One message per row, some rows at a time. Messages by partition.

    The library sends on threads of its own while the next rows are encoded.
    """
    from aurum_etl.avro import encode
    from aurum_etl.sinks.kafka.librdkafka import outbox

    counts: Counter[int] = Counter()
    with outbox(producer, topic, _WAITING_MESSAGES) as out:
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            rows = table.slice(start, _ROWS_AT_ONCE)
            keys = rows[contract.message_key].combine_chunks()
            counts += out.put(keys, encode(rows, contract, prefix), _places(keys, partitions))
    return dict(counts)


def _places(keys: pa.Array[Any], partitions: int) -> pa.Array[Any]:
    """The partition of each key; equal keys are in one, so that their messages stay in order."""
    import polars as pl

    distinct = keys.dictionary_encode()
    places = pl.Series([zlib.crc32(key.as_py().encode()) % partitions for key in distinct.dictionary], dtype=pl.Int32)
    return places.to_arrow().take(distinct.indices)


def _produce_batches(producer: Producer, topic: str, table: pa.Table, scope: Scope, partitions: int) -> dict[int, int]:
    """Many rows per message, all of a chunk in one partition. Messages by partition."""
    partition = zlib.crc32(scope.chunk.key.encode()) % partitions
    messages = 0
    for start in range(0, table.num_rows, _ARROW_ROWS):
        for body in _streams(table.slice(start, _ARROW_ROWS), scope):
            producer.produce(topic, value=body, key=scope.chunk.key, partition=partition)
            messages += 1
    return {partition: messages}


def _streams(rows: pa.Table, scope: Scope) -> Iterator[bytes]:
    """The rows as Arrow IPC streams that brokers take: halved until they are small enough."""
    import pyarrow as pa
    import pyarrow.ipc

    output = pa.BufferOutputStream()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_stream(output, scope.contract.arrow_schema, options=options) as writer:
        writer.write_table(rows)
    body = output.getvalue()
    if body.size <= _ARROW_BYTES or rows.num_rows == 1:
        yield body.to_pybytes()
        return
    half = rows.num_rows // 2
    yield from _streams(rows.slice(0, half), scope)
    yield from _streams(rows.slice(half), scope)


def _give_up(producer: Producer) -> None:
    """Abort what was begun; a producer that cannot is aborted by the brokers in time."""
    from confluent_kafka import KafkaException

    with suppress(KafkaException):
        producer.purge()
        producer.abort_transaction(topics.SECONDS)
    with suppress(KafkaException):
        producer.close()


def _holds_marker(consumer: Consumer, marker: Marker) -> bool:
    from confluent_kafka import KafkaError, KafkaException

    while True:
        messages = read_on(consumer, 1000)
        if not messages:
            raise TimeoutError("no answer")
        for message in messages:
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                    return False
                raise KafkaException(error)
            with suppress(ValueError):
                found = Marker.parse(message.headers())
                if found is not None and found.attempt == marker.attempt:
                    return True


def _marker(table: pa.Table, scope: Scope, parts: Mapping[int, int]) -> Marker:
    """The marker of a new attempt at the chunk."""
    known = Provenance.of(table)
    return Marker(
        chunk=scope.chunk,
        attempt=uuid.uuid4().hex,
        ingested_at=ingested_at(table),
        origin=known.origin,
        parts=parts,
        rows=table.num_rows,
        revision=known.revision,
        days=known.days,
    )
