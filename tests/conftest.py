"""What most tests stand on: a home of their own, one simulator for all, and real servers for those that ask."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import hypothesis
import pytest

from aurum_etl import redaction
from aurum_etl.settings import Settings, read_settings
from aurum_etl.simulator import Simulator
from tests import services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

# Machines are shared: how long an example takes says nothing.
hypothesis.settings.register_profile("untimed", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

RUN: pytest.StashKey[AbstractContextManager[Path]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Servers belong to the whole run: to the process that started it, not to the workers."""
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = services.run()
        config.stash[RUN].__enter__()


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].__exit__(None, None, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, reason in services.missing().items():
        terminalreporter.write_line(f"without {name}: {reason}", yellow=True)


def server(name: str) -> dict[str, str]:
    """Where the server is. Where all are demanded, a missing one is a failure."""
    try:
        return services.address(name)
    except services.Missing as missing:
        if os.environ.get("AURUM_TEST_DEMAND") == "1":
            pytest.fail(f"{name}: {missing}")
        pytest.skip(f"{name}: {missing}")


@pytest.fixture(autouse=True)
def knowledge() -> Iterator[None]:
    """What one test makes secret, the next one may tell."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redaction, "_known", redaction._known)
        yield


@pytest.fixture(scope="session")
def postgres() -> str:
    """A database server: the one that `AURUM_TEST_TIMESCALE` names, or one of our own."""
    return os.environ.get("AURUM_TEST_TIMESCALE") or server("postgres")["dsn"]


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """A new database, gone after the test."""
    with services.database(postgres) as dsn:
        if "AURUM_TEST_TIMESCALE" in os.environ:
            services.execute(dsn, "create extension if not exists timescaledb")
        yield dsn


@pytest.fixture
def kafka() -> dict[str, str]:
    """Settings of a broker and a schema registry, with topics of the test's own."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": server("kafka")["bootstrap"],
        "SCHEMA_REGISTRY_URL": server("registry")["url"],
        "AURUM_TOPIC_PREFIX": f"test{secrets.token_hex(4)}.",
    }


@pytest.fixture
def rest_catalog() -> dict[str, str]:
    """Settings of an empty REST catalog."""
    return {"AURUM_ICEBERG_URI": services.new_catalog(server("rest_catalog")["uri"])}


@pytest.fixture
def s3() -> dict[str, str]:
    """Settings of an object store, with an empty place of its own in its bucket."""
    found = server("s3")
    return {
        "AWS_ENDPOINT_URL": found["endpoint"],
        "AWS_ACCESS_KEY_ID": found["key"],
        "AWS_SECRET_ACCESS_KEY": found["secret"],
        "AURUM_ICEBERG_WAREHOUSE": f"s3://{found['bucket']}/{secrets.token_hex(8)}",
    }


@pytest.fixture
def vault() -> dict[str, str]:
    """Settings of a Vault, with a token that may do everything."""
    found = server("vault")
    return {"VAULT_ADDR": found["url"], "VAULT_TOKEN": found["token"]}


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    with Simulator(nodes=90) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """The simulator, with an empty log and no faults."""
    shared_simulator.log.clear()
    yield shared_simulator
    shared_simulator.clear_faults()


@pytest.fixture
def settings(tmp_path: Path, simulator: Simulator) -> Settings:
    """A home of the test's own, and CAISO at the simulator's address."""
    return read_settings({"AURUM_HOME": str(tmp_path / "home"), **simulator.env})
