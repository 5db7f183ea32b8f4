"""What comes again and is in every store is not loaded again; whatever else it is, it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl import inspection, program, reload
from aurum_etl.backfill import Rerun
from aurum_etl.execute import Ending
from aurum_etl.receipt import Origin, Outcome, Receipt
from aurum_etl.recognition import UNCHANGED
from aurum_etl.reload import Reload
from aurum_etl.runner import Flags, Report, run
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import JobState, JobStatus
from tests import services
from tests.frames import spec

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings

JULY = Flags(start=date(2026, 7, 14), end=date(2026, 7, 15))
HEAD = "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}\n"
ICEBERG = f"{HEAD}sinks: [{{kind: iceberg}}]\n"
BOTH = f"{HEAD}sinks: [{{kind: iceberg}}, {{kind: timescale}}]\n"
CHECK = f"{HEAD}quality: {{max_rejected_share: 0.001}}\n"


class Runs:
    """Runs of one day, one after the other."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings

    def __call__(self, flags: Flags = JULY, text: str = ICEBERG) -> Receipt:
        """The receipt of the one chunk."""
        (receipt,) = self.report(flags, text).receipts
        return receipt

    def report(self, flags: Flags = JULY, text: str = ICEBERG) -> Report:
        return run(spec(self.folder, text), flags, self.settings)

    @property
    def store(self) -> Store:
        return Store(self.settings.home / "watermarks.duckdb")

    def rows(self) -> list[dict[str, object]]:
        """What is in Iceberg, lineage and all."""
        connection = inspection.connect(self.settings, self.store)
        return pl.DataFrame(inspection.query(connection, "select * from lmp order by all")).to_dicts()

    def snapshots(self) -> int:
        catalog = open_catalog(self.settings)
        try:
            return len(catalog.load_table("iso.lmp").metadata.snapshots)
        finally:
            close_catalog(catalog)

    def forget(self, condition: str) -> None:
        """Somebody deletes rows in Iceberg behind our back."""
        catalog = open_catalog(self.settings)
        try:
            catalog.load_table("iso.lmp").delete(condition)
        finally:
            close_catalog(catalog)


@pytest.fixture
def runs(tmp_path: Path, settings: Settings) -> Runs:
    return Runs(tmp_path, settings)


@pytest.fixture
def both(runs: Runs, database: str) -> Runs:
    """With a database beside Iceberg."""
    runs.settings = replace(runs.settings, timescale=database)
    return runs


def checks(receipt: Receipt) -> list[str]:
    return [each.check for each in receipt.findings]


def test_the_same_bytes_are_fetched_and_nothing_more(runs: Runs) -> None:
    first = runs()
    rows, snapshots = runs.rows(), runs.snapshots()
    again = runs()
    assert (again.unchanged_since, checks(again)) == (first.started_at, [UNCHANGED])
    assert (again.outcome, again.rows_committed, again.rows_read) == (Outcome.DONE, 48, first.rows_read)
    assert (again.written, again.days, again.content) == (first.written, first.days, first.content)
    assert again.started_at > first.finished_at
    assert set(again.seconds) == {"fetch", "compare"}
    assert (runs.rows(), runs.snapshots()) == (rows, snapshots)
    assert runs.store.receipts() == [again, first]
    third = runs()
    assert (third.unchanged_since, checks(third)) == (first.started_at, [UNCHANGED])


def test_other_bytes_with_the_same_rows_are_validated_and_not_loaded(runs: Runs, simulator: Simulator) -> None:
    first = runs()
    rows, snapshots = runs.rows(), runs.snapshots()
    simulator.inject(Fault("duplicate_rows"))
    again = runs()
    assert (again.unchanged_since, checks(again)) == (first.started_at, ["rows_are_distinct", UNCHANGED])
    assert "other bytes" in again.findings[-1].detail
    assert (again.written, again.rows_committed) == (first.written, 48)
    assert {"validate", "compare"} <= set(again.seconds)
    assert {"stage", "commit"}.isdisjoint(again.seconds)
    assert (runs.rows(), runs.snapshots()) == (rows, snapshots)
    assert again.content is not None
    assert first.content is not None
    assert again.content.answers != first.content.answers
    # The simulator sends what it sent at first, which is not what came last; then it is.
    assert "validate" in runs().seconds
    assert set(runs().seconds) == {"fetch", "compare"}


