"""What the archive holds, newest first, without reading more of it than is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from aurum_etl.archive import TIME, Request, read
from aurum_etl.errors import ArchiveError
from aurum_etl.market import Iso
from aurum_etl.receipt import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from aurum_etl.archive import Archive, Record


@dataclass(frozen=True, slots=True)
class Entry:
    """One exchange, as it is listed."""

    received_at: datetime
    iso: Iso
    request: str
    """The question in one line."""
    status: int
    size: int
    """Bytes of the body."""
    digest: str
    chunk_key: str
    origin: Origin

    @property
    def dataset(self) -> str:
        """The dataset of the chunk that it was asked for."""
        return self.chunk_key.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the exchanges, and how many there are."""

    entries: tuple[Entry, ...]
    """Newest first."""
    is_cut: bool
    """Whether there may be more of them, behind the limit."""
    exchanges: int
    """All exchanges of the archive."""
    bodies: int
    """All bodies."""
    size: int
    """Their bytes."""


def entry_of(record: Record) -> Entry:
    """The exchange as it is listed."""
    query = record.get("query")
    pairs = tuple((str(name), str(value)) for name, value in query) if isinstance(query, list) else ()
    iso = Iso(str(record["iso"]))
    return Entry(
        received_at=datetime.fromisoformat(str(record["received_at"])).astimezone(UTC),
        iso=iso,
        request=Request(iso, str(record["path"]), pairs, str(record.get("host", ""))).describe(),
        status=int(str(record["status"])),
        size=int(str(record["bytes"])),
        digest=str(record["sha256"]),
        chunk_key=str(record["chunk_key"]),
        origin=Origin(str(record["origin"])),
    )


def listing(
    archive: Archive,
    *,
    dataset: str | None = None,
    iso: Iso | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int | None = None,
) -> Listing:
    """The exchanges of that dataset and ISO whose answers came in [start, end), no more than `limit`.

    Those that cannot be read are passed over: `upkeep.verify` finds them.
    """
    paths, bodies = archive.paths(), archive.bodies()
    first, last = (None if edge is None else f"{edge:{TIME}}" for edge in (start, end))
    wanted = [path for path in reversed(paths) if (not first or path.name >= first) and (not last or path.name < last)]
    matching = (
        entry
        for entry in _entries(wanted)
        if (dataset is None or entry.dataset == dataset) and (iso is None or entry.iso is iso)
    )
    shown = tuple(matching if limit is None else islice(matching, limit + 1))
    is_cut = limit is not None and len(shown) > limit
    return Listing(shown[:limit], is_cut, len(paths), len(bodies), sum(bodies.values()))


def _entries(paths: Sequence[Path]) -> Iterator[Entry]:
    for path in paths:
        try:
            yield entry_of(read(path))
        except ArchiveError:
            continue
