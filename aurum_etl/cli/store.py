"""`aurum-etl store`: the record of what is done, made anew."""

from __future__ import annotations

import click

from aurum_etl.cli.base import EXIT_CODES, console_of, receipt_document, with_json


@click.group(epilog=EXIT_CODES)
def store() -> None:
    """Ask the stores what they hold."""


@store.command(epilog=EXIT_CODES)
@click.option(
    "--sink",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Ask this store; repeatable. By default iceberg and timescale, as far as the settings name them.",
)
@with_json
def rebuild(*, kinds: tuple[str, ...], as_json: bool) -> None:
    """Make the record of what is done anew, from what the stores hold.

    A receipt is added for each chunk that a store holds and the record does not know; a record that can be read keeps
    what it has, one that cannot be read is moved aside and never deleted. Nothing is fetched and no store is changed.

    Days that were empty are in no store, and neither are failures: they are missing afterwards, and the next run asks for
    them again.
    """
    from aurum_etl.rebuild import rebuild as rebuild_record
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks import Store

    console, settings = console_of(as_json), read_settings()
    with console.busy("asking the stores"):
        found = rebuild_record(settings, Store(settings.home / "watermarks.duckdb"), kinds)
    console.document(
        {
            "sinks": found.sinks,
            "moved_to": found.moved_to,
            "known": found.known,
            "receipts": [{**receipt_document(receipt), "sinks": list(receipt.stores)} for receipt in found.receipts],
            "untold": [{"chunk": each.chunk_key, "sinks": each.sinks, "reason": each.reason} for each in found.untold],
        }
    )
    if found.moved_to is not None:
        console.line(f"the old record could not be read; it is now {found.moved_to}")
    for each in found.untold:
        console.line(f"not rebuilt {each.chunk_key} ({', '.join(each.sinks)}): {each.reason}")
    console.line(
        f"{', '.join(found.sinks)}: {len(found.receipts)} receipts added, {found.known} known already, "
        f"{len(found.untold)} not rebuilt"
    )
