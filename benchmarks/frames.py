"""Seeded data for benchmarks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from aurum_etl.chunk import Scope

DAY = date(2026, 7, 14)


def caiso_day(folder: Path, nodes: int) -> Path:
    """One trade date of so many nodes as OASIS serves it: a zip of five csv members, 120 lines a node."""
    from aurum_etl.simulator.caiso import prices, wire
    from aurum_etl.simulator.zipped import zipped

    path = folder / "prc_lmp_all.zip"
    start, end = wire.trade_date(DAY)
    report, places = prices.REPORTS["PRC_LMP"], prices.nodes(nodes)
    members = prices.prices(report, places, start, end, 2024, "20260714_20260715_PRC_LMP_DAM_v12", None)
    path.write_bytes(zipped(members, datetime(2026, 7, 14, tzinfo=UTC)))
    return path


def lmp_day(folder: Path, nodes: int) -> Path:
    """The same day as an Arrow file of canonical rows, 24 a node, sorted by location and time."""
    import pyarrow as pa

    from aurum_etl.reading import read_to_frame

    table, path = read_to_frame("caiso_lmp", [caiso_day(folder, nodes)]).table, folder / "lmp.arrow"
    with pa.ipc.new_file(str(path), table.schema) as file:
        file.write_table(table)
    return path


def rows_of(path: str) -> pa.Table:
    """What such a file holds."""
    import pyarrow as pa

    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


def scope(days_on: int = 0) -> Scope:
    """All nodes of that market day, or of one so many days on."""
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
    from aurum_etl.window import market_day

    window = market_day(DAY + timedelta(days_on), LMP_DAY_AHEAD.timezone)
    return scope_of(Chunk(LMP_DAY_AHEAD.key, Selection(ALL), window), LMP_DAY_AHEAD)
