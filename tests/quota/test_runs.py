"""Quota and breakers as a run meets them: a simulator on the other side, and the commands in front."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import duckdb
import pytest

from aurum_etl.quota import BreakerRule, Call, Reply, Terms, ledger_of
from aurum_etl.quota.record import tables_of
from aurum_etl.receipt import Outcome
from aurum_etl.reload import Reload, begin, planned, resumption
from aurum_etl.runner import Flags, prepare, run
from aurum_etl.simulator import Fault
from tests.frames import spec
from tests.test_cli import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from aurum_etl.settings import Settings
    from aurum_etl.simulator import Simulator

NODES = "source: {nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND]}\n"
DAY = ("--from", "2026-07-14", "--to", "2026-07-15")


@pytest.fixture
def shell(settings: Settings, simulator: Simulator) -> Shell:
    return Shell(settings.home, simulator)


def in_trouble(settings: Settings, rest: float) -> datetime:
    """Let the host of CAISO be left alone for so many seconds; until when."""
    host = f"CAISO {settings.bases['AURUM_CAISO_BASE'].split('/')[2]}"
    with closing(ledger_of(settings)) as ledger:
        rule = BreakerRule(failures=1, rest_seconds=rest)
        reserved = ledger.budget(Terms("caiso_load", breaker=rule)).reserve(Call(host, "GET", "u"), threading.Event())
        reserved.received(Reply(503, 0, "", 0.1, 0.1, "busy", healthy=False))
        reserved.settle(0)
        (breaker,) = ledger.breakers()
    assert breaker.until is not None
    return breaker.until


def test_a_chunk_that_meets_an_open_breaker_is_postponed_and_then_done(
    settings: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    until = in_trouble(settings, 2.0)
    report = run(spec(tmp_path), Flags(date(2026, 7, 14), date(2026, 7, 16)), settings)
    assert datetime.now(UTC) >= until
    assert [each.outcome for each in report.receipts] == [Outcome.DONE, Outcome.DONE]
    assert (report.postponed, report.exit_code) == ((), 0)
    assert len(simulator.log) == 2, "nobody was asked while the host was left alone"
    with closing(ledger_of(settings)) as ledger:
        assert [each.state for each in ledger.breakers()] == ["closed"]


def test_one_that_rests_for_too_long_is_left_to_another_run(
    shell: Shell, settings: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    in_trouble(settings, 3600.0)
    document = shell.json("run", spec(tmp_path), *DAY, code=5)
    (postponed,) = document["postponed"]
    assert postponed["reason"].startswith("SourceResting: CAISO ")
    assert (document["chunks"], simulator.log) == ([], [])
    assert "left alone until" in shell("quota")
    job = shell.json("backfill", spec(tmp_path), *DAY, code=5)
    assert (job["state"], job["counts"], job["chunks"][0]["state"]) == ("failed", {"postponed": 1}, "postponed")


def test_a_budget_that_is_spent_has_its_own_exit_code_and_tells_when(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    path = spec(tmp_path, f"dataset: caiso_lmp\n{NODES}quota: {{requests_per_hour: 1, burst: 2}}\n")
    assert shell.json("run", path, *DAY, "--profile", "production")["rows"] == 48
    document = shell.json("run", path, "--from", "2026-07-15", "--to", "2026-07-16", "--profile", "production", code=4)
    assert document["postponed"][0]["reason"].startswith("QuotaSpent: CAISO ")
    assert len(simulator.log) == 1
    (use,) = [each for each in shell.json("quota")["uses"] if each["limit"] == "requests_per_hour"]
    assert (use["subject"], use["used"], use["of"], use["rest"]) == ("caiso_lmp", 1, 1, 0)
    assert 3500 < datetime.fromisoformat(use["next_free"]).timestamp() - time.time() <= 3601
    (alert,) = shell.json("inspect", "from alerts")
    assert (alert["kind"], alert["subject"]) == ("quota", "caiso_lmp requests_per_hour")


def test_quota_tells_the_limits_of_specs_under_a_profile(shell: Shell, tmp_path: Path) -> None:
    path = spec(tmp_path, f"dataset: caiso_lmp\n{NODES}quota: {{records_per_hour: 1000}}\n")
    uses = shell.json("quota", path, "--profile", "development")["uses"]
    found = {(each["subject"].partition(" ")[0], each["limit"]): each["of"] for each in uses}
    assert found["caiso_lmp", "records_per_hour"] == 100
    assert found["caiso_lmp", "bytes_per_hour"] == 50_000_000
    assert found["caiso_lmp", "concurrent_requests"] == 1
    seconds = {
        each["subject"].partition(" ")[0]: each["seconds"] for each in uses if each["limit"] == "requests_per_minute"
    }
    assert seconds == {"caiso_lmp": 10, "CAISO": 5}, "a profile takes less of it, and leaves the host's limit as it is"


def test_a_backfill_has_a_budget_of_its_own(settings: Settings, tmp_path: Path) -> None:
    path = spec(tmp_path, f"dataset: caiso_lmp\n{NODES}")
    days = Flags(date(2026, 7, 14), date(2026, 7, 15))
    live = replace(settings, bases={})
    assert prepare(path, days, live).limits.records_per_hour == 500_000
    assert planned(path, days, Reload(), live).limits.records_per_hour == 25_000_000
    assert planned(path, days, Reload(), live).limits.requests_per_minute == 12


def test_a_job_of_before_there_was_a_block_for_quotas_keeps_its_pace(settings: Settings, tmp_path: Path) -> None:
    path = spec(tmp_path, f"dataset: caiso_lmp\n{NODES}")
    days = Flags(date(2026, 7, 14), date(2026, 7, 15), profile="production")
    job = begin(planned(path, days, Reload(), settings), Reload(), str(path))
    content = job.content.replace('"attempts":6', '"attempts":6,"requests_per_minute":3.0')
    assert content != job.content
    with duckdb.connect(str(settings.home / "watermarks.duckdb")) as connection:
        connection.execute("update jobs set content = ?", [content])
    assert resumption(job.id, settings=settings).prepared.limits.requests_per_minute == 3.0


def test_a_host_that_fails_is_left_alone_by_the_whole_run(
    settings: Settings, simulator: Simulator, tmp_path: Path
) -> None:
    """Thirty requests would otherwise be sent into nothing."""
    simulator.inject(Fault("503", times=12))
    days = Flags(date(2026, 7, 1), date(2026, 7, 6))
    report = run(spec(tmp_path), days, settings)
    assert {each.outcome for each in report.receipts} <= {Outcome.DONE, Outcome.FAILED}
    with closing(ledger_of(settings)) as ledger:
        alerts = [each["detail"].partition(" ")[0] for each in tables_of(ledger.path.parent)["alerts"].to_pylist()]
    assert "open" in alerts
    assert alerts[-1] == "closed"
