"""Locations: the registry of places that prices are published for, with the ISO's own words."""

from __future__ import annotations

from aurum_etl.checks import ends_after_it_starts, key_is_unique
from aurum_etl.contracts.base import Column, ColumnType, Contract
from aurum_etl.market import CurveRole, Product, Subject, Unit

_KEY = ("iso_code", "iso_location_id", "effective_start")

PNODE = Contract(
    kind="pnode",
    product=Product.LMP,
    subject=Subject.PRICE,
    curve_role=CurveRole.PRICING,
    unit=Unit.USD_PER_MWH,
    values=(
        Column("location_type_native", ColumnType.STRING, "the ISO's own word for the kind of place"),
        Column("zone", ColumnType.STRING, "the zone that it lies in, as published", nullable=True),
        Column("hub", ColumnType.STRING, "the hub that it belongs to, as published", nullable=True),
        Column("effective_start", ColumnType.TIMESTAMP, "first instant at which this holds", nullable=True),
        Column("effective_end", ColumnType.TIMESTAMP, "first instant at which it no longer does", nullable=True),
    ),
    key=_KEY,
    has_market=False,
    is_registry=True,
    checks=(key_is_unique(_KEY), ends_after_it_starts("effective_start", "effective_end")),
)
