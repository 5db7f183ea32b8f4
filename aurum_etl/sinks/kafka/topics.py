"""What everybody who meets our topics needs: their names, the markers that end a chunk, clients, and errors in words."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aurum_etl.chunk import Chunk, Selection
from aurum_etl.contracts import CONTRACT_VERSION
from aurum_etl.errors import AurumError, SinkError, SinkUnavailable, in_words
from aurum_etl.receipt import Origin
from aurum_etl.sinks.ledger import days_of_plain, plain
from aurum_etl.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Consumer, KafkaError, Message

    from aurum_etl.contracts import Contract
    from aurum_etl.market import Iso
    from aurum_etl.receipt import Day

_LONGEST = timedelta(days=366)
"""No chunk is longer, by far: a spec's are 31 days at the most."""
SECONDS = 10.0
"""How long a broker or the registry may take to answer."""
_MORE_SECONDS = 0.1
"""How long messages that are there wait for others."""
_LOGIN = "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
_ADVICE = {
    "_TRANSPORT": "check that the brokers run, and where KAFKA_BOOTSTRAP_SERVERS points",
    "_ALL_BROKERS_DOWN": "check that the brokers run, and where KAFKA_BOOTSTRAP_SERVERS points",
    "_TIMED_OUT": "check that the brokers run, and where KAFKA_BOOTSTRAP_SERVERS points",
    "_RESOLVE": "check the host names in KAFKA_BOOTSTRAP_SERVERS",
    "_AUTHENTICATION": _LOGIN,
    "SASL_AUTHENTICATION_FAILED": _LOGIN,
    "_SSL": "check KAFKA_SSL_CA_LOCATION and KAFKA_SECURITY_PROTOCOL",
    "TOPIC_AUTHORIZATION_FAILED": "let its owner make the topic, and grant write on it",
    "CLUSTER_AUTHORIZATION_FAILED": "let an administrator make the topic",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "grant write on transactional ids that begin with aurum.",
    "POLICY_VIOLATION": "make the topic by hand as the cluster's policy wants it",
    "INVALID_REPLICATION_FACTOR": "set the sink's replication to no more than there are brokers",
    "_FENCED": "another process has begun the same chunk since; what it commits counts",
    "PRODUCER_FENCED": "another process has begun the same chunk since; what it commits counts",
    "INVALID_PRODUCER_EPOCH": "another process has begun the same chunk since; what it commits counts",
}
"""What to do, by the name of librdkafka's error."""


def topic_of(iso: Iso, contract: Contract, encoding: str, prefix: str = "") -> str:
    """The topic of one kind of one ISO."""
    return f"{prefix}aurum.iso.{iso.slug}.{contract.kind}.{'arrow.' if encoding == 'arrow' else ''}v1"


@dataclass(frozen=True, slots=True)
class Marker:
    """The end of a chunk in one partition, as its headers have it."""

    chunk: Chunk
    attempt: str
    ingested_at: datetime | None
    """None for a chunk without rows."""
    origin: Origin
    parts: Mapping[int, int]
    """Messages of the chunk by partition; partition 0 is always there."""
    rows: int
    revision: str = ""
    """See `Receipt.revision`."""
    days: tuple[Day, ...] = ()
    """See `Receipt.days`."""

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """As they stand on the topic."""
        window, selection = self.chunk.window, self.chunk.selection
        content = {
            "dataset": self.chunk.dataset,
            "selection": selection.word or list(selection.names),
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "ingested_at": self.ingested_at and self.ingested_at.isoformat(),
            "origin": self.origin.value,
            "attempt": self.attempt,
            "parts": {str(partition): count for partition, count in sorted(self.parts.items())},
            "rows": self.rows,
            "revision": self.revision,
            "days": plain(self.days),
        }
        return [
            ("chunk_key", self.chunk.key.encode()),
            ("contract_version", CONTRACT_VERSION.encode()),
            ("aurum.chunk", json.dumps(content, separators=(",", ":")).encode()),
        ]

    @classmethod
    def parse(cls, headers: Any) -> Marker | None:
        """The marker that a message's headers hold; None if they hold none.

        Raises: ValueError if they hold one that cannot be read.
        """
        found = dict(headers or ())
        if "aurum.chunk" not in found:
            return None
        try:
            content = json.loads(found["aurum.chunk"])
            if not isinstance(named := content["selection"], (str, list)):
                raise TypeError(f"selection {named!r} is neither a word nor a list")
            parts = {int(partition): int(count) for partition, count in content["parts"].items()}
            marker = cls(
                Chunk(
                    content["dataset"],
                    Selection(word=named) if isinstance(named, str) else Selection.named(named),
                    Window(datetime.fromisoformat(content["start"]), datetime.fromisoformat(content["end"])),
                ),
                content["attempt"],
                datetime.fromisoformat(content["ingested_at"]) if content["ingested_at"] else None,
                Origin(content["origin"]),
                parts,
                # Markers of before they told these: a message was a row, unless it was an Arrow stream.
                content.get("rows", sum(parts.values())),
                content.get("revision", ""),
                days_of_plain(content.get("days", ())),
            )
            marker._demand_plain()
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"a marker that cannot be read: {error!r:.300}") from error
        return marker

    def _demand_plain(self) -> None:
        """Refuse what none of ours says: whoever may write to a topic could keep a drain busy, or waiting, for ever."""
        if self.chunk.window.duration > _LONGEST:
            raise ValueError(f"{self.chunk.window} is longer than {_LONGEST.days} days")
        if 0 not in self.parts or min(self.parts) < 0 or min(self.parts.values()) < 0:
            raise ValueError(f"parts {self.parts} are not numbers of messages by partition, 0 among them")
        words = (
            self.chunk.dataset,
            self.attempt,
            self.revision,
            self.chunk.selection.word,
            *self.chunk.selection.names,
        )
        # What is no text in UTF-8, such as half of a pair, raises a ValueError as well.
        if b"\0" in "\n".join(words).encode():
            raise ValueError("a word has the character NUL in it")
        if type(self.rows) is not int:
            raise ValueError(f"rows {self.rows!r} are no number")


