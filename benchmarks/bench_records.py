"""The record of what is done with many receipts in it, beside one that has few.

`python -m benchmarks.bench_records [--receipts N] [--repeats N] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aurum_etl import adapters, gaps, telemetry
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.receipt import Day, Origin, Outcome, Receipt, Written
from aurum_etl.reload import Reload, begin, planned
from aurum_etl.runner import Flags
from aurum_etl.settings import read_settings
from aurum_etl.spec import load_spec
from aurum_etl.watermarks import Store, insert
from aurum_etl.watermarks.jobs import jobs_of
from aurum_etl.window import market_day

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = Path(__file__).parent.parent / "specs/caiso_lmp.yaml"
OVERRIDES = ("source.nodes=ALL",)
DAYS = 3_650
FIRST = date(2016, 6, 1)
FEW = 100


def main() -> None:
    """Measure, and print milliseconds with few receipts beside those with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    telemetry.configure("error", as_json=False)
    told = {count: _measured(count, options.repeats) for count in (FEW, options.receipts)}
    print(f"{platform.machine()}, {os.cpu_count()} cores\n")
    print(f"| milliseconds | {FEW} receipts | {options.receipts:,} receipts | times |")
    print("| --- | --- | --- | --- |")
    for name, few in told[FEW].items():
        many = told[options.receipts][name]
        print(f"| {name} | {few * 1000:.0f} | {many * 1000:.0f} | {many / few:.1f} |")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1))


def _measured(count: int, repeats: int) -> dict[str, float]:
    """Median seconds of what a user waits for, with that many receipts in the store."""
    with TemporaryDirectory() as home:
        settings = read_settings({"AURUM_HOME": home})
        store = Store(settings.home / "watermarks.duckdb")
        with store.transaction() as connection:
            insert(connection, [_receipt(number) for number in range(count)])
        flags = Flags(start=FIRST, end=FIRST + timedelta(DAYS), overrides=OVERRIDES)
        prepared = planned(SPEC, flags, Reload(), settings)
        jobs = jobs_of(settings)
        job = begin(prepared, Reload(), str(SPEC))
        zones = {key: each.timezone for key, each in adapters.datasets().items()}
        new = iter(range(count, count + 2 * repeats))
        work: dict[str, Callable[[], object]] = {
            "status": lambda: store.status(lambda key: zones[key]),
            "backfill --plan, ten years": lambda: planned(SPEC, flags, Reload(), settings),
            "gaps --receipts-only, ten years": lambda: _gaps(store),
            "backfill list": jobs.statuses,
            "one more receipt": lambda: jobs.note(job, [_receipt(next(new))]),
        }
        return {name: _seconds(each, repeats) for name, each in work.items()}


def _seconds(work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return median(taken)


def _gaps(store: Store) -> object:
    spec = load_spec(SPEC, OVERRIDES, adapters.datasets())
    dataset = spec.chosen(adapters.dataset(spec.dataset))
    now = datetime.now(UTC)
    return gaps.find(spec, dataset, store, start=FIRST, end=FIRST + timedelta(DAYS), now=now)


def _receipt(number: int) -> Receipt:
    """Day after day of one dataset after another: ten years of each, every hundredth of them failed."""
    keys = sorted(key for key, each in adapters.datasets().items() if not each.contract.is_registry)
    keys.insert(0, keys.pop(keys.index("caiso_lmp")))
    key, day = keys[number // DAYS % len(keys)], FIRST + timedelta(number % DAYS)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    failed = number % 100 == 99
    return Receipt(
        chunk=Chunk(key, Selection(ALL), market_day(day, adapters.dataset(key).timezone)),
        origin=Origin.LIVE,
        outcome=Outcome.FAILED if failed else Outcome.DONE,
        started_at=at,
        finished_at=at + timedelta(seconds=1),
        rows_read=384_000,
        rows_accepted=0 if failed else 384_000,
        rows_rejected=0,
        attempts=1,
        seconds={"fetch": 0.3, "decode": 0.3, "normalize": 0.2, "validate": 0.1, "stage": 0.2, "commit": 0.05},
        written=() if failed else (Written("iceberg", "iso.lmp", 384_000, f"{number:019}"),),
        error="SourceUnavailable: CAISO SingleZip: status 503" if failed else None,
        bytes=3_000_000,
        days=() if failed else (Day(day, 384_000, f"{number:016x}"),),
    )


if __name__ == "__main__":
    main()
