"""What most tests stand on: a home of their own, and one simulator for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aurum_etl.settings import Settings, read_settings
from aurum_etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    with Simulator(nodes=90) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """The simulator, with an empty log and no faults."""
    shared_simulator.log.clear()
    yield shared_simulator
    shared_simulator.clear_faults()


@pytest.fixture
def settings(tmp_path: Path, simulator: Simulator) -> Settings:
    """A home of the test's own, and CAISO at the simulator's address."""
    return read_settings({"AURUM_HOME": str(tmp_path / "home"), **simulator.env})
