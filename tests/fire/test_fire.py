"""A month under fire ends as a month of calm does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl.simulator.weather import STORMY
from tests.fire import Month, month, wrong

if TYPE_CHECKING:
    from pathlib import Path

WEATHER = "100:0.3"


@pytest.fixture
def calm(tmp_path: Path) -> Month:
    return month(tmp_path / "calm")


def test_a_month_under_fire_ends_as_a_month_of_calm(tmp_path: Path, calm: Month, database: str) -> None:
    """Six ISOs at once, through every kind of storm: each chunk settled, each row there once, no limit exceeded."""
    fire = month(
        tmp_path / "fire",
        weather=WEATHER,
        sinks=("iceberg", "timescale"),
        variables={"TIMESCALE_CONNECTION": database},
    )
    print(fire.told())  # noqa: T201 - what happened, for who looks
    assert wrong(fire, calm) == []
    assert set(fire.faults) == STORMY
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        for contract, rows in calm.rows():
            cursor.execute(f"select count(*), count(distinct ({', '.join(contract.key)})) from iso_{contract.kind}")
            assert cursor.fetchone() == (len(rows), len(rows))
