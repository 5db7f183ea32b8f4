"""What a store keeps of a chunk beside its rows, and what it tells when it is asked what it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aurum_etl.chunk import Chunk, ChunkKey, Selection
from aurum_etl.receipt import Day, Origin
from aurum_etl.window import Window, intersect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from aurum_etl.dataset import Dataset

_ORIGIN, _REVISION, _DAYS = b"aurum.origin", b"aurum.revision", b"aurum.days"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the pipeline knows of a table's rows and no column says; it travels as the table's metadata."""

    origin: Origin = Origin.CUSTOM
    revision: str = ""
    """See `Receipt.revision`."""
    days: tuple[Day, ...] = ()
    """See `Receipt.days`."""

    def on(self, table: pa.Table) -> pa.Table:
        """The table with this as its metadata."""
        texts = {_ORIGIN: self.origin.value, _REVISION: self.revision, _DAYS: json.dumps(plain(self.days))}
        return table.replace_schema_metadata({name: text.encode() for name, text in texts.items()})

    @classmethod
    def of(cls, table: pa.Table) -> Provenance:
        """What the table's metadata says; nothing much where it says nothing."""
        found = {name: text.decode() for name, text in (table.schema.metadata or {}).items()}
        return cls(
            Origin(found.get(_ORIGIN, Origin.CUSTOM.value)),
            found.get(_REVISION, ""),
            days_of_plain(json.loads(found.get(_DAYS, "[]"))),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """The commit of a chunk, as a store keeps it in words of JSON."""

    chunk: Chunk
    rows: int
    ingested_at: datetime | None
    """None for a chunk without rows."""
    provenance: Provenance

    def content(self, most_names: int | None = None) -> dict[str, Any]:
        """What is kept; without the names where they have more than so many characters, and the digest must do."""
        selection, window = self.chunk.selection, self.chunk.window
        content: dict[str, Any] = {
            "dataset": self.chunk.dataset,
            "selection": selection.word or list(selection.names),
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "rows": self.rows,
            "ingested_at": self.ingested_at and self.ingested_at.isoformat(),
            "origin": self.provenance.origin.value,
            "revision": self.provenance.revision,
            "days": plain(self.provenance.days),
        }
        if most_names is not None and sum(map(len, selection.names)) > most_names:
            del content["selection"]
        return content


@dataclass(frozen=True, slots=True)
class Held:
    """A chunk of which a store holds rows, in the newest attempt."""

    key: str
    chunk: Chunk | None
    """None where the store cannot tell which locations are meant."""
    rows: int
    """Rows of that attempt; those that are there now, where the store no longer knows how many they were."""
    ingested_at: datetime
    origin: Origin | None
    """None where the store does not know it: nothing may be taken for published then."""
    revisions: tuple[str, ...]
    """The ISO's marks of the rows: the lowest alone, where the store knows it."""
    days: tuple[Day, ...]
    """As they were committed; empty where the store did not keep them."""
    table: str
    version: str
    """The store's own mark of the commit, as in `Written`; empty where it is no longer known."""

    @classmethod
    def of(
        cls,
        key: str,
        content: Mapping[str, Any],
        ingested_at: datetime,
        *,
        table: str,
        version: str,
        names: Iterable[str] = (),
    ) -> Held:
        """What the entry's content says; `names` are those of its selection, where they stand elsewhere."""
        selection = content.get("selection")
        return cls(
            key=key,
            chunk=ChunkKey.parse(key).chunk(selection if isinstance(selection, list) else names),
            rows=content["rows"],
            ingested_at=ingested_at,
            origin=content["origin"] and Origin(content["origin"]),
            revisions=tuple(filter(None, (content["revision"],))),
            days=days_of_plain(content["days"]),
            table=table,
            version=version,
        )


def is_wanted(key: str, dataset: Dataset | None, window: Window | None) -> bool:
    """Whether a chunk of that key is asked for; a text that is none is not, whoever wrote it."""
    try:
        found = ChunkKey.parse(key)
    except ValueError:
        return False
    of_dataset = dataset is None or found.dataset == dataset.key
    return of_dataset and (window is None or intersect(found.window, window) is not None)


def plain(days: Iterable[Day]) -> list[list[object]]:
    """The days as JSON has them."""
    return [[each.day.isoformat(), each.rows, each.checksum] for each in days]


def days_of_plain(days: Iterable[Any]) -> tuple[Day, ...]:
    """What `plain` made."""
    return tuple(Day(date.fromisoformat(day), rows, checksum) for day, rows, checksum in days)


def selection_of(content: Any) -> Selection:
    """The selection of an entry that has its names."""
    return Selection(word=content) if isinstance(content, str) else Selection.named(content)