def test_what_has_changed_is_loaded_and_so_is_what_changes_back(runs: Runs, simulator: Simulator) -> None:
    runs()
    simulator.inject(Fault("missing_hour"))
    changed = runs()
    assert (changed.unchanged_since, changed.rows_accepted, len(runs.rows())) == (None, 46, 46)
    back = runs()
    assert (back.unchanged_since, back.rows_accepted, len(runs.rows())) == (None, 48, 48)


def test_everything_is_loaded_again_where_that_is_wanted(runs: Runs) -> None:
    runs()
    again = runs(replace(JULY, reloads=True))
    assert (again.unchanged_since, again.rows_committed) == (None, 48)
    assert {row["ingested_at"] for row in runs.rows()} == {again.started_at}


def test_a_replay_loads_what_it_replays(runs: Runs) -> None:
    runs()
    assert runs(replace(JULY, replay=True)).unchanged_since is None


def test_rows_in_memory_are_never_there_already(runs: Runs) -> None:
    for _ in range(2):
        assert runs(replace(JULY, sink_kinds=("memory",))).unchanged_since is None


@pytest.mark.parametrize("loss", ["operating_date = '2026-07-14'", "iso_location_id = 'DLAP_SCE-APND'"])
def test_rows_that_iceberg_has_lost_are_loaded_again(runs: Runs, loss: str) -> None:
    runs()
    runs.forget(loss)
    assert len(runs.rows()) < 48
    assert (runs().unchanged_since, len(runs.rows())) == (None, 48)


def test_a_table_that_was_dropped_is_filled_again(runs: Runs) -> None:
    runs()
    catalog = open_catalog(runs.settings)
    catalog.drop_table("iso.lmp")
    close_catalog(catalog)
    assert (runs().unchanged_since, len(runs.rows())) == (None, 48)


def test_a_table_that_was_restored_to_an_earlier_load_is_loaded_again(runs: Runs, simulator: Simulator) -> None:
    simulator.inject(Fault("missing_hour"))
    runs()
    catalog = open_catalog(runs.settings)
    earlier = catalog.load_table("iso.lmp").metadata.current_snapshot_id
    assert earlier is not None
    runs()
    catalog.load_table("iso.lmp").manage_snapshots().set_current_snapshot(earlier).commit()
    close_catalog(catalog)
    assert len(runs.rows()) == 46
    assert (runs().unchanged_since, len(runs.rows())) == (None, 48)


@pytest.mark.parametrize(
    "loss",
    [
        "truncate iso_lmp_fact",
        "delete from iso_lmp_fact where iso_location_id = 'DLAP_SCE-APND' and interval_start = '2026-07-14 10:00Z'",
        "update iso_lmp_fact set price_total = price_total + 0.001 where interval_start = '2026-07-14 10:00Z'",
        "delete from iso_chunk",
        "update iso_chunk set attempt = 'x', ingested_at = ingested_at - interval '1 day'",
    ],
)
def test_what_one_store_does_not_hold_is_loaded_into_both(both: Runs, loss: str) -> None:
    first = both(text=BOTH)
    assert both(text=BOTH).unchanged_since == first.started_at
    services.execute(str(both.settings.timescale), loss)
    again = both(text=BOTH)
    assert (again.unchanged_since, again.stores, again.rows_committed) == (None, ("iceberg", "timescale"), 48)
    assert both(text=BOTH).unchanged_since == again.started_at


