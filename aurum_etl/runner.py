"""One run: a spec and the flags of this time, to receipts. What `aurum-etl run` does, callable from Python.

```python
from aurum_etl import Flags, run

report = run(Path("specs/caiso_lmp.yaml"), Flags(simulated=True))
```
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aurum_etl import adapters, executors, sinks
from aurum_etl.adapters.base import demand_credentials, read_files
from aurum_etl.archive import Archive, upkeep
from aurum_etl.backfill import BYTES_PER_ROW, Plan, Planned, Reason, named_days, plan, wanted
from aurum_etl.board import Silent
from aurum_etl.equipment import Equipment, at_a_simulator, opened, workshop
from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_OK, EXIT_QUOTA, EXIT_SINK, EXIT_SOURCE, UsageError
from aurum_etl.execute import Ending, Order, Persistence, execute
from aurum_etl.executors import Place
from aurum_etl.executors.base import Task
from aurum_etl.pipeline import chunks_of, load_chunk, mark_of, normalized_of
from aurum_etl.quota import LIVE, PROFILES, UNLIMITED, UNPACED_WAIT_SECONDS, Limits, Profile, distinct, ledger_of
from aurum_etl.receipt import Origin, Outcome
from aurum_etl.recognition import said_to_be_held
from aurum_etl.settings import read_settings
from aurum_etl.spec import default_sink, load_spec
from aurum_etl.watermarks import Store
from aurum_etl.window import Window, intersect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from aurum_etl.adapters.base import Adapter
    from aurum_etl.board import Watcher
    from aurum_etl.chunk import Chunk
    from aurum_etl.dataset import Dataset
    from aurum_etl.execute import Book
    from aurum_etl.pipeline import Workshop
    from aurum_etl.quota import Use
    from aurum_etl.quota.limits import Allowance
    from aurum_etl.receipt import Postponed, Receipt
    from aurum_etl.settings import Settings
    from aurum_etl.spec import SinkSpec, Spec


UNWATCHED = Silent()
HERE = Place()
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
    """How much of the limits is taken: one of `PROFILES`. By default `production`, a backfill `high_volume`, and nothing is
    limited on loopback alone."""
    reloads: bool = False
    """Load again even what is unchanged, and in every store already."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    dataset: Dataset
    plan: Plan
    receipts: tuple[Receipt, ...]
    postponed: tuple[Postponed, ...] = ()
    """Chunks of which nothing came, and that is no failure: they are left to another run."""

    @property
    def outcome(self) -> Outcome:
        """The worst that came of a chunk; `done` if there was none. What was postponed came to nothing yet."""
        outcomes = {receipt.outcome for receipt in self.receipts}
        return next((each for each in _SETTLED_ORDER if each in outcomes), Outcome.DONE)

    @property
    def rows(self) -> int:
        """Rows that every store of the run took."""
        return sum(receipt.rows_committed for receipt in self.receipts)

    @property
    def exit_code(self) -> int:
        """0; 1 if a chunk failed or was postponed; 4, 5 or 6 if all were, because of a quota, the source or a store."""
        errors = [receipt.error for receipt in self.receipts if receipt.outcome is Outcome.FAILED]
        errors += [each.reason for each in self.postponed]
        return exit_code(errors, len(errors), len(self.receipts) + len(self.postponed))


