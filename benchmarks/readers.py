"""Contenders that read recorded answers of an ISO. Each takes the folder of the recording and returns how many rows it made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.recordings import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aurum_etl.adapters.base import Fetched

_MAX_BYTES = 2**33
_Answers = list[dict[str, Any]]
_Peer = Callable[[_Answers], Any]
_ABOVE = {"miso": 4}
"""Lines above the header of a csv."""


def ours(name: str) -> Callable[[Path], int]:
    """Bytes to a canonical frame in which every row was validated, by the steps of a replayed run."""
    # The adapter and the pipeline load them when they use them; imports are not what is measured.
    import aurum_etl.decode
    import aurum_etl.normalize  # noqa: F401
    from aurum_etl import adapters, telemetry
    from aurum_etl.adapters.base import fetch, read_files
    from aurum_etl.archive import Archive
    from aurum_etl.download import Replay
    from aurum_etl.pipeline import normalized_of, with_lineage
    from aurum_etl.validate import validate

    telemetry.configure("warning", as_json=False)
    case = CASES[name]
    dataset, chunk = case.dataset, case.chunk
    adapter = adapters.adapter(dataset.iso)

    def fetched(folder: Path) -> Fetched:
        if case.form:
            bodies = [each["body"] for each in _answers(folder) if not each["beside"]]
            return read_files(adapter, dataset, bodies, _MAX_BYTES)
        source = Replay(Archive(folder), simulated=True, manners=adapter.manners, max_bytes=10**10)
        return fetch(adapter, dataset, chunk, source, _MAX_BYTES)

    def work(folder: Path) -> int:
        normalized = normalized_of(fetched(folder), dataset)
        frame = with_lineage(normalized.frame, dataset.contract, chunk, datetime.now(UTC))
        # Rows of neighboring days stay: the peer keeps them too.
        verdict = validate(frame, dataset.contract, dataset.checks)
        return len(verdict.accepted)

    return work


def plain(name: str) -> Callable[[Path], int]:
    """The floor: inflate with the standard library, and parse all columns, without making anything of them."""
    import orjson
    import polars as pl

    def rows_of(content: bytes) -> int:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return sum(rows_of(archive.read(each)) for each in archive.namelist())
        if content[:1] in b"{[":
            return _longest(orjson.loads(content))
        # The line below the rows of one of them has fewer cells.
        return len(
            pl.read_csv(content, skip_lines=_ABOVE.get(name, 0), infer_schema_length=1_000, truncate_ragged_lines=True)
        )

    def work(folder: Path) -> int:
        return sum(rows_of(each["body"].read_bytes()) for each in _answers(folder) if not each["beside"])

    return work


def gridstatus(name: str) -> Callable[[Path], int]:
    """What gridstatus makes of the same bytes, by its own parser; what it asks for beside them, is given at once."""
    work = _PEERS[name]()

    def read(folder: Path) -> int:
        answers = _answers(folder)
        with _answered(answers):
            return len(work(answers))

    return read


def _longest(document: Any) -> int:
    """How many rows a page of json has: the length of its longest list."""
    if isinstance(document, list):
        return len(document)
    return max((_longest(each) for each in document.values() if isinstance(each, (list, dict))), default=0)


def _answers(folder: Path) -> _Answers:
    """What was recorded: `question`, `body`, and `beside` where the peer alone asks for it."""
    recorded: _Answers = json.loads((folder / "answers.json").read_text())
    return [{**each, "body": folder / each["body"]} for each in recorded]


@contextmanager
def _answered(answers: _Answers) -> Iterator[None]:
    """The peer's HTTP gets the recorded answers: a file by its name, a page by its feed and first row."""
    import pandas as pd
    import requests

    plain_read = pd.read_csv

    def body(*words: str) -> Path:
        return next(Path(each["body"]) for each in answers if all(word in each["question"] for word in words))

    def read_csv(source: Any, **options: Any) -> Any:
        if isinstance(source, str):
            file = source.rsplit("/", 1)[-1].rsplit("=", 1)[-1]
            # MISO's nodes have the kinds of the recorded day, not of the one that the peer would ask for: today.
            source = body(file[8:] if file.endswith("_da_expost_lmp.csv") else file)
        return plain_read(source, **options)

    def get(url: str, *, params: Any = None, **_: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        page = [f"startRow={params['startRow']}"] if params else []
        response._content = body(url.rsplit("/api/v1/", 1)[-1], *page).read_bytes()
        return response

    with ExitStack() as patches:
        patches.enter_context(patch("pandas.read_csv", read_csv))
        patches.enter_context(patch("requests.get", get))
        yield


def _miso() -> _Peer:
    from gridstatus import MISO

    return lambda _: MISO().get_lmp_real_time_5_min_final(CASES["miso"].day.isoformat())


def _pjm() -> _Peer:
    from gridstatus import PJM

    return lambda _: PJM(api_key="none").get_lmp_real_time_5_min(CASES["pjm"].day.isoformat())


def _pjm_csv() -> _Peer:
    from gridstatus import PJM

    # It asks for json alone, and makes the same rows of that.
    return lambda _: PJM(api_key="none").get_lmp_real_time_hourly(CASES["pjm_csv"].day.isoformat())


def _isone() -> _Peer:
    import pandas as pd
    from gridstatus.isone_api.isone_api import ISONEAPI

    def work(_: _Answers) -> Any:
        with patch.dict("os.environ", {"ISONE_API_USERNAME": "none", "ISONE_API_PASSWORD": "none"}):
            peer = ISONEAPI(sleep_seconds=0)
        day = f"fiveminutelmp/final/day/{CASES['isone'].day:%Y%m%d}/starthour"
        # By itself it asks for the first hour of the day alone.
        return pd.concat(
            peer._handle_lmp_real_time(f"{day}/{hour:02d}", interval_minutes=5) for hour in range(24)
        ).sort_values(["Interval Start", "Location"])

    return work


def _ercot() -> _Peer:
    import pandas as pd
    from gridstatus import Ercot
    from gridstatus.ercot import Document

    def work(answers: _Answers) -> Any:
        now = pd.Timestamp.now("US/Central")
        peer = Ercot()
        nodes = pd.DataFrame({"RESOURCE_NODE": pd.Series([], dtype=str)})
        document: Any = Document
        bulks = [zipfile.ZipFile(each["body"]) for each in answers if each["question"].endswith("/download")]
        documents = [
            document(io.BytesIO(bulk.read(name)), now, name, name, now) for bulk in bulks for name in bulk.namelist()
        ]
        with patch.object(peer, "_get_settlement_point_mapping", return_value=nodes):
            return peer._handle_lmp(documents)

    return work


def _spp() -> _Peer:
    from gridstatus import SPP

    return lambda _: SPP().get_lmp_real_time_5_min_by_location(CASES["spp"].day.isoformat(), use_daily_files=True)


_PEERS: dict[str, Callable[[], _Peer]] = {
    "miso": _miso,
    "pjm": _pjm,
    "pjm_csv": _pjm_csv,
    "isone": _isone,
    "ercot": _ercot,
    "spp": _spp,
}
READERS: dict[str, Callable[[], Callable[[Path], int]]] = {
    f"{name} {each.__name__}": partial(each, name) for name in _PEERS for each in (ours, gridstatus, plain)
}
