"""The list of settlement points, as it was last posted."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.ercot import forms
from aurum_etl.adapters.ercot.prices import SOURCE_URL
from aurum_etl.clock import Validity
from aurum_etl.contracts import PNODE
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import Iso, LocationType

# A point's kind is the column that names it.
TYPES = {
    "RESOURCE_NODE": LocationType.NODE,
    "HUB": LocationType.HUB,
    "SETTLEMENT_LOAD_ZONE": LocationType.ZONE,
}

POINTS = Dataset(
    key="ercot_pnode",
    iso=Iso.ERCOT,
    contract=PNODE,
    title="settlement points with their kinds, and with the zones and hubs that resource nodes belong to",
    feeds=(
        Feed(
            "mis",
            (
                Report(
                    name="Settlement_Points",
                    parameters={
                        forms.FORM: forms.POINTS,
                        forms.PRODUCT: "NP4-160-SG",
                        forms.TYPE_ID: "10008",
                        forms.MEMBER: r"(^|/)Settlement_Points_\d",
                        forms.NEWEST: "yes",
                    },
                    clock=Validity(forms.ZONE),
                    published={
                        "SETTLEMENT_POINT": Published.WORD,
                        "KIND": Published.WORD,
                        "SETTLEMENT_LOAD_ZONE": Published.TEXT,
                        "HUB": Published.TEXT,
                    },
                    location="SETTLEMENT_POINT",
                    location_types=Word("KIND", TYPES),
                    words={
                        "location_type_native": Word("KIND"),
                        "zone": Word("SETTLEMENT_LOAD_ZONE"),
                        "hub": Word("HUB"),
                    },
                ),
            ),
        ),
    ),
    intervals=(),
    first_day=date(2024, 11, 11),
    lag=timedelta(0),
    patience=timedelta(hours=24),
    rows_per_location_day=1,
    locations=864,
    source_url=SOURCE_URL.format("NP4-160-SG"),
)

DATASETS = (POINTS,)
