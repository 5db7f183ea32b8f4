"""Kafka to the stores: chunks are put together again from a topic, validated, and committed with the position reached.

Exactly once: each store keeps the position in the very transaction (or snapshot) that brings the rows, so that after a
kill reading goes on from where the store stands, and what it holds is passed over. Of several drains of one group one
reads a topic at a time: the one to which the group gives partition 0; if a second one believes so too, the store refuses
the step of whoever is behind.
"""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections import Counter, defaultdict, deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from aurum_etl import adapters, avro, sinks
from aurum_etl.chunk import scope_of
from aurum_etl.contracts import LINEAGE
from aurum_etl.errors import Overtaken, SinkError, SinkUnavailable, SpecError
from aurum_etl.normalize import Normalized
from aurum_etl.pipeline import Workshop, load_chunk
from aurum_etl.quarantine import REJECTED_SCHEMA, Quarantine
from aurum_etl.receipt import Outcome, Receipt, Written
from aurum_etl.sinks.base import ORIGIN, Position, Progress
from aurum_etl.sinks.kafka import Marker, client_settings, explain, registry_client, told, topic_of
from aurum_etl.spec import DrainSpec, MemorySpec
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from aurum_etl.chunk import Scope
    from aurum_etl.contracts import Contract
    from aurum_etl.dataset import Dataset
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Drained, Sink, Staged
    from aurum_etl.spec import Spec
    from aurum_etl.watermarks import Store

ERROR_TOPIC = "aurum.ingest.error.v1"
_MESSAGES_AT_ONCE = 20_000
_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 10.0
_MEMORY_BYTES = 256 * 1024 * 1024
"""Rows of unfinished chunks beyond this wait on disk."""
_KEPT_BYTES = 64 * 1024
"""How much of an undecodable message goes to the error topic."""
_PATIENCE_SECONDS = 60.0
"""So long after one of its ends a chunk may lack others: transactions end on all partitions within moments."""
_FAILURES = 5
"""So often in a row a store may fail before the drain gives up."""


@dataclass
class Tally:
    """What a drain did."""

    topic: str
    receipts: list[Receipt] = field(default_factory=list)
    dead_letters: int = 0
    passed_over: int = 0
    """Chunks that every store held already."""

    @property
    def rows(self) -> int:
        """Rows that every store took."""
        return sum(receipt.rows_committed for receipt in self.receipts)

    @property
    def failed(self) -> int:
        """Chunks that were not accepted."""
        return sum(receipt.outcome is Outcome.FAILED for receipt in self.receipts)


class Positioned(Protocol):
    """Whatever keeps a position: the stores, and the record of what is done."""

    def position(self, group: str, topic: str) -> Position:
        """Where the group stands."""

    def advance(self, progress: Progress) -> None:
        """Take a step that brings nothing."""


def drain(
    spec: Spec, settings: Settings, store: Store, *, follow: bool, seen: Callable[[Receipt], None] = lambda _: None
) -> Tally:
    """Feed the spec's `drain.sinks` from the topic of its dataset.

    Without `follow` it ends at the offsets that the topic has now.

    Twice:  the second time finds nothing to do.
    Raises: SpecError if the spec has no `drain`, or the settings no brokers; SinkUnavailable and the like if a store does
            not recover.
    """
    if spec.drain is None:
        raise SpecError("the spec has no drain block; it says which stores are fed: drain: {sinks: [{kind: iceberg}]}")
    if "bootstrap.servers" not in settings.kafka:
        raise SpecError("KAFKA_BOOTSTRAP_SERVERS is not set; it names the brokers, such as localhost:9092")
    dataset = adapters.dataset(spec.dataset)
    with ExitStack() as stack:
        stores: list[Drained] = []
        for each in spec.drain.sinks:
            stores.append(sinks.drained(each, settings))
            stack.callback(stores[-1].close)
            stores[-1].open(dataset)
        return drain_into(stores, spec, settings, store, follow=follow, seen=seen)


