"""The market reports: files whose names say the day and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from aurum_etl.simulator.miso import clock, places, prices, reserves
from aurum_etl.simulator.miso.wire import NoSuchFile, short_text
from aurum_etl.simulator.zipped import zipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurum_etl.simulator.miso.prices import Priced, Stage

_NAME = re.compile(r"(\d{8})_(\w+\.\w+)")
_ZONE_NOTE = "All Hours-Ending are Eastern Standard Time (EST)"
_GENERATORS = {"GENREGMCP": "Regulation", "GENSPINMCP": "Spin", "GENSUPPMCP": "Supplemental"}
_DEMAND = {"DEMREGMCP": "Regulation", "DEMSPINMCP": "Spin", "DEMSUPPMCP": "Supplemental"}
_SYSTEM = {**_DEMAND, **_GENERATORS, "SERREGMCP": "SER"}
_ALL_PRODUCTS = (*_GENERATORS.values(), "SER")
_WEEK = 7


@dataclass(frozen=True, slots=True)
class _Making:
    """What a file is made from."""

    seed: int
    day: date
    places: pl.DataFrame
    now: datetime
    fault: str | None

    @property
    def hours(self) -> pl.DataFrame:
        """The hours of the day with their energy prices; none of the faults of time is in them yet."""
        return prices.with_energy(clock.intervals([self.day], 60), self.seed)

    def headed(self, first: str, words: str) -> str:
        """Names of columns: some, and those of the hours, which the faults of time hit."""
        hours = [f"{words}{hour}" for hour in range(1, 25)]
        if self.fault == "off_grid":
            hours[0] += ":07"
        if self.fault == "missing_hour":
            hours = hours[1:]
        return ",".join([f"{first}_new" if self.fault == "wrong_header" else first, *hours])

    def lines(self, rows: pl.DataFrame, word: str) -> str:
        """The rows as text: `head`, the `word` and the hours' cells joined; with what else faults do."""
        if self.fault == "missing_hour":
            rows = rows.with_columns(pl.col("cells").list.slice(1))
        if self.fault == "duplicate_rows":
            rows = pl.concat([rows, rows.head(3)])
        if self.fault == "unknown_word":
            rows = pl.concat([rows, rows.head(1).with_columns(pl.lit("XYZ").alias(word))])
        text = pl.concat_str("head", word, pl.col("cells").list.join(","), separator=",").str.join("\n")
        made = str(rows.select(text).item())
        return _spoilt(made) if self.fault == "text_in_number" else made


def _spoilt(lines: str) -> str:
    """With a word for the last number of the first line."""
    first, end, rest = lines.partition("\n")
    return f"{first.rpartition(',')[0]},n/a{end}{rest}"


def _lmp(title: str, priced: Priced, stage: Stage, making: _Making) -> bytes:
    """Hours across; first the prices of all nodes, then their congestion, then their losses."""
    listed = places.there(making.places, making.day)
    cells = priced(listed.join(making.hours, how="cross", maintain_order="left_right"), making.seed, stage)
    texts = cells.select(
        "node", "type", *(short_text(pl.col(each)).fill_null("").alias(each) for each in ("lmp", "mcc", "mlc"))
    )
    wide = texts.group_by("node", "type", maintain_order=True).agg("lmp", "mcc", "mlc")
    rows = pl.concat(
        wide.select(head=pl.concat_str("node", "type", separator=","), value=pl.lit(each.upper()), cells=each)
        for each in ("lmp", "mcc", "mlc")
    )
    above = f"{title}\n{making.day:%m/%d/%Y}\n\n,,,{_ZONE_NOTE}\n"
    return f"{above}{making.headed('Node,Type,Value', 'HE ')}\n{making.lines(rows, 'value')}\n".encode()


def _mcp(title: str, whole: str, priced: Priced, stage: Stage, making: _Making) -> bytes:
    """Hours across; first the prices of MISO as a whole, then those of every resource, which are its zone's."""
    zones = pl.concat([reserves.as_a_whole(_ALL_PRODUCTS), reserves.in_zones(_ALL_PRODUCTS)])
    cells = priced(zones.join(making.hours, how="cross", maintain_order="left_right"), making.seed, stage)
    wide = (
        cells.with_columns(cells=short_text(pl.col("mcp")))
        .group_by("zone_number", "product", maintain_order=True)
        .agg("cells")
    )
    resources = places.there(making.places, making.day).filter(pl.col("type") == "Gennode")
    is_demand = pl.col("place") % 10 == 6
    kinds = pl.DataFrame(
        [
            (*each, is_generator)
            for kind, is_generator in ((_GENERATORS, True), (_DEMAND, False))
            for each in kind.items()
        ],
        schema=["kind", "product", "is_generator"],
        orient="row",
    )
    named = resources.with_columns(is_generator=~is_demand).join(kinds, on="is_generator", maintain_order="left_right")
    system = pl.DataFrame(list(_SYSTEM.items()), schema=["kind", "product"], orient="row").with_columns(
        head=pl.lit(f"{whole},-"), zone_number=pl.lit(0, pl.Int64)
    )
    heads = named.with_columns(head=pl.format("{},Zone {}", "node", "zone_number"))
    chosen = ["head", "kind", "product", "zone_number"]
    rows = pl.concat([system.select(chosen), heads.select(chosen)]).join(
        wide, on=["zone_number", "product"], how="left", maintain_order="left"
    )
    above = f"{title}\n\n{making.day:%m/%d/%Y},,{_ZONE_NOTE}\n\n"
    lines = making.lines(rows.select("head", "kind", "cells"), "kind")
    return f"{above}{making.headed(',,MCP Type', ' HE ')}\n{lines}\n".encode()


