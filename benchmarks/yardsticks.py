"""What our figures are held against. Each takes the path of the bytes and returns how many rows it made."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.frames import DAY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NEEDED = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "NODE", "MARKET_RUN_ID", "LMP_TYPE", "MW")


def aurum() -> Callable[[Path], int]:
    """Bytes to a canonical frame in which every row was validated."""
    import aurum_etl.decode  # noqa: F401 - the adapter loads it when it reads; imports are not what is measured
    from aurum_etl.adapters.caiso import CAISO, LMP_DAY_AHEAD
    from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
    from aurum_etl.normalize import normalize
    from aurum_etl.pipeline import with_lineage
    from aurum_etl.validate import rows_are_in_scope, validate
    from aurum_etl.window import market_day

    chunk = Chunk(LMP_DAY_AHEAD.key, Selection(ALL), market_day(DAY, LMP_DAY_AHEAD.timezone))

    def work(path: Path) -> int:
        normalized = normalize(CAISO.batches(LMP_DAY_AHEAD, path, path.name, 2**33), LMP_DAY_AHEAD)
        frame = with_lineage(normalized.frame, LMP_DAY_AHEAD.contract, chunk, datetime.now(UTC))
        return len(
            validate(frame, LMP_DAY_AHEAD.contract, [rows_are_in_scope(scope_of(chunk, LMP_DAY_AHEAD))]).accepted
        )

    return work


def gridstatus() -> Callable[[Path], int]:
    """Gridstatus's own parser on the same bytes: its HTTP answers from the file, and it does not sleep."""
    import pandas as pd
    from gridstatus import CAISO
    from gridstatus.caiso import caiso

    def work(path: Path) -> int:
        class Response:
            status_code = 200
            content = path.read_bytes()
            headers: dict[str, Any] = {"Content-Disposition": "inline; filename=x.zip"}

        caiso.requests.get = lambda *_, **__: Response
        start = pd.Timestamp(DAY, tz="US/Pacific")
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
