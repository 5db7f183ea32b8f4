"""Load: what was, or is being, consumed."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, LoadType, Product, Subject, Unit

_KEY = ("iso_code", "load_native", "iso_interval_minutes", "iso_location_id", "interval_start")

LOAD = Contract(
    kind="load",
    product=Product.LOAD,
    subject=Subject.LOAD,
    curve_role=CurveRole.LOAD,
    unit=Unit.MW,
    values=(
        Column("load_mw", ColumnType.DOUBLE, "load", unit=Unit.MW),
        Column("load_type", ColumnType.STRING, "which load is meant", choices=tuple(LoadType)),
        Column("load_native", ColumnType.STRING, "the ISO's own word for it"),
    ),
    key=_KEY,
    has_market=False,
    series_words=("load_native",),
    checks=(key_is_unique(_KEY), minutes_span_the_interval()),
)
