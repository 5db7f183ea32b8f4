"""What all commands share."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from aurum_etl.backfill import Plan
    from aurum_etl.board import Watcher
    from aurum_etl.console import Console
    from aurum_etl.receipt import Receipt

EXIT_CODES = """\b
Exit codes:
  0    ok
  1    a chunk failed or was postponed, or rows of a file were rejected
  2    usage: the command line does not fit together
  3    the spec is invalid
  4    a budget is used up: every chunk was postponed
  5    the source cannot be had: no chunk could be fetched
  6    a sink cannot be had
  130  interrupted"""

PROFILES = ("development", "production", "high_volume")
"""Names of `quota.PROFILES`, without what that imports."""

with_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output, the log on standard error."
)


_DATES = (
    click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="First market day."),
    click.option(
        "--to", "end", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Market day after the last one."
    ),
)
_OF_A_RUN = (
    click.option("--sim", "simulated", is_flag=True, help="Ask a simulator on loopback instead of the ISO."),
    click.option("--replay", is_flag=True, help="Ask the archive of earlier answers; no request is sent."),
    click.option(
        "--sink", "sink_kinds", multiple=True, metavar="KIND", help="Store to use instead of the spec's; repeatable."
    ),
    click.option(
        "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field of the spec; repeatable."
    ),
    click.option(
        "--reload", "reloads", is_flag=True, help="Load again even what is unchanged, and in the stores already."
    ),
    click.option(
        "--profile",
        type=click.Choice(PROFILES),
        help="How much of the limits to take; by default production, a backfill high_volume, and on loopback no limit at all.",
    ),
)
with_spec = click.argument("spec", type=click.Path(path_type=Path))
with_simulated = click.option("--sim", "simulated", is_flag=True, help="Count what was simulated, too.")


def with_dates(command: Callable[..., None]) -> Callable[..., None]:
    """Options `start` and `end`: market days, or None."""

    @functools.wraps(command)
    def called(*, start: datetime | None, end: datetime | None, **rest: Any) -> None:
        command(start=start and start.date(), end=end and end.date(), **rest)

    return _with(called, _DATES)


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The options that a run and a backfill share, as `flags`."""

    @functools.wraps(command)
    def called(
        *,
        start: datetime | None,
        end: datetime | None,
        simulated: bool,
        replay: bool,
        sink_kinds: tuple[str, ...],
        overrides: tuple[str, ...],
        profile: str | None,
        reloads: bool,
        **rest: Any,
    ) -> None:
        from aurum_etl.runner import Flags

        flags = Flags(
            start=start and start.date(),
            end=end and end.date(),
            simulated=simulated,
            replay=replay,
            sink_kinds=sink_kinds,
            overrides=overrides,
            profile=profile,
            reloads=reloads,
        )
        command(flags=flags, **rest)

    return _with(called, (*_DATES, *_OF_A_RUN))


def _with(
    command: Callable[..., None], options: Sequence[Callable[[Callable[..., None]], Callable[..., None]]]
) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def console_of(as_json: bool) -> Console:
    """Where results go; the log is set up as the command line says."""
    from aurum_etl.console import Console
    from aurum_etl.telemetry import configure

    configure(str(click.get_current_context().find_root().obj), as_json=as_json)
    return Console(as_json)


def leave(code: int) -> NoReturn:
    """End the process at once: `sys.exit` would wait for threads that were told to stop, and have not in time."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def shortened(words: list[str], most: int = 3) -> str:
    """The first of the words, and how many more there are."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def bytes_as_text(size: int) -> str:
    """Bytes in the unit that suits them."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def with_unchanged(outcome: str, unchanged: bool) -> str:
    """How a chunk ended, for people: also whether it was found to be in the stores already."""
    return f"{outcome}, unchanged" if unchanged else outcome


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """A receipt as JSON has it."""
    return {
        "key": receipt.chunk.key,
        "outcome": receipt.outcome.value,
        "origin": receipt.origin.value,
        "rows": receipt.rows_committed,
        "rejected": receipt.rows_rejected,
        "attempts": receipt.attempts,
        "seconds": dict(receipt.seconds),
        "findings": [{"check": each.check, "count": each.count, "detail": each.detail} for each in receipt.findings],
        "error": receipt.error,
        "unchanged_since": receipt.unchanged_since,
    }


def watched(console: Console, title: str, plan: Plan) -> AbstractContextManager[Watcher]:
    """What shows how the plan is carried out."""
    from aurum_etl.board import board

    requests = {each.chunk.key: each.requests for each in plan.chunks}
    return board(console, title, len(plan.chunks), plan.requests, plan.limits.requests_per_minute, requests)