def exit_code(errors: Sequence[str | None], unsettled: int, chunks: int) -> int:
    """0; 1 if a chunk is not settled; 4, 5 or 6 if none is, because of a quota, the source or a store."""
    if not unsettled:
        return EXIT_OK
    kinds = {(error or "").partition(":")[0] for error in errors}
    if kinds and unsettled == chunks:
        if kinds == {"QuotaSpent"}:
            return EXIT_QUOTA
        if kinds <= {"SourceUnavailable", "SourceUnreachable", "SourceResting", "NotYetPublished", "QuotaSpent"}:
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
    bases: Mapping[str, str] = field(repr=False)
    now: datetime
    plan: Plan
    """What will be done; for files it is made when they are read."""
    usual_profile: str = "production"
    """What counts where the flags name none."""

    @property
    def sinks(self) -> tuple[SinkSpec, ...]:
        """The stores of this run: those of the spec, or those that the flags name, with the spec's options if it has any."""
        if not self.flags.sink_kinds:
            return self.spec.sinks
        known: dict[str, SinkSpec] = {each.kind: each for each in self.spec.sinks}
        return tuple(known.get(kind) or default_sink(kind) for kind in self.flags.sink_kinds)

    @property
    def equipment(self) -> Equipment:
        """What its chunks are worked on with."""
        return Equipment(
            spec=self.spec,
            sinks=self.sinks,
            origin=self.origin,
            simulated=self.flags.simulated,
            replay=self.flags.replay,
            paced=self.profile is not None,
            bases=self.bases,
            limits=self.limits,
            host_limits=self.host_limits,
            priority=self.allowance.priority if self.spec.quota.priority is None else self.spec.quota.priority,
            longest_wait_seconds=self.longest_wait_seconds,
        )

    @property
    def profile(self) -> Profile | None:
        """How much of the limits is taken; None where nothing is limited."""
        if self.flags.replay:
            return None
        if self.flags.profile is not None:
            return PROFILES[self.flags.profile]
        here = self.origin is Origin.SIMULATOR or all(_is_loopback(base) for base in self.bases.values())
        return None if here else PROFILES[self.usual_profile]

    @property
    def allowance(self) -> Allowance:
        """What the ISO lets everybody have, with what the spec says instead."""
        known, own = self.adapter.allowance, self.spec.quota
        changes = {each.name: getattr(own, each.name) for each in fields(Limits)}
        changes = {name: value for name, value in changes.items() if value is not None}
        # Who may ask more often than others may do so for everything together.
        pace = max(own.requests_per_minute or 0.0, known.host.requests_per_minute or 0.0)
        burst = max(own.burst or 1, known.host.burst)
        return replace(
            known,
            dataset=replace(known.dataset, **changes),
            host=replace(known.host, requests_per_minute=pace, burst=burst),
        )

    @property
    def limits(self) -> Limits:
        """What the dataset may use."""
        return self.allowance.dataset.scaled(self.profile) if self.profile else UNLIMITED

    @property
    def host_limits(self) -> Limits:
        """What may be used of each host."""
        return self.allowance.host if self.profile else UNLIMITED

    @property
    def longest_wait_seconds(self) -> float:
        """How long somebody waits for a turn, a source that rests, or what is not published yet."""
        if self.profile is None:
            return UNPACED_WAIT_SECONDS
        minutes = self.spec.quota.longest_wait_minutes
        return self.profile.longest_wait_seconds if minutes is None else minutes * 60


def prepare(spec_path: Path, flags: Flags, settings: Settings | None = None) -> Prepared:
    """The run and its plan; nothing is fetched, and nothing made on disk.

    Raises: SpecError if the spec is not as it should be; UsageError if the flags are not.
    """
    settings = settings or read_settings()
    spec = load_spec(spec_path, flags.overrides, adapters.datasets())
    prepared = fit_out(spec, flags, settings)
    return prepared if flags.files else replace(prepared, plan=_plan(prepared))


def fit_out(spec: Spec, flags: Flags, settings: Settings, usual_profile: str = "production") -> Prepared:
    """The same without a plan, for a spec that was read already.

    Raises: SpecError if the settings lack something; UsageError if the flags do not fit together.
    """
    if flags.files and (flags.simulated or flags.replay or flags.start or flags.end):
        raise UsageError(
            "--from-files goes neither with --sim or --replay nor with dates: the files say what they hold"
        )
    for kind in flags.sink_kinds:
        if kind not in sinks.KINDS:
            raise UsageError(f'--sink: "{kind}" is not one of {", ".join(sorted(sinks.KINDS))}')
    dataset = spec.chosen(adapters.dataset(spec.dataset))
    settings = settings.referring(spec.references(dataset))
    adapter = adapters.adapter(dataset.iso)
    bases = settings.addresses(dataset.iso, adapter.bases)
    if not (flags.files or flags.replay or flags.simulated):
        demand_credentials(dataset, settings.secrets, adapter.manners.access)
    return Prepared(
        spec=spec,
        dataset=dataset,
        adapter=adapter,
        settings=settings,
        flags=flags,
        store=Store(settings.home / "watermarks.duckdb"),
        origin=_origin(flags, bases, adapter.bases),
        bases=bases,
        now=datetime.now(UTC),
        plan=Plan(dataset.key, None, ()),
        usual_profile=usual_profile,
    )


