"""The public displays: what is now, today or yesterday, with numbers as text and no way to ask for another day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from aurum_etl.simulator.miso import clock, energy, places, prices, reserves
from aurum_etl.simulator.miso.wire import fixed_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aurum_etl.simulator.miso.prices import Stage

_CATEGORIES = {
    "Battery Storage": ("storage",),
    "Coal": ("coal",),
    "Imports": (),
    "Natural Gas": ("gas",),
    "Nuclear": ("nuclear",),
    "Other": ("other", "water"),
    "Solar": ("solar",),
    "Wind": ("wind",),
}
_PRICE_HEADERS = ["INTERVAL", "CPNODE", "LMP", "MLC", "MCC"]
_LATE = timedelta(minutes=7)
_ZONE_PRICES = {
    "GenRegMCP": "Regulation", "GenSpinMCP": "Spin", "GenSuppMCP": "Supplemental", "StrMcp": "STR",
    "DemandRegMcp": "Regulation", "DemandSpinMcp": "Spin", "DemandSuppMcp": "Supplemental", "RcpUpMcp": "Ramp-up",
    "RcpDownMcp": "Ramp-down",
}  # fmt: skip
_NODE_PRICES = {
    "REGMCP": "Regulation", "REGMILEAGEMCP": "Mileage", "SPINMCP": "Spin", "SUPPMCP": "Supplemental", "STRMCP": "STR",
    "RCUPMCP": "Ramp-up", "RCDOWNMCP": "Ramp-down",
}  # fmt: skip
_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Showing:
    """What a display is made from."""

    seed: int
    now: datetime
    """By the market's clock."""
    places: pl.DataFrame
    fault: str | None

    @property
    def priced(self) -> datetime:
        """The last five minutes that have prices."""
        return clock.latest(self.now)

    @property
    def measured(self) -> datetime:
        """The last five minutes in which load and generation are known."""
        return self.priced - timedelta(minutes=5)

    def hurt(self, rows: _Rows, stamp: str | None, value: str, word: str) -> _Rows:
        """The rows of a list with the fault in them; `stamp` names what says when."""
        first = rows[0] if rows else {}
        match self.fault:
            case "wrong_header":
                return [{f"{name}_new" if name == value else name: each[name] for name in each} for each in rows]
            case "text_in_number" if rows:
                return [{**first, value: "NaN"}, *rows[1:]]
            case "duplicate_rows":
                return [*rows, *rows[:3]]
            case "unknown_word" if rows:
                return [*rows, {**first, word: "XYZ"}]
            case "off_grid" if stamp:
                return [{**each, stamp: _later(each[stamp])} if each[stamp] == first[stamp] else each for each in rows]
            case "missing_hour" if stamp:
                return [each for each in rows if each[stamp] != first[stamp]]
            case _:
                return rows


def _later(stamp: str) -> str:
    """Seven minutes later, in the same form; where there are no minutes, they are put behind."""
    for form, made in (("%Y-%m-%d %I:%M:%S %p", _twelve_hours), ("%H:%M", "{:%H:%M}".format)):
        try:
            return made(datetime.strptime(stamp, form) + _LATE)  # noqa: DTZ007
        except ValueError:
            continue
    return f"{stamp}:07"


def _twelve_hours(stamp: datetime) -> str:
    return f"{stamp:%Y-%m-%d} {(stamp.hour + 11) % 12 + 1}:{stamp:%M:%S %p}"


def _reference(stamp: datetime) -> str:
    return f"{stamp:%d-%b-%Y} - Interval {stamp:%H:%M} EST"


def _fuel_mix(which: str, showing: Showing) -> str:
    """Generation by category: in the last five minutes, since midnight, or yesterday."""
    last = showing.measured
    day = last.date() - timedelta(1) if which == "Yesterday" else last.date()
    made = energy.generation(showing.seed, day)
    fuels = pl.col("fuel")
    start = pl.col("start")
    totals = made.group_by("start", "number", maintain_order=True).agg(
        pl.col("output").filter(fuels.is_in(words)).sum().alias(name) for name, words in _CATEGORIES.items()
    )
    totals = totals.with_columns(Imports=energy.imports(showing.seed, pl.col("number")) * 1000)
    shown = totals.filter(start == last if which == "" else start <= last)
    long = shown.unpivot(list(_CATEGORIES), index="start", variable_name="category").with_columns(
        (pl.col("value") + 500) // 1000
    )
    rows = [
        {
            "INTERVALEST": _twelve_hours(stamp),
            "CATEGORY": name,
            "ACT": str(value),
            "FUEL_CATEGORY": f"{name}  ({value:,} MW)",
        }
        for stamp, name, value in long.sort("start", maintain_order=True).iter_rows()
    ]
    total = str(long.get_column("value").sum()) if which == "" else "0"
    fuel = {"Type": showing.hurt(rows, "INTERVALEST", "ACT", "CATEGORY")}
    return _compact({"RefId": _reference(last), "TotalMW": total, "Fuel": fuel})


