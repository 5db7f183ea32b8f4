"""What the topics hold, as their markers tell it: every chunk has one in partition 0, and no row need be decoded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aurum_etl.sinks.kafka import topics
from aurum_etl.sinks.kafka.login import Login
from aurum_etl.sinks.kafka.topics import Marker, client_settings, read_on, told
from aurum_etl.sinks.ledger import Held, is_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Consumer

    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.window import Window

_MESSAGES_AT_ONCE = 20_000


def topics_of(settings: Settings) -> list[str]:
    """The topics that there are."""
    from confluent_kafka.admin import AdminClient

    with told("the brokers cannot be reached"):
        _, found = Login(settings).introduced(AdminClient, lambda client, left: client.list_topics(timeout=left))
    return sorted(found.topics)


def held(brokers: Mapping[str, str], topic: str, dataset: Dataset | None, window: Window | None) -> list[Held]:
    """See `Sink.held`, for one topic: the last marker of each chunk counts, and one without rows takes the chunk away."""
    newest = {marker.chunk.key: marker for marker in _markers(brokers, topic)}
    return [
        Held(
            key=key,
            chunk=marker.chunk,
            rows=marker.rows,
            ingested_at=marker.ingested_at,
            origin=marker.origin,
            revisions=tuple(filter(None, (marker.revision,))),
            days=marker.days,
            table=topic,
            version=marker.attempt,
        )
        for key, marker in sorted(newest.items())
        if marker.ingested_at is not None and is_wanted(key, dataset, window)
    ]


def _markers(brokers: Mapping[str, str], topic: str) -> Iterator[Marker]:
    """The markers in partition 0, in their order, as far as they are committed."""
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

    consumer: Consumer = Consumer(
        {
            **client_settings(brokers),
            "group.id": "aurum.looks",  # of no group: the partition is taken, not given
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        with told(f"{topic} cannot be read"):
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=topics.SECONDS)
            consumer.assign([TopicPartition(topic, 0, low)])
            while True:
                messages = read_on(consumer, _MESSAGES_AT_ONCE)
                if not messages:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - its only name
                for message in messages:
                    if (error := message.error()) is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                            return
                        raise KafkaException(error)
                    if message.value() is None:
                        # One that cannot be read is a matter for the drain.
                        with suppress(ValueError):
                            if (marker := Marker.parse(message.headers())) is not None:
                                yield marker
    finally:
        consumer.close()
