"""One run: a spec and the flags of this time, to receipts. What `aurum-etl run` does, callable from Python.

```python
from aurum_etl import Flags, run

report = run(Path("specs/caiso_lmp.yaml"), Flags(simulated=True))
```
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aurum_etl import adapters, sinks
from aurum_etl.adapters.base import demand_credentials, read_files
from aurum_etl.backfill import Plan, Planned, Reason, execute, named_days, plan, wanted
from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_OK, EXIT_SINK, EXIT_SOURCE, UsageError
from aurum_etl.pipeline import Workshop, chunks_of, load_chunk, mark_of, normalized_of
from aurum_etl.quarantine import Quarantine
from aurum_etl.receipt import Origin, Outcome
from aurum_etl.settings import read_settings
from aurum_etl.spec import default_sink, load_spec
from aurum_etl.watermarks import Store
from aurum_etl.window import Window, intersect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from aurum_etl.adapters.base import Adapter
    from aurum_etl.archive import Archive
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.receipt import Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.spec import SinkSpec, Spec

PROFILES = ("development", "production")
_SETTLED_ORDER = (Outcome.FAILED, Outcome.QUARANTINED, Outcome.DONE, Outcome.EMPTY)


@dataclass(frozen=True, slots=True)
class Flags:
    """What this one run adds to its spec."""

    start: date | None = None
    """First market day."""
    end: date | None = None
    """Market day after the last."""
    simulated: bool = False
    """Ask a simulator that lives as long as the run."""
    replay: bool = False
    """Ask the archive."""
    files: tuple[Path, ...] = ()
    """Read these instead of asking anybody."""
    sink_kinds: tuple[str, ...] = ()
    """Stores that take the place of the spec's."""
    overrides: tuple[str, ...] = ()
    """`PATH=VALUE`, as in `source.nodes=ALL`."""
    profile: str | None = None
    """`production` keeps the ISO's limits, `development` waits for nothing; by default the latter on loopback alone."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    dataset: Dataset
    plan: Plan
    receipts: tuple[Receipt, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst that came of a chunk; `done` if there was none."""
        outcomes = {receipt.outcome for receipt in self.receipts}
        return next((each for each in _SETTLED_ORDER if each in outcomes), Outcome.DONE)

    @property
    def rows(self) -> int:
        """Rows that every store of the run took."""
        return sum(receipt.rows_committed for receipt in self.receipts)

    @property
    def exit_code(self) -> int:
        """0; 1 if a chunk failed; 5 or 6 if all failed, because the source or a store could not be had."""
        failed = [receipt for receipt in self.receipts if receipt.outcome is Outcome.FAILED]
        if not failed:
            return EXIT_OK
        kinds = {(receipt.error or "").partition(":")[0] for receipt in failed}
        if len(failed) == len(self.receipts):
            if kinds <= {"SourceUnavailable", "SourceUnreachable", "NotYetPublished"}:
                return EXIT_SOURCE
            if kinds <= {"SinkUnavailable", "CommitFailed", "CommitUnknown"}:
                return EXIT_SINK
        return EXIT_CHUNK_FAILED


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that a run is made of, decided before anything is fetched."""

    spec: Spec
    dataset: Dataset
    adapter: Adapter
    settings: Settings
    flags: Flags
    store: Store
    origin: Origin
    bases: Mapping[str, str]
    now: datetime
    plan: Plan
    """What will be done; for files it is made when they are read."""

    @property
    def sinks(self) -> tuple[SinkSpec, ...]:
        """The stores of this run: those of the spec, or those that the flags name, with the spec's options if it has any."""
        if not self.flags.sink_kinds:
            return self.spec.sinks
        known: dict[str, SinkSpec] = {each.kind: each for each in self.spec.sinks}
        return tuple(known.get(kind) or default_sink(kind) for kind in self.flags.sink_kinds)

    @property
    def paced(self) -> bool:
        """Whether the ISO's limits are kept."""
        if self.flags.profile is not None:
            return self.flags.profile == "production"
        return self.origin is not Origin.SIMULATOR and not all(_is_loopback(base) for base in self.bases.values())

    @property
    def requests_per_minute(self) -> float | None:
        """The pace; None where nothing waits."""
        if not self.paced or self.flags.replay:
            return None
        return self.spec.source.requests_per_minute or self.adapter.requests_per_minute


