"""What comes again, and is in the stores already, need not be loaded again.

A receipt says what a load was made from; whether the stores still hold it, they must say themselves: once before the run,
which attempt at each chunk they hold, and again for each chunk that is recognized, whether the rows are all there. A store that
was dropped, emptied, restored or written to by others is loaded again.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from aurum_etl import sinks
from aurum_etl.chunk import ChunkKey
from aurum_etl.errors import SinkError, SpecError
from aurum_etl.receipt import Finding, Severity
from aurum_etl.telemetry import logger
from aurum_etl.window import Window, intersect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aurum_etl.chunk import Scope
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Content, Day, Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.spec import SinkSpec

UNCHANGED = "content_is_unchanged"
"""The check that a receipt has a finding of where nothing was loaded, since every store held it already."""


def said_to_be_held(
    loads: Mapping[str, Receipt], dataset: Dataset, specs: Iterable[SinkSpec], settings: Settings
) -> dict[str, Receipt]:
    """Those of the loads, by chunk key, that every store says it holds, whose attempt and rows are the receipt's.

    A store that does not answer, or is not known here, says nothing: then all is loaded again.
    """
    if not loads:
        return {}
    windows = [each.chunk.window for each in loads.values()]
    span = Window(min(each.start for each in windows), max(each.end for each in windows))
    for spec in specs:
        try:
            with closing(sinks.sink(spec, settings)) as sink:
                told = Told(sink.held(dataset, span))
        except (SinkError, SpecError) as error:
            logger().info("store.not_asked", sink=spec.kind, reason=str(error))
            return {}
        loads = {key: receipt for key, receipt in loads.items() if told.holds(receipt)}
    return dict(loads)


class Told:
    """What one store says that it holds."""

    def __init__(self, held: Iterable[Held]) -> None:
        self._by_key = {each.key: each for each in held}
        windows = [(ChunkKey.parse(key).window, key) for key in self._by_key]
        self._by_start = sorted(windows, key=lambda each: each[0].start)
        self._longest = max((window.duration for window, _ in windows), default=timedelta(0))

    def holds(self, load: Receipt) -> bool:
        """Whether it has just that load of the chunk, and no other chunk that may have a row of it."""
        found = self._by_key.get(load.chunk.key)
        return (
            found is not None
            and found.ingested_at == load.ingested_at
            and found.rows == load.rows_accepted
            and found.days in ((), load.days)
            and found.origin in (None, load.origin)
            and not self._is_met(load)
        )

    def _is_met(self, load: Receipt) -> bool:
        chunk = load.chunk
        first = bisect_left(self._by_start, chunk.window.start - self._longest, key=lambda each: each[0].start)
        last = bisect_left(self._by_start, chunk.window.end, key=lambda each: each[0].start)
        for window, key in self._by_start[first:last]:
            other = self._by_key[key].chunk
            if (
                key != chunk.key
                and intersect(window, chunk.window)
                and (other is None or other.selection.meets(chunk.selection))
            ):
                return True
        return False


def same_bytes(earlier: Receipt, answers: tuple[str, ...]) -> bool:
    """Whether the answers are those that the earlier load was made from; `answers` as in its content."""
    return earlier.content is not None and answers == earlier.content.answers != ()


def same_rows(earlier: Receipt, content: Content | None, days: tuple[Day, ...]) -> bool:
    """Whether what came has become the rows of the earlier load, and the same program made both."""
    return (
        content is not None
        and earlier.content is not None
        and (content.program, content.rows) == (earlier.content.program, earlier.content.rows)
        and days == earlier.days
    )


def rejected_share(load: Receipt) -> float:
    """The share of its rows that were rejected."""
    return load.rows_rejected / max(load.rows_accepted + load.rows_rejected, 1)


def is_held(earlier: Receipt, scope: Scope, stores: Sequence[Sink]) -> bool:
    """Whether the stores are those that took the load, and each holds just its rows now. One that cannot look at its rows,
    such as a topic, is taken at the word that it gave before the run.
    """
    if {each.kind for each in stores} != set(earlier.stores):
        return False
    if not earlier.days or sum(day.rows for day in earlier.days) != earlier.rows_accepted:
        return False
    try:
        return all(each.days(scope) in (None, earlier.days) for each in stores)
    except SinkError as error:
        # Loading will tell whether it matters.
        logger().warning("chunk.not_compared", chunk=scope.chunk.key, error=str(error))
        return False


def finding(earlier: Receipt, answers: tuple[str, ...]) -> Finding:
    """What a receipt tells of a chunk that was recognized."""
    came = "the same bytes" if same_bytes(earlier, answers) else "other bytes, and the same rows,"
    detail = f"{came} as loaded {earlier.ingested_at:%Y-%m-%dT%H:%M:%SZ}, which {' and '.join(earlier.stores)} hold"
    return Finding(UNCHANGED, Severity.INFO, earlier.rows_accepted, detail)