def drain_into(
    stores: Sequence[Drained],
    spec: Spec,
    settings: Settings,
    store: Store,
    *,
    follow: bool,
    seen: Callable[[Receipt], None] = lambda _: None,
) -> Tally:
    """The same into stores that are open already."""
    block = spec.drain or DrainSpec(sinks=(MemorySpec(kind="memory"),))
    with ExitStack() as stack:
        work = _Drain(spec, block, settings, store, stores, adapters.dataset(spec.dataset), seen)
        return work.run(stack, follow=follow)


class _Drain:
    """One drain of one topic."""

    def __init__(
        self,
        spec: Spec,
        block: DrainSpec,
        settings: Settings,
        store: Store,
        stores: Sequence[Drained],
        dataset: Dataset,
        seen: Callable[[Receipt], None],
    ) -> None:
        self._spec = spec
        self._group = block.group
        self._settings = settings
        self._store = store
        self._stores = stores
        self._topic = topic_of(dataset.iso, dataset.contract, block.encoding, settings.topic_prefix)
        self._decoder = _Decoder(dataset.contract, settings.registry, avro=block.encoding == "avro")
        self._quarantine = Quarantine(settings.private_folder("quarantine"))
        self._seen = seen
        self._tally = Tally(self._topic)
        self._positions: dict[str, Position] = {}
        """What the stores and the record last told, by kind."""

    def run(self, stack: ExitStack, *, follow: bool) -> Tally:
        ends = _ends(self._settings, self._topic)
        election = _Election(self._settings, self._group, self._topic)
        stack.callback(election.close)
        letters = _DeadLetters(self._settings)
        stack.callback(letters.close)
        failures = 0
        while True:
            if not election.holds(_POLL_SECONDS):
                # Somebody else reads; without --follow this one only waits until they are through.
                if not follow and self._reached(ends):
                    return self._tally
                continue
            try:
                with _Reading(self._settings, self._topic, self._begin(), self._decoder) as reading:
                    self._read(reading, election, letters, None if follow else ends)
                    failures = 0
                if not follow and election.holds(0):
                    return self._tally
            except Overtaken as error:
                logger().warning("drain.overtaken", topic=self._topic, told=str(error))
            except SinkError as error:
                failures += 1
                if not error.retryable or failures >= _FAILURES:
                    raise
                logger().warning("drain.retries", topic=self._topic, error=f"{type(error).__name__}: {error}")
                time.sleep(min(0.2 * 2**failures, 5))

    def _participants(self) -> dict[str, Positioned]:
        return {**{each.kind: each for each in self._stores}, "receipts": self._store}

    def _begin(self) -> dict[int, int]:
        """Where reading begins: with what any store, or the record, still lacks."""
        self._positions = {name: each.position(self._group, self._topic) for name, each in self._participants().items()}
        offsets = [each.offsets for each in self._positions.values()]
        shared = set.intersection(*(set(each) for each in offsets))
        return {partition: min(each[partition] for each in offsets) for partition in shared}

    def _reached(self, ends: Mapping[int, int]) -> bool:
        begin = self._begin()
        return all(begin.get(partition, 0) >= end for partition, end in ends.items())

    def _read(
        self, reading: _Reading, election: _Election, letters: _DeadLetters, ends: Mapping[int, int] | None
    ) -> None:
        """Read until the end, or until the topic is given to somebody else."""
        while election.holds(0):
            for whole in reading.step(lambda attempt: all(attempt in each.done for each in self._positions.values())):
                self._take(whole, reading)
            self._tally.dead_letters += letters.send(reading.undecodable())
            if reading.idle:
                self._advance(reading)
                if ends is not None and reading.is_through(ends):
                    return

    def _take(self, whole: _Whole, reading: _Reading) -> None:
        """Load one chunk into the stores that lack it, and put its receipt on record."""
        marker = whole.marker
        attempt, safe = marker.attempt, reading.safe_offsets()
        steps = {
            name: Progress(self._group, self._topic, position, position.after(attempt, whole.ends, safe))
            for name, position in self._positions.items()
        }
        lacking = [each for each in self._stores if attempt not in self._positions[each.kind].done]
        receipt = self._load(whole, [_Advancing(each.kind, each, steps[each.kind]) for each in lacking])
        if receipt.outcome is Outcome.FAILED:
            # It will not be better the next time: the reason is on record, and the topic goes on.
            for each in lacking:
                each.advance(steps[each.kind])
        held = [each.kind for each in self._stores if each not in lacking]
        if attempt not in self._positions["receipts"].done:
            already = tuple(Written(kind, self._topic, receipt.rows_accepted, "") for kind in held)
            receipt = replace(receipt, written=(*already, *receipt.written))
            self._store.append(receipt, steps["receipts"])
            self._tally.receipts.append(receipt)
            self._seen(receipt)
        for name, step in steps.items():
            if name == "receipts" or name not in held:
                self._positions[name] = step.after

    def _load(self, whole: _Whole, stores: Sequence[Sink]) -> Receipt:
        marker, chunk = whole.marker, whole.marker.chunk
        dataset = adapters.dataset(chunk.dataset)
        if not any(marker.parts.values()):
            return _load_nothing(marker, dataset, stores)
        lost = whole.lost
        unplaced = pl.DataFrame(schema=REJECTED_SCHEMA)
        if lost:
            told_ = f"{lost} of {sum(marker.parts.values())} messages could not be read; see {ERROR_TOPIC}"
            unplaced = pl.DataFrame(
                {"check": ["message_is_decodable"], "column": [""], "value": [self._topic], "record": [told_]},
                schema=REJECTED_SCHEMA,
            )
            unplaced = pl.concat([unplaced] * lost)
        frame = (
            pl.DataFrame(whole.table(dataset.contract))
            .drop(LINEAGE)
            .sort("iso_location_id", "interval_start", maintain_order=True)
        )
        workshop = Workshop(
            adapter=adapters.adapter(dataset.iso),
            dataset=dataset,
            origin=marker.origin,
            sinks=stores,
            quarantine=self._quarantine,
            max_rejected_share=self._spec.quality.max_rejected_share,
            max_bytes=self._settings.response_max_bytes,
        )
        return load_chunk(
            chunk,
            workshop,
            Normalized(frame, unplaced, len(frame) + lost, 0, 0),
            ingested_at=marker.ingested_at,
            raising=(SinkError,),
        )

    def _advance(self, reading: _Reading) -> None:
        """Note how far it read where nothing came that a store would take."""
        safe = reading.safe_offsets()
        for name, each in self._participants().items():
            position = self._positions[name]
            after = position.after("", {}, safe)
            if after != position:
                each.advance(Progress(self._group, self._topic, position, after))
                self._positions[name] = after


