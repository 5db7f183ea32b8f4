"""The register of executors. One is loaded when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aurum_etl.equipment import Equipment
    from aurum_etl.executors.base import Executor
    from aurum_etl.settings import Settings

_EXECUTORS = {"local": "aurum_etl.executors.local", "dask": "aurum_etl.executors.dask"}
KINDS = tuple(_EXECUTORS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where chunks are worked on."""

    kind: str = "local"
    scheduler: str | None = None
    """Address of the cluster's scheduler; None for one of our own, on loopback."""
    workers: int = 2
    """How many workers a cluster of our own has."""


def executor(place: Place, equipment: Equipment, settings: Settings, urgency: int) -> AbstractContextManager[Executor]:
    """The executor, with its stores reached.

    Raises: SinkUnavailable if a store cannot be reached; UsageError if the executor's extra is not installed, or its
            scheduler does not answer.
    """
    module = import_module(_EXECUTORS[place.kind])
    return cast("AbstractContextManager[Executor]", module.opened(place, equipment, settings, urgency))
