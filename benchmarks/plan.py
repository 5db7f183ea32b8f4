"""Past one machine: what ten years of five-minute prices of six operators, all nodes, would take, and what limits each.

`python -m benchmarks.plan` writes `benchmarks/PLAN.md` from the last full run's constants and from what the engine itself says
of its datasets: requests, rows and limits are those of `aurum-etl backfill start --plan`. No figure is typed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.race import ROOT
from benchmarks.table import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aurum_etl.backfill import Plan
    from benchmarks.table import Document

PAGE = ROOT / "benchmarks/PLAN.md"
START, END = date(2016, 1, 1), date(2026, 1, 1)
WORKERS = (16, 64)
_DATASETS = {
    "caiso_lmp_rt5": "oasis",
    "miso_lmp_rt5": "final",
    "pjm_lmp_rt5": "verified",
    "isone_lmp_rt5": "api",
    "ercot_lmp_rt5": "archive",
    "spp_lmp_rt5": "daily",
}
"""And the feed that reaches back."""
_DAY_SECONDS = 86_400
_TB = 1e12


@dataclass(frozen=True)
class _Reload:
    """One operator's ten years."""

    name: str
    plan: Plan
    constants: Mapping[str, float]

    @property
    def iso(self) -> str:
        return self.name.partition("_")[0]

    @property
    def source_days(self) -> float:
        """What the operator's own limit of requests takes; nothing of ours makes it shorter."""
        rules = [rule for rule in self.plan.limits.rules if rule.amount == "requests"]
        return max((rule.seconds_for(self.plan.requests) for rule in rules), default=0.0) / _DAY_SECONDS

    @property
    def budget_days(self) -> float:
        """What the profile's limits of records and bytes take: ours, to be raised by who has the room."""
        return self.plan.wait_seconds / _DAY_SECONDS

    @property
    def archive_bytes(self) -> float:
        return self.plan.rows * self.constants[f"{self.iso}_archive_bytes_per_row"]

    @property
    def reading_days(self) -> float:
        """Bytes to validated frames, on all cores of the measured machine."""
        return self.plan.rows / self.constants[f"{self.iso}_parse_rows_per_second"] / _DAY_SECONDS


def page(told: Document) -> str:
    """The page, from a full run's document."""
    constants, cores = told["constants"], told["machine"]["cores"]
    reloads = [_Reload(name, _plan(name, feed), constants) for name, feed in _DATASETS.items()]
    rows = sum(each.plan.rows for each in reloads)
    chunks = sum(len(each.plan.chunks) for each in reloads)
    sections = [
        _head(told, rows),
        "## What there is to fetch\n",
        *_sources(reloads),
        "## What it takes on disk\n",
        *_disk(reloads, rows, constants),
        "## How long it takes, and what limits it\n",
        *_times(reloads, rows, chunks, constants, int(cores)),
        "## What keeps it flat\n",
        *_layouts(rows, chunks, constants),
    ]
    return "\n".join(sections)


def _plan(name: str, feed: str) -> Plan:
    """The engine's own plan for all nodes; nobody is asked, so that it needs no account."""
    from aurum_etl import adapters
    from aurum_etl.runner import Flags, fit_out, plan_of
    from aurum_etl.settings import read_settings
    from aurum_etl.spec import load_spec
    from aurum_etl.window import market_days

    with TemporaryDirectory() as home:
        overrides = ("source.nodes=ALL", f"source.feed={feed}")
        spec = load_spec(ROOT / f"specs/{name}.yaml", overrides, adapters.datasets())
        flags = Flags(simulated=True, profile="high_volume")
        prepared = fit_out(spec, flags, read_settings({"AURUM_HOME": home}))
        return plan_of(prepared, market_days(START, END, prepared.dataset.timezone))


def _head(told: Document, rows: int) -> str:
    machine = told["machine"]
    return (
        "# Ten years of six operators\n\n"
        f"Written by `python -m benchmarks.plan` from `{told['command']}` of {told['date']} "
        f"({machine['processor'] or machine['architecture']}, {machine['cores']} cores, {machine['memory_gb']} GB) and from "
        "the engine's own plans. No figure here was typed. Bytes are of generated answers, whose digits are more random than "
        "real ones: real archives tend to be smaller.\n\n"
        f"All nodes, five-minute prices, {START} to {END}: {_count(rows)} rows.\n"
    )


def _sources(reloads: Sequence[_Reload]) -> Iterator[str]:
    yield from _table_head(
        "dataset", "chunks", "requests", "rows", "days at the operator's limit of requests", "days within `high_volume`"
    )
    for each in reloads:
        yield _row(
            f"`{each.name}`",
            f"{len(each.plan.chunks):,}",
            f"{each.plan.requests:,}",
            _count(each.plan.rows),
            f"{each.source_days:.1f}",
            f"{each.budget_days:.1f}",
        )
    yield (
        "\nOperators do not wait for each other: all are asked at once, and the slowest tells how long the fetching takes. "
        "`high_volume` also limits records and bytes an hour, which is for us to set.\n"
    )