def limits_of(specs: Sequence[Path], profile: str | None, settings: Settings) -> list[Use]:
    """How much is used of the limits that runs of the specs would have, under `production` where no profile is named.

    Raises: SpecError if a spec is not as it should be.
    """
    found: list[Use] = []
    # Nobody will be asked, so that no credentials are needed.
    flags = Flags(profile=profile or "production", simulated=True)
    loaded = [load_spec(path, (), adapters.datasets()) for path in specs]
    with closing(ledger_of(settings)) as ledger:
        for spec in loaded:
            equipment = replace(fit_out(spec, flags, settings).equipment, simulated=False)
            found += ledger.uses_of(equipment.terms(LIVE), equipment.hosts.values())
    return distinct(found)


def perform(prepared: Prepared, watcher: Watcher = UNWATCHED) -> Report:
    """Do what was prepared; the watcher hears of every chunk.

    Twice:  every chunk replaces its scope in every store, so the second time leaves the same rows.
    Raises: SinkUnavailable before anything is fetched, if a store cannot be reached. KeyboardInterrupt if SIGINT or SIGTERM
            came; what had ended by then is on record. A chunk's own failure is in the report.
    """
    if prepared.flags.files:
        return _perform_files(prepared, watcher)
    book = _Receipts(prepared.store, watcher)
    tasks = [Task(each.chunk, each.reason is Reason.NEWEST) for each in prepared.plan.chunks]
    persistence = Persistence(patience_seconds=prepared.longest_wait_seconds)
    ending = carry_out(prepared, tasks, book, persistence, book)
    if ending is Ending.INTERRUPTED:
        raise KeyboardInterrupt
    receipts = sorted(book.final, key=lambda receipt: receipt.chunk)
    return Report(prepared.dataset, prepared.plan, tuple(receipts), tuple(book.left))


def carry_out(
    prepared: Prepared,
    tasks: Sequence[Task],
    book: Book,
    persistence: Persistence,
    watcher: Watcher,
    *,
    urgency: int = LIVE,
    place: Place = HERE,
) -> Ending:
    """Work on the tasks with everything that was prepared for them.

    Raises: SinkUnavailable before anything is fetched, if a store cannot be reached.
    """
    # Its import takes a second, which the first answer takes too.
    threading.Thread(target=import_module, args=("aurum_etl.validate",)).start()
    settings, ending = prepared.settings, Ending.FINISHED
    with ExitStack() as stack:
        # Even where there is nothing to do, a store that cannot be reached is told.
        equipment = stack.enter_context(at_a_simulator(prepared.equipment))
        executor = stack.enter_context(executors.executor(place, equipment, settings, urgency))
        if tasks:
            ending = execute(_with_earlier_loads(prepared, tasks), executor, book, persistence, watcher)
    archive, most, days = (
        Archive(settings.private_folder("archive")),
        settings.archive_max_bytes,
        settings.archive_keep_days,
    )
    if upkeep.is_due(archive, max_bytes=most, keep_days=days, now=prepared.now):
        upkeep.prune(archive, max_bytes=most, keep_days=days, now=prepared.now)
    with closing(ledger_of(settings)) as ledger:
        ledger.prune(settings.audit_keep_days)
    return ending


