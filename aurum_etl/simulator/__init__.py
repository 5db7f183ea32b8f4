"""The ISOs on loopback, speaking their wire formats, faults included.

For trying specs, rehearsing backfills and load-testing stores. Every value is invented, deterministically from a seed;
nothing here reads, or is read by, the steps of the engine: formats are written from the ISOs' documents.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aurum_etl.simulator.base import FAULTS, Fault, Served
    from aurum_etl.simulator.child import running
    from aurum_etl.simulator.server import Simulator

# A run that has its simulator in a child loads no server.
_HOMES = {"FAULTS": "base", "Fault": "base", "Served": "base", "Simulator": "server", "running": "child"}

__all__ = ["FAULTS", "Fault", "Served", "Simulator", "running"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
