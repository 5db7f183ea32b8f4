"""Homes with the stores that a test names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aurum_etl.settings import read_settings
from tests.crash.home import Home
from tests.frames import spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.simulator import Simulator


@pytest.fixture
def home(tmp_path: Path, simulator: Simulator, request: pytest.FixtureRequest) -> Callable[..., Home]:
    """Makes the home; `variables` say where servers are that are not those of the run."""

    def made(*kinds: str, days: int = 4, concurrent: int = 3, **variables: str) -> Home:
        found = {"AURUM_HOME": str(tmp_path / "home"), **simulator.env}
        if "timescale" in kinds and "TIMESCALE_CONNECTION" not in variables:
            found["TIMESCALE_CONNECTION"] = request.getfixturevalue("database")
        if "kafka" in kinds and "KAFKA_BOOTSTRAP_SERVERS" not in variables:
            found |= request.getfixturevalue("kafka")
        found |= variables
        text = (
            f"dataset: caiso_lmp\nsource: {{nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND], concurrent_chunks: {concurrent}}}\n"
            f"sinks: [{', '.join(f'{{kind: {kind}}}' for kind in kinds)}]\n"
        )
        return Home(read_settings(found), found, simulator, spec(tmp_path, text), kinds, days)

    return made