def test_another_database_is_filled(both: Runs, postgres: str) -> None:
    both(text=BOTH)
    with services.database(postgres) as elsewhere:
        both.settings = replace(both.settings, timescale=elsewhere)
        assert both(text=BOTH).unchanged_since is None
        with dbapi.connect(elsewhere) as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from iso_lmp")
            assert cursor.fetchall() == [(48,)]


@pytest.mark.parametrize(("before", "after"), [(ICEBERG, BOTH), (BOTH, ICEBERG)], ids=["more", "fewer"])
def test_other_stores_than_before_are_loaded(both: Runs, before: str, after: str) -> None:
    both(text=before)
    assert both(text=after).unchanged_since is None


@pytest.mark.parametrize("fault", ["error:1001", "error:1000"], ids=["failed", "empty"])
def test_after_anything_else_than_a_load_it_is_loaded_again(runs: Runs, simulator: Simulator, fault: str) -> None:
    runs()
    simulator.inject(Fault(fault))
    assert runs().outcome in (Outcome.FAILED, Outcome.EMPTY)
    again = runs()
    assert (again.outcome, again.unchanged_since) == (Outcome.DONE, None)
    assert runs().unchanged_since == again.started_at


def test_a_chunk_that_others_have_written_into_is_loaded_again(runs: Runs) -> None:
    """Even where they wrote the same: nothing is left of that chunk's load as its receipt has it."""
    runs()
    runs(replace(JULY, overrides=("source.nodes=[TH_NP15_GEN-APND]",)))
    assert (runs().unchanged_since, len({row["chunk_key"] for row in runs.rows()})) == (None, 1)


def test_another_feed_or_program_loads_again(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs()
    monkeypatch.setattr(program, "_source", lambda: "of another version")
    again = runs()
    assert again.unchanged_since is None
    assert runs().unchanged_since == again.started_at


def test_what_was_invented_is_not_taken_for_what_was_published(runs: Runs) -> None:
    """The simulator's answers are the same whoever asks for them."""
    first = runs(replace(JULY, simulated=True))
    assert (first.origin, runs(replace(JULY, simulated=True)).unchanged_since) == (Origin.SIMULATOR, first.started_at)
    assert (runs().origin, runs().unchanged_since is None) == (Origin.CUSTOM, False)


def test_a_topic_is_believed_for_what_its_markers_say(runs: Runs, kafka: dict[str, str]) -> None:
    text = f"{HEAD}sinks: [{{kind: kafka}}]\n"
    known = read_settings({"AURUM_HOME": str(runs.settings.home), **runs.settings.bases, **kafka})
    runs.settings = known
    first = runs(text=text)
    assert (runs(text=text).unchanged_since, first.stores) == (first.started_at, ("kafka",))
    runs.settings = replace(known, topic_prefix=f"{known.topic_prefix}other.")
    assert runs(text=text).unchanged_since is None
    runs.settings = known
    with_arrow = f"{HEAD}sinks: [{{kind: kafka, encoding: arrow}}]\n"
    assert runs(text=with_arrow).unchanged_since is None


def test_a_backfill_that_does_everything_again_loads_what_has_changed(runs: Runs, simulator: Simulator) -> None:
    week = replace(JULY, end=date(2026, 7, 19))
    path = spec(runs.folder, ICEBERG)

    def carry_out(wanted: Reload) -> JobStatus:
        job = reload.begin(reload.planned(path, week, wanted, runs.settings), wanted, "s")
        ending, status = reload.go_on(reload.resumption(job.id, settings=runs.settings))
        assert (ending, status.state) == (Ending.FINISHED, JobState.COMPLETED)
        return status

    carry_out(Reload())
    simulator.inject(Fault("missing_hour", match={"startdatetime": "20260716T07:00-0000"}))
    status = carry_out(Reload(rerun=Rerun.ALL))
    assert (status.rows, status.detail) == (5 * 48 - 2, "iceberg agrees with its receipts")
    loaded = [each for each in runs.store.receipts(limit=5) if each.unchanged_since is None]
    assert [(each.chunk.window.start.day, each.rows_committed) for each in loaded] == [(16, 46)]
