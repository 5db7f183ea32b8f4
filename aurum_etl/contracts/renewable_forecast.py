"""Forecasts of wind and solar generation, in every version that was published."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, FuelType, Product, Subject, Unit

_KEY = (
    "iso_code",
    "forecast_model",
    "iso_interval_minutes",
    "iso_location_id",
    "fuel_native",
    "published_at",
    "interval_start",
)

RENEWABLE_FORECAST = Contract(
    kind="renewable_forecast",
    product=Product.GENERATION,
    subject=Subject.GENERATION,
    curve_role=CurveRole.FORECAST,
    unit=Unit.MW,
    values=(
        Column("fuel_type", ColumnType.STRING, "what it is made from", choices=tuple(FuelType)),
        Column("fuel_native", ColumnType.STRING, "the ISO's own word for it"),
        Column("generation_mw", ColumnType.DOUBLE, "forecast generation", unit=Unit.MW),
        Column("forecast_model", ColumnType.STRING, "the ISO's own word for the forecast"),
    ),
    key=_KEY,
    has_market=False,
    series_words=("fuel_native", "forecast_model"),
    checks=(key_is_unique(_KEY), minutes_span_the_interval()),
)
