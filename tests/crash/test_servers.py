"""A server dies in the middle of a job, and comes up again."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import pytest

from aurum_etl.watermarks.jobs import ChunkState
from tests import services
from tests.conftest import server
from tests.crash.home import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.home import Home


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[services.Own]:
    """A server of the test's own."""
    try:
        with services.own(request.param) as found:
            yield found
    except services.Missing as missing:
        if os.environ.get("AURUM_TEST_DEMAND") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def answers(dsn: str) -> bool:
    try:
        services.execute(dsn, "select 1")
    except Exception:  # noqa: BLE001 - it is not up yet, whatever it says
        return False
    return True


def survive(at: Home, own: services.Own, attempts: int, hold: str) -> str:
    """The job, after its server was killed while three chunks were in work and one was done."""
    with at.start("--attempts", attempts, "--hold", hold, "--seconds", 1) as process:
        until(lambda: at.counts().get("done"))
        until(lambda: at.counts().get("running") == 3)
        own.kill()
        time.sleep(1)
        own.start()
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return at.status().job.id


@pytest.mark.parametrize("own", ["durable postgres"], indirect=True)
def test_a_job_outlives_its_database(home: Callable[..., Home], own: services.Own) -> None:
    at = home("timescale", days=8, TIMESCALE_CONNECTION=own.address["dsn"])
    job = survive(at, own, 6, "staged timescale")
    assert any(each.outcome == "failed" for each in at.store.receipts()), "it was noticed"
    at.assert_one_copy(job)


@pytest.mark.parametrize("own", ["durable postgres"], indirect=True)
def test_what_a_dead_database_did_not_take_is_resumed(home: Callable[..., Home], own: services.Own) -> None:
    at = home("iceberg", "timescale", days=6, TIMESCALE_CONNECTION=own.address["dsn"])
    job = survive(at, own, 1, "staged timescale")
    assert at.status().state == "partially_completed"
    assert at.counts()["failed"] >= 1
    until(lambda: answers(own.address["dsn"]))
    at.goes_on(job)
    at.assert_one_copy(job)


@pytest.mark.parametrize("own", ["durable postgres"], indirect=True)
def test_a_store_that_is_gone_in_the_end_hides_nothing(home: Callable[..., Home], own: services.Own) -> None:
    """Every chunk is done, but nobody can say whether the store agrees: a later look does."""
    at = home("iceberg", "timescale", days=2, TIMESCALE_CONNECTION=own.address["dsn"])
    with at.start("--hold", "receipt noted", "--seconds", 3) as process:
        until(lambda: at.counts().get("done") == 2)
        own.kill()
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    status = at.status()
    assert (status.state, status.counts) == ("partially_completed", {ChunkState.DONE: 2})
    assert status.detail.startswith("iceberg agrees with its receipts; timescale could not be compared")
    own.start()
    until(lambda: answers(own.address["dsn"]))
    asked = at.asked()
    at.goes_on(status.job.id)
    assert at.asked() == asked
    at.assert_one_copy(status.job.id)


@pytest.mark.parametrize("own", ["kafka"], indirect=True)
def test_a_job_outlives_its_broker(home: Callable[..., Home], own: services.Own) -> None:
    at = home(
        "kafka",
        days=8,
        KAFKA_BOOTSTRAP_SERVERS=own.address["bootstrap"],
        SCHEMA_REGISTRY_URL=server("registry")["url"],
        AURUM_TOPIC_PREFIX=f"test{secrets.token_hex(4)}.",
    )
    job = survive(at, own, 6, "staged kafka")
    at.assert_one_copy(job, kills=5)
