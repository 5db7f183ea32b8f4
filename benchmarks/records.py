"""The record of what is done with 100,000 receipts in it, beside one that has few: what a user waits for."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.race import ROOT, Contender, Race, Ratio, peak_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aurum_etl.receipt import Receipt
    from aurum_etl.watermarks import Store
    from benchmarks.race import Ground

_SPEC = ROOT / "specs/caiso_lmp.yaml"
_OVERRIDES = ("source.nodes=ALL",)
_DAYS = 3_650
_FIRST = date(2016, 6, 1)
_FEW, _MANY = 100, 100_000
_ASKED = (
    "status",
    "backfill --plan, ten years",
    "gaps --receipts-only, ten years",
    "backfill list",
    "one more receipt",
)


def races(_ground: Ground) -> Iterator[Race]:
    """Each question at both sizes."""
    yield Race(
        f"the record, {_MANY:,} receipts",
        [Contender(f"{count:,}", "benchmarks.records:asked", {"count": count}) for count in (_FEW, _MANY)],
        [Ratio(f"{name}, {_MANY:,} receipts", f"{name}, {_FEW:,} receipts", at_most=10) for name in _ASKED],
        same_rows=False,
        rounds=1,
    )


def asked(count: int) -> Callable[[], dict[str, Any]]:
    """Median seconds of each question, with that many receipts in the store."""

    def work() -> dict[str, Any]:
        with TemporaryDirectory() as home:
            return {
                f"{name}, {count:,} receipts": {"rows": count, "seconds": seconds, "peak_mb": peak_mb()}
                for name, seconds in zip(_ASKED, _measured(Path(home), count), strict=True)
            }

    return work


def _measured(home: Path, count: int, times: int = 5) -> Iterator[float]:
    from aurum_etl import adapters, telemetry
    from aurum_etl.reload import Reload, begin, planned
    from aurum_etl.runner import Flags
    from aurum_etl.settings import read_settings
    from aurum_etl.watermarks import Store, insert
    from aurum_etl.watermarks.jobs import jobs_of

    telemetry.configure("error", as_json=False)
    settings = read_settings({"AURUM_HOME": str(home)})
    store = Store(settings.home / "watermarks.duckdb")
    with store.transaction() as connection:
        insert(connection, [_receipt(number) for number in range(count)])
    flags = Flags(start=_FIRST, end=_FIRST + timedelta(_DAYS), overrides=_OVERRIDES)
    jobs = jobs_of(settings)
    job = begin(planned(_SPEC, flags, Reload(), settings), Reload(), str(_SPEC))
    zones = {key: each.timezone for key, each in adapters.datasets().items()}
    new = iter(range(count, count + times))
    work: tuple[Callable[[], object], ...] = (
        lambda: store.status(lambda key: zones[key]),
        lambda: planned(_SPEC, flags, Reload(), settings),
        lambda: _gaps(store),
        jobs.statuses,
        lambda: jobs.note(job, [_receipt(next(new))]),
    )
    for each in work:
        yield median(_seconds(each) for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _gaps(store: Store) -> object:
    from aurum_etl import adapters, gaps
    from aurum_etl.spec import load_spec

    spec = load_spec(_SPEC, _OVERRIDES, adapters.datasets())
    dataset = spec.chosen(adapters.dataset(spec.dataset))
    return gaps.find(spec, dataset, store, start=_FIRST, end=_FIRST + timedelta(_DAYS), now=datetime.now(UTC))


def _receipt(number: int) -> Receipt:
    """Day after day of one dataset after another: ten years of each, every hundredth of them failed."""
    from aurum_etl import adapters
    from aurum_etl.chunk import ALL, Chunk, Selection
    from aurum_etl.receipt import Day, Origin, Outcome, Receipt, Written
    from aurum_etl.window import market_day

    keys = sorted(key for key, each in adapters.datasets().items() if not each.contract.is_registry)
    keys.insert(0, keys.pop(keys.index("caiso_lmp")))
    key, day = keys[number // _DAYS % len(keys)], _FIRST + timedelta(number % _DAYS)
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
