"""The price feeds. Day-ahead prices add up as printed; real-time ones are means of twelve and do not always.

Recorded real-time rows: the energy price of an hour is rounded to cents, its total is not; at buses everything is.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.invented import energy_prices, mixed
from aurum_etl.simulator.pjm import clock
from aurum_etl.simulator.pjm.feed import Archive, Feed, Grid, Scope
from aurum_etl.simulator.pjm.query import Refused
from aurum_etl.simulator.pjm.wire import Column, stamps

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.simulator.pjm.feed import Table

_CENT = 10_000
"""Prices are integers of 0.000001 USD/MWh."""
_REVISED_DAY = 5
"""The fifth of every month is corrected, three days later."""
_CORRECTED_AFTER = timedelta(days=4)
_PARTS = 12
_KEPT_FILTERS = frozenset({"type", "row_is_current", "version_nbr"})
_UNVERIFIED_DAYS = 30


def _energy_cents(seed: int, number: pl.Expr) -> pl.Expr:
    """Energy price of an interval: near that of its hour, and zero rather than almost zero."""
    cents = pl.col("hour_price") // 1000 + (mixed(number, seed) % 401).cast(pl.Int64) - 200
    return pl.when(cents.abs() <= 150).then(0).otherwise(cents)


def _with_hour_prices(blocks: pl.DataFrame, seed: int) -> pl.DataFrame:
    hours = blocks.select(hour=clock.epoch("datetime_beginning_utc", 3600)).unique(maintain_order=True)
    local = hours.select(clock.eastern(pl.from_epoch(pl.col("hour") * 3600))).to_series()
    days = zip(local.dt.ordinal_day(), local.dt.hour(), strict=True)
    prices = energy_prices(list(days), hours.get_column("hour").to_list(), seed)
    hours = hours.with_columns(hour_price=pl.Series(prices, dtype=pl.Int64))
    return blocks.with_columns(hour=clock.epoch("datetime_beginning_utc", 3600)).join(
        hours, on="hour", how="left", maintain_order="left"
    )


def _congestion(seed: int, number: pl.Expr, energy: pl.Expr) -> pl.Expr:
    """Congestion of an interval: a level of the hour and some wandering.

    None at all in every twelfth hour, and where energy costs nothing, so that there are prices of exactly zero.
    """
    node = pl.col("pnode_id").cast(pl.UInt64) * 2**32
    level = (mixed(node + pl.col("hour").cast(pl.UInt64), seed + 2) % 18_000_000).cast(pl.Int64) - 8_000_000
    wandering = (mixed(node + number.cast(pl.UInt64), seed + 3) % 2_000_001).cast(pl.Int64) - 1_000_000
    free = (mixed(pl.col("hour"), seed + 4) % 12 == 0) | (energy == 0)
    return pl.when(free).then(0).otherwise(level + wandering)


def _loss(seed: int, energy: pl.Expr) -> pl.Expr:
    share = (mixed(pl.col("pnode_id"), seed) % 901).cast(pl.Int64) - 400
    return energy * share // 10_000


def _at_cents(value: pl.Expr) -> pl.Expr:
    """Buses have whole cents, aggregates all six places."""
    return pl.when("is_bus").then((value + _CENT // 2) // _CENT * _CENT).otherwise(value)


def _mean(total: pl.Expr, unit: int = 1) -> pl.Expr:
    """A twelfth of a sum in whole units, halves up."""
    return (2 * total + _PARTS * unit) // (2 * _PARTS * unit) * unit


def _day_ahead(seed: int, cells: pl.DataFrame) -> pl.DataFrame:
    return (
        cells.with_columns(energy=_energy_cents(seed + 1, pl.col("hour")) * _CENT)
        .with_columns(
            congestion_price_da=_congestion(seed + 1, pl.col("hour"), pl.col("energy")),
            marginal_loss_price_da=_loss(seed + 1, pl.col("energy")),
        )
        .with_columns(
            system_energy_price_da=pl.col("energy") // _CENT,
            total_lmp_da=pl.col("energy") + pl.col("congestion_price_da") + pl.col("marginal_loss_price_da"),
        )
    )


def _five_minutes(seed: int, cells: pl.DataFrame, *, verified: bool) -> pl.DataFrame:
    number = clock.epoch("datetime_beginning_utc", 300)
    return (
        cells.with_columns(system_energy_price_rt=_energy_cents(seed, number) * _CENT)
        .with_columns(
            congestion=_congestion(seed, number, pl.col("system_energy_price_rt"))
            + (0 if verified else _later_corrected(seed, number)),
            loss=_loss(seed, pl.col("system_energy_price_rt")),
        )
        .with_columns(
            total_lmp_rt=_at_cents(pl.col("system_energy_price_rt") + pl.col("congestion") + pl.col("loss")),
            congestion_price_rt=_at_cents(pl.col("congestion")),
            marginal_loss_price_rt=_at_cents(pl.col("loss")),
            occ_check=pl.lit(value=True),
            ref_caseid_used_multi_interval=number % 7 == 0,
        )
    )


def _hours(seed: int, cells: pl.DataFrame, *, verified: bool) -> pl.DataFrame:
    """Means of the hour's twelve intervals."""
    energy, congestion, loss = [], [], []
    for part in range(_PARTS):
        number = pl.col("hour") * _PARTS + part
        energy.append(_energy_cents(seed, number) * _CENT)
        congestion.append(_congestion(seed, number, energy[-1]) + (0 if verified else _later_corrected(seed, number)))
        loss.append(_loss(seed, energy[-1]))
    sums = cells.with_columns(
        energy=pl.sum_horizontal(energy), congestion=pl.sum_horizontal(congestion), loss=pl.sum_horizontal(loss)
    )
    if verified:
        sums = sums.with_columns(congestion=pl.col("congestion") + _before_correction(seed))
    return sums.with_columns(
        system_energy_price_rt=_mean(pl.col("energy"), _CENT),
        congestion_price_rt=_at_cents(_mean(pl.col("congestion"))),
        marginal_loss_price_rt=_at_cents(_mean(pl.col("loss"))),
        total_lmp_rt=_at_cents(_mean(pl.col("energy") + pl.col("congestion") + pl.col("loss"))),
    )


