"""SIGINT and SIGTERM, whatever a job is waiting for: it ends soon, and can be gone on with."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aurum_etl.errors import EXIT_CHUNK_FAILED, EXIT_INTERRUPTED
from aurum_etl.reload import steer
from aurum_etl.watermarks.jobs import Event
from tests.crash.home import SECONDS, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.crash.home import Home


@contextmanager
def mute() -> Iterator[str]:
    """The address of a source that takes requests and never answers."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in taken:
        each.close()


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """What it said, after it has ended in time."""
    process.send_signal(number)
    begun = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < SECONDS
    assert process.returncode == EXIT_INTERRUPTED, err
    return out, err


def goes_on(home: Home) -> None:
    """The job is paused, and a process that goes on with it leaves one copy."""
    status = home.status()
    assert status.state == "paused"
    assert "running" not in {state.value for state in status.counts}
    home.goes_on(status.job.id)
    home.assert_one_copy(status.job.id)


def test_while_the_source_does_not_answer(home: Callable[..., Home]) -> None:
    with mute() as address:
        at = home("iceberg", AURUM_CAISO_BASE=address)
        process = at.backfill()
        until(lambda: at.counts().get("running") == 3)
        out, err = stopped(process, signal.SIGINT)
    (document,) = [json.loads(out)]
    assert (document["state"], document["counts"]) == ("paused", {"pending": 4})
    assert f"aurum-etl backfill resume {document['job']}" in err
    at.environment |= at.simulator.env
    goes_on(at)


def test_a_cancelled_job_does_not_wait_for_the_source_either(home: Callable[..., Home]) -> None:
    with mute() as address:
        at = home("iceberg", AURUM_CAISO_BASE=address)
        process = at.backfill()
        until(lambda: at.counts().get("running") == 3)
        steer(at.status().job.id, Event.CANCELLED, at.settings)
        begun = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < SECONDS
    assert process.returncode == EXIT_CHUNK_FAILED, err
    assert json.loads(out)["state"] == "cancelled"
    assert at.counts() == {"pending": 4}
    assert "was cancelled" in at.refused("--job", at.status().job.id)


def test_while_a_rate_limit_of_minutes_is_kept(home: Callable[..., Home]) -> None:
    at = home("iceberg")
    process = at.backfill("--profile", "production", "--set", "quota.requests_per_minute=0.2")
    until(lambda: at.counts() == {"done": 1, "running": 3})
    begun = time.monotonic()
    out, _ = stopped(process, signal.SIGTERM)
    assert time.monotonic() - begun < SECONDS, "who waits for a turn gives up, and does not wait for minutes"
    assert json.loads(out)["counts"] == {"pending": 3, "done": 1}


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGTERM, 2), (signal.SIGINT, 60)], ids=["soon", "too late"])
def test_while_chunks_are_committed(home: Callable[..., Home], number: signal.Signals, seconds: int) -> None:
    """What ends in time is on record; what does not is left as a kill would leave it."""
    at = home("iceberg", "timescale")
    process = at.start("--hold", "committing timescale", "--seconds", seconds)
    until(lambda: at.counts().get("running") == 3)
    # All three have committed in one store and are on their way in the other.
    until(lambda: len(list((at.settings.home / "warehouse").rglob("*.parquet"))) == 3)
    time.sleep(0.5)
    out, _ = stopped(process, number)
    assert out.split()[1:] == ["interrupted", "paused"]
    assert at.counts() == ({"pending": 1, "done": 3} if seconds == 2 else {"pending": 4})
    goes_on(at)
