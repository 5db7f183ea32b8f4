"""Reserves of Data Miner: prices and amounts by reserve zone, day-ahead and real time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from aurum_etl.adapters.pjm.dataminer import BEGINNING, BY_HOUR, CREDENTIALS, HOURLY, PAGE_ROWS, SOURCE_URL, TIME
from aurum_etl.clock import Instants
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LocationType, Market, Service

SERVICES = {
    "SR": Service.SPINNING,
    "PR": Service.PRIMARY,
    "30MIN": Service.THIRTY_MINUTE,
    "REG": Service.REGULATION,
}

_DAY_AHEAD = Report(
    name="da_reserve_market_results",
    parameters=BY_HOUR,
    clock=HOURLY,
    published={
        **TIME,
        "locale": Published.WORD,
        "service": Published.WORD,
        "mcp": Published.NUMBER,
        "total_mw": Published.NUMBER,
    },
    location="locale",
    # The other one is the subzone of the Mid-Atlantic and Dominion.
    location_types=(LocationRule(r"^PJM_RTO$", LocationType.SYSTEM), LocationRule(r"", LocationType.REGION)),
    values={"mcp": "price_mcp", "total_mw": "quantity_mw"},
    words={"service_native": Word("service"), "service": Word("service", SERVICES)},
)
# Their columns are those of the day-ahead results and four more.
_REAL_TIME = replace(
    _DAY_AHEAD,
    name="reserve_market_results",
    clock=Instants(BEGINNING, 5),
    published={**_DAY_AHEAD.published, "reg_ccp": Published.NUMBER},
)

RESERVES_DAY_AHEAD = Dataset(
    key="pjm_asm",
    iso=Iso.PJM,
    contract=ASM,
    title="day-ahead hourly prices and amounts of reserves",
    market=Market.DAY_AHEAD,
    run=Market.DAY_AHEAD,
    feeds=(Feed("api", (_DAY_AHEAD,), credentials=CREDENTIALS, span_days_all=31, rows_per_request=PAGE_ROWS),),
    intervals=(60,),
    first_day=date(2022, 10, 1),
    lag=-timedelta(hours=34),
    patience=timedelta(hours=12),
    rows_per_location_day=3 * 24,
    locations=2,
    source_url=SOURCE_URL.format("da_reserve_market_results"),
)

RESERVES_REAL_TIME = Dataset(
    key="pjm_asm_rt60",
    iso=Iso.PJM,
    contract=ASM,
    title="real-time prices and amounts of reserves and regulation, every five minutes since September 2022",
    market=Market.REAL_TIME,
    run=Market.REAL_TIME,
    feeds=(Feed("api", (_REAL_TIME,), credentials=CREDENTIALS, span_days_all=7, rows_per_request=PAGE_ROWS),),
    intervals=(5,),
    first_day=date(2022, 9, 1),
    lag=timedelta(hours=2),
    patience=timedelta(days=2),
    rows_per_location_day=4 * 288,
    locations=2,
    source_url=SOURCE_URL.format("reserve_market_results"),
)

DATASETS = (RESERVES_DAY_AHEAD, RESERVES_REAL_TIME)
