"""What chunks of a run are worked on with: described as a value, which can travel to a worker, and made where the work is."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aurum_etl import adapters, sinks
from aurum_etl.archive import Archive
from aurum_etl.download import QUICK, Download, Patience, Replay
from aurum_etl.pipeline import Workshop
from aurum_etl.quarantine import Quarantine
from aurum_etl.quota import HostBudget, Unlimited

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from aurum_etl.dataset import Dataset
    from aurum_etl.download import Source
    from aurum_etl.quota import Budget
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
    requests_per_minute: float | None
    """The pace; None where nothing waits."""
    bases: Mapping[str, str]
    """Where each of the ISO's hosts is."""
    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    """Those of a simulator, which nobody else accepts; None where the settings have the real ones."""

    @property
    def dataset(self) -> Dataset:
        """What is loaded."""
        return self.spec.chosen(adapters.dataset(self.spec.dataset))

    @property
    def host(self) -> str:
        """Whose turns are taken: that of the first address, which stands for all of the ISO's. Simulators are one host,
        since each has a port that no other will have again.
        """
        if self.simulated:
            return "simulator"
        return urlsplit(next(iter(self.bases.values()))).netloc


@contextmanager
def at_a_simulator(equipment: Equipment) -> Iterator[Equipment]:
    """The same, with a simulator that lives as long where one is to be asked."""
    if not equipment.simulated or equipment.replay:
        yield equipment
        return
    from aurum_etl.simulator import running

    with running() as variables:
        # What it prints are addresses, and credentials that are accepted there and nowhere else.
        iso = equipment.dataset.iso
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
def budget(equipment: Equipment, settings: Settings, urgency: int) -> Iterator[Budget]:
    """Turns at the host, shared with everything else on this machine."""
    turns: Budget = Unlimited()
    if equipment.requests_per_minute is not None:
        turns = HostBudget(settings.private_folder("quota"), equipment.host, equipment.requests_per_minute, urgency)
    try:
        yield turns
    finally:
        turns.close()


@contextmanager
def source(equipment: Equipment, settings: Settings, turns: Budget, stop: threading.Event) -> Iterator[Source]:
    """Where answers come from: the archive, or the address of the ISO or of a simulator."""
    dataset = equipment.dataset
    adapter, archive = adapters.adapter(dataset.iso), Archive(settings.private_folder("archive"))
    if equipment.replay:
        yield Replay(
            archive, simulated=equipment.simulated, manners=adapter.manners, max_bytes=settings.response_max_bytes
        )
        return
    credentials = settings.credentials if equipment.credentials is None else equipment.credentials
    patience = replace(Patience() if equipment.paced else QUICK, attempts=equipment.spec.source.attempts)
    with Download(
        equipment.bases,
        equipment.origin,
        archive,
        budget=turns,
        patience=patience,
        max_bytes=settings.response_max_bytes,
        manners=adapter.manners,
        auth=adapter.auth(dataset, credentials, equipment.bases),
        stop=stop,
    ) as download:
        yield download