def _total_load(showing: Showing) -> str:
    """Cleared demand and the forecast of today's hours, and load in five minutes up to now."""
    last = showing.measured
    day = last.date()
    seed = showing.seed
    cleared = energy.cleared(seed, day).get_column("cleared")
    forecast = (
        energy.forecast(seed, day, day - timedelta(1))
        .group_by("hour", maintain_order=True)
        .agg(pl.col("forecast").sum())
    )
    loads = (
        energy.load(seed, day)
        .filter(pl.col("start") <= last)
        .group_by("label", maintain_order=True)
        .agg((pl.col("load").sum() + 50) // 100)
    )
    hurt = showing.hurt
    five = hurt([{"Time": label, "Value": str(value)} for label, value in loads.iter_rows()], "Time", "Value", "Time")
    hours = [
        {"HourEnding": str(hour), "LoadForecast": str(value)}
        for hour, value in enumerate(forecast.get_column("forecast"), 1)
    ]
    sold = [{"Hour": str(hour), "Value": str(value)} for hour, value in enumerate(cleared, 1)]
    shown = {
        "RefId": _reference(last),
        "ClearedMW": [{"ClearedMWHourly": each} for each in hurt(sold, "Hour", "Value", "Hour")],
        "MediumTermLoadForecast": [
            {"Forecast": each} for each in hurt(hours, "HourEnding", "LoadForecast", "HourEnding")
        ],
        "FiveMinTotalLoad": [{"Load": each} for each in five],
    }
    return _compact({"LoadInfo": shown})


def _interval(showing: Showing, stamp: datetime, minutes: int) -> pl.DataFrame:
    blocks = prices.with_energy(clock.intervals([stamp.date()], minutes), showing.seed)
    return blocks.filter(pl.col("start") == stamp)


def _at_nodes(
    showing: Showing,
    stamp: datetime,
    minutes: int,
    priced: Callable[[pl.DataFrame, int, Stage], pl.DataFrame],
    stage: Stage,
) -> pl.DataFrame:
    """The prices of all nodes in one interval, as text; those that are missing are `NaN`."""
    listed = places.there(showing.places, stamp.date())
    cells = priced(_interval(showing, stamp, minutes).join(listed, how="cross"), showing.seed, stage)
    return cells.with_columns(fixed_text(pl.col(each)).fill_null("NaN") for each in ("lmp", "mcc", "mlc"))


def _in_zones(showing: Showing, stamp: datetime, *, day_ahead: bool) -> pl.DataFrame:
    """The prices of reserves in one interval, with a column per product."""
    zones = reserves.in_zones((*reserves.PRODUCTS, "Mileage"))
    cells = _interval(showing, stamp, 60 if day_ahead else 5).join(zones, how="cross", maintain_order="left_right")
    priced, stage = (reserves.day_ahead, "expost") if day_ahead else (reserves.five_minutes, "Preliminary")
    made = priced(cells, showing.seed, stage)  # type: ignore[arg-type]
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
    for name, start, priced, stage in (
        ("HourlyIntegratedLMP", before, prices.hours, "Preliminary"),
        ("DayAheadExAnteLMP", hour, prices.day_ahead, "exante"),
        ("DayAheadExPostLMP", hour, prices.day_ahead, "expost"),
    ):
        found = _at_nodes(showing, start, 60, priced, stage)  # type: ignore[arg-type]
        blocks[name] = f"HE {start.hour + 1}", found.select(**common, MCC="mcc", MLC="mlc").to_dicts()
    shown = {
        name: {"HourAndMin": showing_label, "PricingNode": showing.hurt(rows, None, "LMP", "name")}
        for name, (showing_label, rows) in blocks.items()
    }
    return _compact({"LMPData": {"RefId": _reference(stamp), **_moved(shown, showing.fault, "HourAndMin")}})


def _moved(blocks: Mapping[str, Any], fault: str | None, stamp: str) -> dict[str, Any]:
    """Blocks of one interval each: the first is off the grid or not there at all."""
    first, *rest = blocks
    moved = {**blocks[first], stamp: _later(blocks[first][stamp])} if fault == "off_grid" else blocks[first]
    return {**({} if fault == "missing_hour" else {first: moved}), **{name: blocks[name] for name in rest}}


def _ex_ante(showing: Showing) -> str:
    """The hubs' prices before the fact."""
    stamp = showing.priced
    hubs = _at_nodes(showing, stamp, 5, prices.five_minutes, "exante").filter(pl.col("node").is_in(places.HUBS))
    rows = showing.hurt(
        hubs.select(name="node", LMP="lmp", loss="mlc", congestion="mcc").to_dicts(), None, "LMP", "name"
    )
    shown = {"ExAnteLMP": {"HourAndMin": f"{stamp:%H:%M}", "Hub": rows}}
    return _compact({"LMPData": {"RefId": _reference(stamp), **_moved(shown, showing.fault, "HourAndMin")}})


def _reserves(showing: Showing) -> str:
    """The newest prices of reserves by zone."""
    stamp = showing.priced

    def zones(start: datetime, *, day_ahead: bool) -> _Rows:
        number = pl.col("zone_number").cast(pl.String)
        found = _in_zones(showing, start, day_ahead=day_ahead).select(number=number, **_ZONE_PRICES)
        return showing.hurt(found.to_dicts(), None, "GenRegMCP", "number")

    hour = stamp.replace(minute=0)
    real_time = {"RealTimeMCP": {"HourAndMin": f"{stamp:%H:%M}", "Zone": zones(stamp, day_ahead=False)}}
    day_ahead = {"HourEnding": str(stamp.hour + 1), "Zone": zones(hour, day_ahead=True)}
    shown = {**_moved(real_time, showing.fault, "HourAndMin"), "DayAheadMCP": day_ahead}
    return _compact({"MCPData": {"RefId": _reference(stamp), "MktDay": f"{stamp:%m-%d-%Y}", **shown}})


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
        blocks = blocks.with_columns(start=pl.when(start == start.min()).then(start + _LATE).otherwise(start))
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
    return f'{{"headers":{_compact(headers)},"data":[{lines}]}}'


_HOURS_SHOWN = 48
_ACTUAL, _FORECAST = "Actual", "Forecast"


def _renewable(fuels: tuple[str, ...], kinds: tuple[str, ...], showing: Showing) -> str:
    """Hours of wind or sun since midnight: actual ones up to now, forecasts of two days, or both side by side."""
    day = showing.now.date()
    reference = showing.now.replace(minute=0, second=0, microsecond=0)
    past = int((reference - clock.at(day, 0, 0)) / timedelta(hours=1))
    together, both = len(kinds) > 1, len(fuels) > 1
    rows: _Rows = [{} for _ in range(_HOURS_SHOWN if _FORECAST in kinds else past)]
    values = {fuel: _values(showing.seed, day, fuel) for fuel in fuels}
    for kind in kinds:
        prefix = kind if together else ""
        for number, row in enumerate(rows):
            there = kind == _FORECAST or number < past
            stamp = clock.at(day, 0, 0) + timedelta(hours=number)
            row[f"{prefix}DateTimeEST"] = _twelve_hours(stamp) if there else None
            row[f"{prefix}HourEndingEST"] = str(stamp.hour + 1) if there else None
            for fuel in fuels:
                name = f"{prefix}{fuel.title() if both else ''}Value"
                row[name] = values[fuel][kind][number] if there else None
    prefix = kinds[0] if together else ""
    value = f"{prefix}{fuels[0].title() if both else ''}Value"
    hurt = showing.hurt(rows, f"{prefix}DateTimeEST", value, f"{prefix}HourEndingEST")
    return _compact(
        {
            "Forecast" if kinds == (_FORECAST,) else "instance": hurt,
            "RefId": _reference(reference),
            "MktDay": f"{day:%m-%d-%Y}",
        }
    )


def _values(seed: int, day: date, fuel: str) -> dict[str, list[str]]:
    both = pl.concat([energy.renewable(seed, day, fuel), energy.renewable(seed, day + timedelta(1), fuel)])
    return {
        _ACTUAL: both.select(fixed_text(pl.col("actual"))).to_series().to_list(),
        _FORECAST: both.select(fixed_text(pl.col("forecast") * 100)).to_series().to_list(),
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_PAGES: Mapping[str, Callable[[Showing], str]] = {
    "FuelMix": partial(_fuel_mix, ""),
    "FuelMix/Today": partial(_fuel_mix, "Today"),
    "FuelMix/Yesterday": partial(_fuel_mix, "Yesterday"),
    "RealTimeTotalLoad": _total_load,
    "MarketPricing/GetLmpConsolidatedTable": _consolidated,
    "MarketPricing/GetExAnteLmp": _ex_ante,
    "MarketPricing/GetAncillaryServicesMcp": _reserves,
    **{
        f"MarketPricing/GetRealTimeFiveMinExPost/{which}": partial(_ex_post, which)
        for which in ("Current", "Rolling", "Previous")
    },
    "WindSolar/GetCombined": partial(_renewable, ("wind", "solar"), (_FORECAST, _ACTUAL)),
    **{
        f"WindSolar/get{fuel}{kind.lower()}": partial(_renewable, (fuel,), (kind,) if kind else (_FORECAST, _ACTUAL))
        for fuel in ("wind", "solar")
        for kind in ("", _ACTUAL, _FORECAST)
    },
}
PAGES = {name.lower(): made for name, made in _PAGES.items()}
"""By path in lower case, for the service does not tell cases apart."""