def _later_corrected(seed: int, number: pl.Expr) -> pl.Expr:
    """What is wrong with every tenth unverified price."""
    chance = mixed(pl.col("pnode_id").cast(pl.UInt64) * 2**32 + number.cast(pl.UInt64), seed + 5)
    return pl.when(chance % 10 == 0).then((chance // 16 % 500_001).cast(pl.Int64) - 250_000).otherwise(0)


def _before_correction(seed: int) -> pl.Expr:
    """What is wrong with version 1 of a day that is corrected: its evening; the other hours come again as they were."""
    chance = mixed(pl.col("pnode_id").cast(pl.UInt64) * 2**32 + pl.col("hour").cast(pl.UInt64), seed + 6)
    return (
        pl.when((pl.col("version_nbr") == 1) & _revised() & (pl.col("datetime_beginning_ept").dt.hour() >= 20))
        .then((chance % 60_000_000).cast(pl.Int64) - 45_000_000)
        .otherwise(0)
    )


def _revised() -> pl.Expr:
    return pl.col("datetime_beginning_ept").dt.day() == _REVISED_DAY


def _blocks(scope: Scope, minutes: int, *, revisions: bool) -> pl.DataFrame:
    """The intervals; those of corrected days twice, the older version first and no longer current."""
    starts = clock.starts(scope.spans["datetime_beginning"], minutes)
    day = pl.col("datetime_beginning_ept").dt.truncate("1d")
    corrected = _revised() & (day + _CORRECTED_AFTER <= clock.wall(scope.now)) if revisions else pl.lit(value=False)
    first = starts.with_columns(row_is_current=~corrected, version_nbr=pl.lit(1, pl.Int64))
    if revisions:
        second = starts.filter(corrected).with_columns(row_is_current=True, version_nbr=pl.lit(2, pl.Int64))
        first = pl.concat([first, second]).sort("datetime_beginning_utc", "version_nbr")
    return scope.wanted(first)


def _grid(
    minutes: int, filled: Callable[[int, pl.DataFrame], pl.DataFrame], base: int, scope: Scope, *, revisions: bool
) -> Table:
    blocks = _with_hour_prices(_blocks(scope, minutes, revisions=revisions), scope.seed + base)
    for each in scope.conditions:
        if each.column not in (*blocks.columns, *scope.nodes.columns):
            raise Refused(each.column, f"{each.column} is not filterable.")
    return Grid(blocks, scope.wanted(scope.nodes), partial(filled, scope.seed))


def _columns(suffix: str, energy_digits: int) -> tuple[Column, ...]:
    return (
        *stamps("datetime_beginning"),
        Column("pnode_id", "whole"),
        Column("pnode_name", "text"),
        Column("voltage", "text"),
        Column("equipment", "text"),
        Column("type", "text"),
        Column("zone", "text"),
        Column(f"system_energy_price_{suffix}", "decimal", energy_digits),
        *_totals(suffix),
        Column("row_is_current", "flag"),
        Column("version_nbr", "whole"),
    )


def _totals(suffix: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"{name}_{suffix}", "decimal", 6) for name in ("total_lmp", "congestion_price", "marginal_loss_price")
    )


FEEDS = (
    Feed(
        "da_hrl_lmps",
        _columns("da", 2),
        partial(_grid, 60, _day_ahead, 1, revisions=False),
        clock.day_ahead,
        measure="total_lmp_da",
        word="type",
        oldest=date(2000, 6, 1),
        archive=Archive(731, _KEPT_FILTERS),
    ),
    Feed(
        "rt_hrl_lmps",
        _columns("rt", 6),
        partial(_grid, 60, partial(_hours, verified=True), 0, revisions=True),
        clock.next_business_day,
        measure="total_lmp_rt",
        word="type",
        oldest=date(2000, 1, 1),
        archive=Archive(731, _KEPT_FILTERS),
    ),
    Feed(
        "rt_fivemin_hrl_lmps",
        _columns("rt", 6),
        partial(_grid, 5, partial(_five_minutes, verified=True), 0, revisions=False),
        clock.after(timedelta(minutes=30)),
        measure="total_lmp_rt",
        word="type",
        oldest=date(2000, 1, 1),
        archive=Archive(186, _KEPT_FILTERS - {"type"}),
    ),
    Feed(
        "rt_unverified_fivemin_lmps",
        (
            *stamps("datetime_beginning"),
            Column("pnode_id", "whole"),
            Column("pnode_name", "text"),
            Column("type", "text"),
            *_totals("rt"),
            Column("occ_check", "flag"),
            Column("ref_caseid_used_multi_interval", "flag"),
        ),
        partial(_grid, 5, partial(_five_minutes, verified=False), 0, revisions=False),
        clock.after(timedelta(minutes=2)),
        measure="total_lmp_rt",
        word="type",
        kept_days=_UNVERIFIED_DAYS,
    ),
    Feed(
        "rt_unverified_hrl_lmps",
        (*stamps("datetime_beginning"), Column("pnode_name", "text"), Column("type", "text"), *_totals("rt")),
        partial(_grid, 60, partial(_hours, verified=False), 0, revisions=False),
        clock.after(timedelta(minutes=70)),
        measure="total_lmp_rt",
        word="type",
        kept_days=_UNVERIFIED_DAYS,
    ),
)
