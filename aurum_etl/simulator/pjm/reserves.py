"""Reserves and regulation: cleared prices and quantities, day ahead and in real time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.pjm import clock
from aurum_etl.simulator.pjm.feed import Feed, Scope, Table, Whole
from aurum_etl.simulator.pjm.wire import Column, stamps

if TYPE_CHECKING:
    from collections.abc import Callable

_FIVE_MINUTES_SINCE = datetime.fromisoformat("2022-09-01T04:00")
_THIRTY_SINCE = datetime.fromisoformat("2022-10-01T04:00")
_HIGHEST = 85_000
"""Capped prices end there, in cents."""
_SERVICES = {
    ("PJM_RTO", "SR"): (2200, 600), ("PJM_RTO", "PR"): (3300, 250), ("PJM_RTO", "30MIN"): (4800, 0),
    ("MAD", "SR"): (1900, 700), ("MAD", "PR"): (2800, 300), ("PJM_RTO", "REG"): (700, 1800),
}  # fmt: skip
"""What is required in MW, and the usual price in cents."""
_DAY_AHEAD_NAMES = {
    ("PJM_RTO", "SR"): "PJM RTO Synchronized Reserve", ("PJM_RTO", "PR"): "PJM RTO Primary Reserve",
    ("PJM_RTO", "30MIN"): "PJM RTO Thirty Minutes Reserve",
    ("MAD", "SR"): "Mid-Atlantic/Dominion Synchronized Reserve", ("MAD", "PR"): "Mid-Atlantic/Dominion Primary Reserve",
}  # fmt: skip
_REAL_TIME_NAMES = {
    ("PJM_RTO", "SR"): "RTO Synchronized Reserve", ("PJM_RTO", "PR"): "RTO Non-Synchronized Reserve",
    ("PJM_RTO", "30MIN"): "RTO Secondary Reserve", ("MAD", "SR"): "MAD Synchronized Reserve",
    ("MAD", "PR"): "MAD Non-Synchronized Reserve", ("PJM_RTO", "REG"): "RTO Regulation Capability",
}  # fmt: skip
_MILEAGE_RATIO = "RTO Mileage Ratio"


def _services() -> pl.DataFrame:
    return pl.DataFrame(
        [(*name, *each) for name, each in _SERVICES.items()],
        schema={"locale": pl.String, "service": pl.String, "required": pl.Int64, "usual": pl.Int64},
        orient="row",
    ).with_row_index("place")


def _chance(seed: int, number: pl.Expr, choices: int) -> pl.Expr:
    cell = pl.col("place").cast(pl.UInt64) * 2**40 + number.cast(pl.UInt64)
    return (mixed(cell, seed) % choices).cast(pl.Int64)


def _price(seed: int, number: pl.Expr) -> pl.Expr:
    """Cleared price in cents: nothing in a third of the intervals, and very high in one of many."""
    chance = _chance(seed, number, 3000)
    return (
        pl.when(chance < 1000)
        .then(0)
        .when(chance == 1000)
        .then(120_000)
        .otherwise(pl.col("usual") * (500 + chance % 1000) // 1000)
    )


def _priced(scope: Scope, *, day_ahead: bool) -> pl.DataFrame:
    """Services in their intervals, with `mcp`."""
    first, last = scope.spans["datetime_beginning"]
    hours, parts = clock.starts((first, last), 60), clock.starts((first, last), 5)
    start = pl.col("datetime_beginning_utc")
    services = _services()
    if day_ahead:
        cells = hours.join(services.filter(pl.col("service") != "REG"), how="cross", maintain_order="left_right")
        return cells.with_columns(mcp=_price(scope.seed + 20, clock.epoch("datetime_beginning_utc", 3600)))
    both = pl.concat([hours.filter(start < _FIVE_MINUTES_SINCE), parts.filter(start >= _FIVE_MINUTES_SINCE)])
    cells = both.join(services, how="cross", maintain_order="left_right")
    price = (
        pl.when(start < _FIVE_MINUTES_SINCE)
        .then(_hour_price(scope.seed))
        .otherwise(_price(scope.seed + 21, clock.epoch("datetime_beginning_utc", 300)))
    )
    return cells.filter((pl.col("service") != "30MIN") | (start >= _THIRTY_SINCE)).with_columns(mcp=price)


def _hour_price(seed: int) -> pl.Expr:
    """Mean of the hour's twelve intervals."""
    number = clock.epoch("datetime_beginning_utc", 3600) * 12
    return (2 * pl.sum_horizontal(_price(seed + 21, number + part) for part in range(12)) + 12) // 24