def _load_nothing(marker: Marker, dataset: Dataset, stores: Sequence[Sink]) -> Receipt:
    """A chunk without rows takes the place of one with rows."""
    started = datetime.now(UTC)
    table = dataset.contract.arrow_schema.empty_table().replace_schema_metadata({ORIGIN: marker.origin.value})
    staged = [each.stage(table, scope_of(marker.chunk, dataset)) for each in stores]
    return Receipt(
        chunk=marker.chunk,
        origin=marker.origin,
        outcome=Outcome.DONE,
        started_at=started,
        finished_at=datetime.now(UTC),
        rows_read=0,
        rows_accepted=0,
        rows_rejected=0,
        attempts=0,
        seconds={},
        written=tuple(each.commit() for each in staged),
    )


@dataclass(frozen=True, slots=True)
class _Advancing:
    """A store whose next commit takes a step of the drain as well."""

    kind: str
    store: Drained
    progress: Progress

    def open(self, dataset: Dataset | None = None) -> None:
        self.store.open(dataset)

    def stage(self, table: pa.Table, scope: Scope) -> Staged:
        return self.store.stage(table, scope, self.progress)

    def close(self) -> None:
        self.store.close()


class _Part:
    """The rows of one chunk in one partition, as far as they were read."""

    def __init__(self, first: int) -> None:
        self.first = first
        """Offset of the first message."""
        self.messages = 0
        self.bytes = 0
        self._tables: list[pa.Table] = []
        self._files: list[Path] = []

    def add(self, table: pa.Table, messages: int) -> None:
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
        for path in self._files:
            with pa.memory_map(str(path)) as file:
                yield pyarrow.ipc.open_file(file).read_all()
            path.unlink()
        yield from self._tables


