"""What came of a chunk: the one thing that is stored, printed and asserted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from aurum_etl.chunk import Chunk


class Outcome(StrEnum):
    """How a chunk ended. There is no fifth way."""

    DONE = "done"
    """Every row is in every store."""
    EMPTY = "empty"
    """The source said, in its own words, that there is nothing."""
    QUARANTINED = "quarantined"
    """The accepted rows are in every store, the rejected ones in quarantine."""
    FAILED = "failed"
    """No store took the chunk, or not all of them did: `written` tells."""


class Origin(StrEnum):
    """Where the bytes came from: invented data must never pass for published data."""

    LIVE = "live"
    """The ISO's own address."""
    CUSTOM = "custom"
    """An address that the user named."""
    SIMULATOR = "simulator"
    FILES = "files"
    """Files that the user already had."""


class Severity(StrEnum):
    """Whether a finding is worth a look."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noticed about a chunk that is not a failure, such as a gap in what the source published."""

    check: str
    """What was looked at: `intervals_are_complete`."""
    severity: Severity
    count: int
    """How many rows, intervals or locations are concerned."""
    detail: str
    """One sentence with examples."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one store took of a chunk."""

    sink: str
    """The kind of the store: `iceberg`."""
    table: str
    rows: int
    version: str
    """The store's own mark of the commit, such as a snapshot id; empty where it has none."""
    durable: bool = True
    """Whether the rows outlive the process: only then is anything settled."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a chunk put into one market day: enough to tell later whether a store still holds it."""

    day: date
    rows: int
    checksum: str
    """Of keys and values, whatever the order of the rows."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a load was made from, and by what: enough to recognize it when it comes again."""

    program: str
    """Digest of all that makes rows of answers: the program, the contract, the feed and the settings of its clocks."""
    answers: tuple[str, ...]
    """`Answer.mark` of each answer that holds rows, sorted; none where the source had nothing for one of its requests."""
    rows: str
    """Checksum of what those of its days leave out, such as names of places."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of one attempt at a chunk."""

    chunk: Chunk
    origin: Origin
    outcome: Outcome
    started_at: datetime
    """Also the `ingested_at` of the rows, where it loaded any."""
    finished_at: datetime
    rows_read: int
    """Rows as published."""
    rows_accepted: int
    rows_rejected: int
    attempts: int
    """The most times that one request of the chunk was sent; 0 where none was."""
    seconds: Mapping[str, float] = field(hash=False)
    """Seconds per step."""
    written: tuple[Written, ...] = ()
    findings: tuple[Finding, ...] = ()
    error: str | None = None
    """Why it failed, with the kind of error in front."""
    revision: str = ""
    """The ISO's mark of what was loaded, such as `PRELIM`, the lowest of them; empty where it has no such marks."""

    bytes: int = 0
    """Bytes that were received for it."""
    days: tuple[Day, ...] = ()
    """What it put into each market day; empty for one that put nothing."""
    job: str = ""
    """The backfill that it was part of; empty for other runs."""
    content: Content | None = None
    """What it was made from; None where that is not kept: only answers to a run are recognized."""
    unchanged_since: datetime | None = None
    """Where what came was what every store held already, and nothing was loaded: `ingested_at` of those rows."""

    @property
    def ingested_at(self) -> datetime:
        """That of the rows in the stores."""
        return self.unchanged_since or self.started_at

    @property
    def stores(self) -> tuple[str, ...]:
        """Kinds of the stores that keep the rows."""
        return tuple(each.sink for each in self.written if each.durable)

    @property
    def rows_committed(self) -> int:
        """Rows that every store of the run holds; 0 for a chunk that failed."""
        return self.rows_accepted if self.outcome in (Outcome.DONE, Outcome.QUARANTINED) else 0


@dataclass(frozen=True, slots=True)
class Postponed:
    """A chunk of which nothing came, and that is no failure: it is worth another try at a known time."""

    chunk: Chunk
    until: datetime
    reason: str
    """With the kind of error in front."""


def not_begun(chunk: Chunk, origin: Origin, error: str) -> Receipt:
    """The receipt of a chunk that nobody came to work on; `error` has the kind of error in front."""
    now = datetime.now(UTC)
    return Receipt(chunk, origin, Outcome.FAILED, now, now, 0, 0, 0, attempts=0, seconds={}, error=error)
