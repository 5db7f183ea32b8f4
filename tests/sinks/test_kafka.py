"""Kafka when things go wrong, and what is on the topic."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import fastavro
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.avro import encode
from aurum_etl.contracts import LMP, Column, ColumnType
from aurum_etl.errors import CommitFailed, CommitUnknown, SinkUnavailable, SpecError
from aurum_etl.exports.avro import avro_json
from aurum_etl.settings import Settings, read_settings
from aurum_etl.sinks import kafka as kafka_sink
from aurum_etl.sinks import sink as sink_of
from aurum_etl.sinks.kafka import KafkaSink, librdkafka
from aurum_etl.sinks.kafka.topics import Marker, client_settings, topic_of
from aurum_etl.spec import KafkaSpec, default_sink
from tests.frames import rows, scope

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Topics:
    """A broker and a registry."""

    settings: Settings
    environment: dict[str, str]

    def sink(self, **options: Any) -> KafkaSink:
        sink = KafkaSink(self.settings, KafkaSpec(kind="kafka", **options))
        sink.open(LMP_DAY_AHEAD)
        return sink

    def topic(self, encoding: str = "avro") -> str:
        return topic_of(LMP_DAY_AHEAD.iso, LMP, encoding, self.settings.topic_prefix)

    def messages(self, encoding: str = "avro") -> list[Message]:
        """What a committed reader sees, in partition order."""
        consumer = Consumer(
            {
                **client_settings(self.settings.kafka),
                "group.id": "reads",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        topic, found, ended = self.topic(encoding), [], 0
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
            while ended < len(partitions):
                message = consumer.poll(10)
                assert message is not None
                if (error := message.error()) is None:
                    found.append(message)
                    continue
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
            return found
        finally:
            consumer.close()


@pytest.fixture
def topics(tmp_path: Path, kafka: dict[str, str]) -> Topics:
    environment = {"AURUM_HOME": str(tmp_path), **kafka}
    return Topics(read_settings(environment), environment)


def test_records_are_what_any_avro_consumer_reads(topics: Topics) -> None:
    given = rows(scope(), "A", "Ö 電", price=-0.0, price_loss=None)
    topics.sink().stage(given, scope()).commit()
    with SchemaRegistryClient({"url": topics.settings.registry["url"]}) as registry:
        assert registry.get_compatibility(f"{topics.topic()}-value") == "BACKWARD"
        schema = fastavro.parse_schema(
            json.loads(registry.get_latest_version(f"{topics.topic()}-value").schema.schema_str)
        )
    records = [message for message in topics.messages() if message.value() is not None]
    read = [fastavro.schemaless_reader(io.BytesIO((each.value() or b"")[5:]), schema, None) for each in records]
    keys = [(each.key() or b"").decode() for each in records]
    assert keys == [row["series_id"] for row in read]  # type: ignore[index, call-overload]
    assert len({(each.key(), each.partition()) for each in records}) == 2
    order = [("series_id", "ascending"), ("interval_start", "ascending")]
    found = pa.Table.from_pylist(read, LMP.arrow_schema).sort_by(order)  # type: ignore[arg-type]
    assert found.equals(given.sort_by(order))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "known", [frozenset({version("confluent-kafka")}), frozenset()], ids=["by column", "by message"]
)
def test_messages_arrive_in_order_also_where_few_may_wait(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, known: frozenset[str]
) -> None:
    """Past the client, where it is a version that is known, and by way of it otherwise."""
    monkeypatch.setattr(librdkafka, "_KNOWN", known)
    monkeypatch.setattr(kafka_sink, "_WAITING_MESSAGES", 500)
    given = rows(scope(), *(f"N{number:03}" for number in range(400)))
    topics.sink(partitions=2).stage(given, scope()).commit()
    messages = [message for message in topics.messages() if message.value() is not None]
    assert len(messages) == given.num_rows
    sent = pl.DataFrame({"key": given["series_id"], "value": encode(given, LMP, (messages[0].value() or b"")[:5])})
    arrived = pl.DataFrame(
        {"key": [(each.key() or b"").decode() for each in messages], "value": [each.value() for each in messages]}
    )
    assert arrived.sort("key", maintain_order=True).equals(sent.sort("key", maintain_order=True))


def test_each_partition_ends_with_a_marker_that_counts(topics: Topics) -> None:
    topics.sink(partitions=3).stage(rows(scope(), "A", "B", "C", "D"), scope()).commit()
    by_partition: dict[int, list[Message]] = {}
    for message in topics.messages():
        by_partition.setdefault(message.partition() or 0, []).append(message)
    for partition, messages in by_partition.items():
        marker = Marker.parse(messages[-1].headers())
        assert marker is not None
        assert marker.parts[partition] == len(messages) - 1
        assert dict(messages[-1].headers() or ())["chunk_key"] == scope().chunk.key.encode()
        assert dict(messages[-1].headers() or ())["contract_version"] == b"1"
        assert marker.chunk == scope().chunk
        assert sum(marker.parts.values()) == 96


def test_arrow_messages_are_streams_of_the_contracts_columns(topics: Topics) -> None:
    given = rows(scope(), *(f"N{number:04}" for number in range(2000)))
    topics.sink(encoding="arrow", partitions=2).stage(given, scope()).commit()
    bodies = [message.value() for message in topics.messages("arrow") if message.value() is not None]
    assert max(len(body or b"") for body in bodies) <= 900_000
    found = pa.concat_tables([pyarrow.ipc.open_stream(body or b"").read_all() for body in bodies])
    assert found.equals(given)


def test_a_topic_is_made_as_the_spec_says(topics: Topics) -> None:
    topics.sink(partitions=4, retention_days=3)
    admin = AdminClient(client_settings(topics.settings.kafka))
    assert len(admin.list_topics(topics.topic(), timeout=10).topics[topics.topic()].partitions) == 4
    (future,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topics.topic())]).values()
    config = future.result(10)
    assert (config["retention.ms"].value, config["cleanup.policy"].value) == (str(3 * 86_400_000), "delete")
    # One that is there already is used as it is.
    assert topics.sink(partitions=9)._prepared[topics.topic()][0] == 4


CHILD = """
import os, signal, sys
from aurum_etl.settings import read_settings
from aurum_etl.sinks import kafka as kafka_sink
from aurum_etl.sinks.kafka import KafkaSink, librdkafka
from aurum_etl.spec import KafkaSpec
from tests.frames import *
sink = KafkaSink(read_settings(), KafkaSpec(kind="kafka"))
sink.open(LMP_DAY_AHEAD)
staged = sink.stage(rows(scope(), "A", price=7.0), scope())
print("staged", flush=True)
sys.stdin.readline()
try:
    staged.commit()
    print("committed", flush=True)
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""


