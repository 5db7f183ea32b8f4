"""The public displays of prices at nodes and of reserves."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from aurum_etl.simulator.miso import clock, places, prices, reserves
from aurum_etl.simulator.miso.showing import LATE, Rows, Showing, compact, later, reference
from aurum_etl.simulator.miso.wire import fixed_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.miso.prices import Priced, Stage

_PRICE_HEADERS = ["INTERVAL", "CPNODE", "LMP", "MLC", "MCC"]
_ZONE_PRICES = {
    "GenRegMCP": "Regulation", "GenSpinMCP": "Spin", "GenSuppMCP": "Supplemental", "StrMcp": "STR",
    "DemandRegMcp": "Regulation", "DemandSpinMcp": "Spin", "DemandSuppMcp": "Supplemental", "RcpUpMcp": "Ramp-up",
    "RcpDownMcp": "Ramp-down",
}  # fmt: skip
_NODE_PRICES = {
    "REGMCP": "Regulation", "REGMILEAGEMCP": "Mileage", "SPINMCP": "Spin", "SUPPMCP": "Supplemental", "STRMCP": "STR",
    "RCUPMCP": "Ramp-up", "RCDOWNMCP": "Ramp-down",
}  # fmt: skip


def _interval(showing: Showing, stamp: datetime, minutes: int) -> pl.DataFrame:
    blocks = prices.with_energy(clock.intervals([stamp.date()], minutes), showing.seed)
    return blocks.filter(pl.col("start") == stamp)


def _at_nodes(
    showing: Showing,
    stamp: datetime,
    minutes: int,
    priced: Priced,
    stage: Stage,
) -> pl.DataFrame:
    """The prices of all nodes in one interval, as text; those that are missing are `NaN`."""
    listed = places.there(showing.places, stamp.date())
    cells = priced(_interval(showing, stamp, minutes).join(listed, how="cross"), showing.seed, stage)
    return cells.with_columns(fixed_text(pl.col(each)).fill_null("NaN").alias(each) for each in ("lmp", "mcc", "mlc"))


def _in_zones(showing: Showing, stamp: datetime, *, day_ahead: bool) -> pl.DataFrame:
    """The prices of reserves in one interval, with a column per product."""
    zones = reserves.in_zones((*reserves.PRODUCTS, "Mileage"))
    cells = _interval(showing, stamp, 60 if day_ahead else 5).join(zones, how="cross", maintain_order="left_right")
    made = (
        reserves.day_ahead(cells, showing.seed, "expost")
        if day_ahead
        else reserves.five_minutes(cells, showing.seed, "Preliminary")
    )
    products = (*reserves.PRODUCTS, "Mileage")
    price = fixed_text(pl.col("mcp"))
    return made.group_by("zone_number", maintain_order=True).agg(
        price.filter(pl.col("product") == product).first().alias(product) for product in products
    )


def _consolidated(showing: Showing) -> str:
    """The newest prices of all nodes from four runs of the market; only the reference says which day."""
    stamp = showing.priced
    hour = stamp.replace(minute=0)
    before = hour - timedelta(hours=1)
    zones = _in_zones(showing, stamp, day_ahead=False)
    five = _at_nodes(showing, stamp, 5, prices.five_minutes, "Preliminary").join(
        zones, on="zone_number", maintain_order="left"
    )
    is_generator = pl.col("type") == "Gennode"
    five = five.with_columns(
        pl.when(is_generator).then(pl.col(product)).otherwise(pl.lit("0.00")).alias(name)
        for name, product in _NODE_PRICES.items()
    )
    common = {"name": "node", "region": "region", "LMP": "lmp"}
    five_rows = five.select(**common, MLC="mlc", MCC="mcc", **{name: name for name in _NODE_PRICES}).to_dicts()
    blocks = {"FiveMinLMP": (f"{stamp:%H:%M}", five_rows)}
    runs: tuple[tuple[str, datetime, Priced, Stage], ...] = (
        ("HourlyIntegratedLMP", before, prices.hours, "Preliminary"),
        ("DayAheadExAnteLMP", hour, prices.day_ahead, "exante"),
        ("DayAheadExPostLMP", hour, prices.day_ahead, "expost"),
    )
    for name, start, priced, stage in runs:
        found = _at_nodes(showing, start, 60, priced, stage)
        blocks[name] = f"HE {start.hour + 1}", found.select(**common, MCC="mcc", MLC="mlc").to_dicts()
    shown = {
        name: {"HourAndMin": label, "PricingNode": showing.hurt(rows, None, "LMP", "name")}
        for name, (label, rows) in blocks.items()
    }
    return compact({"LMPData": {"RefId": reference(stamp), **_moved(shown, showing.fault, "HourAndMin")}})


def _moved(blocks: Mapping[str, Any], fault: str | None, stamp: str) -> dict[str, Any]:
    """Blocks of one interval each: the first is off the grid or not there at all."""
    first, *rest = blocks
    moved = {**blocks[first], stamp: later(blocks[first][stamp])} if fault == "off_grid" else blocks[first]
    return {**({} if fault == "missing_hour" else {first: moved}), **{name: blocks[name] for name in rest}}


def _ex_ante(showing: Showing) -> str:
    """The hubs' prices before the fact."""
    stamp = showing.priced
    hubs = _at_nodes(showing, stamp, 5, prices.five_minutes, "exante").filter(pl.col("node").is_in(places.HUBS))
    rows = showing.hurt(
        hubs.select(name="node", LMP="lmp", loss="mlc", congestion="mcc").to_dicts(), None, "LMP", "name"
    )
    shown = {"ExAnteLMP": {"HourAndMin": f"{stamp:%H:%M}", "Hub": rows}}
    return compact({"LMPData": {"RefId": reference(stamp), **_moved(shown, showing.fault, "HourAndMin")}})


