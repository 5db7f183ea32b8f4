"""Whole runs against the simulator: outcomes, faults, replay, and what is never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from adbc_driver_postgresql import dbapi

from aurum_etl import inspection
from aurum_etl.errors import CommitFailed, SinkUnavailable, UsageError
from aurum_etl.quota import UNLIMITED
from aurum_etl.receipt import Origin, Outcome, Written
from aurum_etl.runner import Flags, Report, perform, prepare, run
from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks import timescale
from aurum_etl.watermarks import Store
from tests.frames import spec, with_variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.settings import Settings

JULY = Flags(start=date(2026, 7, 14), end=date(2026, 7, 15))
LOAD = "dataset: caiso_load\n"


@pytest.fixture
def go(tmp_path: Path, settings: Settings) -> Callable[..., Report]:
    def go(flags: Flags = JULY, text: str | None = None, where: Settings = settings) -> Report:
        return run(spec(tmp_path, text) if text else spec(tmp_path), flags, where)

    return go


def ask(settings: Settings, sql: str) -> list[dict[str, object]]:
    connection = inspection.connect(settings, Store(settings.home / "watermarks.duckdb"))
    return pl.DataFrame(inspection.query(connection, sql)).to_dicts()


def rows(settings: Settings, table: str = "lmp") -> int:
    (counted,) = ask(settings, f"select count(*) as n from {table}")
    return int(str(counted["n"]))


def test_a_day_arrives_whole(go: Callable[..., Report], settings: Settings) -> None:
    report = go()
    (receipt,) = report.receipts
    assert (report.outcome, report.rows, report.exit_code) == (Outcome.DONE, 48, 0)
    assert (receipt.rows_read, receipt.attempts, receipt.origin) == (2 * 24 * 5, 1, Origin.CUSTOM)
    assert set(receipt.seconds) == {"fetch", "decode", "normalize", "validate", "stage", "commit"}
    assert Store(settings.home / "watermarks.duckdb").receipts() == [receipt]
    (found,) = ask(
        settings,
        "select count(distinct chunk_key) c, "
        "max(abs(price_total - price_energy - price_congestion - price_loss - price_ghg)) e from lmp",
    )
    assert found["c"] == 1
    assert float(str(found["e"])) < 1e-9


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 11, 2), 25), (date(2026, 3, 8), 23)])
@pytest.mark.parametrize("text", [None, LOAD], ids=["caiso_lmp", "caiso_load"])
def test_change_days_have_all_their_hours(
    go: Callable[..., Report], settings: Settings, day: date, hours: int, text: str | None
) -> None:
    report = go(Flags(start=day, end=day + timedelta(1)), text)
    assert report.receipts[0].findings == ()
    (found,) = ask(
        settings,
        "select count(distinct interval_start) n, count(distinct operating_date) d, min(operating_date) first, "
        f"(max(interval_end) - min(interval_start))::varchar as span from {report.dataset.contract.kind}",
    )
    assert (found["n"], found["d"], found["first"]) == (hours, 1, day)
    assert str(found["span"]).removeprefix("1 day ") in (f"{hours}:00:00", f"{hours - 24:02}:00:00")


def test_the_same_day_again_leaves_the_same_rows(go: Callable[..., Report], settings: Settings) -> None:
    go()
    before = ask(settings, "select * exclude (ingested_at) from lmp order by all")
    assert go(replace(JULY, reloads=True)).receipts[0].unchanged_since is None
    assert ask(settings, "select * exclude (ingested_at) from lmp order by all") == before
    assert len(Store(settings.home / "watermarks.duckdb").receipts()) == 2


def test_a_day_of_all_nodes_can_be_corrected_at_two(go: Callable[..., Report], settings: Settings) -> None:
    go(replace(JULY, overrides=("source.nodes=ALL",)))
    assert rows(settings) == 90 * 24
    go()
    assert rows(settings) == 90 * 24


@pytest.mark.parametrize(
    "fault", ["429", "503", "cut_zip", "corrupt_member", "reset", "html", "error:1003", "error:1012"]
)
def test_what_may_heal_is_tried_again(
    go: Callable[..., Report], settings: Settings, simulator: Simulator, fault: str
) -> None:
    simulator.inject(Fault(fault))
    report = go()
    assert (report.outcome, report.receipts[0].attempts) == (Outcome.DONE, 2)
    assert rows(settings) == 48


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("wrong_header", "SourceChanged: CAISO SingleZip?resultformat=6&queryname=PRC_LMP"),
        ("wrong_header", "column MW is missing"),
        ("text_in_number", 'column MW holds "n/a", which is no number'),
        ("off_grid", "columns INTERVALSTARTTIME_GMT, INTERVALENDTIME_GMT: interval 2026-07-14T07:07:00Z"),
        ("error:1001", "OASIS error 1001"),
        ("error:1014", "OASIS error 1014"),
    ],
)
def test_what_a_person_must_see_fails_in_words_and_writes_nothing(
    go: Callable[..., Report], settings: Settings, simulator: Simulator, fault: str, words: str
) -> None:
    simulator.inject(Fault(fault))
    report = go()
    assert (report.outcome, report.exit_code, report.receipts[0].attempts) == (Outcome.FAILED, 1, 1)
    assert words in str(report.receipts[0].error)
    assert (rows(settings), rows(settings, "written")) == (0, 0)
    assert list((settings.home / "archive" / "objects").rglob("?" * 64))


def test_a_failed_day_never_hides_and_never_stops_the_others(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    """The middle one of three fails: the watermark stays before it, and the next run brings it."""
    simulator.inject(Fault("error:1001", match={"startdatetime": "20260715T07:00-0000"}))
    three = Flags(start=date(2026, 7, 14), end=date(2026, 7, 17))
    report = go(three)
    assert [each.outcome for each in report.receipts] == [Outcome.DONE, Outcome.FAILED, Outcome.DONE]
    (status,) = Store(settings.home / "watermarks.duckdb").status(lambda _: "America/Los_Angeles")
    assert status.missing_days == (date(2026, 7, 15),)
    prepared = prepare(spec(settings.home.parent), Flags(), settings)
    assert next(iter(prepared.plan.chunks)).chunk == report.receipts[1].chunk


def test_a_source_that_gives_up_is_another_exit_code(go: Callable[..., Report], simulator: Simulator) -> None:
    simulator.inject(Fault("503", times=99))
    report = go(replace(JULY, overrides=("source.attempts=2",)))
    assert (report.exit_code, report.receipts[0].attempts) == (5, 2)
    assert "tried 2 times" in str(report.receipts[0].error)


def test_empty_is_only_what_the_source_calls_so(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    go()
    simulator.inject(Fault("error:1000"))
    report = go()
    assert (report.outcome, report.exit_code, report.rows) == (Outcome.EMPTY, 0, 0)
    assert "1000" in report.receipts[0].findings[0].detail
    assert rows(settings) == 48, "what is there is not erased because the source has forgotten it"


def test_nothing_yet_is_not_nothing(go: Callable[..., Report]) -> None:
    """A day that may still be published must not be settled as empty."""
    far = datetime.now(UTC).date() + timedelta(3)
    report = go(Flags(start=far, end=far + timedelta(1)))
    assert (report.receipts, report.exit_code) == ((), 5)
    (postponed,) = report.postponed
    assert postponed.reason.startswith("NotYetPublished: ")
    assert f"{far} should be complete by {postponed.until:%Y-%m-%dT%H:%MZ}" in postponed.reason


def test_half_a_day_is_not_loaded(go: Callable[..., Report], settings: Settings) -> None:
    """Actual load of a day that is still going on: half a day that counts as done would be a gap that nobody sees."""
    today = datetime.now(UTC).date()
    report = go(Flags(start=today, end=today + timedelta(1)), LOAD)
    assert report.postponed[0].reason.startswith("NotYetPublished: ")
    assert rows(settings, "load") == 0


def test_a_gap_of_the_source_is_a_finding(go: Callable[..., Report], settings: Settings, simulator: Simulator) -> None:
    simulator.inject(Fault("missing_hour"))
    report = go()
    assert [each.check for each in report.receipts[0].findings] == ["intervals_are_published"]
    assert (report.outcome, rows(settings)) == (Outcome.DONE, 46)


def test_a_location_that_nobody_knows_is_a_finding(go: Callable[..., Report]) -> None:
    report = go(replace(JULY, overrides=("source.nodes=[TH_NP15_GEN-APND, NOSUCH_1_N001]",)))
    assert [each.check for each in report.receipts[0].findings] == ["locations_are_published"]
    assert report.rows == 24


def test_repeated_rows_count_once(go: Callable[..., Report], simulator: Simulator) -> None:
    simulator.inject(Fault("duplicate_rows"))
    report = go()
    assert (report.rows, [each.check for each in report.receipts[0].findings]) == (48, ["rows_are_distinct"])


def test_an_unknown_word_goes_to_quarantine_and_the_rest_is_loaded(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    simulator.inject(Fault("unknown_word"))
    report = go()
    assert (report.outcome, report.rows, report.receipts[0].rows_rejected) == (Outcome.QUARANTINED, 48, 1)
    (kept,) = ask(settings, 'select "check", "column", value, chunk_key from quarantine')
    assert tuple(kept.values())[:3] == ("word_is_known", "LMP_TYPE", "MXYZ")
    go()
    assert rows(settings, "quarantine") == 0, "quarantine holds what is wrong now"


def test_too_many_rejected_rows_fail_the_chunk(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    simulator.inject(Fault("unknown_word"))
    report = go(replace(JULY, overrides=("quality.max_rejected_share=0.001",)))
    assert (report.outcome, rows(settings), rows(settings, "quarantine")) == (Outcome.FAILED, 0, 1)
    assert "1 of 49 rows were rejected" in str(report.receipts[0].error)


def test_a_replay_needs_no_source(go: Callable[..., Report], settings: Settings, simulator: Simulator) -> None:
    go()
    before = ask(settings, "select * exclude (ingested_at) from lmp order by all")
    asked = len(simulator.log)
    nowhere = replace(settings, bases={"AURUM_CAISO_BASE": "http://127.0.0.1:1"})
    report = go(replace(JULY, replay=True), None, nowhere)
    assert (report.outcome, report.receipts[0].attempts, len(simulator.log)) == (Outcome.DONE, 0, asked)
    assert ask(settings, "select * exclude (ingested_at) from lmp order by all") == before


def test_a_replay_of_what_was_never_fetched_fails(go: Callable[..., Report]) -> None:
    assert "ArchiveError" in str(go(replace(JULY, replay=True)).receipts[0].error)


def test_more_than_ten_nodes_are_asked_for_in_parts(go: Callable[..., Report], simulator: Simulator) -> None:
    names = [f"N{number:05d}_{number % 7}_B{number % 3 + 1}" for number in range(23)]
    report = go(replace(JULY, overrides=(f"source.nodes=[{', '.join(names)}]",)))
    assert (report.rows, len(simulator.log)) == (23 * 24, 3)


def test_several_days_in_one_chunk_are_one_request(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    go(Flags(start=date(2025, 10, 25), end=date(2025, 11, 20), overrides=("source.chunk_days=20",)))
    assert (len(simulator.log), rows(settings)) == (2, 2 * (26 * 24 + 1))


def test_without_dates_it_goes_on_from_the_watermark(go: Callable[..., Report], settings: Settings) -> None:
    latest = go(Flags()).receipts[-1].chunk.window
    zone = "America/Los_Angeles"
    first = Flags(start=date(2026, 11, 1), end=date(2026, 11, 3))
    assert datetime.now(UTC) >= datetime(2026, 11, 5, tzinfo=UTC)
    go(first)
    prepared = prepare(spec(settings.home.parent), Flags(overrides=("schedule.lookback_days=1",)), settings)
    reasons = [each.reason.value for each in prepared.plan.chunks]
    assert reasons[0] == "lookback"
    assert set(reasons[1:-1]) <= {"missing"}
    assert prepared.plan.chunks[-1].chunk.window == latest
    assert prepared.plan.days(zone)[0] == date(2026, 11, 2)
    assert perform(prepared).outcome is Outcome.DONE


def test_a_plan_makes_nothing_and_asks_nobody(tmp_path: Path, settings: Settings, simulator: Simulator) -> None:
    production = replace(JULY, end=date(2026, 7, 24), profile="production")
    prepared = prepare(spec(tmp_path), production, settings)
    assert (len(prepared.plan.chunks), prepared.plan.requests, prepared.plan.rows) == (10, 10, 480)
    assert prepared.plan.wait_seconds == 45.0
    assert not settings.home.exists()
    assert simulator.log == []


def test_loopback_waits_for_no_limit_unless_asked(tmp_path: Path, settings: Settings) -> None:
    assert prepare(spec(tmp_path), JULY, settings).limits == UNLIMITED
    rehearsed = prepare(spec(tmp_path), replace(JULY, profile="production"), settings).limits
    assert (rehearsed.requests_per_minute, rehearsed.records_per_hour) == (12, 500_000)
    live = replace(settings, bases={})
    assert prepare(spec(tmp_path), JULY, live).limits == rehearsed


@pytest.mark.parametrize("origin", [Origin.LIVE, Origin.FILES])
def test_a_simulation_never_replaces_published_data(
    go: Callable[..., Report], tmp_path: Path, settings: Settings, origin: Origin
) -> None:
    published = replace(go().receipts[0], origin=origin)
    Store(settings.home / "watermarks.duckdb").append(published)
    with pytest.raises(UsageError, match="another AURUM_HOME"):
        prepare(spec(tmp_path), replace(JULY, simulated=True), settings)


def test_what_was_simulated_does_not_count_for_a_real_run(tmp_path: Path, settings: Settings) -> None:
    report = run(spec(tmp_path), replace(JULY, simulated=True), settings)
    assert report.receipts[0].origin is Origin.SIMULATOR
    prepared = prepare(spec(tmp_path), Flags(overrides=("schedule.start=2026-07-14",)), settings)
    assert prepared.plan.chunks[0].chunk == report.receipts[0].chunk
    assert prepared.plan.chunks[0].reason.value == "missing"


def test_rows_in_memory_settle_nothing(go: Callable[..., Report], settings: Settings) -> None:
    report = go(replace(JULY, sink_kinds=("memory",)))
    assert (report.rows, rows(settings)) == (48, 0)
    prepared = prepare(spec(settings.home.parent), Flags(overrides=("schedule.start=2026-07-14",)), settings)
    assert prepared.plan.chunks[0].reason.value == "missing"


def test_a_store_that_is_down_is_told_before_anything_is_fetched(
    go: Callable[..., Report], settings: Settings, simulator: Simulator
) -> None:
    settings.home.mkdir()
    (settings.home / "catalog.db").mkdir()
    with pytest.raises(SinkUnavailable):
        go()
    assert simulator.log == []


BOTH = "dataset: caiso_lmp\nsource: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}\nsinks: [{kind: iceberg}, {kind: timescale}]\n"


def test_a_chunk_that_one_store_refused_is_completed_by_the_next_run(
    go: Callable[..., Report], settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staged on both, committed in one: on record as such, and done again in both without doubling."""
    settings = with_variables(settings, TIMESCALE_CONNECTION=database)

    def refuse(staged: timescale._Staged) -> Written:
        staged.discard()
        raise CommitFailed("timescale: refused")

    with monkeypatch.context() as patched:
        patched.setattr(timescale._Staged, "commit", refuse)
        report = go(JULY, BOTH, settings)
    (receipt,) = report.receipts
    assert (receipt.outcome, receipt.stores, report.exit_code) == (Outcome.FAILED, ("iceberg",), 6)
    assert [each.detail for each in receipt.findings] == ["committed in iceberg alone"]
    assert prepare(spec(settings.home, BOTH), Flags(), settings).plan.chunks
    report = go(JULY, BOTH, settings)
    assert (report.outcome, report.receipts[0].stores) == (Outcome.DONE, ("iceberg", "timescale"))
    assert rows(settings) == 48
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from iso_lmp")
        assert cursor.fetchall() == [(48,)]


def test_what_one_store_does_not_take_in_is_in_none(
    go: Callable[..., Report], settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_variables(settings, TIMESCALE_CONNECTION=database)

    def refuse(*_: object) -> None:
        raise SinkUnavailable("timescale: no room")

    monkeypatch.setattr(timescale.TimescaleSink, "stage", refuse)
    report = go(JULY, BOTH, settings)
    assert (report.outcome, report.receipts[0].written) == (Outcome.FAILED, ())
    assert rows(settings) == 0


def test_retention_is_applied_after_a_run(go: Callable[..., Report], settings: Settings) -> None:
    go()
    go(Flags(start=date(2026, 7, 16), end=date(2026, 7, 17)), None, replace(settings, archive_max_bytes=1))
    assert not list((settings.home / "archive" / "objects").rglob("?" * 64))