def child(topics: Topics) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **topics.environment},
    )
    assert started.stdout is not None
    while started.stdout.readline() != "staged\n":
        assert started.poll() is None
    return started


def test_a_process_that_wakes_up_late_is_fenced(topics: Topics) -> None:
    """It was stopped before its commit; meanwhile another did the same chunk."""
    with child(topics) as zombie:
        os.kill(zombie.pid, signal.SIGSTOP)
        topics.sink().stage(rows(scope(), "A", "B"), scope()).commit()
        os.kill(zombie.pid, signal.SIGCONT)
        told, _ = zombie.communicate("go\n", timeout=60)
    assert "CommitFailed" in told
    assert "another process has begun the same chunk since" in told
    assert len([message for message in topics.messages() if message.value() is not None]) == 48


def test_a_killed_process_leaves_nothing_to_see(topics: Topics) -> None:
    with child(topics) as killed:
        killed.kill()
        killed.communicate()
    topics.sink().stage(rows(scope(), "A", "B"), scope()).commit()
    assert len([message for message in topics.messages() if message.value() is not None]) == 48


class Unsure:
    """A producer whose commit fails after it happened, or before."""

    def __init__(self, real: Any, *, committed: bool) -> None:
        self.real = real
        self.committed = committed

    def commit_transaction(self, timeout: float) -> None:
        if self.committed:
            self.real.commit_transaction(timeout)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize("committed", [True, False])
