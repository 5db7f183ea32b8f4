"""PJM's pricing nodes: zones, hubs and interfaces as they are called, and invented buses."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from aurum_etl.simulator.invented import mixed
from aurum_etl.simulator.pjm.feed import Feed, Scope, Table, Whole
from aurum_etl.simulator.pjm.wire import Column

BUS_TYPES = ("LOAD", "GEN", "EXT", "TIE")
_ZONES = {
    "PJM-RTO": 1, "MID-ATL/APS": 3, "AECO": 51291, "BGE": 51292, "DPL": 51293, "JCPL": 51295, "METED": 51296,
    "PECO": 51297, "PEPCO": 51298, "PPL": 51299, "PENELEC": 51300, "PSEG": 51301, "RECO": 7633629, "APS": 8394954,
    "AEP": 8445784, "COMED": 33092371, "DAY": 34508503, "DOM": 34964545, "DUQ": 37737283, "ATSI": 116013753,
    "DEOK": 124076095, "EKPC": 970242670, "OVEC": 1709725933,
}  # fmt: skip
_HUBS = {
    "EASTERN HUB": 51217, "WEST INT HUB": 51287, "WESTERN HUB": 51288, "NEW JERSEY HUB": 4669664,
    "CHICAGO GEN HUB": 33092311, "CHICAGO HUB": 33092313, "N ILLINOIS HUB": 33092315, "AEP GEN HUB": 34497125,
    "AEP-DAYTON HUB": 34497127, "OHIO HUB": 34497151, "DOMINION HUB": 35010337, "ATSI GEN HUB": 116013751,
}  # fmt: skip
_INTERFACES = (
    "NYIS", "IMO", "NORTHWEST", "NIPSCO", "MISO", "SOUTHIMP", "SOUTHEXP", "NEPTUNE", "CPLEIMP", "DUKIMP", "NCMPAIMP",
    "CPLEEXP", "DUKEXP", "NCMPAEXP", "LINDENVFT", "HUDSONTP",
)  # fmt: skip
_INSIDE = tuple(name for name, number in _ZONES.items() if number > 3)
_OUTSIDE = ("CPL", "DUKE")
_OTHERS = ("LOAD", "GEN", "AGGREGATE", "EHV", "EXT", "RESIDUAL_METERED_EDC", "TIE")
_SHARES = (
    *["LOAD"] * 19,
    *["GEN"] * 4,
    "AGGREGATE",
    *["LOAD"] * 11,
    "GEN",
    "EHV",
    "EXT",
    "GEN",
    "RESIDUAL_METERED_EDC",
)
"""What forty further nodes are."""
_STATIONS = ("ASH", "BAY", "ELM", "FIR", "FIG", "GUM", "IVY", "OAK", "SAL", "YEW")
_VOLTAGES = ("13 KV", "34.5 KV", "69 KV", "115 KV", "138 KV", "230 KV", "500 KV")
_WIDE = 2_156_110_000
"""Newer nodes have ids that need more than 32 bits."""
_FOREVER = datetime.fromisoformat("9999-12-31")


def nodes(count: int) -> pl.DataFrame:
    """So many locations in the order of their ids: one of every type first, then all that have names, then buses."""
    named = [_known(number, name, "ZONE", None) for name, number in _ZONES.items()]
    named += [_known(number, name, "HUB", None) for name, number in _HUBS.items()]
    named += [_known(34_600_001 + 2 * i, name, "INTERFACE", "EXTERNAL") for i, name in enumerate(_INTERFACES)]
    firsts = [named[0], named[len(_ZONES)], named[len(_ZONES) + len(_HUBS)]]
    others = [_invented(number, kind) for number, kind in enumerate(_OTHERS)]
    rest = [each for each in named if each not in firsts]
    more = max(count - len(named) - len(others), 0)
    buses = [_invented(number, _SHARES[number % len(_SHARES)]) for number in range(len(_OTHERS), len(_OTHERS) + more)]
    return (
        pl.DataFrame(
            [*firsts, *others, *rest, *buses][:count],
            schema={
                "pnode_id": pl.Int64,
                "pnode_name": pl.String,
                "voltage": pl.String,
                "equipment": pl.String,
                "type": pl.String,
                "zone": pl.String,
                "long_name": pl.String,
            },
            orient="row",
        )
        .sort("pnode_id")
        .with_columns(is_bus=pl.col("type").is_in(BUS_TYPES))
    )


_Node = tuple[int, str, str | None, str | None, str, str | None, str]


def _known(number: int, name: str, kind: str, zone: str | None) -> _Node:
    return number, name, None, None, kind, zone, name


def _invented(number: int, kind: str) -> _Node:
    """A bus, or an aggregate of some. Buses have a short name where prices stand, and a long one in the list."""
    place = (_WIDE if number % 5 == 4 else 60_000_000) + 2 * number
    station = f"{_STATIONS[number % len(_STATIONS)]}{number:05d}"
    zone = _OUTSIDE[number % 2] if kind == "EXT" else _INSIDE[number * 5 % len(_INSIDE)]
    if kind in ("AGGREGATE", "RESIDUAL_METERED_EDC"):
        name = f"{station}_{'AGG' if kind == 'AGGREGATE' else 'RESID_AGG'}"
        return place, name, None, None, kind, None, name
    if kind == "EHV":
        return place, station, "500 KV", None, kind, zone, station
    voltage = _VOLTAGES[number % len(_VOLTAGES)]
    equipment = f"{'T' if kind == 'LOAD' else 'UNIT'}-{number % 12 + 1}"
    return place, station, voltage, equipment, kind, zone, f"{station:<8}{voltage}  {equipment}"


def _listed(scope: Scope) -> Table:
    """The list of nodes with its history: every third bus was something else before."""
    chance = mixed(pl.col("pnode_id"), scope.seed)
    days = (chance // 2**20 % 5000).cast(pl.Int64)
    current = scope.nodes.select(
        "pnode_id",
        pnode_name="long_name",
        pnode_type=pl.when("is_bus").then(pl.lit("BUS")).otherwise(pl.lit("AGGREGATE")),
        pnode_subtype="type",
        zone="zone",
        voltage_level="voltage",
        effective_date=pl.lit(date(2002, 1, 1)).cast(pl.Datetime("us")) + pl.duration(days=days),
        termination_date=pl.lit(_FOREVER).cast(pl.Datetime("us")),
        was_another=(chance % 3 == 0) & pl.col("is_bus"),
    )
    before = current.filter("was_another").with_columns(
        pnode_name=pl.col("pnode_name") + "A",
        effective_date=pl.lit(date(1998, 4, 1)).cast(pl.Datetime("us")),
        termination_date="effective_date",
    )
    rows = pl.concat([current, before]).sort("pnode_id", "effective_date").drop("was_another")
    return Whole(scope.wanted(rows))


FEEDS = (
    Feed(
        "pnode",
        (
            Column("pnode_id", "whole"),
            Column("pnode_name", "text"),
            Column("pnode_type", "text"),
            Column("pnode_subtype", "text"),
            Column("zone", "text"),
            Column("voltage_level", "text"),
            Column("effective_date", "stamp"),
            Column("termination_date", "stamp"),
        ),
        _listed,
        lambda now: now,
        measure="pnode_id",
        word="pnode_subtype",
        dates=(),
        needs_date=False,
    ),
)
