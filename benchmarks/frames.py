"""Seeded data for benchmarks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

DAY = date(2026, 7, 14)
NODES = 16_000


def caiso_day(folder: Path) -> Path:
    """One trade date of all nodes as OASIS serves it: a zip of five csv members, 1.92 million lines."""
    from aurum_etl.simulator.caiso import prices, wire
    from aurum_etl.simulator.zipped import zipped

    path = folder / "prc_lmp_all.zip"
    start, end = wire.trade_date(DAY)
    report, nodes = prices.REPORTS["PRC_LMP"], prices.nodes(NODES)
    members = prices.prices(report, nodes, start, end, 2024, "20260714_20260715_PRC_LMP_DAM_v12", None)
    path.write_bytes(zipped(members, datetime(2026, 7, 14, tzinfo=UTC)))
    return path


def lmp_day(folder: Path) -> pa.Table:
    """The same day as a canonical table: 384,000 rows, sorted by location and time."""
    from aurum_etl.reading import read_to_frame

    return read_to_frame("caiso_lmp", [caiso_day(folder)]).table
