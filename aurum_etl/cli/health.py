"""`aurum-etl health`: whether everything that runs need is there and does its work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from aurum_etl.cli.base import EXIT_CODES, console_of, leave, with_json


@click.command(epilog=EXIT_CODES)
@click.argument("specs", metavar="[SPEC]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Ask no ISO; tell the state of its hosts' circuit breakers instead.")
@click.option(
    "--only", multiple=True, metavar="NAME", help="Look at this alone, such as caiso or timescale; repeatable."
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Cut what has not answered by then.",
)
@with_json
def health(
    *, specs: tuple[Path, ...], offline: bool, only: tuple[str, ...], timeout_seconds: float, as_json: bool
) -> None:
    """Ask everything that the settings name whether it does its work, all at once: ISOs, stores, Vault, home and disk.

    With SPECs: exactly what they need, of which nothing may be missing. Each ISO is asked the smallest thing that it has,
    within its limits; what has to wait for its turn is no failure. Nothing that is written stays.

    Ends with 5 where only sources fail, with 6 where only stores do.
    """
    from aurum_etl.health import exit_code, probe
    from aurum_etl.settings import read_settings

    console = console_of(as_json)
    with console.busy("asking"):
        probes = probe(read_settings(), specs, only=only, offline=offline, timeout_seconds=timeout_seconds)
    console.document({"probes": [asdict(each) for each in probes]})
    console.table(
        "health",
        ("name", "state", "seconds", "asked", "reason"),
        [(each.name, each.state, f"{each.seconds:.2f}", each.asked, each.reason) for each in probes],
    )
    leave(exit_code(probes))