def _disk(reloads: Sequence[_Reload], rows: int, constants: Mapping[str, float]) -> Iterator[str]:
    yield from _table_head("where", "bytes a row", "TB in all", "TB a year")
    years = (END - START).days / 365.25
    sizes = {f"archive, `{each.name}`": (each.archive_bytes / each.plan.rows, each.plan.rows) for each in reloads}
    for name, words in (("timescale", "PostgreSQL, not compressed"), ("iceberg", "Iceberg"), ("kafka", "Kafka, Avro")):
        sizes[words] = (constants[f"{name}_bytes_per_row"], rows)
    for where, (size, count) in sizes.items():
        yield _row(where, f"{size:.1f}", f"{size * count / _TB:.2f}", f"{size * count / years / _TB:.3f}")
    yield (
        "\nRetention: `AURUM_ARCHIVE_KEEP_DAYS` gives up replay beyond it, `retain_days` of the Timescale sink drops whole "
        "partitions, and a topic's own retention is the broker's.\n"
    )


def _times(
    reloads: Sequence[_Reload], rows: int, chunks: int, constants: Mapping[str, float], cores: int
) -> Iterator[str]:
    """By size of the installation: days of each part, and which is the longest."""
    slowest = max(reloads, key=lambda each: each.source_days)
    reading = sum(each.reading_days for each in reloads)
    loading = rows / constants["three_stores_rows_per_second"] / _DAY_SECONDS
    one_worker = rows / constants["worker_rows_per_second"] / _DAY_SECONDS
    fixed = {
        "PostgreSQL": rows / constants["timescale_rows_per_second"] / _DAY_SECONDS,
        "Iceberg commits": chunks * constants["commit_seconds"] / _DAY_SECONDS,
        f"requests to {slowest.iso.upper()}": slowest.source_days,
    }
    # What two workers lose to each other here, where they share cores with everything else, taken to grow as it began: the
    # worst that more of them can be. Workers with machines of their own share nothing but the stores: the best.
    shared = max(2 / constants["two_workers"] - 1, 0.0)
    yield from _table_head("where", "computing, days", *(f"{name}, days" for name in fixed), "what limits it")
    yield _time(f"one machine, {cores} cores, three stores", [max(reading, loading)], fixed)
    for workers in WORKERS:
        best, worst = one_worker / workers, one_worker * (1 + shared * (workers - 1)) / workers
        yield _time(f"{workers} workers of one core each", [best, worst], fixed)
    yield (
        f"\nTwo workers did {constants['two_workers']:.2f} times what one did, on a machine whose cores they shared with "
        "everything else. For more of them computing is told twice: with cores of their own, and losing to each other as those "
        "two did. One PostgreSQL is one server, however many workers there are; its rows a second were measured with the "
        "client on the same cores. One process commits to an Iceberg table, while workers write the files.\n"
    )


def _time(where: str, computing: Sequence[float], fixed: Mapping[str, float]) -> str:
    """A line; what limits is the longest part, also where computing is at its worst."""
    parts = {"computing": max(computing), **fixed}
    told = "–".join(f"{days:.1f}" for days in computing)
    return _row(where, told, *(f"{days:.1f}" for days in fixed.values()), max(parts, key=lambda name: parts[name]))


def _layouts(rows: int, chunks: int, constants: Mapping[str, float]) -> Iterator[str]:
    from aurum_etl.sinks.iceberg import PROPERTIES
    from aurum_etl.spec import TimescaleSpec

    layout = TimescaleSpec(kind="timescale")
    days = (END - START).days
    kept = int(PROPERTIES["history.expire.min-snapshots-to-keep"])
    in_partition = rows / days * layout.chunk_days
    partition_gb = in_partition * constants["timescale_bytes_per_row"] / 1e9
    young_days = layout.compress_after_days or days
    young_gb = rows / days * young_days * constants["timescale_bytes_per_row"] / 1e9
    file_mb = rows / chunks * constants["iceberg_bytes_per_row"] / 1e6
    yield from _table_head("of", "how many", "why it stays flat")
    yield _row("commits", f"{chunks:,}", "one per chunk, or fewer: chunks that end together share one")
    yield _row(
        "Iceberg snapshots",
        f"{kept} to {2 * kept} kept",
        f"older ones expire: the metadata stay at {constants['metadata_kb']:.0f} kB, whatever was done before",
    )
    yield _row(
        "Iceberg data files",
        f"{chunks:,} or more",
        f"one per chunk and market day, in partitions of `iso_code` and `operating_date`; {_count(rows / chunks)} rows and "
        f"{file_mb:.0f} MB a chunk",
    )
    yield _row(
        "manifests",
        f"merged from {PROPERTIES['commit.manifest.min-count-to-merge']} on",
        "a commit writes the manifests of its own partitions",
    )
    yield _row(
        "partitions of the fact table",
        f"{-(-days // layout.chunk_days):,} of {layout.chunk_days} days",
        f"a chunk touches one or two of them; {_count(in_partition)} rows and {partition_gb:.1f} GB each before compression",
    )
    yield _row(
        "rows not compressed yet",
        f"{young_days} days, {young_gb:.0f} GB",
        "segments are (`iso_code`, run, `operating_date`), so that a reload drops whole batches of the others",
    )
    yield _row("receipts", f"{chunks:,}", "what many of them cost is in the table of ratios, under `the record`")
    yield ""


def _table_head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _count(number: float) -> str:
    """A large number to be read."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:,.0f}"


def write(told: Document) -> None:
    """Write the page."""
    PAGE.write_text(page(told))


if __name__ == "__main__":
    write(json.loads((RESULTS / "full.json").read_text()))
