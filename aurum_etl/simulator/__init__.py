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
    from aurum_etl.simulator.limits import Limit
    from aurum_etl.simulator.server import Simulator
    from aurum_etl.simulator.weather import Weather

# A run that has its simulator in a child loads no server.
_HOMES = {
    "FAULTS": "base",
    "Fault": "base",
    "Limit": "limits",
    "Served": "base",
    "Simulator": "server",
    "Weather": "weather",
    "running": "child",
}

__all__ = ["FAULTS", "Fault", "Limit", "Served", "Simulator", "Weather", "running"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
