"""Ancillary services: day-ahead clearing prices for capacity."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.asking import BY_DAY, MOST
from aurum_etl.adapters.ercot.prices import DAY_BEFORE, DOCUMENTS_SINCE, SOURCE_URL, feeds_of, rows_of
from aurum_etl.clock import HourEnding
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Published, Report, Word
from aurum_etl.market import Iso, Market, Service

SERVICES = {
    "REGUP": Service.REGULATION_UP,
    "REGDN": Service.REGULATION_DOWN,
    "RRS": Service.RESPONSIVE,
    "NSPIN": Service.NON_SPINNING,
    "ECRS": Service.CONTINGENCY,
}

_COLUMNS = {
    "deliveryDate": Published.WALL_CLOCK,
    "hourEnding": Published.WORD,
    "ancillaryType": Published.WORD,
    "MCPC": Published.NUMBER,
    "DSTFlag": Published.WORD,
}
_SHARED: dict[str, Any] = {
    "clock": HourEnding("deliveryDate", "hourEnding", forms.ZONE, flag="DSTFlag", flagged=forms.FLAGGED),
    "values": {"MCPC": "price_mcp"},
    "words": {"service_native": Word("ancillaryType"), "service": Word("ancillaryType", SERVICES)},
    "settable": forms.FLAG_MEANS,
}

DAY_AHEAD = Dataset(
    key="ercot_asm",
    iso=Iso.ERCOT,
    contract=ASM,
    title="day-ahead hourly clearing prices of ancillary services",
    market=Market.DAY_AHEAD,
    run="DAM",
    feeds=feeds_of(
        (
            Report(
                **forms.documents_of("DAMCPCNP4188", "NP4-188-CD", 12329, _COLUMNS, **DAY_BEFORE, **{MOST: "1000"}),
                **_SHARED,
            ),
        ),
        (
            Report(
                **rows_of("NP4-188-CD", "dam_clear_price_for_cap", **{BY_DAY: "deliveryDate"}),
                published=_COLUMNS,
                **_SHARED,
            ),
        ),
        kept_days=30,
        span_days=31,
        span_days_all=31,
    ),
    intervals=(60,),
    first_day=DOCUMENTS_SINCE,
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=24 * len(SERVICES),
    locations=1,
    source_url=SOURCE_URL.format("NP4-188-CD"),
)

DATASETS = (DAY_AHEAD,)
