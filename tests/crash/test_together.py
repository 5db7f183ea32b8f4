"""Several processes and one home: each has its own job, and anybody may look and steer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aurum_etl.reload import go_on, resumption, steer
from aurum_etl.watermarks.jobs import ChunkState, Event, jobs_of
from tests.crash.home import SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.crash.home import Home


def test_two_jobs_share_a_home_and_status_always_answers(home: Callable[..., Home]) -> None:
    at = home("iceberg", "timescale")
    processes = [at.start(), at.start("--hold", "committed iceberg", "--seconds", "1", skip=10)]
    seen: dict[str, list[str]] = {}
    answers = 0
    while any(process.poll() is None for process in processes):
        for status in jobs_of(at.settings).statuses():
            states = seen.setdefault(status.job.id, [])
            if states[-1:] != [status.state.value]:
                states.append(status.state.value)
        answers += len(at.store.status(lambda _: "America/Los_Angeles"))
        time.sleep(0.1)
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert answers >= 2
    statuses = jobs_of(at.settings).statuses()
    assert [(status.state, status.counts) for status in statuses] == [("completed", {ChunkState.DONE: at.days})] * 2
    order = ["pending", "running", "completed"]
    for states in seen.values():
        assert states == [each for each in order if each in states], "never paused, and never back"
    (dataset,) = at.store.status(lambda _: "America/Los_Angeles")
    assert dataset.rows == 2 * at.days * 48
    numbers = [each["number"] for each in at.store.tables()["receipts"].to_pylist()]
    assert numbers == list(range(1, 2 * at.days + 1))


def test_what_runs_is_not_begun_again(home: Callable[..., Home], tmp_path: Path) -> None:
    """Neither the job itself, nor another one of the same days."""
    at = home("iceberg")
    gate = tmp_path / "gate"
    with at.start("--hold", "committed iceberg", "--gate", gate) as process:
        until(lambda: at.counts().get("running") == 3)
        job = at.status().job.id
        try:
            assert f"UsageError: {job}: another process runs it" in at.refused("--job", job)
            assert f"job {job}, which runs, has that before it" in at.refused()
        finally:
            gate.touch()
        _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    at.assert_one_copy(job)
    assert "there is nothing to do" in at.refused()


def test_a_job_is_paused_resumed_and_cancelled_from_outside(home: Callable[..., Home]) -> None:
    at = home("iceberg", days=9, concurrent=2)
    process = at.start("--hold", "committing iceberg", "--seconds", "2")
    until(lambda: at.counts().get("done"))
    job = at.status().job.id
    assert steer(job, Event.PAUSED, at.settings).state == "paused"
    until(lambda: "running" not in at.counts())
    paused = at.counts()
    assert paused["done"] < at.days
    time.sleep(4)
    assert (at.counts(), at.status().state) == (paused, "paused")
    assert process.poll() is None
    assert steer(job, Event.RESUMED, at.settings).state == "running"
    until(lambda: at.counts()["done"] > paused["done"])
    assert steer(job, Event.CANCELLED, at.settings).state == "cancelled"
    begun = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < SECONDS
    assert (process.returncode, out.split()[1:]) == (0, ["cancelled", "cancelled"]), err
    assert at.status().state == "cancelled"
    assert 0 < at.counts()["done"] < at.days
    assert at.counts()["done"] == len(at.settled())
    assert "was cancelled" in at.refused("--job", job)
    # What is left can be planned anew.
    again = at.child()
    assert at.status().job.id == again
    assert at.counts() == {"done": at.days - sum(each.job == job for each in at.settled())}


def test_what_another_process_did_meanwhile_is_not_done_again(home: Callable[..., Home]) -> None:
    """A process that was started while the job ran, and came to its turn when it had ended."""
    at = home("iceberg", days=2)
    job = at.child("--kill", "begun", code=-9)
    resumed = resumption(job, settings=at.settings)
    at.child("--job", job)
    asked = sum(at.asked().values())
    ending, status = go_on(resumed)
    assert (ending, status.state) == ("finished", "completed")
    assert sum(at.asked().values()) == asked
    at.assert_one_copy(job)
