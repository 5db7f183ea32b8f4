"""Messages to librdkafka by column: the client above it wants a Python object for each, the library takes an array.

All else stays with the client, which makes the producer, hears its errors and ends its transactions. Where it keeps the
library's handle is not promised: it is looked for in versions in which it is known to be, and asked whose it is. Under other
versions messages go by way of the client, a Python object each.

Source: librdkafka 2.16, `rdkafka.h`: `rd_kafka_message_t`, `rd_kafka_produce_batch`, `rd_kafka_opaque`.
"""

from __future__ import annotations

import ctypes
import functools
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, Self

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Producer

_COPY = 0x2
"""`RD_KAFKA_MSG_F_COPY`: what is handed over need not stay where it is."""
_WORDS = 9
"""A `rd_kafka_message_t` is so many times eight bytes: error, topic, partition, value, its length, key, its length, offset,
and what is the sender's own.
"""
_PLACES = {"value": 3, "value_bytes": 4, "key": 5, "key_bytes": 6}
_WAIT_SECONDS = 0.02


_KNOWN = frozenset({"2.16.0"})
"""Versions of the client whose producers begin with the library's handle."""


class Outbox(Protocol):
    """One topic, to be written to by a producer; a context, which need not outlive the handing over."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def put(self, keys: pa.Array[Any], values: pa.Array[Any], partitions: pa.Array[Any]) -> Counter[int]:
        """Hand messages over, the library's own from then on; waits while too many are on their way. Messages by partition.

        Shape:  keys and values are binary or text, and nothing is null.
        Raises: KafkaException if the library does not take one of them, and that not for lack of room.
        """
        ...


def outbox(producer: Producer, topic: str, most_waiting: int) -> Outbox:
    """The topic as the library under that producer knows it, where the library can be spoken to.

    `most_waiting` is how many messages may wait to be sent: what bounds memory.
    """
    handle = _handle(producer)
    return (
        _ByMessage(producer, topic, most_waiting)
        if handle is None
        else _ByColumn.of(producer, handle, topic, most_waiting)
    )


@dataclass(frozen=True, slots=True)
class _ByMessage:
    """By way of the client, which takes a dictionary for each message."""

    producer: Producer
    topic: str
    most_waiting: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to let go of."""

    def put(self, keys: pa.Array[Any], values: pa.Array[Any], partitions: pa.Array[Any]) -> Counter[int]:
        """See `Outbox.put`."""
        messages = pl.DataFrame({"partition": partitions, "key": keys, "value": values})
        counts: Counter[int] = Counter()
        for part in messages.partition_by("partition", maintain_order=True):
            counts[part.item(0, "partition")] = len(part)
            # The client takes Python objects and nothing else: this is the one place where a row becomes one.
            messages_of = zip(part.get_column("key").to_list(), part.get_column("value").to_list(), strict=True)
            batch = [{"key": key, "value": value} for key, value in messages_of]
            self._hand_over(part.item(0, "partition"), batch)
        return counts

    def _hand_over(self, partition: int, batch: list[dict[str, Any]]) -> None:
        from confluent_kafka import KafkaException

        while batch:
            while len(self.producer) > self.most_waiting:
                self.producer.poll(_WAIT_SECONDS)
            if self.producer.produce_batch(self.topic, batch, partition) == len(batch):
                return
            batch = [message for message in batch if "_error" in message]
            for message in batch:
                if (error := message.pop("_error")).name() != "_QUEUE_FULL":
                    raise KafkaException(error)
            self.producer.poll(_WAIT_SECONDS)


@dataclass(frozen=True, slots=True)
class _ByColumn:
    """Past the client: the library reads the messages where the columns have them."""

    producer: Producer
    topic: ctypes.c_void_p
    most_waiting: int

    @classmethod
    def of(cls, producer: Producer, handle: ctypes.c_void_p, topic: str, most_waiting: int) -> Self:
        """The topic as the library knows it."""
        from confluent_kafka import KafkaError, KafkaException

        library = _library()
        found = library.rd_kafka_topic_new(handle, topic.encode(), None)
        if not found:
            raise KafkaException(KafkaError(library.rd_kafka_last_error()))
        return cls(producer, ctypes.c_void_p(found), most_waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _library().rd_kafka_topic_destroy(self.topic)

    def put(self, keys: pa.Array[Any], values: pa.Array[Any], partitions: pa.Array[Any]) -> Counter[int]:
        """See `Outbox.put`."""
        messages = pl.DataFrame({"partition": partitions, **_spans("value", values), **_spans("key", keys)})
        counts: Counter[int] = Counter()
        for part in messages.partition_by("partition", maintain_order=True):
            counts[part.item(0, "partition")] = len(part)
            self._hand_over(part)
        return counts

    def _hand_over(self, part: pl.DataFrame) -> None:
        from confluent_kafka import KafkaError, KafkaException

        messages = (ctypes.c_uint64 * (_WORDS * len(part)))()
        words = memoryview(messages).cast("B").cast("Q")
        for name, place in _PLACES.items():
            numbers: Any = part.get_column(name).to_arrow().buffers()[1]
            words[place::_WORDS] = memoryview(numbers).cast("Q")
        partition, done = part.item(0, "partition"), 0
        while done < len(part):
            while len(self.producer) > self.most_waiting:
                self.producer.poll(_WAIT_SECONDS)
            here = ctypes.byref(messages, done * _WORDS * 8)
            done += _library().rd_kafka_produce_batch(self.topic, partition, _COPY, here, len(part) - done)
            if done < len(part):
                # Once there is no room for one, there is none for those behind it.
                error = KafkaError(ctypes.c_int32.from_buffer(messages, done * _WORDS * 8).value)
                if error.name() != "_QUEUE_FULL":
                    raise KafkaException(error)
                self.producer.poll(_WAIT_SECONDS)


def _spans(name: str, array: pa.Array[Any]) -> dict[str, pa.Array[Any]]:
    """Where each element begins, and its length."""
    _, offsets, content = array.buffers()
    ends = pa.Array.from_buffers(pa.int32(), len(array) + 1, [None, offsets], offset=array.offset).cast(pa.uint64())
    base = pa.scalar(content.address if content else 0, pa.uint64())
    return {name: pc.add(ends[:-1], base), f"{name}_bytes": pc.subtract(ends[1:], ends[:-1])}


@functools.cache
def _library() -> Any:
    """The library that the client has loaded, wherever it lies: names are looked for in what the client is linked to."""
    from confluent_kafka import cimpl

    library, pointer = ctypes.CDLL(cimpl.__file__), ctypes.c_void_p
    signatures: Mapping[str, tuple[Any, list[Any]]] = {
        "rd_kafka_opaque": (pointer, [pointer]),
        "rd_kafka_topic_new": (pointer, [pointer, ctypes.c_char_p, pointer]),
        "rd_kafka_topic_destroy": (None, [pointer]),
        "rd_kafka_last_error": (ctypes.c_int, []),
        "rd_kafka_produce_batch": (ctypes.c_int, [pointer, ctypes.c_int32, ctypes.c_int, pointer, ctypes.c_int]),
    }
    for name, (answer, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = answer, arguments
    return library


def _handle(producer: Producer) -> ctypes.c_void_p | None:
    """What the library knows the producer by, the first that stands in the client's object; None where that is not known."""
    if version("confluent-kafka") not in _KNOWN:
        return None
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    # The client has given the library its object's address to be told by.
    return handle if handle and _library().rd_kafka_opaque(handle) == id(producer) else None
