"""Load forecasts: what was expected to be consumed, in every version that was published."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, Product, Subject, Unit

_KEY = ("iso_code", "forecast_model", "iso_interval_minutes", "iso_location_id", "published_at", "interval_start")

LOAD_FORECAST = Contract(
    kind="load_forecast",
    product=Product.LOAD_FORECAST,
    subject=Subject.LOAD,
    curve_role=CurveRole.FORECAST,
    unit=Unit.MW,
    values=(
        Column("load_mw", ColumnType.DOUBLE, "forecast load", unit=Unit.MW),
        Column("forecast_model", ColumnType.STRING, "the ISO's own word for the forecast"),
    ),
    key=_KEY,
    has_market=False,
    series_words=("forecast_model",),
    checks=(key_is_unique(_KEY), minutes_span_the_interval()),
)