def _week(making: _Making) -> bytes:
    """Final five-minute prices of a week that ended a week ago, in a zip."""
    days = [making.day + timedelta(number) for number in range(_WEEK)]
    header = "MKTHOUR_EST,PNODENAME,LMP,CON_LMP,LOSS_LMP"
    if making.fault == "wrong_header":
        header = header.replace("LMP,CON", "LMP_new,CON")
    above = (
        f"Real-Time 5-Min LMPs\n{days[0]:%m/%d/%Y} - {days[-1]:%m/%d/%Y}\n\n"
        "All stamps are Eastern Standard Time (EST)\n"
    )
    parts = [f"{above}{header}\n".encode()]
    for day in days:
        parts += [_five_minutes(making, day, making.fault if day == making.day else None).encode(), b"\n"]
    parts.append(b"Simulated.\n")
    name = f"{making.day + timedelta(2 * _WEEK):%Y%m%d}_5MIN_LMP.csv"
    return zipped([(name, b"".join(parts))], making.now)


def _five_minutes(making: _Making, day: date, fault: str | None) -> str:
    intervals = prices.with_energy(clock.intervals([day], 5, fault), making.seed).with_columns(
        stamp=pl.col("start").dt.to_string("%m/%d/%Y %H:%M")
    )
    cells = intervals.join(places.there(making.places, day), how="cross", maintain_order="left_right")
    rows = prices.five_minutes(cells, making.seed, "Final").select("stamp", "node", "lmp", "mcc", "mlc")
    if fault == "duplicate_rows":
        rows = pl.concat([rows, rows.head(3)])
    if fault == "unknown_word":
        rows = pl.concat([rows, rows.head(1).with_columns(node=pl.lit("XYZ"))])
    texts = [short_text(pl.col(each)).fill_null("") for each in ("lmp", "mcc", "mlc")]
    lines = str(rows.select(pl.concat_str("stamp", "node", *texts, separator=",").str.join("\n")).item())
    return _spoilt(lines) if fault == "text_in_number" else lines


_REAL_TIME_TITLE = "Real Time Market MCPs.,Not settlement quality data."
_DAY_AHEAD_TITLE = "Dayahead Market MCPs."
_DAY_AHEAD = {
    "da_expost_lmp.csv": partial(_lmp, "Day Ahead Market ExPost LMPs", prices.day_ahead, "expost"),
    "da_exante_lmp.csv": partial(_lmp, "Day Ahead Market ExAnte LMPs", prices.day_ahead, "exante"),
    "asm_expost_damcp.csv": partial(_mcp, _DAY_AHEAD_TITLE, "MISO Wide", reserves.day_ahead, "expost"),
    "asm_exante_damcp.csv": partial(_mcp, _DAY_AHEAD_TITLE, "MISO Wide", reserves.day_ahead, "exante"),
}
_PRELIMINARY = {
    "rt_lmp_prelim.csv": partial(_lmp, "Realtime Market LMPs", prices.hours, "Preliminary"),
    "asm_rtmcp_prelim.csv": partial(_mcp, _REAL_TIME_TITLE, "Miso-Wide", reserves.hours, "Preliminary"),
}
_FINAL = {
    "rt_lmp_final.csv": partial(_lmp, "Realtime Market LMPs", prices.hours, "Final"),
    "asm_rtmcp_final.csv": partial(_mcp, _REAL_TIME_TITLE, "Miso-Wide", reserves.hours, "Final"),
}
_WEEKLY = "5MIN_LMP.zip"


def report(name: str, seed: int, nodes: pl.DataFrame, now: datetime) -> Callable[[str | None], bytes]:
    """What makes the file of that name, with a fault or without, if it is there at that time."""
    parts = _NAME.fullmatch(name)
    try:
        if parts is None:
            raise NoSuchFile
        day = datetime.strptime(parts[1], "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        raise NoSuchFile from None
    made = _there(parts[2], day, now)
    if made is None:
        raise NoSuchFile
    first = day - timedelta(2 * _WEEK) if parts[2] == _WEEKLY else day
    return lambda fault: made(_Making(seed, first, nodes, now, fault))


def _there(kind: str, day: date, now: datetime) -> Callable[[_Making], bytes] | None:
    if not clock.file_kept(day, now):
        return None
    if kind == _WEEKLY:
        # It comes on the Monday that is in its name, with the week before the last.
        return _week if day.weekday() == 0 and clock.at(day, 0, 6) <= now else None
    if clock.preliminary_kept(day, now) and kind in _PRELIMINARY:
        return _PRELIMINARY[kind]
    if clock.final(day) <= now and kind in _FINAL:
        return _FINAL[kind]
    return _DAY_AHEAD.get(kind) if clock.day_ahead_file(day) <= now else None
