"""The command line: parse, call, print. Heavy libraries load inside the commands that use them."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from aurum_etl import outside
from aurum_etl.cli.archive import archive
from aurum_etl.cli.backfill import backfill
from aurum_etl.cli.base import (
    EXIT_CODES,
    console_of,
    leave,
    receipt_document,
    shortened,
    watched,
    with_flags,
    with_json,
    with_spec,
    with_unchanged,
)
from aurum_etl.cli.health import health
from aurum_etl.cli.look import coverage, gaps
from aurum_etl.cli.quota import quota
from aurum_etl.cli.secrets import secrets
from aurum_etl.cli.store import store
from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_SPEC, EXIT_USAGE, AurumError
from aurum_etl.guard import guard
from aurum_etl.market import Iso
from aurum_etl.redaction import redacted
from aurum_etl.settings import hide_secrets

if TYPE_CHECKING:
    from aurum_etl.console import Console
    from aurum_etl.receipt import Receipt
    from aurum_etl.runner import Flags, Report

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="aurum-etl", prog_name="aurum-etl")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Which events go to standard error.",
)
@click.pass_context
def cli(context: click.Context, log_level: str) -> None:
    """Electricity-market data of North American operators, into stores of your own, in one shape.

    Everything local lies under AURUM_HOME (by default aurum-data/ in this folder).
    AURUM_<ISO>_BASE points runs at another address of that ISO.
    """
    context.obj = log_level


@cli.command(epilog=EXIT_CODES)
@with_spec
@with_flags
@click.option(
    "--from-files", "files", is_flag=True, help="Load response files, named behind the spec, instead of asking."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.argument("paths", nargs=-1, type=_FILE)
@with_json
def run(*, spec: Path, flags: Flags, files: bool, dry_run: bool, paths: tuple[Path, ...], as_json: bool) -> None:
    """Fetch the days of SPEC and load them.

    Without dates: from the watermark, less the spec's lookback, to the latest complete market day.
    Market days are the ISO's own; --to is exclusive. Running a day again replaces exactly that day.
    """
    if bool(paths) != files:
        raise click.UsageError("--from-files is followed by the files to load" if files else f"unexpected {paths[0]}")
    flags = replace(flags, files=paths)
    if dry_run:
        _explain(spec, flags, console_of(as_json))
    else:
        _run(spec, flags, console_of(as_json))


def _run(spec: Path, flags: Flags, console: Console) -> NoReturn:
    from aurum_etl.recognition import UNCHANGED
    from aurum_etl.runner import perform, prepare

    prepared = prepare(spec, flags)
    with watched(console, prepared.dataset.key, prepared.plan) as watcher:
        report = perform(prepared, watcher)
    document = _report_document(report)
    console.document(document)
    console.table(
        f"{document['dataset']} {document['from']} to {document['to']}",
        ("chunk", "outcome", "rows", "rejected", "attempts", "seconds", "error"),
        [
            (
                each["key"],
                with_unchanged(each["outcome"], each["unchanged_since"] is not None),
                *(each[name] for name in ("rows", "rejected", "attempts")),
                f"{sum(each['seconds'].values()):.2f}",
                each["error"],
            )
            for each in document["chunks"]
        ],
    )
    for each in document["chunks"]:
        for finding in each["findings"]:
            if finding["check"] != UNCHANGED:
                console.line(f"{each['key']}: {finding['check']}: {finding['detail']}")
    for each in document["postponed"]:
        console.line(f"{each['key']}: postponed, until {each['until']:%Y-%m-%dT%H:%M:%SZ}: {each['reason']}")
    unchanged = sum(each["unchanged_since"] is not None for each in document["chunks"])
    told = f" ({unchanged} unchanged, and not loaded again)" if unchanged else ""
    where = ", ".join(f"{each['table']} ({each['kind']})" for each in document["sinks"]) or "no store"
    left = f", {len(report.postponed)} postponed" if report.postponed else ""
    console.line(f"{report.outcome}: {report.rows} rows, {len(report.receipts)} chunks{told}{left}, into {where}")
    sys.exit(report.exit_code)


def _report_document(report: Report) -> dict[str, Any]:
    written: dict[tuple[str, str], int] = {}
    for receipt in report.receipts:
        for each in receipt.written:
            written[each.sink, each.table] = written.get((each.sink, each.table), 0) + each.rows
    start, end = report.plan.days(report.dataset.timezone)
    return {
        "dataset": report.dataset.key,
        "from": start,
        "to": end,
        "outcome": report.outcome.value,
        "rows": report.rows,
        "chunks": [receipt_document(receipt) for receipt in report.receipts],
        "postponed": [{"key": each.chunk.key, "until": each.until, "reason": each.reason} for each in report.postponed],
        "sinks": [{"kind": kind, "table": table, "rows": rows} for (kind, table), rows in written.items()],
    }


def _explain(spec: Path, flags: Flags, console: Console) -> None:
    """Print the plan; the very same one would be executed."""
    from aurum_etl.runner import prepare

    prepared = prepare(spec, flags)
    planned = prepared.plan
    start, end = planned.days(prepared.dataset.timezone)
    chunks = [
        {"key": each.chunk.key, "reason": each.reason.value, "requests": each.requests, "rows": each.rows}
        for each in planned.chunks
    ]
    console.document(
        {
            "dataset": planned.dataset,
            "from": start,
            "to": end,
            "chunks": chunks,
            "requests": planned.requests,
            "rows": planned.rows,
            "seconds": planned.wait_seconds,
        }
    )
    rows = [tuple(each.values()) for each in chunks]
    console.table(f"{planned.dataset} {start} to {end}", ("chunk", "reason", "requests", "about rows"), rows)
    console.line(
        f"{len(chunks)} chunks, {planned.requests} requests, about {planned.rows} rows, "
        f"{planned.wait_seconds:.0f} s at the ISO's rate limit"
    )


@cli.command(epilog=EXIT_CODES)
@click.argument("dataset")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this .csv or .parquet file.")
@with_json
def read(*, dataset: str, paths: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Turn response files, as published, into a canonical frame.

    The same decoding, normalizing and validating as in a run; nothing is stored. Rejected rows are told, and make the
    exit code 1.
    """
    from aurum_etl.reading import read_to_frame

    console = console_of(as_json)
    with console.busy("reading"):
        result = read_to_frame(dataset, paths)
    if out is not None:
        from aurum_etl.inspection import write

        write(result.table, out)
    rejected = result.rejected.to_dicts()
    document: dict[str, Any] = {
        "dataset": dataset,
        "files": [str(path) for path in paths],
        "rows": result.table.num_rows,
        "rejected": rejected,
        "nothing": list(result.nothing),
        "out": out,
    }
    if out is None and as_json:
        document["records"] = result.table.to_pylist()
    console.document(document)
    if out is None and not as_json:
        _print_frame(result.table)
    elif out is not None:
        console.line(f"{result.table.num_rows} rows written to {out}")
    for each in result.nothing:
        click.echo(each, err=True)
    for row in rejected[:20]:
        click.echo(f"rejected by {row['check']}: {row['column']} {row['value']}: {row['record']}", err=True)
    if rejected:
        click.echo(f"{len(rejected)} rejections", err=True)
        sys.exit(EXIT_CHUNK_FAILED)


