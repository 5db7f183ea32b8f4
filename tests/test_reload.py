"""Backfills from outside: as a user starts, watches, steers and resumes them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from aurum_etl.simulator import Fault, Simulator
from aurum_etl.sinks.iceberg.catalog import close_catalog, open_catalog
from tests.frames import spec
from tests.test_cli import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aurum_etl.settings import Settings

JULY = ("--from", "2026-07-01", "--to", "2026-07-09")


@pytest.fixture
def shell(settings: Settings, simulator: Simulator) -> Shell:
    return Shell(settings.home, simulator)


def written(source: str, quota: str = "") -> str:
    """A spec with these fields of its source and of its quota."""
    return f"dataset: caiso_lmp\nsource: {{nodes: [TH_NP15_GEN-APND, DLAP_SCE-APND], {source}}}\nquota: {{{quota}}}\n"


def rows(shell: Shell) -> tuple[int, int]:
    """Rows and distinct keys."""
    (found,) = shell.json("inspect", "select count(*) n, count(distinct (iso_location_id, interval_start)) k from lmp")
    return found["n"], found["k"]


def until(look: Callable[[], Any], seconds: float = 120) -> Any:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.1)
    return answer


def test_a_backfill_loads_what_is_missing_and_the_same_command_then_has_nothing_to_do(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    path = spec(tmp_path)
    shell("run", path, "--from", "2026-07-03", "--to", "2026-07-05")
    plan = shell.json("backfill", path, *JULY, "--plan")
    assert plan["reasons"] == {"missing": 6}
    assert (plan["requests"], plan["rows"], len(plan["chunks"])) == (6, 6 * 48, 6)
    assert [each["kind"] for each in plan["sinks"]] == ["iceberg"]
    asked = len(simulator.log)
    job = shell.json("backfill", path, *JULY)
    assert (job["state"], job["counts"], job["rows"]) == ("completed", {"done": 6}, 6 * 48)
    assert [each["key"] for each in job["chunks"]] == [each["key"] for each in plan["chunks"]]
    assert len(simulator.log) - asked == 6
    assert rows(shell) == (8 * 48, 8 * 48)
    assert "nothing to do" in shell("backfill", path, *JULY)
    assert shell.json("backfill", path, *JULY, "--plan", "--rerun", "all")["reasons"] == {"forced": 8}
    (listed,) = shell.json("backfill", "list")
    assert (listed["job"], listed["from"], listed["to"]) == (job["job"], "2026-07-01", "2026-07-09")


def test_a_chunk_that_fails_is_tried_again_and_then_left_for_a_rerun(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    path = spec(tmp_path, written("attempts: 1"))
    simulator.inject(Fault("503", times=2, match={"startdatetime": "20260703T07:00-0000"}))
    simulator.inject(Fault("503", times=1, match={"startdatetime": "20260705T07:00-0000"}))
    job = shell.json("backfill", path, *JULY, "--attempts", "2", code=1)
    assert (job["state"], job["counts"]) == ("partially_completed", {"done": 7, "failed": 1})
    assert sorted(each["attempts"] for each in job["chunks"]) == [1] * 6 + [2, 2]
    (failed,) = [each for each in job["chunks"] if each["state"] == "failed"]
    assert "503" in failed["error"]
    assert shell.json("backfill", path, *JULY, "--plan")["reasons"] == {"failed": 1}
    assert shell.json("backfill", path, *JULY, "--plan", "--rerun", "missing")["chunks"] == []
    assert shell.json("backfill", "resume", job["job"], "--rerun", "failed")["state"] == "completed"
    assert rows(shell) == (8 * 48, 8 * 48)


def test_the_first_failure_may_stop_everything(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    path = spec(
        tmp_path,
        written("attempts: 1, concurrent_chunks: 1"),
    )
    simulator.inject(Fault("503", match={"startdatetime": "20260706T07:00-0000"}))
    job = shell.json("backfill", path, *JULY, "--attempts", "1", "--on-failure", "stop", "--newest-first", code=1)
    assert job["counts"] == {"done": 2, "failed": 1, "pending": 5}
    assert shell.json("backfill", "resume", job["job"])["state"] == "completed"


def forget(settings: Settings, day: str) -> None:
    """Somebody deletes the rows of a day behind our back."""
    catalog = open_catalog(settings)
    try:
        catalog.load_table("iso.lmp").delete(f"operating_date = '{day}'")
    finally:
        close_catalog(catalog)


def test_a_store_that_does_not_hold_what_its_receipts_say_is_told_when_a_job_ends(
    shell: Shell, settings: Settings, tmp_path: Path
) -> None:
    path = spec(tmp_path)
    job = shell.json("backfill", path, *JULY)
    assert job["detail"] == "iceberg agrees with its receipts"
    forget(settings, "2026-07-04")
    job = shell.json("backfill", path, "--from", "2026-07-01", "--to", "2026-07-10", code=1)
    assert (job["state"], job["detail"], job["counts"]) == ("partially_completed", "iceberg 1 days differ", {"done": 1})
    assert "job.differs" in shell.err
    assert "2026-07-04" in shell.err


def test_gaps_are_filled_by_a_job_of_just_their_chunks(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    path, whole = spec(tmp_path), ("--from", "2026-07-01", "--to", "2026-07-10")
    shell("backfill", path, *JULY)
    forget(settings, "2026-07-04")
    found = shell.json("gaps", path, *whole, code=1)
    assert [(each["reason"], each["start"][:10]) for each in found["missing"]] == [
        ("lost", "2026-07-04"),
        ("missing", "2026-07-09"),
    ]
    job = shell.json("gaps", path, *whole, "--fill")
    assert (job["state"], [each["reason"] for each in job["chunks"]]) == ("completed", ["lost", "missing"])
    assert shell.json("gaps", path, *whole)["missing"] == []
    assert rows(shell) == (9 * 48, 9 * 48)


def test_what_another_run_has_done_meanwhile_is_not_done_again(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    path = spec(tmp_path, written("attempts: 1"))
    simulator.inject(Fault("503", match={"startdatetime": "20260703T07:00-0000"}))
    job = shell.json("backfill", path, *JULY, "--attempts", "1", code=1)
    shell("run", path, "--from", "2026-07-03", "--to", "2026-07-04")
    asked = len(simulator.log)
    resumed = shell.json("backfill", "resume", job["job"])
    assert (resumed["state"], resumed["counts"], len(simulator.log)) == ("completed", {"done": 8}, asked)


def test_a_paused_job_waits_and_a_resumed_one_goes_on(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    path = spec(
        tmp_path,
        written("concurrent_chunks: 2", quota="requests_per_minute: 30"),
    )
    with shell.start("backfill", path, *JULY, "--profile", "production", "--json") as process:
        (job,) = until(lambda: [each for each in shell.json("backfill", "list") if each["rows"]])
        paused = shell.json("backfill", "pause", job["job"])
        assert paused["state"] == "paused"
        until(lambda: shell.json("backfill", "show", job["job"])["counts"].get("running") is None)
        asked = len(simulator.log)
        time.sleep(3)
        assert (process.poll(), len(simulator.log)) == (None, asked)
        assert shell.json("backfill", "resume", job["job"])["state"] == "running"
        process.communicate(timeout=120)
    assert (process.returncode, rows(shell)) == (0, (8 * 48, 8 * 48))


def test_an_interrupted_job_is_paused_and_goes_on_where_it_was(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    path = spec(tmp_path, written("concurrent_chunks: 3", quota="requests_per_minute: 6"))
    with shell.start("backfill", path, *JULY, "--profile", "production") as process:
        (job,) = until(lambda: [each for each in shell.json("backfill", "list") if each["rows"]])
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert time.monotonic() - asked < 40
    assert (process.returncode, f"backfill resume {job['job']}" in err) == (130, True)
    assert shell.json("backfill", "list")[0]["state"] == "paused"
    done, asked_for = rows(shell)[0] // 48, len(simulator.log)
    resumed = shell.start("backfill", "resume", job["job"][-6:])
    with resumed:
        until(lambda: len(simulator.log) > asked_for)
        resumed.kill()
    assert shell.json("backfill", "show", job["job"])["detail"] == "its process ended before it was done"
    assert done >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "no-such-job"), 'job "no-such-job": not known'),
        (("resume", "no-such-job"), "not known"),
        (("{spec}",), "where does the backfill begin"),
        (("{spec}", "--from", "2026-07-03", "--to", "2026-07-01"), "--to is exclusive"),
    ],
)
def test_what_does_not_fit_is_told(shell: Shell, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    path = spec(tmp_path)
    shell("backfill", *(each.replace("{spec}", str(path)) for each in arguments), code=2)
    assert words in shell.err
