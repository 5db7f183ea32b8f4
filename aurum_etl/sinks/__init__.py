"""The register of stores. One is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from aurum_etl.errors import SpecError

if TYPE_CHECKING:
    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Sink

_SINKS = {
    "iceberg": "aurum_etl.sinks.iceberg:IcebergSink",
    "memory": "aurum_etl.sinks.memory:MemorySink",
}
KINDS = tuple(_SINKS)
FLEETING = frozenset({"memory"})
"""Stores whose rows end with the process."""


def sink(kind: str, settings: Settings) -> Sink:
    """A store of that kind, not opened yet.

    Raises: SpecError if there is no such kind; the message lists those that are.
    """
    if kind not in _SINKS:
        raise SpecError(f'sink "{kind}" is not one of {", ".join(sorted(_SINKS))}')
    module, _, name = _SINKS[kind].partition(":")
    return cast("Sink", getattr(import_module(module), name).from_settings(settings))