@cli.command(epilog=EXIT_CODES)
@with_json
def status(*, as_json: bool) -> None:
    """Tell, per dataset, the watermark, covered and missing days, the last run and failures."""
    from aurum_etl.adapters import datasets
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks import Store

    console = console_of(as_json)
    settings = read_settings()
    known = datasets()
    found = Store(settings.home / "watermarks.duckdb").status(
        lambda key: known[key].timezone if key in known else "UTC",
        {
            key
            for key, each in known.items()
            if each.contract.is_registry or any(feed.latest_only for feed in each.feeds)
        },
    )
    console.document(
        {
            "home": settings.home,
            "datasets": [
                {
                    "dataset": each.dataset,
                    "selection": each.selection,
                    "origins": each.origins,
                    "watermark": each.watermark,
                    "first": each.first,
                    "last": each.last,
                    "covered_days": each.covered_days,
                    "missing_days": each.missing_days,
                    "rows": each.rows,
                    "rejected": each.rejected,
                    "failed": [{"chunk": chunk, "error": error} for chunk, error in each.failed],
                    "last_run": each.last_run,
                }
                for each in found
            ],
        }
    )
    console.table(
        str(settings.home),
        ("dataset", "selection", "origin", "watermark", "days", "missing", "rows", "rejected", "failed", "last run"),
        [
            (
                each.dataset,
                each.selection,
                ", ".join(each.origins),
                each.watermark and f"{each.watermark:%Y-%m-%dT%H:%MZ}",
                each.covered_days,
                shortened([f"{day}" for day in each.missing_days]),
                each.rows,
                each.rejected,
                len(each.failed),
                f"{each.last_run:%Y-%m-%dT%H:%M:%SZ}",
            )
            for each in found
        ],
    )
    for each in found:
        for chunk, error in each.failed:
            console.line(f"failed {chunk}: {error}")
    if not found:
        console.line(f"nothing was run yet under {settings.home}")


