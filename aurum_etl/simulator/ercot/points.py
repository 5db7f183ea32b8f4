"""Settlement points: hubs, zones and ties as they are called, invented resource nodes, and the list of buses."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.ercot import clock
from aurum_etl.simulator.ercot.product import Cell, Product
from aurum_etl.simulator.invented import mixed

if TYPE_CHECKING:
    from aurum_etl.simulator.ercot.product import Scope

_HUBS = {
    "HB_BUSAVG": "SH", "HB_HOUSTON": "HU", "HB_HUBAVG": "AH", "HB_NORTH": "HU", "HB_PAN": "HU", "HB_SOUTH": "HU",
    "HB_WEST": "HU",
}  # fmt: skip
_ZONES = ("LZ_AEN", "LZ_CPS", "LZ_HOUSTON", "LZ_LCRA", "LZ_NORTH", "LZ_RAYBN", "LZ_SOUTH", "LZ_WEST")
_TIES = ("DC_E", "DC_L", "DC_N", "DC_R", "DC_S")
_WEIGHTED = {"LZ": "LZEW", "LZ_DC": "LZ_DCEW"}
"""Zones stand twice among settlement point prices: the second time weighted by energy."""
_BUSES_PER_POINT = 16
_BUS_ZONES = ("LZ_NORTH", "LZ_SOUTH", "LZ_WEST", "LZ_HOUSTON")
_BUS_HUBS = ("HB_NORTH", "HB_SOUTH", "HB_WEST", "HB_HOUSTON", "HB_PAN")
_VOLTAGES = ("138", "69", "345", "34.5", "13.8", "18", "115")
_STATIONS = ("ASH", "BAY", "ELM", "FIR", "GUM", "IVY", "OAK", "SAL", "YEW")
_MONDAY = timedelta(hours=17, minutes=46, seconds=25)
_BUS_COLUMNS = (
    "ELECTRICAL_BUS", "NODE_NAME", "PSSE_BUS_NAME", "VOLTAGE_LEVEL", "SUBSTATION", "SETTLEMENT_LOAD_ZONE", "RESOURCE_NODE",
    "HUB_BUS_NAME", "HUB", "PSSE_BUS_NUMBER",
)  # fmt: skip


def points(count: int) -> pl.DataFrame:
    """So many names in their order, each with a number, its type, and the zone that it is in."""
    named = [*_HUBS.items(), *((name, "LZ") for name in _ZONES), *((name, "LZ_DC") for name in _TIES)]
    nodes = [_node(number) for number in range(max(count - len(named), 0))]
    return (
        pl.DataFrame([*named, *nodes], schema=["settlementPoint", "settlementPointType"], orient="row")
        .with_row_index("place")
        .sort("settlementPoint")
    )


def _node(number: int) -> tuple[str, str]:
    """Every ninth node is no plain one."""
    station = f"{_STATIONS[number % len(_STATIONS)]}{number:04d}"
    if number % 9 != 4:
        return f"{station}_RN", "RN"
    kind = ("PCCRN", "LCCRN", "PUN")[number // 9 % 3]
    return f"{station}_{'PUN' if kind == 'PUN' else 'CC1'}", kind


def named_points(scope: Scope) -> pl.DataFrame:
    """Every name once."""
    return scope.points


def typed_points(scope: Scope) -> pl.DataFrame:
    """Every name with its types: zones have two."""
    weighted = scope.points.filter(pl.col("settlementPointType").is_in(list(_WEIGHTED))).with_columns(
        pl.col("settlementPointType").replace_strict(_WEIGHTED, return_dtype=pl.String)
    )
    return pl.concat([scope.points, weighted]).sort("settlementPoint", "settlementPointType")


def _mondays(_: int, span: clock.Span) -> pl.DataFrame:
    days = clock.grid((span[0] - timedelta(hours=6), span[1]), 60)
    local = clock.central(pl.col("start"))
    mondays = days.filter(
        (local.dt.hour() == 0) & (local.dt.weekday() == 1) & pl.col("start").is_between(*span, "left")
    )
    posted = clock.at(local.dt.date(), 0, _MONDAY)
    return mondays.with_columns(posted=posted, corrected=pl.lit(None, pl.Datetime("us")))


def _unused(_: int, cells: pl.DataFrame) -> pl.DataFrame:
    """The list has several members; `list_members` makes them."""
    return cells


def list_members(scope: Scope, stamp: str, fault: str | None) -> list[tuple[str, bytes]]:
    """The members of the list: buses, units of nodes, combined cycles, hubs and ties, and loads of other owners."""
    nodes = scope.points.filter(~pl.col("settlementPoint").str.contains("^(?:HB_|LZ_|DC_)"))
    buses = _buses(scope, nodes)
    if fault == "wrong_header":
        buses = buses.rename({"RESOURCE_NODE": "RESOURCE_NODE_NEW"})
    elif fault == "duplicate_rows":
        buses = pl.concat([buses, buses.head(3)])
    elif fault == "unknown_word":
        buses = buses.with_columns(SETTLEMENT_LOAD_ZONE=pl.lit("LZ_XYZ"))
    combined = nodes.filter(pl.col("settlementPointType").is_in(["PCCRN", "LCCRN"]))
    name = pl.col("settlementPoint")
    members = {
        "Settlement_Points": buses,
        "Resource_Node_to_Unit": nodes.select(
            RESOURCE_NODE=name, UNIT_SUBSTATION=name.str.split("_").list.first(), UNIT_NAME=pl.lit("UNIT1")
        ),
        "CCP_Resource_Names": combined.select(CCP_NAME=name, LOGICAL_RESOURCE_NODE_NAME=name + "_1"),
        "Hub_Name_AND_DC_Ties": pl.DataFrame({"NAME": [*_HUBS, *_TIES]}),
        "NOIE_Mapping": buses.filter(pl.col("PSSE_BUS_NUMBER") % 50 == 0).select(
            PHYSICAL_LOAD=pl.format("LD{}", "PSSE_BUS_NUMBER"),
            NOIE=pl.lit("SIMULATED"),
            VOLTAGE_NAME="VOLTAGE_LEVEL",
            SUBSTATION="SUBSTATION",
            ELECTRICAL_BUS="ELECTRICAL_BUS",
        ),
    }
    return [
        (f"{title}_{stamp}.csv", rows.write_csv(line_terminator="\r\n").encode()) for title, rows in members.items()
    ]


def _buses(scope: Scope, nodes: pl.DataFrame) -> pl.DataFrame:
    """One row per electrical bus: every node has one of its own, and every fifteenth of the others belongs to a hub."""
    count = scope.points.height * _BUSES_PER_POINT
    number = pl.col("number")
    chance = (mixed(number, scope.seed) // 64).cast(pl.Int64)
    station = _word(number // 4, _STATIONS) + (number // 4).cast(pl.String).str.zfill(4)
    is_hub = (number >= nodes.height) & (number % 15 == 0)
    return (
        pl.DataFrame({"number": range(count)}, schema={"number": pl.Int64})
        .with_columns(
            RESOURCE_NODE=pl.concat(
                [nodes.get_column("settlementPoint"), pl.Series([None] * (count - nodes.height), dtype=pl.String)]
            ),
            station=station,
        )
        .with_columns(
            ELECTRICAL_BUS=number.cast(pl.String).str.zfill(5) + "_EB",
            NODE_NAME=number.cast(pl.String).str.zfill(5),
            PSSE_BUS_NAME=pl.col("station") + "_" + (number % 4 + 1).cast(pl.String),
            VOLTAGE_LEVEL=_word(chance, _VOLTAGES),
            SUBSTATION=pl.col("station"),
            SETTLEMENT_LOAD_ZONE=_word(number // 4, _BUS_ZONES),
            HUB_BUS_NAME=pl.when(is_hub).then("station"),
            HUB=pl.when(is_hub).then(_word(number // 15, _BUS_HUBS)),
            PSSE_BUS_NUMBER=number + 1001,
        )
        .select(_BUS_COLUMNS)
    )


def _word(number: pl.Expr, words: tuple[str, ...]) -> pl.Expr:
    return (number % len(words)).replace_strict(dict(enumerate(words)), return_dtype=pl.String)


SETTLEMENT_POINTS = Product(
    "NP4-160-SG",
    "Settlement Points List and Electrical Buses Mapping",
    "Settlement points, and the electrical buses that belong to them.",
    10008,
    "Event",
    "2010-11-30",
    31,
    "SP_List_EB_Mapping",
    (Cell("ELECTRICAL_BUS", "ELECTRICAL_BUS", "text"),),
    _mondays,
    _unused,
    lag=timedelta(8),
    twins=False,
)
