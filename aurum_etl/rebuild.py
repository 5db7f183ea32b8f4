"""A lost record, made anew from what the stores hold: what `aurum-etl store rebuild` does.

The stores know which chunks they hold, of which attempt, and where the rows came from; what is only in the record (failures,
empty days, durations, findings) is lost with it. Nothing is fetched, and no store is changed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aurum_etl import adapters, sinks
from aurum_etl.chunk import ChunkKey
from aurum_etl.errors import RecordUnreadable, UsageError
from aurum_etl.quarantine import Quarantine
from aurum_etl.receipt import Finding, Outcome, Receipt, Severity, Written
from aurum_etl.spec import default_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset
    from aurum_etl.receipt import Origin
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.ledger import Held
    from aurum_etl.watermarks import Store

REBUILT = "receipt_is_the_runs_own"
"""The check that a rebuilt receipt has a finding of."""


@dataclass(frozen=True, slots=True)
class Untold:
    """A chunk that no receipt could be made of."""

    chunk_key: str
    sinks: tuple[str, ...]
    """The stores that hold it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    sinks: tuple[str, ...]
    """The stores that were asked."""
    receipts: tuple[Receipt, ...]
    """Those that were added."""
    known: int
    """Chunks that the record knew already."""
    untold: tuple[Untold, ...]
    moved_to: Path | None
    """Where the old record is, if it could not be read."""


def rebuild(settings: Settings, store: Store, kinds: Sequence[str] = ()) -> Rebuilt:
    """Add a receipt for every chunk that a store holds and the record does not know.

    Without `kinds`, the stores are those that the settings name: an Iceberg catalog, and a database. A record that cannot
    be read is moved aside first; one that can be read keeps what it has.

    Twice:  the second time finds nothing to add.
    Raises: UsageError if a kind is none, or no store is named; SinkUnavailable if a store cannot be asked, before the record
            is touched.
    """
    kinds = tuple(dict.fromkeys(kinds or named_stores(settings)))
    for kind in kinds:
        if kind not in sinks.KINDS or kind in sinks.FLEETING:
            choices = ", ".join(sorted(set(sinks.KINDS) - sinks.FLEETING))
            raise UsageError(f'--sink: "{kind}" is not one of {choices}')
    if not kinds:
        raise UsageError(
            f"there is neither an Iceberg catalog under {settings.home} nor one at AURUM_ICEBERG_URI, and "
            "TIMESCALE_CONNECTION is not set: no store is named that could be asked"
        )
    held = {kind: _held(kind, settings) for kind in kinds}
    moved_to: Path | None = None
    try:
        receipts = store.receipts()
    except RecordUnreadable:
        moved_to, receipts = store.move_aside(), []
    quarantine = Quarantine(settings.home / "quarantine")
    found, known, untold = missing(held, receipts, adapters.datasets(), quarantine.rows)
    store.extend(found)
    return Rebuilt(kinds, tuple(found), known, tuple(untold), moved_to)


def named_stores(settings: Settings) -> tuple[str, ...]:
    """The stores that the settings name; a topic is asked only where it is asked for."""
    there = {
        "iceberg": "uri" in settings.catalog or (settings.home / "catalog.db").exists(),
        "timescale": settings.timescale is not None,
    }
    return tuple(kind for kind, is_there in there.items() if is_there)


def missing(
    held: Mapping[str, Iterable[Held]],
    receipts: Iterable[Receipt],
    datasets: Mapping[str, Dataset],
    rejected: Callable[[Chunk, datetime], int] = lambda *_: 0,
) -> tuple[list[Receipt], int, list[Untold]]:
    """Receipts of what the stores hold and the record does not know, oldest first; how many attempts it knows; and what no
    receipt can be made of.

    `rejected` tells how many rows of an attempt were. Stores that hold the same attempt at a chunk share a receipt. One
    that holds an older attempt than another has one of its own: then they differ, and the next run of a spec with both
    brings the chunk again.
    """
    on_record: dict[tuple[str, str], datetime] = {}
    names: dict[str, tuple[str, ...]] = {}
    for receipt in receipts:
        names[str(receipt.chunk.selection)] = receipt.chunk.selection.names
        for kind in receipt.stores:
            place = receipt.chunk.key, kind
            on_record[place] = max(receipt.started_at, on_record.get(place, receipt.started_at))
    attempts: defaultdict[tuple[datetime, str], dict[str, Held]] = defaultdict(dict)
    for kind, chunks in held.items():
        for each in chunks:
            attempts[each.ingested_at, each.key][kind] = each
            if each.chunk is not None:
                names[str(each.chunk.selection)] = each.chunk.selection.names
    found: list[Receipt] = []
    untold: list[Untold] = []
    known = 0
    for (instant, key), stores in sorted(attempts.items()):
        if all(on_record.get((key, kind), _NEVER) >= instant for kind in stores):
            known += 1
            continue
        made = _receipt(key, instant, stores, names, datasets, rejected)
        if isinstance(made, Receipt):
            found.append(made)
        else:
            untold.append(Untold(key, tuple(stores), made))
    return found, known, untold


_NEVER = datetime.min.replace(tzinfo=UTC)


def _receipt(
    key: str,
    instant: datetime,
    stores: Mapping[str, Held],
    names: Mapping[str, tuple[str, ...]],
    datasets: Mapping[str, Dataset],
    rejected: Callable[[Chunk, datetime], int],
) -> Receipt | str:
    """The receipt of an attempt that these stores hold, or why there can be none."""
    parsed = ChunkKey.parse(key)
    if parsed.dataset not in datasets:
        return f"{parsed.dataset} is no dataset of this program"
    chunk = parsed.chunk(names.get(parsed.selection, ()))
    if chunk is None:
        return f"no store knows which locations {parsed.selection} are"
    # What one store has forgotten another may know; who knows the days knows how many rows there were.
    told = sorted(stores.values(), key=lambda each: (bool(each.days), each.rows), reverse=True)
    origin: Origin | None = next((each.origin for each in told if each.origin is not None), None)
    if origin is None:
        return "no store knows where its rows came from: invented ones must not pass for published ones"
    ranks = datasets[parsed.dataset].ranks
    marks = [mark for mark in next((each.revisions for each in told if each.revisions), ()) if mark in ranks]
    rows, refused = told[0].rows, rejected(chunk, instant)
    return Receipt(
        chunk=chunk,
        origin=origin,
        outcome=Outcome.QUARANTINED if refused else Outcome.DONE,
        started_at=instant,
        finished_at=instant,
        rows_read=rows + refused,
        rows_accepted=rows,
        rows_rejected=refused,
        attempts=0,
        seconds={},
        written=tuple(Written(kind, each.table, rows, each.version) for kind, each in stores.items()),
        findings=(Finding(REBUILT, Severity.INFO, 1, f"made anew from what {' and '.join(stores)} hold"),),
        revision=min(marks, key=ranks.__getitem__, default=""),
        days=told[0].days,
    )


def _held(kind: str, settings: Settings) -> list[Held]:
    """What the store of that kind holds; of Kafka, on the topics of either encoding."""
    spec = default_sink(kind)
    variants = [spec]
    if kind == "kafka":
        variants = [spec.model_copy(update={"encoding": encoding}) for encoding in ("avro", "arrow")]
    newest: dict[str, Held] = {}
    for each in variants:
        store = sinks.sink(each, settings)
        try:
            for held in store.held():
                before = newest.get(held.key, held)
                newest[held.key] = max(before, held, key=lambda attempt: attempt.ingested_at)
        finally:
            store.close()
    return list(newest.values())