def _results(scope: Scope, *, day_ahead: bool) -> Table:
    """Prices with quantities; what a service does not have is null."""
    number = clock.epoch("datetime_beginning_utc", 300)
    regulation, synchronized = pl.col("service") == "REG", pl.col("service") == "SR"
    rows = (
        _priced(scope, day_ahead=day_ahead)
        .with_columns(
            as_req_mw=pl.col("required") * 10,
            total_mw=pl.col("required") * (10_000 + _chance(scope.seed + 22, number, 3000)) // 1000,
        )
        .with_columns(
            mcp_capped=pl.min_horizontal("mcp", pl.lit(_HIGHEST, pl.Int64)),
            as_mw=pl.col("total_mw") * 6 // 10,
            ss_mw=pl.col("total_mw") - pl.col("total_mw") * 6 // 10,
            ircmwt2=pl.when(synchronized).then(_chance(scope.seed + 23, number, 900)),
            dsr_as_mw=pl.when(~regulation).then(_chance(scope.seed + 24, number, 2000)),
            nsr_mw=pl.when(pl.col("service").is_in(["PR", "30MIN"])).then(pl.col("total_mw") // 3),
            reg_ccp=pl.when(regulation).then(pl.col("mcp") * 8 // 10),
            reg_pcp=pl.when(regulation).then(pl.col("mcp") - pl.col("mcp") * 8 // 10),
            tier1_mw=pl.when(synchronized).then(_chance(scope.seed + 25, number, 9000)),
            regd_mw=pl.when(regulation).then(pl.col("total_mw") // 4),
        )
    )
    return Whole(scope.wanted(rows))


def _services_by_name(scope: Scope, *, day_ahead: bool) -> Table:
    """Prices alone, one row per service; in real time the hour's mean, and a ratio that is no price."""
    names = _DAY_AHEAD_NAMES if day_ahead else _REAL_TIME_NAMES
    start = pl.col("datetime_beginning_utc")
    known = pl.DataFrame(
        [(*key, name) for key, name in names.items()], schema=["locale", "service", "ancillary_service"], orient="row"
    )
    services = _services().join(known, on=["locale", "service"], maintain_order="left")
    hours = clock.starts(scope.spans["datetime_beginning"], 60)
    hour = clock.epoch("datetime_beginning_utc", 3600)
    price = _price(scope.seed + 20, hour) if day_ahead else _hour_price(scope.seed)
    rows = (
        hours.join(services, how="cross", maintain_order="left_right")
        .filter((pl.col("service") != "30MIN") | (start >= _THIRTY_SINCE))
        .with_columns(unit=pl.lit("Price"), value=price * 10_000)
    )
    if not day_ahead:
        ratio = rows.filter(pl.col("service") == "REG").with_columns(
            ancillary_service=pl.lit(_MILEAGE_RATIO),
            unit=pl.lit("Ratio"),
            value=_chance(scope.seed + 26, hour, 9_000_000) + 500_000,
        )
        rows = pl.concat([rows, ratio]).sort("datetime_beginning_utc", maintain_order=True)
    return Whole(scope.wanted(rows.with_columns(row_is_current=True, version_nbr=pl.lit(1, pl.Int64))))


def _columns(*, day_ahead: bool) -> tuple[Column, ...]:
    def decimals(*names: str) -> tuple[Column, ...]:
        return tuple(Column(name, "decimal", 1 if name.endswith(("mw", "mwt2")) else 2) for name in names)

    regulation = () if day_ahead else ("reg_ccp", "reg_pcp")
    more = () if day_ahead else ("regd_mw",)
    tier = () if day_ahead else ("tier1_mw",)
    return (
        *stamps("datetime_beginning"),
        Column("locale", "text"),
        Column("service", "text"),
        *decimals("mcp", "mcp_capped", *regulation, "as_req_mw", "total_mw", "as_mw", "ss_mw", *tier, "ircmwt2"),
        *decimals("dsr_as_mw", "nsr_mw", *more),
    )


_NAMED = (
    *stamps("datetime_beginning"),
    Column("ancillary_service", "text"),
    Column("unit", "text"),
    Column("value", "decimal", 6),
    Column("row_is_current", "flag"),
    Column("version_nbr", "whole"),
)


def _feed(
    name: str, columns: tuple[Column, ...], made: Callable[[Scope], Table], words: tuple[str, str], oldest: date
) -> Feed:
    published = clock.day_ahead if name.startswith("da_") else clock.after(timedelta(hours=1))
    return Feed(name, columns, made, published, measure=words[0], word=words[1], oldest=oldest)


FEEDS = (
    _feed(
        "da_reserve_market_results",
        _columns(day_ahead=True),
        partial(_results, day_ahead=True),
        ("mcp", "service"),
        date(2022, 10, 1),
    ),
    _feed(
        "reserve_market_results",
        _columns(day_ahead=False),
        partial(_results, day_ahead=False),
        ("mcp", "service"),
        date(2013, 6, 14),
    ),
    _feed(
        "da_ancillary_services",
        _NAMED,
        partial(_services_by_name, day_ahead=True),
        ("value", "ancillary_service"),
        date(2022, 10, 1),
    ),
    _feed(
        "ancillary_services",
        _NAMED,
        partial(_services_by_name, day_ahead=False),
        ("value", "ancillary_service"),
        date(2012, 10, 1),
    ),
)
