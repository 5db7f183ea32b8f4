"""What comes again and is in every store is not loaded again; whatever else it is, it is."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl import inspection, program, reload, sinks
from aurum_etl.adapters.base import Answers
from aurum_etl.adapters.caiso import CAISO
from aurum_etl.adapters.caiso.prices import LMP_DAY_AHEAD
from aurum_etl.archive import Archive, Exchange
from aurum_etl.backfill import Rerun
from aurum_etl.chunk import ALL, Chunk, Selection
from aurum_etl.download import Replay
from aurum_etl.execute import Ending
from aurum_etl.executors.base import Task
from aurum_etl.pipeline import Workshop, run_chunk
from aurum_etl.quarantine import Quarantine
from aurum_etl.receipt import Content, Day, Origin, Outcome, Receipt, Written
from aurum_etl.recognition import UNCHANGED, Told
from aurum_etl.reload import Reload
from aurum_etl.runner import Flags, Report, run
from aurum_etl.settings import read_settings
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from aurum_etl.sinks.ledger import Held
from aurum_etl.sinks.memory import MemorySink
from aurum_etl.spec import IcebergSpec
from aurum_etl.watermarks import Store
from aurum_etl.watermarks.jobs import JobState, JobStatus
from aurum_etl.window import Window, market_day
from tests import services
from tests.frames import DAY, PACIFIC, chunk, lmp_csv, spec, with_variables, zip_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aurum_etl.settings import Settings

NOON = datetime(2026, 7, 20, 12, tzinfo=UTC)
JULY = Flags(start=date(2026, 7, 14), end=date(2026, 7, 15))
HEAD = "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}\n"
ICEBERG = f"{HEAD}sinks: [{{kind: iceberg}}]\n"
BOTH = f"{HEAD}sinks: [{{kind: iceberg}}, {{kind: timescale}}]\n"


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
    runs.settings = with_variables(runs.settings, TIMESCALE_CONNECTION=database)
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
        both.settings = with_variables(both.settings, TIMESCALE_CONNECTION=elsewhere)
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


PARTS = ("LMP", "MCE", "MCC", "MCL", "MGHG")


def answer(*more: tuple[str, str, str, str], price: int = 30) -> bytes:
    """A day of one node, and lines beside it."""
    start = market_day(DAY, PACIFIC).start
    hours = [f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M}" for hour in range(24)]
    lines = [(hour, "A", part, f"{price if part in ('LMP', 'MCE') else 0}") for hour in hours for part in PARTS]
    return zip_of(a_csv=lmp_csv(*lines, *more))


UNKNOWN = ("2026-07-14T07:00", "A", "MXYZ", "1")
REPEATED = ("2026-07-14T07:00", "A", "LMP", "30")


@dataclass
class Bench:
    """The pipeline over answers that are laid out for it, into Iceberg."""

    workshop: Workshop
    archive: Archive
    chunk: Chunk = field(default_factory=lambda: chunk(LMP_DAY_AHEAD, DAY, "A"))
    kept: int = 0

    def __call__(self, body: bytes, earlier: Receipt | None = None, **changes: Any) -> Receipt:
        """The receipt of a run that gets this answer, where that load is known of."""
        (ask,) = CAISO.asks(LMP_DAY_AHEAD, self.chunk)
        self.kept += 1
        came = Exchange(
            "https://iso", Origin.LIVE, 200, {}, NOON + timedelta(seconds=self.kept), 0.1, 1, self.chunk.key
        )
        with self.archive.receiving() as incoming:
            incoming.write(body)
            self.archive.keep(incoming, ask.request, came)
        source = Replay(self.archive, simulated=False, manners=CAISO.manners, max_bytes=10**8)
        return run_chunk(self.chunk, replace(self.workshop, **changes), source, earlier)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    sink = sinks.sink(IcebergSpec(kind="iceberg"), settings)
    sink.open(LMP_DAY_AHEAD)
    quarantine = Quarantine(settings.home / "quarantine")
    workshop = Workshop(CAISO, LMP_DAY_AHEAD, Origin.LIVE, [sink], quarantine, max_rejected_share=0.5, max_bytes=10**8)
    yield Bench(workshop, Archive(settings.home / "archive"))
    sink.close()


def test_rejected_rows_stay_where_they_are_while_the_same_bytes_come(bench: Bench) -> None:
    body = answer(UNKNOWN)
    first = bench(body)
    assert (first.outcome, first.rows_rejected) == (Outcome.QUARANTINED, 1)
    again = bench(body, first)
    assert (again.outcome, again.rows_rejected, again.rows_committed) == (Outcome.QUARANTINED, 1, 24)
    assert checks(again) == ["word_is_known", UNCHANGED]
    assert bench.workshop.quarantine.rows(bench.chunk, first.started_at) == 1
    assert checks(bench(body, again)) == ["word_is_known", UNCHANGED]


def test_rejected_rows_that_somebody_threw_away_are_kept_anew(bench: Bench) -> None:
    body = answer(UNKNOWN)
    first = bench(body)
    bench.workshop.quarantine.path(bench.chunk).unlink()
    again = bench(body, first)
    assert again.unchanged_since is None
    assert bench.workshop.quarantine.rows(bench.chunk, again.started_at) == 1


def test_more_rejected_rows_than_are_allowed_by_now_fail_the_chunk(bench: Bench) -> None:
    body = answer(UNKNOWN)
    first = bench(body)
    again = bench(body, first, max_rejected_share=0.01)
    assert (again.outcome, again.unchanged_since, again.content) == (Outcome.FAILED, None, None)
    assert "quality.max_rejected_share is 1.0%" in str(again.error)


def test_other_rejected_rows_beside_the_same_accepted_ones_are_kept(bench: Bench) -> None:
    first = bench(answer(UNKNOWN))
    again = bench(answer(UNKNOWN, ("2026-07-14T08:00", "A", "MXYZ", "2")), first)
    assert (again.unchanged_since, again.rows_rejected) == (None, 2)
    healed = bench(answer(), again)
    assert (healed.unchanged_since, healed.outcome) == (None, Outcome.DONE)
    assert not bench.workshop.quarantine.path(bench.chunk).exists()


def test_what_is_left_in_quarantine_by_others_is_cleared(bench: Bench) -> None:
    body = answer()
    first = bench(body)
    bench(answer(UNKNOWN), sinks=[MemorySink()])
    again = bench(body, first)
    assert ("validate" in again.seconds, again.unchanged_since) == (True, first.started_at)
    assert not bench.workshop.quarantine.path(bench.chunk).exists()


def test_the_same_bytes_in_another_answer_are_not_the_same(bench: Bench) -> None:
    """Some answers do not say themselves which day they are of."""
    body = answer()
    first = bench(body)
    assert first.content is not None
    moved = replace(first, content=replace(first.content, answers=("0" * 16,)))
    again = bench(body, moved)
    assert ("other bytes" in again.findings[-1].detail, "validate" in again.seconds) == (True, True)


@pytest.mark.parametrize(
    "changes",
    [{"origin": Origin.CUSTOM}, {"days": ()}, {"rows_accepted": 25}, {"content": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_receipt_does_not_say_is_loaded(bench: Bench, changes: dict[str, Any]) -> None:
    body = answer()
    first = bench(body)
    assert bench(body, replace(first, **changes)).unchanged_since is None


def test_a_name_that_changed_is_a_change(bench: Bench) -> None:
    """Checksums of days are of keys and values alone."""
    first = bench(answer())
    assert first.content is not None
    named = replace(first, content=replace(first.content, rows="0" * 16))
    assert bench(answer(REPEATED), named).unchanged_since is None
    assert bench(answer(REPEATED), bench(answer())).unchanged_since is not None


def test_a_store_that_cannot_be_asked_any_more_is_not_believed(bench: Bench, settings: Settings) -> None:
    body = answer()
    first = bench(body)
    metadata = next((settings.home / "warehouse").rglob("*.metadata.json")).parent
    metadata.rename(metadata.with_name("gone"))
    again = bench(body, first)
    assert (again.outcome, again.unchanged_since) == (Outcome.FAILED, None)


def test_answers_that_are_known_are_not_read(bench: Bench) -> None:
    """Known ones are read all the same where something else comes beside them."""
    first = bench(answer())
    answers = Answers(CAISO, 10**8, known=frozenset(first.content.answers if first.content else ()))
    (ask,) = CAISO.asks(LMP_DAY_AHEAD, bench.chunk)
    answers.ask_for(
        LMP_DAY_AHEAD, bench.chunk, Replay(bench.archive, simulated=False, manners=CAISO.manners, max_bytes=10**8)
    )
    assert (answers.decode_seconds, [part.batches for part in answers.parts]) == (0.0, [None])
    fetched = answers.read()
    assert (fetched.decode_seconds > 0, [report.name for report, _ in fetched.batches]) == (True, [ask.report.name])


def of(load: Receipt, **changes: Any) -> Held:
    """What a store says of that load."""
    held = Held(
        load.chunk.key, load.chunk, load.rows_accepted, load.ingested_at, load.origin, (), load.days, "iso.lmp", "9"
    )
    return replace(held, **changes)


LOAD = Receipt(
    chunk=chunk(),
    origin=Origin.LIVE,
    outcome=Outcome.DONE,
    started_at=NOON,
    finished_at=NOON,
    rows_read=24,
    rows_accepted=24,
    rows_rejected=0,
    attempts=1,
    seconds={},
    written=(Written("iceberg", "iso.lmp", 24, "9"),),
    days=(Day(DAY, 24, "0" * 16),),
    content=Content("p", ("a",), "r"),
)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"days": ()}, True),
        ({"origin": None}, True),
        ({"version": ""}, True),
        ({"rows": 23}, False),
        ({"ingested_at": NOON + timedelta(seconds=1)}, False),
        ({"origin": Origin.SIMULATOR}, False),
        ({"days": (Day(DAY, 24, "1" * 16),)}, False),
    ],
)
def test_a_store_holds_a_load_if_it_says_just_that(changes: dict[str, Any], holds: bool) -> None:
    assert Told([of(LOAD, **changes)]).holds(LOAD) is holds
    again = replace(LOAD, started_at=NOON + timedelta(1), unchanged_since=NOON)
    assert Told([of(LOAD, **changes)]).holds(again) is holds


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (chunk(LMP_DAY_AHEAD, DAY, "A"), False),
        (
            Chunk("caiso_lmp", Selection(ALL), Window(LOAD.chunk.window.start - timedelta(9), LOAD.chunk.window.end)),
            False,
        ),
        (chunk(LMP_DAY_AHEAD, DAY + timedelta(1)), True),
        (chunk(LMP_DAY_AHEAD, DAY - timedelta(1)), True),
    ],
    ids=["a node of it", "longer", "the next day", "the day before"],
)
def test_a_chunk_that_another_one_meets_is_not_held_for_certain(other: Chunk, holds: bool) -> None:
    assert Told([of(LOAD), of(replace(LOAD, chunk=other))]).holds(LOAD) is holds
    unknown = of(replace(LOAD, chunk=other), chunk=None)
    assert Told([of(LOAD), unknown]).holds(LOAD) is holds


def test_named_places_apart_from_each_other_do_not_meet() -> None:
    mine = replace(LOAD, chunk=chunk(LMP_DAY_AHEAD, DAY, "A"))
    assert Told([of(mine), of(replace(LOAD, chunk=chunk(LMP_DAY_AHEAD, DAY, "B")))]).holds(mine)


def test_the_last_load_is_what_nothing_was_tried_after(tmp_path: Path) -> None:
    store = Store(tmp_path / "watermarks.duckdb")

    def found(*kinds: str) -> dict[str, Receipt]:
        return store.last_loads("caiso_lmp", LOAD.chunk.selection, kinds, LOAD.chunk.window)

    assert found("iceberg") == {}
    store.append(LOAD)
    assert found("iceberg") == {LOAD.chunk.key: LOAD}
    assert found("timescale") == found("iceberg", "timescale") == {}
    elsewhere = replace(LOAD, written=(Written("timescale", "iso_lmp", 24, "x"),))
    store.append(elsewhere)
    assert (found("iceberg"), found("timescale")) == ({LOAD.chunk.key: LOAD}, {LOAD.chunk.key: elsewhere})
    store.append(replace(LOAD, outcome=Outcome.FAILED, written=(), error="x", content=None))
    assert found("iceberg") == found("timescale") == {}
    store.append(replace(LOAD, content=None))
    assert found("iceberg") == {}
    again = replace(LOAD, unchanged_since=NOON - timedelta(1))
    store.append(again)
    assert found("iceberg") == {LOAD.chunk.key: again}


def test_what_travels_with_a_task_is_small() -> None:
    names = Selection.named(f"NODE_{number:05d}" for number in range(10_000))
    many = Chunk("caiso_lmp", names, LOAD.chunk.window)
    load = replace(
        LOAD, chunk=many, content=Content("p" * 32, tuple(f"{number:016x}" for number in range(288)), "r" * 16)
    )
    alone, together = (len(pickle.dumps(Task(many, earlier=each))) for each in (None, load))
    assert together - alone < 8_000
