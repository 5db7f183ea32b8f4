"""Kafka to the stores: chunks are put together again from a topic, validated, and committed with the position reached.

Exactly once: each store keeps the position in the very transaction (or snapshot) that brings the rows, so that after a
kill reading goes on from where the store stands, and what it holds is passed over. Of several drains of one group one
reads a topic at a time: the one to which the group gives partition 0; if a second one believes so too, the store refuses
the step of whoever is behind.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import polars as pl

from aurum_etl import adapters, sinks
from aurum_etl.chunk import scope_of
from aurum_etl.contracts import LINEAGE
from aurum_etl.drain.decoder import Decoder
from aurum_etl.drain.group import ERROR_TOPIC, DeadLetters, Election
from aurum_etl.drain.reading import Reading, ends_of
from aurum_etl.errors import Overtaken, SecretError, SinkError, SpecError, in_words, listed
from aurum_etl.normalize import Normalized
from aurum_etl.pipeline import Workshop, load_chunk
from aurum_etl.quarantine import REJECTED_SCHEMA, Quarantine
from aurum_etl.receipt import Outcome, Receipt, Written
from aurum_etl.sinks.base import Position, Progress
from aurum_etl.sinks.kafka.topics import topic_of
from aurum_etl.sinks.ledger import Provenance
from aurum_etl.spec import DrainSpec, MemorySpec
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.drain.reading import Whole
    from aurum_etl.receipt import Day
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Drained, Sink, Staged
    from aurum_etl.sinks.kafka.topics import Marker
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.spec import Spec
    from aurum_etl.watermarks import Store
    from aurum_etl.window import Window

__all__ = ["ERROR_TOPIC", "Tally", "drain", "drain_into"]

_POLL_SECONDS = 0.25
_MOST_LOST = 1_000_000
"""Of a chunk that lacks more messages nothing is loaded, whatever share of it that is: each is a row of the quarantine."""
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
    settings = settings.referring(spec.references(spec.chosen(adapters.dataset(spec.dataset))))
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
        self._dataset = dataset
        self._topic = topic_of(dataset.iso, dataset.contract, block.encoding, settings.topic_prefix)
        self._decoder = Decoder(dataset.contract, settings, avro=block.encoding == "avro")
        self._quarantine = Quarantine(settings.private_folder("quarantine"))
        self._seen = seen
        self._tally = Tally(self._topic)
        self._positions: dict[str, Position] = {}
        """What the stores and the record last told, by kind."""

    def run(self, stack: ExitStack, *, follow: bool) -> Tally:
        ends = ends_of(self._settings, self._topic)
        election = Election(self._settings, self._group, self._topic)
        stack.callback(election.close)
        letters = DeadLetters(self._settings)
        stack.callback(letters.close)
        failures, done = 0, 0
        while True:
            try:
                if not election.holds(_POLL_SECONDS):
                    # Somebody else reads; without --follow this one only waits until they are through.
                    if not follow and self._reached(ends):
                        return self._tally
                    continue
                with Reading(self._settings, self._topic, self._begin(), self._decoder) as reading:
                    self._read(reading, election, letters, None if follow else ends)
                if not follow and election.holds(0):
                    return self._tally
            except Overtaken as error:
                logger().warning("drain.overtaken", topic=self._topic, told=str(error))
            except (SinkError, SecretError) as error:
                failures = failures + 1 if len(self._tally.receipts) == done else 1
                done = len(self._tally.receipts)
                if not error.retryable or failures >= _FAILURES:
                    raise
                logger().warning("drain.retries", topic=self._topic, error=in_words(error))
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

    def _read(self, reading: Reading, election: Election, letters: DeadLetters, ends: Mapping[int, int] | None) -> None:
        """Read until the end, or until the topic is given to somebody else."""
        while election.holds(0):
            for whole in reading.step(lambda attempt: all(attempt in each.done for each in self._positions.values())):
                self._take(whole, reading)
            self._tally.dead_letters += letters.send(reading.undecodable())
            if reading.idle:
                self._advance(reading)
                if ends is not None and reading.is_through(ends):
                    return

    def _take(self, whole: Whole, reading: Reading) -> None:
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

    def _load(self, whole: Whole, stores: Sequence[Sink]) -> Receipt:
        marker, chunk = whole.marker, whole.marker.chunk
        if chunk.dataset not in adapters.datasets():
            known = listed(adapters.datasets(), chunk.dataset)
            return _without_rows(marker, Outcome.FAILED, f"SourceChanged: {chunk.dataset} is not one of {known}")
        dataset = adapters.dataset(chunk.dataset)
        if (dataset.iso, dataset.contract) != (self._dataset.iso, self._dataset.contract):
            # Whoever may write to one topic has no say in what is on another.
            told_ = f"SourceChanged: {chunk.dataset} is not of the kind and ISO of {self._topic}"
            return _without_rows(marker, Outcome.FAILED, told_)
        if not any(marker.parts.values()):
            return _load_nothing(marker, dataset, stores)
        lost = whole.lost
        if lost > _MOST_LOST:
            told_ = f"SourceChanged: {lost:,} of {sum(marker.parts.values()):,} messages could not be read"
            return _without_rows(marker, Outcome.FAILED, told_)
        unplaced = pl.DataFrame(schema=REJECTED_SCHEMA)
        if lost:
            told_ = f"{lost} of {sum(marker.parts.values())} messages could not be read; see {ERROR_TOPIC}"
            unplaced = pl.DataFrame(
                {"check": ["message_is_decodable"], "column": [""], "value": [self._topic], "record": [told_]},
                schema=REJECTED_SCHEMA,
            )
            unplaced = pl.concat([unplaced] * lost)
        frame = (
            pl.DataFrame(whole.table(dataset.contract)).drop(LINEAGE).sort(dataset.contract.order, maintain_order=True)
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
            Normalized(frame, unplaced, len(frame) + lost),
            ingested_at=marker.ingested_at,
            raising=(SinkError, SecretError),
        )

    def _advance(self, reading: Reading) -> None:
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
    table = Provenance(marker.origin).on(dataset.contract.arrow_schema.empty_table())
    staged = [each.stage(table, scope_of(marker.chunk, dataset)) for each in stores]
    return replace(_without_rows(marker, Outcome.DONE), written=tuple(each.commit() for each in staged))


def _without_rows(marker: Marker, outcome: Outcome, error: str | None = None) -> Receipt:
    now = datetime.now(UTC)
    return Receipt(
        chunk=marker.chunk,
        origin=marker.origin,
        outcome=outcome,
        started_at=now,
        finished_at=now,
        rows_read=0,
        rows_accepted=0,
        rows_rejected=0,
        attempts=0,
        seconds={},
        error=error,
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

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        return self.store.held(dataset, window)

    def days(self, scope: Scope) -> tuple[Day, ...] | None:
        return self.store.days(scope)

    def close(self) -> None:
        self.store.close()
