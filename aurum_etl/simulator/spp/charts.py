"""What charts are drawn from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.spp import clock, load, power
from aurum_etl.simulator.spp.places import EAST
from aurum_etl.simulator.spp.wire import Sheet, csv_of, numbers

if TYPE_CHECKING:
    from aurum_etl.simulator.spp.making import Making

_HEADER = (
    "Interval", "GMTIntervalEnd", "STLF", "MTLF", "Actual Load", "STWF", "MTWF", "Actual Wind", " STSF", " MTSF",
    " Actual Solar",
)  # fmt: skip
_AHEAD = timedelta(days=7)


def load_forecast(making: Making) -> bytes:
    """Eight days of five minutes, latest first: what was forecast of load, wind and sun in the east, and what it was.

    Forecasts of the mid term stand at full hours alone, those of the short term reach four hours ahead for load and not
    beyond now for wind and sun.
    """
    rows = clock.stamped(power.shared(load.shaped(load.posted(making, clock.FIVE_MINUTES, _AHEAD))))
    seed = making.seed
    actual = {
        "load": load.five_minutes(EAST, seed),
        "wind": power.five_minutes(EAST, "wind", seed) * 10,
        "solar": power.five_minutes(EAST, "solar", seed) * 10,
    }
    is_full = pl.col("gmt").str.contains(":00:00$")
    columns = []
    for number, (name, amount) in enumerate(actual.items()):
        is_near = pl.col("ahead") <= (load.SHORT_TERM // clock.FIVE_MINUTES if name == "load" else 0)
        short = load.missed(amount, pl.col("ahead"), seed + number)
        middle = load.missed(amount, pl.col("ahead") // 12, seed + 10 + number)
        for word, value, is_shown in (
            ("st", short, is_near),
            ("mt", middle, is_full),
            ("is", amount, pl.col("is_over")),
        ):
            columns.append(pl.when(is_shown).then(numbers(value, 3)).otherwise(None).alias(f"{word}_{name}"))
    return csv_of(Sheet(_HEADER, rows.select("local", "gmt", *columns), value=4, digits=3), making.fault)
