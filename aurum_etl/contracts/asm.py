"""Ancillary services: clearing prices and procured quantities."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval, something_is_measured
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, Product, Service, Subject, Unit

_KEY = (
    "iso_code",
    "iso_market",
    "iso_market_run",
    "iso_interval_minutes",
    "iso_location_id",
    "service_native",
    "interval_start",
)

ASM = Contract(
    kind="asm",
    product=Product.ANCILLARY,
    subject=Subject.RESERVE,
    curve_role=CurveRole.RESERVE,
    unit=Unit.USD_PER_MW,
    values=(
        Column("service", ColumnType.STRING, "which service", choices=tuple(Service)),
        Column("service_native", ColumnType.STRING, "the ISO's own word for it"),
        Column("price_mcp", ColumnType.DOUBLE, "market clearing price", nullable=True, unit=Unit.USD_PER_MW),
        Column("quantity_mw", ColumnType.DOUBLE, "procured quantity", nullable=True, unit=Unit.MW),
    ),
    key=_KEY,
    has_market=True,
    series_words=("service_native",),
    checks=(key_is_unique(_KEY), minutes_span_the_interval(), something_is_measured(("price_mcp", "quantity_mw"))),
)