def _with_earlier_loads(prepared: Prepared, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with the last loads of their chunks, as far as all stores of the run say that they hold them."""
    flags, kinds = prepared.flags, [each.kind for each in prepared.sinks]
    windows = [task.chunk.window for task in tasks if not task.newest]
    if flags.reloads or flags.replay or not windows or set(kinds) & sinks.FLEETING:
        return list(tasks)
    within = Window(min(each.start for each in windows), max(each.end for each in windows))
    dataset = prepared.dataset
    loads = prepared.store.last_loads(dataset.key, prepared.spec.selection, kinds, within)
    wanted = {task.chunk.key for task in tasks if not task.newest} & loads.keys()
    earlier = said_to_be_held({key: loads[key] for key in wanted}, dataset, prepared.sinks, prepared.settings)
    # The chunk itself, so that its names travel once.
    return [
        replace(task, earlier=replace(earlier[key], chunk=task.chunk)) if (key := task.chunk.key) in earlier else task
        for task in tasks
    ]


class _Receipts:
    """The book of a run, and its watcher: receipts go to the store, and the last one of each chunk is remembered."""

    def __init__(self, store: Store, watcher: Watcher) -> None:
        self._store = store
        self._watcher = watcher
        self.final: list[Receipt] = []
        self.left: list[Postponed] = []
        """What is left to another run."""

    def note(self, receipts: Sequence[Receipt], _begun: object, _again: object, _postponed: object) -> None:
        for receipt in receipts:
            self._store.append(receipt)

    def order(self) -> Order:
        return Order.GO

    def begun(self, chunk: Chunk) -> None:
        self._watcher.begun(chunk)

    def ended(self, receipt: Receipt, again_in: float | None) -> None:
        self.final.append(receipt)
        self._watcher.ended(receipt, again_in)

    def postponed(self, postponed: Postponed, *, waits: bool) -> None:
        if not waits:
            self.left.append(postponed)
        self._watcher.postponed(postponed, waits=waits)

    def state(self, text: str) -> None:
        self._watcher.state(text)


def _perform_files(prepared: Prepared, watcher: Watcher) -> Report:
    with opened(prepared.equipment, prepared.settings) as stores:
        shop = workshop(prepared.equipment, prepared.settings, stores)
        planned, coming = _from_files(prepared, shop)
        receipts = []
        for receipt in coming:
            receipts.append(receipt)
            watcher.ended(receipt, None)
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
    settled, _ = settled_by(prepared)
    asked_for = flags.start is not None or flags.end is not None
    if asked_for:
        window = named_days(flags.start, flags.end, dataset, prepared.now)
    else:
        window = wanted(spec, dataset, settled, prepared.now)
    return plan_of(prepared, window, settled, asked_for=asked_for)


def settled_by(prepared: Prepared) -> tuple[list[Window], list[Window]]:
    """Windows that need no more work, and those that would need none if the feed had no higher revision; merged."""
    dataset, selection = prepared.dataset, prepared.spec.selection
    durable = sinks.durable(prepared.sinks)
    if not durable:
        # What no store keeps is never settled.
        return [], []
    lower = dataset.lower_marks
    simulated = prepared.flags.simulated
    settled = prepared.store.settled(dataset.key, selection, durable, simulated=simulated, lower=lower)
    if not lower:
        return settled, settled
    return settled, prepared.store.settled(dataset.key, selection, durable, simulated=simulated)


def plan_of(
    prepared: Prepared, window: Window | None, settled: Sequence[Window] = (), *, asked_for: bool = False
) -> Plan:
    """The plan for that window.

    Raises: UsageError if it would put preliminary rows in place of final ones that are asked for, or invented rows in
            place of published ones.
    """
    dataset = prepared.dataset
    planned = plan(
        window,
        prepared.spec,
        dataset,
        prepared.adapter,
        settled,
        asked_for=asked_for,
        limits=prepared.limits,
        bytes_per_row=prepared.store.bytes_per_row(dataset.key) or BYTES_PER_ROW,
    )
    better = _of_higher_revision(prepared, [each.chunk for each in planned.chunks], dataset.mark)
    if asked_for:
        _refuse_to_lower(better, dataset.mark)
    elif better:
        planned = replace(planned, chunks=tuple(each for each in planned.chunks if each.chunk not in better))
    if prepared.flags.simulated:
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
    return Plan(prepared.dataset.key, window, planned), load()


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
