"""The Data Exchange's product Pricing: locational prices, prices of reserves, and the list of nodes."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.miso import clock, places, prices, reserves
from aurum_etl.simulator.miso.exchange import Field, Grid, Resource, Scope
from aurum_etl.simulator.miso.wire import BadArgument, NoData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from aurum_etl.simulator.miso.prices import Priced, Stage

_NODE_TYPES = {"Hub": "Hubs", "Interface": "Interfaces", "Loadzone": "Loadzones", "Gennode": "Gennodes"}
_MINUTES = {"5min": 5, "hourly": 60}


def _locations(scope: Scope) -> pl.DataFrame:
    return scope.wanted(places.there(scope.places, scope.day), node="node")


def _zones(scope: Scope) -> pl.DataFrame:
    return scope.wanted(reserves.in_zones(reserves.PRODUCTS), product="product", zone="zone")


def _summary(scope: Scope) -> pl.DataFrame:
    return scope.wanted(reserves.as_a_whole(reserves.SUMMARY_PRODUCTS), product="product")


def _blocks(scope: Scope, minutes: int) -> pl.DataFrame:
    blocks = prices.with_energy(clock.intervals([scope.day], minutes, scope.fault), scope.seed)
    return scope.wanted(blocks, interval="label")


def _once(
    found: Callable[[Scope], pl.DataFrame],
    priced: Priced,
    stage: Stage,
    minutes: int,
    published: Callable[[date], datetime],
    scope: Scope,
) -> Grid:
    """A market's ex-ante or ex-post prices, which come once."""
    if published(scope.day) > scope.now:
        raise NoData
    return Grid(_blocks(scope, minutes), found(scope), lambda cells: priced(cells, scope.seed, stage))


def _twice(found: Callable[[Scope], pl.DataFrame], five_minutes: Priced, hours: Priced, scope: Scope) -> Grid:
    """Ex-post prices of the real-time market: preliminary ones, and final ones some days later."""
    minutes = _MINUTES[scope.chosen("timeresolution", tuple(_MINUTES)) or "hourly"]
    stages: dict[Stage, Callable[[date], datetime]] = {"Preliminary": clock.next_morning, "Final": clock.final}
    asked = scope.chosen("preliminaryfinal", tuple(stages))
    there = [name for name, published in stages.items() if asked in (None, name) and published(scope.day) <= scope.now]
    blocks = [_blocks(scope, minutes).with_columns(stage=pl.lit(each)) for each in there]
    if not blocks:
        raise NoData
    priced = five_minutes if minutes == 5 else hours

    def filled(cells: pl.DataFrame) -> pl.DataFrame:
        return pl.concat(priced(cells.filter(pl.col("stage") == each), scope.seed, each) for each in there)

    return Grid(pl.concat(blocks), found(scope), filled)


def _nodes(scope: Scope) -> Grid:
    """The list of nodes on a day, of which there is one without asking for it: today's."""
    text = scope.options.get("date")
    try:
        day = date.fromisoformat(text) if text is not None else scope.now.date()
    except ValueError:
        raise BadArgument("date must be of the form yyyy-mm-dd") from None
    if not clock.known(day) or clock.day_ahead(day) > scope.now:
        raise NoData
    listed = scope.wanted(places.there(scope.places, day), node="node")
    listed = listed.with_columns(node_type=pl.col("type").replace_strict(_NODE_TYPES))
    return Grid(pl.DataFrame({"once": [0]}), listed, lambda cells: cells)


_INTERVAL = Field("interval", "text", "shown")
_TIME = Field("timeInterval", "json", "time_interval")
_STAGE = Field("preliminaryFinal", "text", "stage")
_NODE = Field("node", "text", "node")
_LMP = tuple(Field(name, "number", name, 2) for name in ("lmp", "mcc", "mec", "mlc"))
_MCP = (Field("product", "text", "product"), Field("zone", "text", "zone"), Field("mcp", "number", "mcp", 2))


def _resource(made: Callable[[Scope], Grid], fields: Sequence[Field], measure: str, word: str) -> Resource:
    return Resource(made, lambda _: fields, measure, word)


def _lmp(made: Callable[[Scope], Grid], *first: Field) -> Resource:
    return _resource(made, (*first, _NODE, *_LMP), "lmp", "node")


def _mcp(made: Callable[[Scope], Grid], fields: Sequence[Field]) -> Resource:
    return _resource(made, fields, "mcp", "product")


_BOTH = (_INTERVAL, _TIME)
RESOURCES = {
    **{
        f"day-ahead/lmp-{stage}": _lmp(partial(_once, _locations, prices.day_ahead, stage, 60, clock.day_ahead), *_BOTH)
        for stage in ("exante", "expost")
    },
    "real-time/lmp-exante": _lmp(
        partial(_once, _locations, prices.five_minutes, "exante", 5, clock.next_morning), *_BOTH
    ),
    "real-time/lmp-expost": _lmp(partial(_twice, _locations, prices.five_minutes, prices.hours), _TIME, _STAGE),
    **{
        f"day-ahead/asm-{stage}": _mcp(
            partial(_once, _zones, reserves.day_ahead, stage, 60, clock.day_ahead), (*_BOTH, *_MCP)
        )
        for stage in ("exante", "expost")
    },
    "real-time/asm-exante": _mcp(
        partial(_once, _zones, reserves.five_minutes, "exante", 5, clock.next_morning), (*_BOTH, *_MCP)
    ),
    "real-time/asm-expost": _mcp(
        partial(_twice, _zones, reserves.five_minutes, reserves.hours), (_STAGE, *_MCP, _TIME)
    ),
    "real-time/asm-summary": _mcp(
        partial(_twice, _summary, reserves.five_minutes, reserves.hours), (_STAGE, *_MCP, _TIME)
    ),
    "aggregated-pnode": _resource(_nodes, (_NODE, Field("nodeType", "text", "node_type")), "node", "nodeType"),
}
"""By path without the day."""
