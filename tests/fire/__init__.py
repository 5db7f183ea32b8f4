"""Under fire: simulated weeks of all six ISOs at once, while storms of faults pass over them.

Beside it the same weeks from ISOs that are well: what is in the stores in the end must be the same.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from statistics import mean
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

import httpx
import polars as pl

from aurum_etl import adapters
from aurum_etl.archive import Archive
from aurum_etl.archive.upkeep import verify
from aurum_etl.contracts import CONTRACTS
from aurum_etl.contracts.base import LINEAGE
from aurum_etl.quota import tables
from aurum_etl.reload import Reload, begin, go_on, planned, resumption
from aurum_etl.runner import Flags
from aurum_etl.settings import read_settings
from aurum_etl.simulator import running
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import ChunkState, JobState, jobs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from aurum_etl.contracts import Contract
    from aurum_etl.receipt import Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.watermarks.jobs import JobStatus

FIRST = date(2026, 3, 1)
"""Of a month in which the clocks change."""
REQUESTS_PER_MINUTE = 100.0
CONCURRENT_CHUNKS = 3
LIMIT = f"2/0.6/{CONCURRENT_CHUNKS}"
"""What each host lets itself be asked. Two in the time of one, since a request may be on its way for a while; who keeps no
pace asks three times at once."""
ROUNDS = 6
"""How often a job is gone on with, at most."""

FEEDS: dict[str, str] = {
    "caiso_lmp": "nodes: [TH_NP15_GEN-APND, TH_SP15_GEN-APND]",
    "caiso_genmix": "nodes: ALL",
    "ercot_asm": "feed: archive, chunk_days: 2",
    "isone_asm": "nodes: ALL",
    "miso_asm": "chunk_days: 2",
    "pjm_load": "nodes: ALL",
    "spp_lmp": "nodes: [SPPNORTH_HUB, SPPSOUTH_HUB]",
}
"""Datasets with what their specs say of the source: zips, documents behind a login, pages of json, csv files; those that are
published in several pieces a day by two days.
"""
HOSTS = ("CAISO", "CAISO_OUTLOOK", "ERCOT", "ISONE", "MISO", "MISO_API", "PJM", "SPP")


class Asked(TypedDict):
    """One line of a simulator's log."""

    iso: str
    host: str
    path: str
    status: int
    fault: str | None
    violation: str | None
    started: float
    seconds: float | None
    sent: int
    at_once: int


@dataclass
class Done:
    """What came of one dataset."""

    key: str
    status: JobStatus
    rounds: int
    seconds: float
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is settled, and every store holds what the receipts say."""
        return self.status.state is JobState.COMPLETED

    @property
    def failures(self) -> Counter[str]:
        """How often a chunk's try failed, by kind of error."""
        return Counter(str(each.error).partition(":")[0] for each in self.receipts if each.error)


