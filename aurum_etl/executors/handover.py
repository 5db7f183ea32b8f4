"""One committer for what many processes stage: workers write files and hand them over, the driver commits them.

Four committers on one Iceberg table are slower than one, and lose chunks to each other's conflicts; so a worker's stores
of that kind stop before the commit, and what they would have committed travels with the receipt. Stores that commit in a
transaction do so in the worker, before the handover: that order keeps "staged everywhere, then committed everywhere".
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl.chunk import scope_of
from aurum_etl.errors import AurumError, SinkError, in_words
from aurum_etl.pipeline import taken_in_part
from aurum_etl.receipt import Outcome, Receipt, Written
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Day
    from aurum_etl.sinks.base import Sink, Staged
    from aurum_etl.sinks.iceberg import Handover
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.window import Window


@dataclass(frozen=True, slots=True)
class Brought:
    """What a worker brings of a task: receipts in which a store that handed over stands with its attempt as version."""

    receipts: tuple[Receipt, ...]
    """None where the worker was told to stop."""
    handovers: Mapping[str, Handover] = field(default_factory=dict, hash=False)
    """By attempt."""
    postponed: AurumError | None = None
    """Why there is no receipt, where the chunk is worth another try at a known time."""


class HandingOver:
    """A store of a worker that stages, and leaves the commit to the driver."""

    def __init__(self, sink: IcebergSink) -> None:
        self.kind = sink.kind
        self._sink = sink
        self._lock = threading.Lock()
        self._handovers: dict[str, Handover] = {}

    def open(self, dataset: Dataset | None = None) -> None:
        """See `Sink.open`."""
        self._sink.open(dataset)

    def close(self) -> None:
        """See `Sink.close`."""
        self._sink.close()

    def stage(self, table: pa.Table, scope: Scope) -> Staged:
        """See `Sink.stage`; the commit of what is staged keeps it for `taken`."""
        staged = self._sink.stage(table, scope)
        return _HandingOver(staged, lambda: self._keep(self._sink.handed_over(staged)))

    def held(self, dataset: Dataset | None = None, window: Window | None = None) -> list[Held]:
        """See `Sink.held`."""
        return self._sink.held(dataset, window)

    def days(self, scope: Scope) -> tuple[Day, ...]:
        """See `Sink.days`."""
        return self._sink.days(scope)

    def taken(self, receipts: Sequence[Receipt]) -> dict[str, Handover]:
        """What those receipts name, which is then no longer kept here."""
        attempts = [each.version for receipt in receipts for each in receipt.written if each.sink == self.kind]
        with self._lock:
            return {each: self._handovers.pop(each) for each in attempts if each in self._handovers}

    def _keep(self, handover: Handover) -> Written:
        """Keep it until the receipt is there that it travels with."""
        with self._lock:
            self._handovers[handover.attempt] = handover
        return Written(self.kind, "", handover.entry.rows, handover.attempt)


class _HandingOver:
    def __init__(self, staged: Staged, hand_over: Callable[[], Written]) -> None:
        self._staged = staged
        self._hand_over = hand_over

    def commit(self) -> Written:
        """The commit is the driver's: nothing is visible yet."""
        return self._hand_over()

    def discard(self) -> None:
        """See `Staged.discard`."""
        self._staged.discard()


def for_a_worker(stores: Sequence[Sink]) -> tuple[list[Sink], list[HandingOver]]:
    """The stores as a worker uses them, those that hand over last: when they are committed, all others have been."""
    handing = [HandingOver(each) for each in stores if isinstance(each, IcebergSink)]
    return [*(each for each in stores if not isinstance(each, IcebergSink)), *handing], handing


def settled(brought: Sequence[Brought], stores: Sequence[IcebergSink], dataset: Dataset) -> list[tuple[Receipt, ...]]:
    """Commit what workers handed over, as many chunks in one snapshot as came together, and finish their receipts.

    A chunk whose commit fails here is `failed`, with the stores that took it in its findings, as if it had failed in one
    process; its files are removed.
    """
    started = time.perf_counter()
    outcomes: dict[str, Written | SinkError] = {}
    with ExitStack() as undo:
        for store in stores:
            adopted = []
            for one in brought:
                for receipt in one.receipts:
                    for each in receipt.written:
                        if (handover := one.handovers.get(each.version)) is None or each.sink != store.kind:
                            continue
                        try:
                            staged = store.adopt(handover, scope_of(receipt.chunk, dataset))
                        except SinkError as error:
                            outcomes[each.version] = error
                        else:
                            undo.callback(staged.discard)
                            adopted.append(staged)
            written = store.commit_together(adopted)
            outcomes |= {each.attempt: outcome for each, outcome in zip(adopted, written, strict=True)}
    took = time.perf_counter() - started
    return [tuple(_finished(receipt, outcomes, took) for receipt in one.receipts) for one in brought]


def _finished(receipt: Receipt, outcomes: Mapping[str, Written | SinkError], took: float) -> Receipt:
    """The receipt with what came of its handovers in the place of their attempts."""
    came = {each.version: outcomes[each.version] for each in receipt.written if each.version in outcomes}
    if not came:
        return receipt
    found = [came.get(each.version, each) for each in receipt.written]
    written = [each for each in found if isinstance(each, Written)]
    seconds = {**receipt.seconds, "commit": round(receipt.seconds.get("commit", 0.0) + took, 6)}
    receipt = replace(receipt, written=tuple(written), seconds=seconds, finished_at=datetime.now(UTC))
    if len(written) == len(found):
        return receipt
    error = next(each for each in found if isinstance(each, SinkError))
    error.chunk_key = receipt.chunk.key
    told = in_words(error)
    logger().warning("chunk.failed", chunk=receipt.chunk.key, error=told)
    findings = receipt.findings
    if written:
        findings = (*findings, taken_in_part(written, len(found) - len(written), error))
    return replace(receipt, outcome=Outcome.FAILED, findings=findings, error=told, content=None)
