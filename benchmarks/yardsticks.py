"""What our figures are held against. Each takes the path of the bytes and returns how many rows it made."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.frames import DAY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NEEDED = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "NODE", "MARKET_RUN_ID", "LMP_TYPE", "MW")


def aurum() -> Callable[[Path], int]:
    """Bytes to a canonical frame in which every row was validated."""
    import aurum_etl.decode  # noqa: F401 - the adapter loads it when it reads; imports are not what is measured
    from aurum_etl.adapters.caiso import CAISO
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
    from aurum_etl.normalize import normalize
    from aurum_etl.pipeline import with_lineage
    from aurum_etl.validate import rows_are_in_scope, validate
    from aurum_etl.window import market_day

    chunk = Chunk(LMP_DAY_AHEAD.key, Selection(ALL), market_day(DAY, LMP_DAY_AHEAD.timezone))

    def work(path: Path) -> int:
        report = LMP_DAY_AHEAD.feed.reports[0]
        normalized = normalize(CAISO.batches(report, path, path.name, 2**33), LMP_DAY_AHEAD, report)
        frame = with_lineage(normalized.frame, LMP_DAY_AHEAD.contract, chunk, datetime.now(UTC))
        checks = [*LMP_DAY_AHEAD.checks, rows_are_in_scope(scope_of(chunk, LMP_DAY_AHEAD))]
        return len(validate(frame, LMP_DAY_AHEAD.contract, checks).accepted)

    return work


def gridstatus() -> Callable[[Path], int]:
    """What gridstatus makes of the same bytes, by its own parser: its HTTP answers from the file, and it does not sleep."""
    from unittest.mock import patch

    import pandas as pd
    import requests
    from gridstatus import CAISO

    def work(path: Path) -> int:
        response = requests.Response()
        response.status_code = 200
        response.headers["Content-Disposition"] = "inline; filename=x.zip"
        response._content = path.read_bytes()
        start = pd.Timestamp(DAY, tz="US/Pacific")
        with patch("requests.get", return_value=response):
            return len(CAISO().get_lmp_day_ahead_hourly(date=start, sleep=0))

    return work


def plain_scan() -> Callable[[Path], int]:
    """The floor: inflate with the standard library, and scan the needed columns, without making anything of them."""
    import polars as pl

    def work(path: Path) -> int:
        with zipfile.ZipFile(path) as archive:
            return sum(len(pl.read_csv(archive.read(name), columns=list(_NEEDED))) for name in archive.namelist())

    return work


CONTENDERS: dict[str, Callable[[], Callable[[Path], int]]] = {
    "aurum": aurum,
    "gridstatus": gridstatus,
    "plain_scan": plain_scan,
}
