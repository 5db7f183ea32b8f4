"""Upkeep changes what is kept, and never what is read."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner

from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.cli import cli
from aurum_etl.contracts import LMP
from aurum_etl.errors import CommitUnknown
from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg import UNKNOWN, IcebergSink
from aurum_etl.sinks.iceberg.upkeep import Limits, maintain, stored_files
from tests.frames import DAY, rows, scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.settings import Settings

NOW = Limits(timedelta(0), timedelta(0))
"""Everything is old enough."""


@pytest.fixture(params=["local", "S3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    place = request.getfixturevalue("s3") if request.param == "S3" else {}
    return read_settings({"AURUM_HOME": str(tmp_path / "home"), **place})


@pytest.fixture
def sink(settings: Settings) -> Iterator[IcebergSink]:
    opened = IcebergSink(settings)
    opened.open(LMP_DAY_AHEAD)
    yield opened
    opened.close()


def read(sink: IcebergSink) -> pl.DataFrame:
    frame = pl.DataFrame(sink._table(LMP).scan().to_arrow())
    return frame.sort("operating_date", "iso_location_id", "interval_start")


def load(sink: IcebergSink, *locations: str, price: float = 1.0) -> None:
    for location in locations:
        of = scope(LMP_DAY_AHEAD, DAY, location)
        sink.stage(rows(of, location, price=price), of).commit()


def test_many_small_files_become_one_and_the_rows_stay(settings: Settings, sink: IcebergSink) -> None:
    load(sink, "A", "B", "C", "D", "E")
    before, files = read(sink), stored_files(sink._table(LMP))
    (told,) = maintain(settings, NOW, apply=False)
    assert (told.small_files, told.merged_files, told.snapshots) == (5, 1, 4)
    assert stored_files(sink._table(LMP)) == files
    maintain(settings, NOW, apply=True)
    table = sink._table(LMP)
    assert len(list(table.scan().plan_files())) == 1
    assert len(table.metadata.snapshots) == 1
    assert read(sink).equals(before)
    assert len([path for path in stored_files(table) if path.endswith(".parquet")]) == 1
    (nothing,) = maintain(settings, NOW, apply=True)
    assert (nothing.small_files, nothing.snapshots, nothing.orphans) == (0, 0, 0)


def test_a_chunk_inside_a_compacted_file_is_still_replaced_alone(settings: Settings, sink: IcebergSink) -> None:
    load(sink, "A", "B", "C", "D")
    maintain(settings, NOW, apply=True)
    load(sink, "B", price=2.0)
    assert read(sink).get_column("price_total").sort().to_list() == [1.0] * 72 + [2.0] * 24


def test_files_of_a_load_that_is_not_committed_yet_are_young(settings: Settings, sink: IcebergSink) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())
    maintain(settings, Limits(timedelta(0), timedelta(hours=1)), apply=True)
    staged.commit()
    assert len(read(sink)) == 24


def test_what_a_killed_load_left_is_removed(settings: Settings, sink: IcebergSink) -> None:
    load(sink, "A")
    sink.stage(rows(scope(LMP_DAY_AHEAD, DAY, "B"), "B"), scope(LMP_DAY_AHEAD, DAY, "B"))
    (found,) = maintain(settings, NOW, apply=True)
    assert found.orphans >= 1
    assert len([path for path in stored_files(sink._table(LMP)) if path.endswith(".parquet")]) == 1
    assert len(read(sink)) == 24


def test_files_of_an_unknown_outcome_stay_until_it_is_known(
    settings: Settings, sink: IcebergSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = sink.stage(rows(scope(), "A"), scope())

    def gone(*_: Any) -> None:
        raise ConnectionError("catalog gone")

    with monkeypatch.context() as patched:
        patched.setattr(staged.table, "refresh", gone)
        with pytest.raises(CommitUnknown):
            staged.commit()
    (note,) = (settings.home / UNKNOWN).glob("*.json")
    assert json.loads(note.read_text())["chunk_key"] == scope().chunk.key
    (found,) = maintain(settings, NOW, apply=True)
    assert found.unknown == 1
    assert [path for path in stored_files(sink._table(LMP)) if path.endswith(".parquet")]
    # Whatever was committed since makes that commit impossible.
    os.utime(note, (time.time() - 60, time.time() - 60))
    sink.stage(rows(scope(), "B"), scope()).commit()
    (found,) = maintain(settings, NOW, apply=True)
    assert (found.unknown, list((settings.home / UNKNOWN).glob("*.json"))) == (0, [])
    assert len([path for path in stored_files(sink._table(LMP)) if path.endswith(".parquet")]) == 1


def test_the_command_tells_before_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURUM_HOME", str(tmp_path))
    sink = IcebergSink(read_settings())
    sink.open(LMP_DAY_AHEAD)
    load(sink, "A", "B", "C", "D")
    sink.close()
    words = ["maintain", "--keep-days", "0", "--orphan-hours", "0", "--json"]
    told = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)
    done = json.loads(CliRunner().invoke(cli, [*words, "--apply"], catch_exceptions=False).stdout)
    assert (told["applied"], told["tables"][0]["small_files"]) == (False, 4)
    assert (done["applied"], done["tables"][0]["small_files"]) == (True, 4)
