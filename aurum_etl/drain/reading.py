"""A topic as chunks: rows wait until the markers of all their partitions were met."""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from aurum_etl.drain.decoder import Messages
from aurum_etl.errors import SinkUnavailable
from aurum_etl.redaction import redacted
from aurum_etl.sinks.kafka.login import Login
from aurum_etl.sinks.kafka.topics import SECONDS, Marker, explain, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from confluent_kafka import Consumer

    from aurum_etl.contracts import Contract
    from aurum_etl.drain.decoder import Decoder, Rows
    from aurum_etl.settings import Settings

_MESSAGES_AT_ONCE = 20_000
_POLL_SECONDS = 0.25
_MEMORY_BYTES = 256 * 1024 * 1024
"""Rows of unfinished chunks beyond this wait on disk."""
_PATIENCE_SECONDS = 60.0
"""So long after one of its ends a chunk may lack others, since transactions end on all partitions within moments; and so long
what is committed may not come.
"""
_NO_LEADER = frozenset({"NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART"})


class Part:
    """The rows of one chunk in one partition, as far as they were read."""

    def __init__(self, first: int) -> None:
        self.first = first
        """Offset of the first message."""
        self.messages = 0
        self.bytes = 0
        self._tables: list[pa.Table] = []
        self._files: list[Path] = []

    def add(self, table: pa.Table, messages: int) -> None:
        """Rows that came in so many messages."""
        self._tables.append(table)
        self.messages += messages
        self.bytes += table.nbytes

    def spill(self, folder: Path) -> None:
        """Put what is in memory on disk."""
        if not self._tables:
            return
        path = folder / f"{id(self)}-{len(self._files)}.arrow"
        with pyarrow.ipc.new_file(str(path), self._tables[0].schema) as writer:
            for table in self._tables:
                writer.write_table(table)
        self._files.append(path)
        self._tables, self.bytes = [], 0

    def tables(self) -> Iterator[pa.Table]:
        """The rows, in the order in which they came; they can be had once."""
        for path in self._files:
            with pa.memory_map(str(path)) as file:
                yield pyarrow.ipc.open_file(file).read_all()
            path.unlink()
        yield from self._tables


@dataclass
class Whole:
    """A chunk on its way to be whole: parts arrive in any order, each with its marker."""

    marker: Marker
    since: float = field(default_factory=time.monotonic)
    """When its first end was met, by this process's clock."""
    ends: dict[int, int] = field(default_factory=dict)
    """Offset of the marker, by partition."""
    parts: dict[int, Part | None] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the ends of all parts were met."""
        return self.ends.keys() >= self.marker.parts.keys()

    @property
    def lost(self) -> int:
        """Messages that the markers count and nobody could read."""
        found = {partition: part.messages if part else 0 for partition, part in self.parts.items()}
        return sum(max(count - found.get(partition, 0), 0) for partition, count in self.marker.parts.items())

    def first(self, partition: int) -> int:
        """Offset of the part's first message."""
        part = self.parts[partition]
        return self.ends[partition] if part is None else min(part.first, self.ends[partition])

    def table(self, contract: Contract) -> pa.Table:
        """All its rows."""
        tables = [table for part in self.parts.values() if part for table in part.tables()]
        return pa.concat_tables([contract.arrow_schema.empty_table(), *tables])


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that no chunk can be made of."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A message without a value, with as many of them before it in the same step and partition as its segment tells."""

    partition: int
    offset: int
    segment: int
    headers: Any


@dataclass(frozen=True, slots=True)
class _Step:
    """What came at once."""

    messages: Messages
    """Those with a value."""
    tombstones: list[Tombstone]
    reached: dict[int, int]
    """The offset behind the last message, by partition."""
    ended: dict[int, int]
    """Partitions of which everything that is committed was read, and how far that is."""