def _reserves(showing: Showing) -> str:
    """The newest prices of reserves by zone."""
    stamp = showing.priced

    def zones(start: datetime, *, day_ahead: bool) -> Rows:
        number = pl.col("zone_number").cast(pl.String)
        found = _in_zones(showing, start, day_ahead=day_ahead).select(number=number, **_ZONE_PRICES)
        return showing.hurt(found.to_dicts(), None, "GenRegMCP", "number")

    hour = stamp.replace(minute=0)
    real_time = {"RealTimeMCP": {"HourAndMin": f"{stamp:%H:%M}", "Zone": zones(stamp, day_ahead=False)}}
    day_ahead = {"HourEnding": str(stamp.hour + 1), "Zone": zones(hour, day_ahead=True)}
    shown = {**_moved(real_time, showing.fault, "HourAndMin"), "DayAheadMCP": day_ahead}
    return compact({"MCPData": {"RefId": reference(stamp), "MktDay": f"{stamp:%m-%d-%Y}", **shown}})


def _ex_post(which: str, showing: Showing) -> str:
    """Preliminary prices of all nodes: of the last five minutes, since midnight, or of yesterday."""
    last, fault = showing.priced, showing.fault
    day = last.date() - timedelta(1) if which == "Previous" else last.date()
    start = pl.col("start")
    blocks = prices.with_energy(clock.intervals([day], 5), showing.seed)
    blocks = blocks.filter(start == last if which == "Current" else start <= last)
    if fault == "missing_hour":
        blocks = blocks.slice(1)
    if fault == "off_grid":
        blocks = blocks.with_columns(start=pl.when(start == start.min()).then(start + LATE).otherwise(start))
    blocks = blocks.with_columns(stamp=start.dt.to_string("%Y-%m-%dT%H:%M:%S"))
    cells = blocks.join(places.there(showing.places, day), how="cross", maintain_order="left_right")
    rows = prices.five_minutes(cells, showing.seed, "Preliminary").select("stamp", "node", "lmp", "mlc", "mcc")
    if fault == "duplicate_rows":
        rows = pl.concat([rows, rows.head(3)])
    if fault == "unknown_word":
        rows = pl.concat([rows, rows.head(1).with_columns(node=pl.lit("XYZ"))])
    texts = {each: fixed_text(pl.col(each)).fill_null("NaN") for each in ("lmp", "mlc", "mcc")}
    if fault == "text_in_number":
        texts["lmp"] = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("NaN")).otherwise(texts["lmp"])
    line = pl.concat_str("stamp", "node", *texts.values(), separator='","')
    lines = "" if rows.is_empty() else '["' + str(rows.select(line.str.join('"],["')).item()) + '"]'
    headers = [f"{each}_new" if each == "LMP" and fault == "wrong_header" else each for each in _PRICE_HEADERS]
    return f'{{"headers":{compact(headers)},"data":[{lines}]}}'


PAGES: Mapping[str, Callable[[Showing], str]] = {
    "MarketPricing/GetLmpConsolidatedTable": _consolidated,
    "MarketPricing/GetExAnteLmp": _ex_ante,
    "MarketPricing/GetAncillaryServicesMcp": _reserves,
    **{
        f"MarketPricing/GetRealTimeFiveMinExPost/{which}": partial(_ex_post, which)
        for which in ("Current", "Rolling", "Previous")
    },
}
