"""The registry of locations, and what kinds of places there are."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.isone import forms
from aurum_etl.clock import Validity
from aurum_etl.contracts import PNODE
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import Iso, LocationType

TYPES = {
    "HUB": LocationType.HUB,
    "LOAD ZONE": LocationType.ZONE,
    "EXT. NODE": LocationType.INTERFACE,
    "NETWORK NODE": LocationType.NODE,
    "HUB NODE": LocationType.NODE,
    # Demand response is added up over these.
    "DRRAZ": LocationType.AGGREGATE,
    "RESERVE ZONE": LocationType.ZONE,
    "DISPATCH ZONE": LocationType.ZONE,
    "CAPACITY ZONE": LocationType.ZONE,
    "RELIABILITY REGION": LocationType.REGION,
    "EXT. AREA": LocationType.REGION,
    "INT. AREA": LocationType.SYSTEM,
    "SYSTEM": LocationType.SYSTEM,
}
"""The words for kinds of places, as prices and the registry have them."""
LOADS = {
    "32": LocationType.SYSTEM,
    "4000": LocationType.HUB,
    **{str(number): LocationType.ZONE for number in range(4001, 4009)},
}
"""Where load is told of, by number, since those answers do not say what kind of place it is."""
RESERVE_ZONES = {
    # The rest of the system has the system's requirements and prices.
    "7000": LocationType.SYSTEM,
    "7001": LocationType.ZONE,
    "7002": LocationType.ZONE,
    "7003": LocationType.ZONE,
}
ZONE_NAMES = {
    f".Z.{name}": LocationType.ZONE
    for name in (
        "MAINE",
        "NEWHAMPSHIRE",
        "VERMONT",
        "CONNECTICUT",
        "RHODEISLAND",
        "SEMASS",
        "WCMASS",
        "NEMASSBOST",
    )
}
"""The load zones, where their names alone are published."""

LOCATIONS = Dataset(
    key="isone_pnode",
    iso=Iso.ISONE,
    contract=PNODE,
    title="locations of every kind that the ISO has a number for",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="locations",
                    parameters={"form": "service", "path": "locations/all.json", "rows": "Locations.Location"},
                    clock=Validity(Iso.ISONE.timezone),
                    published={
                        "LocationID": Published.WORD,
                        "LocationName": Published.TEXT,
                        "LocationType": Published.WORD,
                    },
                    location="LocationID",
                    location_name="LocationName",
                    location_types=Word("LocationType", TYPES),
                    words={"location_type_native": Word("LocationType")},
                ),
            ),
            credentials=forms.CREDENTIALS,
        ),
    ),
    intervals=(),
    first_day=date(2026, 7, 27),
    lag=timedelta(0),
    patience=timedelta(hours=24),
    rows_per_location_day=1,
    locations=1_300,
    source_url=forms.SERVICES_URL,
)

DATASETS = (LOCATIONS,)
