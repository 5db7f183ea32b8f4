"""Looking after the archive: whether it holds what was received, and what goes when there is too much of it."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aurum_etl.archive import TIME, digest_of, read
from aurum_etl.archive.listing import entry_of
from aurum_etl.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.archive import Archive
    from aurum_etl.archive.listing import Entry


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of looking at everything."""

    exchanges: int
    bodies: int
    size: int
    """Bytes of the bodies."""
    damaged: tuple[Entry, ...]
    """Of each body that is no longer what was received, the newest exchange that it belongs to."""
    missing: tuple[Entry, ...]
    """The same for bodies that are not there."""
    unreadable: tuple[Path, ...]
    """Exchanges that cannot be read."""
    orphans: tuple[str, ...]
    """Digests of bodies that no exchange names: of a process that was killed, or is just about to name them."""

    @property
    def is_whole(self) -> bool:
        """Whether everything can be replayed."""
        return not (self.damaged or self.missing or self.unreadable)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go."""

    exchanges: int
    objects: int
    """Bodies that no exchange names any more."""
    abandoned: int
    """Halves of bodies, whose process died while it received them."""
    size: int
    """Bytes of all of these."""
    left: int
    """Exchanges that would have gone, and stay because somebody may need them now."""


def verify(archive: Archive, told: Callable[[int, int], None] = lambda *_: None) -> Verified:
    """Compare every body with its digest; `told` hears how many bytes of how many have been read."""
    # A body is named right after it is there: bodies first, so that one that comes meanwhile is not missed.
    bodies = archive.bodies()
    named: dict[str, Entry] = {}
    unreadable = []
    exchanges = 0
    for path in archive.paths():
        try:
            entry = entry_of(read(path))
        except ArchiveError:
            if path.exists():
                unreadable.append(path)
            continue
        exchanges += 1
        named[entry.digest] = entry
    wrong, done, total = [], 0, sum(bodies.values())
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        digests = sorted(bodies)
        for digest, found in zip(digests, pool.map(lambda each: digest_of(archive.body(each)), digests), strict=True):
            # One that went while this was going on was pruned.
            if found not in (None, digest):
                wrong.append(digest)
            done += bodies[digest]
            told(done, total)
    return Verified(
        exchanges=exchanges,
        bodies=len(bodies),
        size=total,
        damaged=tuple(named[each] for each in wrong if each in named),
        missing=tuple(named[each] for each in sorted(named) if not archive.body(each).exists()),
        unreadable=tuple(unreadable),
        orphans=tuple(each for each in digests if each not in named),
    )


def is_due(archive: Archive, *, max_bytes: int | None, keep_days: int | None, now: datetime) -> bool:
    """Whether something is too old or too much; no exchange is read for it."""
    if keep_days is not None:
        oldest = next(iter(archive.paths()), None)
        if oldest is not None and oldest.name < f"{now - timedelta(days=keep_days):{TIME}}":
            return True
    return max_bytes is not None and sum(archive.bodies().values()) > max_bytes


def prune(
    archive: Archive, *, max_bytes: int | None, keep_days: int | None, now: datetime, apply: bool = True
) -> Pruned:
    """Apply retention: first what is too old goes, then the oldest until the rest fits; and what processes that died have
    left. Without `apply` nothing does, and it is told what would.

    What has been received by somebody who is still at work stays, and while somebody replays, everything. A body goes when no
    exchange refers to it any more.

    Twice:  the second time removes nothing.
    """
    began = datetime.now(UTC)
    # What is left over is looked for before it is asked who is at work: whoever receives it now was at work by then.
    incoming, bodies = archive.incoming(), archive.bodies()
    used = archive.used_since()
    free = min(began, used or began)
    kept, all_are_known = [], True
    for path in archive.paths():
        try:
            kept.append((path, read(path)))
        except ArchiveError:
            all_are_known = False
    references = Counter(str(record["sha256"]) for _, record in kept)
    # What an exchange names that cannot be read, nobody knows.
    unnamed = [digest for digest in bodies if digest not in references] if all_are_known else []
    total = sum(bodies.values()) - sum(bodies[digest] for digest in unnamed)
    edge = "" if keep_days is None else f"{now - timedelta(days=keep_days):{TIME}}"
    going: list[Path] = []
    left = 0
    for path, record in kept:
        if path.name >= edge and (max_bytes is None or total <= max_bytes):
            break
        if used is not None and datetime.fromisoformat(str(record["received_at"])) >= used:
            left += 1
            continue
        going.append(path)
        digest = str(record["sha256"])
        references[digest] -= 1
        if not references[digest]:
            unnamed.append(digest)
            total -= bodies.get(digest, 0)
    abandoned = [] if used is not None else incoming
    size = sum(_size(path) for path in abandoned)
    if apply:
        for path in (*going, *abandoned):
            path.unlink(missing_ok=True)
    objects = 0
    for digest in unnamed:
        if _goes(archive, archive.body(digest), free, apply=apply):
            objects += 1
            size += bodies.get(digest, 0)
    return Pruned(len(going), objects, len(abandoned), size, left)


def _goes(archive: Archive, body: Path, free: datetime, *, apply: bool) -> bool:
    """Whether the body may go, since nobody has wanted it again; if so, and that is wanted, it is gone."""
    with archive.locked(alone=True):
        try:
            if body.stat().st_mtime >= free.timestamp():
                return False
        except FileNotFoundError:
            return False
        if apply:
            body.unlink()
        return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
