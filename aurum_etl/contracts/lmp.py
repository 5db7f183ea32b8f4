"""Locational marginal prices."""

from __future__ import annotations

from aurum_etl.checks import key_is_unique, minutes_span_the_interval
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, Product, Subject, Unit

_KEY = (
    "iso_code",
    "iso_market",
    "iso_market_run",
    "iso_interval_minutes",
    "iso_location_id",
    "interval_start",
)

LMP = Contract(
    kind="lmp",
    product=Product.LMP,
    subject=Subject.PRICE,
    curve_role=CurveRole.PRICING,
    unit=Unit.USD_PER_MWH,
    values=(
        Column("price_total", ColumnType.DOUBLE, "locational marginal price", unit=Unit.USD_PER_MWH),
        Column("price_energy", ColumnType.DOUBLE, "energy component", nullable=True, unit=Unit.USD_PER_MWH),
        Column("price_congestion", ColumnType.DOUBLE, "congestion component", nullable=True, unit=Unit.USD_PER_MWH),
        Column("price_loss", ColumnType.DOUBLE, "loss component", nullable=True, unit=Unit.USD_PER_MWH),
        Column("price_ghg", ColumnType.DOUBLE, "greenhouse gas component", nullable=True, unit=Unit.USD_PER_MWH),
    ),
    key=_KEY,
    has_market=True,
    checks=(key_is_unique(_KEY), minutes_span_the_interval()),
)