def prepare(spec_path: Path, flags: Flags, settings: Settings | None = None) -> Prepared:
    """The run and its plan; nothing is fetched, and nothing made on disk.

    Raises: SpecError if the spec is not as it should be; UsageError if the flags are not.
    """
    settings = settings or read_settings()
    if flags.files and (flags.simulated or flags.replay or flags.start or flags.end):
        raise UsageError(
            "--from-files goes neither with --sim or --replay nor with dates: the files say what they hold"
        )
    for kind in flags.sink_kinds:
        if kind not in sinks.KINDS:
            raise UsageError(f'--sink: "{kind}" is not one of {", ".join(sorted(sinks.KINDS))}')
    spec = load_spec(spec_path, flags.overrides, adapters.datasets())
    dataset = spec.chosen(adapters.dataset(spec.dataset))
    adapter = adapters.adapter(dataset.iso)
    bases = settings.addresses(dataset.iso, adapter.bases)
    if not (flags.files or flags.replay or flags.simulated):
        demand_credentials(dataset, settings.credentials, adapter.manners.access)
    prepared = Prepared(
        spec=spec,
        dataset=dataset,
        adapter=adapter,
        settings=settings,
        flags=flags,
        store=Store(settings.home / "watermarks.duckdb"),
        origin=_origin(flags, bases, adapter.bases),
        bases=bases,
        now=datetime.now(UTC),
        plan=Plan(dataset.key, None, (), None),
    )
    return prepared if flags.files else replace(prepared, plan=_plan(prepared))


def perform(prepared: Prepared, seen: Callable[[Receipt], None] = lambda _: None) -> Report:
    """Do what was prepared; `seen` hears of every chunk.

    Twice:  every chunk replaces its scope in every store, so the second time leaves the same rows.
    Raises: SinkUnavailable before anything is fetched, if a store cannot be reached. A chunk's own failure is in the
            report.
    """
    # Its import takes a second, which the first answer takes too.
    threading.Thread(target=import_module, args=("aurum_etl.validate",)).start()
    from aurum_etl.archive import Archive

    settings, spec, planned = prepared.settings, prepared.spec, prepared.plan
    archive = Archive(settings.private_folder("archive"))
    receipts: list[Receipt] = []
    with ExitStack() as stack:
        stores = []
        for each in prepared.sinks:
            stores.append(sinks.sink(each, settings))
            stack.callback(stores[-1].close)
            stores[-1].open(prepared.dataset)
        workshop = Workshop(
            adapter=prepared.adapter,
            dataset=prepared.dataset,
            origin=prepared.origin,
            sinks=stores,
            quarantine=Quarantine(settings.private_folder("quarantine")),
            max_rejected_share=spec.quality.max_rejected_share,
            max_bytes=settings.response_max_bytes,
        )
        coming: Iterator[Receipt] = iter(())
        if prepared.flags.files:
            planned, coming = _from_files(prepared, workshop)
        elif planned.chunks:
            source = stack.enter_context(_source(prepared, archive))
            coming = execute(planned, workshop, source, prepared.store)
        for receipt in coming:
            receipts.append(receipt)
            seen(receipt)
    archive.prune(max_bytes=settings.archive_max_bytes, keep_days=settings.archive_keep_days, now=prepared.now)
    return Report(prepared.dataset, planned, tuple(receipts))


def run(spec_path: Path, flags: Flags = Flags(), settings: Settings | None = None) -> Report:
    """Prepare and perform: what `aurum-etl run` does."""
    return perform(prepare(spec_path, flags, settings))


def _origin(flags: Flags, bases: Mapping[str, str], default_bases: Mapping[str, str]) -> Origin:
    if flags.files:
        return Origin.FILES
    if flags.simulated:
        return Origin.SIMULATOR
    return Origin.LIVE if bases == default_bases else Origin.CUSTOM


def _plan(prepared: Prepared) -> Plan:
    spec, dataset, flags = prepared.spec, prepared.dataset, prepared.flags
    durable = sinks.durable(prepared.sinks)
    settled = (
        prepared.store.settled(
            dataset.key, spec.selection, durable, simulated=flags.simulated, lower=dataset.lower_marks
        )
        if durable
        else []
    )
    asked_for = flags.start is not None or flags.end is not None
    if asked_for:
        window = named_days(flags.start, flags.end, dataset, prepared.now)
    else:
        window = wanted(spec, dataset, settled, prepared.now)
    planned = plan(
        window,
        spec,
        dataset,
        prepared.adapter,
        settled,
        asked_for=asked_for,
        requests_per_minute=prepared.requests_per_minute,
    )
    better = _of_higher_revision(prepared, [each.chunk for each in planned.chunks], dataset.mark)
    if asked_for:
        _refuse_to_lower(better, dataset.mark)
    elif better:
        planned = replace(planned, chunks=tuple(each for each in planned.chunks if each.chunk not in better))
    if flags.simulated:
        _refuse_to_invent(prepared, planned)
    return planned