@cli.command(epilog=EXIT_CODES)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--follow", is_flag=True, help="Go on for ever.")
@click.option("--until-end", is_flag=True, help="End at the offsets that the topic has now (this is the default).")
@click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field of the spec; repeatable."
)
@with_json
def drain(*, spec: Path, follow: bool, until_end: bool, overrides: tuple[str, ...], as_json: bool) -> None:
    """Feed the stores of SPEC's drain block from the Kafka topic of its dataset.

    Every chunk is validated and lands exactly once, whatever is killed when: the stores keep the position together with
    the rows. Several drains of one group may run: one works, the others stand by. What cannot be decoded goes to the topic
    aurum.ingest.error.v1.
    """
    from aurum_etl.adapters import datasets
    from aurum_etl.drain import drain as run_drain
    from aurum_etl.settings import read_settings
    from aurum_etl.spec import load_spec
    from aurum_etl.watermarks import Store

    if follow and until_end:
        raise click.UsageError("--follow goes on for ever, --until-end does not")
    console, settings = console_of(as_json), read_settings()
    loaded = load_spec(spec, overrides, datasets())

    def seen(receipt: Receipt) -> None:
        console.line(
            f"{receipt.chunk.key}: {receipt.outcome}: {receipt.rows_committed} rows {receipt.error or ''}".rstrip()
        )

    tally = run_drain(loaded, settings, Store(settings.home / "watermarks.duckdb"), follow=follow, seen=seen)
    console.document(
        {
            "topic": tally.topic,
            "rows": tally.rows,
            "dead_letters": tally.dead_letters,
            "chunks": [receipt_document(receipt) for receipt in tally.receipts],
        }
    )
    console.line(
        f"{tally.topic}: {tally.rows} rows, {len(tally.receipts)} chunks, {tally.failed} failed, "
        f"{tally.dead_letters} messages undecodable"
    )
    sys.exit(EXIT_CHUNK_FAILED if tally.failed else EXIT_OK)


@cli.command(epilog=EXIT_CODES)
@click.option("--apply", is_flag=True, help="Do it; without this it is only told.")
@click.option(
    "--keep-days", type=click.FloatRange(0), default=7, show_default=True, help="Keep snapshots younger than this."
)
@click.option(
    "--orphan-hours",
    type=click.FloatRange(0),
    default=24,
    show_default=True,
    help="Remove files that no snapshot names when they are older than this; loads that run must be younger.",
)
@with_json
def maintain(*, apply: bool, keep_days: float, orphan_hours: float, as_json: bool) -> None:
    """Look after the Iceberg tables: compact small files, expire snapshots, remove orphans.

    Files whose commit nobody could look up are kept until it is known what became of it.
    """
    from dataclasses import asdict

    from aurum_etl.settings import read_settings
    from aurum_etl.sinks.iceberg import upkeep

    console = console_of(as_json)
    limits = upkeep.Limits(timedelta(days=keep_days), timedelta(hours=orphan_hours))
    with console.busy("looking after the tables"):
        found = upkeep.maintain(read_settings(), limits, apply=apply)
    console.document({"applied": apply, "tables": [asdict(each) for each in found]})
    console.table(
        "done" if apply else "would be done",
        ("table", "small files", "into", "snapshots expired", "orphans", "bytes", "of unknown outcome"),
        [tuple(asdict(each).values()) for each in found],
    )
    if not apply:
        console.line("nothing was changed; add --apply to do it")


