"""`aurum-etl coverage` and `gaps`: which days are there, and which are not."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurum_etl.cli.backfill import carry_on
from aurum_etl.cli.base import EXIT_CODES, console_of, with_dates, with_json, with_simulated, with_spec
from aurum_etl.errors import EXIT_CHUNK_FAILED

if TYPE_CHECKING:
    from datetime import date


@click.command(epilog=EXIT_CODES)
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_dates
@with_simulated
@with_json
def coverage(*, specs: tuple[Path, ...], start: date | None, end: date | None, simulated: bool, as_json: bool) -> None:
    """Draw a map of the market days of each SPEC: a character per day, as the receipts have it.

    Without dates: from the first settled day, or the spec's schedule.start, to the latest complete market day.
    A day is done when every store of the spec took all of it. Where the source serves what is newest and no days, it
    counts with anything of it.
    """
    from aurum_etl import coverage as days
    from aurum_etl.adapters import datasets
    from aurum_etl.settings import read_settings
    from aurum_etl.spec import load_spec
    from aurum_etl.watermarks import Store

    console = console_of(as_json)
    known = datasets()
    store = Store(read_settings().home / "watermarks.duckdb")
    now = datetime.now(UTC)
    found = []
    for path in specs:
        spec = load_spec(path, (), known)
        dataset = spec.chosen(known[spec.dataset])
        found.append(days.coverage(spec, dataset, store, start=start, end=end, simulated=simulated, now=now))
    console.document(
        [
            {
                "spec": path,
                "dataset": each.dataset,
                "selection": each.selection,
                "from": each.start,
                "to": each.end,
                "days": each.counts(),
                "runs": [{"from": first, "to": after, "state": state.value} for first, after, state in each.runs()],
            }
            for path, each in zip(specs, found, strict=True)
        ]
    )
    console.drawing(days.lines(found), lambda width: days.drawn(found, width))


@click.command(epilog=EXIT_CODES)
@with_spec
@with_dates
@with_simulated
@click.option("--receipts-only", is_flag=True, help="Believe the receipts; do not ask the stores what they hold.")
@click.option("--fill", is_flag=True, help="Backfill them.")
@with_json
def gaps(
    *,
    spec: Path,
    start: date | None,
    end: date | None,
    simulated: bool,
    receipts_only: bool,
    fill: bool,
    as_json: bool,
) -> None:
    """List the chunks of SPEC that should be there and are not; any makes the exit code 1.

    Without dates: from the first settled day, or the spec's schedule.start, to the latest complete market day.
    With --fill they become a job of `aurum-etl backfill`, whose exit code and document are then those of this command.
    Days that are not published yet are no gaps, nor those that the feed had ceased to serve when the record begins.
    A store holds a chunk if any of its rows are there: whether all are, this does not tell.
    """
    from aurum_etl import gaps as finding
    from aurum_etl.adapters import datasets
    from aurum_etl.settings import read_settings
    from aurum_etl.spec import load_spec
    from aurum_etl.watermarks import Store

    console = console_of(as_json)
    known = datasets()
    settings = read_settings()
    loaded = load_spec(spec, (), known)
    dataset = loaded.chosen(known[loaded.dataset])
    with console.busy("asking the stores"):
        found = finding.find(
            loaded,
            dataset,
            Store(settings.home / "watermarks.duckdb"),
            start=start,
            end=end,
            simulated=simulated,
            now=datetime.now(UTC),
            ask=None
            if receipts_only
            else lambda window: finding.held(loaded, dataset, settings, window, simulated=simulated),
        )
    if fill and found.missing:
        from aurum_etl.reload import Reload, filling
        from aurum_etl.runner import Flags

        carry_on(filling(spec, Flags(simulated=simulated), found), Reload(), spec, console)
    first, after = (found.days[0], found.days[1] + timedelta(1)) if found.days else (None, None)
    console.document(
        {
            "dataset": found.dataset,
            "selection": found.selection,
            "from": first,
            "to": after,
            "wanted": found.wanted,
            "missing": [
                {
                    "key": each.chunk.key,
                    "start": each.chunk.window.start,
                    "end": each.chunk.window.end,
                    "reason": each.reason.value,
                    "stores": each.stores,
                }
                for each in found.missing
            ],
            "counts": found.counts(),
            "asked": found.asked,
        }
    )
    if found.missing:
        console.table(
            f"{found.dataset} {first} to {after}",
            ("chunk", "reason", "stores"),
            [(each.chunk.key, each.reason.value, ", ".join(each.stores)) for each in found.missing],
        )
    told = ", ".join(f"{count} {reason}" for reason, count in found.counts().items())
    asked = f"asked: {', '.join(found.asked)}" if found.asked else "no store was asked"
    console.line(f"{found.dataset} {first} to {after}: of {found.wanted} chunks {told} ({asked})")
    if found.missing:
        sys.exit(EXIT_CHUNK_FAILED)