def test_after_an_unknown_outcome_it_looks(topics: Topics, committed: bool) -> None:
    sink = topics.sink()
    sink.stage(rows(scope(), "A"), scope()).commit()
    staged = sink.stage(rows(scope(), "B"), scope())
    real = staged._producer
    staged._producer = Unsure(real, committed=committed)  # type: ignore[assignment]
    if committed:
        assert staged.commit().rows == 24
    else:
        with pytest.raises(CommitFailed, match="_TIMED_OUT"):
            staged.commit()
        assert real is not None
        real.abort_transaction()
    assert len([message for message in topics.messages() if message.value() is not None]) == (48 if committed else 24)


def test_an_outcome_that_nobody_can_look_up_is_told(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = topics.sink()
    staged = sink.stage(rows(scope(), "A"), scope())
    real = staged._producer
    staged._producer = Unsure(real, committed=True)  # type: ignore[assignment]
    monkeypatch.setattr("aurum_etl.sinks.kafka.topics.SECONDS", 0.5)
    elsewhere = {**topics.environment, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    monkeypatch.setattr(sink, "_settings", read_settings(elsewhere))
    with pytest.raises(CommitUnknown, match="the later copy counts"):
        staged.commit()


def test_a_registry_with_another_contract_refuses_before_anything_is_sent(topics: Topics) -> None:
    other = replace(LMP, values=(Column("price_total", ColumnType.STRING, "a price in words"), *LMP.values[1:]))
    with SchemaRegistryClient({"url": topics.settings.registry["url"]}) as registry:
        registry.register_schema(f"{topics.topic()}-value", Schema(avro_json(other), "AVRO"))
    with pytest.raises(
        SinkUnavailable, match=r"the registry does not take the schema of .*-value: 409: .*another contract"
    ):
        topics.sink()


def test_a_contract_that_has_grown_is_the_next_version(topics: Topics) -> None:
    topics.sink()
    column = Column("price_scarcity", ColumnType.DOUBLE, "scarcity component", nullable=True)
    grown = replace(LMP, values=(*LMP.values, column))
    KafkaSink(topics.settings, KafkaSpec(kind="kafka")).open(replace(LMP_DAY_AHEAD, contract=grown))
    with SchemaRegistryClient({"url": topics.settings.registry["url"]}) as registry:
        assert registry.get_versions(f"{topics.topic()}-value") == [1, 2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "the brokers cannot be reached: .*check that the brokers run"),
        (
            {"SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"},
            "the schema registry cannot be reached: .*SCHEMA_REGISTRY_URL points",
        ),
    ],
)
def test_what_cannot_be_reached_is_told(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], told: str
) -> None:
    monkeypatch.setattr("aurum_etl.sinks.kafka.topics.SECONDS", 2.0)
    settings = read_settings({**topics.environment, **change})
    with pytest.raises(SinkUnavailable, match=told) as caught:
        KafkaSink(settings, KafkaSpec(kind="kafka")).open(LMP_DAY_AHEAD)
    assert caught.value.retryable


def test_more_copies_than_brokers_are_told(topics: Topics) -> None:
    with pytest.raises(SinkUnavailable, match=r"INVALID_REPLICATION_FACTOR.*set the sink's replication"):
        topics.sink(replication=3)


def test_what_is_not_set_is_named() -> None:
    with pytest.raises(SpecError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        sink_of(default_sink("kafka"), read_settings({}))
    with pytest.raises(SpecError, match="SCHEMA_REGISTRY_URL is not set"):
        sink_of(default_sink("kafka"), read_settings({"KAFKA_BOOTSTRAP_SERVERS": "x"}))


def test_security_settings_go_through_and_are_never_shown() -> None:
    settings = read_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "b:9093",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": "u",
            "KAFKA_SASL_PASSWORD": "sesame",
            "KAFKA_OPTS": "-Xmx1g",
            "SCHEMA_REGISTRY_URL": "https://r",
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "u:sesame",
        }
    )
    assert settings.kafka == {
        "bootstrap.servers": "b:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "sesame",
    }
    assert settings.registry == {"url": "https://r", "basic.auth.user.info": "u:sesame"}
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    "headers", [[("aurum.chunk", b"{")], [("aurum.chunk", b"{}")], [("aurum.chunk", b'{"selection": 3}')]]
)
def test_a_marker_that_cannot_be_read_is_an_error(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ValueError, match="a marker that cannot be read"):
        Marker.parse(headers)
    assert Marker.parse([("other", b"x")]) is None