@cli.command(epilog=EXIT_CODES)
@click.argument("sql", required=False)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this .csv or .parquet file.")
@click.option("--plot", is_flag=False, flag_value="-", metavar="[PNG]", help="Draw the numbers, here or to a PNG file.")
@with_json
def inspect(*, sql: str | None, out: Path | None, plot: str | None, as_json: bool) -> None:
    """Ask the tables with SQL; without SQL, list them.

    Iceberg tables are iso.lmp, iso.load and so on (or just lmp); receipts, written, findings and watermarks tell what was
    done; requests is the audit log of everything that was asked, alerts what somebody should know; quarantine holds rejected
    rows. The SQL is DuckDB's, times are UTC, and nothing can be changed.
    """
    from aurum_etl import inspection
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks import Store

    console = console_of(as_json)
    settings = read_settings()
    connection = inspection.connect(settings, Store(settings.home / "watermarks.duckdb"), sql)
    if sql is None:
        with console.busy("counting"):
            listed = inspection.tables(connection)
        console.document(listed)
        console.table(str(settings.home), tuple(listed[0]), [tuple(each.values()) for each in listed])
        return
    with console.busy("asking"):
        answer = inspection.query(connection, sql)
    if out is not None:
        inspection.write(answer, out)
        console.document({"rows": answer.num_rows, "out": out})
        console.line(f"{answer.num_rows} rows written to {out}")
    if plot is not None:
        from aurum_etl.plot import draw

        picture = draw(answer, None if plot == "-" else Path(plot))
        console.line(picture)
        if out is None:
            console.document(answer.to_pylist())
    elif out is None:
        console.document(answer.to_pylist() if as_json else None)
        if not as_json:
            _print_frame(answer)


@cli.command("datasets", epilog=EXIT_CODES)
@with_json
def list_datasets(*, as_json: bool) -> None:
    """List what there is to be had: kind, market, cadence, feeds with their credentials, history, lag, size."""
    from aurum_etl import describe
    from aurum_etl.adapters import datasets

    console = console_of(as_json)
    known = datasets().values()
    documents = [describe.document(each) for each in known]
    console.document(documents)
    console.table(
        f"{len(documents)} datasets",
        ("dataset", "kind", "market", "cadence", "feeds", "since", "lag h", "rows a day"),
        [
            (
                *(told[name] for name in ("key", "kind", "market", "cadence")),
                describe.feeds(each),
                told["history_from"],
                told["lag_hours"],
                f"{told['rows_per_day']:,}",
            )
            for each, told in zip(known, documents, strict=True)
        ],
    )


@cli.command(epilog=EXIT_CODES)
@click.argument("dataset")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@with_json
def new(*, dataset: str, path: Path | None, as_json: bool) -> None:
    """Write a commented spec of DATASET to PATH, by default DATASET.yaml here; a file that is there stays."""
    from aurum_etl import describe
    from aurum_etl.adapters import dataset as of_key
    from aurum_etl.errors import UsageError

    text = describe.new_spec(of_key(dataset))
    path = path or Path(f"{dataset}.yaml")
    try:
        with path.open("x") as file:
            file.write(text)
        path.chmod(outside.mode())
    except FileExistsError as error:
        raise UsageError(f"{path}: is there already") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    console = console_of(as_json)
    console.document({"dataset": dataset, "spec": path})
    console.line(f"wrote {path}; try: aurum-etl run {path} --sim")


@cli.command(epilog=EXIT_CODES)
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_json
def check(*, specs: tuple[Path, ...], as_json: bool) -> None:
    """Say whether specs are right, and if not, what is wrong with them."""
    from aurum_etl.adapters import datasets
    from aurum_etl.errors import SpecError
    from aurum_etl.spec import load_spec

    console = console_of(as_json)
    results = []
    for path in specs:
        errors: list[str] = []
        try:
            load_spec(path, (), datasets())
        except SpecError as error:
            errors = str(error).splitlines()
        results.append({"spec": str(path), "ok": not errors, "errors": errors})
        for line in errors or [f"{path}: ok"]:
            console.line(line)
    console.document(results)
    if not all(each["ok"] for each in results):
        sys.exit(EXIT_SPEC)


@cli.command(epilog=EXIT_CODES)
@click.option("--json", "_as_json", is_flag=True, help="The same: a schema is JSON.")
def schema(*, _as_json: bool) -> None:
    """Print the JSON Schema of a spec, for editors."""
    from aurum_etl.adapters import datasets
    from aurum_etl.spec import json_schema

    click.echo(json.dumps(json_schema(datasets()), indent=2))


