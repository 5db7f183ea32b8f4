"""A home to attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile import Victim

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator


@pytest.fixture
def victim(settings: Settings, simulator: Simulator, tmp_path: Path) -> Victim:
    return Victim(settings.home, simulator, tmp_path)
