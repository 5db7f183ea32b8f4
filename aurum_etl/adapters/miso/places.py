"""The registry of nodes, as the Data Exchange has it on one day."""

from __future__ import annotations

from datetime import timedelta

from aurum_etl.adapters.miso import forms
from aurum_etl.adapters.miso.prices import DATA_EXCHANGE_URL, OLDEST_EXAMPLE, PRICING
from aurum_etl.clock import Validity
from aurum_etl.contracts import PNODE
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import Iso, LocationType

# Only "Hubs" is documented; the others are the plurals of what the price files say, and another spelling is unknown.
_TYPES = {
    "Hubs": LocationType.HUB,
    "Interfaces": LocationType.INTERFACE,
    "Loadzones": LocationType.ZONE,
    "Gennodes": LocationType.NODE,
}

NODES = Dataset(
    key="miso_pnode",
    iso=Iso.MISO,
    contract=PNODE,
    title="nodes that prices are published for, with their kinds",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="aggregated-pnode",
                    parameters={
                        "form": "page",
                        "host": forms.API,
                        "path": "pricing/v1/aggregated-pnode",
                        "?date": "{day}",
                    },
                    clock=Validity(forms.EST),
                    published={"node": Published.WORD, "nodeType": Published.WORD},
                    location="node",
                    location_types=Word("nodeType", _TYPES),
                    words={"location_type_native": Word("nodeType")},
                ),
            ),
            credentials=PRICING,
        ),
    ),
    intervals=(),
    first_day=OLDEST_EXAMPLE,
    lag=timedelta(0),
    patience=timedelta(hours=24),
    rows_per_location_day=1,
    locations=2_500,
    source_url=DATA_EXCHANGE_URL,
)

DATASETS = (NODES,)