class Reading:
    """The topic from some offsets on, as chunks."""

    def __init__(self, settings: Settings, topic: str, begin: Mapping[int, int], decoder: Decoder) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        self._topic = topic
        self._decoder = decoder
        self._login = Login(settings)
        options = {
            "group.id": "aurum.reads",  # of no group: partitions are taken, not given
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 65_536,
        }
        with told(f"{topic} cannot be read"):
            self._consumer, found = self._login.introduced(
                lambda brokers: Consumer({**brokers, **options}),
                lambda one, left: one.list_topics(topic, timeout=left),
            )
            partitions = found.topics[topic].partitions
            self._consumer.assign(
                [TopicPartition(topic, each, begin.get(each, OFFSET_BEGINNING)) for each in partitions]
            )
        self.offsets: dict[int, int] = dict(begin)
        """The offset to read next, by partition."""
        self.idle = False
        """Whether nothing came in the last step."""
        self._waits_since: float | None = None
        """When the first of the last steps began that brought neither messages nor an end, by this process's clock."""
        self._rows: dict[tuple[int, str, datetime], Part] = {}
        """Rows whose end was not met yet, by partition, chunk key and attempt."""
        self._waiting: dict[str, Whole] = {}
        """Chunks of which some parts have ended, by attempt."""
        self._order: deque[str] = deque()
        """Those whose marker in partition 0 was met, in that order."""
        self._undecodable: list[Undecodable] = []
        self._folder = tempfile.TemporaryDirectory(prefix="aurum-drain-", dir=settings.private_folder("spill"))

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
        self._folder.cleanup()

    def step(self, is_done: Callable[[str], bool]) -> Iterator[Whole]:
        """Read some messages; the chunks that became whole by them, but for those that are done."""
        self._login.renew(self._consumer)
        began = time.monotonic()
        step = self._consumed()
        self.idle = not step.reached
        self._waits_since = None if step.reached or step.ended else self._waits_since or began
        rows = self._decode(step.messages)
        for tombstone in step.tombstones:
            # Of what came behind it nothing is known yet: whoever asks for offsets meanwhile is told less than was read.
            self._add(rows.pop((tombstone.partition, tombstone.segment), ()))
            self.offsets[tombstone.partition] = tombstone.offset + 1
            self._end(tombstone, is_done)
            yield from self._in_order()
        for behind in rows.values():
            self._add(behind)
        self.offsets.update(step.reached)
        for partition, offset in step.ended.items():
            self.offsets[partition] = max(offset, self.offsets.get(partition, 0))
            self._give_up_endless(partition)
        if self.idle:
            self._give_up_torn()
            yield from self._in_order()
        self._bound_memory()

    def is_through(self, ends: Mapping[int, int]) -> bool:
        """Whether everything before these offsets was read, and nothing is left whose end was not met.

        Raises: SinkUnavailable if there is more, and none of it has come for as long as anybody waits.
        """
        lacking = {partition: end for partition, end in ends.items() if self.offsets.get(partition, 0) < end}
        if lacking and self._waits_since and time.monotonic() - self._waits_since > _PATIENCE_SECONDS:
            places = ", ".join(
                f"{partition} at {self.offsets.get(partition, 0)} of {end}"
                for partition, end in sorted(lacking.items())
            )
            raise SinkUnavailable(
                f"kafka: {self._topic} was not read to its end: nothing has come for {_PATIENCE_SECONDS:.0f} seconds in "
                f"partition {places}"
            )
        return not lacking and not self._waiting and not self._rows

    def undecodable(self) -> list[Undecodable]:
        """What was found since the last call."""
        found, self._undecodable = self._undecodable, []
        return found

    def safe_offsets(self) -> dict[int, int]:
        """Where reading could begin again without missing a row of a chunk that is not whole."""
        safe = dict(self.offsets)
        for (partition, _, _), part in self._rows.items():
            safe[partition] = min(safe[partition], part.first)
        for whole in self._waiting.values():
            for partition in whole.ends:
                safe[partition] = min(safe[partition], whole.first(partition))
        return safe

    def _consumed(self) -> _Step:
        """What there is, by column; it waits a moment if there is nothing."""
        from confluent_kafka import KafkaError

        with _no_search_for_cycles():
            found = self._consumer.consume(_MESSAGES_AT_ONCE, timeout=_POLL_SECONDS)
            ends: list[tuple[int, int]] = []
            for message in found:
                if (error := message.error()) is None:
                    continue
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                    ends.append((int(message.partition() or 0), int(message.offset() or 0)))
                elif error.fatal() or not error.retriable():
                    raise SinkUnavailable(f"kafka: {self._topic} cannot be read: {explain(error)}")
            found = [message for message in found if message.error() is None]
            partitions = [message.partition() or 0 for message in found]
            offsets = [message.offset() or 0 for message in found]
            values = [message.value() for message in found]
            reached = {partition: offset + 1 for partition, offset in zip(partitions, offsets, strict=True)}
            tombstones: list[Tombstone] = []
            segments = [0] * len(found)
            if None in values:
                counts: Counter[int] = Counter()
                for index, (partition, value) in enumerate(zip(partitions, values, strict=True)):
                    segments[index] = counts[partition]
                    if value is None:
                        # It may be a marker, which ends the rows before it.
                        headers = found[index].headers()
                        tombstones.append(Tombstone(partition, offsets[index], counts[partition], headers))
                        counts[partition] += 1
            kept = Messages.of(partitions, offsets, segments, values)
        # Behind an end there may be more by now.
        ended = {partition: offset for partition, offset in ends if offset >= reached.get(partition, 0)}
        return _Step(kept, tombstones, reached, ended)

    def _add(self, rows: Iterable[Rows]) -> None:
        for part in rows:
            self._rows.setdefault((part.partition, *part.key), Part(part.first)).add(part.table, part.messages)

    def _decode(self, found: Messages) -> dict[tuple[int, int], list[Rows]]:
        """The rows of all partitions, decoded together, by partition and segment."""

        def refuse(index: int, reason: str) -> None:
            self._undecodable.append(
                Undecodable(
                    self._topic, found.partitions[index], found.offsets[index], redacted(reason), found.values[index]
                )
            )

        decoded: defaultdict[tuple[int, int], list[Rows]] = defaultdict(list)
        for rows in self._decoder.decode(found, refuse):
            decoded[rows.partition, rows.segment].append(rows)
        return decoded

    def _in_order(self) -> Iterator[Whole]:
        """Whole chunks in the order of their markers in partition 0, which is the order in which they were begun.

        Partitions are read at different speeds, and of two chunks with the same rows the later one has to win.
        """
        while self._order and self._waiting[self._order[0]].is_whole:
            yield self._waiting.pop(self._order.popleft())

    def _end(self, found: Tombstone, is_done: Callable[[str], bool]) -> None:
        """Note that a chunk has ended in this partition."""
        try:
            marker = Marker.parse(found.headers)
        except ValueError as error:
            self._undecodable.append(
                Undecodable(self._topic, found.partition, found.offset, redacted(str(error)), None)
            )
            return
        if marker is None:
            return  # a tombstone of somebody else's
        at = marker.ingested_at
        part = None if at is None else self._rows.pop((found.partition, marker.chunk.key, at), None)
        if is_done(marker.attempt):
            return  # other parts of it may lie in front of where reading began
        whole = self._waiting.setdefault(marker.attempt, Whole(marker))
        whole.parts[found.partition], whole.ends[found.partition] = part, found.offset
        if found.partition == 0:
            self._order.append(marker.attempt)

    def _give_up_endless(self, partition: int) -> None:
        """At the end of what is committed, rows without a marker are of no transaction of ours: none will come."""
        for key in [each for each in self._rows if each[0] == partition]:
            part = self._rows.pop(key)
            reason = f"{part.messages} records of {key[1]} without a marker: not written by aurum_etl"
            self._undecodable.append(Undecodable(self._topic, partition, part.first, reason, None))

    def _give_up_torn(self) -> None:
        """A chunk whose other parts do not come has lost them to the topic's retention: what is there is judged alone."""
        for attempt, whole in self._waiting.items():
            if time.monotonic() - whole.since < _PATIENCE_SECONDS:
                continue
            for partition in whole.marker.parts.keys() - whole.ends.keys():
                whole.ends[partition], whole.parts[partition] = self.offsets.get(partition, 0), None
            if attempt not in self._order:
                self._order.append(attempt)

    def _bound_memory(self) -> None:
        parts = [
            *self._rows.values(),
            *(part for whole in self._waiting.values() for part in whole.parts.values() if part),
        ]
        if sum(part.bytes for part in parts) > _MEMORY_BYTES:
            for part in parts:
                part.spill(Path(self._folder.name))


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """The collector rests: a message is in no cycle, and every few thousand of them would have it look at all that there
    is, which took longer than reading them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def ends_of(settings: Settings, topic: str) -> dict[int, int]:
    """The offsets that the topic has now, by partition: what is committed.

    Raises: SinkUnavailable if the brokers cannot be reached, or there is no such topic.
    """
    from confluent_kafka import Consumer

    options = {"group.id": "aurum.looks", "isolation.level": "read_committed"}
    with told(f"{topic} cannot be read"):
        consumer, found = Login(settings).introduced(
            lambda brokers: Consumer({**brokers, **options}),
            lambda one, left: one.list_topics(timeout=left),
        )
        try:
            if topic not in found.topics:
                raise SinkUnavailable(f"kafka: there is no topic {topic} yet; a run with the sink kafka makes it")
            return {partition: _end_of(consumer, topic, partition) for partition in found.topics[topic].partitions}
        finally:
            consumer.close()


def _end_of(consumer: Consumer, topic: str, partition: int) -> int:
    """The end of one partition; waits a little for its leader, which a new topic does not have at once."""
    import tenacity
    from confluent_kafka import KafkaException, TopicPartition

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, KafkaException) and error.args[0].name() in _NO_LEADER
        ),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(SECONDS),
        reraise=True,
    )
    end: int = retrying(consumer.get_watermark_offsets, TopicPartition(topic, partition), timeout=SECONDS)[1]
    return end
