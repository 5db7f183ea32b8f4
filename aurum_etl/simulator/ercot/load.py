"""Load as it was, by two kinds of zones, and the forecasts of it that are made every hour.

Actual load is in 0.01 MW. Forecasts are in 0.0001 MW, and those by forecast zone in 10⁻¹² MW, for ERCOT does not round
them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock
from aurum_etl.simulator.ercot.prices import DELIVERY_DATE, DST_FLAG, HOUR_TEXT
from aurum_etl.simulator.ercot.product import Cell, Column, Product
from aurum_etl.simulator.invented import load_shape, mixed
from aurum_etl.simulator.pjm.shapes import shaped

if TYPE_CHECKING:
    from aurum_etl.simulator.ercot.product import Scope

_SIZES = {
    "coast": 17500, "east": 2300, "farWest": 7200, "north": 1900, "northC": 19000, "southern": 5300, "southC": 10500,
    "west": 1800,
}  # fmt: skip
_FORECAST_ZONES = {
    "north": ("north", "northC", "east"),
    "south": ("southern", "southC"),
    "west": ("farWest", "west"),
    "houston": ("coast",),
}
"""The weather zones within each forecast zone."""
_MODELS = ("A3", "A6", "E", "E1", "E2", "E3", "M", "X")
_DAYS = 8
_TAIL = 10**8
"""How much finer the unrounded forecasts are."""
_LATE_LABEL = pl.date(2025, 1, 1)
_NONE = pl.lit(None, pl.Datetime("us"))
_LEAD = "lead"


def _noise(seed: int, cell: pl.Expr, most: int) -> pl.Expr:
    """Between minus and plus `most`."""
    return (mixed(cell, seed) % (2 * most + 1)).cast(pl.Int64) - most


def _next_morning(_: int, span: clock.Span) -> pl.DataFrame:
    hours = clock.grid(span, 60)
    day = clock.central(pl.col("start")).dt.date()
    return hours.with_columns(posted=clock.at(day, 1, timedelta(hours=5, minutes=50)), corrected=_NONE)


def _by_hour(starts: pl.DataFrame) -> pl.DataFrame:
    return clock.labelled(starts, "operatingDay").with_columns(hourEnding=clock.hour_text(pl.col("hour")))


def _zones(seed: int) -> list[pl.Expr]:
    """Load of every weather zone that was or will be, in 0.01 MW."""
    cell = clock.epoch(3600) * 16
    return [
        (
            (size * pl.col("shape") * 100).cast(pl.Int64) * (10_000 + _noise(seed + 20, cell + number, 200)) // 10_000
        ).alias(name)
        for number, (name, size) in enumerate(_SIZES.items())
    ]


def _actual(seed: int, rows: pl.DataFrame) -> pl.DataFrame:
    rows = shaped(rows, "local", load_shape)
    return rows.with_columns(_zones(seed)).with_columns(total=pl.sum_horizontal(list(_SIZES)))


def _by_forecast_zone(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.sum_horizontal(parts).alias(name) for name, parts in _FORECAST_ZONES.items())


def _actual_by_forecast_zone(seed: int, rows: pl.DataFrame) -> pl.DataFrame:
    return _by_forecast_zone(_actual(seed, rows))


def _half_past(_: int, span: clock.Span) -> pl.DataFrame:
    """A forecast is posted at half past every hour."""
    late = timedelta(minutes=30)
    hours = clock.grid((span[0] - late, span[1] - late), 60)
    return hours.with_columns(pl.col("start") + late).with_columns(posted="start", corrected=_NONE)


def _eight_days(starts: pl.DataFrame) -> pl.DataFrame:
    """All hours of the day of posting and the seven days behind it."""
    day = clock.central(pl.col("posted")).dt.date()
    leads = pl.DataFrame({_LEAD: range(_DAYS * 24 + 1)})
    hours = (
        starts.drop("start")
        .with_columns(
            first=clock.at(day, 0, timedelta()),
            end=clock.at(day, _DAYS, timedelta()),
            postedDatetime=clock.central(pl.col("posted")),
        )
        .join(leads, how="cross", maintain_order="left_right")
        .with_columns(start=pl.col("first") + pl.duration(hours=pl.col(_LEAD)))
        .filter(pl.col("start") < pl.col("end"))
    )
    return clock.labelled(hours).with_columns(hourEnding=clock.hour_text(pl.col("hour")))


def _models(_: Scope) -> pl.DataFrame:
    return pl.DataFrame({"model": _MODELS}).with_row_index("place")


def _forecast(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    """The load that will be, and an error by posting, hour, zone and model. Another model is in use every day."""
    used = clock.epoch(86_400, "posted") % len(_MODELS)
    place = pl.col("place") if "model" in cells.columns else used
    cells = shaped(cells, "local", load_shape)
    cells = cells.with_columns(_zones(seed))
    error = (clock.epoch(3600, "posted") * 2**10 + clock.epoch(3600) % 2**10) * 2**8 + place.cast(pl.Int64) * 2**4
    return (
        cells.with_columns(
            pl.col(name) * 100 * (10_000 + _noise(seed + 21, error + number, 300)) // 10_000
            for number, name in enumerate(_SIZES)
        )
        .with_columns(inUseFlag=place == used, systemTotal=pl.sum_horizontal(list(_SIZES)))
        .rename({"northC": "northCentral", "southC": "southCentral"})
    )


def _unrounded(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    """The forecast in use by forecast zone, with a tail behind the fourth place.

    In the years from 2025 on, the repeated hour is labelled as though it were the one behind it.
    """
    rows = _forecast(seed, cells).rename({"northCentral": "northC", "southCentral": "southC"})
    cell = clock.epoch(3600, "posted") * 2**10 + clock.epoch(3600) % 2**10
    label = pl.when(pl.col("DSTFlag") & (pl.col("deliveryDate") >= _LATE_LABEL)).then(pl.lit("03:00"))
    return (
        _by_forecast_zone(rows)
        .with_columns(
            (pl.col(name) * _TAIL + (mixed(cell * 4 + number, seed + 22) % _TAIL).cast(pl.Int64)).alias(name)
            for number, name in enumerate(_FORECAST_ZONES)
        )
        .with_columns(systemTotal=pl.sum_horizontal(list(_FORECAST_ZONES)), hourEnding=label.otherwise("hourEnding"))
    )


_DAY_CELLS = (Cell("OperDay", "operatingDay", "date"), Cell("HourEnding", "hourEnding", "text"))
_FORECAST_CELLS = (Cell("DeliveryDate", "deliveryDate", "date"), Cell("HourEnding", "hourEnding", "unpadded"))
_FLAG_CELL = Cell("DSTFlag", "DSTFlag", "flag")
_WEATHER_CELLS = tuple(
    Cell(header, header[0].lower() + header[1:], "shortest", 4)
    for header in (
        "Coast", "East", "FarWest", "North", "NorthCentral", "SouthCentral", "Southern", "West", "SystemTotal",
    )
)  # fmt: skip
_WEATHER_LABELS = {
    "coast": "Coast", "east": "East", "farWest": "Far West", "north": "North", "northC": "North Central",
    "southern": "Southern", "southC": "South Central", "west": "West", "total": "Total",
}  # fmt: skip
_RULES = ("NP6.3.2(4)",)

ACTUAL = (
    Product(
        "NP6-345-CD",
        "Actual System Load by Weather Zone",
        "Hourly load of yesterday by weather zone.",
        13101,
        "Chron - Daily",
        "2013-06-13",
        31,
        "ACTUALSYSLOADWZNP6345",
        (
            *_DAY_CELLS,
            *(
                Cell(header, name, "fixed", 2)
                for header, name in zip(
                    ("COAST", "EAST", "FAR_WEST", "NORTH", "NORTH_C", "SOUTHERN", "SOUTH_C", "WEST", "TOTAL"),
                    (*_SIZES, "total"),
                    strict=True,
                )
            ),
            _FLAG_CELL,
        ),
        _next_morning,
        _actual,
        _by_hour,
        artifact="act_sys_load_by_wzn",
        columns=(
            Column("operatingDay", "Operating Day", "DATE"),
            HOUR_TEXT,
            *(Column(name, label, "DOUBLE", 2) for name, label in _WEATHER_LABELS.items()),
            DST_FLAG,
        ),
        order=("operatingDay", "hourEnding"),
        measure="total",
        rules=_RULES,
    ),
    Product(
        "NP6-346-CD",
        "Actual System Load by Forecast Zone",
        "Hourly load of yesterday by forecast zone.",
        14836,
        "Chron - Daily",
        "2017-06-29",
        31,
        "ACTUALSYSLOADFZNP6346",
        (
            *_DAY_CELLS,
            *(Cell(name.upper(), name, "fixed", 2) for name in (*_FORECAST_ZONES, "total")),
            _FLAG_CELL,
        ),
        _next_morning,
        _actual_by_forecast_zone,
        _by_hour,
        artifact="act_sys_load_by_fzn",
        columns=(
            Column("operatingDay", "Operating Day", "DATE"),
            HOUR_TEXT,
            *(Column(name, name.capitalize(), "DOUBLE", 2) for name in (*_FORECAST_ZONES, "total")),
            DST_FLAG,
        ),
        order=("operatingDay", "hourEnding"),
        measure="total",
        rules=_RULES,
    ),
)

FORECASTS = (
    Product(
        "NP3-560-CD",
        "Seven-Day Load Forecast by Forecast Zone",
        "Hourly load forecast by forecast zone for today and the next seven days.",
        12311,
        "Chron - Hourly",
        "2010-11-30",
        7,
        "LFCCONGESTNP3560",
        (
            *_FORECAST_CELLS,
            *(Cell(name.capitalize(), name, "shortest", 12) for name in _FORECAST_ZONES),
            Cell("SystemTotal", "systemTotal", "shortest", 12),
            # The four blanks are ERCOT's.
            Cell("DSTFlag    ", "DSTFlag", "flag"),
        ),
        _half_past,
        _unrounded,
        _eight_days,
        measure="systemTotal",
        lag=timedelta(hours=1),
    ),
    Product(
        "NP3-561-CD",
        "Seven-Day Load Forecast by Weather Zone",
        "Hourly load forecast by weather zone for today and the next seven days.",
        12312,
        "Chron - Hourly",
        "2010-11-30",
        7,
        "LFCWEATHERNP3561",
        (*_FORECAST_CELLS, *_WEATHER_CELLS, _FLAG_CELL),
        _half_past,
        _forecast,
        _eight_days,
        measure="systemTotal",
        lag=timedelta(hours=1),
    ),
    Product(
        "NP3-565-CD",
        "Seven-Day Load Forecast by Model and Weather Zone",
        "Hourly load forecasts of all models for today and the next seven days, and which of them was in use.",
        14837,
        "Chron - Hourly",
        "2017-06-28",
        7,
        "LFCMODWEATHERNP3565",
        (
            *_FORECAST_CELLS,
            *_WEATHER_CELLS,
            Cell("Model", "model", "text"),
            Cell("InUseFlag", "inUseFlag", "flag"),
            _FLAG_CELL,
        ),
        _half_past,
        _forecast,
        _eight_days,
        _models,
        artifact="lf_by_model_weather_zone",
        columns=(
            Column("postedDatetime", "Posted Datetime", "DATETIME"),
            DELIVERY_DATE,
            HOUR_TEXT,
            *(
                Column(cell.column, label, "DOUBLE", 4)
                for cell, label in zip(
                    _WEATHER_CELLS,
                    (
                        "Coast", "East", "Far West", "North", "North Central", "South Central", "Southern", "West",
                        "System Total",
                    ),
                    strict=True,
                )
            ),
            Column("model", "Model", "VARCHAR"),
            Column("inUseFlag", "In Use Flag", "BOOLEAN"),
            DST_FLAG,
        ),
        order=("postedDatetime", "deliveryDate", "hourEnding", "model"),
        measure="systemTotal",
        word="model",
        reach=(_DAYS, 0),
        lag=timedelta(hours=1),
        rules=("NP6.3.2(3)(b)",),
    ),
)  # fmt: skip