@dataclass
class _Whole:
    """A chunk on its way to be whole: parts arrive in any order, each with its marker."""

    marker: Marker
    since: float = field(default_factory=time.monotonic)
    """When its first end was met, by this process's clock."""
    ends: dict[int, int] = field(default_factory=dict)
    """Offset of the marker, by partition."""
    parts: dict[int, _Part | None] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        return self.ends.keys() >= self.marker.parts.keys()

    @property
    def lost(self) -> int:
        """Messages that the markers count and nobody could read."""
        found = {partition: part.messages if part else 0 for partition, part in self.parts.items()}
        return sum(max(count - found.get(partition, 0), 0) for partition, count in self.marker.parts.items())

    def first(self, partition: int) -> int:
        part = self.parts[partition]
        return self.ends[partition] if part is None else min(part.first, self.ends[partition])

    def table(self, contract: Contract) -> pa.Table:
        tables = [table for part in self.parts.values() if part for table in part.tables()]
        return pa.concat_tables([contract.arrow_schema.empty_table(), *tables])


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """A message that no chunk can be made of."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A message, and how many tombstones came before it in the same step and partition."""

    partition: int
    offset: int
    segment: int
    message: Message


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one chunk and attempt, of one segment."""

    partition: int
    segment: int
    key: tuple[str, datetime]
    """Chunk key and instant of the attempt."""
    first: int
    """Offset of the first message."""
    messages: int
    table: pa.Table


class _Reading:
    """The topic from some offsets on, as chunks."""

    def __init__(self, settings: Settings, topic: str, begin: Mapping[int, int], decoder: _Decoder) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        self._topic = topic
        self._decoder = decoder
        self._consumer = Consumer(
            {
                **client_settings(settings.kafka),
                "group.id": "aurum.reads",  # of no group: partitions are taken, not given
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 65_536,
            }
        )
        with told(f"{topic} cannot be read"):
            partitions = self._consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
            self._consumer.assign(
                [TopicPartition(topic, each, begin.get(each, OFFSET_BEGINNING)) for each in partitions]
            )
        self.offsets: dict[int, int] = dict(begin)
        """The offset to read next, by partition."""
        self.idle = False
        """Whether nothing came in the last step."""
        self._rows: dict[tuple[int, str, datetime], _Part] = {}
        """Rows whose end was not met yet, by partition, chunk key and attempt."""
        self._waiting: dict[str, _Whole] = {}
        """Chunks of which some parts have ended, by attempt."""
        self._order: deque[str] = deque()
        """Those whose marker in partition 0 was met, in that order."""
        self._undecodable: list[_Undecodable] = []
        self._folder = tempfile.TemporaryDirectory(prefix="aurum-drain-", dir=settings.private_folder("spill"))

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
        self._folder.cleanup()

    def step(self, is_done: Callable[[str], bool]) -> Iterator[_Whole]:
        """Read some messages; the chunks that became whole by them, but for those that are done."""
        from confluent_kafka import KafkaError

        messages = self._consumer.consume(_MESSAGES_AT_ONCE, timeout=_POLL_SECONDS)
        found: list[_Found] = []
        ended: list[tuple[int, int]] = []
        segments: Counter[int] = Counter()
        for message in messages:
            error, partition, offset = message.error(), int(message.partition() or 0), int(message.offset() or 0)
            if error is None:
                found.append(_Found(partition, offset, segments[partition], message))
                # A tombstone may be a marker, which ends the rows before it.
                segments[partition] += message.value() is None
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                ended.append((partition, offset))
            elif error.fatal() or not error.retriable():
                raise SinkUnavailable(f"kafka: {self._topic} cannot be read: {explain(error)}")
        self.idle = not found
        rows = self._decode([each for each in found if each.message.value() is not None])
        for each in found:
            for part in rows.pop((each.partition, each.segment), ()):
                self._rows.setdefault((each.partition, *part.key), _Part(part.first)).add(part.table, part.messages)
            self.offsets[each.partition] = each.offset + 1
            if each.message.value() is None:
                self._end(each, is_done)
                yield from self._in_order()
        for partition, offset in ended:
            self.offsets[partition] = max(offset, self.offsets.get(partition, 0))
            self._give_up_endless(partition)
        if self.idle:
            self._give_up_torn()
            yield from self._in_order()
        self._bound_memory()

    def is_through(self, ends: Mapping[int, int]) -> bool:
        """Whether everything before these offsets was read, and no chunk is left that lacks a part."""
        return not self._waiting and all(self.offsets.get(partition, 0) >= end for partition, end in ends.items())

    def undecodable(self) -> list[_Undecodable]:
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

    def _decode(self, found: Sequence[_Found]) -> dict[tuple[int, int], list[_Rows]]:
        """The rows of all partitions, decoded together, by partition and segment."""

        def refuse(index: int, reason: str) -> None:
            each = found[index]
            self._undecodable.append(
                _Undecodable(self._topic, each.partition, each.offset, reason, each.message.value())
            )

        decoded: defaultdict[tuple[int, int], list[_Rows]] = defaultdict(list)
        for rows in self._decoder.decode(found, refuse):
            decoded[rows.partition, rows.segment].append(rows)
        return decoded

    def _in_order(self) -> Iterator[_Whole]:
        """Whole chunks in the order of their markers in partition 0, which is the order in which they were begun.

        Partitions are read at different speeds, and of two chunks with the same rows the later one has to win.
        """
        while self._order and self._waiting[self._order[0]].is_whole:
            yield self._waiting.pop(self._order.popleft())

    def _end(self, found: _Found, is_done: Callable[[str], bool]) -> None:
        """Note that a chunk has ended in this partition."""
        try:
            marker = Marker.parse(found.message.headers())
        except ValueError as error:
            self._undecodable.append(_Undecodable(self._topic, found.partition, found.offset, str(error), None))
            return
        if marker is None:
            return  # a tombstone of somebody else's
        at = marker.ingested_at
        part = None if at is None else self._rows.pop((found.partition, marker.chunk.key, at), None)
        if is_done(marker.attempt):
            return  # other parts of it may lie in front of where reading began
        whole = self._waiting.setdefault(marker.attempt, _Whole(marker))
        whole.parts[found.partition], whole.ends[found.partition] = part, found.offset
        if found.partition == 0:
            self._order.append(marker.attempt)

    def _give_up_endless(self, partition: int) -> None:
        """At the end of what is committed, rows without a marker are of no transaction of ours: none will come."""
        for key in [each for each in self._rows if each[0] == partition]:
            part = self._rows.pop(key)
            reason = f"{part.messages} records of {key[1]} without a marker: not written by aurum_etl"
            self._undecodable.append(_Undecodable(self._topic, partition, part.first, reason, None))

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


class _Decoder:
    """Values to rows, by column."""

    def __init__(self, contract: Contract, registry: Mapping[str, str], *, avro: bool) -> None:
        if avro and "url" not in registry:
            raise SpecError("SCHEMA_REGISTRY_URL is not set; it names the registry, such as http://localhost:8081")
        self._contract = contract
        self._registry = registry
        self._avro = avro
        self._schemas: dict[int, dict[str, Any] | str] = {}
        """The writer's schema, or why there is none, by id."""

    def decode(self, found: Sequence[_Found], refuse: Callable[[int, str], None]) -> Iterator[_Rows]:
        """The rows of the messages, apart by partition, segment, chunk and attempt."""
        if not self._avro:
            yield from self._batches(found, refuse)
            return
        messages = pl.DataFrame(
            {
                "value": pl.Series([each.message.value() for each in found], dtype=pl.Binary),
                "partition": pl.Series([each.partition for each in found], dtype=pl.Int32),
                "segment": pl.Series([each.segment for each in found], dtype=pl.Int32),
                "offset": pl.Series([each.offset for each in found], dtype=pl.Int64),
            }
        ).with_row_index("index")
        messages = messages.with_columns(schema=avro.schema_ids(messages.get_column("value")))
        for group in messages.partition_by("schema", maintain_order=True):
            number = group.item(0, "schema")
            schema = "no header of a schema registry" if number is None else self._schema(number)
            places = group.get_column("index").to_list()
            try:
                if isinstance(schema, str):
                    raise ValueError(schema)  # noqa: TRY004 - it tells why there is none
                decoded = avro.decode(group.get_column("value"), schema, self._contract)
            except ValueError as error:
                for place in places:
                    refuse(place, f"schema {number}: {error}")
                continue
            for index, reason in decoded.bad.iter_rows():
                refuse(places[index], reason)
            where = group.select("partition", "segment", "offset").filter(decoded.kept)
            rows = pl.concat([pl.DataFrame(decoded.table), where], how="horizontal")
            for part in rows.partition_by("partition", "segment", "chunk_key", "ingested_at", maintain_order=True):
                partition, segment, offset, *key = part.select(*where.columns, "chunk_key", "ingested_at").row(0)
                table = part.drop(where.columns).to_arrow(compat_level=pl.CompatLevel.oldest())
                table = table.cast(self._contract.arrow_schema)
                yield _Rows(partition, segment, (key[0], key[1]), offset, len(part), table)

    def _batches(self, found: Sequence[_Found], refuse: Callable[[int, str], None]) -> Iterator[_Rows]:
        for index, each in enumerate(found):
            try:
                with pyarrow.ipc.open_stream(each.message.value() or b"") as reader:
                    table = reader.read_all()
                table.validate(full=True)
            except (pa.ArrowInvalid, OSError) as error:
                refuse(index, f"not an Arrow stream: {error}")
                continue
            if not table.schema.equals(self._contract.arrow_schema) or not table.num_rows:
                refuse(index, f"an Arrow stream of other columns: {', '.join(table.schema.names)}")
                continue
            key = table["chunk_key"][0].as_py(), table["ingested_at"][0].as_py()
            yield _Rows(each.partition, each.segment, key, each.offset, 1, table)

    def _schema(self, number: int) -> dict[str, Any] | str:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if number not in self._schemas:
            try:
                with registry_client(self._registry) as client:
                    self._schemas[number] = json.loads(client.get_schema(number).schema_str)
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise SinkUnavailable(f"kafka: schema {number} cannot be had: {error.error_message}") from error
                self._schemas[number] = f"schema {number} is not in the registry"
        return self._schemas[number]


