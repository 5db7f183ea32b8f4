"""Many days as one backfill, replayed: a simulator has answered before, so that nothing but the engine and its stores work.

Three questions: does a chunk cost the same after many others, do two cores or two workers do twice as much, and do three
stores at once take longer than the slowest of them.
"""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.race import ROOT, Contender, Race, Ratio, peak_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from aurum_etl.chunk import Chunk, Scope
    from aurum_etl.receipt import Postponed, Receipt
    from aurum_etl.settings import Settings
    from benchmarks.race import Ground, Turn

_SPEC = ROOT / "specs/caiso_lmp.yaml"
_MAX_BYTES = 2**33
_FIRST = date(2025, 1, 1)
_FLAT = 1.25
"""More than this is growth, less is the machine's mood."""
_TENTHS = 10
_WIDTH = 3
"""Chunks in work at a time, the engine's own default."""
_SINKS = ("timescale", "iceberg", "kafka")


def races(ground: Ground) -> Iterator[Race]:
    """A long backfill of small days, a short one of large days, and a month into everything."""
    yield _long(ground)
    yield from _wide(ground)
    yield _month(ground)


def _long(ground: Ground) -> Race:
    days, nodes = (365, 1_000) if ground.full else (30, 90)
    archive = _record(ground.made("long"), days, nodes)
    return Race(
        f"backfill of {days} days",
        [Contender("", "benchmarks.backfill:tenths", {"archive": archive, "days": days})],
        [
            Ratio("last tenth", "first tenth", at_most=_FLAT),
            Ratio("last tenth", "first tenth", at_most=_FLAT, of="peak_mb"),
            Ratio("last tenth", "first tenth", at_most=_FLAT, of="commit_seconds"),
            # Until as many snapshots are there as are kept, it grows.
            *([Ratio("last tenth", "first tenth", at_most=_FLAT, of="metadata_kb")] if ground.full else []),
        ],
        rounds=1,
        constants=lambda turns: {
            "commit_seconds": turns["last tenth"]["commit_seconds"],  # type: ignore[typeddict-item]
            "metadata_kb": turns["last tenth"]["metadata_kb"],  # type: ignore[typeddict-item]
        },
    )


def _wide(ground: Ground) -> Iterator[Race]:
    days, nodes = (24, 4_000) if ground.full else (5, 4_000)
    common = {"archive": _record(ground.made("wide"), days, nodes), "days": days, "sinks": ["iceberg"]}

    def contender(name: str, *, cores: int | None = None, **place: object) -> Contender:
        threads = {"POLARS_MAX_THREADS": "1"} if place else {}
        arguments = {**common, "place": place}
        return Contender(name, "benchmarks.backfill:backfilled", arguments, cores=cores, environment=threads)

    yield Race(
        f"backfill of {days} large days",
        [contender("two cores", cores=2), contender("one core", cores=1)],
        [Ratio("two cores", "one core", at_least=1.7)],
    )
    if ground.full:
        # Each worker computes on one core, so that a second one is a second core.
        workers = [contender(f"{words} Dask", kind="dask", workers=n) for words, n in (("two", 2), ("one", 1))]
        yield Race(
            f"backfill of {days} large days by workers",
            workers,
            [Ratio("two Dask", "one Dask", at_least=1.7)],
            constants=lambda turns: {
                "worker_rows_per_second": _rate(turns["one Dask"]),
                "two_workers": turns["one Dask"]["seconds"] / turns["two Dask"]["seconds"],
            },
        )


