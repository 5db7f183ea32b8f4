"""What chunks of a run are worked on with: described as a value, which can travel to a worker, and made where the work is."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aurum_etl import adapters, sinks
from aurum_etl.archive import Archive
from aurum_etl.backfill import BYTES_PER_ROW
from aurum_etl.chunk import Chunk
from aurum_etl.download import QUICK, Download, Patience, Replay, host_of
from aurum_etl.pipeline import Workshop
from aurum_etl.quarantine import Quarantine
from aurum_etl.quota import QUICK_RULE, UNLIMITED, UNPACED_WAIT_SECONDS, BreakerRule, Limits, Terms, ledger_of
from aurum_etl.window import market_day

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.quota import Budget, LedgerBudget
    from aurum_etl.receipt import Origin
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink
    from aurum_etl.spec import SinkSpec, Spec


@dataclass(frozen=True, slots=True)
class Equipment:
    """Everything that decides how a chunk is worked on, but what the settings of the machine say."""

    spec: Spec
    sinks: tuple[SinkSpec, ...]
    origin: Origin
    simulated: bool
    replay: bool
    paced: bool
    """Whether the ISO's limits are kept."""
    bases: Mapping[str, str] = field(repr=False)
    """Where each of the ISO's hosts is."""
    limits: Limits = UNLIMITED
    """What the dataset may use."""
    host_limits: Limits = UNLIMITED
    """What may be used of each host."""
    priority: int = 0
    longest_wait_seconds: float = UNPACED_WAIT_SECONDS
    """How long somebody waits for a turn, a source that rests, or what is not published yet."""
    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    """Those of a simulator, which nobody else accepts; None where the settings have the real ones."""

    @property
    def dataset(self) -> Dataset:
        """What is loaded."""
        return self.spec.chosen(adapters.dataset(self.spec.dataset))

    @property
    def hosts(self) -> Mapping[str, str]:
        """Whose turns are taken, by host of the ISO. Simulators of an ISO are one, since each has a port that no other will
        have again.
        """
        iso = self.dataset.iso.value
        if self.simulated:
            return {host: " ".join(filter(None, ("simulator", iso, host))) for host in self.bases}
        return {host: host_of(iso, base) for host, base in self.bases.items()}

    def terms(self, urgency: int) -> Terms:
        """On what terms its requests are sent."""
        spec, dataset = self.spec, self.dataset
        locations = len(spec.selection.names) or dataset.locations
        day = market_day(datetime.now(UTC).date() - timedelta(1), dataset.timezone)
        asks = len(adapters.adapter(dataset.iso).asks(dataset, Chunk(dataset.key, spec.selection, day)))
        records = locations * dataset.rows_per_location_day / max(asks, 1)
        if dataset.feed.rows_per_request:
            records = min(records, dataset.feed.rows_per_request)
        return Terms(
            dataset=dataset.key,
            selection=str(spec.selection),
            limits=self.limits,
            host_limits=self.host_limits,
            urgency=urgency,
            priority=self.priority,
            longest_wait_seconds=self.longest_wait_seconds,
            breaker=(BreakerRule() if self.paced else QUICK_RULE).resting(spec.quota.rest_seconds),
            records=round(records),
            bytes=round(records * BYTES_PER_ROW),
            origin=self.origin.value,
        )


@contextmanager
def at_a_simulator(equipment: Equipment) -> Iterator[Equipment]:
    """The same, with a simulator that lives as long where one is to be asked."""
    if not equipment.simulated or equipment.replay:
        yield equipment
        return
    from aurum_etl.simulator import running

    iso = equipment.dataset.iso
    with running("--iso", iso.name) as variables:
        # What it prints are addresses, and credentials that are accepted there and nowhere else.
        bases = {host: variables[iso.base_variable(host)] for host in equipment.bases}
        yield replace(equipment, bases=bases, credentials=variables)


@contextmanager
def opened(equipment: Equipment, settings: Settings) -> Iterator[list[Sink]]:
    """The stores, reached and ready.

    Raises: SinkUnavailable if one cannot be reached.
    """
    with ExitStack() as stack:
        stores = []
        for each in equipment.sinks:
            stores.append(sinks.sink(each, settings))
            stack.callback(stores[-1].close)
            stores[-1].open(equipment.dataset)
        yield stores


def workshop(equipment: Equipment, settings: Settings, stores: Sequence[Sink]) -> Workshop:
    """What the pipeline needs beside a source."""
    dataset = equipment.dataset
    return Workshop(
        adapter=adapters.adapter(dataset.iso),
        dataset=dataset,
        origin=equipment.origin,
        sinks=stores,
        quarantine=Quarantine(settings.private_folder("quarantine")),
        max_rejected_share=equipment.spec.quality.max_rejected_share,
        max_bytes=settings.response_max_bytes,
    )


@contextmanager
def budget(equipment: Equipment, settings: Settings, urgency: int) -> Iterator[LedgerBudget]:
    """Who lets requests pass: one record of them all, shared with everything else on this machine."""
    budget = ledger_of(settings).budget(equipment.terms(urgency))
    try:
        yield budget
    finally:
        budget.close()


@contextmanager
def source(equipment: Equipment, settings: Settings, turns: Budget, stop: threading.Event) -> Iterator[Source]:
    """Where answers come from: the archive, or the address of the ISO or of a simulator."""
    dataset = equipment.dataset
    adapter, archive = adapters.adapter(dataset.iso), Archive(settings.private_folder("archive"))
    if equipment.replay:
        with archive.in_use(whole=True):
            yield Replay(
                archive, simulated=equipment.simulated, manners=adapter.manners, max_bytes=settings.response_max_bytes
            )
        return
    credentials = settings.secrets if equipment.credentials is None else equipment.credentials
    patience = replace(Patience() if equipment.paced else QUICK, attempts=equipment.spec.source.attempts)
    with (
        archive.in_use(),
        Download(
            equipment.bases,
            equipment.origin,
            archive,
            budget=turns,
            hosts=equipment.hosts,
            patience=patience,
            max_bytes=settings.response_max_bytes,
            manners=adapter.manners,
            auth=adapter.auth(dataset, credentials, equipment.bases),
            stop=stop,
        ) as download,
    ):
        yield download
