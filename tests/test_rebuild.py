"""The record is lost, and the stores are not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner

from aurum_etl import adapters
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.chunk import ChunkKey
from aurum_etl.cli import cli
from aurum_etl.errors import RecordUnreadable, SinkUnavailable, UsageError, WatermarkError
from aurum_etl.rebuild import missing, named_stores, rebuild
from aurum_etl.receipt import Day, Origin, Outcome
from aurum_etl.reconcile import reconcile
from aurum_etl.runner import Flags, prepare, run
from aurum_etl.settings import read_settings
from aurum_etl.sinks.iceberg import IcebergSink
from aurum_etl.sinks.iceberg.upkeep import Limits, maintain
from aurum_etl.sinks.ledger import Held
from aurum_etl.sinks.timescale import TimescaleSink
from aurum_etl.spec import TimescaleSpec
from aurum_etl.watermarks import Store
from tests.frames import DAY, PACIFIC, scope, spec, with_variables
from tests.frames import rows as rows_of
from tests.test_watermarks import another_process_holding

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

TEXT = """\
dataset: caiso_lmp
source: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}
schedule: {start: 2026-07-14, lookback_days: 0}
sinks: [{kind: iceberg}, {kind: timescale}]
"""
TWO = Flags(start=DAY, end=date(2026, 7, 16))


@pytest.fixture
def settings(settings: Settings, simulator: Simulator, database: str) -> Settings:
    return read_settings({"AURUM_HOME": str(settings.home), "TIMESCALE_CONNECTION": database, **simulator.env})


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.home / "watermarks.duckdb")


def status(store: Store) -> list[Any]:
    """Where everything stands, but for when it was run last."""
    return [replace(each, last_run=datetime(2026, 1, 1, tzinfo=UTC)) for each in store.status(lambda _: PACIFIC)]


def planned(path: Path, settings: Settings) -> list[date]:
    """Market days that a run without dates would bring."""
    return [each.chunk.window.start.date() for each in prepare(path, Flags(), settings).plan.chunks]


@pytest.mark.parametrize("damage", [b"no database at all", b""])
def test_a_record_that_was_damaged_is_rebuilt_and_goes_on_as_before(
    tmp_path: Path, settings: Settings, store: Store, damage: bytes
) -> None:
    path = spec(tmp_path, TEXT)
    before_that = run(path, TWO, settings).receipts
    before, plan_before = status(store), planned(path, settings)
    assert len(plan_before) > 10
    assert date(2026, 7, 16) == plan_before[0]
    store.path.write_bytes(damage)
    with pytest.raises(WatermarkError, match=r"not a valid DuckDB database file.*aurum-etl store rebuild"):
        prepare(path, Flags(), settings)
    done = rebuild(settings, store)
    assert (done.sinks, done.known, done.untold) == (("iceberg", "timescale"), 0, ())
    assert done.moved_to is not None
    assert done.moved_to.read_bytes() == damage
    assert ".unreadable-2" in done.moved_to.name
    assert (status(store), planned(path, settings)) == (before, plan_before)
    for made, was in zip(sorted(done.receipts, key=lambda each: each.chunk), before_that, strict=True):
        assert (made.chunk, made.origin, made.started_at, made.days, made.written, made.rows_accepted) == (
            was.chunk,
            was.origin,
            was.started_at,
            was.days,
            was.written,
            was.rows_accepted,
        )
    timescale = TimescaleSink(lambda: str(settings.timescale), TimescaleSpec(kind="timescale"))
    assert reconcile(store.receipts(), LMP_DAY_AHEAD, [IcebergSink(settings), timescale]) == []
    timescale.close()
    again = rebuild(settings, store)
    assert (again.receipts, again.known, again.moved_to) == ((), 2, None)


def test_only_the_receipts_that_are_missing_are_added(tmp_path: Path, settings: Settings, store: Store) -> None:
    """A process that was killed between its last commit and its receipt."""
    path = spec(tmp_path, TEXT)
    run(path, TWO, settings)
    before = status(store)
    # Two chunks are in work at once: which of them ended first, nobody knows.
    kept = [each for each in store.receipts() if each.chunk.window.start.date() == date(2026, 7, 14)]
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("delete from receipts where window_start > '2026-07-15'")
    assert planned(path, settings)[0] == date(2026, 7, 15)
    done = rebuild(settings, store)
    assert ([each.chunk.window.start.date() for each in done.receipts], done.known) == ([date(2026, 7, 15)], 1)
    assert store.receipts()[1:] == kept
    assert status(store) == before
    assert rebuild(settings, store).receipts == ()


def test_an_attempt_that_the_record_never_heard_of_is_added_to_the_older_one(
    tmp_path: Path, settings: Settings, store: Store
) -> None:
    path = spec(tmp_path, TEXT)
    run(path, replace(TWO, end=date(2026, 7, 15)), settings)
    run(path, replace(TWO, end=date(2026, 7, 15), reloads=True), settings)
    newest = store.receipts()[0]
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("delete from receipts where number = 2")
    (made,) = rebuild(settings, store).receipts
    assert (made.chunk, made.started_at, made.written) == (newest.chunk, newest.started_at, newest.written)


def test_invented_data_stays_invented_when_snapshots_have_expired(
    tmp_path: Path, settings: Settings, store: Store
) -> None:
    """Then the data files alone tell: also those that were put together out of many."""
    path = spec(tmp_path, TEXT)
    for name in ("A", "B", "C", "D"):
        sink = IcebergSink(settings)
        sink.open(LMP_DAY_AHEAD)
        of = scope(LMP_DAY_AHEAD, date(2026, 7, 13), name)
        sink.stage(rows_of(of, name), of).commit()
        sink.close()
    run(path, replace(TWO, simulated=True), settings)
    chunks = {each.chunk for each in store.receipts()}
    store.path.unlink()
    maintain(settings, Limits(timedelta(0), timedelta(0)), apply=True)
    done = rebuild(settings, store, ["iceberg"])
    assert done.untold == ()
    assert {each.chunk: each.origin for each in done.receipts} == {
        **dict.fromkeys(chunks, Origin.SIMULATOR),
        **{scope(LMP_DAY_AHEAD, date(2026, 7, 13), name).chunk: Origin.CUSTOM for name in "ABCD"},
    }
    assert {each.rows_accepted for each in done.receipts} == {48, 24}
    assert planned(path, settings)[0] == DAY, "invented data is not done"


def test_rejected_rows_are_counted_as_far_as_quarantine_has_them(
    tmp_path: Path, settings: Settings, store: Store
) -> None:
    from tests.frames import lmp_csv

    file = tmp_path / "f.csv"
    days = [(f"2026-07-14T{hour:02}:00", "A", "LMP", "1") for hour in range(7, 24)]
    file.write_bytes(lmp_csv(*days, ("2026-07-14T07:00", "A", "MXYZ", "1")))
    path = spec(tmp_path, TEXT)
    (was,) = run(path, Flags(files=(file,), overrides=("quality.max_rejected_share=0.5",)), settings).receipts
    store.path.unlink()
    (made,) = rebuild(settings, store).receipts
    assert (was.outcome, was.rows_rejected) == (Outcome.QUARANTINED, 1)
    assert (made.outcome, made.rows_rejected, made.origin) == (was.outcome, 1, Origin.FILES)


def test_a_record_that_another_process_holds_is_not_moved(
    tmp_path: Path, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aurum_etl.watermarks.file.LOCK_SECONDS", 0.3)
    run(spec(tmp_path, TEXT), TWO, settings)
    with another_process_holding(store.path), pytest.raises(WatermarkError, match="another process") as caught:
        rebuild(settings, store)
    assert not isinstance(caught.value, RecordUnreadable)
    assert len(store.receipts()) == 2


def test_a_store_that_cannot_be_asked_leaves_the_record_as_it_is(settings: Settings, store: Store) -> None:
    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.write_bytes(b"damaged")
    gone = with_variables(settings, TIMESCALE_CONNECTION="postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(SinkUnavailable):
        rebuild(gone, store)
    assert store.path.read_bytes() == b"damaged"


def test_stores_are_those_that_the_settings_name(settings: Settings, store: Store) -> None:
    assert named_stores(settings) == ("timescale",)
    assert named_stores(with_variables(settings, AURUM_ICEBERG_URI="https://x")) == ("iceberg", "timescale")
    with pytest.raises(UsageError, match="no store is named"):
        rebuild(with_variables(settings, TIMESCALE_CONNECTION=""), store)
    with pytest.raises(UsageError, match='"memory" is not one of iceberg, kafka, timescale'):
        rebuild(settings, store, ["memory"])


def held(key: str, **other: Any) -> Held:
    given: dict[str, Any] = {
        "rows": 24,
        "ingested_at": datetime(2026, 7, 20, tzinfo=UTC),
        "origin": Origin.LIVE,
        "revisions": (),
        "days": (),
        "table": "t",
        "version": "v",
        **other,
    }
    return Held(key, given.pop("chunk", ChunkKey.parse(key).chunk()), **given)


ONE = scope(LMP_DAY_AHEAD, DAY, "A").chunk
WHOLE = scope().chunk


def test_what_no_receipt_can_be_made_of_is_told() -> None:
    found, known, untold = missing(
        {
            "iceberg": [
                held(ONE.key),
                held(WHOLE.key, origin=None),
                held(WHOLE.key.replace("caiso_lmp", "caiso_gone")),
            ]
        },
        [],
        adapters.datasets(),
    )
    assert (found, known) == ([], 0)
    assert {each.reason.partition(":")[0] for each in untold} == {
        "no store knows which locations 1",
        "no store knows where its rows came from",
        "caiso_gone is no dataset of this program",
    }
    assert {each.sinks for each in untold} == {("iceberg",)}


def test_what_one_store_has_forgotten_another_tells() -> None:
    """Names, origin, days and mark."""
    days = (Day(DAY, 48, "0" * 16),)
    forgot = held(ONE.key, origin=None, rows=24)
    knows = held(ONE.key, chunk=ONE, days=days, rows=48, revisions=("FINAL",))
    (made,), _, untold = missing({"iceberg": [forgot], "timescale": [knows]}, [], adapters.datasets())
    assert (made.chunk, made.origin, made.days, made.rows_accepted, untold) == (ONE, Origin.LIVE, days, 48, [])
    assert [(each.sink, each.rows) for each in made.written] == [("iceberg", 48), ("timescale", 48)]


def test_stores_that_hold_different_attempts_are_not_taken_for_equal(store: Store) -> None:
    """One of them missed the reload: the next run of a spec with both has to bring it again."""
    later = datetime(2026, 7, 21, tzinfo=UTC)
    given = {"iceberg": [held(WHOLE.key, ingested_at=later)], "timescale": [held(WHOLE.key)]}
    found, _, _ = missing(given, [], adapters.datasets())
    assert [(each.started_at, each.stores) for each in found] == [
        (later - timedelta(1), ("timescale",)),
        (later, ("iceberg",)),
    ]
    store.extend(found)
    assert store.settled("caiso_lmp", WHOLE.selection, ["iceberg", "timescale"], simulated=False) == []
    assert store.settled("caiso_lmp", WHOLE.selection, ["iceberg"], simulated=False) == [WHOLE.window]


def test_marks_that_were_kept_are_ranked() -> None:
    dataset = next(each for each in adapters.datasets().values() if {"PRELIM", "FINAL"} <= set(each.ranks))
    key = WHOLE.key.replace("caiso_lmp", dataset.key)
    for marks, lowest in ((("FINAL", "PRELIM"), "PRELIM"), (("FINAL",), "FINAL"), (("7",), "")):
        (made,), _, _ = missing({"iceberg": [held(key, revisions=marks)]}, [], adapters.datasets())
        assert made.revision == lowest


def test_the_command_tells_what_it_did(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run(spec(tmp_path, TEXT), TWO, settings)
    record = settings.home / "watermarks.duckdb"
    record.write_bytes(b"damaged")
    monkeypatch.setenv("AURUM_HOME", str(settings.home))
    monkeypatch.setenv("TIMESCALE_CONNECTION", str(settings.timescale))
    document = json.loads(CliRunner().invoke(cli, ["store", "rebuild", "--json"], catch_exceptions=False).stdout)
    assert (document["sinks"], document["known"], document["untold"]) == (["iceberg", "timescale"], 0, [])
    assert [each["sinks"] for each in document["receipts"]] == [["iceberg", "timescale"]] * 2
    assert document["moved_to"].startswith(f"{record}.unreadable-")
    told = CliRunner().invoke(cli, ["store", "rebuild", "--sink", "timescale"], catch_exceptions=False).output
    assert "timescale: 0 receipts added, 2 known already, 0 not rebuilt" in told
    assert "empty" in CliRunner().invoke(cli, ["store", "rebuild", "--help"]).output
