"""The registry of pricing nodes, with all that was ever valid."""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.pjm.dataminer import CREDENTIALS, PAGE_ROWS, SOURCE_URL
from aurum_etl.adapters.pjm.prices import TYPES
from aurum_etl.clock import Validity
from aurum_etl.contracts import PNODE
from aurum_etl.dataset import Dataset, Feed, Published, Report, Word
from aurum_etl.market import Iso

NODES = Dataset(
    key="pjm_pnode",
    iso=Iso.PJM,
    contract=PNODE,
    title="pricing nodes with their kinds, zones and validity",
    feeds=(
        Feed(
            "api",
            (
                Report(
                    name="pnode",
                    clock=Validity(Iso.PJM.timezone, "effective_date", "termination_date"),
                    published={
                        "pnode_id": Published.WORD,
                        "pnode_name": Published.TEXT,
                        "pnode_subtype": Published.WORD,
                        "zone": Published.TEXT,
                        "effective_date": Published.WALL_CLOCK,
                        "termination_date": Published.WALL_CLOCK,
                    },
                    location="pnode_id",
                    location_name="pnode_name",
                    location_types=Word("pnode_subtype", TYPES),
                    words={"location_type_native": Word("pnode_subtype"), "zone": Word("zone")},
                ),
            ),
            credentials=CREDENTIALS,
            rows_per_request=PAGE_ROWS,
        ),
    ),
    intervals=(),
    first_day=date(2019, 12, 15),
    lag=timedelta(0),
    patience=timedelta(hours=24),
    rows_per_location_day=1,
    locations=22_500,
    source_url=SOURCE_URL.format("pnode"),
)

DATASETS = (NODES,)
