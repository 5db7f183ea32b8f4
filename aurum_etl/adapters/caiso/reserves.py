"""Ancillary services of OASIS: regional shadow prices of capacity.

Regions nest: what a resource receives is the sum over all regions that contain it.
"""

from __future__ import annotations

from datetime import date, timedelta

from aurum_etl.adapters.caiso.oasis import GMT, SOURCE_URL
from aurum_etl.contracts import ASM
from aurum_etl.dataset import Belonging, Dataset, Feed, LocationRule, Published, Report, Word
from aurum_etl.market import Iso, LocationType, Market, Service

SERVICES = {
    "NR": Service.NON_SPINNING,
    "SR": Service.SPINNING,
    "RU": Service.REGULATION_UP,
    "RD": Service.REGULATION_DOWN,
    "RMU": Service.MILEAGE_UP,
    "RMD": Service.MILEAGE_DOWN,
}
_RUNS = frozenset({"DAM", "HASP", "RTM"})


def _dataset(
    key: str, market: Market, run: str, title: str, report: str, version: str, minutes: int, lag: timedelta
) -> Dataset:
    return Dataset(
        key=key,
        iso=Iso.CAISO,
        contract=ASM,
        title=title,
        market=market,
        run=run,
        feeds=(
            Feed(
                "oasis",
                (
                    Report(
                        name=report,
                        parameters={
                            "version": version,
                            "market_run_id": run,
                            "anc_type": "ALL",
                            "anc_region": "ALL",
                        },
                        clock=GMT,
                        published={
                            GMT.start: Published.INSTANT,
                            GMT.end: Published.INSTANT,
                            "ANC_TYPE": Published.WORD,
                            "ANC_REGION": Published.WORD,
                            "MARKET_RUN_ID": Published.WORD,
                            # Dollars per megawatt of capacity and hour, whatever the name says.
                            "MW": Published.NUMBER,
                        },
                        belonging=(Belonging("MARKET_RUN_ID", frozenset({run}), _RUNS - {run}),),
                        location="ANC_REGION",
                        location_types=(LocationRule(r"", LocationType.REGION),),
                        values={"MW": "price_mcp"},
                        words={"service_native": Word("ANC_TYPE"), "service": Word("ANC_TYPE", SERVICES)},
                    ),
                ),
            ),
        ),
        intervals=(minutes,),
        first_day=date(2016, 1, 1),
        lag=lag,
        patience=timedelta(hours=24),
        rows_per_location_day=len(SERVICES) * 1440 / minutes,
        locations=6,
        source_url=SOURCE_URL,
    )


DATASETS = (
    _dataset(
        "caiso_asm",
        Market.DAY_AHEAD,
        "DAM",
        "day-ahead prices of ancillary services, by region",
        "PRC_AS",
        "12",
        60,
        -timedelta(hours=34),
    ),
    _dataset(
        "caiso_asm_rt15",
        Market.REAL_TIME,
        "RTM",
        "real-time prices of ancillary services, by region",
        "PRC_INTVL_AS",
        "1",
        15,
        timedelta(hours=1),
    ),
)
