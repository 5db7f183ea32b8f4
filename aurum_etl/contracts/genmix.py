"""Generation by fuel: what electricity was made from."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, FuelType, Product, Subject, Unit

_KEY = ("iso_code", "iso_interval_minutes", "iso_location_id", "fuel_native", "interval_start")

GENMIX = Contract(
    kind="genmix",
    product=Product.GENERATION,
    subject=Subject.GENERATION,
    curve_role=CurveRole.SUPPLY,
    unit=Unit.MW,
    values=(
        Column("fuel_type", ColumnType.STRING, "what it is made from", choices=tuple(FuelType)),
        Column("fuel_native", ColumnType.STRING, "the ISO's own word for it"),
        Column("generation_mw", ColumnType.DOUBLE, "generation", unit=Unit.MW),
    ),
    key=_KEY,
    has_market=False,
    series_words=("fuel_native",),
    checks=(key_is_unique(_KEY), minutes_span_the_interval()),
)