class _Election:
    """Which drain of the group reads: the one to which the group has given partition 0 of the topic."""

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        from confluent_kafka import Consumer

        self._topic = topic
        self._mine = False
        self._consumer = Consumer(
            {
                **client_settings(settings.kafka),
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
        with told(f"{self._topic} cannot be read"):
            self._consumer.poll(seconds)
        return self._mine

    def close(self) -> None:
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


class _DeadLetters:
    """The topic of what nobody could read; a letter sent twice has the same key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic_prefix + ERROR_TOPIC
        self._producer: Any = None

    def send(self, found: Sequence[_Undecodable]) -> int:
        """Send them, and wait until the brokers have them. How many they were."""
        if not found:
            return 0
        from confluent_kafka import Producer

        with told(f"{self._topic} cannot be written"):
            if self._producer is None:
                _make_error_topic(self._settings, self._topic)
                self._producer = Producer({**client_settings(self._settings.kafka), "enable.idempotence": True})
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
            if self._producer.flush(_ANSWER_SECONDS * 3):
                raise SinkUnavailable(f"kafka: {self._topic} does not take what could not be read")
        logger().warning("drain.undecodable", count=len(found), reason=found[0].reason)
        return len(found)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()


def _make_error_topic(settings: Settings, topic: str) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    try:
        client = AdminClient(client_settings(settings.kafka))
        client.create_topics([NewTopic(topic, num_partitions=1)])[topic].result(_ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _ends(settings: Settings, topic: str) -> dict[int, int]:
    """The offsets that the topic has now, by partition: what is committed.

    Raises: SinkUnavailable if the brokers cannot be reached, or there is no such topic.
    """
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {**client_settings(settings.kafka), "group.id": "aurum.looks", "isolation.level": "read_committed"}
    )
    try:
        with told(f"{topic} cannot be read"):
            known = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
            if topic not in known:
                raise SinkUnavailable(f"kafka: there is no topic {topic} yet; a run with the sink kafka makes it")
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)[1]
                for partition in known[topic].partitions
            }
    finally:
        consumer.close()