@cli.command(epilog=EXIT_CODES)
@click.option("--iso", "isos", multiple=True, type=click.Choice(Iso), help="Only this one; repeatable.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; by default a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--seed", type=click.IntRange(0), default=2024, show_default=True, help="The same seed, the same numbers."
)
@click.option("--nodes", type=click.IntRange(3, 200_000), help="How many locations; by default as many as the ISO has.")
@click.option(
    "--rate-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Refuse requests that come sooner."
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="HOST=REQUESTS/SECONDS[/AT_ONCE]",
    help="Refuse what is more than that, such as CAISO=1/5 or ERCOT_LOGIN=30/60/4; repeatable.",
)
@click.option(
    "--fault", "faults", multiple=True, metavar="KIND[@SECONDS][:TIMES]", help="Let the next requests fail; repeatable."
)
@click.option(
    "--weather", metavar="SEED[:SHARE]", help="Let storms of faults pass over each host, the same for the same seed."
)
@click.option("--apart", is_flag=True, help="Give each host a port of its own, so that one goes down alone.")
@click.option("--attached", is_flag=True, help="Stop when standard input ends.")
@with_json
def simulate(
    *,
    isos: tuple[Iso, ...],
    port: int,
    host: str,
    seed: int,
    nodes: int | None,
    rate_limit: float | None,
    limits: tuple[str, ...],
    faults: tuple[str, ...],
    weather: str | None,
    apart: bool,
    attached: bool,
    as_json: bool,
) -> None:
    """Serve the simulated ISOs until stopped.

    Prints the variables to export: addresses, such as AURUM_CAISO_BASE=http://127.0.0.1:8080/caiso/oasisapi, and the
    credentials that are accepted here and nowhere else.
    POST a JSON list of {"kind", "times", "match", "seconds"} to /_simulator/faults for faults while it serves; GET
    /_simulator/log tells what was asked, and which limits were not kept.
    """
    from aurum_etl.simulator import Fault, Limit, Simulator, Weather

    try:
        simulator = Simulator(
            isos=isos or Iso,
            port=port,
            host=host,
            seed=seed,
            nodes=nodes,
            rate_limit_seconds=rate_limit,
            limits=dict(Limit.parse(each) for each in limits),
            faults=[Fault.parse(each) for each in faults],
            weather=Weather.parse(weather) if weather else None,
            apart=apart,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from error
    with simulator:
        if as_json:
            click.echo(json.dumps(simulator.env))
        else:
            for name, base in simulator.env.items():
                click.echo(f"{name}={base}")
        if attached:
            click.echo()
            sys.stdout.flush()
            sys.stdin.read()
            return
        sys.stdout.flush()
        threading.Event().wait()


for _command in (archive, backfill, coverage, gaps, health, quota, secrets, store):
    cli.add_command(_command)


def main() -> None:
    """Entry point: every error in one line, every kind of it with its exit code, and no secret in anything that is told."""
    guard()
    hide_secrets()
    signal.signal(signal.SIGTERM, _interrupt)
    outside.keep_to_the_owner()
    as_json = "--json" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False, prog_name="aurum-etl"))
    except click.UsageError as error:
        _tell(as_json, "UsageError", error.format_message())
        click.echo("Try 'aurum-etl --help'." if error.ctx is None else error.ctx.get_usage(), err=True)
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        _tell(as_json, type(error).__name__, error.format_message())
        sys.exit(EXIT_USAGE)
    except AurumError as error:
        _tell(as_json, type(error).__name__, str(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _tell(as_json, "Interrupted", "interrupted; what was committed is recorded, the rest is not there")
        leave(EXIT_INTERRUPTED)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _tell(as_json: bool, kind: str, message: str) -> None:
    from aurum_etl.console import printable

    message = redacted(message)
    click.echo(f"aurum-etl: {printable(message)}", err=True)
    if as_json:
        click.echo(json.dumps({"error": {"kind": kind, "message": message}}))


def _print_frame(table: Any) -> None:
    """A frame on a terminal, csv in a pipe."""
    if sys.stdout.isatty():
        import polars as pl

        with pl.Config(tbl_rows=40, tbl_cols=-1, tbl_hide_dataframe_shape=False, fmt_str_lengths=60):
            click.echo(str(pl.DataFrame(table)))
        return
    import pyarrow.csv

    pyarrow.csv.write_csv(table, sys.stdout.buffer)
