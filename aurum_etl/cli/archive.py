"""`aurum-etl archive`: what was received, whether it still is what was received, and what of it goes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aurum_etl.cli.base import EXIT_CODES, bytes_as_text, console_of, with_json
from aurum_etl.errors import EXIT_CHUNK_FAILED
from aurum_etl.market import Iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aurum_etl.archive import Archive
    from aurum_etl.archive.listing import Entry

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group(epilog=EXIT_CODES)
def archive() -> None:
    """Look at the answers that were received, and look after them."""


@archive.command("ls", epilog=EXIT_CODES)
@click.option("--dataset", metavar="KEY", help="Only what was asked for this dataset.")
@click.option("--iso", type=click.Choice([each.value for each in Iso], case_sensitive=False), help="Only this ISO's.")
@click.option("--from", "start", type=_DAY, metavar="DATE", help="Only what was received on this day (UTC) or later.")
@click.option("--to", "end", type=_DAY, metavar="DATE", help="Only what was received before this day (UTC).")
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="So many at most; 0 lists all of them."
)
@with_json
def list_exchanges(
    *, dataset: str | None, iso: str | None, start: datetime | None, end: datetime | None, limit: int, as_json: bool
) -> None:
    """List requests and their answers, newest first."""
    from aurum_etl.archive.listing import listing

    console = console_of(as_json)
    kept = _archive()
    with console.busy("reading"):
        found = listing(
            kept,
            dataset=dataset,
            iso=Iso(iso) if iso else None,
            start=start and start.replace(tzinfo=UTC),
            end=end and end.replace(tzinfo=UTC),
            limit=limit or None,
        )
    console.document(
        {
            "archive": kept.folder,
            "listed": [_document(each) for each in found.entries],
            "more": found.is_cut,
            "exchanges": found.exchanges,
            "bodies": found.bodies,
            "bytes": found.size,
        }
    )
    console.table(
        str(kept.folder),
        ("received", "ISO", "request", "status", "bytes", "digest", "chunk", "origin"),
        [
            (
                f"{each.received_at:%Y-%m-%dT%H:%M:%SZ}", each.iso, each.request.removeprefix(f"{each.iso} "), each.status,
                each.size, each.digest[:12], each.chunk_key, each.origin,
            )
            for each in found.entries
        ],
    )  # fmt: skip
    more = f", and there are more (--limit {limit})" if found.is_cut else ""
    console.line(
        f"{len(found.entries):,} listed{more}; the archive holds {found.exchanges:,} exchanges and {found.bodies:,} bodies, "
        f"{bytes_as_text(found.size)}"
    )


@archive.command(epilog=EXIT_CODES)
@with_json
def verify(*, as_json: bool) -> None:
    """Compare every body with its digest; what is damaged, missing or unreadable makes the exit code 1.

    Orphans are bodies that no exchange names, left by a process that was killed; they do no harm, and `archive prune` takes
    them away.
    """
    from aurum_etl.archive import upkeep

    console = console_of(as_json)
    kept = _archive()
    with _progress(shown=not as_json) as told:
        found = upkeep.verify(kept, told)
    console.document(
        {
            "archive": kept.folder,
            "exchanges": found.exchanges,
            "bodies": found.bodies,
            "bytes": found.size,
            "damaged": [_document(each) for each in found.damaged],
            "missing": [_document(each) for each in found.missing],
            "unreadable": found.unreadable,
            "orphans": found.orphans,
        }
    )
    wrong = [*(("damaged", each) for each in found.damaged), *(("missing", each) for each in found.missing)]
    if wrong:
        console.table(
            str(kept.folder),
            ("body", "digest", "bytes", "received", "request", "chunk"),
            [
                (what, each.digest, each.size, f"{each.received_at:%Y-%m-%dT%H:%M:%SZ}", each.request, each.chunk_key)
                for what, each in wrong
            ],
        )
    for path in found.unreadable:
        console.line(f"unreadable {path}")
    console.line(
        f"{found.bodies:,} bodies of {found.exchanges:,} exchanges, {bytes_as_text(found.size)}: {len(found.damaged)} damaged, "
        f"{len(found.missing)} missing, {len(found.unreadable)} exchanges unreadable, {len(found.orphans)} orphans"
    )
    if not found.is_whole:
        sys.exit(EXIT_CHUNK_FAILED)


@archive.command(epilog=EXIT_CODES)
@click.option("--apply", is_flag=True, help="Do it; without this it is only told.")
@click.option(
    "--keep-days", type=click.IntRange(0), metavar="N", help="Keep what is younger; by default AURUM_ARCHIVE_KEEP_DAYS."
)
@click.option(
    "--max-mb",
    type=click.IntRange(0),
    metavar="N",
    help="Keep the newest of that size; by default AURUM_ARCHIVE_MAX_MB.",
)
@with_json
def prune(*, apply: bool, keep_days: int | None, max_mb: int | None, as_json: bool) -> None:
    """Let go of what is too old, then of the oldest until the rest fits, and of what killed processes have left.

    What a process has received since it began stays as long as it runs; while one replays, everything does. What has gone
    cannot be replayed.
    """
    from dataclasses import asdict

    from aurum_etl.archive import upkeep
    from aurum_etl.settings import MEBIBYTE, read_settings

    console, settings = console_of(as_json), read_settings()
    days = settings.archive_keep_days if keep_days is None else keep_days
    most = settings.archive_max_bytes if max_mb is None else max_mb * MEBIBYTE
    with console.busy("looking through the archive"):
        found = upkeep.prune(_archive(), max_bytes=most, keep_days=days, now=datetime.now(UTC), apply=apply)
    console.document({"applied": apply, "keep_days": days, "max_bytes": most, **asdict(found)})
    verb = "removed" if apply else "would go"
    console.line(
        f"{verb}: {found.exchanges:,} exchanges, {found.objects:,} bodies, {found.abandoned:,} halves of bodies, "
        f"{bytes_as_text(found.size)}"
    )
    if days is None and most is None:
        console.line(
            "no limit is set: give --keep-days or --max-mb, or set AURUM_ARCHIVE_KEEP_DAYS or AURUM_ARCHIVE_MAX_MB"
        )
    if found.left:
        console.line(f"{found.left:,} exchanges stay for now: somebody who is at work may need them")
    if not apply:
        console.line("nothing was changed; add --apply to do it")


def _archive() -> Archive:
    from aurum_etl.archive import Archive
    from aurum_etl.settings import read_settings

    # Looking makes nothing.
    return Archive(read_settings().home / "archive")


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "received_at": entry.received_at,
        "iso": entry.iso.value,
        "request": entry.request,
        "status": entry.status,
        "bytes": entry.size,
        "sha256": entry.digest,
        "dataset": entry.dataset,
        "chunk": entry.chunk_key,
        "origin": entry.origin.value,
    }


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """What shows how many bytes of how many were read, on a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