def _month(ground: Ground) -> Race:
    days, nodes = (31, 2_000) if ground.full else (6, 2_000)
    common = {"archive": _record(ground.made("month"), days, nodes), "days": days}
    environment = {
        "TIMESCALE_CONNECTION": ground.database(),
        "KAFKA_BOOTSTRAP_SERVERS": ground.server("kafka")["bootstrap"],
        "SCHEMA_REGISTRY_URL": ground.server("registry")["url"],
    }

    def contender(name: str, work: str, **arguments: object) -> Contender:
        return Contender(name, f"benchmarks.backfill:{work}", {**common, **arguments}, environment=environment)

    stages = ["reading", *(f"into {sink}" for sink in _SINKS)]
    return Race(
        f"{days} days into three stores at once",
        [
            contender("aurum", "backfilled", sinks=_SINKS, place={}),
            contender("reading", "read"),
            *(contender(f"into {sink}", "loaded", sink=sink) for sink in _SINKS),
        ],
        [
            Ratio("aurum", "slowest stage", at_most=1.3),
            Ratio("aurum", "stages one after the other", at_least=1),
            *(Ratio("aurum", stage) for stage in stages),
        ],
        slowest={"slowest stage": stages},
        sums={"stages one after the other": stages},
        constants=lambda turns: {
            "three_stores_rows_per_second": _rate(turns["aurum"]),
            **{f"{sink}_rows_per_second": _rate(turns[f"into {sink}"]) for sink in _SINKS},
        },
    )


def _rate(turn: Turn) -> float:
    return turn["rows"] / turn["seconds"]


@dataclass
class _Clock:
    """Looks on: notes when the first chunk was begun and the last one ended, and takes the measure of each tenth."""

    chunks: int
    home: Path
    begun_at: float = 0.0
    ended_at: float = 0.0
    rows: int = 0
    commits: list[float] = field(default_factory=list)
    tenths: list[dict[str, float]] = field(default_factory=list)
    ended_chunks: int = 0
    tenth_from: float = field(default_factory=time.perf_counter)

    def begun(self, _chunk: Chunk) -> None:
        self.begun_at = self.begun_at or time.perf_counter()

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        """Nothing is postponed here."""
        raise AssertionError(f"{postponed}, {waits}")

    def state(self, _text: str) -> None: ...

    def ended(self, receipt: Receipt, _again_in: float | None) -> None:
        self.ended_at = now = time.perf_counter()
        self.ended_chunks += 1
        self.rows += receipt.rows_committed
        self.commits.append(receipt.seconds.get("commit", 0.0))
        if self.ended_chunks * _TENTHS // self.chunks == len(self.tenths):
            return
        newest = max((self.home / "warehouse").rglob("*.metadata.json"), default=None)
        self.tenths.append(
            {
                "rows": 0,
                "seconds": (now - self.tenth_from) / len(self.commits),
                "peak_mb": peak_mb(),
                "commit_seconds": mean(self.commits),
                "metadata_kb": newest.stat().st_size / 1000 if newest else 0.0,
            }
        )
        self.tenth_from, self.commits = now, []
        # The peak begins anew with what is held now.
        Path("/proc/self/clear_refs").write_text("5")


def tenths(archive: str, days: int) -> Callable[[], dict[str, Any]]:
    """Seconds, memory and metadata of a chunk, in the first tenth of them and in the last."""

    def work() -> dict[str, Any]:
        clock = _replayed(archive, days, ("iceberg",), {})
        return {"first tenth": clock.tenths[0], "last tenth": clock.tenths[-1]}

    return work


def backfilled(
    archive: str, days: int, sinks: Sequence[str], place: Mapping[str, Any]
) -> Callable[[], dict[str, Turn]]:
    """From the first chunk that is begun to the last that has ended; what a cluster takes to start is not in it."""

    def work() -> dict[str, Turn]:
        clock = _replayed(archive, days, sinks, place)
        return {"": {"rows": clock.rows, "seconds": clock.ended_at - clock.begun_at, "peak_mb": peak_mb()}}

    return work


def read(archive: str, days: int) -> Callable[[], int]:
    """The answers to canonical tables, and no store."""
    makers = list(_tables(archive, days))

    def work() -> int:
        with ThreadPoolExecutor(_WIDTH) as pool:
            return sum(pool.map(lambda make: make()[0].num_rows, makers))

    return work