def _of_higher_revision(prepared: Prepared, chunks: Sequence[Chunk], mark: str) -> list[Chunk]:
    """Those of the chunks that would put rows of a lower revision in the place of higher ones."""
    ranks = prepared.dataset.ranks
    # What has no mark ranks as zero: above what is not even preliminary.
    higher = [each for each, rank in {"": 0, **ranks}.items() if ranks and rank > ranks.get(mark, 0)]
    held = prepared.store.of_revisions(prepared.dataset.key, higher) if higher else {}
    return [
        chunk
        for chunk in chunks
        if any(
            intersect(chunk.window, window)
            for selection, windows in held.items()
            if selection.meets(chunk.selection)
            for window in windows
        )
    ]


def _refuse_to_lower(better: Sequence[Chunk], mark: str) -> None:
    """Preliminary rows never take the place of final ones."""
    if better:
        raise UsageError(f"{better[0].key}: rows of a higher revision than {mark} are there, and stay")


def _from_files(prepared: Prepared, workshop: Workshop) -> tuple[Plan, Iterator[Receipt]]:
    """A plan of the chunks that the files hold, and their receipts as they come."""
    fetched = read_files(prepared.adapter, prepared.dataset, prepared.flags.files, prepared.settings.response_max_bytes)
    normalized = normalized_of(fetched, prepared.dataset)
    chunks = chunks_of(normalized, prepared.dataset, prepared.spec.selection)
    if not chunks:
        said = "; ".join(fetched.nothing) or f"{normalized.rows_read} rows, all of other datasets or unknown words"
        raise UsageError(
            f"--from-files: nothing of {prepared.dataset.key} is in {len(prepared.flags.files)} files ({said})"
        )
    for chunk, part in chunks.items():
        mark = mark_of(part, prepared.dataset)
        _refuse_to_lower(_of_higher_revision(prepared, [chunk], mark), mark)
    planned = tuple(Planned(chunk, Reason.ASKED_FOR, 0, len(part.frame)) for chunk, part in chunks.items())

    def load() -> Iterator[Receipt]:
        for chunk, part in chunks.items():
            receipt = load_chunk(chunk, workshop, part)
            prepared.store.append(receipt)
            yield receipt

    window = Window(min(each.window.start for each in chunks), max(each.window.end for each in chunks))
    return Plan(prepared.dataset.key, window, planned, None), load()


@contextmanager
def _source(prepared: Prepared, archive: Archive) -> Iterator[Source]:
    """Where answers come from: the archive, a simulator of this run's own, or the address of the ISO."""
    from aurum_etl.download import QUICK, Download, Patience, Replay

    if prepared.flags.replay:
        yield Replay(archive, simulated=prepared.flags.simulated, manners=prepared.adapter.manners)
        return
    with ExitStack() as stack:
        iso, bases, credentials = prepared.dataset.iso, prepared.bases, prepared.settings.credentials
        if prepared.flags.simulated:
            from aurum_etl.simulator import running

            # What it prints are addresses, and credentials that are accepted there and nowhere else.
            credentials = stack.enter_context(running())
            bases = {host: credentials[iso.base_variable(host)] for host in bases}
        yield stack.enter_context(
            Download(
                bases,
                prepared.origin,
                archive,
                requests_per_minute=prepared.requests_per_minute,
                patience=replace(Patience() if prepared.paced else QUICK, attempts=prepared.spec.source.attempts),
                max_bytes=prepared.settings.response_max_bytes,
                manners=prepared.adapter.manners,
                auth=prepared.adapter.auth(prepared.dataset, credentials, bases),
            )
        )


def _refuse_to_invent(prepared: Prepared, planned: Plan) -> None:
    """A simulation never takes the place of what an ISO published."""
    published = prepared.store.published(prepared.dataset.key)
    for each in planned.chunks:
        if any(intersect(each.chunk.window, window) for window in published):
            raise UsageError(
                f"--sim: {each.chunk.key} would replace published data with invented data; simulate under another AURUM_HOME"
            )


def _is_loopback(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