@dataclass
class Month:
    """What came of everything."""

    settings: Settings
    seconds: float
    done: list[Done]
    log: list[Asked]

    @property
    def faults(self) -> Counter[str]:
        """How many requests met which kind of fault."""
        return Counter(each["fault"] for each in self.log if each["fault"])

    @property
    def violations(self) -> list[Asked]:
        """Requests that did not keep a limit."""
        return [each for each in self.log if each["violation"]]

    def rows(self) -> Iterator[tuple[Contract, pl.DataFrame]]:
        """What the Iceberg tables hold, but for how and when it came: sorted, so that two of them can be compared."""
        catalog = open_catalog(self.settings)
        try:
            for kind in sorted({key.partition("_")[2] for key in FEEDS}):
                contract = CONTRACTS[kind]
                frame = pl.from_arrow(catalog.load_table(f"iso.{kind}").scan().to_arrow())
                assert isinstance(frame, pl.DataFrame)
                yield contract, frame.drop(LINEAGE).sort(contract.key)
        finally:
            close_catalog(catalog)

    def told(self) -> str:
        """All of it, as two tables."""
        met, over = sum(self.faults.values()), len(self.violations)
        lines = [
            f"{len(self.log)} requests in {self.seconds:.0f} s, {met} of them met a fault, {over} exceeded a limit",
            "",
            "| dataset | chunks | rows | requests, most for one | failed tries | rounds | seconds |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for each in self.done:
            counts = ", ".join(f"{count} {state}" for state, count in each.status.counts.items())
            failures = ", ".join(f"{count} {kind}" for kind, count in sorted(each.failures.items()))
            most = max((receipt.attempts for receipt in each.receipts), default=0)
            cells = (each.key, counts, f"{each.status.rows:,}", most, failures, each.rounds, f"{each.seconds:.0f}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
        lines += ["", "| host | requests | most at once | mean seconds | faults |", "| --- | --- | --- | --- | --- |"]
        hosts = sorted({(each["iso"], each["host"]) for each in self.log})
        for iso, host in hosts:
            asked = [each for each in self.log if (each["iso"], each["host"]) == (iso, host)]
            thrown = Counter(each["fault"] for each in asked if each["fault"])
            faults = ", ".join(f"{count} {kind}" for kind, count in sorted(thrown.items()))
            at_once, seconds = max(each["at_once"] for each in asked), mean(each["seconds"] or 0.0 for each in asked)
            lines.append(f"| {iso} {host} | {len(asked)} | {at_once} | {seconds:.2f} | {faults} |")
        return "\n".join(lines)


@contextmanager
def isos(*options: str) -> Iterator[tuple[dict[str, str], list[Asked]]]:
    """Simulated ISOs, each host of them apart; when they end, the list holds what they were asked."""
    log: list[Asked] = []
    with running("--apart", "--nodes", "90", *options) as environment:
        try:
            yield environment, log
        finally:
            # A host that nobody asks for anything is up.
            root = urlsplit(environment["AURUM_MISO_PUBLIC_BASE"])
            log += httpx.get(f"http://{root.netloc}/_simulator/log", timeout=30).json()


def month(
    folder: Path,
    *,
    days: int = 31,
    weather: str | None = None,
    sinks: Iterable[str] = ("iceberg",),
    variables: Mapping[str, str] | None = None,
) -> Month:
    """Load so many days of every dataset: paced and through a weather; or from ISOs that are well, in chunks as large as there
    are, and as fast as it goes.
    """
    options = [word for host in HOSTS for word in ("--limit", f"{host}={LIMIT}")] if weather else []
    options += ["--weather", weather] if weather else []
    folder.mkdir(parents=True, exist_ok=True)
    with isos(*options) as (environment, log):
        settings = read_settings({**environment, **(variables or {}), "AURUM_HOME": str(folder / "home")})
        flags = Flags(
            start=FIRST,
            end=FIRST + timedelta(days),
            sink_kinds=tuple(sinks),
            profile="production" if weather else None,
        )
        started = time.monotonic()
        with ThreadPoolExecutor(len(FEEDS)) as threads:
            loading = [
                threads.submit(_load, _spec(folder, key), flags if weather else _whole(flags, key), settings)
                for key in FEEDS
            ]
            done = [each.result() for each in loading]
        seconds = time.monotonic() - started
    return Month(settings, seconds, done, log)


def _load(spec: Path, flags: Flags, settings: Settings) -> Done:
    """One dataset, as somebody would who looks after it: what is left of the job is gone on with until nothing is."""
    reload, started = Reload(), time.monotonic()
    job = begin(planned(spec, flags, reload, settings), reload, str(spec))
    rounds: list[JobStatus] = []
    while not rounds or (len(rounds) < ROUNDS and rounds[-1].state is not JobState.COMPLETED):
        rounds.append(go_on(resumption(job.id, settings=settings))[1])
    receipts = Store(settings.home / "watermarks.duckdb").receipts(dataset=job.dataset)
    return Done(job.dataset, rounds[-1], len(rounds), time.monotonic() - started, receipts)


def _spec(folder: Path, key: str) -> Path:
    path = folder / f"{key}.yaml"
    path.write_text(
        f"dataset: {key}\nsource: {{{FEEDS[key]}, concurrent_chunks: {CONCURRENT_CHUNKS}}}\n"
        f"quota: {{requests_per_minute: {REQUESTS_PER_MINUTE}, burst: 1, rest_seconds: 1}}\n"
    )
    return path


def _whole(flags: Flags, key: str) -> Flags:
    """In chunks as large as the ISO answers at once."""
    days = min(31, *(each.span_days_all for each in adapters.dataset(key).feeds))
    return replace(flags, overrides=(f"source.chunk_days={days}",))


def wrong(fire: Month, calm: Month) -> list[str]:
    """What is not as it should be after a month under fire, in words."""
    jobs = jobs_of(fire.settings)
    found = [
        f"{each.planned.chunk.key}: {each.state}: {each.error}"
        for done in fire.done
        for each in jobs.chunks(done.status.job)
        if each.state not in (ChunkState.DONE, ChunkState.EMPTY)
    ]
    found += [f"{done.key}: {done.status.state}: {done.status.detail}" for done in fire.done if not done.is_complete]
    for (contract, rows), (_, wanted) in zip(fire.rows(), calm.rows(), strict=True):
        if twice := int(rows.select(contract.key).is_duplicated().sum()):
            found.append(f"iso.{contract.kind}: {twice} rows are there more than once")
        if not rows.equals(wanted):
            found.append(f"iso.{contract.kind}: {len(rows)} rows, and not the {len(wanted)} of a calm month")
    found += [f"{each['iso']} {each['host']} {each['path']}: {each['violation']}" for each in fire.violations]
    archive = verify(Archive(fire.settings.home / "archive"))
    found += [] if archive.is_whole else [f"archive: {archive}"]
    # What was reserved is settled, and whatever the ISOs were asked is on record.
    requests = tables(fire.settings)["requests"].to_pylist()
    found += [f"{each['url']}: was never settled" for each in requests if not each["is_settled"]]
    if len(requests) < len(fire.log):
        found.append(f"{len(requests)} requests are on record, and the ISOs were asked {len(fire.log)} times")
    return found