def client_settings(brokers: Mapping[str, str]) -> dict[str, Any]:
    """What every client is made with; librdkafka's own log goes to ours, and not to standard error."""
    log = logging.getLogger("aurum_etl.kafka")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return {"socket.connection.setup.timeout.ms": 10_000, "client.id": "aurum_etl", **brokers, "logger": log}


def make_topic(brokers: Mapping[str, str], topic: str, partitions: int, **options: Any) -> bool:
    """Make a topic; False if somebody else has made it in between."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    # A name of its own: a client that nobody holds ends before the brokers have answered.
    client = AdminClient(client_settings(brokers))
    new = NewTopic(topic, num_partitions=partitions, **options)
    try:
        client.create_topics([new], operation_timeout=SECONDS)[topic].result(SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def read_on(consumer: Consumer, most: int) -> list[Message]:
    """The next messages, so many at most; none if none came for as long as brokers may take. It does not wait for more than
    there are, as the client would.
    """
    ends = time.monotonic() + SECONDS
    while not (found := consumer.consume(most, timeout=_MORE_SECONDS)) and time.monotonic() < ends:
        pass
    return found


def registry_client(registry: Mapping[str, Any]) -> Any:
    """A client of the schema registry, as a context."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    return SchemaRegistryClient({"timeout": SECONDS, "max.retries": 1, **registry})


def explain(error: KafkaError) -> str:
    """The error in one line, and what to do about it where that is known."""
    advice = _ADVICE.get(error.name())
    return f"{error.name()}: {error.str()}" + (f"; {advice}" if advice else "")


@contextmanager
def told(what: str, kind: type[SinkError] = SinkUnavailable) -> Iterator[None]:
    """Translate librdkafka's errors."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        yield
    except KafkaException as error:
        reason = error.args[0]
        raise kind(f"kafka: {what}: {explain(reason) if isinstance(reason, KafkaError) else reason}") from error


@contextmanager
def told_by_registry(what: str) -> Iterator[None]:
    """Translate the registry client's errors."""
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    try:
        yield
    except SchemaRegistryError as error:
        advice = {
            401: "check SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO",
            403: "grant write on the subject",
            409: "its newest version is of another contract; use another topic, or bring the subject back to this one",
            422: "its newest version is of another contract; use another topic, or bring the subject back to this one",
        }.get(error.http_status_code)
        line = f"{error.http_status_code}: {error.error_message}".splitlines()[0]
        raise SinkUnavailable(f"kafka: {what}: {line}{f'; {advice}' if advice else ''}") from error
    except AurumError:
        raise
    except Exception as error:
        raise SinkUnavailable(
            f"kafka: {what}: {in_words(error)}; check that it runs, and where SCHEMA_REGISTRY_URL points"
        ) from error