def loaded(archive: str, days: int, sink: str) -> Callable[[], int]:
    """Canonical tables that are there already into one store, as many at a time as a backfill has in work."""
    from aurum_etl import adapters, sinks
    from aurum_etl.spec import default_sink

    made = [make() for make in _tables(archive, days)]
    store = sinks.sink(default_sink(sink), _settings(archive))
    store.open(adapters.dataset("caiso_lmp"))

    def work() -> int:
        with ThreadPoolExecutor(_WIDTH) as pool:
            return sum(pool.map(lambda each: store.stage(*each).commit().rows, made))

    return work


def _record(folder: Path, days: int, nodes: int) -> str:
    """Let a simulator answer for every day, and keep what it answers; the home that has it in its archive.

    Some days at a time, since what goes into memory stays there until a job ends.
    """
    from aurum_etl.settings import read_settings
    from aurum_etl.simulator import Simulator

    with Simulator(nodes=nodes) as simulator:
        settings = read_settings({"AURUM_HOME": str(folder), **simulator.env})
        for first in range(0, days, 20):
            _backfill(settings, first, min(first + 20, days), ("memory",), replay=False)
    return str(folder / "archive")


def _settings(archive: str) -> Settings:
    """Of a home that is new, but for the archive; stores that are servers are told by the environment."""
    from aurum_etl.settings import read_settings

    home = Path(archive).parent / f"home-{uuid.uuid4().hex[:8]}"
    home.mkdir()
    (home / "archive").symlink_to(archive)
    return read_settings(os.environ | {"AURUM_HOME": str(home)})


def _replayed(archive: str, days: int, sinks: Sequence[str], place: Mapping[str, Any]) -> _Clock:
    return _backfill(_settings(archive), 0, days, sinks, replay=True, **place)


def _backfill(settings: Settings, first: int, last: int, sinks: Sequence[str], *, replay: bool, **place: Any) -> _Clock:
    """The days from one to the other as a job, carried out here."""
    from aurum_etl import telemetry
    from aurum_etl.executors import Place
    from aurum_etl.reload import Reload, begin, go_on, planned, resumption
    from aurum_etl.runner import Flags

    telemetry.configure("error", as_json=False)
    start, end = _FIRST + timedelta(first), _FIRST + timedelta(last)
    flags = Flags(start, end, overrides=("source.nodes=ALL",), sink_kinds=tuple(sinks), replay=replay)
    reload = Reload(place=Place(**place))
    job = begin(planned(_SPEC, flags, reload, settings), reload, str(_SPEC))
    clock = _Clock(last - first, settings.home)
    _, status = go_on(resumption(job.id, settings=settings), clock)
    if status.state.value != "completed":
        raise SystemExit(f"the backfill is {status.state.value}: {status.counts}")
    return clock


def _tables(archive: str, days: int) -> Iterator[Callable[[], tuple[pa.Table, Scope]]]:
    """What makes the canonical table of each day, by the steps of a run."""
    import aurum_etl.decode  # noqa: F401 - the adapter loads it when it reads; imports are not what is measured
    from aurum_etl import adapters, telemetry
    from aurum_etl.adapters.base import fetch
    from aurum_etl.archive import Archive
    from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
    from aurum_etl.download import Replay
    from aurum_etl.pipeline import normalized_of, to_arrow, with_lineage
    from aurum_etl.validate import validate
    from aurum_etl.window import market_day

    telemetry.configure("error", as_json=False)
    dataset = adapters.dataset("caiso_lmp")
    adapter = adapters.adapter(dataset.iso)
    source = Replay(Archive(Path(archive)), simulated=False, manners=adapter.manners, max_bytes=_MAX_BYTES)

    def made(chunk: Chunk) -> tuple[pa.Table, Scope]:
        normalized = normalized_of(fetch(adapter, dataset, chunk, source, _MAX_BYTES), dataset)
        frame = with_lineage(normalized.frame, dataset.contract, chunk, datetime.now(UTC))
        accepted = validate(frame, dataset.contract, dataset.checks).accepted
        return to_arrow(accepted, dataset.contract), scope_of(chunk, dataset)

    for day in range(days):
        window = market_day(_FIRST + timedelta(day), dataset.timezone)
        yield partial(made, Chunk(dataset.key, Selection(ALL), window))
