"""What drains of one group share: who reads, and the topic of what nobody could read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aurum_etl.errors import SinkUnavailable
from aurum_etl.sinks.kafka.login import Login
from aurum_etl.sinks.kafka.topics import SECONDS, make_topic, told
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Consumer, Producer

    from aurum_etl.drain.reading import Undecodable
    from aurum_etl.settings import Settings

ERROR_TOPIC = "aurum.ingest.error.v1"
_KEPT_BYTES = 64 * 1024
"""How much of an undecodable message goes to the error topic."""


class Election:
    """Which drain of the group reads: the one to which the group has given partition 0 of the topic."""

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        from confluent_kafka import Consumer

        self._topic = topic
        self._mine = False
        self._login = Login(settings)
        self._consumer = Consumer(
            {
                **self._login.client_settings(),
                "group.id": group,
                "enable.auto.commit": False,
                "session.timeout.ms": 10_000,
                # Loading one chunk may take long, and nothing is polled meanwhile.
                "max.poll.interval.ms": 900_000,
            }
        )
        with told(f"group {group} cannot be joined"):
            self._consumer.subscribe([topic], on_assign=self._given, on_revoke=self._taken, on_lost=self._taken)

    def holds(self, seconds: float) -> bool:
        """Whether this drain is the one; waits so long for news."""
        self._login.renew(self._consumer)
        with told(f"{self._topic} cannot be read"):
            self._consumer.poll(seconds)
        return self._mine

    def close(self) -> None:
        """Leave the group: another drain may read on at once."""
        self._consumer.close()

    def _given(self, consumer: Consumer, partitions: Iterable[Any]) -> None:
        partitions = list(partitions)
        consumer.assign(partitions)
        # The group only elects: the messages are read by another consumer.
        consumer.pause(partitions)
        self._mine = any(each.partition == 0 for each in partitions)
        logger().info("drain.elected" if self._mine else "drain.stands_by", topic=self._topic)

    def _taken(self, consumer: Consumer, _partitions: Iterable[Any]) -> None:
        self._mine = False
        consumer.unassign()


class DeadLetters:
    """The topic of what nobody could read; a letter sent twice has the same key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._login = Login(settings)
        self._topic = settings.topic_prefix + ERROR_TOPIC
        self._producer: Producer | None = None

    def send(self, found: Sequence[Undecodable]) -> int:
        """Send them, and wait until the brokers have them. How many they were."""
        if not found:
            return 0
        from confluent_kafka import Producer

        with told(f"{self._topic} cannot be written"):
            if self._producer is None:
                make_topic(self._settings.kafka, self._topic, 1)
                self._producer = Producer({**self._login.client_settings(), "enable.idempotence": True})
            self._login.renew(self._producer)
            for each in found:
                content = {
                    "topic": each.topic,
                    "partition": each.partition,
                    "offset": each.offset,
                    "reason": each.reason,
                    "at": datetime.now(UTC).isoformat(),
                    "value_base64": each.value and base64.b64encode(each.value[:_KEPT_BYTES]).decode(),
                }
                self._producer.produce(
                    self._topic, key=f"{each.topic}/{each.partition}/{each.offset}", value=json.dumps(content)
                )
            if self._producer.flush(SECONDS * 3):
                raise SinkUnavailable(f"kafka: {self._topic} does not take what could not be read")
        logger().warning("drain.undecodable", count=len(found), reason=found[0].reason)
        return len(found)

    def close(self) -> None:
        """Let go of the connection; every letter was waited for."""
        if self._producer is not None:
            self._producer.close()
