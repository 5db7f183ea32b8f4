"""Bytes as an operator answered them to a canonical frame in which every row was validated."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.frames import DAY, caiso_day
from benchmarks.race import Contender, Race, Ratio
from benchmarks.readers import READERS
from benchmarks.recordings import CASES, record, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.race import Ground, Turn

_NEEDED = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "NODE", "MARKET_RUN_ID", "LMP_TYPE", "MW")
_COMPONENTS = 5
"""Lines of a CAISO day that become one row."""


def races(ground: Ground) -> Iterator[Race]:
    """A day-ahead day of CAISO, then the largest dataset of each of the others."""
    day = caiso_day(ground.made("caiso"), 16_000 if ground.full else 4_000)

    yield Race(
        "CAISO day-ahead day, zip → frame",
        [Contender(each, f"benchmarks.parse:{each}", {"path": str(day)}) for each in ("aurum", "gridstatus", "scan")],
        [
            Ratio("aurum", "gridstatus", at_least=10),
            Ratio("aurum", "gridstatus", at_most=0.5, of="peak_mb"),
            Ratio("aurum", "scan", at_most=2),
        ],
        constants=partial(_constants, "caiso", "aurum", day.stat().st_size),
    )
    for name, case in CASES.items():
        folder = ground.made(name)
        record(name, folder, share=1.0 if ground.full else 0.25)
        yield Race(
            f"{case.key} ({case.form or case.feed}) → frame",
            [
                Contender(each, "benchmarks.parse:recorded", {"reader": f"{name} {each}", "folder": str(folder)})
                for each in ("ours", "gridstatus", "plain")
            ],
            [
                Ratio("ours", "gridstatus", at_least=10),
                Ratio("ours", "gridstatus", at_most=0.5, of="peak_mb"),
                Ratio("ours", "plain", at_most=2),
            ],
            # The floor counts lines, of which some are no rows.
            same_rows=False,
            constants=partial(_constants, name, "ours", size_of(folder)),
        )


def _constants(iso: str, ours: str, received: int, turns: Mapping[str, Turn]) -> Mapping[str, float]:
    turn = turns[ours]
    return {
        f"{iso}_parse_rows_per_second": turn["rows"] / turn["seconds"],
        f"{iso}_archive_bytes_per_row": received / turn["rows"],
    }


def recorded(reader: str, folder: str) -> Callable[[], int]:
    """Whoever reads recorded answers; see `readers.py`."""
    work = READERS[reader]()
    return lambda: work(Path(folder))


def aurum(path: str) -> Callable[[], int]:
    """The steps of a run, from the bytes to the rows that would be staged."""
    import aurum_etl.decode  # noqa: F401 - the adapter loads it when it reads; imports are not what is measured
    from aurum_etl import telemetry
    from aurum_etl.adapters.caiso import CAISO
    from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
    from aurum_etl.chunk import ALL, Chunk, Selection, scope_of
    from aurum_etl.normalize import normalize
    from aurum_etl.pipeline import with_lineage
    from aurum_etl.validate import rows_are_in_scope, validate
    from aurum_etl.window import market_day

    telemetry.configure("warning", as_json=False)
    chunk = Chunk(LMP_DAY_AHEAD.key, Selection(ALL), market_day(DAY, LMP_DAY_AHEAD.timezone))

    def work() -> int:
        report = LMP_DAY_AHEAD.feed.reports[0]
        normalized = normalize(CAISO.batches(report, Path(path), Path(path).name, 2**33), LMP_DAY_AHEAD, report)
        frame = with_lineage(normalized.frame, LMP_DAY_AHEAD.contract, chunk, datetime.now(UTC))
        checks = [*LMP_DAY_AHEAD.checks, rows_are_in_scope(scope_of(chunk, LMP_DAY_AHEAD))]
        return len(validate(frame, LMP_DAY_AHEAD.contract, checks).accepted)

    return work


def gridstatus(path: str) -> Callable[[], int]:
    """What gridstatus makes of the same bytes, by its own parser: its HTTP answers from the file, and it does not sleep."""
    from unittest.mock import patch

    import pandas as pd
    import requests
    from gridstatus import CAISO

    def work() -> int:
        response = requests.Response()
        response.status_code = 200
        response.headers["Content-Disposition"] = "inline; filename=x.zip"
        response._content = Path(path).read_bytes()
        start = pd.Timestamp(DAY, tz="US/Pacific")
        with patch("requests.get", return_value=response):
            return len(CAISO().get_lmp_day_ahead_hourly(date=start, sleep=0))

    return work


def scan(path: str) -> Callable[[], int]:
    """The floor: inflate with the standard library, and scan the needed columns, without making anything of them."""
    import polars as pl

    def work() -> int:
        with zipfile.ZipFile(path) as archive:
            lines = sum(len(pl.read_csv(archive.read(name), columns=list(_NEEDED))) for name in archive.namelist())
        return lines // _COMPONENTS

    return work
