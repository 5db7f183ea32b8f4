"""What the store of receipts has lost is done again; what it still has is not."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aurum_etl.errors import WatermarkError
from aurum_etl.watermarks import Store
from tests.crash.home import ROOT, Home
from tests.test_watermarks import day, receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_receipts_that_are_lost_are_brought_again(home: Callable[..., Home], tmp_path: Path) -> None:
    """The file as it was after so many receipts comes back when everything is done, as after a power cut."""
    at = home("iceberg", "timescale", "kafka", concurrent=1)
    kept = 2
    job = at.child("--kill", "receipt noted", "--nth", kept, code=-signal.SIGKILL)
    path = at.store.path
    shutil.copy(path, tmp_path / "old")
    at.goes_on(job)
    assert len(at.settled()) == at.days
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    shutil.copy(tmp_path / "old", path)
    asked = sum(at.asked().values())
    assert len(at.settled()) == kept
    at.goes_on(job)
    at.assert_one_copy(job, kills=2)
    assert sum(at.asked().values()) - asked == at.days - kept


WRITER = """
import os
from pathlib import Path
from aurum_etl.watermarks import Store, insert
from tests.test_watermarks import day, receipt
store = Store(Path({path!r}))
store.append(receipt(day(0)))
import duckdb
connection = duckdb.connect({path!r})
connection.execute("pragma disable_checkpoint_on_shutdown")
for number in (1, 2, 3):
    connection.begin()
    insert(connection, [receipt(day(number))])
    connection.commit()
os._exit(0)
"""


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A store whose last three receipts are in its log alone: its process died between commit and checkpoint."""
    path = tmp_path / "was" / "watermarks.duckdb"
    code = WRITER.format(path=str(path))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    return path


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def test_a_log_that_is_cut_anywhere_keeps_what_is_whole(unfinished: Path, tmp_path: Path) -> None:
    """A power cut in the middle of a write: the receipts before it are there, and the store can be written."""
    whole = log_of(unfinished).read_bytes()
    for cut in (0, 1, 100, len(whole) // 3, len(whole) // 2, len(whole) - 700, len(whole) - 1, len(whole)):
        store = Store(tmp_path / f"cut{cut}" / "watermarks.duckdb")
        store.path.parent.mkdir()
        shutil.copy(unfinished, store.path)
        log_of(store.path).write_bytes(whole[:cut])
        found = [each.chunk.window for each in reversed(store.receipts())]
        assert found == [day(number) for number in range(len(found))]
        assert 1 <= len(found) <= 4
        assert (len(found) == 4) == (cut == len(whole))
        store.append(receipt(day(9)))
        assert len(store.receipts()) == len(found) + 1


def test_a_log_that_is_damaged_is_told_with_the_way_out(unfinished: Path) -> None:
    content = bytearray(log_of(unfinished).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = b"\xff" * 64
    log_of(unfinished).write_bytes(content)
    with pytest.raises(WatermarkError, match="aurum-etl store rebuild"):
        Store(unfinished).receipts()
    assert log_of(unfinished).read_bytes() == content
