"""Half a month under fire ends as half a month of calm does; `just fire` loads two months."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl.simulator.weather import STORMY
from tests.fire import Month, month, wrong

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 16
"""The clocks change on the eighth."""
WEATHER = "1834:0.3"
"""Whose storms of all kinds come within what each host is asked in so many days; those of zips, where there are zips."""


@pytest.fixture
def calm(tmp_path: Path) -> Month:
    return month(tmp_path / "calm", days=DAYS)


def test_half_a_month_under_fire_ends_as_in_calm(tmp_path: Path, calm: Month, database: str) -> None:
    """Six ISOs at once, through every kind of storm: each chunk settled, each row there once, no limit exceeded."""
    fire = month(
        tmp_path / "fire",
        days=DAYS,
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
