"""The register of stores. One is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aurum_etl.settings import Settings
    from aurum_etl.sinks.base import Drained, Sink
    from aurum_etl.spec import SinkSpec, StoreSpec

_SINKS = {
    "iceberg": "aurum_etl.sinks.iceberg:IcebergSink",
    "kafka": "aurum_etl.sinks.kafka:KafkaSink",
    "memory": "aurum_etl.sinks.memory:MemorySink",
    "timescale": "aurum_etl.sinks.timescale:TimescaleSink",
}
KINDS = tuple(_SINKS)
FLEETING = frozenset({"memory"})
"""Stores whose rows end with the process."""
ROW_BYTES = {"iceberg": 10.0, "kafka": 60.0, "memory": 250.0, "timescale": 110.0}
"""About how many bytes a row of prices takes in each store, for plans."""


def sink(spec: SinkSpec, settings: Settings) -> Sink:
    """The store that the spec's block describes, not opened yet.

    Raises: SpecError if the settings do not say where it is.
    """
    module, _, name = _SINKS[spec.kind].partition(":")
    return cast("Sink", getattr(import_module(module), name).from_spec(spec, settings))


def durable(specs: Iterable[SinkSpec]) -> list[str]:
    """The kinds of those stores that keep their rows: what no store keeps is never settled."""
    return [each.kind for each in specs if each.kind not in FLEETING]


def drained(spec: StoreSpec, settings: Settings) -> Drained:
    """The same for a store that is fed from a topic."""
    return cast("Drained", sink(spec, settings))
