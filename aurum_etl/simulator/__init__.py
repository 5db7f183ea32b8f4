"""The ISOs on loopback, speaking their wire formats, faults included.

For trying specs, rehearsing backfills and load-testing stores. Every value is invented, deterministically from a seed;
nothing here reads, or is read by, the steps of the engine: formats are written from the ISOs' documents.
"""

from __future__ import annotations

from aurum_etl.simulator.base import FAULTS, Fault, Served
from aurum_etl.simulator.child import running
from aurum_etl.simulator.limits import Limit
from aurum_etl.simulator.server import Simulator
from aurum_etl.simulator.weather import Weather

__all__ = ["FAULTS", "Fault", "Limit", "Served", "Simulator", "Weather", "running"]
