"""`aurum-etl quota`: how much of what the sources allow is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurum_etl.cli.base import EXIT_CODES, PROFILES, console_of, with_json

if TYPE_CHECKING:
    from aurum_etl.quota import Use


@click.command(epilog=EXIT_CODES)
@click.argument("specs", metavar="[SPEC...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="With SPECs: how much of the limits a run would take.",
)
@with_json
def quota(*, specs: tuple[Path, ...], profile: str | None, as_json: bool) -> None:
    """Tell how much of each limit is used, what is left, and when there is room for the next request.

    Of everything that was asked in the last day, under the limits that it was asked with; with SPECs, of those, under the
    limits that a run of them would have. Also tells which hosts are left alone because of failures.
    """
    from aurum_etl import quota as record
    from aurum_etl.runner import limits_of
    from aurum_etl.settings import read_settings

    console, settings = console_of(as_json), read_settings()
    uses = limits_of(specs, profile, settings) if specs else record.uses(settings)
    breakers = record.breakers(settings)
    told = [
        {
            "subject": each.subject,
            "limit": each.rule,
            "of": each.limit,
            "seconds": each.seconds,
            "used": each.used,
            "rest": max(each.limit - each.used, 0),
            "next_free": each.next_free,
        }
        for each in uses
    ]
    resting = [
        {"host": each.host, "state": each.state, "until": each.until, "recent_failures": each.recent_failures}
        for each in breakers
    ]
    console.document({"uses": told, "breakers": resting})
    console.table(
        str(settings.home),
        ("of", "limit", "allowed", "used", "left", "next free"),
        [
            (
                each.subject, each.rule, _allowed(each), f"{each.used:,.0f} ({each.used / each.limit:.0%})",
                f"{max(each.limit - each.used, 0):,.0f}",
                "now" if each.next_free is None else f"{each.next_free:%Y-%m-%dT%H:%M:%SZ}",
            )
            for each in uses
        ],
    )  # fmt: skip
    for each in breakers:
        if each.until is not None:
            console.line(
                f"{each.host}: left alone until {each.until:%Y-%m-%dT%H:%M:%SZ}, since too many requests failed"
            )
        elif each.state != "closed":
            console.line(f"{each.host}: {each.state}: one request at a time finds out whether it is well again")
    if not uses:
        console.line("nothing was asked in the last day, or under no limit")


def _allowed(use: Use) -> str:
    """`1 in 5 s`, `500,000 in 1 h`, `3 at a time`."""
    if use.seconds is None:
        return f"{use.limit:,.0f} at a time"
    lengths = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
    size, unit = next((each for each in lengths if use.seconds >= each[0] and use.seconds % each[0] == 0), (1.0, "s"))
    return f"{use.limit:,.0f} in {use.seconds / size:g} {unit}"
